"""What the other services told us."""

from sqlalchemy import BigInteger, Column, Date, Index, Integer, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from services.routing.tables.schema import TEXTS, TIME, UUID, metadata, town

availability = Table(
    "availability",
    metadata,
    town(),
    Column("counter", Text, primary_key=True),
    Column("earliest_at", TIME),
    # For procedures with a notice or a horizon of their own, by code.
    Column("own", JSONB, nullable=False, server_default="{}"),
    Column("as_of", TIME, nullable=False),
    Column("version", Integer, nullable=False),
)

appointment = Table(
    "appointment",
    metadata,
    town(),
    Column("appointment_id", UUID, primary_key=True),
    Column("number", Text, nullable=False),
    Column("subject_ref", UUID),
    Column("case_id", UUID),
    Column("procedure", Text, nullable=False),
    Column("office", Text, nullable=False),
    Column("counter", Text, nullable=False),
    Column("starts_at", TIME, nullable=False),
    Column("ends_at", TIME, nullable=False),
    Column("state", Text, nullable=False),
    Column("helper", Text, nullable=False, server_default="none"),
    # The account of the helper who comes, once they have accepted.
    Column("helper_ref", Text),
    # The procedures that are done in it, when there are several: its own first.
    Column("services", TEXTS, nullable=False, server_default="{}"),
    # A closing covers its time: who has it was `asked` to move, or `staff` are to see to it.
    Column("closure", Text, nullable=False, server_default="none"),
    Column("version", Integer, nullable=False),
    Index("appointment_case_idx", "municipality", "case_id"),
)

reuse = Table(
    "reuse",
    metadata,
    town(),
    Column("entry_id", UUID, primary_key=True),
    Column("service", Text, nullable=False),
    Column("occurred_at", TIME, nullable=False),
    Column("received_at", TIME, nullable=False),
    Column("entry_type", Text, nullable=False),
    Column("subject_ref", UUID, nullable=False),
    Column("actor_kind", Text, nullable=False),
    # Of staff and helpers only, for the privacy officer: never shown to residents.
    Column("actor_ref", Text),
    Column("office", Text),
    Column("source_procedure", Text),
    Column("source_step", Text),
    Column("source_collected_at", TIME),
    Column("target_service", Text, nullable=False),
    Column("target_procedure", Text),
    Column("target_step", Text, nullable=False),
    Column("case_id", UUID),
    Column("items", TEXTS, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("legal_basis", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("visibility", Text, nullable=False),
    # The entry as its ledger's chain has it, for the person's receipt.
    Column("canonical", Text),
    Index("reuse_subject_idx", "municipality", "subject_ref", "occurred_at"),
    Index("reuse_occurred_at_idx", "municipality", "occurred_at"),
)

# What each service's ledger came to, day by day: published, and never changed.
checkpoint = Table(
    "checkpoint",
    metadata,
    town(),
    Column("service", Text, primary_key=True),
    Column("day", Date, primary_key=True),
    Column("tree_size", BigInteger, nullable=False),
    Column("root", Text, nullable=False),
    Column("made_at", TIME, nullable=False),
)
