"""What staff do: the line at the counters, walk-ins, and applications in the back office."""

from typing import Any

from services.booking.commands.calling import show_line
from services.booking.commands.line import MoveAlong, check_in_by_number, move_along
from services.booking.commands.walk_ins import TakeWalkIn, take_walk_in
from services.booking.domain.line import ACTIONS as STEPS
from services.routing.commands.progress import move_application
from services.routing.domain.applications import LEADS_TO, may_move
from shared.clock import jst_day
from shared.errors import Refusal
from tests.simulation.overlap import overlap
from tests.simulation.town import CHILD, FAMILY
from tests.simulation.world import World, action


@action(7)
async def staff_take_a_step(world: World) -> str | None:
    """Somebody in today's line is checked in, called, served, absent, or taken back; sometimes by an old tablet."""
    line = await _line(world)
    if not line:
        return None
    at = world.rng.randrange(len(line))
    item = line[at]
    step = item.actions[0] if item.actions and world.rng.random() < 0.7 else world.rng.choice(STEPS)
    version = item.version - (world.rng.random() < 0.1)
    order = MoveAlong(appointment_id=item.appointment_id, action=step, version=version)
    async with world.at("booking") as session:
        moved = await move_along(session, world.staff(), order, now=world.now("booking"))
    world.expect(version == item.version, "line: a step by what the tablet showed before")
    return f"{at} in line: {moved.state}"


@action(2, dies_at=())
async def two_tablets_press_at_once(world: World) -> str | None:
    """The same step of the same person: one wins."""
    line = [(at, item) for at, item in enumerate(await _line(world)) if item.actions]
    if not line:
        return None
    at, item = world.rng.choice(line)
    order = MoveAlong(appointment_id=item.appointment_id, action=item.actions[0], version=item.version)

    async def press() -> Any:
        async with world.at("booking") as session:
            return await move_along(session, world.staff(), order, now=world.now("booking"))

    won = [answer for answer in await overlap(world, press, press) if not isinstance(answer, Refusal)]
    world.expect(len(won) <= 1, "line: both tablets won")
    return f"{at} in line: {item.actions[0]} by {len(won)} of two"


@action(2)
async def somebody_checks_in_by_number(world: World) -> str | None:
    """By the QR code of their slip, on whatever day."""
    having = [booked for one in world.residents for booked in one.booked]
    if not having:
        return None
    booked = world.rng.choice(having)
    number = await world.ask(
        "SELECT number FROM booking.appointment WHERE municipality = $1 AND appointment_id = $2", booked.appointment_id
    )
    async with world.at("booking") as session:
        moved = await check_in_by_number(session, world.staff(), number[0][0], now=world.now("booking"))
    return f"{booked.label}: {moved.state}"


@action(1)
async def somebody_walks_in(world: World) -> str | None:
    """Without an appointment; the button is pressed twice with one key."""
    order = TakeWalkIn(procedure=world.rng.choice((CHILD, FAMILY)), key=f"walk-in {len(world.history)}")
    tickets = []
    for _ in range(2):
        async with world.at("booking") as session:
            tickets.append(await take_walk_in(session, world.staff(), order, now=world.now("booking")))
    world.expect(tickets[0] == tickets[1], "idempotency: two tickets for one walk-in")
    return f"ticket {tickets[0].counter}-{tickets[0].ticket_no}"


@action(4)
async def the_office_moves_an_application(world: World) -> str | None:
    """Accepted, sent back for a correction, or completed."""
    rows = await world.ask(
        """SELECT application_id, state, version FROM routing.application
           WHERE municipality = $1 ORDER BY submitted_at"""
    )
    if not rows:
        return None
    at = world.rng.randrange(len(rows))
    row = rows[at]
    possible = [move for move, to in LEADS_TO.items() if may_move(row["state"], to)]
    move = world.rng.choice(possible or list(LEADS_TO))
    async with world.at("routing") as session:
        await move_application(
            session, world.services["routing"].keys, identity=world.staff(), application_id=row["application_id"],
            action=move, version=row["version"], reason="字なぎさのところ", now=world.now("routing"),
        )  # fmt: skip
    return f"application {at}: {move}"


async def _line(world: World) -> list[Any]:
    """Today's line as the tablet shows it, names and all: who sees them is written down."""
    now = world.now("booking")
    async with world.at("booking") as session:
        line = await show_line(session, world.staff(), jst_day(now), world.services["booking"].keys, now=now)
    return sorted(line, key=lambda item: (item.starts_at, item.counter, item.ticket_no or 0, item.version))
