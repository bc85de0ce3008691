"""Offering places that are free to those who wait for an earlier time, one after the other, in the order of joining.

A look (`due`, kind `waiting`, one for each counter) asks what is free now, not what came free: whatever freed a place,
many at once, and a look that died half-way lead to the same. Freeing a place does nothing for it: whoever works off the
mark that it leaves anyway (`commands/availability.py`) asks for a look, and so does the look at a counter every minute.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.marks import SETTLE
from services.booking.commands.offers import offer_place
from services.booking.commands.waitlist import WAITING, end_earlier_offer, tell_earlier_offer
from services.booking.domain.waitlist import OFFERS_A_DAY, kept_until
from services.booking.queries.rules import get_rules
from services.booking.queries.runs import RUN_FROM
from services.booking.queries.slots import FREE, SLOTS_MAX, WHERE_DONE, start_of_day
from shared.clock import jst_day
from shared.messaging.due import schedule

WAITING_ANSWER = "waiting_answer"
# As many as are done well within a lease, and a transaction's time.
BATCH = 20

# A look that is asked for, or under way, is left alone: nobody waits for it. What commits just meanwhile is seen by the
# next one, a second or at most a minute later.
_ASK = text("""
    INSERT INTO due (municipality, kind, ref, due_at)
    SELECT :municipality, 'waiting', :counter, CAST(:now AS timestamptz)
    WHERE EXISTS (SELECT FROM waiting w WHERE w.municipality = :municipality
                    AND (w.counter IS NULL OR w.counter = :counter))
      AND NOT EXISTS (SELECT FROM due d WHERE (d.municipality, d.kind, d.ref) = (:municipality, 'waiting', :counter))
    ON CONFLICT DO NOTHING
""")
_FORGET_OVER = text("""
    DELETE FROM waiting WHERE (municipality, appointment_id) IN (
        SELECT w.municipality, w.appointment_id FROM waiting w
        JOIN appointment a ON (a.municipality, a.appointment_id) = (w.municipality, w.appointment_id)
        WHERE w.municipality = :municipality
          AND (a.starts_at <= :now OR a.state IN ('cancelled', 'done', 'no_show') OR w.last_day < :today)
        LIMIT 1000 FOR UPDATE OF w SKIP LOCKED)
""")
_FREE_SO_LONG = RUN_FROM.replace(":minutes", "person.minutes").replace(":own", "NULL")
_WHERE = WHERE_DONE.format(channel="(CASE a.helper WHEN 'none' THEN 'counter' ELSE 'helper' END)", procedure="c")
# As `queries/services.py: fit_services`: the strictest notice of all that is done in one appointment, and whether all
# of it is still done at this counter.
_WHOLE = """(
    SELECT max(coalesce(k.notice_min, :notice_min)) AS notice_min,
           bool_and(coalesce(:counter = ANY (k.counters), false)) AS is_done_here
    FROM jsonb_array_elements(a.services) AS each
    LEFT JOIN procedure k ON (k.municipality, k.code) = (a.municipality, each.value ->> 'procedure'))"""
# Who is next, and the earliest free place that fits. The window is asked as `domain/waitlist.py` has it: of one person
# after the other in their order, and of nobody behind the first whom something fits.
_NEXT = text(f"""
    WITH free AS MATERIALIZED (
        SELECT s.slot_id, s.starts_at, local::date AS day, extract(isodow FROM local)::integer AS weekday,
               CASE WHEN local::time < time '12:00' THEN 'morning' ELSE 'afternoon' END AS part
        FROM slot s, LATERAL (SELECT s.starts_at AT TIME ZONE 'Asia/Tokyo') AS here(local)
        WHERE s.municipality = :municipality AND s.counter = :counter AND NOT s.withdrawn AND s.starts_at >= :until
          AND EXISTS (SELECT 1 FROM place p
                      WHERE p.municipality = s.municipality AND p.slot_id = s.slot_id AND {FREE})
        ORDER BY s.starts_at, s.slot_id LIMIT {SLOTS_MAX})
    SELECT person.appointment_id, found.slot_id, found.starts_at
    FROM (
        SELECT w.municipality, w.appointment_id, w.joined_at, w.first_day, w.last_day, w.weekdays, w.part, a.starts_at,
               a.minutes,
               CAST(:until AS timestamptz)
                   + make_interval(mins => coalesce(whole.notice_min, c.notice_min, :notice_min)) AS not_before
        FROM waiting w
        JOIN appointment a ON (a.municipality, a.appointment_id) = (w.municipality, w.appointment_id)
        JOIN procedure c ON (c.municipality, c.code) = (a.municipality, a.procedure), LATERAL {_WHOLE} AS whole
        WHERE w.municipality = :municipality AND a.state = 'booked' AND a.closure = 'none' AND a.chain_id IS NULL
          AND (w.counter IS NULL OR w.counter = :counter) AND :counter = ANY ({_WHERE})
          AND (a.minutes IS NULL OR a.counter = :counter AND whole.is_done_here)
          AND NOT EXISTS (
              SELECT FROM offered_place o
              WHERE (o.municipality, o.appointment_id) = (w.municipality, w.appointment_id) AND o.state = 'open')
          AND :a_day > (
              SELECT count(*) FROM offered_place o
              WHERE (o.municipality, o.appointment_id) = (w.municipality, w.appointment_id) AND o.cause = 'waiting'
                AND o.offered_at >= :midnight)
        ORDER BY w.joined_at, w.appointment_id) AS person
    CROSS JOIN LATERAL (
        SELECT free.slot_id, free.starts_at FROM free
        WHERE free.starts_at < person.starts_at AND free.starts_at >= person.not_before
          AND free.day BETWEEN person.first_day AND person.last_day
          AND free.weekday = ANY (person.weekdays) AND person.part IN ('any', free.part)
          AND (person.minutes IS NULL OR EXISTS (
              SELECT FROM slot s, LATERAL {_FREE_SO_LONG} AS run
              WHERE (s.municipality, s.slot_id) = (person.municipality, free.slot_id) AND run.free > 0))
          AND NOT EXISTS (
              SELECT FROM offered_place o
              WHERE (o.municipality, o.appointment_id, o.slot_id)
                  = (person.municipality, person.appointment_id, free.slot_id) AND o.cause = 'waiting')
        ORDER BY free.starts_at, free.slot_id LIMIT 1) AS found
    ORDER BY person.joined_at, person.appointment_id LIMIT 1
