"""How an application moves on: by the office, or withdrawn by the person. Each step is kept, and notifications told."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import Row, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.quality import count_finished
from services.routing.commands.vault import STEP_OFFICE, keep_items
from services.routing.domain.applications import LEADS_TO, Action, State, may_move
from services.routing.keys import Keys
from services.routing.tables import application, application_link, application_step, outbox
from shared.audit import record_deed
from shared.crypto import new_link_token, token_hash
from shared.errors import Refusal
from shared.events.routing import ApplicationProgressed, SealedApplicationAccess
from shared.tokens import Identity

SEAL_PURPOSE = "application"
# What the office asks for is an item like others: sealed for the person, with its source, and read in one place only.
REASON = "correction"
PURPOSE_CORRECTION = "申請をなおしていただくため"


async def move_application(
    session: AsyncSession,
    keys: Keys,
    *,
    identity: Identity,
    application_id: UUID,
    action: Action,
    version: int,
    reason: str = "",
    now: datetime,
) -> None:
    """Accept, ask for a correction (with `reason`), or complete, as the office saw it in `version`.

    Raises:
        Refusal: `application_unknown` (404), `other_office` (403), `application_moved` (409, with its `state`).
    """
    row = await lock_application(session, identity.municipality, application_id)
    refuse_other_office(identity, row.office)
    if row.version != version or not may_move(row.state, LEADS_TO[action]):
        raise Refusal("application_moved", 409, state=row.state)
    reason_version = None
    if action == "ask_correction":
        kept = await keep_items(
            session,
            keys.vault,
            identity=identity,
            subject_ref=row.subject_ref,
            values={REASON: reason},
            case_id=row.case_id,
            procedure=row.procedure,
            purpose=PURPOSE_CORRECTION,
            step=STEP_OFFICE,
            usable={},
            now=now,
        )
        reason_version = kept.versions[REASON]
    moved = await _move(session, row, LEADS_TO[action], now)
    await write_step(session, moved, identity, reason_version=reason_version, now=now)
    await publish_progress(session, keys, moved, with_access=False, now=now)
    if moved.state == "completed":
        await count_finished(session, row.municipality, row.case_id, by_application=True, at=now, now=now)
    await record_deed(session, identity, f"application_{action}", row.number, now=now)


async def withdraw_application(
    session: AsyncSession, keys: Keys, *, identity: Identity, application_id: UUID, now: datetime
) -> None:
    """The person takes it back. Once is enough: a second tap changes nothing.

    Raises:
        Refusal: `application_unknown` (404), `application_closed` (409).
    """
    row = await lock_application(session, identity.municipality, application_id)
    if row.state == "withdrawn":
        return
    if not may_move(row.state, "withdrawn"):
        raise Refusal("application_closed", 409)
    moved = await _move(session, row, "withdrawn", now)
    await write_step(session, moved, identity, now=now)
    await publish_progress(session, keys, moved, with_access=False, now=now)
    # Whoever has the link or the code is nobody in particular.
    if identity.kind != "resident":
        await record_deed(session, identity, "withdraw_application", row.number, now=now)


async def lock_application(session: AsyncSession, municipality: str, application_id: UUID) -> Row[Any]:
    """An application's row, locked.

    Raises:
        Refusal: `application_unknown` (404).
    """
    query = select(application).where(
        application.c.municipality == municipality, application.c.application_id == application_id
    )
    row = (await session.execute(query.with_for_update())).one_or_none()
    if row is None:
        raise Refusal("application_unknown", 404)
    return row


def refuse_other_office(identity: Identity, *offices: str) -> None:
    """An office's matters are its own. Managers, and staff of the whole town hall, see all.

    Raises:
        Refusal: `other_office` (403).
    """
    if identity.office is not None and identity.office not in offices and not identity.has_role("manager"):
        raise Refusal("other_office", 403)


async def write_step(
    session: AsyncSession, row: Row[Any], identity: Identity, *, reason_version: int | None = None, now: datetime
) -> None:
    """Keep the state that an application has reached."""
    await session.execute(
        insert(application_step).values(
            municipality=row.municipality,
            application_id=row.application_id,
            version=row.version,
            state=row.state,
            occurred_at=now,
            actor_kind=identity.kind,
            office=identity.office or (row.office if identity.kind == "staff" else None),
            reason_version=reason_version,
        )
    )


async def publish_progress(
    session: AsyncSession, keys: Keys, row: Row[Any], *, with_access: bool, now: datetime
) -> None:
    """Tell notifications the newest state, without the office's words; with access, also a way to open it, sealed."""
    sealed = None
    if with_access and row.contact_ref is not None:
        link_token = new_link_token()
        await session.execute(
            insert(application_link).values(
                municipality=row.municipality,
                link_hash=token_hash(link_token),
                application_id=row.application_id,
                issued_at=now,
            )
        )
        code = keys.application_code(row.municipality, row.application_id)
        body = msgspec.msgpack.encode(SealedApplicationAccess(link_token=link_token, code=code))
        sealed = keys.box.seal_for("notifications", SEAL_PURPOSE, body)
    await outbox.publish(
        session,
        ApplicationProgressed(
            event_id=uuid4(),
            municipality=row.municipality,
            aggregate_id=str(row.application_id),
            aggregate_version=row.version,
            occurred_at=now,
            sealed=sealed,
            application_id=row.application_id,
            number=row.number,
            subject_ref=row.subject_ref,
            contact_ref=row.contact_ref,
            case_id=row.case_id,
            procedure=row.procedure,
            office=row.office,
            state=row.state,
        ),
    )


async def _move(session: AsyncSession, row: Row[Any], to: State, now: datetime) -> Row[Any]:
    moved: Row[Any] = (
        await session.execute(
            update(application)
            .where(
                application.c.municipality == row.municipality,
                application.c.application_id == row.application_id,
            )
            .values(state=to, version=row.version + 1, changed_at=now)
            .returning(application)
        )
    ).one()
    return moved
