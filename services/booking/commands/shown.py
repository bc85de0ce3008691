"""Staff who book for somebody see the name that crossed with the pass: told to that person, once for each visit."""

from datetime import datetime
from uuid import NAMESPACE_URL, UUID, uuid5

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.appointments import LEGAL_BASIS, STEP_COLLECTED
from services.booking.commands.visits import KANA, NAME, open_draft
from services.booking.keys import Keys, subject_context
from services.booking.tables import ledger
from shared.audit import record_deed
from shared.ledger.entry import Entry
from shared.tokens import Identity

PURPOSE = "窓口の予約のため"
STEP = "confirm"

# Locked, so that of two windows that are opened at once the second finds what the first has written.
_VISIT = text("""
    SELECT v.subject_ref, v.case_id, v.procedure, v.draft_sealed, k.wrapped_key
    FROM visit v JOIN subject_key k USING (municipality, subject_ref)
    WHERE (v.municipality, v.visit_id) = (:municipality, :visit_id) AND v.draft_sealed IS NOT NULL
    FOR UPDATE OF v
""")
_KNOWN = text("SELECT 1 FROM ledger_entry WHERE (municipality, entry_id) = (:municipality, :entry_id)")


async def write_shown_to_staff(
    session: AsyncSession, actor: Identity, visit_id: UUID, keys: Keys, *, now: datetime
) -> None:
    """Write that this member of staff has the name of a visit's person before them, and audit each look."""
    town = actor.municipality
    row = (await session.execute(_VISIT, {"municipality": town, "visit_id": visit_id})).one_or_none()
    if row is None:
        return
    draft = open_draft(keys, town, row.subject_ref, visit_id, row.wrapped_key, row.draft_sealed)
    seen = {key: value for key in (NAME, KANA) if (value := draft.value(key)) is not None}
    if not seen:
        return
    await record_deed(session, actor, "view-visit", visit_id, now=now)
    entry_id = uuid5(NAMESPACE_URL, f"view-visit:{town}/{visit_id}/{actor.ref}")
    if (await session.execute(_KNOWN, {"municipality": town, "entry_id": entry_id})).one_or_none() is not None:
        return
    context = subject_context(town, row.subject_ref)
    entry = Entry(
        entry_id=entry_id,
        municipality=town,
        occurred_at=now,
        entry_type="staff_viewed",
        subject_ref=row.subject_ref,
        actor_kind="helper" if actor.kind == "helper" else "staff",
        actor_ref=actor.ref,
        office=actor.office,
        source_procedure=row.procedure,
        source_case=row.case_id,
        source_step=STEP_COLLECTED,
        target_service="booking",
        target_procedure=row.procedure,
        target_case=row.case_id,
        target_step=STEP,
        items=tuple(seen),
        commitments={
            item: keys.vault.commitment(row.wrapped_key, context, item, value) for item, value in seen.items()
        },
        purpose=PURPOSE,
        legal_basis=LEGAL_BASIS,
        correlation=visit_id,
    )
    await ledger.write(session, entry)
