"""Opening rules in versions, and the days that were made of them."""

from sqlalchemy import CheckConstraint, Column, Date, Index, Integer, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB

from services.booking.tables.schema import TIME, metadata

# When a counter or venue of `counter_rule` is open, how long its slots are and how many places they have. A trigger
# keeps what was published: a version is only withdrawn, and only before its day has come.
opening_rule = Table(
    "opening_rule",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("counter", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("valid_from", Date, nullable=False),
    Column("rule", JSONB, nullable=False),
    Column("origin", Text, nullable=False),
    Column("published_by", Text, nullable=False),
    Column("published_at", TIME, nullable=False),
    Column("withdrawn_at", TIME),
    CheckConstraint("version >= 1", name="version"),
    CheckConstraint("origin IN ('pack', 'staff')", name="origin"),
    Index(
        "opening_rule_valid_from_idx",
        "municipality",
        "counter",
        "valid_from",
        unique=True,
        postgresql_where=text("withdrawn_at IS NULL"),
    ),
)
# What the slots of a counter's day were made from: a day whose plan is still the same is left alone.
opened_day = Table(
    "opened_day",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("counter", Text, primary_key=True),
    Column("day", Date, primary_key=True),
    Column("plan", Text, nullable=False),
)
