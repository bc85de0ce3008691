"""The consumer: each event has its effect once, whatever comes twice, late, broken or deadly."""

import asyncio
from datetime import datetime
from typing import Any

import msgspec
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from shared.db import Prepared
from shared.errors import Poison
from shared.events.booking import AvailabilityChanged
from shared.events.routing import ContactGiven
from shared.messaging.broker import Envelope, Receipt
from shared.messaging.consumer import ATTEMPT_LIMIT, Consumer, Handler
from shared.messaging.dead_letters import INBOX_KEPT, INBOX_TELLS
from tests.logs import Logged
from tests.shared.conftest import MakeDb, TestClock
from tests.shared.makers import TOWN, make_availability, make_booked, make_contact_given, make_envelope, rows_of

# A table that every service has, used here as the handlers' own: a second effect would raise `attempts`.
EFFECT = text("""
    INSERT INTO routing.due (municipality, kind, ref, due_at, attempts) VALUES (:town, 'effect', :ref, :now, 1)
    ON CONFLICT (municipality, kind, ref) DO UPDATE SET attempts = due.attempts + 1
""")
COUNT_EFFECTS = "SELECT coalesce(sum(attempts), 0) AS effects FROM routing.due WHERE kind = 'effect'"
RACERS = 20


async def have_effect(session: AsyncSession, event: AvailabilityChanged, *, now: datetime) -> None:
    """What a handler does: it writes something in its town's transaction."""
    await session.execute(EFFECT, {"town": event.municipality, "ref": event.counter, "now": now})


class Service:
    """A consumer with one handler, and the receipts that it sent."""

    def __init__(self, make_db: MakeDb, clock: TestClock, handler: Handler = have_effect) -> None:
        self.db = make_db("routing")
        self.receipts: list[Receipt] = []
        self.publishers: list[str] = []
        self.consumer = Consumer(self.db, {AvailabilityChanged: handler}, self._keep, clock)

    async def _keep(self, publisher: str, receipt: Receipt) -> None:
        self.publishers.append(publisher)
        self.receipts.append(receipt)

    @property
    def outcomes(self) -> list[str]:
        """What the publisher is told, in order."""
        return [receipt.outcome for receipt in self.receipts]

    async def consume(self, envelope: Envelope) -> None:
        """Take one message off the queue."""
        await self.consumer.consume(envelope)

    async def effects(self) -> int:
        """How often the handler has had its effect, committed."""
        return int((await rows_of(self.db, COUNT_EFFECTS))[0].effects)

    async def letters(self) -> list[Any]:
        """The dead letters."""
        return await rows_of(self.db, "SELECT * FROM routing.dead_letter")

    async def inbox(self) -> list[Any]:
        """What is noted of the events that came in."""
        return await rows_of(self.db, "SELECT * FROM routing.inbox")


def raising(error: BaseException) -> Handler:
    """A handler that writes, and then fails."""

    async def handler(session: AsyncSession, event: AvailabilityChanged, *, now: datetime) -> None:
        await have_effect(session, event, now=now)
        raise error

    return handler


async def test_an_event_is_applied_and_its_publisher_told(make_db: MakeDb, clock: TestClock) -> None:
    service = Service(make_db, clock)
    event = make_availability()
    await service.consume(make_envelope(event))
    assert await service.effects() == 1
    assert service.publishers == ["booking"]
    assert service.receipts == [
        Receipt(municipality=TOWN, event_id=str(event.event_id), consumer="routing", outcome="applied")
    ]
    (noted,) = await service.inbox()
    assert (noted.event_id, noted.outcome, noted.applied_at, noted.attempts) == (
        event.event_id,
        "applied",
        clock.now,
        1,
    )


async def test_a_duplicate_has_no_effect_and_is_answered_again(make_db: MakeDb, clock: TestClock) -> None:
    service = Service(make_db, clock)
    event = make_availability()
    for attempt in (1, 1, 2, 3):
        await service.consume(make_envelope(event, attempt=attempt))
    assert await service.effects() == 1
    assert service.outcomes == ["applied"] * 4


async def test_the_same_event_from_many_workers_at_once_has_its_effect_once(make_db: MakeDb, clock: TestClock) -> None:
    """See the next test for the same race without the inbox claim: there every worker has the effect."""
    service = Service(make_db, clock)
    envelope = make_envelope(make_availability())
    await asyncio.gather(*(service.consume(envelope) for _ in range(RACERS)))
    assert await service.effects() == 1
    assert service.outcomes == ["applied"] * RACERS


async def test_without_the_claim_the_race_is_lost(make_db: MakeDb, clock: TestClock) -> None:
    """The guard of the test above, taken out: it is the claim that makes the effect single, and not chance."""
    service = Service(make_db, clock)
    service.consumer._claim = Prepared("""
        SELECT told AS event_id, CAST(:now AS timestamptz) AS seen_at
        FROM unnest(CAST(:event_ids AS uuid[])) AS told WHERE CAST(:municipality AS text) <> ''
    """)
    envelope = make_envelope(make_availability())
    await asyncio.gather(*(service.consume(envelope) for _ in range(RACERS)))
    assert await service.effects() == RACERS


