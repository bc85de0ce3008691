"""What opening rules come to: a venue's slots with its helpers, a counter's versions, and what a new one would do."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Literal

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.domain.calendar import SlotTime, days_between
from services.booking.domain.opening import (
    DayPlan,
    OpeningRule,
    PlannedSlot,
    Version,
    plan_day,
    planned_slots,
    slot_times,
)
from services.booking.domain.rules import JST
from services.booking.domain.shifts import HelperTime, Shift, count_helpers, week_of
from services.booking.queries.askable import TAKES_REQUESTS
from services.booking.queries.rules import Kind, find_days_off, get_rules
from shared.clock import jst_day

SHIFTS_MAX = 5_000
VERSIONS_SHOWN_MAX = 200
SLOTS_MAX = 20_000
CONFLICTS_MAX = 2_000


class VersionView(msgspec.Struct, frozen=True, kw_only=True):
    """A published version that is not withdrawn."""

    version: int
    valid_from: date
    rule: OpeningRule
    origin: Literal["pack", "staff"]
    published_at: datetime


class Conflict(msgspec.Struct, frozen=True, kw_only=True):
    """An appointment at a time that the new rule no longer has. It stays until somebody moves it."""

    number: str
    starts_at: datetime
    procedure: str


class Resized(msgspec.Struct, frozen=True, kw_only=True):
    """A slot that begins as before and takes another time, or another number of people, or keeps others for whom."""

    before: SlotTime
    after: SlotTime
    places_before: int
    places_after: int


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """What a new version would do from its first day to the horizon; nothing of it is done."""

    first: date
    last: date
    appearing: tuple[SlotTime, ...]
    disappearing: tuple[SlotTime, ...]
    resized: tuple[Resized, ...]
    conflicts: tuple[Conflict, ...]


_SHIFTS = text(f"""
    SELECT s.helper_ref, s.weekday, s.from_min, s.to_min, s.every_weeks, s.nth, s.first_week, s.only_on
    FROM helper_shift s
    JOIN helper h ON (h.municipality, h.helper_ref) = (s.municipality, s.helper_ref)
    WHERE s.municipality = :municipality AND s.venue = :venue AND {TAKES_REQUESTS} LIMIT {SHIFTS_MAX}
""")
# They said no, or are with somebody elsewhere; they are away; or they have visits enough in that week.
_AWAY = text(f"""
    SELECT s.helper_ref, lower(s.during) AS starts_at, upper(s.during) AS ends_at FROM assignment s
    JOIN appointment a ON (a.municipality, a.appointment_id) = (s.municipality, s.appointment_id)
    WHERE s.municipality = :municipality AND upper(s.during) > :now
      AND (s.state = 'declined' OR s.state IN ('asked', 'accepted') AND a.counter <> :venue)
    UNION ALL
    SELECT g.helper_ref, g.first_day::timestamp AT TIME ZONE 'Asia/Tokyo',
           (g.last_day + 1)::timestamp AT TIME ZONE 'Asia/Tokyo'
    FROM helper_away g WHERE g.municipality = :municipality AND g.last_day >= :today
    UNION ALL
    SELECT h.helper_ref, week AT TIME ZONE 'Asia/Tokyo', (week + interval '7 days') AT TIME ZONE 'Asia/Tokyo'
    FROM (SELECT s.helper_ref, date_trunc('week', lower(s.during) AT TIME ZONE 'Asia/Tokyo') AS week,
                 count(*) AS visits
          FROM assignment s
          WHERE s.municipality = :municipality AND s.state IN ('asked', 'accepted') AND upper(s.during) > :monday
          GROUP BY s.helper_ref, week) AS taken
    JOIN helper h ON (h.municipality, h.helper_ref) = (:municipality, taken.helper_ref)
    WHERE visits >= h.visits_per_week
    UNION ALL
    SELECT t.helper_ref, t.starts_at, t.ends_at FROM course_staff t
    WHERE t.municipality = :municipality AND t.ends_at > :now
    LIMIT {SHIFTS_MAX}
