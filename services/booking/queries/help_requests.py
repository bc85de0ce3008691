"""A request for help as its owner sees it, and as coordinators do; who was not met; and what can be asked for."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.visits import VISIT_LIFETIME
from services.booking.domain.help_requests import UNMET_KEPT
from services.booking.domain.matching import (
    FreePlace,
    HelpWanted,
    HelpWindow,
    InClass,
    Need,
    Reason,
    can_be_there,
    cost_of,
    cost_of_load,
    cost_of_wait,
    why,
)
from services.booking.domain.shifts import week_time
from services.booking.keys import Keys, subject_context
from services.booking.queries.help_candidates import list_candidates, list_free_places
from shared.errors import Refusal
from shared.events.booking import HelpRequestState

LISTED_MAX, TOPICS_MAX, CHOICES_MAX = 200, 100, 30


class TopicView(msgspec.Struct, frozen=True, kw_only=True):
    """Something that helpers explain beside the procedures."""

    code: str
    name_ja: str


class RequestView(msgspec.Struct, frozen=True, kw_only=True):
    """A request, and how it stands. `asked_*` while a helper is asked; `code` for the browser that asked, for an hour.

    Of an appointment its owner was not told yet, there is no number; `entry_number` is of the class that met it.
    """

    request_id: UUID
    number: str
    state: HelpRequestState
    came_by: str
    guest_ref: str | None
    case_id: UUID | None
    procedure: str
    procedure_name: str
    skill: str
    topic_name: str | None
    venues: tuple[str, ...]
    venue_names: tuple[str, ...]
    only_there: bool
    first_day: date
    last_day: date
    weekdays: tuple[int, ...]
    from_min: int
    to_min: int
    in_class: InClass
    language: str
    language_need: Need
    sign_need: Need
    opened_at: datetime
    until: datetime
    tried: int
    asked_starts_at: datetime | None
    asked_venue: str | None
    appointment_id: UUID | None
    appointment_number: str | None
    entry_number: str | None
    code: str | None = None

    @property
    def window(self) -> HelpWindow:
        """When it may begin."""
        return HelpWindow(
            first_day=self.first_day,
            last_day=self.last_day,
            weekdays=self.weekdays,
            from_min=self.from_min,
            to_min=self.to_min,
        )


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """Who was matched to a request, why, and what became of it. `is_decided`: by a coordinator."""

    helper_ref: str
    reasons: tuple[Reason, ...]
    is_decided: bool
    matched_at: datetime
    starts_at: datetime | None
    state: str | None


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who could be asked, when and where, and what speaks for them; the best first."""

    helper_ref: str
    place: FreePlace
    reasons: tuple[Reason, ...]


_REQUEST = """
    SELECT r.request_id, r.number, r.state, r.came_by, r.guest_ref, r.case_id, r.procedure,
           coalesce(p.name_ja, r.procedure) AS procedure_name,
           coalesce(nullif(r.topic, ''), r.procedure) AS skill, t.name_ja AS topic_name, r.venues,
           ARRAY(SELECT coalesce(c.name_ja, v.code) FROM unnest(r.venues) WITH ORDINALITY AS v(code, no)
                 LEFT JOIN counter c ON (c.municipality, c.code) = (r.municipality, v.code)
                 ORDER BY v.no) AS venue_names,
           r.only_there, r.first_day, r.last_day, r.weekdays, r.from_min, r.to_min, r.in_class, r.language,
           r.language_need, r.sign_need, r.opened_at, r.until, r.appointment_id,
           (SELECT count(*) FROM help_match m
            WHERE (m.municipality, m.request_id) = (r.municipality, r.request_id)
              AND m.appointment_id IS NOT NULL) AS tried,
           a.starts_at AS asked_starts_at, coalesce(k.name_ja, a.counter) AS asked_venue,
           CASE WHEN r.state = 'met' THEN a.number END AS appointment_number, e.number AS entry_number,
           r.subject_ref, r.code_sealed, s.wrapped_key
    FROM help_request r
    LEFT JOIN procedure p ON (p.municipality, p.code) = (r.municipality, r.procedure)
    LEFT JOIN topic t ON (t.municipality, t.code) = (r.municipality, r.topic)
    LEFT JOIN appointment a ON (a.municipality, a.appointment_id) = (r.municipality, r.appointment_id)
    LEFT JOIN course_entry e ON (e.municipality, e.entry_id) = (r.municipality, r.entry_id)
    LEFT JOIN counter k ON (k.municipality, k.code) = (a.municipality, a.counter)
    LEFT JOIN subject_key s ON (s.municipality, s.subject_ref) = (r.municipality, r.subject_ref)
    WHERE r.municipality = :municipality {which}
"""
_BY_NUMBER = text(_REQUEST.format(which="AND r.number = :number"))
_BY_ID = text(_REQUEST.format(which="AND r.request_id = :request_id"))
_UNMET = text(
    _REQUEST.format(
        which=f"AND r.state = 'unmet' AND r.until > :since ORDER BY r.until DESC, r.request_id LIMIT {LISTED_MAX}"
    )
)
_OPEN = text(_REQUEST.format(which=f"AND r.state = 'open' ORDER BY r.until, r.request_id LIMIT {LISTED_MAX}"))
_OF_VISIT = text("""
    SELECT r.number FROM visit v
    JOIN help_request r ON (r.municipality, r.case_id, r.guest_ref) = (v.municipality, v.case_id, v.guest_ref)
    WHERE (v.municipality, v.visit_id) = (:municipality, :visit_id) AND r.state = 'open'
""")
_TOPICS = text(f"""
    SELECT code, name_ja FROM topic WHERE municipality = :municipality ORDER BY code LIMIT {TOPICS_MAX}
""")
_TRIED = text(f"""
    SELECT m.helper_ref, m.reasons, m.decided_by IS NOT NULL AS is_decided, m.matched_at, lower(s.during) AS starts_at,
           s.state
    FROM help_match m
    LEFT JOIN LATERAL (
        SELECT x.during, x.state FROM assignment x
        WHERE (x.municipality, x.appointment_id, x.helper_ref) = (m.municipality, m.appointment_id, m.helper_ref)
        ORDER BY x.asked_at DESC LIMIT 1) AS s ON true
    WHERE (m.municipality, m.request_id) = (:municipality, :request_id)
    ORDER BY m.matched_at, m.match_id LIMIT {LISTED_MAX}
""")
_MET = text("""
    SELECT DISTINCT s.helper_ref FROM help_request r
    JOIN appointment a ON (a.municipality, a.subject_ref) = (r.municipality, r.subject_ref) AND a.state = 'done'
    JOIN assignment s ON (s.municipality, s.appointment_id) = (a.municipality, a.appointment_id)
    WHERE (r.municipality, r.request_id) = (:municipality, :request_id) AND s.state = 'accepted' LIMIT 100
""")


