"""An offered place: kept for one appointment's owner until they take it, it is withdrawn, or its time is over.

In the place itself an offer is a hold whose visit is the offer: everything that looks for free places passes it by, and
the trigger that guards holds refuses everybody else. Whoever offers says what happens at the end of its time: a `due`
row of their own, in the same transaction.

Several appointments of an arrival are offered other places together (`together_id`): taken together, or none of them
is kept any more.
"""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.facts import tell_closure
from services.booking.commands.holds import FREE_PREDICATE
from services.booking.commands.marks import mark_availability
from services.booking.domain.closings import offer_until, offering
from services.booking.domain.rules import Policy
from services.booking.queries.runs import HELD_UNTIL_THE_END, Need, find_run
from services.booking.queries.services import fit_procedure, read_services
from services.booking.queries.slots import Channel, find_procedure, list_alternatives
from shared.errors import Refusal
from shared.events.booking import AppointmentProgressed

End = Literal["taken", "lapsed", "withdrawn", "declined"]
Cause = Literal["closing", "waiting"]


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """A place that is kept for an appointment's owner: as many as it needs, of which this is the first."""

    offer_id: UUID
    slot_id: UUID
    place_no: int
    counter: str
    starts_at: datetime
    ends_at: datetime
    until: datetime
    cause: Cause
    together_id: UUID | None = None


# Racers skip what another has locked, as in `commands/holds.py`.
_OFFER = text(f"""
    WITH pick AS (
        SELECT s.slot_id, one.place_no, s.counter, s.starts_at, s.ends_at, wanted.part
        FROM unnest(CAST(:slots AS uuid[])) WITH ORDINALITY AS wanted(slot_id, part)
        JOIN slot s ON s.municipality = :municipality AND s.slot_id = wanted.slot_id AND NOT s.withdrawn, LATERAL (
            SELECT p.place_no FROM place p
            WHERE p.municipality = :municipality AND p.slot_id = wanted.slot_id AND p.audience = 'public'
              AND {FREE_PREDICATE}
            ORDER BY p.place_no LIMIT 1 FOR UPDATE SKIP LOCKED) AS one),
    held AS (
        UPDATE place p SET hold_id = :offer_id, held_by = 'offer', held_until = :until, visit_id = :offer_id,
                           part = pick.part, parts = cardinality(CAST(:slots AS uuid[])), changed_at = :now
        FROM pick WHERE p.municipality = :municipality AND (p.slot_id, p.place_no) = (pick.slot_id, pick.place_no)
          AND (SELECT count(*) FROM pick) = cardinality(CAST(:slots AS uuid[]))
        RETURNING p.slot_id, p.place_no, p.part),
    offered AS (
        INSERT INTO offered_place
            (municipality, offer_id, appointment_id, slot_id, place_no, offered_at, until, state, cause, together_id,
             person)
        SELECT :municipality, :offer_id, :appointment_id, held.slot_id, held.place_no, :now, :until, 'open', :cause,
               CAST(:together_id AS uuid), CAST(:person AS integer)
        FROM held WHERE held.part = 1
        RETURNING offer_id, cause, together_id)
    SELECT offered.offer_id, pick.slot_id, pick.place_no, pick.counter, pick.starts_at,
           (SELECT max(ends_at) FROM pick) AS ends_at, CAST(:until AS timestamptz) AS until, offered.cause,
           offered.together_id
    FROM offered, pick WHERE pick.part = 1
""")
_MINUTES = text("""
    SELECT minutes FROM appointment WHERE (municipality, appointment_id) = (:municipality, :appointment_id)
""")
# What is not held any more (it is closed, too) is not kept, whatever was said of it.
KEPT = """
    offered_place o
    JOIN place p ON (p.municipality, p.slot_id, p.place_no) = (o.municipality, o.slot_id, o.place_no)
         AND p.hold_id = o.offer_id
    JOIN slot s ON (s.municipality, s.slot_id) = (o.municipality, o.slot_id)"""
_FIND = text(f"""
    SELECT o.offer_id, o.slot_id, o.place_no, s.counter, s.starts_at, o.until, o.cause, o.together_id,
           {HELD_UNTIL_THE_END} AS ends_at
    FROM {KEPT}
    WHERE o.municipality = :municipality AND o.appointment_id = :appointment_id AND o.state = 'open' AND o.until > :now
""")
_IS_LOST = text("""
    SELECT 1 FROM offered_place o
    WHERE o.municipality = :municipality AND o.appointment_id = :appointment_id AND o.state = 'open'
      AND EXISTS (
          SELECT FROM offered_place m
          WHERE m.municipality = o.municipality AND m.state = 'open'
            AND (m.offer_id = o.offer_id OR m.together_id = o.together_id)
            AND NOT EXISTS (
                SELECT FROM place p
                WHERE (p.municipality, p.slot_id, p.place_no) = (m.municipality, m.slot_id, m.place_no)
                  AND p.hold_id = m.offer_id))
""")
_END = text("""
    WITH mine AS (
        SELECT o.offer_id FROM offered_place o
        WHERE o.municipality = :municipality AND o.state = 'open'
          AND (o.appointment_id = :appointment_id
               OR o.together_id = (SELECT m.together_id FROM offered_place m
                                   WHERE m.municipality = :municipality AND m.appointment_id = :appointment_id
                                     AND m.state = 'open'))
        ORDER BY o.offer_id FOR UPDATE)
    UPDATE offered_place o SET state = :state, ended_at = :now
    FROM mine WHERE o.municipality = :municipality AND o.offer_id = mine.offer_id
    RETURNING o.offer_id
""")
_FREE = text("""
    UPDATE place p SET hold_id = NULL, held_by = NULL, held_until = NULL, visit_id = NULL, changed_at = :now
    FROM slot s
    WHERE p.municipality = :municipality AND p.visit_id = :offer_id AND p.hold_id = :offer_id
      AND (s.municipality, s.slot_id) = (p.municipality, p.slot_id)
    RETURNING s.counter
""")


