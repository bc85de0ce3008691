"""Following routing's online applications: the projection, and the one notice that each new state asks for."""

from datetime import datetime, timedelta
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.commands.subjects import ACCESS, seal_for_subject
from services.notifications.domain.notices import APPLICATION_NOTICES, WAITING, due_kind, useful_until
from services.notifications.keys import Keys
from services.notifications.tables import SERVICE, application, notice
from shared.crypto import SealBroken
from shared.errors import Poison
from shared.events.routing import ApplicationProgressed, SealedApplicationAccess
from shared.messaging.due import schedule
from shared.messaging.outbox import is_bulk

CLOSED = ("completed", "refused", "withdrawn")
DUE_FORGET = "forget_application"
# The last notice still carries the link; then nothing will need it.
FORGET_AFTER = timedelta(days=2)


async def follow_application(session: AsyncSession, keys: Keys, event: ApplicationProgressed, *, now: datetime) -> None:
    """Take over the newest state and tell it. What comes too late changes nothing but the access it alone carries.

    Raises:
        Poison: the sealed access cannot be opened.
    """
    is_newest = await _project(session, event)
    if event.sealed is not None:
        await _keep_access(session, keys, event, event.sealed, now=now)
    if not is_newest:
        return
    ours = (notice.c.municipality == event.municipality, notice.c.application_id == event.application_id)
    await session.execute(
        update(notice)
        .where(*ours, notice.c.state.in_(WAITING), notice.c.sequence < event.aggregate_version)
        .values(state="superseded", reason="overtaken", settled_at=now)
    )
    if event.contact_ref is not None:
        await _add_notice(session, event, event.contact_ref, now=now)
    if event.state in CLOSED:
        await schedule(
            session,
            SERVICE,
            municipality=event.municipality,
            kind=DUE_FORGET,
            ref=str(event.application_id),
            due_at=now + FORGET_AFTER,
        )


async def forget_application_access(session: AsyncSession, municipality: str, ref: str, now: datetime) -> None:  # noqa: ARG001
    """Due handler: forget the link and the code of an application that is closed."""
    await session.execute(
        update(application)
        .where(
            application.c.municipality == municipality,
            application.c.application_id == UUID(ref),
            application.c.state.in_(CLOSED),
        )
        .values(access_sealed=None)
    )


async def _project(session: AsyncSession, event: ApplicationProgressed) -> bool:
    """Write the state unless a newer one is there; return whether it was written."""
    values = {
        "version": event.aggregate_version,
        "number": event.number,
        "subject_ref": event.subject_ref,
        "contact_ref": event.contact_ref,
        "case_id": event.case_id,
        "procedure": event.procedure,
        "office": event.office,
        "state": event.state,
    }
    statement = insert(application).values(
        municipality=event.municipality, application_id=event.application_id, **values
    )
    written = await session.execute(
        statement.on_conflict_do_update(
            index_elements=["municipality", "application_id"],
            set_=values,
            where=application.c.version < statement.excluded.version,
        ).returning(application.c.version)
    )
    return written.one_or_none() is not None


async def _keep_access(
    session: AsyncSession, keys: Keys, event: ApplicationProgressed, sealed: str, *, now: datetime
) -> None:
    try:
        body = keys.box.open_from("routing", "application", sealed)
        access = msgspec.msgpack.decode(body, type=SealedApplicationAccess)
    except (SealBroken, msgspec.DecodeError) as error:
        raise Poison("seal") from error
    kept = await seal_for_subject(
        session,
        keys.vault,
        municipality=event.municipality,
        subject_ref=event.subject_ref,
        field=f"{ACCESS}/{event.application_id}",
        value=msgspec.json.encode(access).decode(),
        now=now,
    )
    await session.execute(
        update(application)
        .where(
            application.c.municipality == event.municipality,
            application.c.application_id == event.application_id,
            application.c.access_version < event.aggregate_version,
        )
        .values(access_sealed=kept, access_version=event.aggregate_version)
    )


async def _add_notice(session: AsyncSession, event: ApplicationProgressed, contact_ref: UUID, *, now: datetime) -> None:
    kind = APPLICATION_NOTICES[event.state]
    added = await session.execute(
        insert(notice)
        .values(
            municipality=event.municipality,
            notice_id=uuid4(),
            kind=kind,
            application_id=event.application_id,
            # A state may be reached again, after a correction: each version is told once.
            occasion=str(event.aggregate_version),
            sequence=event.aggregate_version,
            appointment_version=event.aggregate_version,
            contact_ref=contact_ref,
            state="pending",
            keeps_quiet=False,
            bulk=is_bulk(session),
            created_at=now,
            useful_until=useful_until(kind, starts_at=None, now=now),
        )
        .on_conflict_do_nothing()
        .returning(notice.c.notice_id)
    )
    notice_id = added.scalar_one_or_none()
    if notice_id is not None:
        due = due_kind(bulk=is_bulk(session))
        await schedule(session, SERVICE, municipality=event.municipality, kind=due, ref=str(notice_id), due_at=now)
