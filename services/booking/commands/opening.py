"""Opening rules from the town pack → slots and places for the whole horizon, one row per place."""

from collections.abc import Sequence
from datetime import datetime, time, timedelta

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.marks import mark_availability
from services.booking.commands.slots import PlannedSlot, bring_slots
from services.booking.commands.tidying import tidy_up
from services.booking.commands.venues import bring_venue
from services.booking.domain.calendar import OpeningHours
from services.booking.queries.rules import list_counter_rules, list_planned_times
from shared.audit import Operator, record_deed
from shared.clock import JST, jst_day
from shared.messaging.due import schedule
from shared.town_pack import Counter as PackCounter
from shared.town_pack import TownPack, Venue

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
    INSERT INTO counter_rule (municipality, counter, office, slot_min, places, staff_only_places, hours, kind, version)
    VALUES (:municipality, :counter, :office, :slot_min, :places, :staff_only_places, CAST(:hours AS jsonb), :kind, 1)
    ON CONFLICT (municipality, counter) DO UPDATE
    SET (office, slot_min, places, staff_only_places, hours, kind, version) =
        (excluded.office, excluded.slot_min, excluded.places, excluded.staff_only_places, excluded.hours, excluded.kind,
         counter_rule.version + 1)
    WHERE (counter_rule.office, counter_rule.slot_min, counter_rule.places, counter_rule.staff_only_places,
           counter_rule.hours, counter_rule.kind) IS DISTINCT FROM
          (excluded.office, excluded.slot_min, excluded.places, excluded.staff_only_places, excluded.hours,
           excluded.kind)
""")
_DROP_COUNTERS = text("""
    DELETE FROM counter_rule WHERE municipality = :municipality AND counter <> ALL (:counters) RETURNING counter
""")
_DROP_CLOSURES = text("DELETE FROM closure WHERE municipality = :municipality")
_SAVE_CLOSURE = text("""
    INSERT INTO closure (municipality, first_day, last_day, reason_ja)
    VALUES (:municipality, :first_day, :last_day, :reason_ja) ON CONFLICT DO NOTHING
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
    counters: list[PackCounter | Venue] = [*pack.counters, *pack.venues]
    for counter in counters:
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
                "hours": msgspec.json.encode(hours).decode(),
                **_places(counter),
            },
        )
    kept = {"municipality": municipality, "counters": [counter.code for counter in counters]}
    dropped = (await session.execute(_DROP_COUNTERS, kept)).scalars().all()
    await open_horizon(session, municipality, closed_counters=dropped, now=now)
    await record_deed(session, Operator(municipality), "load-opening-rules", municipality, now=now)


def _places(counter: PackCounter | Venue) -> dict[str, object]:
    if isinstance(counter, Venue):
        return {"kind": "venue", "places": 0, "staff_only_places": 0}
    staff_only = min(counter.staff_only_places, counter.places)
    return {"kind": "counter", "places": counter.places, "staff_only_places": staff_only}


async def open_horizon(
    session: AsyncSession, municipality: str, *, closed_counters: Sequence[str] = (), now: datetime
) -> None:
    """Bring the slots of every counter to what the rules say, from now to the horizon; and again tomorrow."""
    rules = await list_counter_rules(session, municipality)
    times = await list_planned_times(session, municipality, rules, now=now)
    for rule in rules:
        if rule.kind == "venue":
            await bring_venue(session, municipality, rule.counter, times[rule.counter], now=now)
        else:
            planned = [PlannedSlot(time, rule.places) for time in times[rule.counter]]
            await bring_slots(session, municipality, rule.counter, planned, staff_only=rule.staff_only_places, now=now)
    for counter in closed_counters:
        await bring_slots(session, municipality, counter, [], now=now)
    await mark_availability(session, municipality, [*(rule.counter for rule in rules), *closed_counters], now=now)
    today = jst_day(now)
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