async def find_request(
    session: AsyncSession, municipality: str, number: str, keys: Keys, *, now: datetime
) -> RequestView | None:
    """A request by its number, with its code for as long as it is shown. Who may see it, the caller decides."""
    row = (await session.execute(_BY_NUMBER, {"municipality": municipality, "number": number})).one_or_none()
    if row is None:
        return None
    found = _view(row)
    if row.code_sealed is None or row.wrapped_key is None or now >= row.opened_at + VISIT_LIFETIME:
        return found
    context = subject_context(municipality, row.subject_ref)
    code = keys.vault.open(row.wrapped_key, context, f"code/{row.request_id}", row.code_sealed)
    return msgspec.structs.replace(found, code=code)


async def get_request(session: AsyncSession, municipality: str, request_id: UUID) -> RequestView:
    """A request, for coordinators.

    Raises:
        Refusal: `help_unknown` (404).
    """
    asked = {"municipality": municipality, "request_id": request_id}
    row = (await session.execute(_BY_ID, asked)).one_or_none()
    if row is None:
        raise Refusal("help_unknown", 404)
    return _view(row)


async def find_request_of_visit(session: AsyncSession, municipality: str, visit_id: UUID) -> str | None:
    """The number of the open request of whoever came with this visit."""
    asked = {"municipality": municipality, "visit_id": visit_id}
    number: str | None = (await session.execute(_OF_VISIT, asked)).scalar_one_or_none()
    return number


async def list_unmet(session: AsyncSession, municipality: str, *, now: datetime) -> list[RequestView]:
    """Those for whom nobody was found in time: a coordinator is to see to them. The newest first."""
    asked = {"municipality": municipality, "since": now - UNMET_KEPT}
    return [_view(row) for row in (await session.execute(_UNMET, asked)).all()]


async def list_open(session: AsyncSession, municipality: str) -> list[RequestView]:
    """Those for whom somebody is looked for, or asked. The one with the least time left first."""
    return [_view(row) for row in (await session.execute(_OPEN, {"municipality": municipality})).all()]


async def list_topics(session: AsyncSession, municipality: str) -> list[TopicView]:
    """What helpers of the town explain beside the procedures."""
    rows = (await session.execute(_TOPICS, {"municipality": municipality})).all()
    return [msgspec.convert(row, TopicView, from_attributes=True) for row in rows]


async def list_tried(session: AsyncSession, municipality: str, request_id: UUID) -> list[Tried]:
    """Who was asked for a request, in order."""
    rows = (await session.execute(_TRIED, {"municipality": municipality, "request_id": request_id})).all()
    return [msgspec.convert(row, Tried, from_attributes=True) for row in rows]


async def list_choices(session: AsyncSession, municipality: str, found: RequestView, *, now: datetime) -> list[Choice]:
    """Who could be asked for a request, also beyond what it needs and what they want in a week: a person decides."""
    asked = {"municipality": municipality, "request_id": found.request_id}
    wanted = HelpWanted(
        request_id=str(found.request_id),
        skill=found.skill,
        window=found.window,
        venues=frozenset(found.venues),
        language=found.language.partition("-")[0],
        language_need=found.language_need,
        sign_need=found.sign_need,
        met=frozenset((await session.execute(_MET, asked)).scalars()),
    )
    helpers = await list_candidates(session, municipality, now=now)
    places = await list_free_places(session, municipality, [found.window], now=now)
    ranked: list[tuple[Any, Choice]] = []
    for place in places:
        time = week_time(place.starts_at, place.ends_at)
        if not found.window.admits(time):
            continue
        for helper in helpers:
            if can_be_there(helper, place, time):
                reasons = why(wanted, helper, place.venue)
                cost = cost_of(wanted, helper, reasons) + cost_of_wait(wanted, time.day) + cost_of_load(helper, 0)
                order = cost, place.starts_at, helper.helper_ref
                ranked.append((order, Choice(helper_ref=helper.helper_ref, place=place, reasons=reasons)))
    return [choice for _, choice in sorted(ranked, key=lambda each: each[0])[:CHOICES_MAX]]


def _view(row: Any) -> RequestView:
    named: Mapping[str, Any] = row._mapping
    return msgspec.convert({name: named[name] for name in RequestView.__struct_fields__ if name in named}, RequestView)
