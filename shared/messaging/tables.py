"""The tables that every service has in its own schema: no readable personal data in them, so read across towns."""

from sqlalchemy import (
    TIMESTAMP,
    Boolean,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import UUID

_TIME = TIMESTAMP(timezone=True)

# Read by loops before any town is known, so row-level security does not cover them.
TABLES_ACROSS_TOWNS = ("outbox", "delivery", "inbox", "dead_letter", "due")


class MessagingTables:
    """The five tables, attached to a service's metadata."""

    def __init__(self, metadata: MetaData) -> None:
        schema = metadata.schema
        self.outbox = Table(
            "outbox",
            metadata,
            Column("municipality", Text, primary_key=True),
            Column("event_id", UUID(as_uuid=True), primary_key=True),
            Column("aggregate_id", Text, nullable=False),
            Column("aggregate_version", Integer, nullable=False),
            Column("type", Text, nullable=False),
            Column("payload", LargeBinary, nullable=False),
            Column("sealed", Text),
            Column("sealed_for", Text),
            Column("occurred_at", _TIME, nullable=False),
            # Of what is old (`upkeep`), and so grows at its end only.
            Index("outbox_occurred_at_idx", "occurred_at"),
        )
        self.delivery = Table(
            "delivery",
            metadata,
            Column("municipality", Text, primary_key=True),
            Column("event_id", UUID(as_uuid=True), primary_key=True),
            Column("consumer", Text, primary_key=True),
            Column("occurred_at", _TIME, nullable=False),
            Column("next_publish_at", _TIME, nullable=False),
            Column("attempts", Integer, nullable=False, server_default="0"),
            Column("acked_at", _TIME),
            Column("outcome", Text),
            Column("bulk", Boolean, nullable=False, server_default="false"),
            ForeignKeyConstraint(
                ["municipality", "event_id"],
                [f"{schema}.outbox.municipality", f"{schema}.outbox.event_id"],
                ondelete="CASCADE",
            ),
            # Apart, so that what waits for a consumer that is stopped, or in bulk, is in nobody's way.
            Index(
                "delivery_new_idx",
                "bulk",
                "next_publish_at",
                postgresql_where=text("acked_at IS NULL AND attempts = 0"),
            ),
            Index(
                "delivery_again_idx",
                "consumer",
                "bulk",
                "next_publish_at",
                postgresql_where=text("acked_at IS NULL AND attempts > 0"),
            ),
        )
        self.inbox = Table(
            "inbox",
            metadata,
            Column("municipality", Text, primary_key=True),
            Column("event_id", UUID(as_uuid=True), primary_key=True),
            Column("attempts", Integer, nullable=False, server_default="1"),
            Column("seen_at", _TIME, nullable=False),
            Column("applied_at", _TIME),
            Column("outcome", Text),
            Index("inbox_applied_at_idx", "applied_at"),
        )
        self.dead_letter = Table(
            "dead_letter",
            metadata,
            Column("municipality", Text, primary_key=True),
            Column("event_id", UUID(as_uuid=True), primary_key=True),
            Column("publisher", Text, nullable=False),
            Column("type", Text, nullable=False),
            Column("payload", LargeBinary, nullable=False),
            Column("sealed", Text),
            Column("attempts", Integer, nullable=False),
            Column("reason", Text, nullable=False),
            Column("died_at", _TIME, nullable=False),
            # What was sealed is destroyed after a time; the letter remembers that there was something.
            Column("sealed_gone_at", _TIME),
            # Set while it is being replayed, and before: a replay that takes its worker along is not begun again.
            Column("replay_begun_at", _TIME),
            Index("dead_letter_died_at_idx", "died_at", "event_id"),
        )
        self.due = Table(
            "due",
            metadata,
            Column("municipality", Text, primary_key=True),
            Column("kind", Text, primary_key=True),
            Column("ref", Text, primary_key=True),
            Column("due_at", _TIME, nullable=False),
            Column("leased_until", _TIME),
            Column("attempts", Integer, nullable=False, server_default="0"),
            Index("due_kind_due_at_idx", "kind", "due_at"),
        )


def messaging_v1(schema: str) -> list[str]:
    """The first migration's statements for these tables in a service's schema."""
    return [
        f"""CREATE TABLE {schema}.outbox (
            municipality text NOT NULL, event_id uuid NOT NULL, aggregate_id text NOT NULL,
            aggregate_version integer NOT NULL, type text NOT NULL, payload bytea NOT NULL,
            sealed text, sealed_for text, occurred_at timestamptz NOT NULL,
            CONSTRAINT outbox_pkey PRIMARY KEY (municipality, event_id))""",
        f"""CREATE TABLE {schema}.delivery (
            municipality text NOT NULL, event_id uuid NOT NULL, consumer text NOT NULL,
            occurred_at timestamptz NOT NULL, next_publish_at timestamptz NOT NULL,
            attempts integer NOT NULL DEFAULT 0, acked_at timestamptz, outcome text,
            CONSTRAINT delivery_pkey PRIMARY KEY (municipality, event_id, consumer),
            CONSTRAINT delivery_municipality_event_id_fkey FOREIGN KEY (municipality, event_id)
                REFERENCES {schema}.outbox (municipality, event_id) ON DELETE CASCADE)""",
        f"""CREATE INDEX delivery_new_idx ON {schema}.delivery (next_publish_at)
            WHERE acked_at IS NULL AND attempts = 0""",
        f"""CREATE INDEX delivery_again_idx ON {schema}.delivery (consumer, next_publish_at)
            WHERE acked_at IS NULL AND attempts > 0""",
        f"""CREATE TABLE {schema}.inbox (
            municipality text NOT NULL, event_id uuid NOT NULL, attempts integer NOT NULL DEFAULT 1,
            seen_at timestamptz NOT NULL, applied_at timestamptz, outcome text,
            CONSTRAINT inbox_pkey PRIMARY KEY (municipality, event_id))""",
        f"""CREATE TABLE {schema}.dead_letter (
            municipality text NOT NULL, event_id uuid NOT NULL, publisher text NOT NULL, type text NOT NULL,
            payload bytea NOT NULL, sealed text, attempts integer NOT NULL, reason text NOT NULL,
            died_at timestamptz NOT NULL,
            CONSTRAINT dead_letter_pkey PRIMARY KEY (municipality, event_id))""",
        f"""CREATE TABLE {schema}.due (
            municipality text NOT NULL, kind text NOT NULL, ref text NOT NULL, due_at timestamptz NOT NULL,
            leased_until timestamptz, attempts integer NOT NULL DEFAULT 0,
            CONSTRAINT due_pkey PRIMARY KEY (municipality, kind, ref))""",
        f"CREATE INDEX due_kind_due_at_idx ON {schema}.due (kind, due_at)",
    ]


def dead_letters_v1(schema: str) -> list[str]:
    """The statements of the migration with which dead letters are replayed, and what is old is found by an index."""
    return [
        f"""ALTER TABLE {schema}.dead_letter
            ADD COLUMN sealed_gone_at timestamptz, ADD COLUMN replay_begun_at timestamptz""",
        f"CREATE INDEX dead_letter_died_at_idx ON {schema}.dead_letter (died_at, event_id)",
        f"CREATE INDEX outbox_occurred_at_idx ON {schema}.outbox (occurred_at)",
        f"CREATE INDEX inbox_applied_at_idx ON {schema}.inbox (applied_at)",
    ]


def dead_letters_v1_undone(schema: str) -> list[str]:
    """The way back."""
    return [
        f"DROP INDEX {schema}.inbox_applied_at_idx",
        f"DROP INDEX {schema}.outbox_occurred_at_idx",
        f"DROP INDEX {schema}.dead_letter_died_at_idx",
        f"ALTER TABLE {schema}.dead_letter DROP COLUMN replay_begun_at, DROP COLUMN sealed_gone_at",
    ]


def two_lanes(schema: str) -> list[str]:
    """The statements of the migration that gives deliveries their lane."""
    return [
        f"ALTER TABLE {schema}.delivery ADD COLUMN bulk boolean NOT NULL DEFAULT false",
        f"DROP INDEX {schema}.delivery_new_idx",
        f"DROP INDEX {schema}.delivery_again_idx",
        f"""CREATE INDEX delivery_new_idx ON {schema}.delivery (bulk, next_publish_at)
            WHERE acked_at IS NULL AND attempts = 0""",
        f"""CREATE INDEX delivery_again_idx ON {schema}.delivery (consumer, bulk, next_publish_at)
            WHERE acked_at IS NULL AND attempts > 0""",
    ]


def one_lane(schema: str) -> list[str]:
    """Back again: dropping the column drops its indexes."""
    return [
        f"ALTER TABLE {schema}.delivery DROP COLUMN bulk",
        f"""CREATE INDEX delivery_new_idx ON {schema}.delivery (next_publish_at)
            WHERE acked_at IS NULL AND attempts = 0""",
        f"""CREATE INDEX delivery_again_idx ON {schema}.delivery (consumer, next_publish_at)
            WHERE acked_at IS NULL AND attempts > 0""",
    ]
