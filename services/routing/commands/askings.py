"""Links and codes that let somebody with an account in, or prove their contact: made, found, used up once."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import ColumnElement, Row, and_, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.domain.sign_in import ASKING_LIFETIME, ASKINGS_MAX, ASKINGS_WITHIN, CODE_TRIES_MAX, Purpose
from services.routing.keys import Keys
from services.routing.tables import account, outbox, sign_in_asking
from shared.crypto import new_link_token, token_hash
from shared.events.routing import SealedSignIn, SignInAsked
from shared.reference_number import read_code

SEAL_PURPOSE = "sign_in"
LINK_MAX_LENGTH = 100


async def lock_account(session: AsyncSession, municipality: str, account_id: UUID) -> Row[Any] | None:
    """The account, if it is open, held until the transaction ends: before its contact, askings and passkeys, always."""
    query = select(account).where(
        account.c.municipality == municipality, account.c.account_id == account_id, account.c.closed_at.is_(None)
    )
    return (await session.execute(query.with_for_update())).one_or_none()


async def make_asking(
    session: AsyncSession, keys: Keys, *, municipality: str, account_id: UUID, purpose: Purpose, now: datetime
) -> UUID | None:
    """Have a link and a code sent to the contact of an account that is locked; None: too many were sent of late."""
    mine = (sign_in_asking.c.municipality == municipality, sign_in_asking.c.account_id == account_id)
    of_late = select(func.count()).where(*mine, sign_in_asking.c.asked_at > now - ASKINGS_WITHIN)
    if (await session.execute(of_late)).scalar_one() >= ASKINGS_MAX:
        return None
    asking_id, token, expires_at = uuid4(), new_link_token(), now + ASKING_LIFETIME
    await session.execute(
        insert(sign_in_asking).values(
            municipality=municipality,
            asking_id=asking_id,
            account_id=account_id,
            purpose=purpose,
            link_hash=token_hash(token),
            failures=0,
            asked_at=now,
            expires_at=expires_at,
        )
    )
    body = SealedSignIn(link_token=token, code=keys.application_code(municipality, asking_id))
    await outbox.publish(
        session,
        SignInAsked(
            event_id=uuid4(),
            municipality=municipality,
            aggregate_id=str(asking_id),
            aggregate_version=1,
            occurred_at=now,
            sealed=keys.box.seal_for("notifications", SEAL_PURPOSE, msgspec.msgpack.encode(body)),
            asked_id=asking_id,
            account_ref=account_id.hex,
            expires_at=expires_at,
            purpose=purpose,
        ),
    )
    return asking_id


async def find_asking(session: AsyncSession, municipality: str, token: str, *, now: datetime) -> Row[Any] | None:
    """What a link is for, while it may be used. Looking does not use it up: whoever checks mail for viruses looks."""
    if len(token) > LINK_MAX_LENGTH:
        return None
    query = select(sign_in_asking).where(
        sign_in_asking.c.municipality == municipality, sign_in_asking.c.link_hash == token_hash(token), is_live(now)
    )
    return (await session.execute(query)).one_or_none()


async def use_up(session: AsyncSession, municipality: str, asking_id: UUID, *, now: datetime) -> bool:
    """Use an asking, once: of two at the same time the second finds it used."""
    used = (
        update(sign_in_asking)
        .where(sign_in_asking.c.municipality == municipality, sign_in_asking.c.asking_id == asking_id, is_live(now))
        .values(used_at=now)
    )
    return (await session.execute(used.returning(sign_in_asking.c.asking_id))).one_or_none() is not None


async def use_up_by_code(session: AsyncSession, keys: Keys, asking: Row[Any], typed: str, *, now: datetime) -> bool:
    """Use it up by the code as typed. A wrong one is counted, and the last of them ends it.

    The account is locked, so that codes that are tried at once are counted one by one; the caller commits.
    """
    code = read_code(typed)
    if code is not None and keys.is_application_code(asking.municipality, asking.asking_id, code):
        return await use_up(session, asking.municipality, asking.asking_id, now=now)
    failures = asking.failures + 1
    await session.execute(
        update(sign_in_asking)
        .where(
            sign_in_asking.c.municipality == asking.municipality,
            sign_in_asking.c.asking_id == asking.asking_id,
            is_live(now),
        )
        .values(failures=failures, ended_at=now if failures >= CODE_TRIES_MAX else None)
    )
    return False


async def end_askings(session: AsyncSession, municipality: str, account_id: UUID, *, now: datetime) -> None:
    """No link and no code that was sent before lets anybody in any more."""
    mine = and_(_of(municipality, account_id), is_live(now))
    await session.execute(update(sign_in_asking).where(mine).values(ended_at=now))


async def forget_askings(session: AsyncSession, municipality: str, account_id: UUID) -> None:
    """The account is closed: nothing is left of what was sent for it."""
    await session.execute(delete(sign_in_asking).where(_of(municipality, account_id)))


def is_live(now: datetime) -> ColumnElement[bool]:
    """Whether an asking may be used."""
    return and_(
        sign_in_asking.c.used_at.is_(None), sign_in_asking.c.ended_at.is_(None), sign_in_asking.c.expires_at > now
    )


def _of(municipality: str, account_id: UUID) -> ColumnElement[bool]:
    return and_(sign_in_asking.c.municipality == municipality, sign_in_asking.c.account_id == account_id)
