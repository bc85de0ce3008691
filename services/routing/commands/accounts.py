"""Staff accounts (アカウント): opened by the operator, signed in with a password that is kept as an Argon2 hash."""

import asyncio
from datetime import datetime
from functools import cache
from uuid import UUID, uuid4

import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.audit import record_audit
from services.routing.commands.sessions import end_session
from services.routing.domain.sessions import (
    LOGIN_MAX_LENGTH,
    PASSWORD_MAX_LENGTH,
    PASSWORD_MIN_LENGTH,
    after_failure,
    is_locked,
)
from services.routing.tables import account, session_table
from shared.errors import Refusal

OPERATOR = "operator"
# More sessions of one account than this are not open at once: each lasts a working day.
SESSIONS_MAX = 500

_hasher = PasswordHasher()


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """An account that somebody tries to sign in to; the try is already counted."""

    account_id: UUID
    password_hash: str
    roles: tuple[str, ...]
    office: str | None


async def open_staff_account(
    session: AsyncSession,
    *,
    municipality: str,
    login: str,
    password: str,
    roles: tuple[str, ...],
    office: str | None,
    now: datetime,
) -> UUID:
    """Open an account, or bring the one with this login to what is given; return its id.

    The same again changes nothing. Another password, other roles or another office end the account's open sessions.

    Raises:
        Refusal: `account_incomplete`, `login_length` or `password_length` (422): nobody could sign in with these.
    """
    login = login.strip()
    if not login or not password:
        raise Refusal("account_incomplete", 422)
    if len(login) > LOGIN_MAX_LENGTH:
        raise Refusal("login_length", 422, longest=LOGIN_MAX_LENGTH)
    if not PASSWORD_MIN_LENGTH <= len(password) <= PASSWORD_MAX_LENGTH:
        raise Refusal("password_length", 422, shortest=PASSWORD_MIN_LENGTH, longest=PASSWORD_MAX_LENGTH)
    row = (
        await session.execute(
            select(account).where(account.c.municipality == municipality, account.c.login == login).with_for_update()
        )
    ).one_or_none()
    values: dict[str, object] = {"roles": sorted(set(roles)), "office": office}
    if row is not None:
        same_password = await verify_password(row.password_hash, password)
        if same_password and sorted(row.roles) == values["roles"] and row.office == office and row.locked_until is None:
            return UUID(str(row.account_id))
        account_id, action = UUID(str(row.account_id)), "change_account"
        if not same_password:
            values["password_hash"] = await hash_password(password)
        values |= {"failures": 0, "locked_until": None, "version": row.version + 1}
        await session.execute(
            update(account)
            .where(account.c.municipality == municipality, account.c.account_id == account_id)
            .values(**values)
        )
        await _end_sessions(session, municipality, account_id, now)
    else:
        account_id, action = uuid4(), "open_account"
        await session.execute(
            insert(account).values(
                municipality=municipality,
                account_id=account_id,
                login=login,
                password_hash=await hash_password(password),
                failures=0,
                version=1,
                opened_at=now,
                **values,
            )
        )
    await record_audit(
        session,
        municipality=municipality,
        actor_kind=OPERATOR,
        actor_ref=OPERATOR,
        action=action,
        ref=account_id.hex,
        office=office,
        now=now,
    )
    return account_id


async def count_try(session: AsyncSession, *, municipality: str, login: str, now: datetime) -> Candidate | None:
    """Count a try to sign in before the password is looked at, so that many at once are not more than the limit.

    Raises:
        Refusal: `too_many_tries` (429), until the lock is over. None: there is no such account.
    """
    row = (
        await session.execute(
            select(account).where(account.c.municipality == municipality, account.c.login == login).with_for_update()
        )
    ).one_or_none()
    if row is None:
        return None
    if is_locked(row.locked_until, now):
        raise Refusal("too_many_tries", 429)
    # A lock that is over starts the count anew.
    failures = 1 if row.locked_until is not None else row.failures + 1
    await session.execute(
        update(account)
        .where(account.c.municipality == municipality, account.c.account_id == row.account_id)
        .values(failures=failures, locked_until=after_failure(failures, now))
    )
    return Candidate(
        account_id=row.account_id, password_hash=row.password_hash, roles=tuple(row.roles), office=row.office
    )


async def forget_tries(session: AsyncSession, *, municipality: str, candidate: Candidate, new_hash: str | None) -> None:
    """The password was right: start counting from zero, and keep the hash as strong as today's parameters."""
    values: dict[str, object] = {"failures": 0, "locked_until": None}
    if new_hash is not None:
        values["password_hash"] = new_hash
    await session.execute(
        update(account)
        .where(account.c.municipality == municipality, account.c.account_id == candidate.account_id)
        .values(**values)
    )


async def check_password(candidate: Candidate | None, password: str) -> bool:
    """Whether the password is the candidate's. It takes as long when there is no such account."""
    stored = candidate.password_hash if candidate else await asyncio.to_thread(_nobodys_hash)
    return await verify_password(stored, password) and candidate is not None


async def stronger_hash(candidate: Candidate, password: str) -> str | None:
    """A new hash when the stored one was made with weaker parameters."""
    return await hash_password(password) if _hasher.check_needs_rehash(candidate.password_hash) else None


async def hash_password(password: str) -> str:
    """Argon2id. It takes tens of milliseconds on purpose, so not on the event loop."""
    return await asyncio.to_thread(_hasher.hash, password)


async def verify_password(stored: str, password: str) -> bool:
    """Whether a password is the one that was hashed."""
    return await asyncio.to_thread(_verify, stored, password)


def _verify(stored: str, password: str) -> bool:
    try:
        return _hasher.verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False


@cache
def _nobodys_hash() -> str:
    return _hasher.hash(uuid4().hex)


async def _end_sessions(session: AsyncSession, municipality: str, account_id: UUID, now: datetime) -> None:
    open_sessions = await session.execute(
        select(session_table.c.session_id)
        .where(
            session_table.c.municipality == municipality,
            session_table.c.account_id == account_id,
            session_table.c.ended_at.is_(None),
            session_table.c.expires_at > now,
        )
        .limit(SESSIONS_MAX)
    )
    for session_id in open_sessions.scalars().all():
        await end_session(session, municipality=municipality, session_id=session_id, now=now)
