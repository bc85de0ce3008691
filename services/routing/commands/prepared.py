"""What a person wrote before coming to a counter (書いたもの), for themselves: which items there are, and on paper."""

from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.cases import get_own_case
from services.routing.commands.reuse import usable_sources
from services.routing.commands.vault import Use, read_values, seen_again
from services.routing.tables import SERVICE
from shared.audit import record_deed
from shared.crypto import SubjectVault
from shared.tokens import Identity

STEP_SHEET = "sheet"
PURPOSE_SHEET = "書いたものを、紙で持っていくため"


async def list_written(session: AsyncSession, *, identity: Identity, case_id: UUID, now: datetime) -> frozenset[str]:
    """The items that one's own case holds; no values.

    Raises:
        Refusal: `case_unknown` (404).
    """
    return frozenset(await usable_sources(session, await get_own_case(session, identity, case_id, now=now)))


async def read_sheet(
    session: AsyncSession, vault: SubjectVault, *, identity: Identity, case_id: UUID, now: datetime
) -> dict[str, str]:
    """What goes on one's own sheet, by item. The reading is in the ledger, and staff's in the history.

    Raises:
        Refusal: `case_unknown` (404).
    """
    case = await get_own_case(session, identity, case_id, now=now)
    sources = await usable_sources(session, case)
    await record_deed(session, identity, "view_sheet", case_id, now=now)
    if not sources:
        return {}
    use = Use(
        entry_type="previewed",
        case_id=case_id,
        procedure=case.procedure,
        target_service=SERVICE,
        target_step=STEP_SHEET,
        purpose=PURPOSE_SHEET,
        outcome="own_form",
        acting_for=case.acting_for,
    )
    values = await read_values(
        session,
        vault,
        identity=identity,
        subject_ref=case.subject_ref,
        keys=tuple(sources),
        use=seen_again(identity, use),
        versions={key: source.version for key, source in sources.items()},
        now=now,
    )
    return {key: value.value for key, value in values.items()}
