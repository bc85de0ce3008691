"""What the office asks to be corrected, read for the form in which it is corrected."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import and_, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.cases import get_own_case
from services.routing.commands.form import PURPOSE_APPLY
from services.routing.commands.vault import STEP_FORM, Use, read_values, seen_again
from services.routing.domain.applications import EDITABLE, WRITTEN, read_reasons
from services.routing.tables import SERVICE, application, application_step
from shared.crypto import SubjectVault
from shared.tokens import Identity


async def read_asked(
    session: AsyncSession, vault: SubjectVault, *, identity: Identity, case_id: UUID, now: datetime
) -> dict[str, str]:
    """The office's reasons by item ("": about all of it), while it waits for a correction of one's own case.

    Raises:
        Refusal: `case_unknown` (404).
    """
    case = await get_own_case(session, identity, case_id, now=now)
    newest = and_(
        application_step.c.municipality == application.c.municipality,
        application_step.c.application_id == application.c.application_id,
        application_step.c.version == application.c.version,
    )
    query = (
        select(application_step.c.reason_version)
        .join(application, newest)
        .where(
            application.c.municipality == case.municipality,
            application.c.case_id == case_id,
            application.c.state.in_(EDITABLE),
        )
    )
    version = (await session.execute(query)).scalar_one_or_none()
    if version is None:
        return {}
    key = WRITTEN["correction_asked"]
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
    values = await read_values(
        session,
        vault,
        identity=identity,
        subject_ref=case.subject_ref,
        keys=(key,),
        use=seen_again(identity, use),
        versions={key: version},
        now=now,
    )
    return read_reasons(values[key].value) if key in values else {}
