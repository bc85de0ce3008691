"""Protected people (秘匿)."""

from sqlalchemy import CheckConstraint, Column, Date, Index, Table, Text, text

from services.routing.tables.schema import TIME, UUID, metadata, town

# Since when, and until when, a person is protected. Who said so is in the audit; why is written nowhere.
protection = Table(
    "protection",
    metadata,
    town(),
    Column("protection_id", UUID, primary_key=True),
    Column("subject_ref", UUID, nullable=False),
    Column("set_at", TIME, nullable=False),
    # A trigger lets nothing else change, once, and nothing be deleted before the person's key is.
    Column("lifted_at", TIME),
    CheckConstraint("lifted_at >= set_at", name="lifted_later"),
    Index("protection_now_idx", "municipality", "subject_ref", unique=True, postgresql_where=text("lifted_at IS NULL")),
)

# What was not opened, for whom, on which day: written to the ledger once a day, not for every reload.
refused_look = Table(
    "refused_look",
    metadata,
    town(),
    Column("case_id", UUID, primary_key=True),
    Column("item", Text, primary_key=True),
    # The office, or what kind of person it was.
    Column("reader", Text, primary_key=True),
    Column("step", Text, primary_key=True),
    Column("day", Date, primary_key=True),
    Index("refused_look_day_idx", "municipality", "day"),
)
