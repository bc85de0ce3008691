"""Following entries to draws: the one notice that each state asks for. Who won has an appointment, told as any other.

An entry is kept beside the online applications: like these it was handed in, has a number, and begins at no time.
"""

from datetime import datetime
from uuid import UUID, uuid4

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.commands.closings import NO_CONTACT
from services.notifications.commands.tasks import open_task
from services.notifications.domain.notices import DRAW_NOTICES, TOLD_BY_STAFF_TOO, WAITING, Kind, due_kind, useful_until
from services.notifications.keys import Keys
from services.notifications.tables import SERVICE
from shared.crypto import SealBroken
from shared.db import Prepared
from shared.errors import Poison
from shared.events.booking import DrawEntryProgressed, SealedTicket
from shared.messaging.due import schedule
from shared.messaging.outbox import is_bulk

_PROJECT = Prepared(f"""
    INSERT INTO {SERVICE}.application AS known
        (municipality, application_id, version, number, subject_ref, contact_ref, case_id, procedure, office, state)
    VALUES (:municipality, :entry_id, :version, :ticket, :subject_ref, :contact_ref, :case_id, :procedure, :office,
            :state)
    ON CONFLICT (municipality, application_id) DO UPDATE SET (version, state) = (excluded.version, excluded.state)
    WHERE known.version < excluded.version
    RETURNING version
""")
_SUPERSEDE = Prepared(f"""
    UPDATE {SERVICE}.notice SET state = 'superseded', reason = 'overtaken', settled_at = :now
    WHERE (municipality, application_id) = (:municipality, :entry_id) AND state = ANY (CAST(:waiting AS text[]))
      AND sequence < :version
""")
_ADD_NOTICE = Prepared(f"""
    INSERT INTO {SERVICE}.notice (
        municipality, notice_id, kind, application_id, occasion, sequence, appointment_version, contact_ref, reach,
        state, keeps_quiet, bulk, created_at, useful_until, settled_at)
    VALUES (:municipality, :notice_id, :kind, :entry_id, 'once', :version, :version, :contact_ref, :reach,
            :notice_state, false, :bulk, :now, :useful_until, :settled_at)
    ON CONFLICT DO NOTHING RETURNING notice_id
""")


async def follow_entry(session: AsyncSession, keys: Keys, event: DrawEntryProgressed, *, now: datetime) -> None:
    """Take over the newest state, and tell it.

    Raises:
        Poison: the sealed ticket cannot be opened.
    """
    ticket = _open_ticket(keys, event)
    entry = {
        "municipality": event.municipality,
        "entry_id": event.entry_id,
        "version": event.aggregate_version,
        "now": now,
    }
    projected = {
        name: getattr(event, name) for name in ("subject_ref", "contact_ref", "case_id", "procedure", "office", "state")
    }
    if await _PROJECT.row(session, entry | projected | {"ticket": ticket}) is None:
        return
    await _SUPERSEDE.row(session, entry | {"waiting": WAITING})
    kind = DRAW_NOTICES.get(event.state)
    if kind is not None:
        await _add_notice(session, event, kind, entry | {"ticket": ticket}, now=now)


async def _add_notice(
    session: AsyncSession, event: DrawEntryProgressed, kind: Kind, entry: dict[str, object], *, now: datetime
) -> None:
    is_slip, by_staff = event.contact_ref is None, kind in TOLD_BY_STAFF_TOO
    notice_id: UUID = uuid4()
    notice = {
        "notice_id": notice_id,
        "kind": kind,
        "contact_ref": event.contact_ref,
        "reach": "none" if is_slip else None,
        "notice_state": "pending" if not is_slip else "undeliverable" if by_staff else "printed_slip",
        "bulk": is_bulk(session),
        "useful_until": useful_until(kind, starts_at=None, now=now),
        "settled_at": now if is_slip else None,
    }
    if await _ADD_NOTICE.row(session, entry | notice) is None:
        return
    if not is_slip:
        due = due_kind(bulk=is_bulk(session))
        await schedule(session, SERVICE, municipality=event.municipality, kind=due, ref=str(notice_id), due_at=now)
    elif by_staff:
        await open_task(
            session,
            municipality=event.municipality,
            notice_id=notice_id,
            appointment_id=None,
            application_id=event.entry_id,
            number=str(entry["ticket"]),
            reason=NO_CONTACT,
            now=now,
        )


def _open_ticket(keys: Keys, event: DrawEntryProgressed) -> str:
    try:
        body = keys.box.open_from("booking", "ticket", event.sealed or "")
        return msgspec.msgpack.decode(body, type=SealedTicket).ticket
    except (SealBroken, msgspec.DecodeError) as error:
        raise Poison("seal") from error
