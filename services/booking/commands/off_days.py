"""Helpers say when they are away, how many visits of a week they take, and when they pause. Places follow at once.

What was promised stays: for that, there is "cannot come".
"""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.shifts import check_on_roster
from services.booking.commands.venues import bring_venues
from services.booking.domain.shifts import AWAY_MAX, VISITS_PER_WEEK_MAX, AwayDays, refuse_bad_days
from services.booking.queries.helpers import list_venues_of
from shared.audit import record_deed
from shared.clock import jst_day
from shared.errors import Refusal
from shared.tokens import Identity

_KNOWN = text(f"""
    SELECT first_day, last_day FROM helper_away
    WHERE municipality = :municipality AND helper_ref = :helper_ref AND last_day >= :today LIMIT {AWAY_MAX}
""")
_ADD = text("""
    INSERT INTO helper_away (municipality, away_id, helper_ref, first_day, last_day)
    VALUES (:municipality, :away_id, :helper_ref, :first_day, :last_day)
""")
_REMOVE = text("""
    DELETE FROM helper_away
    WHERE municipality = :municipality AND away_id = :away_id AND helper_ref = :helper_ref RETURNING away_id
""")
_PER_WEEK = text("""
    UPDATE helper SET visits_per_week = :visits
    WHERE (municipality, helper_ref) = (:municipality, :helper_ref) AND visits_per_week <> :visits RETURNING helper_ref
""")
_PAUSE = text("""
    UPDATE helper SET paused_on = :today
    WHERE (municipality, helper_ref) = (:municipality, :helper_ref) AND paused_on IS NULL RETURNING helper_ref
""")
_RESUME = text("""
    UPDATE helper SET paused_on = NULL
    WHERE (municipality, helper_ref) = (:municipality, :helper_ref) AND paused_on IS NOT NULL RETURNING helper_ref
""")


async def add_days_away(session: AsyncSession, actor: Identity, days: AwayDays, *, now: datetime) -> None:
    """Away on these days. The same days again change nothing.

    Raises:
        Refusal: `roster_missing`, `too_many_days_away` (409), `away_unfit` (422).
    """
    today = jst_day(now)
    refuse_bad_days(days, today=today)
    await check_on_roster(session, actor)
    known = (await session.execute(_KNOWN, _me(actor) | {"today": today})).all()
    if any((row.first_day, row.last_day) == (days.first_day, days.last_day) for row in known):
        return
    if len(known) >= AWAY_MAX:
        raise Refusal("too_many_days_away", 409)
    away_id = uuid4()
    added = {"away_id": away_id, "first_day": days.first_day, "last_day": days.last_day}
    await session.execute(_ADD, _me(actor) | added)
    await record_deed(session, actor, "add-away", away_id, now=now)
    await _bring_places(session, actor, now=now)


async def remove_days_away(session: AsyncSession, actor: Identity, away_id: UUID, *, now: datetime) -> None:
    """There on these days after all. Removed again, nothing changes.

    Raises:
        Refusal: `roster_missing` (409).
    """
    await check_on_roster(session, actor)
    await _change(session, actor, "remove-away", away_id, _REMOVE, {"away_id": away_id}, now=now)


async def take_visits_per_week(session: AsyncSession, actor: Identity, visits: int, *, now: datetime) -> None:
    """So many visits at the most between a Monday and its Sunday, asked and promised ones.

    Raises:
        Refusal: `roster_missing` (409), `visits_unfit` (422).
    """
    if not 1 <= visits <= VISITS_PER_WEEK_MAX:
        raise Refusal("visits_unfit", 422)
    await check_on_roster(session, actor)
    await _change(session, actor, "visits-per-week", actor.ref, _PER_WEEK, {"visits": visits}, now=now)


async def pause(session: AsyncSession, actor: Identity, *, now: datetime) -> None:
    """Asked nothing, until they say otherwise.

    Raises:
        Refusal: `roster_missing` (409).
    """
    await check_on_roster(session, actor)
    await _change(session, actor, "pause", actor.ref, _PAUSE, {"today": jst_day(now)}, now=now)


async def resume(session: AsyncSession, actor: Identity, *, now: datetime) -> None:
    """Asked again.

    Raises:
        Refusal: `roster_missing` (409).
    """
    await check_on_roster(session, actor)
    await _change(session, actor, "resume", actor.ref, _RESUME, {}, now=now)


async def _change(
    session: AsyncSession,
    actor: Identity,
    deed: str,
    subject: UUID | str,
    statement: Any,
    values: dict[str, Any],
    *,
    now: datetime,
) -> None:
    """What changes nothing is no deed, and moves no place."""
    if (await session.execute(statement, _me(actor) | values)).one_or_none() is None:
        return
    await record_deed(session, actor, deed, subject, now=now)
    await _bring_places(session, actor, now=now)


async def _bring_places(session: AsyncSession, actor: Identity, *, now: datetime) -> None:
    venues = await list_venues_of(session, actor.municipality, actor.ref)
    await bring_venues(session, actor.municipality, venues, now=now)


def _me(actor: Identity) -> dict[str, Any]:
    return {"municipality": actor.municipality, "helper_ref": actor.ref}
