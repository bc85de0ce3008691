"""What all three services publish of their ledgers: item names, never values."""

from datetime import date, datetime
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
    # The entry as the ledger's chain has it (`shared.ledger.entry.canonical`), for the subject's receipt; None for what
    # the subject is not shown.
    canonical: str | None = None
    # Who of the staff or helpers it was, for the town's privacy officer. Of residents never.
    actor_ref: str | None = None


class CheckpointMade(Event, frozen=True, kw_only=True, tag="ledger.checkpoint_made.v1"):
    """A service has hashed its whole ledger of a town, after a day in Japan had ended.

    The aggregate is service and day. `root` is that of the Merkle tree over the first `tree_size` entries, in hex.
    """

    service: str
    day: date
    tree_size: int
    root: str
    made_at: datetime
