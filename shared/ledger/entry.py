"""One ledger entry, and its canonical form that the chain is made of."""

import hashlib
from datetime import datetime
from secrets import token_hex
from typing import Any, Literal
from uuid import UUID

import msgspec
import rfc8785

from shared.events.ledger import EntryType

# 個人情報保護法 69条: 1項 within the stated purpose; 2項1号 with consent; 2項2号 inside the agency's duties.
LegalBasis = Literal["appi_69_1", "appi_69_2_1", "appi_69_2_2"]
ActorKind = Literal["resident", "guest", "staff", "helper", "system"]
GENESIS = "0" * 64
# The form of the canonical JSON. The first hid nothing, and said nothing of its form.
FORM = 2
HIDDEN = ("actor_ref", "commitments")
BLIND_BYTES = 16


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
    # Random: what is hidden by it, others may check and not guess. None in entries of the first form.
    blind: str | None = msgspec.field(default_factory=lambda: token_hex(BLIND_BYTES))


def canonical(entry: Entry) -> bytes:
    """The entry's canonical JSON (RFC 8785), which the chain is made of and its subject may read.

    What the subject is not told is in it as one blinded hash (`hidden`): nobody finds a member of staff by trying ids.
    """
    values: dict[str, Any] = msgspec.to_builtins(entry)
    blind = values.pop("blind")
    if blind is not None:
        hidden = _encode({name: values.pop(name) for name in HIDDEN})
        values["hidden"] = hashlib.sha256(bytes.fromhex(blind) + hidden).hexdigest()
        values["form"] = FORM
    return _encode(values)


def _encode(values: dict[str, Any]) -> bytes:
    if all(key.isascii() for key in values.get("commitments", ())):
        # The same for what an entry holds, and 25 times as fast.
        return msgspec.json.encode(values, order="sorted")
    return rfc8785.dumps(values)


def link_hash(content: bytes, prev_hash: str) -> str:
    """SHA-256 over the previous hash and an entry's canonical JSON."""
    return hashlib.sha256(prev_hash.encode() + b"\n" + content).hexdigest()


def entry_hash(entry: Entry, prev_hash: str) -> str:
    """What the chain says of an entry."""
    return link_hash(canonical(entry), prev_hash)
