"""Helpers say when they are at which venue; a slot there has as many places as helpers."""

from datetime import date, datetime
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.venues import bring_venues
from services.booking.domain.shifts import Shift, refuse_bad_shift
from shared.audit import record_deed
from shared.clock import jst_day
from shared.errors import Refusal
from shared.tokens import Identity

SHIFTS_OF_ONE_MAX = 50


class AddShift(msgspec.Struct, frozen=True, kw_only=True):
    """The order to be at a venue: ISO weekday, minutes from midnight in Japan; every week, every n weeks from a first
    one on, or on the `nth` of a month.
    """

    venue: str
    weekday: int
    from_min: int
    to_min: int
    every_weeks: int = 1
    nth: tuple[int, ...] = ()
    first_week: date | None = None


# The row is locked: what is counted and compared, nobody is just adding to.
_ME = text("""
    SELECT is_open FROM helper WHERE (municipality, helper_ref) = (:municipality, :helper_ref) FOR UPDATE
""")
_VENUE = text("""
    SELECT 1 FROM counter_rule WHERE (municipality, counter) = (:municipality, :venue) AND kind = 'venue'
""")
_MINE = text(f"""
    SELECT weekday, from_min, to_min FROM helper_shift
    WHERE municipality = :municipality AND helper_ref = :helper_ref LIMIT {SHIFTS_OF_ONE_MAX}
""")
_ADD = text("""
    INSERT INTO helper_shift
        (municipality, shift_id, helper_ref, venue, weekday, from_min, to_min, every_weeks, nth, first_week)
    VALUES (:municipality, :shift_id, :helper_ref, :venue, :weekday, :from_min, :to_min, :every_weeks, :nth,
            :first_week)
""")
_REMOVE = text("""
    DELETE FROM helper_shift
    WHERE municipality = :municipality AND shift_id = :shift_id AND helper_ref = :helper_ref RETURNING venue
""")


async def add_shift(session: AsyncSession, actor: Identity, order: AddShift, *, now: datetime) -> UUID:
    """Be at a venue at this time. Its places appear at once, up to the horizon.

    Two times of one weekday do not overlap, in whichever weeks they are.

    Raises:
        Refusal: `roster_missing` (409), `shift_unfit` (422), `venue_unknown` (404), `shift_overlaps`,
            `too_many_shifts` (409).
    """
    order = msgspec.structs.replace(
        order,
        nth=tuple(sorted(set(order.nth))),
        first_week=order.first_week if order.every_weeks > 1 else None,
    )
    times = {
        name: getattr(order, name) for name in ("weekday", "from_min", "to_min", "every_weeks", "nth", "first_week")
    }
    refuse_bad_shift(Shift(helper_ref=actor.ref, **times), today=jst_day(now))
    me = {"municipality": actor.municipality, "helper_ref": actor.ref}
    await check_on_roster(session, actor)
    if (
        not order.venue.isprintable()
        or (await session.execute(_VENUE, {"municipality": actor.municipality, "venue": order.venue})).one_or_none()
        is None
    ):
        raise Refusal("venue_unknown", 404)
    mine = (await session.execute(_MINE, me)).all()
    if len(mine) >= SHIFTS_OF_ONE_MAX:
        raise Refusal("too_many_shifts", 409)
    if any(
        row.weekday == order.weekday and row.from_min < order.to_min and order.from_min < row.to_min for row in mine
    ):
        raise Refusal("shift_overlaps", 409)
    shift_id = uuid4()
    added = msgspec.structs.asdict(order) | {"shift_id": shift_id, "nth": list(order.nth)}
    await session.execute(_ADD, me | added)
    await record_deed(session, actor, "add-shift", shift_id, now=now)
    await bring_venues(session, actor.municipality, [order.venue], now=now)
    return shift_id


async def remove_shift(session: AsyncSession, actor: Identity, shift_id: UUID, *, now: datetime) -> None:
    """Not there any more. What was promised stays: for that, there is "cannot come". Removed again, nothing changes."""
    me = {"municipality": actor.municipality, "helper_ref": actor.ref}
    await check_on_roster(session, actor)
    venue = (await session.execute(_REMOVE, me | {"shift_id": shift_id})).scalar_one_or_none()
    if venue is None:
        return
    await record_deed(session, actor, "remove-shift", shift_id, now=now)
    await bring_venues(session, actor.municipality, [venue], now=now)


async def check_on_roster(session: AsyncSession, actor: Identity) -> None:
    """Whether the account has arrived here, and is open; locks its row.

    Raises:
        Refusal: `roster_missing` (409).
    """
    me = {"municipality": actor.municipality, "helper_ref": actor.ref}
    found = (await session.execute(_ME, me)).one_or_none()
    if found is None or not found.is_open:
        raise Refusal("roster_missing", 409)
