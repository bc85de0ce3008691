"""The ledger's tables in every service's schema, all of them insert-only: entries, chain, tree and checkpoints."""

from sqlalchemy import (
    TIMESTAMP,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID

from shared.db import row_level_security

_TIME = TIMESTAMP(timezone=True)
_UUID = UUID(as_uuid=True)


class LedgerTables:
    """The four tables, attached to a service's metadata."""

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
            # None in entries of the first form (`entry.canonical`).
            Column("blind", Text),
            CheckConstraint("blind ~ '^[0-9a-f]{32}$'", name="blind"),
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
        self.tile = Table(
            "ledger_tile",
            metadata,
            Column("municipality", Text, primary_key=True),
            Column("level", Integer, primary_key=True),
            Column("place", BigInteger, primary_key=True),
            Column("hashes", LargeBinary, nullable=False),
            Column("root", LargeBinary, nullable=False),
            CheckConstraint("octet_length(hashes) = 8192 AND octet_length(root) = 32", name="hashes"),
        )
        self.checkpoint = Table(
            "ledger_checkpoint",
            metadata,
            Column("municipality", Text, primary_key=True),
            # The day in Japan that had ended.
            Column("day", Date, primary_key=True),
            Column("tree_size", BigInteger, nullable=False),
            Column("root", Text, nullable=False),
            Column("made_at", _TIME, nullable=False),
            CheckConstraint("tree_size >= 0 AND root ~ '^[0-9a-f]{64}$'", name="root"),
            Index("ledger_checkpoint_tree_size_idx", "municipality", "tree_size", "day"),
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


def ledger_proofs(schema: str, application_role: str) -> list[str]:
    """The statements of the migration with which a ledger is proved: blinded entries, its tree, its checkpoints."""
    made = f"{schema}.ledger_tile, {schema}.ledger_checkpoint"
    return [
        # Nullable and without a default: no rewrite, and processes of the version before go on writing their form.
        f"""ALTER TABLE {schema}.ledger_entry ADD COLUMN blind text
            CONSTRAINT ledger_entry_blind_check CHECK (blind ~ '^[0-9a-f]{{32}}$')""",
        f"""CREATE TABLE {schema}.ledger_tile (
            municipality text NOT NULL, level integer NOT NULL, place bigint NOT NULL, hashes bytea NOT NULL,
            root bytea NOT NULL,
            CONSTRAINT ledger_tile_pkey PRIMARY KEY (municipality, level, place),
            CONSTRAINT ledger_tile_hashes_check CHECK (octet_length(hashes) = 8192 AND octet_length(root) = 32))""",
        f"""CREATE TABLE {schema}.ledger_checkpoint (
            municipality text NOT NULL, day date NOT NULL, tree_size bigint NOT NULL, root text NOT NULL,
            made_at timestamptz NOT NULL,
            CONSTRAINT ledger_checkpoint_pkey PRIMARY KEY (municipality, day),
            CONSTRAINT ledger_checkpoint_root_check CHECK (tree_size >= 0 AND root ~ '^[0-9a-f]{{64}}$'))""",
        f"CREATE INDEX ledger_checkpoint_tree_size_idx ON {schema}.ledger_checkpoint (municipality, tree_size, day)",
        *row_level_security(schema, "ledger_tile"),
        *row_level_security(schema, "ledger_checkpoint"),
        f"REVOKE UPDATE, DELETE, TRUNCATE ON {made} FROM {application_role}",
        f"GRANT SELECT, INSERT ON {made} TO {application_role}",
    ]


def ledger_proofs_undone(schema: str) -> list[str]:
    """The way back."""
    return [
        f"DROP TABLE {schema}.ledger_checkpoint",
        f"DROP TABLE {schema}.ledger_tile",
        f"ALTER TABLE {schema}.ledger_entry DROP COLUMN blind",
    ]
