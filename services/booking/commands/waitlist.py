"""The waitlist: somebody waits for an earlier time than their own, says for which, stops, or says no to one.

It is over by itself when the appointment is not `booked` any more, has begun, or the last day has passed: whoever looks
for the next in line asks for that (`commands/waitlist_offers.py`). One appointment is on it at most once.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.facts import tell_closure
from services.booking.commands.keyed import claim_key, keep_answer, request_hash
from services.booking.commands.offers import End, end_offer, find_offer
from services.booking.domain.rules import refuse_too_late
from services.booking.domain.waitlist import Window, check_window
from services.booking.queries.rules import get_rules
from services.booking.queries.slots import Channel, find_procedure
from services.booking.tables import outbox
from shared.audit import record_deed
from shared.clock import jst_day
from shared.errors import Refusal
from shared.messaging.due import Due, schedule_all
from shared.tokens import Identity

WAITING = "waiting"


class JoinWaitlist(msgspec.Struct, frozen=True, kw_only=True):
    """The order to wait for an earlier time, or to wait for another one than before."""

    municipality: str
    appointment_id: UUID
    window: Window
    key: str
    staff: Identity | None = None


class Joined(msgspec.Struct, frozen=True, kw_only=True):
    """Whose appointment is on the list."""

    appointment_id: UUID


_LOCK = text("""
    SELECT * FROM appointment WHERE (municipality, appointment_id) = (:municipality, :appointment_id) FOR UPDATE
""")
# Whoever changes what they wait for keeps their place in the line.
_JOIN = text("""
    INSERT INTO waiting (municipality, appointment_id, first_day, last_day, weekdays, part, counter, joined_at)
    VALUES (:municipality, :appointment_id, :first_day, :last_day, :weekdays, :part, :counter, :now)
    ON CONFLICT (municipality, appointment_id) DO UPDATE
    SET (first_day, last_day, weekdays, part, counter)
      = (excluded.first_day, excluded.last_day, excluded.weekdays, excluded.part, excluded.counter)
""")
_LEAVE = text("""
    DELETE FROM waiting WHERE (municipality, appointment_id) = (:municipality, :appointment_id)
""")
_NOT_LATER = text("""
    UPDATE waiting SET last_day = :day
    WHERE (municipality, appointment_id) = (:municipality, :appointment_id) AND last_day > :day AND first_day <= :day
""")
_THERE_NOW = text("""
    UPDATE waiting SET counter = :counter WHERE (municipality, appointment_id) = (:municipality, :appointment_id)
""")
_NOTHING_LEFT = text("""
    DELETE FROM waiting
    WHERE (municipality, appointment_id) = (:municipality, :appointment_id) AND (first_day > :day OR :has_earlier)
""")
_NEXT_VERSION = text("""
    UPDATE appointment SET version = version + 1, changed_at = :now
    WHERE (municipality, appointment_id) = (:municipality, :appointment_id) RETURNING *