async def test_republished_events_race_with_the_first_ones(make_db: MakeDb, clock: TestClock) -> None:
    service = Service(make_db, clock)
    event = make_availability()
    await asyncio.gather(*(service.consume(make_envelope(event, attempt=1 + n % 4)) for n in range(RACERS)))
    assert await service.effects() == 1
    assert service.outcomes == ["applied"] * RACERS


async def test_the_same_id_in_another_town_is_another_event(make_db: MakeDb, clock: TestClock) -> None:
    service = Service(make_db, clock)
    here = make_availability(municipality="143421")
    there = AvailabilityChanged(
        **{name: getattr(here, name) for name in here.__struct_fields__} | {"municipality": "999999"}
    )
    await service.consume(make_envelope(here))
    await service.consume(make_envelope(there))
    assert await service.effects() == 2


async def test_a_handler_that_fails_leaves_nothing_and_is_tried_again(make_db: MakeDb, clock: TestClock) -> None:
    service = Service(make_db, clock, raising(RuntimeError("for now")))
    event = make_availability()
    await service.consume(make_envelope(event))
    assert (await service.effects(), service.receipts, await service.inbox()) == (0, [], [])
    later = Service(make_db, clock)
    await later.consume(make_envelope(event, attempt=2))
    assert (await later.effects(), later.outcomes) == (1, ["applied"])


async def test_an_event_that_can_never_be_applied_is_a_dead_letter_at_once(make_db: MakeDb, clock: TestClock) -> None:
    service = Service(make_db, clock, raising(Poison("no_such_office")))
    event = make_availability()
    await service.consume(make_envelope(event))
    assert await service.effects() == 0
    assert service.outcomes == ["refused"]
    (letter,) = await service.letters()
    assert (letter.event_id, letter.publisher, letter.reason, letter.attempts, letter.died_at) == (
        event.event_id,
        "booking",
        "no_such_office",
        1,
        clock.now,
    )
    assert letter.type == "booking.availability_changed.v1"


async def test_a_duplicate_of_a_refused_event_is_refused_again(make_db: MakeDb, clock: TestClock) -> None:
    service = Service(make_db, clock, raising(Poison("no_such_office")))
    event = make_availability()
    for attempt in (1, 1, 2, 3):
        await service.consume(make_envelope(event, attempt=attempt))
    assert service.outcomes == ["refused"] * 4
    assert len(await service.letters()) == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"type": "booking.never_heard_of.v9"}, "unknown_type"),
        ({"payload": "{"}, "undecodable"),
        ({"payload": "[]"}, "undecodable"),
        ({"payload": '{"type":"booking.availability_changed.v1"}'}, "undecodable"),
    ],
)
async def test_a_message_that_makes_no_sense_is_a_dead_letter_at_once(
    make_db: MakeDb, clock: TestClock, change: dict[str, str], reason: str
) -> None:
    service = Service(make_db, clock)
    envelope = make_envelope(make_availability())
    broken = Envelope(**{name: getattr(envelope, name) for name in envelope.__struct_fields__} | change)
    await service.consume(broken)
    assert service.outcomes == ["refused"]
    assert [letter.reason for letter in await service.letters()] == [reason]


async def test_an_event_that_nobody_here_handles_is_a_dead_letter(make_db: MakeDb, clock: TestClock) -> None:
    service = Service(make_db, clock)
    await service.consume(make_envelope(make_booked(sealed=None)))
    assert service.outcomes == ["refused"]
    assert [letter.reason for letter in await service.letters()] == ["no_handler"]


async def test_what_makes_no_sense_harms_none_of_its_neighbours(make_db: MakeDb, clock: TestClock) -> None:
    service = Service(make_db, clock)
    good = [make_envelope(make_availability(counter=str(number))) for number in range(6)]
    bad = [
        msgspec.structs.replace(make_envelope(make_availability()), type="booking.never_heard_of.v9"),
        msgspec.structs.replace(make_envelope(make_availability()), payload="{"),
        make_envelope(make_booked(sealed=None)),
    ]
    mixed = [envelope for trio in zip(good[:3], bad, good[3:], strict=True) for envelope in trio]
    await asyncio.gather(*(service.consume(envelope) for envelope in mixed))
    assert await service.effects() == len(good)
    outcomes = {receipt.event_id: receipt.outcome for receipt in service.receipts}
    assert {outcomes[envelope.event_id] for envelope in good} == {"applied"}
    assert {outcomes[envelope.event_id] for envelope in bad} == {"refused"}
    assert {letter.reason for letter in await service.letters()} == {"unknown_type", "undecodable", "no_handler"}


@pytest.mark.parametrize("attempt", [1, 2])
async def test_what_is_older_than_the_inbox_remembers_is_for_an_operator_to_decide(
    make_db: MakeDb, clock: TestClock, attempt: int
) -> None:
    """It may have been applied and forgotten; the row that counts its second attempt is no memory of that.

    Seen to have its effect without the look at its age.
    """
    service = Service(make_db, clock)
    event = make_availability()
    clock.pass_time(seconds=INBOX_TELLS.total_seconds() + 1)
    for _ in range(2):
        await service.consume(make_envelope(event, attempt=attempt))
    assert (await service.effects(), service.outcomes) == (0, ["refused"] * 2)
    assert [letter.reason for letter in await service.letters()] == ["older_than_inbox"]


