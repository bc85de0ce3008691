"""How an application moves on: by the office, or withdrawn by the person. Each step is kept, and notifications told."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import Row, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.moving import move_case
from services.routing.commands.quality import count_finished
from services.routing.commands.vault import STEP_OFFICE, keep_items
from services.routing.domain.applications import AT_PERSON, CLOSED, DECIDED, LEADS_TO, WRITE, Action, State, may_move
from services.routing.keys import Keys
from services.routing.queries.mine import find_live_appointment
from services.routing.queries.office import due_from, get_rule, list_ticked
from services.routing.tables import application, application_link, application_step, case_file, outbox
from shared.audit import record_deed
from shared.crypto import new_link_token, token_hash
from shared.errors import Refusal
from shared.events.routing import ApplicationProgressed, SealedApplicationAccess
from shared.tokens import Identity

SEAL_PURPOSE = "application"
# What the office writes is an item like others: sealed for the person, with its source, and read in one place only.
PURPOSES: dict[Action, str] = {
    "ask_correction": "申請をなおしていただくため",
    "ask_visit": "役場に来ていただくため",
    "refuse": "申請を認められない理由をお知らせするため",
}


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
    """Move it on as the office saw it in `version`; with a `reason` when it asks for something, or refuses.

    Raises:
        Refusal: `application_unknown` (404), `other_office` (403), `application_moved` (409, with its `state`),
            `checks_open` (409), `second_person_needed` (409).
    """
    if action == "ask_correction" or LEADS_TO[action] in CLOSED:
        await _lock_case_of(session, identity.municipality, application_id)
    row = await lock_application(session, identity.municipality, application_id)
    refuse_other_office(identity, row.office)
    if row.version != version or not may_move(row.state, LEADS_TO[action]):
        raise Refusal("application_moved", 409, state=row.state)
    decided = await _decide(session, identity, row, action, now)
    reason_version = None
    if action in WRITE:
        kept = await keep_items(
            session,
            keys.vault,
            identity=identity,
            subject_ref=row.subject_ref,
            values={WRITE[action]: reason},
            case_id=row.case_id,
            procedure=row.procedure,
            purpose=PURPOSES[action],
            step=STEP_OFFICE,
            usable={},
            now=now,
        )
        reason_version = kept.versions[WRITE[action]]
    if action == "ask_correction":
        await _back_to_online(session, row, now)
    moved = await _move(session, row, LEADS_TO[action], now, **decided)
    await _close_case(session, moved, now)
    await write_step(session, moved, identity, reason_version=reason_version, now=now)
    await publish_progress(session, keys, moved, with_access=False, now=now)
    if moved.state in DECIDED:
        await count_finished(session, row.municipality, row.case_id, by_application=True, at=now, now=now)
    await record_deed(session, identity, f"application_{action}", row.number, now=now)


async def withdraw_application(
    session: AsyncSession, keys: Keys, *, identity: Identity, application_id: UUID, now: datetime
) -> None:
    """The person takes it back. Once is enough: a second tap changes nothing.

    Raises:
        Refusal: `application_unknown` (404), `application_closed` (409).
    """
    await _lock_case_of(session, identity.municipality, application_id)
    row = await lock_application(session, identity.municipality, application_id)
    if row.state == "withdrawn":
        return
    if not may_move(row.state, "withdrawn"):
        raise Refusal("application_closed", 409)
    moved = await _move(session, row, "withdrawn", now)
    await _close_case(session, moved, now)
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


async def _decide(
    session: AsyncSession, identity: Identity, row: Row[Any], action: Action, now: datetime
) -> dict[str, object]:
    """What the step writes into the application, if the town's rule lets this person take it."""
    rule = await get_rule(session, row.municipality, row.procedure)
    match action:
        case "accept":
            # While the person was waited for, the office's time stood still: it begins anew.
            due = due_from(rule, now) if row.state in AT_PERSON else row.due_at
            return {"accepted_by": identity.ref, "due_at": due}
        case "complete":
            if rule.open_checks(await list_ticked(session, row.municipality, row.application_id, rule)):
                raise Refusal("checks_open", 409)
            # The database refuses it too (migration 0022).
            if row.two_persons and row.accepted_by in (None, identity.ref):
                raise Refusal("second_person_needed", 409)
            return {"completed_by": identity.ref}
        case "refuse":
            # As the person is told it: what the town writes later changes no decision.
            return {"appeal_to": rule.appeal_to, "appeal_first": rule.appeal_first}
    return {}


async def _lock_case_of(session: AsyncSession, municipality: str, application_id: UUID) -> None:
    """Lock the case first, as whoever sends it does."""
    mine = select(application.c.case_id).where(
        application.c.municipality == municipality, application.c.application_id == application_id
    )
    query = select(case_file.c.case_id).where(
        case_file.c.municipality == municipality, case_file.c.case_id == mine.scalar_subquery()
    )
    await session.execute(query.with_for_update())


async def _close_case(session: AsyncSession, row: Row[Any], now: datetime) -> None:
    """With the application its case is over: whoever was asked to come and has no time at a counter needs none."""
    if row.state not in CLOSED:
        return
    if await find_live_appointment(session, row.municipality, row.case_id, now=now) is None:
        await _back_to_online(session, row, now)


async def _back_to_online(session: AsyncSession, row: Row[Any], now: datetime) -> None:
    """The case is as it was sent, with its form: it may be on its way to a counter."""
    query = select(case_file).where(
        case_file.c.municipality == row.municipality,
        case_file.c.case_id == row.case_id,
        case_file.c.channel != "online",
    )
    case = (await session.execute(query.with_for_update())).one_or_none()
    if case is not None:
        await move_case(session, case, channel="online", state="submitted", step="submitted", said="office", now=now)


async def _move(session: AsyncSession, row: Row[Any], to: State, now: datetime, **decided: object) -> Row[Any]:
    moved: Row[Any] = (
        await session.execute(
            update(application)
            .where(
                application.c.municipality == row.municipality,
                application.c.application_id == row.application_id,
            )
            .values(state=to, version=row.version + 1, changed_at=now, **decided)
            .returning(application)
        )
    ).one()
    return moved
