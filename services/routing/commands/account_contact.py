"""The contact of somebody with an account (連絡のしかた): given, proved by the code that is sent there, and forgotten.

The address goes sealed to notifications; what stays here finds it again when somebody types it to sign in.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import Row, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.askings import end_askings, is_live, lock_account, make_asking, use_up_by_code
from services.routing.commands.sessions import refuse_old_proof
from services.routing.domain.handover import Reach
from services.routing.domain.sign_in import UNPROVED_KEPT, Address
from services.routing.keys import ContactKeys, Keys
from services.routing.tables import SERVICE, account_contact, outbox, sign_in_asking
from shared.audit import Operator, record_deed
from shared.crypto import ServiceBox
from shared.errors import Refusal
from shared.events.routing import AccountContactChanged, SealedContact
from shared.messaging.due import schedule, unschedule
from shared.tokens import Identity

SEAL_PURPOSE = "account_contact"
DUE_UNPROVED = "account_contact_unproved"
ADDRESS_KEY = "account_contact_address_key"


async def change_contact(
    session: AsyncSession,
    keys: Keys,
    *,
    identity: Identity,
    account_id: UUID,
    address: Address | None,
    language: str,
    now: datetime,
) -> None:
    """Tell somebody with an account by this way from now on; None: by none. A code is sent there, to prove it.

    Until it is proved nobody signs in by it, and a day later it is forgotten. What was sent before is over. The contact
    before, if it was theirs, is told.

    Raises:
        Refusal: `proof_old` (403): they sign in once more first; `account_unknown` (404); `too_many_tries` (429): codes
            are not sent all day.
    """
    town = identity.municipality
    await refuse_old_proof(session, identity, now=now)
    if await lock_account(session, town, account_id) is None:
        raise Refusal("account_unknown", 404)
    await end_askings(session, town, account_id, now=now)
    hashes = keys.contacts.hashes(town, address.hashed) if address else []
    is_told = _was_theirs(await get_contact(session, town, account_id), hashes)
    await _write(
        session, town, account_id, keys.box, address, hashes,
        language=language, vouched=False, tells_former=is_told, now=now,
    )  # fmt: skip
    await record_deed(session, identity, "change_account_contact", account_id.hex, now=now)
    if address is not None:
        await ask_proof(session, keys, identity=identity, account_id=account_id, now=now)
        await schedule(
            session,
            SERVICE,
            municipality=town,
            kind=DUE_UNPROVED,
            ref=account_id.hex,
            due_at=now + UNPROVED_KEPT,
        )


async def ask_proof(session: AsyncSession, keys: Keys, *, identity: Identity, account_id: UUID, now: datetime) -> None:
    """Have a code sent to the contact that is not proved yet, for the one who is signed in to type.

    Raises:
        Refusal: `account_unknown` (404), `too_many_tries` (429).
    """
    town = identity.municipality
    if await lock_account(session, town, account_id) is None:
        raise Refusal("account_unknown", 404)
    asked = await make_asking(session, keys, municipality=town, account_id=account_id, purpose="prove", now=now)
    if asked is None:
        raise Refusal("too_many_tries", 429)


async def prove_contact(
    session: AsyncSession, keys: Keys, *, identity: Identity, account_id: UUID, code: str, now: datetime
) -> bool:
    """Take the code that came: from now on one can sign in by the contact. False: wrong or over; the caller commits.

    Raises:
        Refusal: `account_unknown` (404); `contact_taken` (409): somebody else signs in by this address.
    """
    town = identity.municipality
    if await lock_account(session, town, account_id) is None:
        raise Refusal("account_unknown", 404)
    query = select(sign_in_asking).where(
        sign_in_asking.c.municipality == town,
        sign_in_asking.c.account_id == account_id,
        sign_in_asking.c.purpose == "prove",
        is_live(now),
    )
    # The newest is the one that the person looks at.
    asking = (await session.execute(query.order_by(sign_in_asking.c.asked_at.desc()).limit(1))).one_or_none()
    if asking is None or not await use_up_by_code(session, keys, asking, code, now=now):
        return False
    await mark_proved(session, town, account_id, now=now)
    await record_deed(session, identity, "prove_account_contact", account_id.hex, now=now)
    return True


async def mark_proved(session: AsyncSession, municipality: str, account_id: UUID, *, now: datetime) -> None:
    """Whoever has the account reads what is sent to its contact.

    Raises:
        Refusal: `contact_taken` (409).
    """
    proved = (
        update(account_contact)
        .where(*_of(municipality, account_id), account_contact.c.verified_at.is_(None))
        .where(account_contact.c.address_hash.is_not(None))
        .values(verified_at=now)
    )
    await _one_account_per_address(session, proved)
    await unschedule(session, SERVICE, municipality=municipality, kind=DUE_UNPROVED, ref=account_id.hex)


async def vouch_for_contact(
    session: AsyncSession,
    keys: ContactKeys,
    *,
    municipality: str,
    account_id: UUID,
    address: Address,
    now: datetime,
) -> None:
    """The operator says by which address somebody signs in and is told. The same again changes nothing.

    The contact before, if it was theirs, is told.

    Raises:
        Refusal: `account_unknown` (404), `contact_taken` (409).
    """
    if await lock_account(session, municipality, account_id) is None:
        raise Refusal("account_unknown", 404)
    hashes = keys.hashes(municipality, address.hashed)
    known = await get_contact(session, municipality, account_id)
    if known is not None and known.address_hash in hashes and known.vouched:
        return
    await end_askings(session, municipality, account_id, now=now)
    await _write(
        session, municipality, account_id, keys.box, address, hashes,
        language="ja", vouched=True, tells_former=_was_theirs(known, hashes), now=now,
    )  # fmt: skip
    await unschedule(session, SERVICE, municipality=municipality, kind=DUE_UNPROVED, ref=account_id.hex)
    await record_deed(session, Operator(municipality), "give_account_contact", account_id.hex, now=now)


async def forget_contact(session: AsyncSession, municipality: str, account_id: UUID, *, now: datetime) -> None:
    """The account is closed, or nobody proved the address: nothing of it stays, here or in notifications."""
    known = await get_contact(session, municipality, account_id)
    if known is not None and known.reach != "none":
        await _write(session, municipality, account_id, None, None, [], language=known.language, vouched=False, now=now)
    await unschedule(session, SERVICE, municipality=municipality, kind=DUE_UNPROVED, ref=account_id.hex)


async def forget_unproved(session: AsyncSession, municipality: str, ref: str, now: datetime) -> None:
    """Due handler: a day went by, and no code came back."""
    account_id = UUID(ref)
    await lock_account(session, municipality, account_id)
    known = await get_contact(session, municipality, account_id)
    if known is not None and known.verified_at is None and not known.vouched:
        await end_askings(session, municipality, account_id, now=now)
        await forget_contact(session, municipality, account_id, now=now)


async def get_contact(session: AsyncSession, municipality: str, account_id: UUID) -> Row[Any] | None:
    """How somebody is told: `reach`, `hint`, `verified_at`, `vouched`; None: never said."""
    return (await session.execute(select(account_contact).where(*_of(municipality, account_id)))).one_or_none()


def signs_in_by(contact: Row[Any] | None) -> bool:
    """Whether somebody signs in by their contact: they have shown that they read it, or the town gave it."""
    return contact is not None and contact.reach != "none" and bool(contact.verified_at or contact.vouched)


async def find_account(session: AsyncSession, keys: ContactKeys, municipality: str, address: Address) -> UUID | None:
    """Whose address it is, proved by them or given by the town."""
    query = select(account_contact.c.account_id).where(
        account_contact.c.municipality == municipality,
        account_contact.c.reach == address.reach,
        account_contact.c.address_hash.in_(keys.hashes(municipality, address.hashed)),
        or_(account_contact.c.verified_at.is_not(None), account_contact.c.vouched),
    )
    # Under two master keys the same address might be two people's: then it is nobody's.
    rows = (await session.execute(query.limit(2))).all()
    return UUID(str(rows[0].account_id)) if len(rows) == 1 else None


async def hash_anew(
    session: AsyncSession, keys: ContactKeys, municipality: str, account_id: UUID, address: Address
) -> None:
    """Write the hash by the newest master key: the older ones go. The account is locked."""
    newest, *older = keys.hashes(municipality, address.hashed)
    # Never over the hash of another address.
    outdated = update(account_contact).where(*_of(municipality, account_id), account_contact.c.address_hash.in_(older))
    await session.execute(outdated.values(address_hash=newest))


async def _write(
    session: AsyncSession,
    municipality: str,
    account_id: UUID,
    box: ServiceBox | None,
    address: Address | None,
    hashes: Sequence[bytes],
    *,
    language: str,
    vouched: bool,
    tells_former: bool = False,
    now: datetime,
) -> None:
    """The contact as it is from now on, and the next version of it for notifications. The account is locked."""
    reach: Reach = address.reach if address else "none"
    values = {
        "reach": reach,
        "language": language,
        "address_hash": hashes[0] if address else None,
        "hint": address.hint if address else None,
        "vouched": vouched,
        "told_at": now,
        "verified_at": None,
    }
    written = (
        insert(account_contact)
        .values(municipality=municipality, account_id=account_id, version=1, **values)
        .on_conflict_do_update(
            index_elements=["municipality", "account_id"], set_=values | {"version": account_contact.c.version + 1}
        )
        .returning(account_contact.c.version)
    )
    version = await _one_account_per_address(session, written)
    sealed = None
    if box is not None and address is not None:
        sealed = box.seal_for(
            "notifications", SEAL_PURPOSE, msgspec.msgpack.encode(SealedContact(address=address.value))
        )
    await outbox.publish(
        session,
        AccountContactChanged(
            event_id=uuid4(),
            municipality=municipality,
            aggregate_id=account_id.hex,
            aggregate_version=version,
            occurred_at=now,
            sealed=sealed,
            account_ref=account_id.hex,
            reach=reach,
            language=language,
            tells_former=tells_former,
        ),
    )


def _was_theirs(known: Row[Any] | None, hashes: Sequence[bytes]) -> bool:
    """Whether there was another address, of which they had shown that they read it, or which the town gave them."""
    return known is not None and signs_in_by(known) and known.address_hash not in hashes


async def _one_account_per_address(session: AsyncSession, statement: Any) -> Any:
    """Do it, unless somebody else signs in by this address: the database decides."""
    try:
        async with session.begin_nested():
            done = await session.execute(statement)
            return done.scalar_one_or_none() if statement.is_insert else None
    except IntegrityError as error:
        if ADDRESS_KEY not in str(error):
            raise
        raise Refusal("contact_taken", 409) from None


def _of(municipality: str, account_id: UUID) -> tuple[Any, ...]:
    return (account_contact.c.municipality == municipality, account_contact.c.account_id == account_id)