""")
_MEETINGS = text(f"""
    SELECT s.helper_ref, lower(s.during) AS starts_at, upper(s.during) AS ends_at FROM assignment s
    JOIN appointment a ON (a.municipality, a.appointment_id) = (s.municipality, s.appointment_id)
    WHERE s.municipality = :municipality AND upper(s.during) > :now AND s.state IN ('asked', 'accepted')
      AND a.counter = :venue
    LIMIT {SHIFTS_MAX}
""")
_KIND = text("SELECT kind FROM counter_rule WHERE (municipality, counter) = (:municipality, :counter)")
_ALL_VERSIONS = text(f"""
    SELECT version, valid_from, rule, origin, published_at FROM opening_rule
    WHERE municipality = :municipality AND counter = :counter AND withdrawn_at IS NULL
    ORDER BY valid_from DESC LIMIT {VERSIONS_SHOWN_MAX}
""")
_HIGHEST = text("""
    SELECT coalesce(max(version), 0) FROM opening_rule WHERE municipality = :municipality AND counter = :counter
""")
# Of each counter the rule that counts last, where staff made it.
_BY_STAFF = text(f"""
    SELECT counter, valid_from FROM (
        SELECT DISTINCT ON (counter) counter, valid_from, origin FROM opening_rule
        WHERE municipality = :municipality AND withdrawn_at IS NULL ORDER BY counter, valid_from DESC) AS last
    WHERE origin = 'staff' ORDER BY counter LIMIT {VERSIONS_SHOWN_MAX}
""")
_SLOTS = text(f"""
    SELECT s.starts_at, s.ends_at, s.capacity, s.withdrawn, kept.staff_only, kept.kiosk
    FROM slot s, LATERAL (
        SELECT count(*) FILTER (WHERE p.audience = 'staff') AS staff_only,
               count(*) FILTER (WHERE p.audience = 'kiosk') AS kiosk
        FROM place p WHERE p.municipality = s.municipality AND p.slot_id = s.slot_id) AS kept
    WHERE s.municipality = :municipality AND s.counter = :counter AND s.starts_at >= :first AND s.starts_at < :until
    ORDER BY s.starts_at LIMIT {SLOTS_MAX}
""")
_BOOKED = text(f"""
    SELECT a.number, a.starts_at, coalesce(p.name_ja, a.procedure) AS procedure,
           -- When each of its places ends.
           CASE WHEN a.parts = 1 THEN ARRAY[a.ends_at] ELSE ARRAY(
               SELECT s.ends_at FROM place q JOIN slot s ON (s.municipality, s.slot_id) = (q.municipality, q.slot_id)
               WHERE q.municipality = a.municipality AND q.appointment_id = a.appointment_id
               ORDER BY q.part) END AS ends
    FROM appointment a LEFT JOIN procedure p ON (p.municipality, p.code) = (a.municipality, a.procedure)
    WHERE a.municipality = :municipality AND a.counter = :counter AND a.state = 'booked'
      AND a.day BETWEEN :first_day AND :last_day
    ORDER BY a.starts_at, a.number LIMIT {CONFLICTS_MAX}
""")


async def plan_venue(
    session: AsyncSession, municipality: str, venue: str, plans: Sequence[DayPlan], *, now: datetime
) -> list[PlannedSlot]:
    """A venue's slots from now on: those for which a helper is there."""
    monday, _next = week_of(now)
    asked = {"municipality": municipality, "venue": venue, "today": jst_day(now), "monday": monday, "now": now}
    shifts = [msgspec.convert(row, Shift, from_attributes=True) for row in await session.execute(_SHIFTS, asked)]
    away, meetings = [
        [msgspec.convert(row, HelperTime, from_attributes=True) for row in await session.execute(statement, asked)]
        for statement in (_AWAY, _MEETINGS)
    ]
    times = [slot for plan in plans for slot in slot_times(plan) if slot.starts_at > now]
    counted = [PlannedSlot(time, count_helpers(time, shifts, away, meetings)) for time in times]
    return [slot for slot in counted if slot.places]


