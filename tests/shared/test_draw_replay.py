"""`choudo draw replay`, on files, without a database."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from deploy.cli import main
from services.booking.domain.draw import FORMAT, Outcome, Seats, Ticket, allocate, commitment_of, digest_of
from services.booking.domain.draw_record import Record, Session

SEED = bytes(range(32))
AT = datetime(2026, 12, 1, tzinfo=UTC)
ENTRIES = tuple(Ticket(f"K{number}", ("a", "b")) for number in range(6))
SEATS = (Seats("a", 2), Seats("b", 1))


def make_record(**changes: Any) -> Record:
    made: dict[str, Any] = {
        "format": FORMAT,
        "municipality": "143421",
        "draw_id": UUID(int=1),
        "title_ja": "スマートフォン教室",
        "opens_at": AT,
        "closes_at": AT,
        "commitment": commitment_of(SEED),
        "sessions": tuple(
            Session(session_id=each.session_id, counter="7", starts_at=AT, ends_at=AT, seats=each.seats)
            for each in SEATS
        ),
        "drawn_at": AT,
        "seed": SEED.hex(),
        "entries_digest": digest_of(SEATS, ENTRIES),
        "entries": ENTRIES,
        "result": allocate(SEED, SEATS, ENTRIES),
    }
    return Record(**made | changes)


def write(path: Path, record: Record) -> str:
    path.write_bytes(msgspec.json.encode(record))
    return str(path)


def test_the_same_result_is_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path / "draw.json", make_record())
    assert main(["draw", "replay", file]) == 0
    assert "the same result: 3 of 6" in capsys.readouterr().out
    assert main(["draw", "replay", file, "--commitment", commitment_of(SEED).upper()]) == 0


def swapped() -> tuple[Outcome, ...]:
    first, *between, last = allocate(SEED, SEATS, ENTRIES)
    return (
        msgspec.structs.replace(first, ticket=last.ticket),
        *between,
        msgspec.structs.replace(last, ticket=first.ticket),
    )


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (make_record(result=swapped()), "number 1: the file has"),
        (make_record(result=allocate(SEED, SEATS, ENTRIES)[:-1]), "5 results for 6 entries"),
        (make_record(seed="11" * 32), "seed: its commitment is"),
        (make_record(entries=ENTRIES[:-1]), "entries: their number is"),
    ],
)
def test_another_result_is_1_and_the_first_difference_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], record: Record, said: str
) -> None:
    assert main(["draw", "replay", write(tmp_path / "draw.json", record)]) == 1
    assert said in capsys.readouterr().out


def test_a_record_written_anew_is_found_out_by_a_commitment_that_was_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = bytes(32)
    record = make_record(seed=other.hex(), commitment=commitment_of(other), result=allocate(other, SEATS, ENTRIES))
    file = write(tmp_path / "draw.json", record)
    assert main(["draw", "replay", file]) == 0
    assert main(["draw", "replay", file, "--commitment", commitment_of(SEED)]) == 1
    assert "commitment: the file has" in capsys.readouterr().out


@pytest.mark.parametrize(
    "record",
    [
        make_record(format="choudo-draw-9"),
        make_record(seed=None),
        make_record(seed="not hexadecimal"),
        make_record(seed="11"),
        make_record(entries=(*ENTRIES, ENTRIES[0])),
    ],
)
def test_what_is_no_draw_is_2(tmp_path: Path, record: Record) -> None:
    assert main(["draw", "replay", write(tmp_path / "draw.json", record)]) == 2


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff\xfe", b'{"format": 1}'])
def test_garbage_is_2(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "draw.json"
    file.write_bytes(content)
    assert main(["draw", "replay", str(file)]) == 2
    assert main(["draw", "replay", str(tmp_path / "nothing.json")]) == 2
