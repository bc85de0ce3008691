"""Somebody else chose for the person by which channel their case goes on: they are told, where they can be reached."""

from datetime import datetime
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.domain.notices import CASE_SWITCHED, due_kind, useful_until
from services.notifications.tables import SERVICE
from shared.db import Prepared
from shared.events.routing import CaseSwitched
from shared.messaging.due import schedule
from shared.messaging.outbox import is_bulk

# A case has no number of its own: its page is found by whoever began it.
_PROJECT = Prepared(f"""
    INSERT INTO {SERVICE}.application AS known
        (municipality, application_id, version, number, subject_ref, contact_ref, case_id, procedure, office, state)
    VALUES (:municipality, :case_id, :version, '', :subject_ref, :contact_ref, :case_id, :procedure, :office, :channel)
    ON CONFLICT (municipality, application_id) DO UPDATE
    SET (version, contact_ref, state) = (excluded.version, excluded.contact_ref, excluded.state)
    WHERE known.version < excluded.version
    RETURNING version
""")
_ADD_NOTICE = Prepared(f"""
    INSERT INTO {SERVICE}.notice (
        municipality, notice_id, kind, application_id, occasion, sequence, appointment_version, contact_ref, state,
        keeps_quiet, bulk, created_at, useful_until)
    VALUES (:municipality, :notice_id, '{CASE_SWITCHED}', :case_id, :occasion, :version, :version, :contact_ref,
            'pending', false, :bulk, :now, :useful_until)
    ON CONFLICT DO NOTHING RETURNING notice_id
""")


async def follow_switch(session: AsyncSession, event: CaseSwitched, *, now: datetime) -> None:
    """Tell the person what was done for them; what they did themselves they know."""
    if event.by_others is None or event.contact_ref is None or event.subject_ref is None:
        return
    case = {
        "municipality": event.municipality,
        "case_id": event.case_id,
        "version": event.aggregate_version,
        "subject_ref": event.subject_ref,
        "contact_ref": event.contact_ref,
    }
    told = {"procedure": event.procedure, "office": event.office, "channel": event.channel}
    if await _PROJECT.row(session, case | told) is None:
        return
    notice = {
        "notice_id": uuid4(),
        "occasion": str(event.aggregate_version),
        "bulk": is_bulk(session),
        "now": now,
        "useful_until": useful_until(CASE_SWITCHED, starts_at=None, now=now),
    }
    del case["subject_ref"]
    if (added := await _ADD_NOTICE.row(session, case | notice)) is not None:
        due = due_kind(bulk=is_bulk(session))
        ref = str(added.notice_id)
        await schedule(session, SERVICE, municipality=event.municipality, kind=due, ref=ref, due_at=now)
