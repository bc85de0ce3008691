"""What the ledger is told of the page with the wishes: a way that is used from now on, and one that is used no more."""

from datetime import datetime
from typing import Any
from uuid import uuid4

import msgspec

from services.notifications.commands.contacts import ITEM
from services.notifications.domain.ways import WayKind
from services.notifications.tables import SERVICE
from shared.erasure import erased_entry
from shared.ledger.entry import Entry

PURPOSE_WAY = "教えていただいた連絡先へ、お知らせを送るため"
PURPOSE_RELAY = "家族など、代わりに読む人へ、お知らせを送るため"


def approved(contact: Any, kind: WayKind, *, is_relay: bool, now: datetime) -> Entry:
    """The person gave this service another way themselves, here, and wants it used."""
    return Entry(
        entry_id=uuid4(),
        municipality=contact.municipality,
        occurred_at=now,
        entry_type="approved",
        subject_ref=contact.subject_ref,
        actor_kind="resident",
        # Whoever had the link, or came from the case: there is no account to name.
        actor_ref=contact.contact_ref.hex,
        source_case=contact.case_id,
        source_step=ITEM,
        source_collected_at=now,
        target_service=SERVICE,
        target_case=contact.case_id,
        target_step=f"way_{kind}",
        items=(ITEM,),
        purpose=PURPOSE_RELAY if is_relay else PURPOSE_WAY,
        explicit_request=True,
    )


def removed(contact: Any, kind: WayKind, *, now: datetime) -> Entry:
    """Its address is destroyed, as the person wished."""
    entry = erased_entry(
        SERVICE, contact.municipality, contact.subject_ref, [ITEM], "resident", case_id=contact.case_id, now=now
    )
    return msgspec.structs.replace(
        entry, actor_kind="resident", actor_ref=contact.contact_ref.hex, target_step=f"way_{kind}"
    )
