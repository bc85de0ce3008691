"""The thread of a case: what booking, notifications and we ourselves know of how it went. Codes and times only."""

from sqlalchemy import CheckConstraint, Column, Index, Integer, Table, Text

from services.routing.tables.schema import TIME, UUID, metadata, town

# How a case began, went over to another channel, or was closed by its person. A trigger on `case_file` writes the first
# two, whichever code did it. `version` is the case's.
case_step = Table(
    "case_step",
    metadata,
    town(),
    Column("case_id", UUID, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("channel", Text, nullable=False),
    # Empty: not known.
    Column("actor_kind", Text, nullable=False),
    Column("occurred_at", TIME, nullable=False),
    CheckConstraint("kind IN ('begun', 'switched', 'closed')", name="kind"),
    CheckConstraint("actor_kind IN ('', 'guest', 'staff', 'helper')", name="actor"),
)

# Every state of a case's appointments that booking has told: what happened is read out of two that follow each other.
appointment_step = Table(
    "appointment_step",
    metadata,
    town(),
    Column("appointment_id", UUID, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("case_id", UUID, nullable=False),
    Column("number", Text, nullable=False),
    Column("office", Text, nullable=False),
    Column("counter", Text, nullable=False),
    Column("starts_at", TIME, nullable=False),
    Column("state", Text, nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("helper", Text, nullable=False),
    Column("closure", Text, nullable=False),
    Column("occurred_at", TIME, nullable=False),
    Index("appointment_step_case_idx", "municipality", "case_id"),
)

# The newest that notifications has told of each notice of a case: by which way, never where to.
case_notice = Table(
    "case_notice",
    metadata,
    town(),
    Column("notice_id", UUID, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("case_id", UUID, nullable=False),
    Column("kind", Text, nullable=False),
    Column("way", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("occurred_at", TIME, nullable=False),
    Index("case_notice_case_idx", "municipality", "case_id"),
)
