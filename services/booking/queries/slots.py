"""Free slots: of a procedure's counters, over days; and what lies nearest to one that is gone."""

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from typing import Literal
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.domain.alternatives import Nearness, Spot, building_of, list_nearest
from services.booking.domain.rules import JST, Policy, earliest_start, last_day, policy_for
from services.booking.queries.runs import RUN_FROM, Need
from shared.db import Prepared

Channel = Literal["counter", "helper"]

SLOTS_MAX = 5_000
ALTERNATIVES_MAX = 6


class OpenSlot(msgspec.Struct, frozen=True, kw_only=True):
    """A slot in the bookable window; `free` public places, 0 when full."""

    slot_id: UUID
    counter: str
    starts_at: datetime
    ends_at: datetime
    free: int


class Alternative(msgspec.Struct, frozen=True, kw_only=True):
    """Another free slot, near the one that is gone; `where` it is, seen from that one."""

    slot_id: UUID
    starts_at: datetime
    counter: str
    where: Nearness


class ProcedureView(msgspec.Struct, frozen=True, kw_only=True):
    """A procedure of the catalogue as booking knows it. With a helper, `counters` are the town's venues.

    `notice_min` and `horizon_days` are its own, if it has any.
    """

    code: str
    name_ja: str
    office: str
    counters: tuple[str, ...]
    minutes: int
    discreet: bool
    notice_min: int | None = None
    horizon_days: int | None = None

    def policy(self, town: Policy) -> Policy:
        """The town's policy as it is for this procedure."""
        return policy_for(town, notice_min=self.notice_min, horizon_days=self.horizon_days)


class CounterView(msgspec.Struct, frozen=True, kw_only=True):
    """A counter (窓口), or a venue where helpers meet residents, as people find it."""

    code: str
    number: str
    name_ja: str
    office: str
    place_ja: str


# Where a procedure can be done by a channel: at its own counters, or with a helper at every venue. Never NULL.
WHERE_DONE = """
    CASE WHEN {channel} <> 'helper' THEN coalesce({procedure}.counters, '{{}}')
         WHEN {procedure}.with_helper THEN ARRAY(
             SELECT venue.counter FROM counter_rule venue
             WHERE venue.municipality = {procedure}.municipality AND venue.kind = 'venue'
             ORDER BY venue.counter LIMIT 200)
         ELSE '{{}}' END"""
