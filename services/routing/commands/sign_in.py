"""Signing in without a password: a link and a code are sent to a contact that is known, and let in once."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.account_contact import find_account, get_contact, hash_anew, mark_proved, signs_in_by
from services.routing.commands.askings import (
    end_askings,
    find_asking,
    is_live,
    lock_account,
    make_asking,
    use_up,
    use_up_by_code,
)
from services.routing.commands.sessions import NewSession, start_staff_session
from services.routing.domain.sign_in import Address
from services.routing.keys import Keys
from services.routing.tables import sign_in_asking
from shared.errors import Refusal


async def ask_sign_in(
    session: AsyncSession, keys: Keys, *, municipality: str, address: Address, now: datetime
) -> UUID | None:
    """Send a link and a code to an address that somebody signs in by. None: nobody does, or enough were sent."""
    account_id = await find_account(session, keys.contacts, municipality, address)
    if account_id is None or await lock_account(session, municipality, account_id) is None:
        return None
    # Looked up again now that nobody changes it: its owner may have named another contact meanwhile.
    if await find_account(session, keys.contacts, municipality, address) != account_id:
        return None
    await hash_anew(session, keys.contacts, municipality, account_id, address)
    return await make_asking(
        session, keys, municipality=municipality, account_id=account_id, purpose="sign_in", now=now
    )


async def ask_own_sign_in(
    session: AsyncSession, keys: Keys, *, municipality: str, account_id: UUID, now: datetime
) -> UUID:
    """Send whoever is signed in a code to their own contact, to show once more that it is they.

    Raises:
        Refusal: `account_unknown` (404), also where they sign in by no contact; `too_many_tries` (429).
    """
    person = await lock_account(session, municipality, account_id)
    contact = await get_contact(session, municipality, account_id)
    if person is None or not signs_in_by(contact):
        raise Refusal("account_unknown", 404)
    asked = await make_asking(
        session, keys, municipality=municipality, account_id=account_id, purpose="sign_in", now=now
    )
    if asked is None:
        raise Refusal("too_many_tries", 429)
    return asked


async def sign_in_by_link(session: AsyncSession, *, municipality: str, token: str, now: datetime) -> NewSession | None:
    """Whoever has the link is in, once. None: it is used, over or of nobody, or the account is closed."""
    asking = await find_asking(session, municipality, token, now=now)
    if asking is None or asking.purpose != "sign_in":
        return None
    person = await lock_account(session, municipality, asking.account_id)
    if person is None or not await use_up(session, municipality, asking.asking_id, now=now):
        return None
    return await _let_in(session, person, now=now)


async def sign_in_by_code(
    session: AsyncSession, keys: Keys, *, municipality: str, asking_id: UUID, code: str, now: datetime
) -> NewSession | None:
    """Whoever types the code on the page that asked for it is in, once. None: as by link; the caller commits."""
    query = select(sign_in_asking).where(
        sign_in_asking.c.municipality == municipality,
        sign_in_asking.c.asking_id == asking_id,
        sign_in_asking.c.purpose == "sign_in",
        is_live(now),
    )
    account_id = (await session.execute(query)).one_or_none()
    person = await lock_account(session, municipality, account_id.account_id) if account_id else None
    # Read again now that nobody else counts: of tries at once each is one.
    asking = (await session.execute(query)).one_or_none()
    if person is None or asking is None or not await use_up_by_code(session, keys, asking, code, now=now):
        return None
    return await _let_in(session, person, now=now)


async def _let_in(session: AsyncSession, person: Row[Any], *, now: datetime) -> NewSession:
    """A session, and the contact is proved by it; no other link is needed any more."""
    await end_askings(session, person.municipality, person.account_id, now=now)
    contact = await get_contact(session, person.municipality, person.account_id)
    if contact is not None and contact.verified_at is None:
        await mark_proved(session, person.municipality, person.account_id, now=now)
    return await start_staff_session(
        session,
        municipality=person.municipality,
        account_id=person.account_id,
        roles=tuple(person.roles),
        office=person.office,
        now=now,
    )
