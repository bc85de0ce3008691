"""An export is verified by whoever has it, without a database; against roots that somebody kept, it hides nothing."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import text

from deploy.cli import BAD_INPUT, INTACT, main
from deploy.ledger import BROKEN
from shared.db import Database
from shared.events.subscriptions import SERVICES
from shared.ledger.checkpoints import Checkpointer
from shared.ledger.entry import GENESIS, Entry, link_hash
from shared.ledger.export import CHECKPOINTS_FILE, ledger_file
from shared.ledger.sealer import Sealer
from tests.conftest import TestDatabase
from tests.shared.ledgers import as_superuser, write
from tests.shared.makers import NOW, TOWN, make_entry, make_outbox

pytestmark = pytest.mark.usefixtures("towns")
MORNING = datetime(2026, 11, 24, 15, 10, tzinfo=UTC)

Lines = list[dict[str, Any]]


async def make_ledgers(environ: dict[str, str]) -> list[Entry]:
    """Five entries in booking's ledger, and a checkpoint of all three over them; then two more."""
    entries = [make_entry(at=NOW + timedelta(seconds=n)) for n in range(7)]
    for service in SERVICES:
        db = Database(environ[f"CHOUDO_{service.upper()}_DATABASE_URL"], service=service)
        if service == "booking":
            await write(db, *entries[:5])
            await Sealer(db).seal_all()
        await Checkpointer(db, make_outbox(service)).make(TOWN, now=MORNING)
        if service == "booking":
            await write(db, *entries[5:])
            await Sealer(db).seal_all()
        await db.dispose()
    return entries


