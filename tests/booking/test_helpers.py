"""Helpers: shifts are places, a booking asks one of them, and who cannot come is followed by the next, or by word."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import msgspec
import pytest
import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

from services.booking import flow
from services.booking.commands import asking
from services.booking.commands.appointments import BookAppointment
from services.booking.commands.assignments import on_helper_answer_due, reassign
from services.booking.commands.changes import (
    CancelAppointment,
    ChangeAppointment,
    cancel_appointment,
    change_appointment,
)
from services.booking.commands.horizon import open_horizon
from services.booking.commands.shifts import remove_shift
from services.booking.domain.shifts import answer_by, given_name
from services.booking.flow import Rush
from shared.errors import Refusal
from shared.tokens import Identity
from tests.booking.conftest import OTHER_TOWN, TOWN, BookingTown, TownAfter
from tests.booking.helpers_town import HALL, SATO, SHED, SUZUKI, TANAKA, HelperTown, open_with_venues

COORDINATOR = Identity(municipality=TOWN, kind="staff", ref="boss", session_id="s-boss", roles=("coordinator",))


@pytest_asyncio.fixture
async def helpers(town_after: TownAfter) -> HelperTown:
    """A town that is open, with venues and no helper yet."""
    return HelperTown(await town_after(open_with_venues))


async def test_a_slot_has_as_many_places_as_helpers_on_shift(helpers: HelperTown) -> None:
    assert await helpers.free() == []
    await helpers.helper(TANAKA)
    # It is Monday, nine: 10 and 11 o'clock today and on the next Mondays, not the hour before.
    assert await helpers.free() == [1] * 6
    await helpers.hear(helpers.account(SUZUKI))
    await helpers.shift(SUZUKI, hours=(11, 12))
    assert await helpers.free() == [1, 2] * 3
    assert await helpers.free(SHED) == []
    await helpers.shift(SUZUKI, venue=SHED, hours=(9, 11))
    assert await helpers.free(SHED) == [1] * 5


async def test_a_shift_counts_only_where_it_covers_a_whole_slot(helpers: HelperTown) -> None:
    await helpers.hear(helpers.account())
    await helpers.shift(hours=(11, 12))
    async with helpers.town.db.begin(TOWN) as session:
        await session.execute(text("UPDATE helper_shift SET from_min = from_min + 1"))
        await open_horizon(session, TOWN, now=helpers.town.now)
    assert await helpers.free() == []


async def test_who_takes_a_shift_away_leaves_their_people_in_place(helpers: HelperTown) -> None:
    await helpers.hear(helpers.account())
    shift_id = await helpers.shift()
    booked = await helpers.book()
    async with helpers.town.db.begin(TOWN) as session:
        await remove_shift(session, helpers.identity(), shift_id, now=helpers.town.now)
    # The slot that they promised to be in stays, and is full.
    assert await helpers.free() == [0]
    assert await helpers.appointment(booked) == ("booked", "asked")
    await helpers.answer(TANAKA, "accept")
    assert await helpers.appointment(booked) == ("booked", "accepted")


async def test_a_slot_grows_and_shrinks_around_who_is_in_it(helpers: HelperTown) -> None:
    await helpers.helper(TANAKA)
    await helpers.book()
    assert await helpers.free() == [0, 1, 1, 1, 1, 1]
    await helpers.hear(helpers.account(SUZUKI))
    shift_id = await helpers.shift(SUZUKI)
    assert await helpers.free() == [1, 2, 2, 2, 2, 2]
    async with helpers.town.db.begin(TOWN) as session:
        await remove_shift(session, helpers.identity(SUZUKI), shift_id, now=helpers.town.now)
    assert await helpers.free() == [0, 1, 1, 1, 1, 1]
    await helpers.shift(SUZUKI)
    assert await helpers.free() == [1, 2, 2, 2, 2, 2]


async def test_a_booking_asks_who_speaks_the_language(helpers: HelperTown) -> None:
    await helpers.helper(SATO)
    await helpers.helper(TANAKA, languages=("ja", "en"))
    booked = await helpers.book(language="en")
    assert await helpers.states() == {TANAKA: "asked"}
    assert await helpers.appointment(booked) == ("booked", "asked")
    # Nobody else speaks it: somebody else is better than nobody.
    await helpers.book("second", language="en")
    assert await helpers.states() == {TANAKA: "asked", SATO: "asked"}
    assert (await helpers.free())[0] == 0


async def test_easy_japanese_is_spoken_by_who_speaks_japanese(helpers: HelperTown) -> None:
    await helpers.helper(SATO, languages=("en",))
    await helpers.helper(TANAKA)
    await helpers.book(language="ja-easy")
    assert await helpers.states() == {TANAKA: "asked"}


async def test_work_is_shared(helpers: HelperTown) -> None:
    await helpers.helper(SATO)
    await helpers.helper(TANAKA)
    await helpers.book("a", 0)
    await helpers.book("b", 1)
    assert await helpers.states() == {SATO: "asked", TANAKA: "asked"}


async def test_accepting_is_told_and_a_double_tap_changes_nothing(helpers: HelperTown) -> None:
    await helpers.helper()
    booked = await helpers.book()
    await helpers.answer(TANAKA, "accept")
    await helpers.answer(TANAKA, "accept")
    assert await helpers.told(booked) == [("booked", "booked", "asked"), ("progressed", "booked", "accepted")]
    rows = await helpers.town.rows("SELECT action FROM booking.audit WHERE action LIKE 'helper-%'")
    assert [row.action for row in rows] == ["helper-accept"]  # type: ignore[attr-defined]


async def test_who_declines_is_followed_by_the_next_and_not_asked_again(helpers: HelperTown) -> None:
    await helpers.helper(SATO)
    await helpers.helper(TANAKA)
    booked = await helpers.book()
    await helpers.answer(SATO, "decline")
    assert await helpers.states() == {SATO: "declined", TANAKA: "asked"}
    assert await helpers.appointment(booked) == ("booked", "asked")
    # There was one place more, of the helper who now cannot come.
    assert (await helpers.free())[0] == 0
    await helpers.answer(TANAKA, "accept")
    # Cannot come after all, and nobody is left: never silence.
    await helpers.answer(TANAKA, "decline")
    assert await helpers.appointment(booked) == ("cancelled", "nobody")
    assert (await helpers.told(booked))[-1] == ("cancelled", "cancelled", "nobody")
    assert await helpers.states() == {SATO: "declined", TANAKA: "declined"}
    # Nobody comes then: the time is offered to nobody.
    assert await helpers.free() == [2] * 5


async def test_who_does_not_answer_in_time_is_followed_by_the_next(helpers: HelperTown) -> None:
    await helpers.helper(SATO)
    await helpers.helper(TANAKA)
    booked = await helpers.book(slot=2)
    request = (await helpers.requests(SATO))[0].assignment_id
    rows = await helpers.town.rows("SELECT due_at FROM booking.due WHERE ref = :ref", ref=str(request))
    assert rows[0].due_at == helpers.town.now + timedelta(hours=24)  # type: ignore[attr-defined]
    helpers.at(helpers.town.now + timedelta(hours=24))
    for _ in range(2):
        async with helpers.town.db.begin(TOWN) as session:
            await on_helper_answer_due(session, TOWN, str(request), helpers.town.now)
    assert await helpers.states() == {SATO: "declined", TANAKA: "asked"}
    assert await helpers.appointment(booked) == ("booked", "asked")


async def test_a_request_that_ran_out_when_it_was_answered_is_over(helpers: HelperTown) -> None:
    await helpers.helper(SATO)
    await helpers.helper(TANAKA)
    await helpers.book()
    await helpers.answer(SATO, "decline")
    with pytest.raises(Refusal, match="request_over"):
        await helpers.answer(SATO, "accept")
    with pytest.raises(Refusal, match="request_over"):
        await helpers.answer(SATO, "came")


async def test_nobody_answers_for_somebody_else_nor_from_another_town(helpers: HelperTown) -> None:
    await helpers.helper(SATO)
    await helpers.hear(helpers.account(TANAKA))
    await helpers.open(OTHER_TOWN)
    await helpers.hear(helpers.account(SATO, code=OTHER_TOWN))
    await helpers.book()
    request = (await helpers.requests(SATO))[0].assignment_id
    for ref, town, wanted in ((TANAKA, TOWN, request), (SATO, OTHER_TOWN, request), (SATO, TOWN, uuid4())):
        for answer in ("accept", "decline", "came", "no-show"):
            with pytest.raises(Refusal, match="request_unknown"):
                await helpers.answer(ref, answer, wanted, town)
    assert await helpers.states() == {SATO: "asked"}


async def test_a_helper_of_another_town_is_asked_by_nobody_here(helpers: HelperTown) -> None:
    await helpers.open(OTHER_TOWN)
    await helpers.helper(TANAKA, code=OTHER_TOWN)
    assert await helpers.free() == []
    await helpers.helper(SATO)
    await helpers.book()
    request = (await helpers.requests(SATO))[0].assignment_id
    async with helpers.town.db.begin(TOWN) as session:
        with pytest.raises(Refusal, match="helper_unknown"):
            await reassign(session, COORDINATOR, request, TANAKA, now=helpers.town.now)


async def test_the_database_never_lets_a_helper_be_in_two_appointments_at_once(helpers: HelperTown) -> None:
    """Seen to fail with `assignment_no_overlap_excl` dropped: the second insert then stands."""
    await helpers.helper(SATO)
    await helpers.helper(TANAKA)
    await helpers.book("a")
    second = await helpers.book("b")
    await helpers.answer(TANAKA, "accept")
    sql = """UPDATE assignment SET helper_ref = 'sato' WHERE appointment_id = :id"""
    with pytest.raises(IntegrityError, match="assignment_no_overlap_excl"):
        async with helpers.town.db.begin(TOWN) as session:
            await session.execute(text(sql), {"id": second.appointment_id})
    async with helpers.town.database.owner_engine("booking").begin() as connection:
        await connection.execute(text("ALTER TABLE booking.assignment DROP CONSTRAINT assignment_no_overlap_excl"))
    async with helpers.town.db.begin(TOWN) as session:
        await session.execute(text(sql), {"id": second.appointment_id})


async def test_the_guard_holds_with_the_rules_removed(helpers: HelperTown, monkeypatch: pytest.MonkeyPatch) -> None:
    """The application asks the same helper for everybody; the database lets one of two stand."""
    await helpers.helper(SATO)
    await helpers.helper(TANAKA)
    careless = asking._FREE_HELPERS.text.replace("'asked', 'accepted', 'declined'", "'nothing'")
    monkeypatch.setattr(asking, "_FREE_HELPERS", text(careless.replace("(SELECT count(*)", "0 * (SELECT count(*)")))
    await helpers.book("a")
    with pytest.raises(IntegrityError, match="assignment_no_overlap_excl"):
        await helpers.book("b")


async def test_one_appointment_has_one_live_request(helpers: HelperTown) -> None:
    await helpers.helper(SATO)
    await helpers.hear(helpers.account(TANAKA))
    booked = await helpers.book()
    with pytest.raises(IntegrityError, match="assignment_one_live_idx"):
        async with helpers.town.db.begin(TOWN) as session:
            await session.execute(
                text("""INSERT INTO assignment
                     (municipality, assignment_id, appointment_id, helper_ref, state, during, asked_at,
                      overrides_shift)
                     SELECT municipality, :id, appointment_id, 'tanaka', 'asked', during, asked_at, true FROM assignment
                     WHERE appointment_id = :appointment"""),
                {"id": uuid4(), "appointment": booked.appointment_id},
            )


async def test_a_helpers_shifts_never_overlap(helpers: HelperTown) -> None:
    await helpers.helper()
    with pytest.raises(Refusal, match="shift_overlaps"):
        await helpers.shift(venue=SHED, hours=(11, 12))
    await helpers.shift(venue=SHED, hours=(9, 10))
    sql = """INSERT INTO helper_shift (municipality, shift_id, helper_ref, venue, weekday, from_min, to_min)
             VALUES (:town, :id, 'tanaka', 'SHED', 1, 640, 700)"""
    with pytest.raises(IntegrityError, match="helper_shift_no_overlap_excl"):
        async with helpers.town.db.begin(TOWN) as session:
            await session.execute(text(sql), {"town": TOWN, "id": uuid4()})


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"hours": (12, 10)}, "shift_unfit"),
        ({"hours": (10, 25)}, "shift_unfit"),
        ({"weekday": 8}, "shift_unfit"),
        ({"weekday": 0}, "shift_unfit"),
        ({"venue": "7"}, "venue_unknown"),
        ({"venue": "\x00"}, "venue_unknown"),
        ({"ref": SUZUKI}, "roster_missing"),
    ],
)
async def test_a_shift_that_cannot_be_is_refused(helpers: HelperTown, changes: dict, code: str) -> None:  # type: ignore[type-arg]
    await helpers.hear(helpers.account())
    with pytest.raises(Refusal, match=code):
        await helpers.shift(**changes)


async def test_a_venue_whose_helpers_are_all_taken_refuses_with_other_times(helpers: HelperTown) -> None:
    await helpers.helper()
    town = helpers.town
    visit_id = await town.visit("guest", procedure="DIG01", channel="helper")
    slot = (await town.slots(HALL))[0]
    await town.hold(visit_id, "guest", slot.slot_id)
    # Between holding and booking, the helper is asked for something else.
    async with town.db.begin(TOWN) as session:
        await session.execute(text("UPDATE helper SET is_open = false"))
    order = BookAppointment(municipality=TOWN, visit_id=visit_id, visitor="guest", key="book")
    with pytest.raises(Refusal, match="slot_taken") as refused:
        await flow.book(town.db, Rush(), order, town.keys, now=town.now)
    assert refused.value.details["alternatives"]
    assert (await town.rows("SELECT count(*) AS n FROM booking.appointment"))[0].n == 0  # type: ignore[attr-defined]
    assert (await town.slots(HALL))[0].free == 1, "the place was given back"


async def test_moving_releases_the_helper_and_asks_anew(helpers: HelperTown) -> None:
    await helpers.helper(SATO)
    booked = await helpers.book()
    await helpers.answer(SATO, "accept")
    target = (await helpers.town.slots(HALL))[3]
    order = ChangeAppointment(
        municipality=TOWN, appointment_id=booked.appointment_id, slot_id=target.slot_id, version=2, key="move"
    )
    async with helpers.town.db.begin(TOWN) as session:
        await change_appointment(session, order, now=helpers.town.now)
    assert sorted(row.state for row in await helpers.requests(SATO)) == ["asked", "released"]
    assert await helpers.appointment(booked) == ("booked", "asked")
    assert await helpers.free() == [1, 1, 1, 0, 1, 1]
    counter = (await helpers.town.slots("7"))[5]
    order = ChangeAppointment(
        municipality=TOWN, appointment_id=booked.appointment_id, slot_id=counter.slot_id, version=3, key="x"
    )
    async with helpers.town.db.begin(TOWN) as session:
        with pytest.raises(Refusal, match="slot_unfit"):
            await change_appointment(session, order, now=helpers.town.now)


async def test_cancelling_releases_the_helper(helpers: HelperTown) -> None:
    await helpers.helper(SATO)
    booked = await helpers.book()
    order = CancelAppointment(municipality=TOWN, appointment_id=booked.appointment_id, version=1, key="cancel")
    async with helpers.town.db.begin(TOWN) as session:
        await cancel_appointment(session, order, now=helpers.town.now)
    assert await helpers.states() == {SATO: "released"}
    with pytest.raises(Refusal, match="request_over"):
        await helpers.answer(SATO, "accept")
    assert await helpers.free() == [1] * 6
    again = await helpers.book("other")
    assert await helpers.appointment(again) == ("booked", "asked")


async def test_a_counters_visit_gets_no_venue_and_a_helpers_no_counter(helpers: HelperTown) -> None:
    await helpers.helper()
    town = helpers.town
    with_helper = await town.visit("a", procedure="CHI01", channel="helper")
    alone = await town.visit("b", procedure="CHI01")
    without = await town.visit("c", procedure="RES02", channel="helper")
    hall, seven = (await town.slots(HALL))[0].slot_id, (await town.slots("7"))[0].slot_id
    for visit_id, guest, slot_id in ((with_helper, "a", seven), (alone, "b", hall), (without, "c", hall)):
        with pytest.raises(Refusal, match="slot_unfit"):
            await town.hold(visit_id, guest, slot_id)
    await town.hold(with_helper, "a", hall)
    await town.hold(alone, "b", seven)


async def test_closing_an_account_asks_others_for_what_lies_ahead(helpers: HelperTown) -> None:
    await helpers.helper(SATO)
    await helpers.helper(TANAKA)
    booked = await helpers.book()
    await helpers.answer(SATO, "accept")
    await helpers.hear(helpers.account(SATO, version=2, is_open=False))
    assert await helpers.states() == {SATO: "released", TANAKA: "asked"}
    assert await helpers.appointment(booked) == ("booked", "asked")
    assert await helpers.free() == [0, 1, 1, 1, 1, 1]
    await helpers.hear(helpers.account(TANAKA, version=2, roles=("counter",)))
    assert await helpers.appointment(booked) == ("cancelled", "nobody")
    assert await helpers.free() == []
    rows = await helpers.town.rows("SELECT name_sealed, wrapped_key, is_open FROM booking.helper")
    assert {tuple(row) for row in rows} == {(None, None, False)}  # type: ignore[arg-type]
    # An older event that comes late opens nothing again; a newer one does.
    await helpers.hear(helpers.account(SATO, version=1))
    assert await helpers.free() == []
    await helpers.hear(helpers.account(SATO, version=3))
    assert await helpers.free() == [1] * 6


async def test_an_account_that_was_closed_before_it_was_heard_of_stays_closed(helpers: HelperTown) -> None:
    await helpers.hear(helpers.account(SATO, version=2, is_open=False))
    await helpers.hear(helpers.account(SATO, version=1))
    with pytest.raises(Refusal, match="roster_missing"):
        await helpers.shift(SATO)


async def test_a_helpers_name_is_sealed_at_rest(helpers: HelperTown) -> None:
    await helpers.hear(helpers.account(SATO))
    rows = await helpers.town.rows("SELECT name_sealed FROM booking.helper")
    assert b"Sato" not in bytes(rows[0].name_sealed)  # type: ignore[attr-defined]


async def test_a_coordinator_asks_somebody_else(helpers: HelperTown) -> None:
    await helpers.helper(SATO)
    await helpers.hear(helpers.account(SUZUKI))
    booked = await helpers.book()
    request = (await helpers.requests(SATO))[0].assignment_id

    async def give_to(ref: str) -> None:
        async with helpers.town.db.begin(TOWN) as session:
            await reassign(session, COORDINATOR, request, ref, now=helpers.town.now)

    await give_to(SATO)
    assert await helpers.states() == {SATO: "asked"}
    await give_to(SUZUKI)
    assert await helpers.states() == {SATO: "released", SUZUKI: "asked"}
    assert await helpers.appointment(booked) == ("booked", "asked")
    with pytest.raises(Refusal, match="request_over"):
        await give_to(SUZUKI)


@pytest.mark.parametrize("how", ["cancel", "change", "reassign"])
async def test_who_need_not_come_after_all_is_back_at_their_own_venue(helpers: HelperTown, how: str) -> None:
    await helpers.helper(TANAKA)
    await helpers.hear(helpers.account(SUZUKI))
    await helpers.shift(SUZUKI, venue=SHED)
    booked = await helpers.book()
    request = (await helpers.requests(TANAKA))[0].assignment_id
    assert await helpers.free(SHED) == [1] * 6
    names = {"municipality": TOWN, "appointment_id": booked.appointment_id, "version": 2, "key": how}
    async with helpers.town.db.begin(TOWN) as session:
        await reassign(session, COORDINATOR, request, SUZUKI, now=helpers.town.now)
    assert await helpers.free(SHED) == [1] * 5, "she is at the hall then"
    target = (await helpers.town.slots(HALL))[3].slot_id
    request = (await helpers.requests(SUZUKI))[0].assignment_id
    async with helpers.town.db.begin(TOWN) as session:
        if how == "cancel":
            await cancel_appointment(session, msgspec.convert(names, CancelAppointment), now=helpers.town.now)
        elif how == "change":
            order = msgspec.convert(names | {"slot_id": target}, ChangeAppointment)
            await change_appointment(session, order, now=helpers.town.now)
        else:
            await reassign(session, COORDINATOR, request, TANAKA, now=helpers.town.now)
    assert await helpers.free(SHED) == [1] * 6


async def test_a_place_left_by_who_met_somebody_off_shift_is_offered_to_nobody(helpers: HelperTown) -> None:
    await helpers.hear(helpers.account(TANAKA))
    shift_id = await helpers.shift(TANAKA)
    await helpers.hear(helpers.account(SUZUKI))
    booked = await helpers.book()
    request = (await helpers.requests(TANAKA))[0].assignment_id
    async with helpers.town.db.begin(TOWN) as session:
        await reassign(session, COORDINATOR, request, SUZUKI, now=helpers.town.now)
        await remove_shift(session, helpers.identity(), shift_id, now=helpers.town.now)
    order = CancelAppointment(municipality=TOWN, appointment_id=booked.appointment_id, version=2, key="cancel")
    async with helpers.town.db.begin(TOWN) as session:
        await cancel_appointment(session, order, now=helpers.town.now)
    assert sum(await helpers.free()) == 0


async def test_a_coordinator_cannot_give_a_request_to_who_is_busy(helpers: HelperTown) -> None:
    await helpers.helper(SATO)
    await helpers.helper(TANAKA)
    await helpers.book("a")
    await helpers.book("b")
    request = (await helpers.requests(SATO))[0].assignment_id
    async with helpers.town.db.begin(TOWN) as session:
        with pytest.raises(Refusal, match="helper_busy"):
            await reassign(session, COORDINATOR, request, TANAKA, now=helpers.town.now)


async def test_attendance_is_written_once_it_has_begun(helpers: HelperTown) -> None:
    await helpers.helper()
    booked = await helpers.book()
    with pytest.raises(Refusal, match="request_over"):
        await helpers.answer(TANAKA, "came")
    await helpers.answer(TANAKA, "accept")
    with pytest.raises(Refusal, match="not_begun"):
        await helpers.answer(TANAKA, "came")
    helpers.at(booked.starts_at)
    await helpers.answer(TANAKA, "no-show")
    assert await helpers.appointment(booked) == ("no_show", "accepted")
    # Late, but here.
    await helpers.answer(TANAKA, "came")
    assert await helpers.appointment(booked) == ("done", "accepted")
    assert (await helpers.told(booked))[-1] == ("progressed", "done", "accepted")
    with pytest.raises(Refusal, match="request_over"):
        await helpers.answer(TANAKA, "decline")


async def test_requests_are_seen_by_their_town_only(helpers: HelperTown) -> None:
    await helpers.helper()
    await helpers.book()
    for table in ("helper", "helper_shift", "assignment"):
        async with helpers.town.db.begin(OTHER_TOWN) as session:
            assert (await session.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one() == 0
    with pytest.raises(DBAPIError, match="row-level security"):
        async with helpers.town.db.begin(OTHER_TOWN) as session:
            await session.execute(
                text("INSERT INTO helper (municipality, helper_ref, languages, is_open, version) "
                     "VALUES (:town, 'x', '{}', true, 1)"),
                {"town": TOWN},
            )  # fmt: skip


def test_an_answer_is_waited_for_as_long_as_it_helps(bare_town: BookingTown) -> None:
    now = bare_town.now
    assert answer_by(asked_at=now, starts_at=now + timedelta(days=9)) == now + timedelta(hours=24)
    assert answer_by(asked_at=now, starts_at=now + timedelta(hours=5)) == now + timedelta(hours=4)
    assert answer_by(asked_at=now, starts_at=now + timedelta(minutes=30)) == now + timedelta(minutes=10)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("二宮 花子", "花子"),
        ("二宮　花子", "花子"),
        (" ニノミヤ ハナコ ", "ハナコ"),
        ("Maria da Silva", "Maria"),
        ("Ｍａｒｉａ　Ｓｉｌｖａ", "Ｍａｒｉａ"),
        ("Łucja Nowak", "Łucja"),
        ("二宮花子", ""),
        ("ニノミヤハナコ", ""),
        ("マリア", ""),
        ("Silva", ""),
        ("　", ""),
        ("", ""),
    ],
)
def test_a_helper_is_told_the_given_name_or_nothing(name: str, given: str) -> None:
    assert given_name(name) == given


async def test_two_who_book_at_once_get_two_helpers(helpers: HelperTown) -> None:
    """Seen to fail with the lock of the slot removed: two ask the same helper, and the database undoes one of them."""
    town = helpers.town
    for ref in (SATO, TANAKA, SUZUKI):
        await helpers.helper(ref)
    slot = (await town.slots(HALL))[0]
    guests = [f"guest-{number}" for number in range(3)]
    visits = [await town.visit(guest, procedure="DIG01", channel="helper") for guest in guests]
    for guest, visit_id in zip(guests, visits, strict=True):
        await town.hold(visit_id, guest, slot.slot_id)
    # Without the second tries of `Rush`.
    await asyncio.gather(*(town.book(visit_id, guest) for guest, visit_id in zip(guests, visits, strict=True)))
    assert await helpers.states() == {SATO: "asked", TANAKA: "asked", SUZUKI: "asked"}
    assert (await town.slots(HALL))[0].free == 0


async def test_an_answer_and_a_cancellation_at_once_leave_one_truth(helpers: HelperTown) -> None:
    await helpers.helper(SATO)
    await helpers.helper(TANAKA)
    booked = await helpers.book()
    request = (await helpers.requests(SATO))[0].assignment_id
    order = CancelAppointment(municipality=TOWN, appointment_id=booked.appointment_id, version=1, key="cancel")

    async def cancel() -> None:
        async with helpers.town.db.begin(TOWN) as session:
            await cancel_appointment(session, order, now=helpers.town.now)

    await asyncio.gather(cancel(), helpers.answer(SATO, "accept", request), return_exceptions=True)
    found = await helpers.appointment(booked), await helpers.states()
    assert found in [(("cancelled", "asked"), {SATO: "released"}), (("booked", "accepted"), {SATO: "accepted"})]