""")
# Whoever is just doing something with theirs is asked a second later: this look waits for nobody.
_LOCK = text("""
    SELECT a.* FROM appointment a
    WHERE (a.municipality, a.appointment_id) = (:municipality, :appointment_id)
      AND a.state = 'booked' AND a.closure = 'none' AND a.starts_at > :offered_at
    FOR UPDATE SKIP LOCKED
""")
# Asked once it is locked: another counter's look may have been faster, or they have just stopped.
_STILL_WAITS = text("""
    SELECT EXISTS (SELECT FROM waiting WHERE (municipality, appointment_id) = (:municipality, :appointment_id))
       AND NOT EXISTS (SELECT FROM offered_place
                       WHERE (municipality, appointment_id) = (:municipality, :appointment_id) AND state = 'open')
""")
_WHOSE = text("SELECT appointment_id FROM offered_place WHERE (municipality, offer_id) = (:municipality, :offer_id)")
_LOCK_OWNER = text("""
    SELECT 1 FROM appointment WHERE (municipality, appointment_id) = (:municipality, :appointment_id) FOR UPDATE
""")
_IS_OPEN = text("""
    SELECT EXISTS (SELECT FROM offered_place
                   WHERE (municipality, offer_id) = (:municipality, :offer_id) AND state = 'open')
""")


async def ask_for_look(session: AsyncSession, municipality: str, counter: str, *, now: datetime) -> None:
    """Something may have come free at a counter: if anybody waits for it, it is looked at."""
    await session.execute(_ASK, {"municipality": municipality, "counter": counter, "now": now})


async def on_waiting_due(session: AsyncSession, municipality: str, ref: str, now: datetime) -> None:
    """Due kind `waiting`: what is free at a counter is offered, each place to the first in line whom it fits.

    Whatever is left, or could not be had at this moment, is for another look.
    """
    today = jst_day(now)
    until = kept_until(now)
    town = {"municipality": municipality, "now": now, "today": today}
    await session.execute(_FORGET_OVER, town)
    policy = (await get_rules(session, municipality)).policy
    asked = {
        "municipality": municipality, "counter": ref, "until": until, "notice_min": policy.notice_min,
        "a_day": OFFERS_A_DAY, "midnight": start_of_day(today), "now": now,
    }  # fmt: skip
    for _ in range(BATCH):
        found = (await session.execute(_NEXT, asked)).one_or_none()
        if found is None:
            return
        if not await _offer(session, municipality, found, until=until, now=now):
            break
    await schedule(session, "booking", municipality=municipality, kind=WAITING, ref=ref, due_at=now + SETTLE)


async def _offer(session: AsyncSession, municipality: str, found: Any, *, until: datetime, now: datetime) -> bool:
    """Keep the place for them, and tell them; False when it, or they, could not be had."""
    mine = {"municipality": municipality, "appointment_id": found.appointment_id, "offered_at": found.starts_at}
    row = (await session.execute(_LOCK, mine)).one_or_none()
    if row is None or not (await session.execute(_STILL_WAITS, mine)).scalar_one():
        return False
    offer = await offer_place(
        session, municipality, row.appointment_id, found.slot_id, until=until, cause="waiting", now=now
    )
    if offer is None:
        return False
    await tell_earlier_offer(session, offer, row, now=now)
    ref = str(offer.offer_id)
    await schedule(session, "booking", municipality=municipality, kind=WAITING_ANSWER, ref=ref, due_at=until)
    return True


async def on_waiting_answer_due(session: AsyncSession, municipality: str, ref: str, now: datetime) -> None:
    """Due kind `waiting_answer`: they have not answered. The place is free, and the next look offers it to the next."""
    key = {"municipality": municipality, "offer_id": UUID(ref)}
    appointment_id = (await session.execute(_WHOSE, key)).scalar_one_or_none()
    if appointment_id is None:
        return
    await session.execute(_LOCK_OWNER, key | {"appointment_id": appointment_id})
    if (await session.execute(_IS_OPEN, key)).scalar_one():
        await end_earlier_offer(session, municipality, appointment_id, "lapsed", now=now)
