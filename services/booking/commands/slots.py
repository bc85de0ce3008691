"""Bringing a counter's or venue's slots and places to what is planned, under whoever is in them already."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.domain.opening import PlannedSlot
from shared.clock import JST, jst_day
from shared.messaging.due import Due, schedule_all

# Later than every slot.
FOREVER = datetime(9999, 1, 1, tzinfo=UTC)
# Kind of `due`, for a draw's id (`commands/draws.py`): a seat of it was given back.
SEAT_GIVEN_BACK = "draw_pass_on"

# What its appointment has left is free again: its place, or all of them.
FREE_PLACE = text("""
    UPDATE place SET appointment_id = NULL, visit_id = NULL, changed_at = :now
    WHERE municipality = :municipality AND appointment_id = :appointment_id
""")

_PLAN = """
    plan AS (
        SELECT * FROM unnest(
            CAST(:slot_ids AS uuid[]), CAST(:starts AS timestamptz[]), CAST(:ends AS timestamptz[]),
            CAST(:places AS integer[]), CAST(:staff_only AS integer[]), CAST(:kiosk AS integer[])
        ) AS plan(slot_id, starts_at, ends_at, places, staff_only, kiosk))
"""
# Slots that are not planned (any more) and that nobody is in. Their places are locked first, so that whoever is just
# taking one is waited for, and seen.
# The slots are found first, by their counter: otherwise every place of the town is looked at for every counter.
_LOCK_UNPLANNED = text(f"""
    WITH {_PLAN},
    unplanned AS MATERIALIZED (
        SELECT s.slot_id
        FROM unnest(CAST(:firsts AS timestamptz[]), CAST(:untils AS timestamptz[])) AS asked(first, until)
        JOIN slot s ON s.municipality = :municipality AND s.counter = :counter
            AND s.starts_at >= asked.first AND s.starts_at < asked.until
        WHERE s.starts_at > :now
          AND NOT EXISTS (SELECT 1 FROM plan WHERE (plan.slot_id, plan.ends_at) = (s.slot_id, s.ends_at)
                            AND s.capacity = plan.places
                            AND (plan.staff_only, plan.kiosk, 0) = (
                                SELECT count(*) FILTER (WHERE q.audience = 'staff'),
                                       count(*) FILTER (WHERE q.audience = 'kiosk'),
                                       count(*) FILTER (WHERE q.audience = 'closed' AND CAST(:minds_closed AS boolean))
                                FROM place q WHERE (q.municipality, q.slot_id) = (s.municipality, s.slot_id))))
    SELECT p.slot_id FROM place p
    WHERE p.municipality = :municipality AND p.slot_id = ANY (ARRAY(SELECT slot_id FROM unplanned))
    ORDER BY p.slot_id, p.place_no FOR UPDATE OF p
""")
_IN_USE = text("""
    SELECT DISTINCT p.slot_id, s.starts_at
    FROM place p JOIN slot s ON (s.municipality, s.slot_id) = (p.municipality, p.slot_id)
    WHERE p.municipality = :municipality AND p.slot_id = ANY (:slot_ids)
      AND (p.appointment_id IS NOT NULL OR p.held_until > :now OR p.audience = 'draw'
           OR EXISTS (SELECT 1 FROM appointment a
                      WHERE (a.municipality, a.slot_id, a.place_no) = (p.municipality, p.slot_id, p.place_no)))
""")
_DROP_PLACES = text("DELETE FROM place WHERE municipality = :municipality AND slot_id = ANY (:slot_ids)")
_DROP_SLOTS = text("DELETE FROM slot WHERE municipality = :municipality AND slot_id = ANY (:slot_ids)")
# A slot somebody is in stays; `fit_places` fits what is free of it. If its time is no longer planned, nobody
# joins them.
_WITHDRAW = text(f"""
    WITH {_PLAN}
    UPDATE slot s SET withdrawn = true
    WHERE s.municipality = :municipality AND s.slot_id = ANY (:in_use) AND NOT s.withdrawn
      AND NOT EXISTS (SELECT 1 FROM plan WHERE (plan.slot_id, plan.ends_at) = (s.slot_id, s.ends_at))
