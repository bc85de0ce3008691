"""What an operator sees of dead letters: enough to decide, page by page, and nothing of a person."""

from datetime import timedelta
from uuid import UUID

import msgspec
import pytest

from shared.audit import Operator
from shared.db import Database
from shared.errors import Refusal
from shared.messaging.broker import Envelope, Receipt
from shared.messaging.consumer import Consumer
from shared.messaging.dead_letters import (
    INBOX_TELLS,
    PAGE,
    SEALED_KEPT,
    Letter,
    ask_for_replay,
    count_letters,
    discard,
    find_letters,
    list_letters,
)
from shared.messaging.upkeep import Upkeep
from tests.shared.conftest import MakeDb, TestClock
from tests.shared.makers import TOWN, make_availability, make_booked, make_envelope, rows_of

OTHER = "999999"
NAIVE = '{"aggregate_id": "7", "aggregate_version": 2, "occurred_at": "2026-11-24T00:00:00"}'


async def let_die(db: Database, clock: TestClock, *envelopes: Envelope) -> None:
    """Messages that nobody here can apply, a second apart."""

    async def forget(_: str, __: Receipt) -> None:
        return

    for envelope in envelopes:
        await Consumer(db, {}, forget, clock).consume(envelope)
        clock.pass_time(seconds=1)


async def listed(db: Database, **asked: object) -> list[Letter]:
    async with db.begin_across_towns() as session:
        return await list_letters(session, "routing", **({"municipality": None} | asked))  # type: ignore[arg-type]


async def test_a_letter_says_of_what_it_is_and_which_fields_it_has_and_never_what_is_in_them(
    make_db: MakeDb, clock: TestClock
) -> None:
    db, event = make_db("routing"), make_booked(sealed="for-somebody")
    await let_die(db, clock, make_envelope(event))
    (letter,) = await listed(db)
    assert (letter.event_id, letter.publisher, letter.type) == (
        event.event_id,
        "booking",
        "booking.appointment_booked.v1",
    )
    assert (letter.aggregate_id, letter.aggregate_version) == (event.aggregate_id, event.aggregate_version)
    assert (letter.occurred_at, letter.reason, letter.attempts) == (event.occurred_at, "no_handler", 1)
    assert set(letter.keys) == set(event.__struct_fields__) | {"type"}
    assert (letter.is_sealed, letter.is_waiting) == (True, False)
    told = msgspec.json.encode(letter).decode()
    for secret in ("for-somebody", str(event.subject_ref), event.number, event.office):
        assert secret not in told, secret


@pytest.mark.parametrize("payload", ["{", "[]", '"text"', '{"aggregate_id": 5, "aggregate_version": "x"}', NAIVE])
async def test_a_letter_that_nobody_can_read_is_listed_all_the_same(
    make_db: MakeDb, clock: TestClock, payload: str
) -> None:
    db = make_db("routing")
    await let_die(db, clock, msgspec.structs.replace(make_envelope(make_availability()), payload=payload))
    (letter,) = await listed(db)
    assert (letter.reason, letter.aggregate_id, letter.occurred_at) == ("undecodable", None, None)


async def test_letters_come_in_pages_newest_first_of_a_town_or_of_a_type(make_db: MakeDb, clock: TestClock) -> None:
    db = make_db("routing")
    here = [make_availability() for _ in range(PAGE)]
    there = make_availability(municipality=OTHER)
    booked = make_booked(sealed=None)
    await let_die(db, clock, *map(make_envelope, [booked, *here, there]))
    first = await listed(db)
    assert [letter.event_id for letter in first] == [there.event_id, *(event.event_id for event in here[:0:-1])]
    second = await listed(db, before=(first[-1].died_at, first[-1].event_id))
    assert [letter.event_id for letter in second] == [here[0].event_id, booked.event_id]
    assert [letter.event_id for letter in await listed(db, municipality=OTHER)] == [there.event_id]
    assert [letter.event_id for letter in await listed(db, kind=second[1].type)] == [booked.event_id]
    assert await count_letters(db) == PAGE + 2


async def test_the_letter_of_another_town_is_not_theirs(make_db: MakeDb, clock: TestClock) -> None:
    db, event = make_db("routing"), make_availability(municipality=OTHER)
    await let_die(db, clock, make_envelope(event))
    async with db.begin(TOWN) as session:
        assert await find_letters(session, "routing", event.event_id, municipality=TOWN) == []
    with pytest.raises(Refusal, match="letter_unknown"):
        async with db.begin(TOWN) as session:
            await ask_for_replay(session, "routing", Operator(TOWN), event.event_id, now=clock.now)
    with pytest.raises(Refusal, match="letter_unknown"):
        async with db.begin(TOWN) as session:
            await discard(session, "routing", Operator(TOWN), event.event_id, "never_valid", now=clock.now)
    assert len(await listed(db)) == 1


async def test_what_was_sealed_is_destroyed_after_a_time_and_never_applied_without(
    make_db: MakeDb, clock: TestClock
) -> None:
    db, event, plain = make_db("routing"), make_booked(sealed="for-somebody"), make_booked(sealed=None)
    await let_die(db, clock, make_envelope(event), make_envelope(plain))
    upkeep = Upkeep(db, clock)
    clock.pass_time(seconds=(SEALED_KEPT - timedelta(seconds=10)).total_seconds())
    assert await upkeep.trim() == 0
    clock.pass_time(seconds=20)
    assert await upkeep.trim() == 1
    assert [row.sealed for row in await rows_of(db, "SELECT sealed FROM routing.dead_letter")] == [None, None]
    gone = {letter.event_id: letter.sealed_gone_at for letter in await listed(db)}
    assert gone == {event.event_id: clock.now, plain.event_id: None}

    async def ask(event_id: UUID) -> None:
        async with db.begin(TOWN) as session:
            await ask_for_replay(session, "routing", Operator(TOWN), event_id, now=clock.now)

    with pytest.raises(Refusal, match="letter_sealed_gone"):
        await ask(event.event_id)
    await ask(plain.event_id)
    assert {letter.event_id: letter.is_waiting for letter in await listed(db)} == {
        event.event_id: False,
        plain.event_id: True,
    }


async def test_what_may_happen_twice_is_replayed_only_when_somebody_has_made_sure(
    make_db: MakeDb, clock: TestClock
) -> None:
    """Also after a replay that failed, which gives another reason. Seen to be asked for without."""
    db, old, young = make_db("routing"), make_availability(), make_availability()
    old = msgspec.structs.replace(old, occurred_at=clock.now - INBOX_TELLS - timedelta(seconds=1))
    await let_die(db, clock, make_envelope(old), make_envelope(young))
    assert {letter.event_id: (letter.reason, letter.may_repeat) for letter in await listed(db)} == {
        old.event_id: ("no_handler", True),
        young.event_id: ("no_handler", False),
    }

    async def ask(event_id: UUID, *, is_new_here: bool = False) -> None:
        async with db.begin(TOWN) as session:
            operator = Operator(TOWN)
            await ask_for_replay(session, "routing", operator, event_id, now=clock.now, is_new_here=is_new_here)

    await ask(young.event_id)
    with pytest.raises(Refusal, match="letter_may_repeat"):
        await ask(old.event_id)
    waiting = {letter.event_id: letter.is_waiting for letter in await listed(db)}
    assert waiting == {old.event_id: False, young.event_id: True}
    await ask(old.event_id, is_new_here=True)
    assert all(letter.is_waiting for letter in await listed(db))
