"""Opening rules from the town pack → slots and places for the whole horizon, one row per place."""

from collections.abc import Sequence
from datetime import datetime, time, timedelta
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.marks import mark_availability
from services.booking.commands.tidying import tidy_up
from services.booking.domain.calendar import OpeningHours, SlotTime, days_between, slots_of_day
from services.booking.queries.rules import get_rules, list_closed_days
from shared.clock import JST, jst_day
from shared.messaging.due import schedule
from shared.town_pack import TownPack

EXTEND_HORIZON, EXTEND_REF = "extend_horizon", "town"
# When the next day is opened, Japan time: nobody books then.
EXTEND_AT = time(0, 5)

_SAVE_RULES = text("""
    INSERT INTO booking_rules
        (municipality, horizon_days, notice_min, cancel_until_min, hold_min, max_open_appointments, holidays, year_end,
         version)
    VALUES (:municipality, :horizon_days, :notice_min, :cancel_until_min, :hold_min, :max_open_appointments, :holidays,
            :year_end, 1)
    ON CONFLICT (municipality) DO UPDATE
    SET (horizon_days, notice_min, cancel_until_min, hold_min, max_open_appointments, holidays, year_end, version) =
        (excluded.horizon_days, excluded.notice_min, excluded.cancel_until_min, excluded.hold_min,
         excluded.max_open_appointments, excluded.holidays, excluded.year_end, booking_rules.version + 1)
""")
_SAVE_COUNTER = text("""
    INSERT INTO counter_rule (municipality, counter, office, slot_min, places, staff_only_places, hours, version)
    VALUES (:municipality, :counter, :office, :slot_min, :places, :staff_only_places, CAST(:hours AS jsonb), 1)
    ON CONFLICT (municipality, counter) DO UPDATE
    SET (office, slot_min, places, staff_only_places, hours, version) =
        (excluded.office, excluded.slot_min, excluded.places, excluded.staff_only_places, excluded.hours,
         counter_rule.version + 1)
    WHERE (counter_rule.office, counter_rule.slot_min, counter_rule.places, counter_rule.staff_only_places,
           counter_rule.hours) IS DISTINCT FROM
          (excluded.office, excluded.slot_min, excluded.places, excluded.staff_only_places, excluded.hours)
""")
_DROP_COUNTERS = text("""
    DELETE FROM counter_rule WHERE municipality = :municipality AND counter <> ALL (:counters) RETURNING counter
""")
_DROP_CLOSURES = text("DELETE FROM closure WHERE municipality = :municipality")
_SAVE_CLOSURE = text("""
    INSERT INTO closure (municipality, first_day, last_day, reason_ja)
    VALUES (:municipality, :first_day, :last_day, :reason_ja) ON CONFLICT DO NOTHING
""")
_COUNTER_RULES = text("""
    SELECT counter, slot_min, places, staff_only_places, hours FROM counter_rule
    WHERE municipality = :municipality ORDER BY counter LIMIT 1000
""")

