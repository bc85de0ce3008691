"""A name that is not to be called out any more: forgotten where it is, and not taken from a pass that is on its way."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.visits import open_draft, seal_draft, stay_alone
from services.booking.keys import Keys
from services.booking.tables import ledger
from shared.events.routing import NameWithdrawn
from shared.ledger.entry import Entry

STEP = "appointment"
PURPOSE = "番号でお呼びするため"
VISITS_MAX = 100

_REMEMBER = text("""
    INSERT INTO name_withdrawn (municipality, case_id, item, withdrawn_at)
    VALUES (:municipality, :case_id, :item, :withdrawn_at)
    ON CONFLICT (municipality, case_id, item) DO UPDATE
    SET withdrawn_at = greatest(name_withdrawn.withdrawn_at, excluded.withdrawn_at)
""")
# Locked: whoever books from one of them right now has done so before, or finds the name gone.
_VISITS = text(f"""
    SELECT v.visit_id, v.subject_ref, v.draft_sealed, k.wrapped_key
    FROM visit v LEFT JOIN subject_key k ON (k.municipality, k.subject_ref) = (v.municipality, v.subject_ref)
    WHERE v.municipality = :municipality AND v.case_id = :case_id AND v.draft_sealed IS NOT NULL
      AND v.passed_at <= :withdrawn_at
    ORDER BY v.visit_id LIMIT {VISITS_MAX} FOR UPDATE OF v
""")
_RESEAL = text("""
    UPDATE visit SET draft_sealed = :draft_sealed WHERE (municipality, visit_id) = (:municipality, :visit_id)
""")
# No new version: what others are told of an appointment stays as it is. Told is which items there were.
_FORGET = text("""
    WITH found AS (
        SELECT municipality, appointment_id, name_sealed IS NOT NULL AS has_name, kana_sealed IS NOT NULL AS has_kana
        FROM appointment WHERE municipality = :municipality AND case_id = :case_id FOR UPDATE)
    UPDATE appointment SET name_sealed = CASE WHEN 'name' = ANY(CAST(:items AS text[])) THEN NULL ELSE name_sealed END,
           kana_sealed = CASE WHEN 'kana' = ANY(CAST(:items AS text[])) THEN NULL ELSE kana_sealed END,
           changed_at = :now
    FROM found
    WHERE (appointment.municipality, appointment.appointment_id) = (found.municipality, found.appointment_id)
      AND coalesce((SELECT v.passed_at FROM visit v
                    WHERE (v.municipality, v.visit_id) = (appointment.municipality, appointment.visit_id)),
                   booked_at) <= :withdrawn_at
      AND (name_sealed IS NOT NULL AND 'name' = ANY(CAST(:items AS text[]))
           OR kana_sealed IS NOT NULL AND 'kana' = ANY(CAST(:items AS text[])))
    RETURNING appointment.appointment_id, subject_ref, procedure, office, has_name, has_kana
""")


async def forget_names(session: AsyncSession, keys: Keys, event: NameWithdrawn, *, now: datetime) -> None:
    """Forget what was passed on before this: in visits, in appointments, and in whatever pass still arrives."""
    case = {"municipality": event.municipality, "case_id": event.case_id, "withdrawn_at": event.occurred_at}
    await stay_alone(session, event.municipality, event.case_id)
    for item in event.items:
        await session.execute(_REMEMBER, case | {"item": item})
    for visit in (await session.execute(_VISITS, case)).all():
        if visit.wrapped_key is not None:
            await _reseal(
                session, keys, event, visit.visit_id, visit.subject_ref, visit.wrapped_key, visit.draft_sealed
            )
    found = await session.execute(_FORGET, case | {"items": list(event.items), "now": now})
    for row in found.all():
        await ledger.write(
            session,
            Entry(
                entry_id=uuid4(),
                municipality=event.municipality,
                occurred_at=now,
                entry_type="erased",
                subject_ref=row.subject_ref,
                actor_kind="system",
                actor_ref="booking",
                office=row.office or None,
                target_service="booking",
                target_procedure=row.procedure,
                target_case=event.case_id,
                target_step=STEP,
                items=tuple(item for item in event.items if getattr(row, f"has_{item}", False)),
                purpose=PURPOSE,
                correlation=row.appointment_id,
            ),
        )


async def _reseal(
    session: AsyncSession,
    keys: Keys,
    event: NameWithdrawn,
    visit_id: UUID,
    subject_ref: UUID,
    wrapped_key: bytes,
    sealed: bytes,
) -> None:
    draft = open_draft(keys, event.municipality, subject_ref, visit_id, wrapped_key, sealed).without(event.items)
    again = seal_draft(keys, event.municipality, subject_ref, visit_id, wrapped_key, draft)
    await session.execute(_RESEAL, {"municipality": event.municipality, "visit_id": visit_id, "draft_sealed": again})
