"""Giving a case up (やめる): said by its person, or by the staff who began it for them."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.cases import get_own_case
from services.routing.commands.contact import update_case
from services.routing.commands.devices import forget_devices
from services.routing.commands.quality import count_given_up
from services.routing.domain.thread import may_close
from services.routing.queries.thread import read_thread
from services.routing.tables import case_step
from shared.audit import record_deed
from shared.errors import Refusal
from shared.tokens import Identity


async def close_case(session: AsyncSession, *, identity: Identity, case_id: UUID, now: datetime) -> bool:
    """Give it up: it is counted so, and lies no longer among what is open. Everything stays, and may be gone on with:
    where it was begun, and by itself. No other device has it any more, and no form of several asks for it.

    Once is enough: a second press changes nothing. Whether this device still has it.

    Raises:
        Refusal: `case_unknown` (404), `case_busy` (409) while an appointment or an application waits for it.
    """
    case = await get_own_case(session, identity, case_id, lock=True, now=now)
    thread = await read_thread(session, case, now=now)
    if thread.standing in ("over", "closed"):
        return True
    is_booked = any(each.is_live for each in thread.appointments)
    if not may_close(thread.standing, thread.application_state, is_booked=is_booked):
        raise Refusal("case_busy", 409)
    version = case.version + 1
    await session.execute(update_case(case).values(plan_id=None, version=version, updated_at=now))
    await forget_devices(session, case, now=now)
    await session.execute(
        insert(case_step).values(
            municipality=case.municipality,
            case_id=case_id,
            version=version,
            kind="closed",
            channel=case.channel,
            actor_kind=identity.kind,
            occurred_at=now,
        )
    )
    await count_given_up(session, case.municipality, [case_id], now=now)
    await record_deed(session, identity, "close_case", case_id, now=now)
    return bool(case.guest_ref == identity.ref)