FREE = """p.audience = 'public' AND p.appointment_id IS NULL AND (p.held_until IS NULL OR p.held_until <= :now)"""
_SLOTS = Prepared(f"""
    SELECT s.slot_id, s.counter, s.starts_at, s.ends_at,
           count(*) FILTER (WHERE p.appointment_id IS NULL AND (p.held_until IS NULL OR p.held_until <= :now)) AS free
    FROM slot s JOIN place p ON p.municipality = s.municipality AND p.slot_id = s.slot_id AND p.audience = 'public'
    WHERE s.municipality = :municipality AND s.counter = ANY (:counters)
      AND s.starts_at >= :earliest AND s.starts_at < :until AND NOT s.withdrawn
    GROUP BY s.municipality, s.slot_id
    ORDER BY s.starts_at, s.counter LIMIT {SLOTS_MAX}
""")
# The same for who needs more time: every slot from which it is covered, free in so many places all along.
_LONG_SLOTS = Prepared(f"""
    SELECT s.slot_id, s.counter, s.starts_at, run.ends_at, run.free
    FROM slot s, LATERAL {RUN_FROM} AS run
    WHERE s.municipality = :municipality AND s.counter = ANY (:counters)
      AND s.starts_at >= :earliest AND s.starts_at < :until AND NOT s.withdrawn
    ORDER BY s.starts_at, s.counter LIMIT {SLOTS_MAX}
""")
# The nearest before and after, of each counter by the index and no further; of all the nearest in time, and whoever is
# as near, for the place to decide.
_ALTERNATIVES = """
    WITH wanted AS (SELECT counter, starts_at FROM slot WHERE municipality = :municipality AND slot_id = :slot_id),
    candidate AS (
        SELECT near.* FROM wanted w, unnest(CAST(:counters AS text[])) AS asked(counter), LATERAL (
            (SELECT s.slot_id, s.starts_at, s.counter FROM slot s
             WHERE s.municipality = :municipality AND s.counter = asked.counter AND NOT s.withdrawn
               AND s.starts_at >= greatest(w.starts_at, :earliest) AND s.starts_at < :until AND s.slot_id <> :slot_id
               AND {is_free}
             ORDER BY s.starts_at LIMIT :most)
            UNION ALL
            (SELECT s.slot_id, s.starts_at, s.counter FROM slot s
             WHERE s.municipality = :municipality AND s.counter = asked.counter AND NOT s.withdrawn
               AND s.starts_at >= :earliest AND s.starts_at < least(w.starts_at, :until)
               AND {is_free}
             ORDER BY s.starts_at DESC LIMIT :most)) AS near),
    nearest AS (
        SELECT c.* FROM candidate c, wanted w
        ORDER BY abs(extract(epoch FROM c.starts_at - w.starts_at)) FETCH FIRST :most ROWS WITH TIES)
    SELECT shown.slot_id, shown.starts_at, shown.counter, coalesce(k.kind, 'counter') AS kind,
           coalesce(k.place_ja, '') AS place_ja, shown.is_wanted
    FROM (SELECT slot_id, starts_at, counter, false AS is_wanted FROM nearest
          UNION ALL SELECT :slot_id, starts_at, counter, true FROM wanted) AS shown
    LEFT JOIN counter k ON k.municipality = :municipality AND k.code = shown.counter
"""
_NEAREST = Prepared(
    _ALTERNATIVES.format(
        is_free=f"""EXISTS (SELECT 1 FROM place p
                           WHERE p.municipality = s.municipality AND p.slot_id = s.slot_id AND {FREE})"""
    )
)
_LONG_NEAREST = Prepared(_ALTERNATIVES.format(is_free=f"EXISTS (SELECT 1 FROM {RUN_FROM} AS run WHERE run.free > 0)"))
_EARLIEST = text(f"""
    SELECT s.starts_at FROM slot s
    WHERE s.municipality = :municipality AND s.counter = :counter AND NOT s.withdrawn
      AND s.starts_at >= :earliest AND s.starts_at < :until
      AND EXISTS (SELECT 1 FROM place p WHERE p.municipality = s.municipality AND p.slot_id = s.slot_id AND {FREE})
    ORDER BY s.starts_at LIMIT 1
""")
# Rules that changed may have left two at one time: the one that is free.
_AT = text(f"""
    SELECT s.slot_id FROM slot s
    WHERE s.municipality = :municipality AND s.counter = :counter AND s.starts_at = :starts_at
    ORDER BY s.withdrawn, EXISTS (SELECT 1 FROM place p
                                  WHERE p.municipality = s.municipality AND p.slot_id = s.slot_id AND {FREE}) DESC,
             s.slot_id
    LIMIT 1
""")
_PROCEDURE = Prepared(f"""
    SELECT code, name_ja, office, minutes, discreet, notice_min, horizon_days,
           {WHERE_DONE.format(channel="CAST(:channel AS text)", procedure="p")} AS counters
    FROM procedure p WHERE municipality = :municipality AND code = :code
""")
_PROCEDURES = text("""
    SELECT code, name_ja, office, counters, minutes, discreet, notice_min, horizon_days FROM procedure
    WHERE municipality = :municipality AND cardinality(counters) > 0 ORDER BY code LIMIT 1000
""")
_OWN_WINDOWS = Prepared("""
    SELECT p.code, p.notice_min, p.horizon_days FROM procedure p
    WHERE p.municipality = :municipality AND (p.notice_min IS NOT NULL OR p.horizon_days IS NOT NULL)
      AND (CAST(:counter AS text) = ANY (p.counters)
           OR p.with_helper AND EXISTS (
               SELECT 1 FROM counter_rule r
               WHERE (r.municipality, r.counter) = (p.municipality, CAST(:counter AS text)) AND r.kind = 'venue'))
    ORDER BY p.code LIMIT 1000
""")
_COUNTERS = text("""
    SELECT r.counter AS code, coalesce(c.number, r.counter) AS number, coalesce(c.name_ja, r.counter) AS name_ja,
           coalesce(c.office, r.office) AS office, coalesce(c.place_ja, '') AS place_ja
    FROM counter_rule r LEFT JOIN counter c ON (c.municipality, c.code) = (r.municipality, r.counter)
    WHERE r.municipality = :municipality ORDER BY r.counter LIMIT 1000
""")


async def find_slot_at(
    session: AsyncSession, municipality: str, counter: str, starts_at: datetime, *, now: datetime
) -> UUID | None:
    """The slot of a counter that begins then, free or not."""
    asked = {"municipality": municipality, "counter": counter, "starts_at": starts_at, "now": now}
    slot_id: UUID | None = (await session.execute(_AT, asked)).scalar_one_or_none()
    return slot_id


