"""What the matching works with: who asks, who can be asked, and which places at venues are free."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.domain.matching import Candidate, FreePlace, HelpWanted, HelpWindow, Presence, monday_of
from services.booking.domain.rules import policy_for
from services.booking.domain.shifts import week_time
from services.booking.queries.askable import TAKES_REQUESTS
from services.booking.queries.helpers import HELPERS_MAX, SHIFTS_MAX, VENUES_MAX
from services.booking.queries.rules import get_rules
from services.booking.queries.slots import list_slots
from shared.clock import jst_day

REQUESTS_MAX = 500
VISITS_MAX = 20_000
# Who had fewest visits in so many weeks, and has fewest ahead, is asked first.
LATELY = timedelta(days=28)

# Whoever is planned with somebody, or has an appointment that a helper was asked for, waits for that.
_WANTED = text(f"""
    SELECT r.request_id, coalesce(nullif(r.topic, ''), r.procedure) AS skill, r.first_day, r.last_day, r.weekdays,
           r.from_min, r.to_min, r.venues, r.only_there, r.language, r.language_need, r.sign_need, r.until, r.in_class,
           -- One seat at a time is kept; none of the same class twice.
           EXISTS (SELECT 1 FROM course_entry e
                   WHERE (e.municipality, e.request_id) = (r.municipality, r.request_id)
                     AND e.state NOT IN ('withdrawn', 'called_off')) AS has_seat,
           ARRAY(SELECT DISTINCT CAST(e.course_id AS text) FROM course_entry e
                 WHERE e.municipality = r.municipality
                   AND (e.request_id = r.request_id
                        OR (e.subject_ref = r.subject_ref OR e.guest_ref = r.guest_ref AND e.came_by = 'web')
                           AND e.state NOT IN ('withdrawn', 'called_off')) LIMIT 300)
               AS known_classes,
           p.notice_min, p.horizon_days,
           ARRAY(SELECT m.helper_ref FROM help_match m
                 WHERE (m.municipality, m.request_id) = (r.municipality, r.request_id)) AS tried,
           ARRAY(SELECT DISTINCT s.helper_ref FROM appointment a
                 JOIN assignment s ON (s.municipality, s.appointment_id) = (a.municipality, a.appointment_id)
                 WHERE (a.municipality, a.subject_ref) = (r.municipality, r.subject_ref) AND a.state = 'done'
                   AND s.state = 'accepted' LIMIT 100) AS met
    FROM help_request r JOIN procedure p ON (p.municipality, p.code) = (r.municipality, r.procedure) AND p.with_helper
    WHERE r.municipality = :municipality AND r.state = 'open' AND r.appointment_id IS NULL AND r.until > :now
      AND coalesce(r.plan_again_at, :now) <= :now
      AND NOT EXISTS (SELECT 1 FROM help_match m
                      WHERE (m.municipality, m.request_id) = (r.municipality, r.request_id)
                        AND m.appointment_id IS NULL)
    ORDER BY r.opened_at, r.request_id LIMIT {REQUESTS_MAX}
""")
_HELPERS = text(f"""
    SELECT h.helper_ref, h.languages, h.topics, h.signs, h.visits_per_week FROM helper h
    WHERE h.municipality = :municipality AND {TAKES_REQUESTS} ORDER BY h.helper_ref LIMIT {HELPERS_MAX}
""")
_SHIFTS = text(f"""
    SELECT helper_ref, venue, weekday, from_min, to_min, every_weeks, nth, first_week, only_on FROM helper_shift
    WHERE municipality = :municipality ORDER BY helper_ref, weekday, from_min LIMIT {SHIFTS_MAX}
""")
_AWAY = text(f"""
    SELECT helper_ref, first_day, last_day FROM helper_away
    WHERE municipality = :municipality AND last_day >= :today ORDER BY helper_ref LIMIT {SHIFTS_MAX}
""")
# Who said no to a time is not there then; who is planned for one, or teaches a class, is busy.
_VISITS = text(f"""
    SELECT helper_ref, lower(during) AS starts_at, upper(during) AS ends_at, state <> 'declined' AS counts
    FROM assignment
    WHERE municipality = :municipality AND state IN ('asked', 'accepted', 'declined') AND upper(during) > :since
    UNION ALL
    SELECT m.helper_ref, s.starts_at, s.ends_at, true FROM help_match m
    JOIN slot s ON (s.municipality, s.slot_id) = (m.municipality, m.slot_id)
    WHERE m.municipality = :municipality AND m.appointment_id IS NULL AND s.starts_at > :now
      AND m.match_id IS DISTINCT FROM CAST(:without AS uuid)
    UNION ALL
    SELECT t.helper_ref, t.starts_at, t.ends_at, false FROM course_staff t
    WHERE t.municipality = :municipality AND t.ends_at > :now
    LIMIT {VISITS_MAX}
