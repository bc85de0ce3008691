"""Entering a draw, changing one's wishes, and leaving it: with what a visit brought, as a ticket."""

import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.access import FAILURES_MAX, LOCKED_FOR, Found
from services.booking.commands.draws import ENTRIES_MAX
from services.booking.commands.visits import open_draft, seal_draft
from services.booking.domain.draw import PREFERENCES_MAX
from services.booking.keys import Keys, subject_context
from shared.audit import record_deed
from shared.crypto import new_code
from shared.errors import Refusal
from shared.reference_number import CODE_LENGTH, TICKET_LENGTH, make_number, read_code, read_number
from shared.tokens import Identity

# Two of so many numbers are seldom the same, and never three times.
TICKET_TRIES = 3


class EnterDraw(msgspec.Struct, frozen=True, kw_only=True):
    """The order to enter a draw with what a visit brought. `preferences` are slots, the dearest first."""

    municipality: str
    draw_id: UUID
    visit_id: UUID
    visitor: str
    preferences: tuple[UUID, ...]
    staff: Identity | None = None


class ChangeEntry(msgspec.Struct, frozen=True, kw_only=True):
    """The order to wish for other sessions, or with none to leave the draw."""

    municipality: str
    entry_id: UUID
    preferences: tuple[UUID, ...] = ()
    staff: Identity | None = None


_VISIT = text("""
    SELECT v.guest_ref, v.subject_ref, v.case_id, v.contact_ref, v.procedure, v.channel, v.reach, v.language, v.behalf,
           v.draft_sealed, v.passed_at, v.expires_at, v.appointment_id, k.wrapped_key
    FROM visit v
    LEFT JOIN subject_key k ON (k.municipality, k.subject_ref) = (v.municipality, v.subject_ref)
    WHERE (v.municipality, v.visit_id) = (:municipality, :visit_id) FOR UPDATE OF v
""")
# Whoever draws waits for those who have read this, and who reads it later finds it drawn.
_DRAW = text("""
    SELECT d.draw_id, d.procedure, d.opens_at, d.closes_at, d.state,
           ARRAY(SELECT s.slot_id FROM draw_session s
                 WHERE (s.municipality, s.draw_id) = (d.municipality, d.draw_id) LIMIT 1000) AS slots
    FROM draw d WHERE (d.municipality, d.draw_id) = (:municipality, :draw_id) FOR SHARE OF d
""")
_COUNT = text("""
    SELECT count(*) FROM draw_entry WHERE (municipality, draw_id) = (:municipality, :draw_id) AND state = 'entered'
""")
_KNOWN = text("""
    SELECT ticket, guest_ref FROM draw_entry
    WHERE (municipality, draw_id) = (:municipality, :draw_id) AND state = 'entered'
      AND (subject_ref = :subject_ref OR guest_ref = :guest_ref AND came_by = 'web' AND :came_by = 'web') LIMIT 1
""")
_ENTER = text("""
    INSERT INTO draw_entry (municipality, entry_id, draw_id, ticket, state, preferences, came_by, guest_ref,
                            subject_ref, case_id, contact_ref, reach, language, draft_sealed, passed_at, code_hash,
                            code_sealed, entered_at, changed_at)
    VALUES (:municipality, :entry_id, :draw_id, :ticket, 'entered', :preferences, :came_by, :guest_ref, :subject_ref,
            :case_id, :contact_ref, :reach, :language, :draft_sealed, :passed_at, :code_hash, :code_sealed, :now, :now)
    ON CONFLICT DO NOTHING RETURNING ticket
""")
_DRAW_OF = text("SELECT draw_id FROM draw_entry WHERE (municipality, entry_id) = (:municipality, :entry_id)")
_ENTRY = text("""
    SELECT state, appointment_id FROM draw_entry
    WHERE (municipality, entry_id) = (:municipality, :entry_id) FOR UPDATE
""")
_CHANGE = text("""
    UPDATE draw_entry SET preferences = :preferences, changed_at = :now
    WHERE (municipality, entry_id) = (:municipality, :entry_id)
""")
_WITHDRAW = text("""
    UPDATE draw_entry SET state = 'withdrawn', draft_sealed = NULL, code_sealed = NULL, changed_at = :now
    WHERE (municipality, entry_id) = (:municipality, :entry_id)
""")
_BY_TICKET = text("""
    SELECT entry_id, ticket, code_hash, code_failures, locked_until FROM draw_entry
    WHERE (municipality, draw_id, ticket) = (:municipality, :draw_id, :ticket) AND code_hash IS NOT NULL FOR UPDATE
""")
_FAILED = text("""
    UPDATE draw_entry SET code_failures = :failures, locked_until = :locked_until
    WHERE (municipality, entry_id) = (:municipality, :entry_id)
""")


