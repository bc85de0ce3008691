"""The identity step (本人確認) of an online application: tries to prove who somebody is, and what was proven."""

from sqlalchemy import CheckConstraint, Column, ForeignKeyConstraint, Index, LargeBinary, Table, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB

from services.routing.tables.schema import TIME, UUID, metadata, town

# A person who was sent to a provider, and may come back once, in the browser that they left with.
identity_attempt = Table(
    "identity_attempt",
    metadata,
    town(),
    Column("attempt_id", UUID, primary_key=True),
    Column("case_id", UUID, nullable=False),
    Column("provider", Text, nullable=False),
    Column("state_hash", LargeBinary, nullable=False),
    # OpenID Connect's nonce, and PKCE's verifier. Of no use to anybody once it was used.
    Column("nonce", Text, nullable=False),
    Column("verifier", Text, nullable=False),
    Column("guest_ref", Text, nullable=False),
    Column("session_id", Text, nullable=False),
    # What was to be sent when they left: the version of each item.
    Column("items", JSONB, nullable=False),
    Column("begun_at", TIME, nullable=False),
    Column("expires_at", TIME, nullable=False),
    Column("used_at", TIME),
    UniqueConstraint("municipality", "state_hash"),
    ForeignKeyConstraint(["municipality", "case_id"], ["routing.case_file.municipality", "routing.case_file.case_id"]),
    Index("identity_attempt_case_idx", "municipality", "case_id"),
)

# That a provider said who it is: for exactly these versions of the items, and not for long. No claim is kept, and the
# provider's name for the person as a keyed hash. A trigger lets no application through that needs one and has none.
identity_proof = Table(
    "identity_proof",
    metadata,
    town(),
    # That of the attempt: one attempt proves once.
    Column("proof_id", UUID, primary_key=True),
    Column("case_id", UUID, nullable=False),
    Column("provider", Text, nullable=False),
    Column("subject_hash", LargeBinary, nullable=False),
    # How sure the provider is (acr), in its own words; empty: it did not say.
    Column("acr", Text, nullable=False),
    Column("items", JSONB, nullable=False),
    Column("proven_at", TIME, nullable=False),
    Column("expires_at", TIME, nullable=False),
    CheckConstraint("expires_at > proven_at", name="lasts"),
    ForeignKeyConstraint(["municipality", "case_id"], ["routing.case_file.municipality", "routing.case_file.case_id"]),
    Index("identity_proof_case_idx", "municipality", "case_id"),
)
