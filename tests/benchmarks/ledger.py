"""What the ledger costs whoever books, how soon an entry is chained, and how fast all of it is verified.

A hold writes nothing to the ledger and a booking writes an entry for each approval, so both are measured, with the
product as it is and with a web process that writes no entries, turn by turn.
"""

import asyncio
import contextlib
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import msgspec

from services.booking.tables import outbox
from shared.clock import utc_now
from shared.db import Database
from shared.ledger.checkpoints import Checkpointer
from shared.ledger.entry import GENESIS, Entry, canonical, link_hash
from shared.ledger.export import ledger_file, verify_file
from shared.ledger.sealer import Sealer
from tests.benchmarks.big_town import PROCEDURE, BigTown
from tests.benchmarks.client import CONNECTIONS, Answer, ask_as_fast_as_possible, make_request
from tests.benchmarks.crowd import Visitor, bring_visitors
from tests.benchmarks.figures import Figure, make_figure
from tests.benchmarks.house import House
from tests.stack import PROCESSES

TOWN = BigTown(code="ledger", host="ledger.localhost", slot_count=1_200)
WORKERS = ("routing-worker", "booking-worker", "notifications-worker")
AS_IT_IS, UNLEDGERED = "deploy.front", "tests.benchmarks.unledgered_front"
ROUNDS = 3
SECONDS = 4
WARM_UP = 200
# More than can hold in that time.
VISITORS = 6_000
TARGET_RATIO = 0.85
TARGET_AGE_S = 1.0
LOOK_EVERY_S = 0.1
VERIFIED, TARGET_VERIFIED = 200_000, 50_000
DAY, A_DAYS_ENTRIES = "day", 100_000
ENTRY_AT_ONCE = 5_000

_UNCHAINED = """
    SELECT count(*) AS n FROM booking.ledger_entry e LEFT JOIN booking.ledger_chain c USING (municipality, entry_id)
    WHERE e.municipality = $1 AND c.seq IS NULL
"""
_OLDEST = """
    SELECT coalesce(extract(epoch FROM now() - min(e.occurred_at)), 0) AS age FROM booking.ledger_entry e
    WHERE e.municipality = $1 AND e.occurred_at > now() - interval '1 minute'
      AND NOT EXISTS (SELECT 1 FROM booking.ledger_chain c
                      WHERE (c.municipality, c.entry_id) = (e.municipality, e.entry_id))
"""


class Rates(msgspec.Struct):
    """Answers and seconds of all rounds of one kind."""

    answers: int = 0
    seconds: float = 0.0

    @property
    def per_second(self) -> float:
        """How many a second."""
        return self.answers / self.seconds


async def measure(house: House) -> list[Figure]:
    """All figures of the ledger."""
    await house.settle()
    await TOWN.open(house)
    for process in WORKERS:
        house.stack.stop(process)
    holds, bookings = await _measure_costs(house)
    oldest, load = await _measure_age(house)
    verified = _measure_verifying(house.stack.logs)
    chained, checkpoint = await _measure_day(house)
    for process in ("routing-worker", "notifications-worker"):
        house.stack.start(process)
    note = (
        f"With and without: {ROUNDS} rounds of {SECONDS} s each, turn by turn, one web process, {CONNECTIONS} "
        "connections; the workers rest meanwhile. The reference writes no entries and does not publish them."
    )
    return [
        *(make_figure("ledger", f"{name}/s with the ledger", rates[AS_IT_IS].per_second, "/s",
                      f"≥ {TARGET_RATIO:.2f} × reference", reference=rates[UNLEDGERED].per_second,
                      reference_name="without", note=note,
                      met=rates[AS_IT_IS].per_second >= TARGET_RATIO * rates[UNLEDGERED].per_second)
          for name, rates in (("holds", holds), ("bookings", bookings))),
        make_figure("ledger", "oldest entry that is not chained yet, at full load: the longest seen", oldest, "s",
                    f"≤ {TARGET_AGE_S:g} s", met=oldest <= TARGET_AGE_S,
                    note=f"Looked at every {LOOK_EVERY_S * 1_000:.0f} ms at {load.per_second:.0f} bookings/s, "
                         "booking's worker at work."),
        make_figure("ledger", "verified offline, from an export", verified, "entries/s", f"≥ {TARGET_VERIFIED}/s",
                    met=verified >= TARGET_VERIFIED,
                    note=f"{VERIFIED:,} entries: chain, every entry's hash, and the tree."),
        make_figure("ledger", "entries chained a second by one sealer, tree included", chained, "entries/s", ""),
        make_figure("ledger", f"checkpoint after a day of {A_DAYS_ENTRIES:,} entries", checkpoint * 1_000, "ms", ""),
    ]  # fmt: skip


async def _measure_costs(house: House) -> tuple[dict[str, Rates], dict[str, Rates]]:
    holds = {kind: Rates() for kind in (AS_IT_IS, UNLEDGERED)}
    bookings = {kind: Rates() for kind in (AS_IT_IS, UNLEDGERED)}
    for number in range(2 * ROUNDS):
        # Who begins a pair changes, too: the tables grow.
        kind = (AS_IT_IS, UNLEDGERED, UNLEDGERED, AS_IT_IS)[number % 4]
        _serve(house, kind)
        visitors = await _bring(house)
        await house.execute("ANALYZE")
        await _ask(house, [_hold(house, visitor, place) for place, visitor in enumerate(visitors[:WARM_UP])])
        rest = visitors[WARM_UP:]
        answers, took = await _ask(house, [_hold(house, visitor, place) for place, visitor in enumerate(rest)])
        holds[kind].answers += len(answers)
        holds[kind].seconds += took
        await _ask(house, [_book(house, visitor) for visitor in visitors[:WARM_UP]])
        booked, took = await _ask(house, [_book(house, visitor) for visitor in rest[: len(answers)]])
        bookings[kind].answers += len(booked)
        bookings[kind].seconds += took
    _serve(house, AS_IT_IS)
    return holds, bookings


