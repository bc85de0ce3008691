"""Two insert-only tables in every service's schema: `ledger_entry` and `ledger_chain`."""

from sqlalchemy import (
    TIMESTAMP,
    BigInteger,
    Boolean,
    Column,
    ForeignKeyConstraint,
    Index,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID

_TIME = TIMESTAMP(timezone=True)
_UUID = UUID(as_uuid=True)


class LedgerTables:
    """The two tables, attached to a service's metadata."""

    def __init__(self, metadata: MetaData) -> None:
        self.entry = Table(
            "ledger_entry",
            metadata,
            Column("municipality", Text, primary_key=True),
            Column("entry_id", _UUID, primary_key=True),
            Column("occurred_at", _TIME, nullable=False),
            Column("entry_type", Text, nullable=False),
            Column("subject_ref", _UUID, nullable=False),
            Column("acting_for", _UUID),
            Column("actor_kind", Text, nullable=False),
            Column("actor_ref", Text, nullable=False),
            Column("office", Text),
            Column("source_procedure", Text),
            Column("source_case", _UUID),
            Column("source_step", Text),
            Column("source_collected_at", _TIME),
            Column("target_service", Text, nullable=False),
            Column("target_procedure", Text),
            Column("target_case", _UUID),
            Column("target_step", Text, nullable=False),
            Column("requested_at", _TIME),
            Column("provided_at", _TIME),
            Column("items", ARRAY(Text), nullable=False),
            Column("commitments", JSONB, nullable=False),
            Column("purpose", Text, nullable=False),
            Column("legal_basis", Text, nullable=False),
            Column("explicit_request", Boolean, nullable=False),
            Column("outcome", Text, nullable=False),
            Column("visibility", Text, nullable=False),
            Column("retention", Text, nullable=False),
            Column("correlation", _UUID),
            Index("ledger_entry_subject_idx", "municipality", "subject_ref", "occurred_at"),
            Index("ledger_entry_occurred_at_idx", "municipality", "occurred_at"),
        )
        self.chain = Table(
            "ledger_chain",
            metadata,
            Column("municipality", Text, primary_key=True),
            Column("seq", BigInteger, primary_key=True),
            Column("entry_id", _UUID, nullable=False),
            Column("prev_hash", Text, nullable=False),
            Column("entry_hash", Text, nullable=False),
            UniqueConstraint("municipality", "entry_id"),
            ForeignKeyConstraint(
                ["municipality", "entry_id"],
                [f"{metadata.schema}.ledger_entry.municipality", f"{metadata.schema}.ledger_entry.entry_id"],
            ),
        )


def ledger_v1(schema: str, application_role: str) -> list[str]:
    """The first migration's statements: the tables, and only INSERT and SELECT for the application's role."""
    return [
        f"""CREATE TABLE {schema}.ledger_entry (
            municipality text NOT NULL, entry_id uuid NOT NULL, occurred_at timestamptz NOT NULL,
            entry_type text NOT NULL, subject_ref uuid NOT NULL, acting_for uuid,
            actor_kind text NOT NULL, actor_ref text NOT NULL, office text,
            source_procedure text, source_case uuid, source_step text, source_collected_at timestamptz,
            target_service text NOT NULL, target_procedure text, target_case uuid, target_step text NOT NULL,
            requested_at timestamptz, provided_at timestamptz, items text[] NOT NULL, commitments jsonb NOT NULL,
            purpose text NOT NULL, legal_basis text NOT NULL, explicit_request boolean NOT NULL, outcome text NOT NULL,
            visibility text NOT NULL, retention text NOT NULL, correlation uuid,
            CONSTRAINT ledger_entry_pkey PRIMARY KEY (municipality, entry_id))""",
        f"CREATE INDEX ledger_entry_subject_idx ON {schema}.ledger_entry (municipality, subject_ref, occurred_at)",
        f"CREATE INDEX ledger_entry_occurred_at_idx ON {schema}.ledger_entry (municipality, occurred_at)",
        f"""CREATE TABLE {schema}.ledger_chain (
            municipality text NOT NULL, seq bigint NOT NULL, entry_id uuid NOT NULL, prev_hash text NOT NULL,
            entry_hash text NOT NULL,
            CONSTRAINT ledger_chain_pkey PRIMARY KEY (municipality, seq),
            CONSTRAINT ledger_chain_municipality_entry_id_key UNIQUE (municipality, entry_id),
            CONSTRAINT ledger_chain_municipality_entry_id_fkey FOREIGN KEY (municipality, entry_id)
                REFERENCES {schema}.ledger_entry (municipality, entry_id))""",
        f"REVOKE UPDATE, DELETE, TRUNCATE ON {schema}.ledger_entry, {schema}.ledger_chain FROM {application_role}",
        f"GRANT SELECT, INSERT ON {schema}.ledger_entry, {schema}.ledger_chain TO {application_role}",
    ]
