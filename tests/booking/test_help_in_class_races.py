"""Racers for one request: a helper who accepts, a seat that is taken, two seats. The database lets one of them win."""

import asyncio
from collections.abc import Awaitable
from uuid import UUID

import pytest_asyncio
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.assignments import answer_request
from services.booking.commands.help_classes import enter_by_request, offer_seat, take_seat_offered
from services.booking.flow import Rush
from shared.errors import Refusal
from tests.booking.conftest import TOWN, TownAfter
from tests.booking.help_class_town import InClassTown
from tests.booking.help_town import open_for_help
from tests.booking.helpers_town import TANAKA
from tests.booking.test_classes_race import slowly

RACERS = 8


@pytest_asyncio.fixture
async def town(town_after: TownAfter) -> InClassTown:
    return InClassTown(await town_after(open_for_help))


async def outcome(deed: Awaitable[object]) -> str:
    try:
        await deed
    except Refusal as refusal:
        return refusal.code
    except DBAPIError as error:
        return str(error.orig)
    return "done"


async def refuse_met_twice(town: InClassTown, request_id: UUID) -> None:
    """By a helper or in a class: one of both is, and all there is says so."""
    row = await town.request(request_id)
    booked = await town.town.rows("SELECT 1 FROM booking.appointment WHERE state = 'booked'")
    entered = [each for each in await town.seats() if each.state == "entered"]
    assert row.state == "met"
    assert (len(booked), len(entered)) in ((1, 0), (0, 1))
    assert (row.appointment_id is not None, row.entry_id is not None) == (bool(booked), bool(entered))


async def test_a_helper_accepts_while_the_seat_is_taken(town: InClassTown) -> None:
    """Seen to fail, with somebody met in both ways, without the locks of `lock_request` and without the guards of 0045
    (`guard_help_request`, `check_request_entry`, `help_request_met_whole_check`); with either it does not."""
    town_, rush = town.town, Rush(RACERS)
    await town.line_class()
    request_id = await town.ask_in_class()
    await town.offer_what_is_planned()
    await town.helper()
    await town.match()
    (seat,) = await town.seats()
    asked = (await town.requests(TANAKA))[-1].assignment_id

    async def accept(session: AsyncSession) -> None:
        await answer_request(session, town.identity(TANAKA), asked, "accept", now=town_.now)

    async def take(session: AsyncSession) -> None:
        await take_seat_offered(session, TOWN, seat.entry_id, town_.keys, now=town_.now)

    deeds = (lambda session, deed=deed: slowly(deed(session)) for deed in (accept, take))
    answers = await asyncio.gather(*(outcome(rush.run(town_.db, TOWN, deed)) for deed in deeds))
    assert answers.count("done") == 1, answers
    await refuse_met_twice(town, request_id)


async def test_two_seats_are_offered_for_one_request_and_one_is_kept(town: InClassTown) -> None:
    """Seen to fail, with a seat in each, without the locks of `lock_request` and the index
    `course_entry_one_per_request_idx`; with either it does not."""
    town_, rush = town.town, Rush(RACERS)
    courses = [await town.line_class() for _ in range(2)]
    request_id = await town.ask_in_class()

    def offer(course_id: UUID) -> Awaitable[None]:
        return rush.run(
            town_.db,
            TOWN,
            lambda session: slowly(offer_seat(session, TOWN, request_id, course_id, town_.keys, now=town_.now)),
        )

    await asyncio.gather(*(outcome(offer(course_id)) for course_id in courses))
    assert [each.state for each in await town.seats()] == ["offered"]
    assert await town.classes.seated() == 1


async def test_pressed_many_times_in_two_classes_it_is_one_seat(town: InClassTown) -> None:
    """Seen to fail, with seats in both, without the locks of `lock_request` and without the guards of 0045."""
    town_, rush = town.town, Rush(RACERS)
    courses = [await town.line_class() for _ in range(2)]
    request_id = await town.ask_in_class()

    def enter(course_id: UUID) -> Awaitable[str]:
        return rush.run(
            town_.db,
            TOWN,
            lambda session: slowly(enter_by_request(session, TOWN, request_id, course_id, town_.keys, now=town_.now)),
        )

    await asyncio.gather(*(outcome(enter(courses[number % 2])) for number in range(RACERS)))
    await refuse_met_twice(town, request_id)
    assert await town.classes.seated() == 1
