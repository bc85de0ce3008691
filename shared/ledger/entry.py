"""One ledger entry, and its canonical form that the chain is made of."""

import hashlib
from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec
import rfc8785

from shared.events.ledger import EntryType

# 個人情報保護法 69条: 1項 within the stated purpose; 2項1号 with consent; 2項2号 inside the agency's duties.
LegalBasis = Literal["appi_69_1", "appi_69_2_1", "appi_69_2_2"]
ActorKind = Literal["resident", "guest", "staff", "helper", "system"]
GENESIS = "0" * 64


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What happened to a person's items. `items` are keys such as `name`; `commitments` are salted per subject."""

    entry_id: UUID
    municipality: str
    occurred_at: datetime
    entry_type: EntryType
    subject_ref: UUID
    acting_for: UUID | None = None
    actor_kind: ActorKind
    actor_ref: str
    office: str | None = None
    source_procedure: str | None = None
    source_case: UUID | None = None
    source_step: str | None = None
    source_collected_at: datetime | None = None
    target_service: str
    target_procedure: str | None = None
    target_case: UUID | None = None
    target_step: str
    requested_at: datetime | None = None
    provided_at: datetime | None = None
    items: tuple[str, ...]
    commitments: dict[str, str] = {}
    purpose: str
    legal_basis: LegalBasis = "appi_69_1"
    explicit_request: bool = False
    outcome: str = "done"
    visibility: Literal["subject", "internal"] = "subject"
    retention: str = "5y"
    correlation: UUID | None = None


def entry_hash(entry: Entry, prev_hash: str) -> str:
    """SHA-256 over the previous hash and the entry's canonical JSON (RFC 8785)."""
    canonical = rfc8785.dumps(msgspec.to_builtins(entry))
    return hashlib.sha256(prev_hash.encode() + b"\n" + canonical).hexdigest()