def window_end(policy: Policy, now: datetime) -> datetime:
    """The end of the last bookable day."""
    return start_of_day(last_day(policy, now) + timedelta(days=1))


def start_of_day(day: date) -> datetime:
    """Midnight in Japan."""
    return datetime.combine(day, time(0), JST)


async def list_slots(
    session: AsyncSession,
    municipality: str,
    counters: Sequence[str],
    policy: Policy,
    *,
    first: date,
    last: date,
    need: Need | None = None,
    now: datetime,
) -> list[OpenSlot]:
    """Every slot of these counters from `first` to `last` that is within notice and horizon, free or full.

    With a `need`, every one from which the time is covered, until when, and in how many places it is free.
    """
    asked = {
        "municipality": municipality,
        "counters": list(counters),
        "earliest": max(earliest_start(policy, now), start_of_day(first)),
        "until": min(window_end(policy, now), start_of_day(last + timedelta(days=1))),
        "now": now,
    }
    if need is not None:
        rows = await _LONG_SLOTS.rows(session, asked | msgspec.structs.asdict(need))
    else:
        rows = await _SLOTS.rows(session, asked)
    return [OpenSlot(slot_id=row[0], counter=row[1], starts_at=row[2], ends_at=row[3], free=row[4]) for row in rows]


async def list_alternatives(
    session: AsyncSession,
    municipality: str,
    slot_id: UUID,
    counters: Sequence[str],
    policy: Policy,
    *,
    need: Need | None = None,
    now: datetime,
) -> list[Alternative]:
    """The free slots at these counters that are nearest to one that is gone: in time, then in place.

    With a `need`, those from which all of the time is free.
    """
    asked = {
        "municipality": municipality,
        "slot_id": slot_id,
        "counters": list(counters),
        "earliest": earliest_start(policy, now),
        "until": window_end(policy, now),
        "now": now,
        "most": ALTERNATIVES_MAX,
    }
    spots: dict[bool, list[Spot]] = {True: [], False: []}
    if need is not None:
        rows = await _LONG_NEAREST.rows(session, asked | msgspec.structs.asdict(need))
    else:
        rows = await _NEAREST.rows(session, asked)
    for row in rows:
        building = building_of(row.counter, row.kind, row.place_ja)
        spot = Spot(slot_id=row.slot_id, counter=row.counter, building=building, starts_at=row.starts_at)
        spots[row.is_wanted].append(spot)
    return [
        Alternative(slot_id=spot.slot_id, starts_at=spot.starts_at, counter=spot.counter, where=where)
        for wanted in spots[True]
        for spot, where in list_nearest(wanted, spots[False], most=ALTERNATIVES_MAX)
    ]


async def find_earliest(
    session: AsyncSession, municipality: str, counter: str, policy: Policy, *, now: datetime
) -> datetime | None:
    """When the earliest free public place of a counter begins; None when the whole horizon is full."""
    asked = {
        "municipality": municipality,
        "counter": counter,
        "earliest": earliest_start(policy, now),
        "until": window_end(policy, now),
        "now": now,
    }
    earliest: datetime | None = (await session.execute(_EARLIEST, asked)).scalar_one_or_none()
    return earliest


async def list_own_windows(session: AsyncSession, municipality: str, counter: str, town: Policy) -> dict[str, Policy]:
    """The procedures of a counter or venue with a notice or a horizon of their own, and the policy of each."""
    rows = await _OWN_WINDOWS.rows(session, {"municipality": municipality, "counter": counter})
    return {row.code: policy_for(town, notice_min=row.notice_min, horizon_days=row.horizon_days) for row in rows}


async def find_procedure(
    session: AsyncSession, municipality: str, code: str, channel: Channel = "counter"
) -> ProcedureView | None:
    """A procedure by its code, with the places where it can be done by this channel."""
    if not code.isprintable():
        return None
    row = await _PROCEDURE.row(session, {"municipality": municipality, "code": code, "channel": channel})
    return msgspec.convert(row, ProcedureView, from_attributes=True) if row else None


async def list_procedures(session: AsyncSession, municipality: str) -> list[ProcedureView]:
    """All procedures that can be done at a counter."""
    rows = (await session.execute(_PROCEDURES, {"municipality": municipality})).all()
    return [msgspec.convert(row, ProcedureView, from_attributes=True) for row in rows]


async def list_counters(session: AsyncSession, municipality: str) -> dict[str, CounterView]:
    """All counters of the town, by code."""
    rows = (await session.execute(_COUNTERS, {"municipality": municipality})).all()
    return {row.code: msgspec.convert(row, CounterView, from_attributes=True) for row in rows}
