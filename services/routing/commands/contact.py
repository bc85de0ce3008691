"""The contact (連絡先): given to notifications sealed, approved anew by every case, and taken back."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import Row, Update, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.about_you import DUE_CONTACT_DRAFT
from services.routing.commands.uses import case_use
from services.routing.commands.vault import STEP_YOU, Source, read_values
from services.routing.domain.handover import CONTACT, Reach
from services.routing.keys import Keys
from services.routing.tables import SERVICE, case_file, contact, outbox
from shared.events.routing import ContactGiven, SealedContact
from shared.messaging.due import unschedule
from shared.tokens import Identity

SEAL_PURPOSE = "contact"


async def give_contact(
    session: AsyncSession,
    keys: Keys,
    identity: Identity,
    case: Row[Any],
    approval_id: UUID,
    language: str,
    now: datetime,
) -> UUID:
    """Give the contact to notifications, sealed, and blank our draft of it.

    Given before: notifications keeps the address and learns by which approval, of which case, it is used from now on.
    """
    if case.contact_ref is not None:
        if case.contact_approval_id != approval_id:
            await _publish_contact(session, case, case.reach, case.case_id, approval_id, language, now)
            await session.execute(update_case(case).values(contact_approval_id=approval_id))
        return UUID(str(case.contact_ref))
    use = msgspec.structs.replace(
        case_use(case, "approved", "notifications", approval_id),
        outcome="handed_over",
        visibility="internal",
        despite="own_wish",
    )
    values = await read_values(
        session, keys.vault, identity=identity, subject_ref=case.subject_ref, keys=[CONTACT], use=use, now=now
    )
    contact_ref = uuid4()
    await session.execute(
        insert(contact).values(
            municipality=identity.municipality,
            contact_ref=contact_ref,
            version=1,
            procedure=case.procedure,
            case_id=case.case_id,
            step=STEP_YOU,
            collected_at=case.contact_given_at,
        )
    )
    address = msgspec.msgpack.encode(SealedContact(address=values[CONTACT].value))
    await outbox.publish(
        session,
        ContactGiven(
            event_id=uuid4(),
            municipality=identity.municipality,
            aggregate_id=str(contact_ref),
            aggregate_version=1,
            occurred_at=now,
            sealed=keys.box.seal_for("notifications", SEAL_PURPOSE, address),
            contact_ref=contact_ref,
            subject_ref=case.subject_ref,
            reach=case.reach,
            language=language,
            approval_id=approval_id,
            case_id=case.case_id,
        ),
    )
    await session.execute(
        update_case(case).values(contact_sealed=None, contact_ref=contact_ref, contact_approval_id=approval_id)
    )
    await unschedule(
        session, SERVICE, municipality=identity.municipality, kind=DUE_CONTACT_DRAFT, ref=str(case.case_id)
    )
    return contact_ref


async def withdraw_contact(session: AsyncSession, case: Row[Any], language: str, now: datetime) -> None:
    """This case's approval is taken back. Notifications forgets the address, unless another case's approval stands."""
    same_contact = (
        case_file.c.municipality == case.municipality,
        case_file.c.subject_ref == case.subject_ref,
        case_file.c.contact_ref == case.contact_ref,
    )
    other = (
        await session.execute(
            select(case_file)
            .where(*same_contact, case_file.c.case_id != case.case_id, case_file.c.contact_approval_id.is_not(None))
            .order_by(case_file.c.updated_at.desc())
            .limit(1)
        )
    ).one_or_none()
    if other is not None:
        await _publish_contact(session, case, other.reach, other.case_id, other.contact_approval_id, language, now)
        await session.execute(update_case(case).values(contact_approval_id=None))
        return
    await _publish_contact(session, case, "none", case.case_id, case.contact_approval_id, language, now)
    # Cases that only took it over have nothing to offer any more; this one remembers what was declined.
    await session.execute(
        update(case_file)
        .where(*same_contact, case_file.c.case_id != case.case_id)
        .values(contact_ref=None, contact_commitment=None, contact_given_at=None)
    )
    await session.execute(update_case(case).values(contact_ref=None, contact_approval_id=None))


async def _publish_contact(
    session: AsyncSession,
    case: Row[Any],
    reach: Reach,
    case_id: UUID,
    approval_id: UUID,
    language: str,
    now: datetime,
) -> None:
    """The next version of a contact that notifications has: never with the address, which we do not keep."""
    version = (
        await session.execute(
            update(contact)
            .where(contact.c.municipality == case.municipality, contact.c.contact_ref == case.contact_ref)
            .values(version=contact.c.version + 1)
            .returning(contact.c.version)
        )
    ).scalar_one()
    event = ContactGiven(
        event_id=uuid4(),
        municipality=case.municipality,
        aggregate_id=str(case.contact_ref),
        aggregate_version=version,
        occurred_at=now,
        contact_ref=case.contact_ref,
        subject_ref=case.subject_ref,
        reach=reach,
        language=language,
        approval_id=approval_id,
        case_id=case_id,
    )
    await outbox.publish(session, event)


async def forget_contact(session: AsyncSession, case: Row[Any]) -> None:
    await session.execute(update_case(case).values(contact_commitment=None, contact_given_at=None))


def update_case(case: Row[Any]) -> Update:
    return update(case_file).where(case_file.c.municipality == case.municipality, case_file.c.case_id == case.case_id)


async def contact_source(session: AsyncSession, case: Row[Any]) -> Source:
    """Where the contact was typed: in this case, or in the one that it was taken over from."""
    origin = None
    if case.contact_ref is not None:
        query = select(contact).where(
            contact.c.municipality == case.municipality, contact.c.contact_ref == case.contact_ref
        )
        origin = (await session.execute(query)).one_or_none()
    return Source(
        key=CONTACT,
        version=1,
        commitment=case.contact_commitment,
        procedure=origin.procedure if origin else case.procedure,
        case_id=origin.case_id if origin else case.case_id,
        step=origin.step if origin else STEP_YOU,
        collected_at=origin.collected_at if origin else case.contact_given_at,
    )