async def _measure_age(house: House) -> tuple[float, Rates]:
    """The oldest unchained entry while everybody books as fast as they can, and how fast that is."""
    visitors = await _bring(house)
    held, _ = await _ask(house, [_hold(house, visitor, place) for place, visitor in enumerate(visitors)])
    house.stack.start("booking-worker")
    # Chained first: what was written while it was away, which nobody measures.
    while (await house.rows(_UNCHAINED, TOWN.code))[0]["n"] > 0:
        await asyncio.sleep(LOOK_EVERY_S)
    ages: list[float] = []

    async def look() -> None:
        while True:
            ages.append(float((await house.rows(_OLDEST, TOWN.code))[0]["age"]))
            await asyncio.sleep(LOOK_EVERY_S)

    looking = asyncio.create_task(look())
    booked, took = await _ask(house, [_book(house, visitor) for visitor in visitors[: len(held)]])
    looking.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await looking
    return max(ages), Rates(len(booked), took)


def _measure_verifying(folder: Path) -> float:
    with ledger_file(folder, "booking").open("wb") as file:
        prev = GENESIS
        for seq, entry in enumerate(_entries(VERIFIED), start=1):
            content = canonical(entry)
            digest = link_hash(content, prev)
            head = msgspec.json.encode({"seq": seq, "prev_hash": prev, "entry_hash": digest})
            file.write(head[:-1] + b',"entry":' + content + b"}\n")
            prev = digest
    began = time.perf_counter()
    verdict = verify_file(ledger_file(folder, "booking"))
    took = time.perf_counter() - began
    assert (verdict.intact, verdict.checked) == (True, VERIFIED)
    return VERIFIED / took


async def _measure_day(house: House) -> tuple[float, float]:
    """Entries chained a second, and the seconds of the checkpoint after them."""
    db = Database(house.environ["CHOUDO_BOOKING_DATABASE_URL"], service="booking")
    names = ", ".join(Entry.__struct_fields__)
    insert = f"""
        INSERT INTO booking.ledger_entry ({names})
        SELECT {names} FROM jsonb_populate_recordset(NULL::booking.ledger_entry, CAST($1 AS jsonb))
    """
    pending: list[Entry] = []
    for entry in _entries(A_DAYS_ENTRIES, municipality=DAY):
        pending.append(entry)
        if len(pending) == ENTRY_AT_ONCE:
            await house.rows(insert, msgspec.json.encode(pending).decode())
            pending.clear()
    await house.execute("ANALYZE booking.ledger_entry")
    began = time.perf_counter()
    assert await Sealer(db)._seal_town(DAY, sweep=True) == A_DAYS_ENTRIES
    sealed = time.perf_counter() - began
    began = time.perf_counter()
    made = await Checkpointer(db, outbox).make(DAY, now=utc_now())
    took = time.perf_counter() - began
    assert made is not None
    assert made.tree_size == A_DAYS_ENTRIES
    await db.dispose()
    return A_DAYS_ENTRIES / sealed, took


def _entries(count: int, *, municipality: str = TOWN.code) -> Iterator[Entry]:
    """Entries as bookings write them."""
    begin = datetime(2026, 11, 24, tzinfo=UTC)
    for number in range(count):
        now = begin + timedelta(milliseconds=number)
        yield Entry(
            entry_id=uuid4(),
            municipality=municipality,
            occurred_at=now,
            entry_type="applied",
            subject_ref=uuid4(),
            actor_kind="guest",
            actor_ref=uuid4().hex,
            office="子育て・健康課",
            source_procedure=PROCEDURE,
            source_case=uuid4(),
            source_step="you",
            target_service="booking",
            target_procedure=PROCEDURE,
            target_case=uuid4(),
            target_step="calling",
            requested_at=now,
            provided_at=now,
            items=("name", "kana"),
            commitments={"name": "ab" * 32, "kana": "cd" * 32},
            purpose="窓口でお名前をお呼びするため",
            legal_basis="appi_69_2_1",
            explicit_request=True,
            correlation=uuid4(),
        )


def _serve(house: House, module: str) -> None:
    """Serve by another web process."""
    PROCESSES["front"] = module
    house.stack.stop("front")
    house.stack.start("front")
    house.stack.wait_until_ready()


async def _bring(house: House) -> list[Visitor]:
    return await bring_visitors(house.environ, VISITORS, procedure=PROCEDURE, municipality=TOWN.code, now=utc_now())


async def _ask(house: House, requests: list[bytes]) -> tuple[list[Answer], float]:
    answers, took = await ask_as_fast_as_possible(house.url, requests, seconds=SECONDS)
    refused = [answer for answer in answers if answer.status != httpx.codes.CREATED]
    assert not refused, refused[0]
    return answers, took


def _hold(house: House, visitor: Visitor, place: int) -> bytes:
    slots: list[UUID] = TOWN.slots
    return _post(house, visitor, "holds", {"slot_id": slots[place % len(slots)], "visit_id": visitor.visit_id})


def _book(house: House, visitor: Visitor) -> bytes:
    return _post(house, visitor, "appointments", {"visit_id": visitor.visit_id})


def _post(house: House, visitor: Visitor, what: str, body: dict[str, Any]) -> bytes:
    headers = visitor.headers | {"Idempotency-Key": uuid4().hex}
    return make_request(house.url, "POST", f"/booking/api/{what}", headers=headers, body=body, host=TOWN.host)