""")
# In one statement: the rows of a whole horizon go over only once.
_ADD = f"""
    WITH {_PLAN},
    added AS (
        INSERT INTO slot (municipality, slot_id, counter, starts_at, ends_at, capacity)
        SELECT :municipality, slot_id, :counter, starts_at, ends_at, places FROM plan
        {{beside_others}}
        RETURNING slot_id)
    INSERT INTO place (municipality, slot_id, place_no, capacity, audience, changed_at)
    SELECT :municipality, plan.slot_id, place_no, plan.places,
           CASE WHEN place_no > plan.places - plan.staff_only THEN 'staff'
                WHEN place_no > plan.places - plan.staff_only - plan.kiosk THEN 'kiosk' ELSE 'public' END,
           :now
    FROM added JOIN plan USING (slot_id), generate_series(1, plan.places) AS place_no
"""
# Looking for what is in the way costs a third more: not where nothing can be.
_ADD_FIRST = text(_ADD.format(beside_others=""))
_ADD_BESIDE = text(_ADD.format(beside_others="ON CONFLICT DO NOTHING"))
_RENEW = text(f"""
    WITH {_PLAN}
    UPDATE slot s SET withdrawn = false FROM plan
    WHERE s.municipality = :municipality AND (s.slot_id, s.ends_at) = (plan.slot_id, plan.ends_at) AND s.withdrawn
    RETURNING s.slot_id
""")
_GIVEN_BACK = text("""
    SELECT DISTINCT d.draw_id FROM draw_session d
    JOIN place p ON (p.municipality, p.slot_id) = (d.municipality, d.slot_id)
    WHERE d.municipality = :municipality AND d.slot_id = ANY (:renewed) AND d.is_kept
      AND p.audience = 'draw' AND p.appointment_id IS NULL AND p.hold_id IS NULL
      AND EXISTS (SELECT 1 FROM draw WHERE (draw.municipality, draw.draw_id) = (d.municipality, d.draw_id)
                    AND draw.state = 'drawn')
    LIMIT 1000
""")
_GROW_SLOTS = text(f"""
    WITH {_PLAN}
    UPDATE slot s SET capacity = plan.places FROM plan
    WHERE s.municipality = :municipality AND s.slot_id = plan.slot_id AND s.capacity < plan.places AND NOT s.withdrawn
""")
_GROW_PLACES = text(f"""
    WITH {_PLAN}
    INSERT INTO place (municipality, slot_id, place_no, capacity, audience, changed_at)
    SELECT s.municipality, s.slot_id, wanted.no, s.capacity, 'closed', :now
    FROM plan JOIN slot s ON s.municipality = :municipality AND s.slot_id = plan.slot_id AND NOT s.withdrawn,
         generate_series(1, s.capacity) AS wanted(no)
    WHERE NOT EXISTS (SELECT 1 FROM place p
                      WHERE (p.municipality, p.slot_id, p.place_no) = (s.municipality, s.slot_id, wanted.no))
    ON CONFLICT DO NOTHING
""")
# Those who are in come first, and what a draw gives out. What is left of the plan is open to others, the rest is
# closed.
_OPEN_AND_CLOSE = text(f"""
    WITH {_PLAN},
    seen AS (
        SELECT p.slot_id, p.place_no, p.audience, is_taken, plan.places, plan.staff_only, plan.kiosk,
               count(*) FILTER (WHERE is_taken) OVER of_slot AS taken,
               count(*) FILTER (WHERE is_taken AND p.audience = 'staff') OVER of_slot AS taken_staff,
               count(*) FILTER (WHERE is_taken AND p.audience = 'kiosk') OVER of_slot AS taken_kiosk,
               row_number() OVER (PARTITION BY p.slot_id, is_taken ORDER BY p.place_no) AS rank
        FROM plan JOIN slot s ON s.municipality = :municipality AND s.slot_id = plan.slot_id AND NOT s.withdrawn
             JOIN place p ON (p.municipality, p.slot_id) = (s.municipality, s.slot_id),
             LATERAL (SELECT p.appointment_id IS NOT NULL OR (p.held_until IS NOT NULL AND p.held_until > :now)
                             OR p.audience = 'draw') AS taken(is_taken)
        WINDOW of_slot AS (PARTITION BY p.slot_id)),
    remaining AS (
        SELECT *, greatest(places - taken, 0) AS free,
               least(greatest(staff_only - taken_staff, 0), greatest(places - taken, 0)) AS free_staff
        FROM seen),
    shared_out AS (
        SELECT *, least(greatest(kiosk - taken_kiosk, 0), free - free_staff) AS free_kiosk FROM remaining),
    wanted AS (
        SELECT slot_id, place_no,
               CASE WHEN is_taken AND audience <> 'closed' THEN audience
                    WHEN is_taken OR rank <= free - free_staff - free_kiosk THEN 'public'
                    WHEN rank <= free - free_staff THEN 'kiosk'
                    WHEN rank <= free THEN 'staff' ELSE 'closed' END AS audience
        FROM shared_out)
    UPDATE place p SET audience = wanted.audience, changed_at = :now FROM wanted
    WHERE p.municipality = :municipality AND (p.slot_id, p.place_no) = (wanted.slot_id, wanted.place_no)
      AND p.audience <> wanted.audience
