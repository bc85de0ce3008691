"""A name that is withdrawn is called no more: not from an appointment, a visit, or a pass that is on its way."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.booking.commands.appointments import BookAppointment, book_appointment
from services.booking.commands.tidying import tidy_up
from services.booking.consumers import make_handlers
from services.booking.queries.line import read_line_marks
from services.booking.queries.visits import get_visit
from shared.clock import jst_day
from shared.events.routing import NameWithdrawn
from tests.booking.conftest import TOWN, BookingTown

BOTH = ("name", "kana")
# Long enough that whoever does not wait is done.
WAITS_S = 0.5


def withdrawn(
    town: BookingTown, case_id: UUID, items: tuple[str, ...] = BOTH, *, ago: timedelta = timedelta(0)
) -> NameWithdrawn:
    """What routing tells."""
    return NameWithdrawn(
        event_id=uuid4(),
        municipality=TOWN,
        aggregate_id=str(case_id),
        aggregate_version=5,
        occurred_at=town.now - ago,
        case_id=case_id,
        subject_ref=uuid4(),
        items=items,
    )


async def withdraw(town: BookingTown, case_id: UUID, items: tuple[str, ...] = BOTH, **when: timedelta) -> None:
    """As booking's consumer hears it."""
    async with town.db.begin(TOWN) as session:
        await make_handlers(town.keys)[NameWithdrawn](session, withdrawn(town, case_id, items, **when), now=town.now)


async def names_kept(town: BookingTown) -> list[tuple[bool, bool]]:
    rows: list[Any] = await town.rows(
        "SELECT name_sealed IS NOT NULL AS name, kana_sealed IS NOT NULL AS kana FROM booking.appointment"
    )
    return [(row.name, row.kana) for row in rows]


async def test_an_appointments_name_is_forgotten_and_the_line_calls_the_number(town: BookingTown) -> None:
    """Seen to fail without `_FORGET`."""
    case_id = uuid4()
    await town.booked(case_id=case_id)
    await town.booked("other", slot=1)
    shown = 2  # in a row of the line, and in what the tablet keeps of it
    async with town.staff() as staff:
        assert (await staff.get("/counter/line")).text.count("ハナコ") == 2 * shown
        async with town.db.begin(TOWN) as session:
            before = await read_line_marks(session, TOWN, jst_day(town.now))
        for _ in range(2):
            await withdraw(town, case_id)
        line = (await staff.get("/counter/line")).text
        assert line.count("ハナコ") == shown
        assert line.count("番号でお呼びください") == shown
        async with town.db.begin(TOWN) as session:
            assert before != await read_line_marks(session, TOWN, jst_day(town.now)), "tablets look again"
    rows: list[Any] = await town.rows("SELECT * FROM booking.ledger_entry WHERE entry_type = 'erased'")
    assert [(row.items, row.target_case, row.commitments) for row in rows] == [(list(BOTH), case_id, {})]
    told: list[Any] = await town.rows(
        "SELECT a.version, count(o.event_id) AS told FROM booking.appointment a JOIN booking.outbox o"
        " ON o.aggregate_id = a.appointment_id::text GROUP BY a.appointment_id, a.version, a.municipality"
    )
    assert [(row.version, row.told) for row in told] == [(1, 1), (1, 1)]


async def test_only_what_was_withdrawn_is_forgotten(town: BookingTown) -> None:
    case_id = uuid4()
    await town.booked(case_id=case_id)
    await withdraw(town, case_id, ("kana",))
    assert await names_kept(town) == [(True, False)]
    await withdraw(town, uuid4())
    assert await names_kept(town) == [(True, False)]


async def test_a_visit_that_is_under_way_books_without_the_name(town: BookingTown) -> None:
    """Seen to fail without `_RESEAL`: the name came to the line after all."""
    case_id = uuid4()
    visit_id = await town.visit("guest", case_id=case_id)
    await town.hold(visit_id, "guest", (await town.slots())[1].slot_id)
    await withdraw(town, case_id)
    async with town.db.begin(TOWN) as session:
        view = await get_visit(session, TOWN, visit_id, "guest", town.keys)
    assert (view.name, view.kana) == (None, None)
    await town.book(visit_id, "guest")
    assert await names_kept(town) == [(False, False)]
    assert await town.rows("SELECT 1 FROM booking.ledger_entry WHERE entry_type = 'applied'") == []


