"""What nobody waits for travels and is applied many at a time, and none of it harms its neighbours."""

import asyncio
from datetime import datetime

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from shared.errors import Poison
from shared.events.booking import AvailabilityChanged
from shared.messaging.broker import MESSAGE_MAX_BYTES, ChoudoBroker, Envelope, events_queue
from shared.messaging.consumer import genuine_envelopes
from shared.messaging.outbox import PAYLOAD_MAX_BYTES
from shared.messaging.relay import FIRST_RETRY, TOGETHER, Relay, _bulk_message, _packed
from tests.shared.conftest import MakeDb, TestClock
from tests.shared.makers import make_availability, make_envelope, make_stamps, publish, take_all_together
from tests.shared.test_messaging_consumer import RACERS, Service, have_effect

BULK = events_queue("routing", bulk=True)
BAD = "the bad one"
MANY = 8


def make_many(*, bad: int | None = None) -> list[AvailabilityChanged]:
    """Events whose counters say which is the bad one."""
    return [make_availability(counter=BAD if number == bad else f"c{number}") for number in range(MANY)]


async def transactions(service: Service) -> int:
    """In how many transactions what stands in the inbox was written."""
    async with service.db.begin_across_towns() as session:
        return int((await session.execute(text("SELECT count(DISTINCT xmin::text) FROM routing.inbox"))).scalar_one())


async def test_what_comes_together_is_applied_in_one_transaction(make_db: MakeDb, clock: TestClock) -> None:
    service = Service(make_db, clock)
    await service.consumer.consume_together([make_envelope(event) for event in make_many()])
    assert (await service.effects(), await transactions(service)) == (MANY, 1)
    assert service.outcomes == ["applied"] * MANY


async def test_a_poisonous_one_is_refused_and_its_neighbours_applied(make_db: MakeDb, clock: TestClock) -> None:
    async def handler(session: AsyncSession, event: AvailabilityChanged, *, now: datetime) -> None:
        await have_effect(session, event, now=now)
        if event.counter == BAD:
            raise Poison("bad")

    service = Service(make_db, clock, handler)
    await service.consumer.consume_together([make_envelope(event) for event in make_many(bad=3)])
    assert await service.effects() == MANY - 1
    assert service.outcomes == ["applied"] * 3 + ["refused"] + ["applied"] * (MANY - 4)
    [letter] = await service.letters()
    assert letter.reason == "bad"


async def test_what_cannot_be_read_is_a_dead_letter_and_its_neighbours_are_applied(
    make_db: MakeDb, clock: TestClock
) -> None:
    service = Service(make_db, clock)
    envelopes = [make_envelope(event) for event in make_many()]
    envelopes[0] = msgspec.structs.replace(envelopes[0], payload="{")
    await service.consumer.consume_together(envelopes)
    assert service.outcomes == ["refused"] + ["applied"] * (MANY - 1)


async def test_one_that_fails_comes_again_and_its_neighbours_do_not(make_db: MakeDb, clock: TestClock) -> None:
    async def handler(session: AsyncSession, event: AvailabilityChanged, *, now: datetime) -> None:
        await have_effect(session, event, now=now)
        if event.counter == BAD:
            raise ConnectionError

    service = Service(make_db, clock, handler)
    await service.consumer.consume_together([make_envelope(event) for event in make_many(bad=3)])
    assert (await service.effects(), service.outcomes) == (MANY - 1, ["applied"] * (MANY - 1))


async def test_together_and_alone_race_for_the_same_events(make_db: MakeDb, clock: TestClock) -> None:
    """Seen to fail (more effects than events) without the predicate of the claim."""
    service = Service(make_db, clock)
    envelopes = [make_envelope(event) for event in make_many()]
    await asyncio.gather(
        *(service.consumer.consume_together(envelopes[number % 3 :]) for number in range(RACERS // 2)),
        *(service.consume(envelope) for envelope in envelopes),
    )
    assert await service.effects() == MANY
    assert set(service.outcomes) == {"applied"}


async def test_the_same_event_twice_in_one_message_has_its_effect_once(make_db: MakeDb, clock: TestClock) -> None:
    service = Service(make_db, clock)
    envelope = make_envelope(make_availability())
    await service.consumer.consume_together([envelope, envelope])
    assert (await service.effects(), service.outcomes) == (1, ["applied"] * 2)


async def test_the_relay_packs_what_is_new_and_sends_alone_what_comes_again(
    make_db: MakeDb, broker: ChoudoBroker, clock: TestClock
) -> None:
    """Seen to fail with what comes again packed, too: beside what kills its worker, nothing would ever be applied."""
    db = make_db("booking")
    relay = Relay(db, broker, clock)
    await relay.look_at_broker(was_away=False)
    await publish(db, *(make_availability() for _ in range(TOGETHER + 2)), bulk=True)
    assert await relay.publish_due() == TOGETHER + 2
    first = take_all_together(broker, BULK)
    assert [len(together) for together in first] == [TOGETHER, 2]
    clock.pass_time(seconds=FIRST_RETRY.total_seconds() + 1)
    await relay.look_at_broker(was_away=False)
    assert await relay.publish_due() == TOGETHER + 2
    again = take_all_together(broker, BULK)
    assert [len(together) for together in again] == [1] * (TOGETHER + 2)
    assert {envelope.attempt for together in again for envelope in together} == {2}


async def test_two_towns_do_not_travel_together(make_db: MakeDb, broker: ChoudoBroker, clock: TestClock) -> None:
    db = make_db("booking")
    for town in ("143421", "999999"):
        await publish(db, *(make_availability(municipality=town) for _ in range(2)), bulk=True)
    await Relay(db, broker, clock).publish_due()
    towns = [{envelope.municipality for envelope in together} for together in take_all_together(broker, BULK)]
    assert sorted(towns, key=min) == [{"143421"}, {"999999"}]


def test_no_message_becomes_longer_than_what_is_read() -> None:
    large = msgspec.structs.replace(make_envelope(make_availability()), payload='"' * PAYLOAD_MAX_BYTES)
    small = [make_envelope(make_availability()) for _ in range(3)]
    packed = list(_packed([*small, large, large, *small]))
    assert [len(together) for together in packed] == [3, 1, 1, 3]
    longest = max(len(_bulk_message(together, make_stamps("booking")).encode()) for together in packed)
    assert longest < MESSAGE_MAX_BYTES


def test_a_forgery_among_them_is_left_out() -> None:
    genuine, forged = (make_envelope(make_availability()) for _ in range(2))
    stamps = make_stamps("booking")
    together = [stamp_of(genuine, stamps.make("routing", genuine)), stamp_of(forged, "0" * 64), "x"]
    assert genuine_envelopes("routing", together[:2], make_stamps("routing")) == [genuine]
    nonsense: tuple[object, ...] = (None, "x", {}, together)
    for each in nonsense:
        assert genuine_envelopes("routing", each, make_stamps("routing")) == []


def stamp_of(envelope: Envelope, stamp: str) -> dict[str, object]:
    return {"envelope": msgspec.to_builtins(envelope), "stamp": stamp}
