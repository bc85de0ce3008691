"""What the town hall closes and opens again, and what those whom it concerns do. Only in seeds whose town `closes`.

Of two who have the same time, their ids decide who is offered the nearer place: here, and nowhere else, two runs of a
seed may differ.
"""

from datetime import timedelta

from services.booking.commands.changes import ChangeAppointment
from services.booking.commands.closings import CloseTime, close_time, reopen
from services.booking.queries.slots import start_of_day
from shared.clock import jst_day
from tests.simulation.residents import give_order, in_booking
from tests.simulation.town import CLOSES, OPENS
from tests.simulation.world import World, action

HOUR_MIN = 60
DAYS_AHEAD = 2


@action(3, closes=True)
async def the_town_hall_closes(world: World) -> str | None:
    """A counter, or everything; a day, or its morning."""
    now = world.now("booking")
    counter = world.rng.choice(("7", "7", "3", "HALL", None))
    midnight = start_of_day(jst_day(now) + timedelta(days=world.rng.randint(0, DAYS_AHEAD)))
    opens, closes = world.rng.choice(((0, 24), (OPENS, CLOSES), (OPENS, OPENS + 1)))
    order = CloseTime(
        counter=counter,
        starts_at=midnight + timedelta(minutes=opens * HOUR_MIN),
        ends_at=midnight + timedelta(minutes=closes * HOUR_MIN),
        reason="weather",
        note="",
        key=f"close {len(world.history)}",
    )
    await _forget_holds(world, order)
    async with world.at("booking") as session:
        await close_time(session, world.staff(), order, now=now)
    return f"{counter or 'everything'} on {midnight:%d} from {opens} to {closes}"


async def _forget_holds(world: World, order: CloseTime) -> None:
    """What is held there, nobody was promised any more."""
    rows = await world.ask(
        """SELECT p.visit_id FROM booking.place p JOIN booking.slot s USING (municipality, slot_id)
           WHERE p.municipality = $1 AND p.hold_id IS NOT NULL AND ($2::text IS NULL OR s.counter = $2)
             AND s.starts_at < $4 AND s.ends_at > $3""",
        order.counter, order.starts_at, order.ends_at,
    )  # fmt: skip
    lost = {row["visit_id"] for row in rows}
    for resident in world.residents:
        if resident.visit_id in lost:
            resident.held_until = resident.again = None


@action(2, closes=True)
async def the_town_hall_opens_again(world: World) -> str | None:
    """What was closed; perhaps for the second time."""
    rows = await world.ask(
        """SELECT closing_id, reopened_at FROM booking.closing WHERE municipality = $1
           ORDER BY reopened_at NULLS FIRST, closed_at DESC, lower(during), counter LIMIT 3"""
    )
    if not rows:
        return None
    at = world.rng.randrange(len(rows))
    async with world.at("booking") as session:
        await reopen(session, world.staff(), rows[at]["closing_id"], now=world.now("booking"))
    return f"the closing number {at}{' again' if rows[at]['reopened_at'] else ''}"


@action(6, closes=True)
async def a_resident_takes_what_is_kept_for_them(world: World) -> str | None:
    """Who does not, does not answer; or moves elsewhere, or cancels, as everybody does."""
    rows = await world.ask(
        """SELECT o.appointment_id, o.slot_id, o.until, a.version FROM booking.offered_place o
           JOIN booking.appointment a USING (municipality, appointment_id)
           WHERE o.municipality = $1 AND o.state = 'open'"""
    )
    offers = {row["appointment_id"]: row for row in rows}
    asked = [
        (one, booked)
        for one in world.residents
        for booked in one.booked
        if booked.appointment_id in offers and one.unanswered is None
    ]
    if not asked:
        return None
    resident, booked = world.rng.choice(asked)
    offer = offers[booked.appointment_id]
    booked.version = offer["version"]
    order = ChangeAppointment(
        municipality=world.code, appointment_id=booked.appointment_id, slot_id=offer["slot_id"],
        version=booked.version, key=f"take {len(world.history)}",
    )  # fmt: skip
    is_kept = world.now("booking") < offer["until"]
    said = await give_order(world, resident, booked, in_booking(world, order), "takes what was kept")
    world.expect(not is_kept or "slot_taken" not in said, "offer: what was kept is somebody else's")
    return f"{booked.label}: {said}"
