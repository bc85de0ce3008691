"""Following seats in classes (教室): what each state asks to be told, and the evening before."""

from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.commands.handed_in import HandedIn, keep_access, take_over, tell
from services.notifications.domain.notices import CLASS_CHANGED, CLASS_NOTICES, CLASS_PROPOSED, CLASS_REMINDER, Kind
from services.notifications.domain.reminders import day_before
from services.notifications.keys import Keys
from services.notifications.tables import SERVICE
from shared.db import Prepared
from shared.events.booking import ClassEntryProgressed
from shared.messaging.due import schedule, unschedule

DUE_REMINDER = "class_reminder"
HAS_A_SEAT = "entered"

_ENTERED = Prepared(f"""
    SELECT municipality, application_id, version, number, subject_ref, contact_ref, case_id, state, title, venue,
           starts_at, ends_at, until
    FROM {SERVICE}.application
    WHERE (municipality, application_id) = (:municipality, :application_id) AND state = '{HAS_A_SEAT}'
      AND starts_at > :now AND contact_ref IS NOT NULL
    FOR UPDATE
""")


async def follow_class_entry(session: AsyncSession, keys: Keys, event: ClassEntryProgressed, *, now: datetime) -> None:
    """Take over the newest state, tell it, and plan the reminder of whoever has a seat.

    Raises:
        Poison: the sealed access cannot be opened.
    """
    entry = HandedIn(
        municipality=event.municipality,
        application_id=event.entry_id,
        version=event.aggregate_version,
        number=event.number,
        subject_ref=event.subject_ref,
        contact_ref=event.contact_ref,
        case_id=None,
        state=event.state,
        title=event.title_ja,
        venue=event.venue,
        starts_at=event.starts_at,
        ends_at=event.ends_at,
        until=event.offer_until,
    )
    is_newest = await take_over(session, entry, now=now)
    await keep_access(session, keys, entry, event.sealed, publisher="booking", purpose="access", now=now)
    if not is_newest:
        return
    kind = _kind_of(event)
    if kind is not None:
        await tell(session, entry, kind, occasion=str(event.aggregate_version), now=now)
    remind_at, town, ref = day_before(event.starts_at), event.municipality, str(event.entry_id)
    if event.state == HAS_A_SEAT and now < remind_at:
        await schedule(session, SERVICE, municipality=town, kind=DUE_REMINDER, ref=ref, due_at=remind_at)
    else:
        await unschedule(session, SERVICE, municipality=town, kind=DUE_REMINDER, ref=ref)


def _kind_of(event: ClassEntryProgressed) -> Kind | None:
    if event.state == "offered":
        return CLASS_PROPOSED if event.is_asked else CLASS_NOTICES["offered"]
    return CLASS_CHANGED if event.is_changed else CLASS_NOTICES.get(event.state)


async def remind_of_class(session: AsyncSession, municipality: str, ref: str, now: datetime) -> None:
    """Due handler: whoever still has a seat, and gave a contact, is reminded."""
    key = {"municipality": municipality, "application_id": UUID(ref), "now": now}
    row = await _ENTERED.row(session, key)
    if row is not None:
        entry = HandedIn(**dict(row))
        await tell(session, entry, CLASS_REMINDER, occasion=str(entry.version), now=now)
