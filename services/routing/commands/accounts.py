"""Accounts of staff and helpers (アカウント): opened and closed by the operator, with Argon2 hashes of their passwords.

Every change is told (`AccountOpened`): booking keeps its roster of helpers by it.
"""

import asyncio
from datetime import datetime
from functools import cache
from uuid import UUID, uuid4

import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.account_contact import forget_contact
from services.routing.commands.askings import end_askings, forget_askings
from services.routing.commands.passkeys import forget_passkeys
from services.routing.commands.sessions import end_session
from services.routing.domain.sessions import (
    LOGIN_MAX_LENGTH,
    PASSWORD_MAX_LENGTH,
    PASSWORD_MIN_LENGTH,
    after_failure,
    is_locked,
)
from services.routing.tables import account, outbox, session_table
from shared.audit import Operator, record_deed
from shared.crypto import ServiceBox
from shared.errors import Refusal
from shared.events.routing import AccountOpened, SealedAccount

HELPER = "helper"
SEAL_PURPOSE = "account"
DISPLAY_NAME_MAX_LENGTH = 30
LANGUAGES_MAX = 5
LANGUAGE_MAX_LENGTH = 10
# More sessions of one account than this are not open at once: each lasts a working day.
SESSIONS_MAX = 500

_hasher = PasswordHasher()


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """An account that somebody tries to sign in to; the try is already counted."""

    account_id: UUID
    password_hash: str
    roles: tuple[str, ...]
    office: str | None


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """What residents and colleagues call a helper, and the languages that they speak, by code."""

    display_name: str
    languages: tuple[str, ...] = ("ja",)


