"""Helpers say when they are at which venue, in a rhythm or on one day; a slot there has as many places as helpers.

For a single day, a coordinator may say it for them.
"""

from datetime import date, datetime
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.cover_asking import Gap, gap_filled
from services.booking.commands.roster import Span, hand_over, lock_ahead
from services.booking.commands.venues import bring_venues
from services.booking.domain.shifts import Shift, day_span, meet, refuse_bad_shift
from shared.audit import record_deed
from shared.clock import jst_day
from shared.errors import Refusal
from shared.tokens import Identity

SHIFTS_OF_ONE_MAX = 100


class AddShift(msgspec.Struct, frozen=True, kw_only=True):
    """The order to be at a venue: ISO weekday, minutes from midnight in Japan; every week, every n weeks from a first
    one on, or on the `nth` of a month; or `only_on` one day.
    """

    venue: str
    weekday: int
    from_min: int
    to_min: int
    every_weeks: int = 1
    nth: tuple[int, ...] = ()
    first_week: date | None = None
    only_on: date | None = None


# The row is locked: what is counted and compared, nobody is just adding to.
_ME = text("""
    SELECT is_open FROM helper WHERE (municipality, helper_ref) = (:municipality, :helper_ref) FOR UPDATE
""")
_VENUE = text("""
    SELECT 1 FROM counter_rule WHERE (municipality, counter) = (:municipality, :venue) AND kind = 'venue'
""")
_FORGET_PAST = text("""
    DELETE FROM helper_shift WHERE municipality = :municipality AND helper_ref = :helper_ref AND only_on < :today
""")
_MINE = text(f"""
    SELECT helper_ref, weekday, from_min, to_min, every_weeks, nth, first_week, only_on FROM helper_shift
    WHERE municipality = :municipality AND helper_ref = :helper_ref LIMIT {SHIFTS_OF_ONE_MAX}
""")
_ADD = text("""
    INSERT INTO helper_shift
        (municipality, shift_id, helper_ref, venue, weekday, from_min, to_min, every_weeks, nth, first_week, only_on)
    VALUES (:municipality, :shift_id, :helper_ref, :venue, :weekday, :from_min, :to_min, :every_weeks, :nth,
            :first_week, :only_on)
""")
_FIND = text("""
    SELECT venue, from_min, to_min, only_on FROM helper_shift
    WHERE municipality = :municipality AND shift_id = :shift_id AND helper_ref = :helper_ref
""")
_REMOVE = text("""
    DELETE FROM helper_shift
    WHERE municipality = :municipality AND shift_id = :shift_id AND helper_ref = :helper_ref RETURNING venue
""")


async def add_shift(
    session: AsyncSession, actor: Identity, order: AddShift, *, helper_ref: str | None = None, now: datetime
) -> UUID:
    """Be at a venue at this time. Its places appear at once, up to the horizon.

    A coordinator says it for the helper with this `helper_ref`. Two rhythms of one weekday do not overlap, in whichever
    weeks they are; a single day overlaps with nothing on that day.

    Raises:
        Refusal: `roster_missing` (409), `shift_unfit` (422), `venue_unknown` (404), `shift_overlaps`,
            `too_many_shifts` (409).
    """
    ref, town = helper_ref or actor.ref, actor.municipality
    order = msgspec.structs.replace(
        order,
        nth=tuple(sorted(set(order.nth))),
        first_week=order.first_week if order.every_weeks > 1 else None,
    )
    shift = msgspec.convert(msgspec.structs.asdict(order) | {"helper_ref": ref}, Shift)
    refuse_bad_shift(shift, today=jst_day(now))
    me = {"municipality": town, "helper_ref": ref}
    await check_on_roster(session, actor, ref)
    if (
        not order.venue.isprintable()
        or (await session.execute(_VENUE, {"municipality": town, "venue": order.venue})).one_or_none() is None
    ):
        raise Refusal("venue_unknown", 404)
    await session.execute(_FORGET_PAST, me | {"today": jst_day(now)})
    mine = [msgspec.convert(row, Shift, from_attributes=True) for row in await session.execute(_MINE, me)]
    if len(mine) >= SHIFTS_OF_ONE_MAX:
        raise Refusal("too_many_shifts", 409)
    if any(meet(shift, other) for other in mine):
        raise Refusal("shift_overlaps", 409)
    shift_id = uuid4()
    added = msgspec.structs.asdict(order) | {"shift_id": shift_id, "nth": list(order.nth)}
    await session.execute(_ADD, me | added)
    if order.only_on is not None:
        starts_at, ends_at = day_span(order.only_on, order.from_min, order.to_min)
        await gap_filled(session, town, Gap(venue=order.venue, starts_at=starts_at, ends_at=ends_at), now=now)
    await record_deed(session, actor, "add-shift", shift_id, now=now)
    await bring_venues(session, town, [order.venue], now=now)
    return shift_id


async def remove_shift(
    session: AsyncSession, actor: Identity, shift_id: UUID, *, helper_ref: str | None = None, now: datetime
) -> bool:
    """Not there any more. Removed again, nothing changes. Returns whether it was a single day.

    Of a rhythm, what was promised stays: for that, there is "cannot come". A single day is taken back with all that is
    in it: others are asked for those visits; and when a coordinator did it, the helper is told.

    Raises:
        Refusal: `roster_missing` (409).
    """
    ref, town = helper_ref or actor.ref, actor.municipality
    key = {"municipality": town, "helper_ref": ref, "shift_id": shift_id}
    found = (await session.execute(_FIND, key)).one_or_none() if ref.isprintable() else None
    span = None
    if found is None or (found.only_on is None and ref != actor.ref):
        # It is gone; or a rhythm, which is the helper's own to say.
        return False
    if found.only_on is not None:
        span = Span(found.venue, *day_span(found.only_on, found.from_min, found.to_min))
        await lock_ahead(session, town, ref, span, now=now)
    await check_on_roster(session, actor, ref)
    venue = (await session.execute(_REMOVE, key)).scalar_one_or_none()
    if venue is None:
        return span is not None
    await record_deed(session, actor, "remove-shift", shift_id, now=now)
    if span is not None:
        await hand_over(session, town, ref, span, is_told=ref != actor.ref, now=now)
    await bring_venues(session, town, [venue], now=now)
    return span is not None


async def check_on_roster(session: AsyncSession, actor: Identity, helper_ref: str | None = None) -> None:
    """Whether the account has arrived here, and is open; locks its row.

    Raises:
        Refusal: `roster_missing` (409).
    """
    ref = helper_ref or actor.ref
    me = {"municipality": actor.municipality, "helper_ref": ref}
    found = (await session.execute(_ME, me)).one_or_none() if ref.isprintable() else None
    if found is None or not found.is_open:
        raise Refusal("roster_missing", 409)
