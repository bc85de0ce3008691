"""Classes (教室) that fit a request for help, and the seat that is kept for it, or meets it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.domain.class_seats import OpenClass, rank_classes, why_class
from services.booking.domain.classes import EntryState, Stage, offer_until
from services.booking.domain.matching import HelpWanted, Reason
from services.booking.queries.classes import ClassView, list_classes
from services.booking.queries.help_requests import RequestView, get_request
from services.booking.queries.helpers import HELPERS_MAX
from shared.events.booking import ClassHint

# In which somebody who asks can have a seat, at once or by lot.
HINTS_MAX = 3
ENTERABLE: tuple[Stage, ...] = ("free", "applying")


class FittingClass(msgspec.Struct, frozen=True, kw_only=True):
    """A class that fits, and what speaks for it."""

    course: ClassView
    reasons: tuple[Reason, ...]


class SeatView(msgspec.Struct, frozen=True, kw_only=True):
    """A seat of a request: kept until `offer_until` (`offered`), or theirs. `is_decided`: by a coordinator."""

    entry_id: UUID
    course_id: UUID
    number: str
    state: EntryState
    offer_until: datetime | None
    reasons: tuple[Reason, ...]
    is_decided: bool


_SIGNERS = text(f"""
    SELECT helper_ref FROM helper WHERE municipality = :municipality AND signs ORDER BY helper_ref LIMIT {HELPERS_MAX}
""")
# The one that lives, or that met it; else the last one.
_SEATS = text("""
    SELECT e.entry_id, e.course_id, e.number, e.state, e.offer_until, e.reasons, e.decided_by IS NOT NULL AS is_decided
    FROM course_entry e
    WHERE (e.municipality, e.request_id) = (:municipality, :request_id)
    ORDER BY e.state IN ('withdrawn', 'called_off'), e.entered_at DESC LIMIT 1
""")
_KNOWN = text("""
    SELECT DISTINCT e.course_id FROM course_entry e JOIN help_request r ON r.municipality = e.municipality
    WHERE (r.municipality, r.request_id) = (:municipality, :request_id)
      AND (e.subject_ref = r.subject_ref OR e.guest_ref = r.guest_ref AND e.came_by = 'web')
      AND e.state NOT IN ('withdrawn', 'called_off') LIMIT 300
""")


async def list_open_classes(session: AsyncSession, municipality: str, *, now: datetime) -> list[OpenClass]:
    """The classes in which a seat can be offered now: free, wished by nobody who waits, and time to answer."""
    signers = await _signers(session, municipality)
    return [
        _open_class(each, signers)
        for each in await list_classes(session, municipality, now=now)
        if each.stage(now) == "free" and each.begins_at is not None and offer_until(each.begins_at, now=now) is not None
    ]


async def list_fitting(
    session: AsyncSession, municipality: str, wanted: HelpWanted, *, stages: Sequence[Stage] = ENTERABLE, now: datetime
) -> list[FittingClass]:
    """The classes that fit, the best first."""
    signers = await _signers(session, municipality)
    views = {
        str(each.course_id): each
        for each in await list_classes(session, municipality, now=now)
        if each.stage(now) in stages
    }
    ranked = rank_classes(wanted, [_open_class(each, signers) for each in views.values()])
    return [FittingClass(course=views[each.course_id], reasons=why_class(wanted, each)) for each in ranked]


async def list_fitting_request(
    session: AsyncSession, municipality: str, found: RequestView, *, stages: Sequence[Stage] = ENTERABLE, now: datetime
) -> list[FittingClass]:
    """The classes that fit a request, without those that they are in."""
    mine = {"municipality": municipality, "request_id": found.request_id}
    known = set((await session.execute(_KNOWN, mine)).scalars())
    fitting = await list_fitting(session, municipality, wanted_of(found), stages=stages, now=now)
    return [each for each in fitting if each.course.course_id not in known]


async def list_hints(session: AsyncSession, municipality: str, request_id: UUID, *, now: datetime) -> list[ClassHint]:
    """The classes that a message names to whom nobody was found, the best first."""
    found = await get_request(session, municipality, request_id)
    fitting = await list_fitting_request(session, municipality, found, now=now)
    return [
        ClassHint(
            title_ja=each.course.title_ja,
            venue_ja=each.course.venue_name,
            starts_at=each.course.sessions[0].starts_at,
        )
        for each in fitting[:HINTS_MAX]
    ]


async def find_seat(session: AsyncSession, municipality: str, request_id: UUID) -> SeatView | None:
    """The seat that is kept for a request, or meets it; or the last that was."""
    row: Any = (await session.execute(_SEATS, {"municipality": municipality, "request_id": request_id})).one_or_none()
    return None if row is None else msgspec.convert(row, SeatView, from_attributes=True)


def wanted_of(found: RequestView) -> HelpWanted:
    """A request as the matching sees it, without whom it knows."""
    return HelpWanted(
        request_id=str(found.request_id),
        skill=found.skill,
        window=found.window,
        venues=frozenset(found.venues),
        only_there=found.only_there,
        language=found.language.partition("-")[0],
        language_need=found.language_need,
        sign_need=found.sign_need,
        in_class=found.in_class,
    )


async def _signers(session: AsyncSession, municipality: str) -> frozenset[str]:
    return frozenset((await session.execute(_SIGNERS, {"municipality": municipality})).scalars())


def _open_class(course: ClassView, signers: frozenset[str]) -> OpenClass:
    return OpenClass(
        course_id=str(course.course_id),
        venue=course.venue,
        teaches=frozenset((*course.topics, *course.procedures)),
        language=course.language.partition("-")[0],
        signs=all(any(ref in signers for ref, _role in each.staff) for each in course.sessions),
        times=tuple((each.starts_at, each.ends_at) for each in course.sessions),
        seats=course.free,
    )