""")


def slot_id_of(municipality: str, counter: str, starts_at: datetime) -> UUID:
    """The same slot has the same id however often it is planned."""
    return uuid5(NAMESPACE_URL, f"choudo:slot:{municipality}:{counter}:{starts_at.astimezone(JST).isoformat()}")


def columns_of(municipality: str, counter: str, slots: Sequence[PlannedSlot]) -> dict[str, Any]:
    """What is planned, column by column: as the statements take it."""
    return {
        "municipality": municipality,
        "counter": counter,
        "slot_ids": [slot_id_of(municipality, counter, slot.time.starts_at) for slot in slots],
        "starts": [slot.time.starts_at for slot in slots],
        "ends": [slot.time.ends_at for slot in slots],
        "places": [slot.places for slot in slots],
        "staff_only": [slot.staff_only for slot in slots],
        "kiosk": [slot.kiosk for slot in slots],
    }


async def add_slots(session: AsyncSession, planned: Mapping[str, Any], *, now: datetime) -> None:
    """Make the slots of days that have none: there is nothing to compare with, and nobody in the way."""
    if planned["slot_ids"]:
        await session.execute(_ADD_FIRST, {**planned, "now": now})


async def bring_slots(
    session: AsyncSession, planned: Mapping[str, Any], *, days: Sequence[date] | None = None, now: datetime
) -> set[date]:
    """Make the slots of these days those that are planned (`columns_of`); without days, all slots from now on.

    What nobody is in is replaced; who is in a slot stays in it, and joined by nobody if it is no longer planned.
    Returns the days on which somebody was in the way of the plan.
    """
    town = {"municipality": planned["municipality"]}
    spans = [(now, FOREVER)] if days is None else spans_of(days)
    asked: dict[str, Any] = {"firsts": [first for first, _ in spans], "untils": [until for _, until in spans]}
    # Where `fit_places` follows always, closed places are as they should be.
    compared = {"now": now, "minds_closed": days is not None}
    unplanned = set((await session.execute(_LOCK_UNPLANNED, {**planned, **asked, **compared})).scalars())
    in_use: dict[UUID, datetime] = {}
    if unplanned:
        rows = await session.execute(_IN_USE, town | {"slot_ids": list(unplanned), "now": now})
        in_use = {row.slot_id: row.starts_at for row in rows}
        free = town | {"slot_ids": list(unplanned - in_use.keys())}
        await session.execute(_DROP_PLACES, free)
        await session.execute(_DROP_SLOTS, free)
        if in_use:
            await session.execute(_WITHDRAW, {**planned, "in_use": list(in_use)})
    if planned["slot_ids"]:
        renewed = list((await session.execute(_RENEW, planned)).scalars())
        if renewed:
            # What was given back there meanwhile was not passed on.
            given_back = (await session.execute(_GIVEN_BACK, town | {"renewed": renewed})).scalars()
            plans = [Due(SEAT_GIVEN_BACK, str(draw_id), now) for draw_id in given_back]
            await schedule_all(session, "booking", planned["municipality"], plans)
        await session.execute(_ADD_BESIDE, {**planned, "now": now})
    return {jst_day(starts_at) for starts_at in in_use.values()}


def spans_of(days: Sequence[date]) -> list[tuple[datetime, datetime]]:
    """The days (in order) as stretches of time: those that follow one another are one."""
    spans: list[tuple[datetime, datetime]] = []
    for day in days:
        midnight = datetime.combine(day, time(0), JST)
        first = spans.pop()[0] if spans and spans[-1][1] == midnight else midnight
        spans.append((first, midnight + timedelta(days=1)))
    return spans


async def fit_places(session: AsyncSession, planned: Mapping[str, Any], *, now: datetime) -> None:
    """Let slots that somebody is in grow and shrink to what is planned (`columns_of`). Whoever is in one keeps their
    place."""
    for statement in (_GROW_SLOTS, _GROW_PLACES, _OPEN_AND_CLOSE):
        await session.execute(statement, {**planned, "now": now})