@pytest.fixture
def entries(database: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> list[Entry]:
    """The ledgers of a town, and the command line's environment."""
    for service in SERVICES:
        name = f"CHOUDO_{service.upper()}_DATABASE_URL"
        monkeypatch.setenv(name, database.environ[name])
    return asyncio.run(make_ledgers(database.environ))


@pytest.fixture
def folder(entries: list[Entry], tmp_path: Path) -> Path:
    """An export."""
    made = tmp_path / "export"
    assert main(["ledger", "export", TOWN, "--to", str(made)]) == INTACT
    return made


def lines_of(folder: Path) -> Lines:
    return [json.loads(line) for line in ledger_file(folder, "booking").read_text("utf-8").splitlines()]


def write_lines(folder: Path, lines: Lines) -> None:
    # As an export has them: what is hashed are the bytes.
    written = [json.dumps(line, ensure_ascii=False, separators=(",", ":")) for line in lines]
    ledger_file(folder, "booking").write_text("".join(f"{line}\n" for line in written), "utf-8")


def flip(lines: Lines) -> None:
    lines[2]["entry"]["purpose"] = "else"


def drop(lines: Lines) -> None:
    del lines[2]


def swap(lines: Lines) -> None:
    lines[2], lines[3] = lines[3], lines[2]


def insert(lines: Lines) -> None:
    """Another entry between two, the numbers after it moved on."""
    forged = lines[2]["entry"] | {"purpose": "else"}
    lines.insert(2, lines[1] | {"entry": forged, "seq": 3})
    for seq, line in enumerate(lines, start=1):
        line["seq"] = seq


def empty(lines: Lines) -> None:
    lines[2]["entry"] = None


def truncate(lines: Lines) -> None:
    del lines[4:]


def rewrite(lines: Lines) -> None:
    """Another past, with every hash after it made anew."""
    flip(lines)
    prev = GENESIS
    for line in lines:
        line["prev_hash"] = prev
        content = json.dumps(line["entry"], ensure_ascii=False, separators=(",", ":"))
        prev = line["entry_hash"] = link_hash(content.encode(), prev)


@pytest.mark.parametrize(
    ("tamper", "told"),
    [
        (flip, "2 entries, BROKEN at 3 (entry {2}): entry_altered"),
        (drop, "2 entries, BROKEN at 3 (entry {3}): gap"),
        (swap, "2 entries, BROKEN at 3 (entry {3}): gap"),
        (insert, "2 entries, BROKEN at 3 (entry {2}): chain"),
        (empty, "2 entries, BROKEN at 3: entry_missing"),
        (truncate, "4 entries, BROKEN at 5: tail_missing, by the checkpoint of 2026-11-24"),
        (rewrite, "7 entries, BROKEN at 1: rewritten, by the checkpoint of 2026-11-24"),
    ],
)
def test_whatever_is_changed_in_an_export_is_found(
    folder: Path, entries: list[Entry], capsys: pytest.CaptureFixture[str], tamper: Callable[[Lines], None], told: str
) -> None:
    assert main(["ledger", "verify", str(folder)]) == INTACT
    assert f"booking {TOWN}: 7 entries intact" in capsys.readouterr().out
    lines = lines_of(folder)
    write_lines(folder, lines)
    assert main(["ledger", "verify", str(folder)]) == INTACT, "written as it was"
    capsys.readouterr()
    tamper(lines)
    write_lines(folder, lines)
    assert main(["ledger", "verify", str(folder)]) == BROKEN
    assert f"booking {TOWN}: {told.format(*(entry.entry_id for entry in entries))}\n" in capsys.readouterr().out


@pytest.mark.parametrize("tamper", [truncate, rewrite])
def test_against_roots_that_somebody_kept_not_even_a_whole_new_export_stands(
    folder: Path, tmp_path: Path, tamper: Callable[[Lines], None]
) -> None:
    """Seen to fail without --roots: whoever rewrites a ledger rewrites the checkpoints that lie beside it."""
    roots = tmp_path / "roots.json"
    roots.write_bytes((folder / CHECKPOINTS_FILE).read_bytes())
    lines = lines_of(folder)
    tamper(lines)
    write_lines(folder, lines)
    (folder / CHECKPOINTS_FILE).write_text(f'{{"municipality":"{TOWN}","checkpoints":[]}}')
    assert main(["ledger", "verify", str(folder)]) == INTACT
    assert main(["ledger", "verify", str(folder), "--roots", str(roots)]) == BROKEN


def test_bytes_that_are_no_entry_are_found_and_their_place_named(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = ledger_file(folder, "booking")
    text_of = file.read_bytes()
    for damaged in (text_of.replace(b'{"seq":4', b'{"seq"?4'), text_of.replace(b'{"seq":4', b'\xff"seq":4')):
        file.write_bytes(damaged)
        assert main(["ledger", "verify", str(folder)]) == BROKEN
        assert "3 entries, BROKEN at 4: unreadable" in capsys.readouterr().out


def test_no_export_names_who_acted(folder: Path) -> None:
    """Seen to fail with the first form, and with its reference hashed without the blinding: ids can be tried."""
    file = ledger_file(folder, "booking").read_text("utf-8")
    assert '"actor_ref"' not in file
    assert '"blind"' not in file
    assert "ab" * 32 not in file, "nor what a value's commitment is"
    # As whoever knows the ids of all staff would try them.
    for line in lines_of(folder):
        guessed = msgspec.json.encode({"actor_ref": "g1", "commitments": {"name": "ab" * 32}}, order="sorted")
        assert line["entry"]["hidden"] != sha256(guessed).hexdigest()


def test_bad_input_is_no_verdict(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def refused(*arguments: str) -> str:
        assert main(["ledger", *arguments]) == BAD_INPUT, arguments
        return capsys.readouterr().err

    others = tmp_path / "others.json"
    others.write_text('{"municipality":"999999","checkpoints":[]}')
    nonsense = tmp_path / "nonsense.json"
    nonsense.write_text("{")
    assert "of 999999, not of 143421" in refused("verify", str(folder), "--roots", str(others))
    assert "of 999999, not of 143421" in refused("verify", TOWN, "--roots", str(others))
    assert "no checkpoints" in refused("verify", str(folder), "--roots", str(nonsense))
    assert "No such file" in refused("verify", str(folder), "--roots", str(tmp_path / "none.json"))
    assert "no_such_town" in refused("verify", "777777")
    assert "is not empty" in refused("export", TOWN, "--to", str(folder))
    assert "no_such_town" in refused("export", "777777", "--to", str(tmp_path / "other"))
    ledger_file(folder, "routing").unlink()
    assert "No such file" in refused("verify", str(folder))
    (folder / CHECKPOINTS_FILE).unlink()
    assert CHECKPOINTS_FILE in refused("verify", str(folder))


def test_the_living_ledgers_are_compared_with_roots_too(
    folder: Path, database: TestDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    roots = str(folder / CHECKPOINTS_FILE)
    assert main(["ledger", "verify", "--roots", roots]) == INTACT
    said = capsys.readouterr().out
    assert f"booking {TOWN}: 7 entries intact, 0 not yet chained" in said
    assert "999999" not in said, "whose roots they are, is what is verified"

    async def cut_off() -> None:
        # As somebody would who knows of the checkpoint beside the ledger, and not of the kept one.
        await as_superuser(database, "DELETE FROM booking.ledger_chain WHERE seq > 4")
        await as_superuser(database, "DELETE FROM booking.ledger_checkpoint")
        await database.dispose()

    asyncio.run(cut_off())
    assert main(["ledger", "verify", TOWN]) == INTACT
    assert main(["ledger", "verify", TOWN, "--roots", roots]) == BROKEN
    assert "BROKEN at 5: tail_missing, by the checkpoint of 2026-11-24" in capsys.readouterr().out


def test_an_export_is_audited(folder: Path, database: TestDatabase) -> None:
    async def deeds() -> list[Any]:
        async with database.admin_engine().connect() as connection:
            query = "SELECT actor_kind, ref FROM booking.audit WHERE action = 'ledger_exported'"
            rows = (await connection.execute(text(query))).all()
        await database.dispose()
        return list(rows)

    assert [(deed.actor_kind, deed.ref) for deed in asyncio.run(deeds())] == [("operator", "booking")]
