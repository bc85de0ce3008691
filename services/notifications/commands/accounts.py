"""By which way whoever has an account (helpers, staff) is told things. The address has a key of its own."""

from collections.abc import Collection
from datetime import datetime

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.commands.account_notices import Former, tell_former
from services.notifications.commands.contacts import ADDRESS_MAX_LENGTH, WAITING_MAX, Contact
from services.notifications.commands.subjects import ADDRESS, context_of_account
from services.notifications.domain.notices import WAITING, due_kind
from services.notifications.keys import Keys
from services.notifications.tables import SERVICE, account_contact
from shared.crypto import SealBroken, SubjectVault
from shared.db import Prepared
from shared.errors import Poison
from shared.events.routing import AccountContactChanged, SealedContact
from shared.messaging.due import schedule

_KEEP = Prepared(f"""
    INSERT INTO {SERVICE}.account_contact AS known
        (municipality, account_ref, version, reach, address_sealed, wrapped_key, language)
    VALUES (:municipality, :account_ref, :version, :reach, :address_sealed, :wrapped_key, :language)
    ON CONFLICT (municipality, account_ref) DO UPDATE
    SET (version, reach, address_sealed, wrapped_key, language)
      = (excluded.version, excluded.reach, excluded.address_sealed, excluded.wrapped_key, excluded.language)
    WHERE known.version < excluded.version
    RETURNING version
""")
_FORMER = Prepared(f"""
    SELECT version, language FROM {SERVICE}.account_contact
    WHERE (municipality, account_ref) = (:municipality, :account_ref) FOR UPDATE
""")
_WAITING_FOR = Prepared(f"""
    SELECT notice_id, bulk FROM {SERVICE}.notice
    WHERE (municipality, account_ref) = (:municipality, :account_ref) AND reach IS NULL
      AND state = ANY (CAST(:waiting AS text[]))
    LIMIT {WAITING_MAX}
""")


async def follow_account_contact(
    session: AsyncSession, keys: Keys, event: AccountContactChanged, *, now: datetime
) -> None:
    """Keep the newest, and send what waited for it. With `none`, also of a closed account, the address is forgotten.

    The address before is told, if it was theirs (`tells_former`).

    Raises:
        Poison: the sealed address cannot be opened, is missing, or is too long.
    """
    contact = {
        "municipality": event.municipality,
        "account_ref": event.account_ref,
        "version": event.aggregate_version,
        "reach": event.reach,
        "language": event.language,
        "address_sealed": None,
        "wrapped_key": None,
    }
    if event.reach != "none":
        context = context_of_account(event.municipality, event.account_ref)
        wrapped = keys.vault.new_key(context)
        contact["wrapped_key"] = wrapped
        contact["address_sealed"] = keys.vault.seal(wrapped, context, ADDRESS, _open_address(keys, event))
    former = await _find_former(session, keys, event)
    if await _KEEP.row(session, contact) is None:
        return
    if former is not None:
        await tell_former(session, keys, event.municipality, event.account_ref, former, at=event.occurred_at, now=now)
    for notice_id, bulk in await _WAITING_FOR.rows(session, contact | {"waiting": WAITING}):
        due, ref = due_kind(bulk=bulk), str(notice_id)
        await schedule(session, SERVICE, municipality=event.municipality, kind=due, ref=ref, due_at=now, keep=True)


async def read_account_contacts(
    session: AsyncSession, vault: SubjectVault, municipality: str, account_refs: Collection[str]
) -> dict[str, Contact]:
    """Where these accounts are told things. They are the town's own people: no ledger of a resident's data has them."""
    rows = await session.execute(
        select(account_contact)
        .where(
            account_contact.c.municipality == municipality,
            account_contact.c.account_ref.in_(account_refs),
            account_contact.c.address_sealed.is_not(None),
            # An address that came back with an older backup, after it was forgotten, has none.
            account_contact.c.wrapped_key.is_not(None),
        )
        .limit(len(account_refs))
    )
    contacts = {}
    for row in rows:
        context = context_of_account(municipality, row.account_ref)
        try:
            address = vault.open(row.wrapped_key, context, ADDRESS, bytes(row.address_sealed))
        except SealBroken:
            continue
        contacts[row.account_ref] = Contact(reach=row.reach, address=address)
    return contacts


async def _find_former(session: AsyncSession, keys: Keys, event: AccountContactChanged) -> Former | None:
    """Where they were told things until now, if it is to be told: also when what came between is not heard yet."""
    key = {"municipality": event.municipality, "account_ref": event.account_ref}
    known = await _FORMER.row(session, key)
    if known is None or known.version >= event.aggregate_version:
        return None
    if not event.tells_former and known.version == event.aggregate_version - 1:
        return None
    contacts = await read_account_contacts(session, keys.vault, event.municipality, [event.account_ref])
    contact = contacts.get(event.account_ref)
    if contact is None:
        return None
    return Former(reach=contact.reach, language=known.language, address=contact.address)


def _open_address(keys: Keys, event: AccountContactChanged) -> str:
    try:
        body = keys.box.open_from("routing", "account_contact", event.sealed or "")
        address = msgspec.msgpack.decode(body, type=SealedContact).address
    except (SealBroken, msgspec.DecodeError) as error:
        raise Poison("seal") from error
    if not address or len(address) > ADDRESS_MAX_LENGTH:
        raise Poison("address_length")
    return address
