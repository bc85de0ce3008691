"""What all three services publish of their ledgers: item names, never values."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from shared.events.base import Event

EntryType = Literal[
    "collected",
    "offered",
    "previewed",
    "approved",
    "declined",
    "applied",
    "corrected",
    "staff_viewed",
    "helper_assisted",
    "refused",
    "erased",
]


class ReuseRecorded(Event, frozen=True, kw_only=True, tag="ledger.reuse_recorded.v1"):
    """A service wrote a ledger entry about a subject. The aggregate is the entry; its version is always 1."""

    entry_id: UUID
    service: str
    entry_type: EntryType
    subject_ref: UUID
    actor_kind: str
    office: str | None
    source_procedure: str | None
    source_step: str | None
    source_collected_at: datetime | None
    target_service: str
    target_procedure: str | None
    target_step: str
    case_id: UUID | None
    items: tuple[str, ...]
    purpose: str
    legal_basis: str
    outcome: str
    visibility: Literal["subject", "internal"]
    # Who of the staff or helpers it was, for the town's privacy officer. Of residents never.
    actor_ref: str | None = None
