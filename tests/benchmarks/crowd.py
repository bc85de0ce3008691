"""Many visitors at once: their rows are what `arrive` would have written, copied into the tables in bulk."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID, uuid4

import asyncpg
import msgspec

from services.booking.commands.visits import END_VISIT, NAME, VISIT_LIFETIME, Draft, DraftItem
from services.booking.keys import Keys, subject_context
from services.booking.settings import load_settings
from services.routing.tables import outbox
from shared.clock import utc_now
from shared.crypto import ServiceBox
from shared.db import Database
from shared.events.routing import ContactGiven, SealedContact
from shared.tokens import Identity, sign_token
from shared.web.identity import SESSION_COOKIE

VISITOR_NAME = "二宮 花子"
_VISIT_COLUMNS = (
    "municipality visit_id pass_id guest_ref subject_ref case_id contact_ref procedure channel reach draft_sealed "
    "passed_at arrived_at expires_at"
)


class Visitor(msgspec.Struct, frozen=True):
    """Somebody who has arrived at booking and may choose a time."""

    visit_id: UUID
    guest_ref: str
    headers: dict[str, str]


class Reach(msgspec.Struct, frozen=True):
    """How somebody is reached: a contact that notifications knows."""

    contact_ref: UUID
    subject_ref: UUID
    reach: Literal["email", "sms", "none"]


async def bring_visitors(
    environ: Mapping[str, str],
    count: int,
    *,
    procedure: str,
    municipality: str,
    now: datetime,
    visit_ids: Sequence[UUID] | None = None,
    contacts: Sequence[Reach] | None = None,
    channel: str = "counter",
) -> list[Visitor]:
    """Let so many visitors arrive, each with a guest's token, a key and a sealed name of their own."""
    keys = Keys.from_settings(load_settings(environ))
    visitors, key_rows, visit_rows, due_rows = [], [], [], []
    for number in range(count):
        visit_id = visit_ids[number] if visit_ids else uuid4()
        contact = contacts[number] if contacts else None
        subject_ref = contact.subject_ref if contact else uuid4()
        guest = Identity(municipality=municipality, kind="guest", ref=uuid4().hex, session_id=uuid4().hex)
        context = subject_context(municipality, subject_ref)
        wrapped = keys.vault.new_key(context)
        draft = Draft(items=(DraftItem(key=NAME, value=VISITOR_NAME, approval_id=uuid4()),))
        sealed = keys.vault.seal(wrapped, context, f"draft/{visit_id}", msgspec.json.encode(draft).decode())
        expires_at = now + VISIT_LIFETIME
        key_rows.append((municipality, subject_ref, wrapped))
        visit_rows.append(
            (municipality, visit_id, uuid4(), guest.ref, subject_ref, uuid4(), contact.contact_ref if contact else None,
             procedure, channel, contact.reach if contact else "none", sealed, now, now, expires_at)
        )  # fmt: skip
        due_rows.append((municipality, END_VISIT, str(visit_id), expires_at))
        token = sign_token(guest, environ["CHOUDO_TOKEN_PRIVATE_KEY"], now=now)
        visitors.append(Visitor(visit_id, guest.ref, {"Cookie": f"{SESSION_COOKIE}={token}"}))
    connection = await asyncpg.connect(environ["CHOUDO_BOOKING_OWNER_DATABASE_URL"])
    try:
        for table, columns, rows in (
            ("subject_key", "municipality subject_ref wrapped_key", key_rows),
            ("visit", _VISIT_COLUMNS, visit_rows),
            ("due", "municipality kind ref due_at", due_rows),
        ):  # fmt: skip
            await connection.copy_records_to_table(
                table, schema_name="booking", columns=columns.split(), records=rows, timeout=60
            )
    finally:
        await connection.close()
    return visitors


async def give_contacts(environ: Mapping[str, str], people: Sequence[str], *, municipality: str) -> list[Reach]:
    """As routing publishes what residents approved: a phone number or a mail address for each of them."""
    box = ServiceBox.from_settings(environ["CHOUDO_ROUTING_BOX_KEY"], environ["CHOUDO_BOX_PUBLIC_KEYS"])
    db = Database(environ["CHOUDO_ROUTING_DATABASE_URL"], service="routing")
    contacts = [Reach(uuid4(), uuid4(), "email" if "@" in person else "sms") for person in people]
    async with db.begin(municipality) as session:
        for person, contact in zip(people, contacts, strict=True):
            await outbox.publish(
                session,
                ContactGiven(
                    event_id=uuid4(),
                    municipality=municipality,
                    aggregate_id=str(contact.contact_ref),
                    aggregate_version=1,
                    occurred_at=utc_now(),
                    sealed=box.seal_for(
                        "notifications", "contact", msgspec.msgpack.encode(SealedContact(address=person))
                    ),
                    contact_ref=contact.contact_ref,
                    subject_ref=contact.subject_ref,
                    reach=contact.reach,
                    language="ja",
                    approval_id=uuid4(),
                    case_id=uuid4(),
                ),
            )
    await db.dispose()
    return contacts
