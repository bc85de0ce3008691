"""Sessions: what a browser's refresh cookie stands for, and how one ends for all services at once."""

from datetime import datetime
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.domain.sessions import GUEST_LIFETIME, PROOF_LASTS, STAFF_LIFETIME
from services.routing.tables import account, ended_sessions, outbox, session_table, situation
from shared.audit import record_deed
from shared.crypto import new_link_token, token_hash
from shared.errors import Refusal
from shared.events.routing import SessionEnded
from shared.tokens import TOKEN_LIFETIME, Identity

REFRESH_MAX_LENGTH = 200


class NewSession(msgspec.Struct, frozen=True, kw_only=True):
    """Who may now act, and the secret of the browser's refresh cookie (stored by us as a hash only)."""

    identity: Identity
    refresh_token: str
    expires_at: datetime


class LiveSession(msgspec.Struct, frozen=True, kw_only=True):
    """A session found by its refresh cookie."""

    identity: Identity
    expires_at: datetime


async def start_guest_session(session: AsyncSession, *, municipality: str, now: datetime) -> NewSession:
    """A visitor without a name: owns what they begin from now on."""
    identity = Identity(municipality=municipality, kind="guest", ref=uuid4().hex, session_id=uuid4().hex)
    return await _start(session, identity, account_id=None, expires_at=now + GUEST_LIFETIME, now=now)


async def start_staff_session(
    session: AsyncSession,
    *,
    municipality: str,
    account_id: UUID,
    roles: tuple[str, ...],
    office: str | None,
    now: datetime,
) -> NewSession:
    """Staff, or a helper, whose password was right."""
    identity = Identity(
        municipality=municipality,
        # Whoever has another role beside it comes as staff, and may do what a helper may.
        kind="helper" if roles == ("helper",) else "staff",
        ref=account_id.hex,
        session_id=uuid4().hex,
        roles=roles,
        office=office,
    )
    await record_deed(session, identity, "sign_in", identity.session_id, now=now)
    return await _start(session, identity, account_id=account_id, expires_at=now + STAFF_LIFETIME, now=now)


async def find_session(
    session: AsyncSession, *, municipality: str, refresh_token: str, now: datetime
) -> LiveSession | None:
    """The session of a refresh cookie, if it still lives; staff with the roles that they have now."""
    row = (
        await session.execute(
            select(session_table, account.c.roles, account.c.office)
            .outerjoin(
                account,
                (account.c.municipality == session_table.c.municipality)
                & (account.c.account_id == session_table.c.account_id),
            )
            .where(
                session_table.c.municipality == municipality,
                session_table.c.refresh_hash == token_hash(refresh_token[:REFRESH_MAX_LENGTH]),
                session_table.c.ended_at.is_(None),
                session_table.c.expires_at > now,
                # Guests have no account.
                account.c.closed_at.is_(None),
            )
        )
    ).one_or_none()
    if row is None:
        return None
    identity = Identity(
        municipality=municipality,
        kind=row.kind,
        ref=row.ref,
        session_id=row.session_id,
        roles=tuple(row.roles or ()),
        office=row.office,
    )
    return LiveSession(identity=identity, expires_at=row.expires_at)


async def is_proved_lately(session: AsyncSession, identity: Identity, *, now: datetime) -> bool:
    """Whether somebody has signed in so short a time ago that it is surely they who sit there."""
    lately = select(session_table.c.session_id).where(
        session_table.c.municipality == identity.municipality,
        session_table.c.session_id == identity.session_id,
        session_table.c.ended_at.is_(None),
        session_table.c.created_at > now - PROOF_LASTS,
    )
    return (await session.execute(lately)).one_or_none() is not None


async def refuse_old_proof(session: AsyncSession, identity: Identity, *, now: datetime) -> None:
    """Before somebody changes by which ways they sign in.

    Raises:
        Refusal: `proof_old` (403): they sign in once more first.
    """
    if not await is_proved_lately(session, identity, now=now):
        raise Refusal("proof_old", 403)


async def end_session(session: AsyncSession, *, municipality: str, session_id: str, now: datetime) -> None:
    """End a session before its time, here and in every other service. Ending it again changes nothing."""
    row = (
        await session.execute(
            update(session_table)
            .where(
                session_table.c.municipality == municipality,
                session_table.c.session_id == session_id,
                session_table.c.ended_at.is_(None),
            )
            .values(ended_at=now)
            .returning(session_table.c.kind, session_table.c.ref)
        )
    ).one_or_none()
    if row is None:
        return
    # Whoever leaves a shared computer leaves nothing of it behind.
    await session.execute(
        delete(situation).where(situation.c.municipality == municipality, situation.c.session_id == session_id)
    )
    event = SessionEnded(
        event_id=uuid4(),
        municipality=municipality,
        aggregate_id=session_id,
        aggregate_version=1,
        occurred_at=now,
        session_id=session_id,
        tokens_valid_until=now + TOKEN_LIFETIME,
    )
    await outbox.publish(session, event)
    await ended_sessions.on_session_ended(session, event, now=now)
    identity = Identity(municipality=municipality, kind=row.kind, ref=row.ref, session_id=session_id)
    await record_deed(session, identity, "session_ended", session_id, now=now)


async def _start(
    session: AsyncSession, identity: Identity, *, account_id: UUID | None, expires_at: datetime, now: datetime
) -> NewSession:
    refresh_token = new_link_token()
    await session.execute(
        insert(session_table).values(
            municipality=identity.municipality,
            session_id=identity.session_id,
            refresh_hash=token_hash(refresh_token),
            kind=identity.kind,
            ref=identity.ref,
            account_id=account_id,
            created_at=now,
            expires_at=expires_at,
        )
    )
    return NewSession(identity=identity, refresh_token=refresh_token, expires_at=expires_at)