_PLAN = """
    plan AS (
        SELECT * FROM unnest(
            CAST(:slot_ids AS uuid[]), CAST(:starts AS timestamptz[]), CAST(:ends AS timestamptz[])
        ) AS plan(slot_id, starts_at, ends_at))
"""
# Slots that are not planned (any more) and that nobody is in. Their places are locked first, so that whoever is just
# taking one is waited for, and seen.
# The slots are found first, by their counter: otherwise every place of the town is looked at for every counter.
_LOCK_UNPLANNED = text(f"""
    WITH {_PLAN},
    unplanned AS MATERIALIZED (
        SELECT s.slot_id FROM slot s
        WHERE s.municipality = :municipality AND s.counter = :counter AND s.starts_at > :now
          AND NOT EXISTS (SELECT 1 FROM plan WHERE (plan.slot_id, plan.ends_at) = (s.slot_id, s.ends_at)
                            AND s.capacity = :places
                            AND (SELECT count(*) FROM place q
                                 WHERE (q.municipality, q.slot_id) = (s.municipality, s.slot_id)
                                   AND q.audience = 'staff') = :staff_only_places))
    SELECT p.slot_id FROM place p
    WHERE p.municipality = :municipality AND p.slot_id = ANY (ARRAY(SELECT slot_id FROM unplanned))
    ORDER BY p.slot_id, p.place_no FOR UPDATE OF p
""")
_IN_USE = text("""
    SELECT DISTINCT p.slot_id FROM place p
    WHERE p.municipality = :municipality AND p.slot_id = ANY (:slot_ids)
      AND (p.appointment_id IS NOT NULL OR p.held_until > :now
           OR EXISTS (SELECT 1 FROM appointment a
                      WHERE (a.municipality, a.slot_id, a.place_no) = (p.municipality, p.slot_id, p.place_no)))
""")
_DROP_PLACES = text("DELETE FROM place WHERE municipality = :municipality AND slot_id = ANY (:slot_ids)")
_DROP_SLOTS = text("DELETE FROM slot WHERE municipality = :municipality AND slot_id = ANY (:slot_ids)")
# A slot somebody is in stays as it is, whatever its capacity should be now. If its time is no longer planned, nobody
# joins them.
_WITHDRAW = text(f"""
    WITH {_PLAN}
    UPDATE slot s SET withdrawn = true
    WHERE s.municipality = :municipality AND s.slot_id = ANY (:in_use)
      AND NOT EXISTS (SELECT 1 FROM plan WHERE (plan.slot_id, plan.ends_at) = (s.slot_id, s.ends_at))
""")
_ADD_SLOTS = text(f"""
    WITH {_PLAN}
    INSERT INTO slot (municipality, slot_id, counter, starts_at, ends_at, capacity)
    SELECT :municipality, slot_id, :counter, starts_at, ends_at, :places FROM plan
    ON CONFLICT DO NOTHING
    RETURNING slot_id
""")
_RENEW = text(f"""
    WITH {_PLAN}
    UPDATE slot s SET withdrawn = false FROM plan
    WHERE s.municipality = :municipality AND (s.slot_id, s.ends_at) = (plan.slot_id, plan.ends_at) AND s.withdrawn
""")
_ADD_PLACES = text("""
    INSERT INTO place (municipality, slot_id, place_no, capacity, audience, changed_at)
    SELECT :municipality, slot_id, place_no, :places,
           CASE WHEN place_no > CAST(:places AS integer) - CAST(:staff_only_places AS integer) THEN 'staff'
                ELSE 'public' END,
           :now
    FROM unnest(CAST(:slot_ids AS uuid[])) AS slot_id, generate_series(1, CAST(:places AS integer)) AS place_no
""")


async def load_opening_rules(session: AsyncSession, pack: TownPack, *, now: datetime) -> None:
    """Store a town's rules and open its slots. Loaded again, only what differs changes; nobody loses their place."""
    municipality = pack.town.code
    rules = {name: getattr(pack.booking, name) for name in pack.booking.__struct_fields__}
    await session.execute(_SAVE_RULES, {"municipality": municipality, **rules})
    await session.execute(_DROP_CLOSURES, {"municipality": municipality})
    for closure in pack.closures:
        days = {"first_day": closure.first_day, "last_day": closure.last_day, "reason_ja": closure.reason_ja}
        await session.execute(_SAVE_CLOSURE, {"municipality": municipality, **days})
    for counter in pack.counters:
        hours = [
            OpeningHours(
                weekdays=opening.weekdays,
                opens_at=opening.opens_at,
                closes_at=opening.closes_at,
                lunch_from=opening.lunch_from,
                lunch_to=opening.lunch_to,
            )
            for opening in pack.opening
            if counter.code in opening.counters
        ]
        await session.execute(
            _SAVE_COUNTER,
            {
                "municipality": municipality,
                "counter": counter.code,
                "office": counter.office,
                "slot_min": counter.slot_min,
                "places": counter.places,
                "staff_only_places": min(counter.staff_only_places, counter.places),
                "hours": msgspec.json.encode(hours).decode(),
            },
        )
    kept = {"municipality": municipality, "counters": [counter.code for counter in pack.counters]}
    dropped = (await session.execute(_DROP_COUNTERS, kept)).scalars().all()
    await open_horizon(session, municipality, closed_counters=dropped, now=now)