""")


async def join_waitlist(session: AsyncSession, order: JoinWaitlist, *, now: datetime) -> Joined:
    """Wait for an earlier time. What is free already is looked at at once.

    Raises:
        Refusal: `appointment_unknown` (404); `waiting_unfit` (409): a part of an arrival, closed, or nobody to be told;
            `waiting_window` (400); `appointment_cancelled`, `appointment_started`, `change_too_late` (409),
            `key_reused` (422).
    """
    town, window = order.municipality, order.window
    hashed = request_hash("wait", window)
    owner = f"appointment:{order.appointment_id}"
    answered = await claim_key(session, town, owner, order.key, hashed, now=now)
    if answered is not None:
        return msgspec.convert(answered, Joined)
    row = await _lock(session, town, order.appointment_id)
    refuse_too_late((await get_rules(session, town)).policy, state=row.state, starts_at=row.starts_at, now=now)
    if row.chain_id is not None or row.closure != "none" or row.reach == "none":
        raise Refusal("waiting_unfit", 409)
    check_window(window, own_day=row.day, today=jst_day(now))
    if row.minutes is not None:
        # Whoever needs more time than a slot has waits at their own counter.
        window = msgspec.structs.replace(window, counter=row.counter)
    channel: Channel = "counter" if row.helper == "none" else "helper"
    procedure = await find_procedure(session, town, row.procedure, channel)
    mine = {"municipality": town, "appointment_id": order.appointment_id, "now": now}
    chosen = msgspec.structs.asdict(window) | {"weekdays": list(window.weekdays)}
    await session.execute(_JOIN, mine | chosen)
    counters = procedure.counters if procedure and window.counter is None else [window.counter or row.counter]
    await schedule_all(session, "booking", town, [Due(WAITING, counter, now) for counter in sorted(counters)])
    joined = Joined(appointment_id=order.appointment_id)
    await keep_answer(session, town, owner, order.key, joined)
    await record_deed(session, order.staff, "wait", order.appointment_id, now=now)
    return joined


async def leave_waitlist(
    session: AsyncSession, municipality: str, appointment_id: UUID, *, staff: Identity | None = None, now: datetime
) -> None:
    """Wait no more; what is kept for them is somebody else's. Said again, nothing more happens.

    Raises:
        Refusal: `appointment_unknown` (404).
    """
    await _lock(session, municipality, appointment_id)
    await session.execute(_LEAVE, {"municipality": municipality, "appointment_id": appointment_id})
    offer = await find_offer(session, municipality, appointment_id, now=now)
    if offer is not None and offer.cause == "waiting":
        await end_earlier_offer(session, municipality, appointment_id, "declined", now=now)
    await record_deed(session, staff, "wait-no-more", appointment_id, now=now)


async def decline_earlier(
    session: AsyncSession,
    municipality: str,
    appointment_id: UUID,
    offer_id: UUID,
    *,
    staff: Identity | None = None,
    now: datetime,
) -> None:
    """No, thank you: this one is the next person's. They stay on the list. Said twice, or too late, nothing happens.

    Raises:
        Refusal: `appointment_unknown` (404).
    """
    await _lock(session, municipality, appointment_id)
    offer = await find_offer(session, municipality, appointment_id, now=now)
    if offer is None or offer.offer_id != offer_id or offer.cause != "waiting":
        return
    await end_earlier_offer(session, municipality, appointment_id, "declined", now=now)
    await record_deed(session, staff, "decline-earlier", appointment_id, now=now)


async def end_earlier_offer(
    session: AsyncSession, municipality: str, appointment_id: UUID, state: End, *, now: datetime
) -> None:
    """An offer of an earlier time is over and was not taken: nothing is said of it any more.

    The caller has locked the appointment.
    """
    if not await end_offer(session, municipality, appointment_id, state, now=now):
        return
    mine = {"municipality": municipality, "appointment_id": appointment_id, "now": now}
    row = (await session.execute(_NEXT_VERSION, mine)).one()
    await outbox.publish(session, tell_closure(row, now=now))


async def tell_earlier_offer(session: AsyncSession, offer: Any, appointment: Any, *, now: datetime) -> None:
    """Its owner is told that an earlier time is kept for them. The caller has locked the appointment."""
    mine = {"municipality": appointment.municipality, "appointment_id": appointment.appointment_id, "now": now}
    row = (await session.execute(_NEXT_VERSION, mine)).one()
    await outbox.publish(session, tell_closure(row, offer, now=now))


async def follow_move(session: AsyncSession, moved: Any, *, has_earlier: bool) -> None:
    """An appointment moved. Who took what was offered has it now; others go on waiting for what is earlier still."""
    mine = {"municipality": moved.municipality, "appointment_id": moved.appointment_id, "day": moved.day}
    await session.execute(_NOTHING_LEFT, mine | {"has_earlier": has_earlier})
    await session.execute(_NOT_LATER, mine)
    if moved.minutes is not None:
        await session.execute(_THERE_NOW, mine | {"counter": moved.counter})


async def _lock(session: AsyncSession, municipality: str, appointment_id: UUID) -> Any:
    mine = {"municipality": municipality, "appointment_id": appointment_id}
    row = (await session.execute(_LOCK, mine)).one_or_none()
    if row is None:
        raise Refusal("appointment_unknown", 404)
    return row
