"""Cases (案件): one person's way through one procedure, and whose it is."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, Row, exists, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.domain.applications import EDITABLE
from services.routing.domain.behalf import BEHALF_ROLES, Behalf
from services.routing.domain.catalogue import is_code
from services.routing.domain.channels import READY_CHANNELS
from services.routing.domain.items import can_be_typed
from services.routing.tables import application, case_device, case_file, counter, procedure
from shared.audit import record_deed
from shared.errors import Refusal
from shared.tokens import Identity


async def open_case(
    session: AsyncSession,
    *,
    identity: Identity,
    procedure_code: str,
    channel: str,
    idempotency_key: UUID,
    behalf: Behalf | None = None,
    together: Sequence[str] = (),
    plan_id: UUID | None = None,
    now: datetime,
) -> UUID:
    """Begin a procedure by a channel; the same key again gives the same case.

    `together` are the other procedures of a plan that are booked for the same visit.

    Whoever is signed in does it on somebody's behalf, and says how that person came to them.

    Raises:
        Refusal: `role_missing` (403), `behalf_unsaid` (422), `procedure_unknown` (404), `channel_impossible` (409),
            `channel_not_ready` (409).
    """
    if identity.kind != "guest":
        if not any(identity.has_role(role) for role in BEHALF_ROLES):
            raise Refusal("role_missing", 403)
        if behalf is None:
            raise Refusal("behalf_unsaid", 422)
    row = None
    if is_code(procedure_code):
        row = (
            await session.execute(
                select(procedure).where(
                    procedure.c.municipality == identity.municipality,
                    procedure.c.code == procedure_code,
                    procedure.c.withdrawn_at.is_(None),
                )
            )
        ).one_or_none()
    if row is None:
        raise Refusal("procedure_unknown", 404)
    await refuse_channel(session, row, channel)
    case_id: UUID | None = (
        await session.execute(
            insert(case_file)
            .values(
                municipality=identity.municipality,
                case_id=uuid4(),
                procedure=row.code,
                channel=channel,
                state="opened",
                guest_ref=identity.ref,
                session_id=identity.session_id,
                behalf=behalf,
                together=list(together),
                plan_id=plan_id,
                idempotency_key=idempotency_key,
                created_at=now,
                updated_at=now,
                version=1,
            )
            .on_conflict_do_nothing(index_elements=["municipality", "guest_ref", "idempotency_key"])
            .returning(case_file.c.case_id)
        )
    ).scalar_one_or_none()
    if case_id is not None:
        await record_deed(session, identity, "open_case", case_id, now=now)
        return case_id
    known: UUID = (
        await session.execute(
            select(case_file.c.case_id).where(
                case_file.c.municipality == identity.municipality,
                case_file.c.guest_ref == identity.ref,
                case_file.c.idempotency_key == idempotency_key,
            )
        )
    ).scalar_one()
    return known


async def refuse_channel(session: AsyncSession, row: Row[Any], channel: str) -> None:
    """Refuse a channel that a procedure (its row) cannot be done by in this town.

    Raises:
        Refusal: `channel_not_ready` (409), `channel_impossible` (409).
    """
    if channel not in READY_CHANNELS:
        raise Refusal("channel_not_ready", 409)
    possible = {
        "counter": row.counter != "no" and bool(row.counters),
        "online": row.online != "no" and can_be_typed(row.items),
        "helper": row.helper != "no",
    }
    if not possible[channel] or (channel == "helper" and not await has_venue(session, row.municipality)):
        raise Refusal("channel_impossible", 409)


async def has_venue(session: AsyncSession, municipality: str) -> bool:
    """Whether helpers can be met anywhere in this town."""
    venue = select(counter.c.code).where(counter.c.municipality == municipality, counter.c.kind == "venue").limit(1)
    return (await session.execute(venue)).one_or_none() is not None


async def get_own_case(
    session: AsyncSession, identity: Identity, case_id: UUID, *, lock: bool = False, now: datetime
) -> Row[Any]:
    """A case of the person who asks, at the device that it was begun with or at one that it was opened at.

    Raises:
        Refusal: `case_unknown` (404), also when it is somebody else's.
    """
    query = select(case_file).where(
        case_file.c.municipality == identity.municipality,
        case_file.c.case_id == case_id,
        or_(case_file.c.guest_ref == identity.ref, opened_at_device(identity, now)),
    )
    row = (await session.execute(query.with_for_update() if lock else query)).one_or_none()
    if row is None:
        raise Refusal("case_unknown", 404)
    return row


def opened_at_device(identity: Identity, now: datetime) -> ColumnElement[bool]:
    """Whether a case of `case_file` goes on at this visitor's device, which is not the one that it was begun with.

    What it was opened for ends with its time, whether or not anybody has worked that off.
    """
    return exists().where(
        case_device.c.municipality == case_file.c.municipality,
        case_device.c.case_id == case_file.c.case_id,
        case_device.c.guest_ref == identity.ref,
        case_device.c.ended_at.is_(None),
        case_device.c.expires_at > now,
    )


async def lock_open_case(session: AsyncSession, identity: Identity, case_id: UUID, *, now: datetime) -> Row[Any]:
    """One's own case, locked, while its form may be changed: before it is sent, or while a correction is asked for.

    Raises:
        Refusal: `case_unknown` (404), `application_sent` (409).
    """
    case = await get_own_case(session, identity, case_id, lock=True, now=now)
    if case.state == "submitted":
        state = (
            await session.execute(
                select(application.c.state).where(
                    application.c.municipality == case.municipality, application.c.case_id == case_id
                )
            )
        ).scalar_one_or_none()
        if state not in EDITABLE:
            raise Refusal("application_sent", 409)
    return case