""")
_VENUES = text(f"""
    SELECT counter FROM counter_rule
    WHERE municipality = :municipality AND kind = 'venue' ORDER BY counter LIMIT {VENUES_MAX}
""")


async def list_wanted(session: AsyncSession, municipality: str, *, now: datetime) -> list[HelpWanted]:
    """The requests for which nobody is asked now; who asked first comes first.

    Not those of which a plan could not be carried out just now.
    """
    town = (await get_rules(session, municipality)).policy
    asked = {"municipality": municipality, "now": now}
    wanted = []
    for row in (await session.execute(_WANTED, asked)).all():
        if row.has_seat and row.in_class == "only":
            continue
        policy = policy_for(town, notice_min=row.notice_min, horizon_days=row.horizon_days)
        first = max(row.first_day, jst_day(now + timedelta(minutes=policy.notice_min)))
        last = min(row.last_day, jst_day(now) + timedelta(days=policy.horizon_days))
        window = HelpWindow(
            first_day=first, last_day=last, weekdays=tuple(row.weekdays), from_min=row.from_min, to_min=row.to_min
        )
        wanted.append(
            HelpWanted(
                request_id=str(row.request_id),
                skill=row.skill,
                window=window,
                venues=frozenset(row.venues),
                only_there=row.only_there,
                language=row.language.partition("-")[0],
                language_need=row.language_need,
                sign_need=row.sign_need,
                tried=frozenset(row.tried),
                met=frozenset(row.met),
                in_class="no" if row.has_seat else row.in_class,
                known_classes=frozenset(row.known_classes),
                days_left=(row.until - now).days,
            )
        )
    return wanted


async def list_candidates(
    session: AsyncSession, municipality: str, *, without: UUID | None = None, now: datetime
) -> list[Candidate]:
    """The helpers who can be asked: what they can do, when they are there, and what they have taken on.

    `without` a plan that is just carried out.
    """
    town: dict[str, Any] = {"municipality": municipality, "today": jst_day(now)}
    asked = town | {"now": now, "since": now - LATELY, "without": without}
    shifts = _by_helper((await session.execute(_SHIFTS, asked)).all())
    away = _by_helper((await session.execute(_AWAY, asked)).all())
    visits = _by_helper((await session.execute(_VISITS, asked)).all())
    return [
        Candidate(
            helper_ref=row.helper_ref,
            languages=frozenset(row.languages),
            topics=frozenset(row.topics),
            signs=row.signs,
            visits_per_week=row.visits_per_week,
            shifts=tuple(msgspec.convert(each, Presence, from_attributes=True) for each in shifts[row.helper_ref]),
            away=tuple((each.first_day, each.last_day) for each in away[row.helper_ref]),
            busy=tuple((each.starts_at, each.ends_at) for each in visits[row.helper_ref] if each.ends_at > now),
            taken=_count_weeks(visits[row.helper_ref]),
            lately=sum(each.counts for each in visits[row.helper_ref]),
        )
        for row in (await session.execute(_HELPERS, asked)).all()
    ]


async def list_free_places(
    session: AsyncSession, municipality: str, windows: Sequence[HelpWindow], *, now: datetime
) -> list[FreePlace]:
    """The venues' free places on the days of these windows, within the town's notice and horizon."""
    if not windows:
        return []
    venues = list((await session.execute(_VENUES, {"municipality": municipality})).scalars())
    policy = (await get_rules(session, municipality)).policy
    first, last = min(each.first_day for each in windows), max(each.last_day for each in windows)
    slots = await list_slots(session, municipality, venues, policy, first=first, last=last, now=now)
    return [
        FreePlace(
            slot_id=str(slot.slot_id),
            venue=slot.counter,
            starts_at=slot.starts_at,
            ends_at=slot.ends_at,
            free=slot.free,
        )
        for slot in slots
        if slot.free
    ]


def _by_helper(rows: Sequence[Any]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = defaultdict(list)
    for row in rows:
        found[row.helper_ref].append(row)
    return found


def _count_weeks(visits: Sequence[Any]) -> dict[Any, int]:
    weeks: dict[Any, int] = defaultdict(int)
    for each in visits:
        if each.counts:
            weeks[monday_of(week_time(each.starts_at, each.ends_at).day)] += 1
    return dict(weeks)
