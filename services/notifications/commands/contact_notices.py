"""What is told to a contact about its own ways: the code that proves one, and that another leads nowhere."""

from datetime import datetime
from uuid import UUID, uuid4

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.commands.account_notices import CONTENT, DUE_FORGET_TOLD, Content
from services.notifications.commands.subjects import context_of_told
from services.notifications.domain.notices import CONTACT_CODE, CONTACT_DEAD, KEEPS_QUIET, Kind, due_kind, useful_until
from services.notifications.tables import SERVICE
from shared.crypto import SubjectVault
from shared.db import Prepared
from shared.messaging.due import Due, schedule_all

_TELL = Prepared(f"""
    INSERT INTO {SERVICE}.told (
        municipality, told_id, contact_ref, about, occurred_at, until, content_sealed, wrapped_key)
    VALUES (:municipality, :told_id, :contact_ref, :about, :now, :until, :content_sealed, :wrapped_key)
""")
_ADD_NOTICE = Prepared(f"""
    INSERT INTO {SERVICE}.notice (
        municipality, notice_id, kind, told_id, contact_ref, only_way, occasion, sequence, appointment_version, state,
        keeps_quiet, created_at, useful_until)
    VALUES (:municipality, :notice_id, :kind, :told_id, :contact_ref, :only_way, 'once', 0, 0, 'pending', :keeps_quiet,
            :now, :useful_until)
""")


async def send_code(
    session: AsyncSession,
    vault: SubjectVault,
    municipality: str,
    contact_ref: UUID,
    way_no: int,
    code: str,
    *,
    about: UUID,
    until: datetime,
    now: datetime,
) -> None:
    """Send a code by that very way, though nobody has proved it; one that still waits (`about` the same) is not sent.

    The code is sealed with a key of its own, and forgotten when it opens nothing any more.
    """
    told_id = uuid4()
    context = context_of_told(municipality, told_id)
    wrapped = vault.new_key(context)
    sealed = vault.seal(wrapped, context, CONTENT, msgspec.json.encode(Content(code=code)).decode())
    told = {
        "municipality": municipality,
        "told_id": told_id,
        "contact_ref": contact_ref,
        "about": about,
        "until": until,
        "content_sealed": sealed,
        "wrapped_key": wrapped,
    }
    await _tell(session, told, CONTACT_CODE, only_way=way_no, now=now)
    forget = Due(DUE_FORGET_TOLD, str(told_id), until)
    await schedule_all(session, SERVICE, municipality, [forget])


async def tell_dead(session: AsyncSession, municipality: str, contact_ref: UUID, *, about: UUID, now: datetime) -> None:
    """Tell somebody by the ways that are left that one of theirs leads nowhere. It does not say where to."""
    told = {
        "municipality": municipality,
        "told_id": uuid4(),
        "contact_ref": contact_ref,
        "about": about,
        "until": None,
        "content_sealed": None,
        "wrapped_key": None,
    }
    await _tell(session, told, CONTACT_DEAD, only_way=None, now=now)


async def _tell(
    session: AsyncSession, told: dict[str, object], kind: Kind, *, only_way: int | None, now: datetime
) -> None:
    until = told["until"]
    assert until is None or isinstance(until, datetime)
    notice_id = uuid4()
    notice = {
        "notice_id": notice_id,
        "kind": kind,
        "only_way": only_way,
        "keeps_quiet": kind in KEEPS_QUIET,
        "useful_until": useful_until(kind, starts_at=None, offer_until=until, now=now),
        "now": now,
    }
    await _TELL.row(session, told | {"now": now})
    await _ADD_NOTICE.row(session, told | notice)
    due = Due(due_kind(bulk=False), str(notice_id), now)
    await schedule_all(session, SERVICE, str(told["municipality"]), [due])
