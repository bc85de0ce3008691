"""Contact points (連絡先): how a person wants to be reached. The address is sealed with the subject's own key."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid4, uuid5

import msgspec
from sqlalchemy import Select, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.commands.subjects import ADDRESS, context_of, seal_for_subject
from services.notifications.commands.ways import forget_ways, keep_first_way
from services.notifications.domain.notices import APPLICATION_NOTICES, WAITING, Reach, due_kind
from services.notifications.domain.ways import FIRST_WAY, WAYS_MAX, hint_of
from services.notifications.keys import Keys
from services.notifications.tables import SERVICE, contact_point, contact_way, ledger, subject_key
from shared.crypto import SealBroken, SubjectVault
from shared.db import Prepared
from shared.errors import Poison
from shared.events.routing import ContactGiven, SealedContact
from shared.ledger.entry import Entry
from shared.messaging.due import schedule
from shared.tokens import Identity

ITEM = "contact"
PURPOSE = "予約のお知らせを送るため"
PURPOSE_APPLICATION = "申請のお知らせを送るため"
STAFF_PURPOSE = "お知らせが届かないときに職員が連絡するため"
ADDRESS_MAX_LENGTH = 320
# More notices than this do not wait for one contact.
WAITING_MAX = 100

# Everybody who books gives one: each statement is put together once (`shared.db.Prepared`).
_KEEP = Prepared("""
    INSERT INTO notifications.contact_point AS known (
        municipality, contact_ref, version, subject_ref, reach, language, approval_id, case_id, given_at)
    VALUES (:municipality, :contact_ref, :version, :subject_ref, :reach, :language, :approval_id, :case_id,
            :occurred_at)
    ON CONFLICT (municipality, contact_ref) DO UPDATE
    SET (version, subject_ref, reach, language, approval_id, case_id, given_at)
      = (excluded.version, excluded.subject_ref, excluded.reach, excluded.language, excluded.approval_id,
         excluded.case_id, excluded.given_at)
    WHERE known.version < excluded.version
    RETURNING version
""")
_KNOWN = Prepared("""
    SELECT version FROM notifications.contact_point WHERE (municipality, contact_ref) = (:municipality, :contact_ref)
""")
_WAITING_FOR = Prepared(f"""
    SELECT notice_id, bulk FROM notifications.notice
    WHERE (municipality, contact_ref) = (:municipality, :contact_ref) AND reach IS NULL
      AND state = ANY (CAST(:waiting AS text[]))
    LIMIT {WAITING_MAX}
