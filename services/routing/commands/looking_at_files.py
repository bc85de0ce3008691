"""One attached file is opened, by whom it belongs to or by the office that decides: each leaves its ledger entry."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.attachments import OpenedFile, open_body, open_files
from services.routing.commands.cases import get_own_case
from services.routing.commands.form import PURPOSE_APPLY
from services.routing.commands.looking import PURPOSE_REVIEW, look_at_held_back, look_at_items
from services.routing.commands.progress import lock_application, refuse_other_office
from services.routing.commands.reuse import usable_sources
from services.routing.commands.vault import STEP_FORM, Use, read_values, seen_again
from services.routing.domain.protection import Reason
from services.routing.queries.attachments import list_files
from services.routing.tables import SERVICE, application
from shared.audit import record_deed
from shared.crypto import SubjectVault
from shared.errors import Refusal
from shared.tokens import Identity

STEP_FILE = "office_file"


async def open_own_file(
    session: AsyncSession, vault: SubjectVault, *, identity: Identity, case_id: UUID, file_id: UUID, now: datetime
) -> tuple[OpenedFile, bytes]:
    """A file of one's own case, as it stands or as it was sent.

    Raises:
        Refusal: `case_unknown` (404), `attachment_unknown` (404), also when it is held back.
    """
    case = await get_own_case(session, identity, case_id, now=now)
    query = select(application.c["items"]).where(
        application.c.municipality == case.municipality, application.c.case_id == case_id
    )
    sent = (await session.execute(query)).scalar_one_or_none() or {}
    usable = {key: source.version for key, source in (await usable_sources(session, case)).items()}
    found = None
    for versions in (usable, sent):
        found = found or await _find(session, case.municipality, case.subject_ref, versions, file_id)
    if found is None:
        raise Refusal("attachment_unknown", 404)
    use = Use(
        entry_type="previewed",
        case_id=case_id,
        procedure=case.procedure,
        target_service=SERVICE,
        target_step=STEP_FORM,
        purpose=PURPOSE_APPLY,
        outcome="own_form",
        acting_for=case.acting_for,
    )
    await record_deed(session, identity, "view_file", case_id, now=now)
    values = await read_values(
        session,
        vault,
        identity=identity,
        subject_ref=case.subject_ref,
        keys=tuple(found),
        use=seen_again(identity, use),
        versions=found,
        now=now,
    )
    return await _open(
        session, vault, case.municipality, case.subject_ref, {key: each.value for key, each in values.items()}, file_id
    )


async def look_at_file(
    session: AsyncSession,
    vault: SubjectVault,
    *,
    identity: Identity,
    application_id: UUID,
    file_id: UUID,
    reason: Reason | None,
    now: datetime,
) -> tuple[OpenedFile, bytes]:
    """A file that an application was sent with, for its office. `reason`: of a protected person, why all the same.

    Raises:
        Refusal: `application_unknown` (404), `other_office` (403), `attachment_unknown` (404).
    """
    row = await lock_application(session, identity.municipality, application_id)
    refuse_other_office(identity, row.office)
    found = await _find(session, row.municipality, row.subject_ref, dict(row.items), file_id)
    if found is None:
        raise Refusal("attachment_unknown", 404)
    if reason is not None:
        seen = await look_at_held_back(
            session, vault, identity=identity, row=row, keys=tuple(found), versions=found, reason=reason, now=now
        )
    else:
        seen = await look_at_items(
            session,
            vault,
            identity=identity,
            case=row,
            keys=list(found),
            versions=found,
            purpose=PURPOSE_REVIEW,
            step=STEP_FILE,
            office=identity.office or row.office,
            now=now,
        )
    return await _open(
        session, vault, row.municipality, row.subject_ref, {item.key: item.value for item in seen}, file_id
    )


async def _find(
    session: AsyncSession, municipality: str, subject_ref: UUID | None, versions: Mapping[str, int], file_id: UUID
) -> dict[str, int] | None:
    """The item, with its version, that lists a file."""
    if subject_ref is None:
        return None
    listed = await list_files(session, municipality, subject_ref, versions)
    return next(
        ({key: versions[key]} for key, files in listed.items() if file_id in [file.file_id for file in files]), None
    )


async def _open(
    session: AsyncSession,
    vault: SubjectVault,
    municipality: str,
    subject_ref: UUID,
    values: Mapping[str, str],
    file_id: UUID,
) -> tuple[OpenedFile, bytes]:
    opened = await open_files(session, vault, municipality, subject_ref, values)
    file = next((file for file in opened if file.file_id == file_id), None)
    if file is None:
        raise Refusal("attachment_unknown", 404)
    return file, await open_body(session, vault, municipality, subject_ref, file)
