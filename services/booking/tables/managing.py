"""The day's counters as those see them who run the town hall: what differs today, and who waited too long."""

from sqlalchemy import Boolean, CheckConstraint, Column, Date, Index, Integer, Table, Text, text

from services.booking.tables.schema import TIME, UUID, metadata

# How a counter's day differs from its opening rule; a counter without a row is as planned. A trigger (0033) keeps
# everybody out of the line of one that is closed.
counter_day = Table(
    "counter_day",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("counter", Text, primary_key=True),
    Column("day", Date, primary_key=True),
    Column("is_open", Boolean, nullable=False),
    # How many serve there now.
    Column("staff", Integer, nullable=False),
    Column("closed_from", TIME),
    Column("changed_at", TIME, nullable=False),
    Column("version", Integer, nullable=False),
    CheckConstraint("is_open = (closed_from IS NULL)", name="closed"),
    CheckConstraint("staff BETWEEN 0 AND 50", name="staff"),
)
# Somebody at a counter waited longer than the town promises. It lasts until nobody there does.
wait_alarm = Table(
    "wait_alarm",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("alarm_id", UUID, primary_key=True),
    Column("counter", Text, nullable=False),
    Column("day", Date, nullable=False),
    Column("promise_min", Integer, nullable=False),
    Column("raised_at", TIME, nullable=False),
    Column("over_at", TIME),
    # Who of the staff said that they have seen it.
    Column("seen_at", TIME),
    Column("seen_by", Text),
    CheckConstraint("(seen_at IS NULL) = (seen_by IS NULL)", name="seen"),
    # Whatever the application does: one alarm at a time for a counter.
    Index(
        "wait_alarm_one_each_idx",
        "municipality",
        "counter",
        unique=True,
        postgresql_where=text("over_at IS NULL"),
    ),
    Index("wait_alarm_municipality_day_idx", "municipality", "day"),
)
