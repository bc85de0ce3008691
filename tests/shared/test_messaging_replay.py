"""A dead letter is replayed once, under its own id, or stays with the reason why not; its publisher hears the end."""

import asyncio
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from shared.audit import Operator
from shared.db import Database
from shared.errors import Poison, Refusal
from shared.events.booking import AvailabilityChanged
from shared.messaging.broker import Receipt
from shared.messaging.consumer import Consumer, Handler
from shared.messaging.dead_letters import ask_for_replay, discard
from shared.messaging.due import DueLoop
from shared.messaging.receipts import settle
from shared.messaging.replay import BROKEN_OFF, SEALED_GONE, TELL_AGAIN_AFTER, Replayer
from tests.shared.conftest import MakeDb, TestClock
from tests.shared.makers import (
    TOWN,
    make_availability,
    make_booked,
    make_envelope,
    make_outbox,
    make_session_ended,
    publish,
    rows_of,
)

EFFECT = text("""
    INSERT INTO routing.due (municipality, kind, ref, due_at, attempts) VALUES (:town, 'effect', :ref, :now, 1)
    ON CONFLICT (municipality, kind, ref) DO UPDATE SET attempts = due.attempts + 1
""")
EFFECTS = "SELECT coalesce(sum(attempts), 0) AS effects FROM routing.due WHERE kind = 'effect'"
ANYTHING = text("""
    SELECT 1 WHERE (CAST(:event_id AS uuid), CAST(:municipality AS text), CAST(:now AS timestamptz)) IS NOT NULL
""")
RACERS = 10
RACES = 5
OPERATOR = Operator(TOWN)


class Routing:
    """Routing with one handler, which the operator's decision may find mended."""

    def __init__(self, make_db: MakeDb, clock: TestClock) -> None:
        self.db = make_db("routing")
        self.clock = clock
        self.error: BaseException | None = Poison("no_such_office")
        self.receipts: list[Receipt] = []
        handlers: dict[Any, Handler] = {AvailabilityChanged: self._handle}
        self.consumer = Consumer(self.db, handlers, self._keep, clock)
        self.replayer = Replayer(self.db, handlers, self._keep, clock)
        self.due = DueLoop(self.db, self.replayer.due_handlers, clock)

    async def _handle(self, session: AsyncSession, event: AvailabilityChanged, *, now: datetime) -> None:
        await session.execute(EFFECT, {"town": event.municipality, "ref": str(event.event_id), "now": now})
        if self.error is not None:
            raise self.error

    async def _keep(self, publisher: str, receipt: Receipt) -> None:
        assert publisher == "booking"
        self.receipts.append(receipt)

    async def dead(self) -> AvailabilityChanged:
        """An event that has died here, with its cause removed since."""
        event = make_availability()
        await self.consumer.consume(make_envelope(event))
        self.error = None
        assert self.outcomes == ["refused"]
        return event

    async def ask(self, event_id: UUID) -> None:
        """The operator asks for a replay."""
        async with self.db.begin(TOWN) as session:
            await ask_for_replay(session, "routing", OPERATOR, event_id, now=self.clock.now)

    async def discard(self, event_id: UUID) -> None:
        """The operator lets the letter go."""
        async with self.db.begin(TOWN) as session:
            await discard(session, "routing", OPERATOR, event_id, "out_of_date", now=self.clock.now)

    async def work(self) -> None:
        """The worker does what is due, and what follows from it."""
        while await self.due.run_once():
            pass

    @property
    def outcomes(self) -> list[str]:
        """What the publisher is told, in order."""
        return [receipt.outcome for receipt in self.receipts]

    async def effects(self) -> int:
        """How often the handler has had its effect, committed."""
        return int((await rows_of(self.db, EFFECTS))[0].effects)

    async def letters(self) -> list[Any]:
        """The dead letters."""
        return await rows_of(self.db, "SELECT * FROM routing.dead_letter")

    async def deeds(self) -> list[tuple[str, str, str]]:
        """The audit of the operator."""
        async with self.db.begin(TOWN) as session:
            rows = await session.execute(text("SELECT actor_kind, action, ref FROM audit ORDER BY occurred_at, action"))
            return [tuple(row) for row in rows.all()]


@pytest.fixture
def routing(make_db: MakeDb, clock: TestClock) -> Routing:
    return Routing(make_db, clock)


async def outcome_of(db: Database) -> list[str | None]:
    return [row.outcome for row in await rows_of(db, "SELECT outcome FROM routing.inbox")]


async def test_a_replayed_letter_has_its_effect_and_is_gone_and_its_publisher_told(routing: Routing) -> None:
    event = await routing.dead()
    await routing.ask(event.event_id)
    assert await routing.effects() == 0, "the command only asks: the worker does it"
    assert await routing.deeds() == [("operator", "replay_dead_letter", str(event.event_id))]
    await routing.work()
    assert (await routing.effects(), await routing.letters()) == (1, [])
    assert routing.outcomes == ["refused", "applied"]
    assert routing.receipts[1].event_id == str(event.event_id)
    assert await outcome_of(routing.db) == ["applied"]