async def enter_draw(session: AsyncSession, order: EnterDraw, keys: Keys, *, now: datetime) -> str:
    """Enter, and return the ticket's number. Who has entered already gets the same number again.

    Raises:
        Refusal: `visit_unknown`, `draw_unknown` (404), `visit_booked` (409), `visit_over` (410), `draw_other` (409, of
            another procedure), `draw_not_open`, `draw_closed`, `draw_full` (409), `draw_wishes` (422), `draw_entered`
            (409, somebody else entered for this person).
    """
    visit = (await session.execute(_VISIT, _town(order) | {"visit_id": order.visit_id})).one_or_none()
    if visit is None or visit.guest_ref != order.visitor:
        raise Refusal("visit_unknown", 404)
    if visit.appointment_id is not None:
        raise Refusal("visit_booked", 409)
    if visit.expires_at <= now or visit.draft_sealed is None or visit.wrapped_key is None:
        raise Refusal("visit_over", 410)
    mine = _town(order) | {"draw_id": order.draw_id, "now": now}
    found = await _find_draw(session, mine)
    if (found.procedure, "counter") != (visit.procedure, visit.channel):
        raise Refusal("draw_other", 409)
    _refuse_outside(found, now=now)
    _refuse_wishes(order.preferences, found.slots)
    if (await session.execute(_COUNT, mine)).scalar_one() >= ENTRIES_MAX:
        raise Refusal("draw_full", 409)
    entry_id, code = uuid4(), new_code(CODE_LENGTH)
    subject_ref, wrapped_key = visit.subject_ref, bytes(visit.wrapped_key)
    draft = open_draft(keys, order.municipality, subject_ref, order.visit_id, wrapped_key, visit.draft_sealed)
    context = subject_context(order.municipality, subject_ref)
    entry = mine | {
        "entry_id": entry_id,
        "preferences": list(order.preferences),
        "came_by": visit.behalf or "web",
        "guest_ref": order.visitor,
        "subject_ref": subject_ref,
        "case_id": visit.case_id,
        "contact_ref": visit.contact_ref,
        "reach": visit.reach,
        "language": visit.language,
        "draft_sealed": seal_draft(keys, order.municipality, subject_ref, entry_id, wrapped_key, draft),
        "passed_at": visit.passed_at,
        "code_hash": keys.code_hash(entry_id, code),
        "code_sealed": keys.vault.seal(wrapped_key, context, f"code/{entry_id}", code),
    }
    for _ in range(TICKET_TRIES):
        ticket = make_number(secrets.choice, length=TICKET_LENGTH)
        if (await session.execute(_ENTER, entry | {"ticket": ticket})).one_or_none() is not None:
            await record_deed(session, order.staff, "draw-enter", entry_id, now=now)
            return ticket
        known = (await session.execute(_KNOWN, entry)).one_or_none()
        if known is not None:
            if known.guest_ref != order.visitor:
                raise Refusal("draw_entered", 409)
            return str(known.ticket)
    raise RuntimeError("no number that is free")


async def change_entry(session: AsyncSession, order: ChangeEntry, *, now: datetime) -> None:
    """Wish for other sessions, or leave. Whoever has won cancels their appointment instead.

    Raises:
        Refusal: `draw_unknown` (404), `draw_won`, `draw_withdrawn`, `draw_not_open`, `draw_closed` (409), `draw_wishes`
            (422).
    """
    mine = _town(order) | {"entry_id": order.entry_id, "now": now}
    # The draw before the entry, as whoever draws: so nobody waits for each other.
    found = await _find_draw(session, mine | {"draw_id": (await session.execute(_DRAW_OF, mine)).scalar_one_or_none()})
    entry = (await session.execute(_ENTRY, mine)).one()
    if entry.appointment_id is not None:
        raise Refusal("draw_won", 409)
    if entry.state == "withdrawn":
        if not order.preferences:
            return
        raise Refusal("draw_withdrawn", 409)
    if not order.preferences:
        await session.execute(_WITHDRAW, mine)
        await record_deed(session, order.staff, "draw-withdraw", order.entry_id, now=now)
        return
    _refuse_outside(found, now=now)
    _refuse_wishes(order.preferences, found.slots)
    await session.execute(_CHANGE, mine | {"preferences": list(order.preferences)})
    await record_deed(session, order.staff, "draw-change", order.entry_id, now=now)


async def try_entry_code(
    session: AsyncSession, municipality: str, draw_id: UUID, typed_number: str, typed_code: str, keys: Keys, *,
    now: datetime,
) -> Found:  # fmt: skip
    """Check a ticket's number and code as typed, as `try_code` does an appointment's."""
    number, code = read_number(typed_number, length=TICKET_LENGTH), read_code(typed_code)
    if number is None or code is None:
        return Found(outcome="wrong")
    asked = {"municipality": municipality, "draw_id": draw_id, "ticket": number}
    row = (await session.execute(_BY_TICKET, asked)).one_or_none()
    if row is None:
        return Found(outcome="wrong", nobodys=number)
    if row.locked_until is not None and row.locked_until > now:
        return Found(outcome="locked", locked_until=row.locked_until)
    mine = {"municipality": municipality, "entry_id": row.entry_id}
    if keys.is_code(row.entry_id, code, bytes(row.code_hash)):
        if row.code_failures or row.locked_until:
            await session.execute(_FAILED, mine | {"failures": 0, "locked_until": None})
        return Found(outcome="open", appointment_id=row.entry_id, number=row.ticket)
    failures = row.code_failures + 1
    is_locked = failures >= FAILURES_MAX
    locked_until = now + LOCKED_FOR if is_locked else None
    await session.execute(_FAILED, mine | {"failures": 0 if is_locked else failures, "locked_until": locked_until})
    return Found(outcome="locked" if is_locked else "wrong", locked_until=locked_until)


def _town(order: EnterDraw | ChangeEntry) -> dict[str, Any]:
    return {"municipality": order.municipality}


async def _find_draw(session: AsyncSession, mine: dict[str, Any]) -> Any:
    found = (await session.execute(_DRAW, mine)).one_or_none()
    if found is None:
        raise Refusal("draw_unknown", 404)
    return found


def _refuse_outside(found: Any, *, now: datetime) -> None:
    if now < found.opens_at:
        raise Refusal("draw_not_open", 409)
    if now >= found.closes_at or found.state != "announced":
        raise Refusal("draw_closed", 409)


def _refuse_wishes(preferences: Sequence[UUID], slots: Sequence[UUID]) -> None:
    wanted = set(preferences)
    if not 0 < len(preferences) <= PREFERENCES_MAX or len(wanted) < len(preferences) or wanted - set(slots):
        raise Refusal("draw_wishes", 422)