async def offer_place(
    session: AsyncSession,
    municipality: str,
    appointment_id: UUID,
    slot_id: UUID,
    *,
    until: datetime,
    cause: Cause = "closing",
    together_id: UUID | None = None,
    person: int | None = None,
    now: datetime,
) -> Offer | None:
    """Keep a free public place of a slot for an appointment's owner, who has no open offer; None when there is none.

    Where it needs more time: of every slot that covers it from there on. `together_id` is that of all the places that
    are offered with it, and `person` who of an arrival goes there.
    """
    mine = {"municipality": municipality, "appointment_id": appointment_id}
    minutes = (await session.execute(_MINUTES, mine)).scalar_one_or_none()
    slots = [slot_id]
    if minutes is not None:
        run = await find_run(session, municipality, slot_id, minutes)
        if run is None:
            return None
        slots = list(run.slot_ids)
    asked = mine | {
        "slots": slots,
        "offer_id": uuid4(),
        "until": until,
        "cause": cause,
        "together_id": together_id,
        "person": person,
        "now": now,
    }
    row = (await session.execute(_OFFER, asked)).one_or_none()
    if row is None:
        return None
    await mark_availability(session, municipality, [row.counter], now=now)
    return msgspec.convert(row, Offer, from_attributes=True)


async def offer_nearest(session: AsyncSession, appointment: Any, policy: Policy, *, now: datetime) -> Offer | None:
    """Keep the free place that is nearest in time to an appointment's own, where its procedure can be done.

    `appointment` is a row that the caller has locked. None: nothing is free up to the horizon.
    """
    channel: Channel = "counter" if appointment.helper == "none" else "helper"
    town = appointment.municipality
    procedure = await find_procedure(session, town, appointment.procedure, channel)
    if procedure is None:
        return None
    try:
        procedure = await fit_procedure(session, town, procedure, read_services(appointment.services), policy)
    except Refusal:
        # No counter does all of it any more: they are told to call.
        return None
    need = None if appointment.minutes is None else Need(minutes=appointment.minutes)
    policy = procedure.policy(policy)
    near = await list_alternatives(
        session, town, appointment.slot_id, procedure.counters, offering(policy), need=need, now=now
    )
    for found in near:
        until = offer_until(policy, starts_at=found.starts_at, now=now)
        offer = await offer_place(session, town, appointment.appointment_id, found.slot_id, until=until, now=now)
        if offer is not None:
            return offer
    return None


async def find_offer(session: AsyncSession, municipality: str, appointment_id: UUID, *, now: datetime) -> Offer | None:
    """The place that is kept for an appointment's owner now, if there is one."""
    asked = {"municipality": municipality, "appointment_id": appointment_id, "now": now}
    row = (await session.execute(_FIND, asked)).one_or_none()
    return msgspec.convert(row, Offer, from_attributes=True) if row else None


async def tell_progress(session: AsyncSession, row: Any, *, now: datetime) -> AppointmentProgressed:
    """What became of an appointment that is still `booked`, with the earlier time that is kept for its owner.

    Without it, nothing would be kept any more for all that others know.
    """
    offer = await find_offer(session, row.municipality, row.appointment_id, now=now)
    # Of what a closing moves, `commands/closings.py` tells.
    return tell_closure(row, offer if offer is not None and offer.cause == "waiting" else None, now=now)


async def is_lost(session: AsyncSession, municipality: str, appointment_id: UUID) -> bool:
    """Whether something of what is offered to an appointment's owner is not kept any more: it is closed, too."""
    asked = {"municipality": municipality, "appointment_id": appointment_id}
    return (await session.execute(_IS_LOST, asked)).one_or_none() is not None


async def end_offer(
    session: AsyncSession, municipality: str, appointment_id: UUID, state: End, *, now: datetime
) -> bool:
    """The offer to an appointment's owner is over: unless they took it, its places are free again.

    Returns whether there was one.
    """
    mine = {"municipality": municipality, "appointment_id": appointment_id, "state": state, "now": now}
    ended = (await session.execute(_END, mine)).scalars().all()
    counters: set[str] = set()
    for offer_id in ended:
        freed = {"municipality": municipality, "offer_id": offer_id, "now": now}
        counters |= set((await session.execute(_FREE, freed)).scalars())
    if counters:
        await mark_availability(session, municipality, counters, now=now)
    return bool(ended)
