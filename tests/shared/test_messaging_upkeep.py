"""What is settled is forgotten after a time, batch by batch; what is not, never."""

import asyncio
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from shared.db import Database
from shared.events.base import Event
from shared.messaging import upkeep as upkeep_module
from shared.messaging.broker import Receipt
from shared.messaging.consumer import Consumer
from shared.messaging.dead_letters import INBOX_KEPT
from shared.messaging.receipts import settle
from shared.messaging.upkeep import OUTBOX_KEPT, Upkeep
from shared.telemetry import DEAD_LETTERS
from tests.shared.conftest import MakeDb, TestClock
from tests.shared.makers import TOWN, make_availability, make_booked, make_envelope, publish, rows_of


async def tell(db: Database, clock: TestClock, event: Event, consumer: str, outcome: str) -> None:
    """A consumer's receipt arrives."""
    receipt = Receipt(municipality=TOWN, event_id=str(event.event_id), consumer=consumer, outcome=outcome)
    await settle(db, [receipt], clock)


async def outbox_of(db: Database) -> list[object]:
    return [row.event_id for row in await rows_of(db, "SELECT event_id FROM booking.outbox ORDER BY occurred_at")]


async def test_an_event_goes_with_its_deliveries_long_after_its_last_consumer_was_done(
    make_db: MakeDb, clock: TestClock
) -> None:
    db, event = make_db("booking"), make_booked(sealed=None, at=clock.now)
    await publish(db, event)
    await tell(db, clock, event, "routing", "applied")
    clock.pass_time(seconds=OUTBOX_KEPT.total_seconds() + 1)
    upkeep = Upkeep(db, clock)
    assert await upkeep.trim() == 0, "notifications has not answered yet"
    await tell(db, clock, event, "notifications", "applied")
    assert await upkeep.trim() == 0, "only just"
    clock.pass_time(seconds=OUTBOX_KEPT.total_seconds() + 1)
    assert await upkeep.trim() == 1
    assert await outbox_of(db) == []
    assert await rows_of(db, "SELECT 1 FROM booking.delivery") == []


@pytest.mark.parametrize("end", ["applied", "discarded"])
async def test_a_refused_event_stays_until_its_letter_has_ended(make_db: MakeDb, clock: TestClock, end: str) -> None:
    db, event = make_db("booking"), make_availability(at=clock.now)
    await publish(db, event)
    await tell(db, clock, event, "routing", "refused")
    upkeep = Upkeep(db, clock)
    clock.pass_time(seconds=10 * OUTBOX_KEPT.total_seconds())
    assert await upkeep.trim() == 0
    await tell(db, clock, event, "routing", end)
    clock.pass_time(seconds=OUTBOX_KEPT.total_seconds() + 1)
    assert await upkeep.trim() == 1
    assert await outbox_of(db) == []


async def test_all_that_is_old_goes_in_batches_and_what_is_younger_stays(
    make_db: MakeDb, clock: TestClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep_module, "BATCH", 4)
    db = make_db("booking")
    old = [make_availability(at=clock.now) for _ in range(10)]
    await publish(db, *old)
    clock.pass_time(seconds=OUTBOX_KEPT.total_seconds() + 1)
    young = make_availability(at=clock.now)
    await publish(db, young)
    async with db.begin_across_towns() as session:
        settled = "UPDATE booking.delivery SET acked_at = occurred_at, outcome = 'applied'"
        await session.execute(text(settled))
    assert await Upkeep(db, clock).trim() == len(old)
    assert await outbox_of(db) == [young.event_id]


async def test_workers_that_trim_at_once_share_the_work(
    make_db: MakeDb, clock: TestClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep_module, "BATCH", 10)
    db = make_db("booking")
    await publish(db, *(make_availability(at=clock.now) for _ in range(200)))
    async with db.begin_across_towns() as session:
        await session.execute(text("UPDATE booking.delivery SET acked_at = occurred_at, outcome = 'applied'"))
    clock.pass_time(seconds=OUTBOX_KEPT.total_seconds() + 1)
    trimmed = await asyncio.gather(*(Upkeep(db, clock).trim() for _ in range(4)))
    assert sum(trimmed) == 200
    assert await outbox_of(db) == []


async def test_the_inbox_forgets_what_was_applied_and_keeps_what_is_undecided(
    make_db: MakeDb, clock: TestClock
) -> None:
    db = make_db("routing")

    async def forget(_: str, __: Receipt) -> None:
        return

    async def apply(session: AsyncSession, event: Any, *, now: datetime) -> None:
        return

    applied, dead = make_availability(at=clock.now), make_booked(sealed=None, at=clock.now)
    consumer = Consumer(db, {type(applied): apply}, forget, clock)
    await consumer.consume(make_envelope(applied))
    await consumer.consume(make_envelope(dead))
    upkeep = Upkeep(db, clock)
    clock.pass_time(seconds=INBOX_KEPT.total_seconds() - 1)
    assert await upkeep.trim() == 0
    clock.pass_time(seconds=2)
    assert await upkeep.trim() == 1
    assert [row.event_id for row in await rows_of(db, "SELECT event_id FROM routing.inbox")] == [dead.event_id]
    # The event comes again, of which nobody remembers that it was applied.
    await consumer.consume(make_envelope(applied))
    letters = await rows_of(db, "SELECT event_id, reason FROM routing.dead_letter ORDER BY died_at")
    assert [(letter.event_id, letter.reason) for letter in letters] == [
        (dead.event_id, "no_handler"),
        (applied.event_id, "older_than_inbox"),
    ]
    await upkeep.measure()
    assert DEAD_LETTERS.labels("routing")._value.get() == 2


async def test_what_is_old_is_found_by_an_index(make_db: MakeDb, clock: TestClock) -> None:
    """However large the tables have become, a batch reads little more than what it removes."""
    db = make_db("booking")
    upkeep = Upkeep(db, clock)
    for statement, kept in upkeep._trims:
        async with db.begin_across_towns() as session:
            await session.execute(text("SET LOCAL enable_seqscan = off"))
            values = {"now": clock.now, "before": clock.now - kept, "batch": 500}
            plan = await session.execute(text(f"EXPLAIN {statement.text}"), values)
            told = "\n".join(row[0] for row in plan)
        assert any(
            name in told for name in ("outbox_occurred_at_idx", "inbox_applied_at_idx", "dead_letter_died_at_idx")
        ), told
        assert "Seq Scan" not in told, told
