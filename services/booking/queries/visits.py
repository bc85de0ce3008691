"""A visit as its visitor sees it."""

from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.visits import KANA, NAME, open_draft
from services.booking.keys import Keys, subject_context
from services.booking.queries.slots import Channel
from shared.crypto import SealBroken
from shared.errors import Refusal


class HeldSlot(msgspec.Struct, frozen=True, kw_only=True):
    """The place that a visit holds."""

    slot_id: UUID
    counter: str
    starts_at: datetime
    ends_at: datetime
    held_until: datetime

    def is_live(self, now: datetime) -> bool:
        """Whether nobody else can take it now."""
        return self.held_until > now


class VisitView(msgspec.Struct, frozen=True, kw_only=True):
    """What the pages need of a visit. `code` only after booking, while the visit lives."""

    visit_id: UUID
    procedure: str
    reach: str
    channel: Channel
    expires_at: datetime
    appointment_id: UUID | None
    number: str | None
    held: HeldSlot | None
    name: str | None = None
    kana: str | None = None
    code: str | None = None


_VISIT = text("""
    SELECT v.visit_id, v.guest_ref, v.subject_ref, v.procedure, v.reach, v.channel, v.expires_at, v.appointment_id,
           v.draft_sealed, v.code_sealed, k.wrapped_key, a.number,
           p.slot_id, p.held_until, s.counter, s.starts_at, s.ends_at
    FROM visit v
    LEFT JOIN subject_key k ON (k.municipality, k.subject_ref) = (v.municipality, v.subject_ref)
    LEFT JOIN appointment a ON (a.municipality, a.appointment_id) = (v.municipality, v.appointment_id)
    LEFT JOIN place p ON p.municipality = v.municipality AND p.visit_id = v.visit_id AND p.hold_id IS NOT NULL
    LEFT JOIN slot s ON (s.municipality, s.slot_id) = (p.municipality, p.slot_id)
    WHERE v.municipality = :municipality AND v.visit_id = :visit_id
""")


async def get_visit(session: AsyncSession, municipality: str, visit_id: UUID, visitor: str, keys: Keys) -> VisitView:
    """A visit of this visitor.

    Raises:
        Refusal: `visit_unknown` (404), also when it is somebody else's.
    """
    row = (await session.execute(_VISIT, {"municipality": municipality, "visit_id": visit_id})).one_or_none()
    if row is None or row.guest_ref != visitor:
        raise Refusal("visit_unknown", 404)
    held = None
    if row.slot_id is not None:
        held = HeldSlot(
            slot_id=row.slot_id,
            counter=row.counter,
            starts_at=row.starts_at,
            ends_at=row.ends_at,
            held_until=row.held_until,
        )
    view = VisitView(
        visit_id=row.visit_id,
        procedure=row.procedure,
        reach=row.reach,
        channel=row.channel,
        expires_at=row.expires_at,
        appointment_id=row.appointment_id,
        number=row.number,
        held=held,
    )
    if row.wrapped_key is None:
        return view
    if row.draft_sealed is not None:
        draft = open_draft(keys, municipality, row.subject_ref, visit_id, row.wrapped_key, row.draft_sealed)
        return msgspec.structs.replace(view, name=draft.value(NAME), kana=draft.value(KANA))
    if row.code_sealed is not None:
        context = subject_context(municipality, row.subject_ref)
        return msgspec.structs.replace(
            view, code=_open(keys, row.wrapped_key, context, f"code/{visit_id}", row.code_sealed)
        )
    return view


def _open(keys: Keys, wrapped_key: bytes, context: str, field: str, sealed: bytes) -> str | None:
    try:
        return keys.vault.open(wrapped_key, context, field, sealed)
    except SealBroken:
        return None
