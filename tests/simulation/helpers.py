"""What helpers do: say when they come, and answer who asks for them."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from services.booking.commands.assignments import answer_request, reassign
from services.booking.commands.shifts import AddShift, add_shift, remove_shift
from services.booking.queries.helpers import list_shifts
from services.routing.commands.accounts import Profile, close_account, open_staff_account
from shared.clock import JST
from tests.simulation.town import CLOSES, HALL, OPENS
from tests.simulation.world import World, action

ANSWERS = ("accept", "accept", "accept", "decline", "came", "no-show")


@action(3)
async def a_helper_comes_every_week(world: World) -> str | None:
    """All day at the hall, on one of the next days."""
    at = world.rng.randrange(len(world.helpers))
    day = (world.clock.now + timedelta(days=world.rng.randrange(3))).astimezone(JST)
    order = AddShift(venue=HALL, weekday=day.isoweekday(), from_min=OPENS * 60, to_min=CLOSES * 60)
    async with world.at("booking") as session:
        await add_shift(session, world.helpers[at], order, now=world.now("booking"))
    return f"helper {at}: comes on day {day.isoweekday()}"


@action(0.5)
async def a_helper_comes_no_more(world: World) -> str | None:
    """What they promised stays promised."""
    at = world.rng.randrange(len(world.helpers))
    helper = world.helpers[at]
    async with world.at("booking") as session:
        shifts = await list_shifts(session, world.code, helper.ref)
    if not shifts:
        return None
    shift = world.rng.choice(shifts)
    async with world.at("booking") as session:
        await remove_shift(session, helper, shift.shift_id, now=world.now("booking"))
    return f"helper {at}: not on day {shift.weekday}"


@action(6)
async def a_helper_answers(world: World) -> str | None:
    """One of the requests, also one that is over."""
    rows = await world.ask(
        """SELECT assignment_id, helper_ref FROM booking.assignment WHERE municipality = $1
           ORDER BY state IN ('asked', 'accepted') DESC, asked_at, lower(during), helper_ref LIMIT 4"""
    )
    if not rows:
        return None
    row, answer = world.rng.choice(rows), world.rng.choice(ANSWERS)
    at = [helper.ref for helper in world.helpers].index(row["helper_ref"])
    async with world.at("booking") as session:
        await answer_request(
            session, world.helpers[at], row["assignment_id"], answer, now=world.now("booking")  # type: ignore[arg-type]
        )  # fmt: skip
    return f"helper {at}: {answer}"


@action(2)
async def a_coordinator_asks_another(world: World) -> str | None:
    """Instead of the one who was asked or has accepted."""
    live = await list_live_requests(world)
    if not live:
        return None
    return f"helper {await ask_another(world, world.rng.choice(live))} instead"


@action(0.4)
async def a_helpers_account_is_closed_or_opened_again(world: World) -> str | None:
    """Closed, others are asked for what lies ahead."""
    at = world.rng.randrange(len(world.helpers))
    rows = await world.ask(
        "SELECT closed_at, login FROM routing.account WHERE municipality = $1 AND account_id = $2",
        UUID(world.helpers[at].ref),
    )  # fmt: skip
    if rows[0]["closed_at"] is None:
        async with world.at("routing") as session:
            await close_account(session, municipality=world.code, login=rows[0]["login"], now=world.now("routing"))
        return f"helper {at}: closed"
    await open_helper(world, rows[0]["login"])
    return f"helper {at}: open again"


async def list_live_requests(world: World) -> Sequence[Any]:
    """Who is asked or has accepted to come to an appointment that has not begun."""
    return await world.ask(
        """SELECT s.assignment_id, s.helper_ref, a.slot_id FROM booking.assignment s
           JOIN booking.appointment a USING (municipality, appointment_id)
           WHERE s.municipality = $1 AND s.state IN ('asked', 'accepted') AND a.state = 'booked' AND a.starts_at > $2
           ORDER BY a.starts_at, s.asked_at, s.helper_ref""",
        world.now("booking"),
    )  # fmt: skip


async def ask_another(world: World, request: Any) -> int:
    """A coordinator asks a helper who was not asked."""
    refs = [helper.ref for helper in world.helpers]
    at = (refs.index(request["helper_ref"]) + 1) % len(refs)
    async with world.at("booking") as session:
        await reassign(session, world.staff(), request["assignment_id"], refs[at], now=world.now("booking"))
    return at


async def come_on_every_day(world: World) -> None:
    """Every helper, all day, on the days that can be booked."""
    for helper in world.helpers:
        for days in range(3):
            day = (world.clock.now + timedelta(days=days)).astimezone(JST).isoweekday()
            order = AddShift(venue=HALL, weekday=day, from_min=OPENS * 60, to_min=CLOSES * 60)
            async with world.at("booking") as session:
                await add_shift(session, helper, order, now=world.now("booking"))


async def open_helper(world: World, login: str) -> Any:
    """A helper's account, or the same one again."""
    async with world.at("routing") as session:
        return await open_staff_account(
            session, municipality=world.code, login=login, password="correct horse battery", roles=("helper",),
            office=None, profile=Profile(display_name="模擬 助"), box=world.services["routing"].keys.box,
            now=world.now("routing"),
        )  # fmt: skip
