"""A name that is not to be called out any more: forgotten where it is, and not taken from a pass that is on its way."""

from datetime import datetime
from typing import Any
from uuid import uuid4

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
# Where drafts are: of somebody who chooses a time, of who entered a draw, and of who asked for help.
_HOLDERS = (("visit", "visit_id"), ("draw_entry", "entry_id"), ("help_request", "request_id"))
# Locked: whoever books, or draws, from one of them right now has done so before, or finds the name gone.
_DRAFTS = f"""
    SELECT t.{{key}} AS key, t.subject_ref, t.draft_sealed, k.wrapped_key
    FROM {{table}} t LEFT JOIN subject_key k ON (k.municipality, k.subject_ref) = (t.municipality, t.subject_ref)
    WHERE t.municipality = :municipality AND t.case_id = :case_id AND t.draft_sealed IS NOT NULL
      AND t.passed_at <= :withdrawn_at
    ORDER BY t.{{key}} LIMIT {VISITS_MAX} FOR UPDATE OF t
"""
_RESEAL = "UPDATE {table} SET draft_sealed = :draft_sealed WHERE (municipality, {key}) = (:municipality, :key)"
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
# The same of who entered a class.
_FORGET_OF_CLASSES = text("""
    WITH found AS (
        SELECT municipality, entry_id, name_sealed IS NOT NULL AS has_name, kana_sealed IS NOT NULL AS has_kana
        FROM course_entry WHERE municipality = :municipality AND case_id = :case_id FOR UPDATE)
    UPDATE course_entry e
    SET name_sealed = CASE WHEN 'name' = ANY(CAST(:items AS text[])) THEN NULL ELSE name_sealed END,
        kana_sealed = CASE WHEN 'kana' = ANY(CAST(:items AS text[])) THEN NULL ELSE kana_sealed END, changed_at = :now
    FROM found
    WHERE (e.municipality, e.entry_id) = (found.municipality, found.entry_id) AND passed_at <= :withdrawn_at
      AND (name_sealed IS NOT NULL AND 'name' = ANY(CAST(:items AS text[]))
           OR kana_sealed IS NOT NULL AND 'kana' = ANY(CAST(:items AS text[])))
    RETURNING e.entry_id AS appointment_id, subject_ref, procedure, '' AS office, has_name, has_kana
""")


async def forget_names(session: AsyncSession, keys: Keys, event: NameWithdrawn, *, now: datetime) -> None:
    """Forget what was passed on before this: in visits, in appointments, and in whatever pass still arrives."""
    case = {"municipality": event.municipality, "case_id": event.case_id, "withdrawn_at": event.occurred_at}
    await stay_alone(session, event.municipality, event.case_id)
    for item in event.items:
        await session.execute(_REMEMBER, case | {"item": item})
    for table, key in _HOLDERS:
        for found in (await session.execute(text(_DRAFTS.format(table=table, key=key)), case)).all():
            if found.wrapped_key is not None:
                again = _without(keys, event, found)
                values = {"municipality": event.municipality, "key": found.key, "draft_sealed": again}
                await session.execute(text(_RESEAL.format(table=table, key=key)), values)
    asked = case | {"items": list(event.items), "now": now}
    forgotten = [row for statement in (_FORGET, _FORGET_OF_CLASSES) for row in await session.execute(statement, asked)]
    for row in forgotten:
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


def _without(keys: Keys, event: NameWithdrawn, found: Any) -> bytes:
    town, subject_ref, wrapped_key = event.municipality, found.subject_ref, found.wrapped_key
    draft = open_draft(keys, town, subject_ref, found.key, wrapped_key, found.draft_sealed).without(event.items)
    return seal_draft(keys, town, subject_ref, found.key, wrapped_key, draft)