async def open_horizon(
    session: AsyncSession, municipality: str, *, closed_counters: Sequence[str] = (), now: datetime
) -> None:
    """Bring the slots of every counter to what the rules say, from now to the horizon; and again tomorrow."""
    rules = await get_rules(session, municipality)
    today = jst_day(now)
    days = list(days_between(today, today + timedelta(days=rules.policy.horizon_days)))
    closed = await list_closed_days(session, municipality, rules, days)
    open_days = [day for day in days if day not in closed]
    rows = (await session.execute(_COUNTER_RULES, {"municipality": municipality})).all()
    for row in rows:
        hours = msgspec.convert(row.hours, list[OpeningHours])
        slots = [
            slot
            for day in open_days
            for slot in slots_of_day(day, hours, slot_min=row.slot_min)
            if slot.starts_at > now
        ]
        await _bring_counter(
            session, municipality, row.counter, slots, places=row.places, staff_only=row.staff_only_places, now=now
        )
    for counter in closed_counters:
        await _bring_counter(session, municipality, counter, [], places=1, staff_only=0, now=now)
    await mark_availability(session, municipality, [*(row.counter for row in rows), *closed_counters], now=now)
    await schedule(
        session,
        "booking",
        municipality=municipality,
        kind=EXTEND_HORIZON,
        ref=EXTEND_REF,
        due_at=datetime.combine(today + timedelta(days=1), EXTEND_AT, JST),
    )


async def on_extend_horizon_due(session: AsyncSession, municipality: str, _ref: str, now: datetime) -> None:
    """Due kind `extend_horizon`: every day, the horizon moves on by a day."""
    await open_horizon(session, municipality, now=now)
    await tidy_up(session, municipality, now=now)


def slot_id_of(municipality: str, counter: str, starts_at: datetime) -> UUID:
    """The same slot has the same id however often it is planned."""
    return uuid5(NAMESPACE_URL, f"choudo:slot:{municipality}:{counter}:{starts_at.astimezone(JST).isoformat()}")


async def _bring_counter(
    session: AsyncSession,
    municipality: str,
    counter: str,
    slots: Sequence[SlotTime],
    *,
    places: int,
    staff_only: int,
    now: datetime,
) -> None:
    times: dict[str, Any] = {
        "municipality": municipality,
        "slot_ids": [slot_id_of(municipality, counter, slot.starts_at) for slot in slots],
        "starts": [slot.starts_at for slot in slots],
        "ends": [slot.ends_at for slot in slots],
    }
    planned = times | {"counter": counter, "places": places, "staff_only_places": staff_only, "now": now}
    unplanned = set((await session.execute(_LOCK_UNPLANNED, planned)).scalars())
    if unplanned:
        town = {"municipality": municipality}
        asked = town | {"slot_ids": list(unplanned), "now": now}
        in_use = set((await session.execute(_IN_USE, asked)).scalars())
        free = town | {"slot_ids": list(unplanned - in_use)}
        await session.execute(_DROP_PLACES, free)
        await session.execute(_DROP_SLOTS, free)
        if in_use:
            await session.execute(_WITHDRAW, times | {"in_use": list(in_use)})
    await session.execute(_RENEW, times)
    added = (await session.execute(_ADD_SLOTS, times | {"counter": counter, "places": places})).scalars()
    new = {"municipality": municipality, "slot_ids": list(added), "places": places, "now": now}
    await session.execute(_ADD_PLACES, new | {"staff_only_places": staff_only})