@pytest.mark.parametrize(("issued_after", "expected"), [(timedelta(0), False), (timedelta(seconds=1), True)])
async def test_a_pass_from_before_brings_no_name_and_one_from_after_does(
    town: BookingTown, issued_after: timedelta, expected: bool
) -> None:
    """Seen to fail without `_WITHDRAWN`: what was on its way arrived with the name."""
    case_id, issued_at = uuid4(), town.now + issued_after
    await withdraw(town, case_id)
    town.now += timedelta(minutes=1)
    await town.booked(case_id=case_id, issued_at=issued_at)
    assert await names_kept(town) == [(expected, expected)]


async def test_an_old_message_that_comes_late_takes_no_name_that_was_approved_since(town: BookingTown) -> None:
    case_id = uuid4()
    await town.booked(case_id=case_id)
    await withdraw(town, case_id, ago=timedelta(minutes=1))
    assert await names_kept(town) == [(True, True)]


async def left_drafts(town: BookingTown) -> list[object]:
    """Drafts of visits that have ended."""
    return await town.rows("SELECT 1 FROM booking.visit WHERE appointment_id IS NOT NULL AND draft_sealed IS NOT NULL")


async def test_what_is_being_booked_right_now_is_forgotten_once_it_is_booked(town: BookingTown) -> None:
    """Seen to fail without FOR UPDATE in `_VISITS`: the draft that the booking had blanked was sealed again."""
    case_id = uuid4()
    visit_id = await town.visit("guest", case_id=case_id)
    await town.hold(visit_id, "guest", (await town.slots())[0].slot_id)
    order = BookAppointment(municipality=TOWN, visit_id=visit_id, visitor="guest", key="k")
    async with town.db.begin(TOWN) as session:
        await book_appointment(session, order, town.keys, now=town.now)
        withdrawing = asyncio.create_task(withdraw(town, case_id))
        await asyncio.sleep(WAITS_S)
    await withdrawing
    assert await names_kept(town) == [(False, False)]
    assert await left_drafts(town) == []


async def test_what_is_being_withdrawn_right_now_is_not_booked(town: BookingTown) -> None:
    """Seen to fail without FOR UPDATE in booking's `_LOOK`: it had read the name before."""
    case_id = uuid4()
    visit_id = await town.visit("guest", case_id=case_id)
    await town.hold(visit_id, "guest", (await town.slots())[0].slot_id)
    async with town.db.begin(TOWN) as session:
        await make_handlers(town.keys)[NameWithdrawn](session, withdrawn(town, case_id), now=town.now)
        booking = asyncio.create_task(town.book(visit_id, "guest"))
        await asyncio.sleep(WAITS_S)
    await booking
    assert await names_kept(town) == [(False, False)]


@pytest.mark.parametrize("turn", range(4))
async def test_booked_or_brought_at_the_same_moment_it_is_forgotten_all_the_same(town: BookingTown, turn: int) -> None:
    """Seen to fail without `stay_alone`, with a pass that was just being brought."""
    booking_case, bringing_case = uuid4(), uuid4()
    visit_id = await town.visit("guest", case_id=booking_case)
    await town.hold(visit_id, "guest", (await town.slots())[turn].slot_id)
    _, brought, *_ = await asyncio.gather(
        town.book(visit_id, "guest"),
        town.visit("other", case_id=bringing_case),
        withdraw(town, booking_case),
        withdraw(town, bringing_case),
    )
    assert await names_kept(town) == [(False, False)]
    async with town.db.begin(TOWN) as session:
        view = await get_visit(session, TOWN, brought, "other", town.keys)
    assert view.name is None
    assert await left_drafts(town) == []


async def test_once_no_pass_from_before_can_come_it_is_forgotten_that_there_was_a_name(town: BookingTown) -> None:
    await withdraw(town, uuid4())
    for left, later in ((2, timedelta(days=1)), (0, timedelta(days=2))):
        town.now += later
        async with town.db.begin(TOWN) as session:
            await tidy_up(session, TOWN, now=town.now)
        assert len(await town.rows("SELECT 1 FROM booking.name_withdrawn")) == left