async def test_the_end_of_a_letter_is_told_more_than_once_and_then_no_more(routing: Routing, clock: TestClock) -> None:
    """The publisher never asks again, and its first message may be wiped with the broker. Seen to fail without."""
    event = await routing.dead()
    await routing.ask(event.event_id)
    await routing.work()
    for told, wait in enumerate(TELL_AGAIN_AFTER, start=2):
        assert routing.outcomes == ["refused", *["applied"] * (told - 1)]
        clock.now += wait
        await routing.work()
    assert routing.outcomes == ["refused", *["applied"] * (1 + len(TELL_AGAIN_AFTER))]
    assert await rows_of(routing.db, "SELECT kind FROM routing.due WHERE kind <> 'effect'") == []


async def test_what_was_sealed_and_destroyed_since_the_asking_is_not_applied_without(routing: Routing) -> None:
    """The operator asked on the last day, and upkeep was quicker than the worker. Seen to fail without the look."""
    event = await routing.dead()
    await routing.ask(event.event_id)
    async with routing.db.begin_across_towns() as session:
        await session.execute(text("UPDATE routing.dead_letter SET sealed = NULL, sealed_gone_at = now()"))
    await routing.work()
    (letter,) = await routing.letters()
    assert (letter.reason, await routing.effects()) == (SEALED_GONE, 0)


async def test_asked_twice_it_is_replayed_once_and_then_there_is_nothing_to_ask_for(routing: Routing) -> None:
    event = await routing.dead()
    await routing.ask(event.event_id)
    await routing.ask(event.event_id)
    await routing.work()
    assert await routing.effects() == 1
    for ask in (routing.ask, routing.discard):
        with pytest.raises(Refusal, match="letter_unknown"):
            await ask(event.event_id)


@pytest.mark.parametrize(
    ("error", "reason"),
    [(Poison("no_such_counter"), "no_such_counter"), (RuntimeError("090-1"), "failed:RuntimeError")],
)
async def test_a_replay_that_fails_leaves_nothing_but_its_reason_and_one_attempt_more(
    routing: Routing, error: Exception, reason: str
) -> None:
    event = await routing.dead()
    routing.error = error
    await routing.ask(event.event_id)
    await routing.work()
    assert await routing.effects() == 0
    assert [(letter.reason, letter.attempts) for letter in await routing.letters()] == [(reason, 2)]
    assert (routing.outcomes, await outcome_of(routing.db)) == (["refused"], ["refused"])
    routing.error = None
    await routing.ask(event.event_id)
    await routing.work()
    assert (await routing.effects(), routing.outcomes) == (1, ["refused", "applied"])


async def test_what_follows_from_a_replay_keeps_out_of_the_way(routing: Routing) -> None:
    event, outbox = await routing.dead(), make_outbox("routing")

    async def tell(session: AsyncSession, event: AvailabilityChanged, *, now: datetime) -> None:
        await outbox.publish(session, make_session_ended(at=now))

    routing.replayer._handlers = {AvailabilityChanged: tell}
    await routing.ask(event.event_id)
    await routing.work()
    assert {row.bulk for row in await rows_of(routing.db, "SELECT bulk FROM routing.delivery")} == {True}


async def test_a_statement_that_fails_in_the_handler_spoils_no_more_than_the_replay(
    routing: Routing, make_db: MakeDb
) -> None:
    """Seen to fail without the savepoint: the letter's new reason is lost with the transaction."""
    event = await routing.dead()

    async def break_down(session: AsyncSession, event: AvailabilityChanged, *, now: datetime) -> None:
        await session.execute(text("SELECT 1 / 0"))

    routing.replayer._handlers = {AvailabilityChanged: break_down}
    await routing.ask(event.event_id)
    await routing.work()
    assert [(letter.reason, letter.attempts) for letter in await routing.letters()] == [("failed:DBAPIError", 2)]


async def test_a_replay_that_kills_its_worker_is_not_begun_again_by_itself(routing: Routing, clock: TestClock) -> None:
    """Seen to be tried again with every lease when what is begun is not written down first."""
    event = await routing.dead()
    routing.error = asyncio.CancelledError()  # nothing after it runs, as with kill -9
    await routing.ask(event.event_id)
    with pytest.raises(asyncio.CancelledError):
        await routing.due.run_once()
    routing.error = None
    clock.pass_time(minutes=1)
    await routing.work()
    assert (await routing.effects(), routing.outcomes) == (0, ["refused"])
    assert [(letter.reason, letter.attempts) for letter in await routing.letters()] == [(BROKEN_OFF, 2)]
    await routing.ask(event.event_id)
    await routing.work()
    assert await routing.effects() == 1