async def test_what_was_seen_in_time_is_applied_however_late(make_db: MakeDb, clock: TestClock) -> None:
    service = Service(make_db, clock, raising(RuntimeError("for now")))
    event = make_availability()
    await service.consume(make_envelope(event, attempt=2))
    clock.pass_time(seconds=2 * INBOX_KEPT.total_seconds())
    later = Service(make_db, clock)
    await later.consume(make_envelope(event, attempt=3))
    assert (await later.effects(), later.outcomes) == (1, ["applied"])


async def test_the_handler_sees_what_was_sealed_for_it(make_db: MakeDb, clock: TestClock) -> None:
    seen: list[str | None] = []

    async def look(session: AsyncSession, event: ContactGiven, *, now: datetime) -> None:
        seen.append(event.sealed)

    db = make_db("notifications")

    async def forget(_: str, __: Receipt) -> None:
        return

    await Consumer(db, {ContactGiven: look}, forget, clock).consume(
        make_envelope(make_contact_given(sealed="for-you"), publisher="routing", consumer="notifications")
    )
    assert seen == ["for-you"]


async def test_a_dead_letter_keeps_what_was_sealed_so_that_it_can_be_replayed(
    make_db: MakeDb, clock: TestClock
) -> None:
    service = Service(make_db, clock)
    await service.consume(make_envelope(make_booked(sealed="for-you")))
    assert [letter.sealed for letter in await service.letters()] == ["for-you"]


async def test_attempts_are_counted_although_every_one_of_them_kills_its_worker(
    make_db: MakeDb, clock: TestClock
) -> None:
    """Seen to loop for ever when the count is in the transaction of the handler: the kill takes it along."""
    killed = 0

    async def kill(session: AsyncSession, event: AvailabilityChanged, *, now: datetime) -> None:
        nonlocal killed
        await have_effect(session, event, now=now)
        killed += 1
        raise asyncio.CancelledError  # nothing after this line of the consumer runs, as with kill -9

    service = Service(make_db, clock, kill)
    event = make_availability()
    for attempt in range(1, ATTEMPT_LIMIT + 1):
        with pytest.raises(asyncio.CancelledError):
            await service.consume(make_envelope(event, attempt=attempt))
    assert (service.receipts, await service.effects()) == ([], 0)
    await service.consume(make_envelope(event, attempt=ATTEMPT_LIMIT + 1))
    assert service.outcomes == ["refused"]
    assert [letter.reason for letter in await service.letters()] == ["attempts"]
    assert killed == ATTEMPT_LIMIT
    # The queue still gives back the first message of a killed worker: it must not kill again.
    await service.consume(make_envelope(event, attempt=1))
    assert killed == ATTEMPT_LIMIT
    assert service.outcomes == ["refused"] * 2


async def test_the_same_message_given_back_by_the_queue_is_counted_too(make_db: MakeDb, clock: TestClock) -> None:
    service = Service(make_db, clock, raising(RuntimeError("still broken")))
    event = make_availability()
    for _ in range(ATTEMPT_LIMIT + 3):
        await service.consume(make_envelope(event, attempt=2))
    assert service.outcomes
    assert set(service.outcomes) == {"refused"}
    assert [letter.reason for letter in await service.letters()] == ["attempts"]


async def test_a_handler_sees_the_rows_of_its_town_only(make_db: MakeDb, clock: TestClock) -> None:
    seen: list[str] = []

    async def look(session: AsyncSession, event: AvailabilityChanged, *, now: datetime) -> None:
        seen.append((await session.execute(text("SELECT current_setting('choudo.municipality')"))).scalar_one())

    service = Service(make_db, clock, look)
    await service.consume(make_envelope(make_availability(municipality="143421")))
    await service.consume(make_envelope(make_availability(municipality="999999")))
    assert seen == ["143421", "999999"]


async def test_nothing_of_an_error_is_logged_but_its_kind(make_db: MakeDb, clock: TestClock, logged: Logged) -> None:
    service = Service(make_db, clock, raising(RuntimeError("山田花子 090-1234-5678")))
    await service.consume(make_envelope(make_availability()))
    assert [line["error"] for line in logged.of("event_failed")] == ["RuntimeError"]
    assert "山田" not in logged.text
    assert "1234" not in logged.text


async def test_a_senseless_event_id_harms_nobody(make_db: MakeDb, clock: TestClock) -> None:
    service = Service(make_db, clock)
    envelope = make_envelope(make_availability())
    odd = Envelope(**{name: getattr(envelope, name) for name in envelope.__struct_fields__} | {"event_id": "odd"})
    await service.consume(odd)
    assert (service.receipts, await service.effects()) == ([], 0)
    await service.consume(envelope)
    assert service.outcomes == ["applied"]
    assert service.receipts[0].event_id == envelope.event_id
