"""Bringing a counter's or venue's slots and places to what is planned, under whoever is in them already."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.domain.calendar import SlotTime
from shared.clock import JST

# A place that its appointment has left is free again.
FREE_PLACE = text("""
    UPDATE place SET appointment_id = NULL, visit_id = NULL, changed_at = :now
    WHERE (municipality, slot_id, place_no) = (:municipality, :slot_id, :place_no) AND appointment_id = :appointment_id
""")


class PlannedSlot(msgspec.Struct, frozen=True):
    """A slot as it should be: its time, and how many people it takes."""

    time: SlotTime
    places: int


_PLAN = """
    plan AS (
        SELECT * FROM unnest(
            CAST(:slot_ids AS uuid[]), CAST(:starts AS timestamptz[]), CAST(:ends AS timestamptz[]),
            CAST(:places AS integer[])
        ) AS plan(slot_id, starts_at, ends_at, places))
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
                            AND s.capacity = plan.places
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
      AND (p.appointment_id IS NOT NULL OR p.held_until > :now OR p.audience = 'draw'
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
    SELECT :municipality, slot_id, :counter, starts_at, ends_at, places FROM plan
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
    SELECT :municipality, s.slot_id, place_no, s.capacity,
           CASE WHEN place_no > s.capacity - CAST(:staff_only_places AS integer) THEN 'staff' ELSE 'public' END,
           :now
    FROM slot s, generate_series(1, s.capacity) AS place_no
    WHERE s.municipality = :municipality AND s.slot_id = ANY (CAST(:slot_ids AS uuid[]))
""")


_FIT = """
    plan AS (
        SELECT * FROM unnest(CAST(:slot_ids AS uuid[]), CAST(:places AS integer[])) AS plan(slot_id, places))
"""
_GROW_SLOTS = text(f"""
    WITH {_FIT}
    UPDATE slot s SET capacity = plan.places FROM plan
    WHERE s.municipality = :municipality AND s.slot_id = plan.slot_id AND s.capacity < plan.places
""")
_GROW_PLACES = text(f"""
    WITH {_FIT}
    INSERT INTO place (municipality, slot_id, place_no, capacity, audience, changed_at)
    SELECT s.municipality, s.slot_id, wanted.no, s.capacity, 'closed', :now
    FROM plan JOIN slot s ON s.municipality = :municipality AND s.slot_id = plan.slot_id,
         generate_series(1, s.capacity) AS wanted(no)
    WHERE NOT EXISTS (SELECT 1 FROM place p
                      WHERE (p.municipality, p.slot_id, p.place_no) = (s.municipality, s.slot_id, wanted.no))
    ON CONFLICT DO NOTHING
""")
# Those who are in come first; what is left of the plan is open to others, the rest is closed.
_OPEN_AND_CLOSE = text(f"""
    WITH {_FIT},
    ranked AS (
        SELECT p.slot_id, p.place_no, is_taken,
               row_number() OVER (PARTITION BY p.slot_id ORDER BY is_taken DESC, p.place_no) AS rank, plan.places
        FROM plan JOIN place p ON p.municipality = :municipality AND p.slot_id = plan.slot_id,
             LATERAL (SELECT p.appointment_id IS NOT NULL OR (p.held_until IS NOT NULL AND p.held_until > :now))
                 AS taken(is_taken)),
    wanted AS (
        SELECT slot_id, place_no, CASE WHEN is_taken OR rank <= places THEN 'public' ELSE 'closed' END AS audience
        FROM ranked)
    UPDATE place p SET audience = wanted.audience, changed_at = :now FROM wanted
    WHERE p.municipality = :municipality AND (p.slot_id, p.place_no) = (wanted.slot_id, wanted.place_no)
      AND p.audience <> wanted.audience
""")


def slot_id_of(municipality: str, counter: str, starts_at: datetime) -> UUID:
    """The same slot has the same id however often it is planned."""
    return uuid5(NAMESPACE_URL, f"choudo:slot:{municipality}:{counter}:{starts_at.astimezone(JST).isoformat()}")


async def bring_slots(
    session: AsyncSession,
    municipality: str,
    counter: str,
    slots: Sequence[PlannedSlot],
    *,
    staff_only: int = 0,
    now: datetime,
) -> None:
    """Make the slots from now on those that are planned.

    What nobody is in is replaced; who is in a slot stays in it, and joined by nobody if it is no longer planned.
    """
    times: dict[str, Any] = {
        "municipality": municipality,
        "slot_ids": [slot_id_of(municipality, counter, slot.time.starts_at) for slot in slots],
        "starts": [slot.time.starts_at for slot in slots],
        "ends": [slot.time.ends_at for slot in slots],
        "places": [slot.places for slot in slots],
    }
    planned = times | {"counter": counter, "staff_only_places": staff_only, "now": now}
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
    added = (await session.execute(_ADD_SLOTS, times | {"counter": counter})).scalars()
    new = {"municipality": municipality, "slot_ids": list(added), "now": now}
    await session.execute(_ADD_PLACES, new | {"staff_only_places": staff_only})


async def fit_places(
    session: AsyncSession, municipality: str, counter: str, slots: Sequence[PlannedSlot], *, now: datetime
) -> None:
    """Let slots that somebody is in grow and shrink to what is planned. Whoever is in one keeps their place."""
    planned = {
        "municipality": municipality,
        "slot_ids": [slot_id_of(municipality, counter, slot.time.starts_at) for slot in slots],
        "places": [slot.places for slot in slots],
        "now": now,
    }
    for statement in (_GROW_SLOTS, _GROW_PLACES, _OPEN_AND_CLOSE):
        await session.execute(statement, planned)
