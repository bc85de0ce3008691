"""An offered place: kept for one appointment's owner until they take it, it is withdrawn, or its time is over.

In the place itself an offer is a hold whose visit is the offer: everything that looks for free places passes it by, and
the trigger that guards holds refuses everybody else. Whoever offers says what happens at the end of its time: a `due`
row of their own, in the same transaction.
"""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.holds import FREE_PREDICATE
from services.booking.commands.marks import mark_availability
from services.booking.domain.closings import offer_until, offering
from services.booking.domain.rules import Policy
from services.booking.queries.runs import Need, find_run
from services.booking.queries.services import fit_procedure, read_services
from services.booking.queries.slots import Channel, find_procedure, list_alternatives
from shared.errors import Refusal

End = Literal["taken", "lapsed", "withdrawn"]


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """A place that is kept for an appointment's owner: as many as it needs, of which this is the first."""

    offer_id: UUID
    slot_id: UUID
    place_no: int
    counter: str
    starts_at: datetime
    ends_at: datetime
    until: datetime


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
            (municipality, offer_id, appointment_id, slot_id, place_no, offered_at, until, state)
        SELECT :municipality, :offer_id, :appointment_id, held.slot_id, held.place_no, :now, :until, 'open'
        FROM held WHERE held.part = 1
        RETURNING offer_id)
    SELECT offered.offer_id, pick.slot_id, pick.place_no, pick.counter, pick.starts_at,
           (SELECT max(ends_at) FROM pick) AS ends_at, CAST(:until AS timestamptz) AS until
    FROM offered, pick WHERE pick.part = 1
""")
_MINUTES = text("""
    SELECT minutes FROM appointment WHERE (municipality, appointment_id) = (:municipality, :appointment_id)
""")
_FIND = text("""
    SELECT o.offer_id, o.slot_id, o.place_no, s.counter, s.starts_at,
           coalesce((SELECT max(e.ends_at)
                     FROM place p JOIN slot e ON (e.municipality, e.slot_id) = (p.municipality, p.slot_id)
                     WHERE p.municipality = o.municipality AND p.visit_id = o.offer_id AND p.hold_id IS NOT NULL),
                    s.ends_at) AS ends_at, o.until
    FROM offered_place o JOIN slot s ON (s.municipality, s.slot_id) = (o.municipality, o.slot_id)
    WHERE o.municipality = :municipality AND o.appointment_id = :appointment_id AND o.state = 'open' AND o.until > :now
""")
_END = text("""
    UPDATE offered_place SET state = :state, ended_at = :now
    WHERE municipality = :municipality AND appointment_id = :appointment_id AND state = 'open'
    RETURNING offer_id
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
    now: datetime,
) -> Offer | None:
    """Keep a free public place of a slot for an appointment's owner, who has no open offer; None when there is none.

    Where it needs more time: of every slot that covers it from there on.
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
    # The parts of an arrival fit together: their owner moves them together.
    if procedure is None or appointment.chain_id is not None:
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


async def end_offer(
    session: AsyncSession, municipality: str, appointment_id: UUID, state: End, *, now: datetime
) -> None:
    """The offer to an appointment's owner is over, if there is one: unless they took it, the place is free again."""
    mine = {"municipality": municipality, "appointment_id": appointment_id, "state": state, "now": now}
    ended = (await session.execute(_END, mine)).one_or_none()
    if ended is None:
        return
    freed = {"municipality": municipality, "offer_id": ended.offer_id, "now": now}
    if counters := (await session.execute(_FREE, freed)).scalars().all():
        await mark_availability(session, municipality, counters, now=now)
