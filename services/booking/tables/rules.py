"""The town's rules, and which counters and venues there are."""

from sqlalchemy import Boolean, CheckConstraint, Column, Date, Integer, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from services.booking.tables.schema import metadata

booking_rules = Table(
    "booking_rules",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("horizon_days", Integer, nullable=False),
    Column("notice_min", Integer, nullable=False),
    Column("cancel_until_min", Integer, nullable=False),
    Column("hold_min", Integer, nullable=False),
    Column("max_open_appointments", Integer, nullable=False),
    Column("holidays", Boolean, nullable=False),
    Column("year_end", Boolean, nullable=False),
    # How the line is ordered: `domain/queue.py: QueueRules`.
    Column("queue", JSONB, nullable=False, server_default="{}"),
    Column("version", Integer, nullable=False),
)
counter_rule = Table(
    "counter_rule",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("counter", Text, primary_key=True),
    # The office of the counter, for the line, even before the catalogue has arrived.
    Column("office", Text, nullable=False),
    Column("kind", Text, nullable=False, server_default="counter"),
    Column("version", Integer, nullable=False),
    CheckConstraint("kind IN ('counter', 'venue')", name="kind"),
)
closure = Table(
    "closure",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("first_day", Date, primary_key=True),
    Column("last_day", Date, primary_key=True),
    Column("reason_ja", Text, nullable=False),
    CheckConstraint("first_day <= last_day", name="days"),
)
