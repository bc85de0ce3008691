"""The tables of a service that tells other systems of a town what happens."""

from sqlalchemy import TIMESTAMP, CheckConstraint, Column, Index, Integer, LargeBinary, MetaData, Table, Text, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from shared.practice import PATTERN

TIME = TIMESTAMP(timezone=True)
UUID = postgresql.UUID(as_uuid=True)


def webhook_endpoint_table(metadata: MetaData) -> Table:
    """Another system of the town, and how it is told: where, of what, and by which secret the receiver knows us.

    `stopped`: it took nothing for too long. Its `due` row (kind `webhook`) stands as long as it does.
    """
    return Table(
        "webhook_endpoint",
        metadata,
        Column("municipality", Text, primary_key=True),
        Column("endpoint_id", UUID, primary_key=True),
        Column("name_ja", Text, nullable=False),
        Column("url", Text, nullable=False),
        Column("kinds", ARRAY(Text), nullable=False),
        Column("state", Text, nullable=False),
        Column("wrapped_key", LargeBinary),
        Column("secret_sealed", LargeBinary, nullable=False),
        # Signs beside the new one for a day.
        Column("old_secret_sealed", LargeBinary),
        Column("old_secret_until", TIME),
        # Turns in a row in which it took nothing.
        Column("failures", Integer, nullable=False, server_default="0"),
        Column("failing_since", TIME),
        Column("registered_at", TIME, nullable=False),
        Column("changed_at", TIME, nullable=False),
        CheckConstraint("state IN ('active', 'paused', 'stopped')", name="state"),
        CheckConstraint("cardinality(kinds) > 0", name="kinds"),
        CheckConstraint("(old_secret_sealed IS NULL) = (old_secret_until IS NULL)", name="old_secret"),
        CheckConstraint("(failures = 0) = (failing_since IS NULL)", name="failing"),
        # Nothing of a practice town leaves.
        CheckConstraint(f"municipality !~ '{PATTERN}'", name="practice"),
    )


def webhook_delivery_table(metadata: MetaData) -> Table:
    """What an endpoint is to be told.

    No foreign key: whoever tells would wait for whoever deletes an endpoint, and a row of one that is gone is sent to
    nobody.
    """
    return Table(
        "webhook_delivery",
        metadata,
        Column("municipality", Text, primary_key=True),
        # In the message: the same at every try.
        Column("delivery_id", UUID, primary_key=True),
        Column("endpoint_id", UUID, nullable=False),
        Column("kind", Text, nullable=False),
        # Of an appointment, what leaves here is another id for each endpoint.
        Column("about", Text, nullable=False),
        Column("version", Integer, nullable=False),
        Column("facts", JSONB, nullable=False),
        Column("told_at", TIME, nullable=False),
        Column("state", Text, nullable=False),
        Column("tries", Integer, nullable=False, server_default="0"),
        Column("next_try_at", TIME, nullable=False),
        Column("failing_since", TIME),
        # What became of the last try: `http_200`, `connect`, `timeout`, …
        Column("answer", Text),
        Column("answered_at", TIME),
        CheckConstraint("state IN ('waiting', 'taken', 'given_up')", name="state"),
        Index(
            "webhook_delivery_waiting_idx",
            "municipality",
            "endpoint_id",
            "next_try_at",
            postgresql_where=text("state = 'waiting'"),
        ),
        Index("webhook_delivery_municipality_told_at_idx", "municipality", "told_at"),
    )
