"""What helpers are told of their visits: asked, moved, not needed, reminded. Where and when, and nothing of whom."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
import pytest_asyncio

from services.booking.commands.appointments import Booked
from services.booking.commands.assignments import Answer, on_helper_answer_due, reassign
from services.booking.commands.changes import (
    CancelAppointment,
    ChangeAppointment,
    cancel_appointment,
    change_appointment,
)
from services.booking.commands.telling_helpers import HELPER_REMINDER, Told, on_helper_reminder_due, tell_helper
from services.booking.domain.shifts import answer_by, helper_reminder_at
from tests.booking.conftest import TOWN, TownAfter
from tests.booking.helpers_town import HALL, SATO, SUZUKI, TANAKA, HelperTown, open_with_venues
from tests.booking.test_helpers import COORDINATOR


@pytest_asyncio.fixture
async def helpers(town_after: TownAfter) -> HelperTown:
    """A town that is open, with venues and no helper yet."""
    return HelperTown(await town_after(open_with_venues))


async def heard(helpers: HelperTown) -> list[dict[str, Any]]:
    """Everything that helpers were told, the oldest first."""
    rows = await helpers.town.rows(
        "SELECT payload FROM booking.outbox WHERE type = 'booking.helper_told.v1' ORDER BY occurred_at, aggregate_id"
    )
    return [msgspec.json.decode(bytes(row.payload)) for row in rows]  # type: ignore[attr-defined]


async def matters(helpers: HelperTown) -> list[tuple[str, str]]:
    """What they are sent: of what is `over`, nothing."""
    return sorted(_who(told) for told in await heard(helpers) if told["matter"] != "over")


def _who(told: dict[str, Any]) -> tuple[str, str]:
    return told["matter"], told["helper_ref"]


async def due_reminders(helpers: HelperTown) -> list[Any]:
    return await helpers.town.rows(f"SELECT ref, due_at FROM booking.due WHERE kind = '{HELPER_REMINDER}'")


async def move(helpers: HelperTown, booked: Booked, slot: int) -> None:
    free = [item for item in await helpers.town.slots(HALL) if item.free]
    order = ChangeAppointment(
        municipality=TOWN, appointment_id=booked.appointment_id, slot_id=free[slot].slot_id, version=1, key=str(uuid4())
    )
    async with helpers.town.db.begin(TOWN) as session:
        await change_appointment(session, order, now=helpers.town.now)


async def test_whoever_is_asked_is_told_where_when_and_until_when_to_answer(helpers: HelperTown) -> None:
    await helpers.helper(TANAKA)
    booked = await helpers.book(slot=2)
    [told] = await heard(helpers)
    assert told.pop("about") == str(booked.appointment_id)
    [request] = await helpers.requests()
    starts_at = booked.starts_at
    assert (told["matter"], told["helper_ref"], told["venue"]) == ("offer", TANAKA, HALL)
    assert told["assignment_id"] == str(request.assignment_id)
    assert msgspec.convert(told["starts_at"], datetime) == starts_at
    until = msgspec.convert(told["answer_by"], datetime)
    assert until == answer_by(asked_at=helpers.town.now, starts_at=starts_at)
    # But for what it is about, nothing of the appointment, which has a number and a person.
    assert str(booked.appointment_id) not in str(told)
    assert booked.number not in str(told)


async def test_the_next_one_is_told_when_the_first_declines_or_does_not_answer(helpers: HelperTown) -> None:
    await helpers.helper(SATO)
    await helpers.helper(TANAKA)
    await helpers.book(slot=2)
    await helpers.answer(SATO, "decline")
    assert await matters(helpers) == [("offer", SATO), ("offer", TANAKA)]
    await helpers.helper(SUZUKI)
    [request] = await helpers.requests(TANAKA)
    async with helpers.town.db.begin(TOWN) as session:
        await on_helper_answer_due(session, TOWN, str(request.assignment_id), helpers.town.now)
    assert await matters(helpers) == [("offer", SATO), ("offer", SUZUKI), ("offer", TANAKA)]


@pytest.mark.parametrize("answer", ["accept", "decline"])
async def test_whoever_has_answered_is_not_asked_in_the_morning(helpers: HelperTown, answer: Answer) -> None:
    await helpers.helper(TANAKA)
    booked = await helpers.book(slot=2)
    await helpers.answer(TANAKA, answer)
    await helpers.answer(TANAKA, answer)
    [over] = [told for told in await heard(helpers) if told["matter"] == "over"]
    assert (over["helper_ref"], over["about"]) == (TANAKA, str(booked.appointment_id))


async def test_whoever_need_not_come_is_told_so_once(helpers: HelperTown) -> None:
    await helpers.helper(TANAKA)
    booked = await helpers.book(slot=2)
    await helpers.answer(TANAKA, "accept")
    order = CancelAppointment(municipality=TOWN, appointment_id=booked.appointment_id, version=2, key="once")
    for _ in range(2):
        async with helpers.town.db.begin(TOWN) as session:
            await cancel_appointment(session, order, now=helpers.town.now)
    assert await matters(helpers) == [("cancelled", TANAKA), ("offer", TANAKA)]
    by_matter = {told["matter"]: told for told in await heard(helpers)}
    offer, cancelled = by_matter["offer"], by_matter["cancelled"]
    assert (cancelled["starts_at"], cancelled["venue"]) == (offer["starts_at"], HALL)
    assert cancelled.get("answer_by") is None


async def test_who_is_asked_again_for_another_time_is_told_of_the_change_alone(helpers: HelperTown) -> None:
    await helpers.helper(TANAKA)
    booked = await helpers.book(slot=2)
    await move(helpers, booked, 3)
    assert await matters(helpers) == [("changed", TANAKA), ("offer", TANAKA)]
    changed = next(told for told in await heard(helpers) if told["matter"] == "changed")
    [request] = [row for row in await helpers.requests() if row.state == "asked"]
    assert changed["assignment_id"] == str(request.assignment_id)
    assert {told["about"] for told in await heard(helpers)} == {str(booked.appointment_id)}
    assert changed["answer_by"]
    assert msgspec.convert(changed["starts_at"], datetime) > booked.starts_at


async def test_when_another_is_asked_for_the_new_time_the_first_need_not_come(helpers: HelperTown) -> None:
    await helpers.helper(TANAKA)
    booked = await helpers.book(slot=2)
    await helpers.hear(helpers.account(SATO))
    await helpers.shift(SATO)
    await move(helpers, booked, -1)
    assert await matters(helpers) == [("cancelled", TANAKA), ("offer", SATO), ("offer", TANAKA)]
    cancelled = next(told for told in await heard(helpers) if told["matter"] == "cancelled")
    assert msgspec.convert(cancelled["starts_at"], datetime) == booked.starts_at


async def test_whom_a_coordinator_takes_it_from_and_gives_it_to_are_told(helpers: HelperTown) -> None:
    await helpers.helper(TANAKA)
    await helpers.book(slot=2)
    await helpers.hear(helpers.account(SATO))
    [request] = await helpers.requests()
    async with helpers.town.db.begin(TOWN) as session:
        await reassign(session, COORDINATOR, request.assignment_id, SATO, now=helpers.town.now)
    assert await matters(helpers) == [("cancelled", TANAKA), ("offer", SATO), ("offer", TANAKA)]


async def test_the_reminder_goes_to_whoever_accepted_and_still_comes(helpers: HelperTown) -> None:
    await helpers.helper(TANAKA)
    booked = await helpers.book(slot=2)
    assert await due_reminders(helpers) == []
    await helpers.answer(TANAKA, "accept")
    [row] = await due_reminders(helpers)
    assert row.due_at == helper_reminder_at(booked.starts_at, now=helpers.town.now)
    helpers.at(row.due_at)
    async with helpers.town.db.begin(TOWN) as session:
        await on_helper_reminder_due(session, TOWN, row.ref, row.due_at)
        await on_helper_reminder_due(session, TOWN, row.ref, row.due_at)
    # Both have the same id, and notifications tells it once.
    reminders = [told for told in await heard(helpers) if told["matter"] == "reminder"]
    assert {told["told_id"] for told in reminders} == {reminders[0]["told_id"]}
    assert reminders[0]["venue"] == HALL


@pytest.mark.parametrize("after", ["cancelled", "begun", "declined"])
async def test_nobody_is_reminded_of_what_is_not_theirs_then(helpers: HelperTown, after: str) -> None:
    await helpers.helper(TANAKA)
    booked = await helpers.book(slot=2)
    await helpers.answer(TANAKA, "accept")
    [row] = await due_reminders(helpers)
    at = row.due_at
    if after == "cancelled":
        order = CancelAppointment(municipality=TOWN, appointment_id=booked.appointment_id, version=2, key="gone")
        async with helpers.town.db.begin(TOWN) as session:
            await cancel_appointment(session, order, now=helpers.town.now)
    elif after == "declined":
        await helpers.answer(TANAKA, "decline", UUID(row.ref))
    else:
        at = booked.starts_at
    async with helpers.town.db.begin(TOWN) as session:
        await on_helper_reminder_due(session, TOWN, row.ref, at)
    assert "reminder" not in [matter for matter, _ in await matters(helpers)]


def test_a_reminder_comes_on_the_afternoon_before_or_two_hours_before_or_not_at_all() -> None:
    # A Tuesday, ten in the morning in Japan.
    starts_at = datetime(2026, 11, 24, 1, tzinfo=UTC)
    eve = starts_at - timedelta(hours=17)
    assert helper_reminder_at(starts_at, now=starts_at - timedelta(days=3)) == eve
    assert helper_reminder_at(starts_at, now=eve) == starts_at - timedelta(hours=2)
    assert helper_reminder_at(starts_at, now=starts_at - timedelta(hours=2)) is None


async def test_the_same_told_twice_has_one_id_and_another_helper_another(helpers: HelperTown) -> None:
    told = Told(venue=HALL, starts_at=helpers.town.now, ends_at=helpers.town.now, assignment_id=uuid4())
    async with helpers.town.db.begin(TOWN) as session:
        for ref in (TANAKA, TANAKA, SATO):
            await tell_helper(session, TOWN, ref, "cover", told, now=helpers.town.now)
    ids = {(row["helper_ref"], row["told_id"]) for row in await heard(helpers)}
    assert len(ids) == 2