async def race(routing: Routing, event: AvailabilityChanged) -> int:
    """Replays and copies of the message, all at once; how often that had its effect."""

    async def replay() -> None:
        async with routing.db.begin(TOWN) as session:
            await routing.replayer.replay(session, TOWN, str(event.event_id), routing.clock.now)

    envelope = make_envelope(event)
    await asyncio.gather(
        *(replay() for _ in range(RACERS // 2)), *(routing.consumer.consume(envelope) for _ in range(5))
    )
    return await routing.effects()


async def test_replays_that_race_with_each_other_and_with_copies_of_the_message_have_one_effect(
    routing: Routing,
) -> None:
    event = await routing.dead()
    assert await race(routing, event) == 1
    assert (await routing.letters(), await outcome_of(routing.db)) == ([], ["applied"])


async def test_it_is_the_claim_that_makes_the_effect_of_racing_replays_single(routing: Routing) -> None:
    """With the lock and the mark taken out, the claim still holds; the next test is the same without it."""
    event = await routing.dead()
    unlocked = str(routing.replayer._lock).replace("FOR UPDATE", "")
    routing.replayer._begin, routing.replayer._lock = ANYTHING, text(unlocked)
    assert await race(routing, event) == 1


async def test_without_the_claim_racing_replays_all_take_effect(routing: Routing) -> None:
    """On a busy machine a race may be over before the others have begun: it has several tries."""
    unlocked = str(routing.replayer._lock).replace("FOR UPDATE", "")
    claim = routing.replayer._claim
    for number in range(1, RACES + 1):
        routing.receipts.clear()
        routing.error = Poison("no_such_office")
        event = await routing.dead()
        routing.replayer._begin, routing.replayer._lock, routing.replayer._claim = ANYTHING, text(unlocked), ANYTHING
        if await race(routing, event) > number:
            return
        routing.replayer._claim = claim
    raise AssertionError("one effect, whatever was taken out")


async def test_of_a_replay_and_a_discard_at_once_one_happens(routing: Routing) -> None:
    """Seen to fail, discarded and applied too, when a discard neither takes the `due` row nor locks the letter."""
    for _ in range(5):
        routing.receipts.clear()
        routing.error = Poison("no_such_office")
        event = await routing.dead()
        before = await routing.effects()
        await routing.ask(event.event_id)
        results = await asyncio.gather(routing.work(), routing.discard(event.event_id), return_exceptions=True)
        await routing.work()
        applied = await routing.effects() - before
        assert routing.outcomes == ["refused", "applied" if applied else "discarded"]
        assert isinstance(results[1], Refusal) == bool(applied)


async def test_a_letter_is_discarded_once(routing: Routing) -> None:
    """Seen to fail without the letter's lock: two deeds, where there was one."""
    event = await routing.dead()
    results = await asyncio.gather(*(routing.discard(event.event_id) for _ in range(5)), return_exceptions=True)
    assert sum(isinstance(result, Refusal) for result in results) == 4
    assert len(await routing.deeds()) == 1


async def test_a_discarded_letter_is_gone_and_never_replayed_and_its_publisher_told(routing: Routing) -> None:
    event = await routing.dead()
    await routing.ask(event.event_id)
    await routing.discard(event.event_id)
    await routing.work()
    assert (await routing.effects(), await routing.letters()) == (0, [])
    assert routing.outcomes == ["refused", "discarded"]
    assert ("operator", "discard_dead_letter_out_of_date", str(event.event_id)) in await routing.deeds()
    await routing.consumer.consume(make_envelope(event, attempt=3))
    assert await routing.effects() == 0


async def test_what_the_publisher_must_hear_waits_for_a_broker_that_is_away(routing: Routing, clock: TestClock) -> None:
    event = await routing.dead()
    heard = routing.replayer._send_receipt

    async def fail(publisher: str, receipt: Receipt) -> None:
        raise ConnectionError

    routing.replayer._send_receipt = fail
    await routing.ask(event.event_id)
    await routing.work()
    assert (await routing.effects(), routing.outcomes) == (1, ["refused"])
    routing.replayer._send_receipt = heard
    clock.pass_time(minutes=1)
    await routing.work()
    assert (await routing.effects(), routing.outcomes) == (1, ["refused", "applied"])


@pytest.mark.parametrize(
    ("first", "then", "settled"),
    [
        ("refused", "applied", "applied"),
        ("refused", "discarded", "discarded"),
        ("applied", "refused", "applied"),
        ("applied", "discarded", "applied"),
        ("discarded", "applied", "discarded"),
        ("discarded", "refused", "discarded"),
    ],
)
async def test_only_what_was_refused_may_end_otherwise(
    make_db: MakeDb, clock: TestClock, first: str, then: str, settled: str
) -> None:
    db, event = make_db("booking"), make_booked(sealed=None)
    await publish(db, event)
    for outcome in (first, then):
        clock.pass_time(minutes=1)
        name = {"municipality": TOWN, "event_id": str(event.event_id), "consumer": "routing"}
        await settle(db, [Receipt(**name, outcome=outcome)], clock)
    rows = await rows_of(db, "SELECT consumer, outcome FROM booking.delivery ORDER BY consumer")
    assert [tuple(row) for row in rows] == [("notifications", None), ("routing", settled)]
