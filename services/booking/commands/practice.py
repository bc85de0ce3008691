"""Invented people of a practice town, who book as everybody does; some are here already, and some only walk in."""

from datetime import datetime
from uuid import uuid4

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.appointments import BookAppointment, book_appointment
from services.booking.commands.holds import HoldPlace, hold_place
from services.booking.commands.line import check_in_by_number
from services.booking.commands.off_days import take_visits_per_week
from services.booking.commands.shifts import AddShift, add_shift
from services.booking.commands.visits import arrive
from services.booking.commands.walk_ins import give_ticket
from services.booking.domain.shifts import VISITS_PER_WEEK_MAX
from services.booking.keys import Keys
from services.booking.queries.free import list_next_free
from services.booking.queries.helpers import list_shifts
from services.booking.queries.rules import get_rules
from services.booking.queries.slots import find_procedure
from shared.clock import jst_day
from shared.errors import Poison, Refusal
from shared.events.routing import PracticeVisitorSent
from shared.passes import Pass, open_pass
from shared.practice import is_practice
from shared.tokens import Identity

# Of those who booked, every so manyth is here already; and after every so manyth, somebody walks in.
HERE_EVERY, WALK_IN_EVERY = 3, 2
WEEKDAYS = range(1, 8)
HELPS_FROM_MIN, HELPS_UNTIL_MIN = 0, 23 * 60

_HELPER = text("""
    SELECT helper_ref FROM helper WHERE municipality = :municipality AND is_open ORDER BY helper_ref LIMIT 1
""")


class NotReady(Exception):
    """What this person needs is on its way: the catalogue, or a helper's account. They come again."""


async def bring_visitor(session: AsyncSession, keys: Keys, event: PracticeVisitorSent, *, now: datetime) -> None:
    """This person books the next time that is free, if there is any. In a real town nobody is invented.

    Raises:
        NotReady: later there may be one.
        Poison: `seal`: what is sealed cannot be opened.
    """
    town = event.municipality
    if not is_practice(town):
        return
    try:
        ticket = open_pass(keys.box, "routing", "book", event.sealed or "", municipality=town, now=now)
    except Refusal as refusal:
        if refusal.code == "pass_expired":
            return
        raise Poison("seal") from refusal
    procedure = await find_procedure(session, town, ticket.procedure, ticket.channel)
    if procedure is None:
        raise NotReady
    if ticket.channel == "helper":
        await _find_helper(session, town, procedure.counters, now)
    if not await _book(session, keys, ticket, event.number, now):
        return
    if ticket.channel == "counter" and event.number % WALK_IN_EVERY == 0:
        await give_ticket(session, _staff(town), ticket.procedure, now=now)


async def _book(session: AsyncSession, keys: Keys, ticket: Pass, number: int, now: datetime) -> bool:
    town = ticket.municipality
    procedure = await find_procedure(session, town, ticket.procedure, ticket.channel)
    if procedure is None:
        return False
    policy = procedure.policy((await get_rules(session, town)).policy)
    slots = await list_next_free(session, town, procedure.counters, policy, most=1, now=now)
    if not slots:
        return False
    visitor = ticket.guest_ref
    visit_id = await arrive(session, ticket, visitor, keys, now=now)
    wanted = HoldPlace(
        municipality=town, visit_id=visit_id, visitor=visitor, slot_id=slots[0].slot_id, key=str(uuid4())
    )
    await hold_place(session, wanted, now=now)
    order = BookAppointment(municipality=town, visit_id=visit_id, visitor=visitor, key=str(uuid4()))
    booked = await book_appointment(session, order, keys, now=now)
    is_today = jst_day(booked.starts_at) == jst_day(now)
    if ticket.channel == "counter" and is_today and number % HERE_EVERY == 0:
        await check_in_by_number(session, _staff(town), booked.number, now=now)
    return True


async def _find_helper(session: AsyncSession, municipality: str, venues: tuple[str, ...], now: datetime) -> None:
    """The helper of a practice town is at one of its venues all week."""
    ref = (await session.execute(_HELPER, {"municipality": municipality})).scalar_one_or_none()
    if ref is None:
        raise NotReady
    if venues and not await list_shifts(session, municipality, ref):
        me = Identity(municipality=municipality, kind="helper", ref=ref, session_id="practice", roles=("helper",))
        for weekday in WEEKDAYS:
            shift = AddShift(venue=venues[0], weekday=weekday, from_min=HELPS_FROM_MIN, to_min=HELPS_UNTIL_MIN)
            await add_shift(session, me, shift, now=now)
        # They stand for all helpers of a town.
        await take_visits_per_week(session, me, VISITS_PER_WEEK_MAX, now=now)


def _staff(municipality: str) -> Identity:
    """Whoever stands at the door of a practice town."""
    return Identity(municipality=municipality, kind="staff", ref="practice", session_id="practice", roles=("counter",))
