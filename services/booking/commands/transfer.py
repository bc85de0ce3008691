"""Sending somebody to another counter, with a note for the staff there: a step in the line like others."""

from datetime import date, datetime
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.line import lock_in_line
from services.booking.commands.steps import Moved, standing_of, take_step
from services.booking.domain.line import PRESENT
from services.booking.domain.transfer import OTHER, REASONS, Reason
from services.booking.keys import Keys, transfer_context
from services.booking.queries.slots import list_counters
from shared.clock import jst_day
from shared.crypto import SealBroken
from shared.errors import Refusal
from shared.log import get_logger
from shared.tokens import Identity

log = get_logger(__name__)

TRANSFERS_MAX = 1_000

_WRITE = text("""
    INSERT INTO transfer
        (municipality, transfer_id, appointment_id, version, day, from_counter, from_office, to_counter, to_office,
         reason, note_sealed, wrapped_key, sent_at)
    VALUES (:municipality, :transfer_id, :appointment_id, :version, :day, :from_counter, :from_office, :to_counter,
            :to_office, :reason, :note_sealed, :wrapped_key, :now)
""")
_LIST = text(f"""
    SELECT DISTINCT ON (t.appointment_id) t.*, coalesce(nullif(c.number, ''), c.name_ja, t.from_counter) AS from_number
    FROM transfer t LEFT JOIN counter c ON (c.municipality, c.code) = (t.municipality, t.from_counter)
    WHERE t.municipality = :municipality AND t.day = :day
      AND (CAST(:office AS text) IS NULL OR t.from_office = :office OR t.to_office = :office)
    ORDER BY t.appointment_id, t.version DESC LIMIT {TRANSFERS_MAX}
""")


class SendOn(msgspec.Struct, frozen=True, kw_only=True):
    """The order to send somebody to another counter. `version` is the one that the tablet showed."""

    appointment_id: UUID
    counter: str
    reason: str
    note: str
    version: int


class SentOn(msgspec.Struct, frozen=True, kw_only=True):
    """What the staff of both counters know of somebody who was sent on: from where, why, and the note."""

    from_counter: str
    from_number: str
    to_counter: str
    reason: Reason
    note: str | None


async def send_on(session: AsyncSession, actor: Identity, keys: Keys, order: SendOn, *, now: datetime) -> Moved:
    """Bring them into the line of another counter; the ticket in their hand stays.

    Raises:
        Refusal: `appointment_unknown`, `counter_unknown` (404), `other_office` (403), `line_moved`, `not_today`,
            `step_impossible` (409), `transfer_unfit` (422): the counter where they are, or no reason.
    """
    row = await lock_in_line(session, actor, order.appointment_id, order.version)
    if row.day != jst_day(now):
        raise Refusal("not_today", 409, day=row.day.isoformat())
    # Whoever meets a helper has come to see nobody at a counter.
    if row.state not in PRESENT or row.helper != "none":
        raise Refusal("step_impossible", 409, state=row.state)
    reason = next((known for known in REASONS if known == order.reason), None)
    if reason is None or order.counter == row.counter or (reason == OTHER and not order.note):
        raise Refusal("transfer_unfit", 422)
    target = (await list_counters(session, actor.municipality)).get(order.counter)
    if target is None or not target.number:
        raise Refusal("counter_unknown", 404)
    standing = msgspec.structs.replace(
        standing_of(row),
        state="checked_in",
        counter=target.code,
        office=target.office,
        queued_at=now,
        parked_at=None,
        called_at=None,
        serving_at=None,
    )
    moved = await take_step(session, actor, row, "transfer", standing, now=now)
    transfer_id = uuid4()
    context = transfer_context(actor.municipality, transfer_id)
    wrapped_key = keys.vault.new_key(context) if order.note else None
    sealed = keys.vault.seal(wrapped_key, context, "note", order.note) if wrapped_key is not None else None
    written = {
        "municipality": actor.municipality,
        "transfer_id": transfer_id,
        "appointment_id": row.appointment_id,
        "version": moved.version,
        "day": row.day,
        "from_counter": row.counter,
        "from_office": row.office,
        "to_counter": target.code,
        "to_office": target.office,
        "reason": reason,
        "note_sealed": sealed,
        "wrapped_key": wrapped_key,
        "now": now,
    }
    await session.execute(_WRITE, written)
    return moved


async def list_sent_on(session: AsyncSession, actor: Identity, day: date, keys: Keys) -> dict[UUID, SentOn]:
    """Who was sent on that day, from or to the actor's office: the last time of each, with its note."""
    asked = {"municipality": actor.municipality, "day": day, "office": actor.office}
    rows = (await session.execute(_LIST, asked)).all()
    return {
        row.appointment_id: SentOn(
            from_counter=row.from_counter,
            from_number=row.from_number,
            to_counter=row.to_counter,
            reason=row.reason,
            note=_open_note(keys, row.municipality, row.transfer_id, row.wrapped_key, row.note_sealed),
        )
        for row in rows
    }


def _open_note(
    keys: Keys, municipality: str, transfer_id: UUID, wrapped_key: bytes | None, sealed: bytes | None
) -> str | None:
    if wrapped_key is None or sealed is None:
        return None
    try:
        return keys.vault.open(wrapped_key, transfer_context(municipality, transfer_id), "note", sealed)
    except SealBroken:
        log.error("note_unreadable", transfer_id=str(transfer_id))
        return None