async def find_kind(session: AsyncSession, municipality: str, counter: str) -> Kind | None:
    """Whether this is a counter or a venue with opening rules; None if it is neither."""
    if not counter.isprintable():
        return None
    asked = {"municipality": municipality, "counter": counter}
    kind: Kind | None = (await session.execute(_KIND, asked)).scalar_one_or_none()
    return kind


async def list_versions(session: AsyncSession, municipality: str, counter: str) -> list[VersionView]:
    """Every version of a counter that is not withdrawn, the newest day first."""
    rows = await session.execute(_ALL_VERSIONS, {"municipality": municipality, "counter": counter})
    return [msgspec.convert(row._mapping, VersionView) for row in rows]


async def list_hours_of_staff(session: AsyncSession, municipality: str) -> list[tuple[str, date]]:
    """The counters whose hours are not the pack's, because staff published their own, and from which day on."""
    rows = await session.execute(_BY_STAFF, {"municipality": municipality})
    return [(row.counter, row.valid_from) for row in rows]


async def highest_version(session: AsyncSession, municipality: str, counter: str) -> int:
    """The number of the version published last, withdrawn or not; 0 if there was none."""
    asked = {"municipality": municipality, "counter": counter}
    return int((await session.execute(_HIGHEST, asked)).scalar_one())


async def preview_change(
    session: AsyncSession, municipality: str, counter: str, kind: Kind, new: Version, *, now: datetime
) -> Preview:
    """What publishing this version would do to slots and appointments, up to its successor or the horizon."""
    town = await get_rules(session, municipality)
    first, last = new.valid_from, jst_day(now) + timedelta(days=town.policy.horizon_days)
    later = [found.valid_from for found in await list_versions(session, municipality, counter)]
    last = min([last, *(day - timedelta(days=1) for day in later if day > first)])
    if first > last:
        return Preview(first=first, last=last, appearing=(), disappearing=(), resized=(), conflicts=())
    days = list(days_between(first, last))
    closed, holidays = await find_days_off(session, municipality, town, days)
    plans = [plan_day([new], day, closed=closed, holidays=holidays) for day in days]
    if kind == "venue":
        planned = await plan_venue(session, municipality, counter, plans, now=now)
    else:
        planned = [slot for plan in plans for slot in planned_slots(plan)]
    asked = {
        "municipality": municipality,
        "counter": counter,
        "first": _midnight(first),
        "until": _midnight(last + timedelta(days=1)),
        "first_day": first,
        "last_day": last,
    }
    slots = (await session.execute(_SLOTS, asked)).all()
    before = {
        row.starts_at: PlannedSlot(SlotTime(row.starts_at, row.ends_at), row.capacity, row.staff_only, row.kiosk)
        for row in slots
        if not row.withdrawn
    }
    after = {slot.time.starts_at: slot for slot in planned}
    # A venue is open at its hours whether or not a helper is there: only the hours make a conflict.
    open_times = {slot for plan in plans for slot in slot_times(plan)}
    booked = (await session.execute(_BOOKED, asked)).all()
    return Preview(
        first=first,
        last=last,
        appearing=tuple(slot.time for start, slot in after.items() if start not in before),
        disappearing=tuple(slot.time for start, slot in before.items() if start not in after),
        resized=tuple(
            Resized(
                before=slot.time, after=after[start].time, places_before=slot.places, places_after=after[start].places
            )
            for start, slot in before.items()
            if start in after and slot != after[start]
        ),
        conflicts=tuple(
            Conflict(number=row.number, starts_at=row.starts_at, procedure=row.procedure)
            for row in booked
            if not open_times.issuperset(map(SlotTime, [row.starts_at, *row.ends], row.ends))
        ),
    )


def _midnight(day: date) -> datetime:
    return datetime.combine(day, datetime.min.time(), JST)