async def open_staff_account(
    session: AsyncSession,
    *,
    municipality: str,
    login: str,
    password: str,
    roles: tuple[str, ...],
    office: str | None,
    profile: Profile | None = None,
    box: ServiceBox | None = None,
    now: datetime,
) -> UUID:
    """Open an account, or bring the one with this login to what is given; return its id.

    The same again changes nothing. Another password, other roles or another office end the account's open sessions. A
    closed account opens again. A helper needs a `profile`, and `box` to seal it for booking.

    Raises:
        Refusal: `account_incomplete`, `login_length` or `password_length` (422): nobody could sign in with these;
            `profile_incomplete` (422): a helper without a name or a language.
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
    kept = _check_profile(roles, profile, box)
    values: dict[str, object] = {
        "roles": sorted(set(roles)),
        "office": office,
        "display_name": kept.display_name if kept else None,
        "languages": list(kept.languages) if kept else [],
        "closed_at": None,
    }
    if row is not None:
        same_password = await verify_password(row.password_hash, password)
        is_same = all(getattr(row, name) == value for name, value in values.items())
        if same_password and is_same and row.locked_until is None:
            return UUID(str(row.account_id))
        account_id, action = UUID(str(row.account_id)), "change_account"
        if not same_password:
            values["password_hash"] = await hash_password(password)
        version = row.version + 1
        values |= {"failures": 0, "locked_until": None, "version": version}
        await session.execute(
            update(account)
            .where(account.c.municipality == municipality, account.c.account_id == account_id)
            .values(**values)
        )
        await _end_sessions(session, municipality, account_id, now)
        await end_askings(session, municipality, account_id, now=now)
    else:
        account_id, action, version = uuid4(), "open_account", 1
        await session.execute(
            insert(account).values(
                municipality=municipality,
                account_id=account_id,
                login=login,
                password_hash=await hash_password(password),
                failures=0,
                version=version,
                opened_at=now,
                **values,
            )
        )
    await _audit(session, municipality, action, account_id, office, now)
    sealed = _seal_profile(box, kept) if box and kept else None
    event = _opened(municipality, account_id, version, tuple(sorted(set(roles))), office, is_open=True, now=now)
    await outbox.publish(session, msgspec.structs.replace(event, sealed=sealed))
    return account_id


async def close_account(session: AsyncSession, *, municipality: str, login: str, now: datetime) -> UUID:
    """Nobody signs in with this account any more, its sessions end, and its other ways in are forgotten.

    Closed again, nothing changes.

    Raises:
        Refusal: `account_unknown` (404).
    """
    row = (
        await session.execute(
            select(account)
            .where(account.c.municipality == municipality, account.c.login == login.strip())
            .with_for_update()
        )
    ).one_or_none()
    if row is None:
        raise Refusal("account_unknown", 404)
    account_id = UUID(str(row.account_id))
    if row.closed_at is not None:
        return account_id
    await session.execute(
        update(account)
        .where(account.c.municipality == municipality, account.c.account_id == account_id)
        .values(closed_at=now, version=row.version + 1)
    )
    await _end_sessions(session, municipality, account_id, now)
    await forget_contact(session, municipality, account_id, now=now)
    await forget_askings(session, municipality, account_id)
    await forget_passkeys(session, municipality, account_id)
    await _audit(session, municipality, "close_account", account_id, row.office, now)
    roles = tuple(row.roles)
    await outbox.publish(
        session, _opened(municipality, account_id, row.version + 1, roles, row.office, is_open=False, now=now)
    )
    return account_id


async def tell_accounts(session: AsyncSession, municipality: str, box: ServiceBox, *, now: datetime) -> None:
    """Tell of every account as it is: those of a practice town are written by who has no key to seal a name."""
    rows = (await session.execute(select(account).where(account.c.municipality == municipality))).all()
    for row in rows:
        roles = tuple(row.roles)
        event = _opened(
            municipality, row.account_id, row.version, roles, row.office, is_open=row.closed_at is None, now=now
        )
        if row.display_name:
            profile = Profile(display_name=row.display_name, languages=tuple(row.languages))
            event = msgspec.structs.replace(event, sealed=_seal_profile(box, profile))
        await outbox.publish(session, event)


async def count_try(session: AsyncSession, *, municipality: str, login: str, now: datetime) -> Candidate | None:
    """Count a try to sign in before the password is looked at, so that many at once are not more than the limit.

    Raises:
        Refusal: `too_many_tries` (429), until the lock is over. None: there is no such account.
    """
    row = (
        await session.execute(
            select(account)
            .where(account.c.municipality == municipality, account.c.login == login, account.c.closed_at.is_(None))
            .with_for_update()
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


async def get_login(session: AsyncSession, municipality: str, account_id: UUID) -> str:
    """What somebody signed in types to sign in.

    Raises:
        Refusal: `account_unknown` (404).
    """
    query = select(account.c.login).where(account.c.municipality == municipality, account.c.account_id == account_id)
    login: str | None = (await session.execute(query)).scalar_one_or_none()
    if login is None:
        raise Refusal("account_unknown", 404)
    return login


async def forget_tries(
    session: AsyncSession, *, municipality: str, candidate: Candidate, new_hash: str | None
) -> Candidate | None:
    """The password was right: start counting from zero, and keep the hash as strong as today's parameters.

    Returns the account as it is now, locked until the session is started; None: while the password was looked at, it
    was closed or got another password.
    """
    values: dict[str, object] = {"failures": 0, "locked_until": None}
    if new_hash is not None:
        values["password_hash"] = new_hash
    row = (
        await session.execute(
            update(account)
            .where(
                account.c.municipality == municipality,
                account.c.account_id == candidate.account_id,
                account.c.closed_at.is_(None),
                account.c.password_hash == candidate.password_hash,
            )
            .values(**values)
            .returning(account.c.password_hash, account.c.roles, account.c.office)
        )
    ).one_or_none()
    if row is None:
        return None
    return Candidate(
        account_id=candidate.account_id, password_hash=row.password_hash, roles=tuple(row.roles), office=row.office
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


def _check_profile(roles: tuple[str, ...], profile: Profile | None, box: ServiceBox | None) -> Profile | None:
    """The profile of a helper, trimmed; None for all others, of whom none is kept."""
    if HELPER not in roles:
        return None
    name = profile.display_name.strip() if profile else ""
    languages = tuple(dict.fromkeys(profile.languages)) if profile else ()
    is_whole = 0 < len(name) <= DISPLAY_NAME_MAX_LENGTH and name.isprintable() and 0 < len(languages) <= LANGUAGES_MAX
    if not is_whole or box is None or any(len(code) > LANGUAGE_MAX_LENGTH or not code.isalpha() for code in languages):
        raise Refusal("profile_incomplete", 422)
    return Profile(display_name=name, languages=languages)


def _seal_profile(box: ServiceBox, profile: Profile) -> str:
    body = SealedAccount(display_name=profile.display_name, languages=profile.languages)
    return box.seal_for("booking", SEAL_PURPOSE, msgspec.msgpack.encode(body))


def _opened(
    municipality: str,
    account_id: UUID,
    version: int,
    roles: tuple[str, ...],
    office: str | None,
    *,
    is_open: bool,
    now: datetime,
) -> AccountOpened:
    return AccountOpened(
        event_id=uuid4(),
        municipality=municipality,
        aggregate_id=account_id.hex,
        aggregate_version=version,
        occurred_at=now,
        account_ref=account_id.hex,
        roles=roles,
        office=office,
        is_open=is_open,
    )


async def _audit(
    session: AsyncSession, municipality: str, action: str, account_id: UUID, office: str | None, now: datetime
) -> None:
    await record_deed(session, Operator(municipality, office), action, account_id.hex, now=now)


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