""")


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """Why one address is read: for which notice, of which procedure and case."""

    notice_id: UUID
    kind: str
    contact_ref: UUID
    way_no: int
    # None of what is told about the contact itself.
    procedure: str | None
    office: str | None
    case_id: UUID | None


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """Why a member of staff looks at an address: for which task, about which procedure and case."""

    task_id: UUID
    contact_ref: UUID
    # None of what the town told of its own accord.
    procedure: str | None
    case_id: UUID | None


class Contact(msgspec.Struct, frozen=True, kw_only=True):
    """An open address. Nothing but the page that was asked for it shows it."""

    reach: Reach
    address: str

    def __repr__(self) -> str:
        # Never what is open in it: a representation ends up in logs.
        return f"Contact({self.reach})"


class ContactNotYet(Exception):
    """A later word on a contact came before the address: it is tried again, and by then the address is here."""


async def record_contact(session: AsyncSession, keys: Keys, event: ContactGiven, *, now: datetime) -> None:
    """Keep a contact that was given, unless we know a newer one, and send what waited for it.

    A later version without an address is another approval of the same one. One with reach `none` takes the contact
    back: its address is destroyed, and what waited for it becomes a printed slip.

    Raises:
        Poison: the sealed address cannot be opened, is missing, or is too long.
        ContactNotYet: another approval of an address that has not arrived.
    """
    is_same_address = event.sealed is None and event.reach != "none" and event.aggregate_version > 1
    contact = {"municipality": event.municipality, "contact_ref": event.contact_ref}
    if is_same_address and await _KNOWN.row(session, contact) is None:
        raise ContactNotYet
    address = None if is_same_address else _open_address(keys, event)
    sealed = None
    if address is not None:
        sealed = await seal_for_subject(
            session,
            keys.vault,
            municipality=event.municipality,
            subject_ref=event.subject_ref,
            field=ADDRESS,
            value=address,
            now=now,
        )
    is_newest = await _KEEP.row(session, msgspec.structs.asdict(event) | {"version": event.aggregate_version})
    if is_newest is not None and event.reach == "none":
        await forget_ways(session, event.municipality, event.contact_ref)
    elif is_newest is not None and sealed is not None:
        await keep_first_way(session, event.municipality, event.contact_ref, event.reach, sealed, now=now)
    waiting = await _WAITING_FOR.rows(session, contact | {"waiting": WAITING})
    for notice_id, bulk in waiting:
        due, ref = due_kind(bulk=bulk), str(notice_id)
        await schedule(session, SERVICE, municipality=event.municipality, kind=due, ref=ref, due_at=now, keep=True)


async def read_addresses(
    session: AsyncSession, vault: SubjectVault, municipality: str, readings: Sequence[Reading], *, now: datetime
) -> dict[UUID, str]:
    """The addresses to send these notices to, by notice. Addresses are opened here, in
    `read_address_for_staff`, and, to be shown to their owner without being told (`read_hints`).

    Each notice's use is written to the ledger in this transaction, once: trying again is the same use. An address
    that was erased meanwhile is missing from the answer.
    """
    rows = (
        await session.execute(
            _select_ways()
            .where(
                contact_point.c.municipality == municipality,
                tuple_(contact_way.c.contact_ref, contact_way.c.way_no).in_(
                    {(reading.contact_ref, reading.way_no) for reading in readings}
                ),
            )
            .limit(len(readings))
        )
    ).all()
    contacts = {(row.contact_ref, row.way_no): row for row in rows}
    ids = {reading.notice_id: _use_id(reading) for reading in readings}
    entries = ledger.tables.entry
    written = set(
        (
            await session.execute(
                select(entries.c.entry_id)
                .where(entries.c.municipality == municipality, entries.c.entry_id.in_(ids.values()))
                .limit(len(readings))
            )
        ).scalars()
    )
    addresses: dict[UUID, str] = {}
    uses: list[Entry] = []
    for reading in readings:
        contact = contacts.get((reading.contact_ref, reading.way_no))
        if contact is None:
            continue
        try:
            context = context_of(municipality, contact.subject_ref)
            addresses[reading.notice_id] = vault.open(
                contact.wrapped_key, context, ADDRESS, bytes(contact.address_sealed)
            )
        except SealBroken:
            continue
        if ids[reading.notice_id] not in written:
            uses.append(
                Entry(
                    entry_id=ids[reading.notice_id],
                    municipality=municipality,
                    occurred_at=now,
                    entry_type="applied",
                    subject_ref=contact.subject_ref,
                    actor_kind="system",
                    actor_ref=SERVICE,
                    office=reading.office,
                    source_procedure=reading.procedure,
                    source_case=contact.case_id,
                    source_step=ITEM,
                    source_collected_at=contact.given_at,
                    target_service=SERVICE,
                    target_procedure=reading.procedure,
                    target_case=reading.case_id,
                    target_step=f"notice_{reading.kind}",
                    provided_at=now,
                    items=(ITEM,),
                    purpose=PURPOSE_APPLICATION if reading.kind in APPLICATION_NOTICES.values() else PURPOSE,
                    correlation=contact.approval_id,
                )
            )
    await ledger.write(session, *uses)
    return addresses


async def read_address_for_staff(
    session: AsyncSession, vault: SubjectVault, identity: Identity, look: Look, *, now: datetime
) -> Contact | None:
    """The address behind a task, for a member of staff; None if a slip was chosen, or it was erased.

    Each look is told to the person: `staff_viewed`, in this transaction.
    """
    contact = (
        await session.execute(
            _select_ways()
            .where(contact_point.c.municipality == identity.municipality, contact_way.c.contact_ref == look.contact_ref)
            .order_by(contact_way.c.state == "dead", contact_way.c.position)
            .limit(1)
        )
    ).one_or_none()
    if contact is None:
        return None
    try:
        context = context_of(identity.municipality, contact.subject_ref)
        address = vault.open(contact.wrapped_key, context, ADDRESS, bytes(contact.address_sealed))
    except SealBroken:
        return None
    await ledger.write(
        session,
        Entry(
            entry_id=uuid4(),
            municipality=identity.municipality,
            occurred_at=now,
            entry_type="staff_viewed",
            subject_ref=contact.subject_ref,
            actor_kind="staff",
            actor_ref=identity.ref,
            office=identity.office,
            source_procedure=look.procedure,
            source_case=contact.case_id,
            source_step=ITEM,
            source_collected_at=contact.given_at,
            target_service=SERVICE,
            target_procedure=look.procedure,
            target_case=look.case_id,
            target_step="staff_task",
            provided_at=now,
            items=(ITEM,),
            purpose=STAFF_PURPOSE,
            correlation=look.task_id,
        ),
    )
    return Contact(reach=contact.kind, address=address)


async def read_hints(
    session: AsyncSession, vault: SubjectVault, municipality: str, contact_ref: UUID
) -> dict[int, str]:
    """By which the owner of a contact knows each of its ways, by number; what was erased meanwhile is missing.

    No use of it and no entry: nobody learns anything whom the contact does not belong to.
    """
    of_contact = (contact_point.c.municipality == municipality, contact_point.c.contact_ref == contact_ref)
    hints = {}
    for way in await session.execute(_select_ways().where(*of_contact).limit(WAYS_MAX)):
        with suppress(SealBroken):
            context = context_of(municipality, way.subject_ref)
            address = vault.open(way.wrapped_key, context, ADDRESS, bytes(way.address_sealed))
            hints[way.way_no] = hint_of(way.kind, address)
    return hints


def _select_ways() -> Select[Any]:
    """Ways with their contact, and the key of whose they are."""
    return (
        select(contact_point, contact_way, subject_key.c.wrapped_key)
        .join(
            contact_way,
            tuple_(contact_way.c.municipality, contact_way.c.contact_ref)
            == tuple_(contact_point.c.municipality, contact_point.c.contact_ref),
        )
        .join(
            subject_key,
            tuple_(subject_key.c.municipality, subject_key.c.subject_ref)
            == tuple_(contact_point.c.municipality, contact_point.c.subject_ref),
        )
    )


def _use_id(reading: Reading) -> UUID:
    """The ledger's key: one use of each way for a notice, however often it is tried."""
    by_other = f":{reading.way_no}" if reading.way_no != FIRST_WAY else ""
    return uuid5(NAMESPACE_URL, f"notice:{reading.notice_id}:address{by_other}")


def _open_address(keys: Keys, event: ContactGiven) -> str | None:
    if event.reach == "none":
        return None
    if event.sealed is None:
        raise Poison("not_sealed")
    try:
        body = keys.box.open_from("routing", "contact", event.sealed)
        address = msgspec.msgpack.decode(body, type=SealedContact).address
    except (SealBroken, msgspec.DecodeError) as error:
        raise Poison("seal") from error
    if not address or len(address) > ADDRESS_MAX_LENGTH:
        raise Poison("address_length")
    return address
