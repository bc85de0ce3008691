"""The line at the counters: what staff did in it, step by step, and what they told each other of it."""

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Date,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from services.booking.tables.schema import TIME, UUID, metadata

# One step with somebody: written once (a trigger, 0028), and marked when it was taken back. Nothing of who they are.
line_step = Table(
    "line_step",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("appointment_id", UUID, primary_key=True),
    # The appointment's version that the step made.
    Column("version", Integer, primary_key=True),
    Column("action", Text, nullable=False),
    Column("day", Date, nullable=False),
    # Where they are after it.
    Column("counter", Text, nullable=False),
    Column("office", Text, nullable=False),
    Column("from_state", Text, nullable=False),
    Column("to_state", Text, nullable=False),
    # When it happened, and when we heard: a tablet may have been without network.
    Column("at", TIME, nullable=False),
    Column("recorded_at", TIME, nullable=False),
    Column("actor_ref", Text, nullable=False),
    # Where they stood before: an undo brings that back, and goes on to the step of version `undo_before`.
    Column("before", JSONB, nullable=False),
    Column("undo_before", Integer),
    # Of who came into the line: how many minutes they were told that they would wait.
    Column("told_min", Integer),
    Column("is_undone", Boolean, nullable=False, server_default="false"),
    # What reports are made of; a trigger (0033) fills it in. How they came and for what; where they were before; how
    # many seconds they waited until the first call, walked, and were served, each at the step that ends it.
    Column("procedure", Text),
    Column("came_by", Text),
    Column("from_counter", Text),
    Column("waited_s", Integer),
    Column("walked_s", Integer),
    Column("served_s", Integer),
    # How many seconds longer they waited than they had been told.
    Column("told_off_s", Integer),
    Index("line_step_municipality_day_counter_idx", "municipality", "day", "counter"),
    Index(
        "line_step_report_idx",
        "municipality",
        "day",
        postgresql_include=[
            "counter",
            "from_counter",
            "procedure",
            "came_by",
            "to_state",
            "at",
            "waited_s",
            "walked_s",
            "served_s",
            "told_off_s",
        ],
        postgresql_where=text(
            "NOT is_undone AND (waited_s IS NOT NULL OR walked_s IS NOT NULL OR served_s IS NOT NULL"
            " OR to_state = 'done')"
        ),
    ),
)
# Somebody was sent to another counter: why, and a note for the staff there. It is gone when the day is over, when the
# step is taken back, and when the person is erased.
transfer = Table(
    "transfer",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("transfer_id", UUID, primary_key=True),
    Column("appointment_id", UUID, nullable=False),
    # Of the step (`line_step`).
    Column("version", Integer, nullable=False),
    Column("day", Date, nullable=False),
    Column("from_counter", Text, nullable=False),
    Column("from_office", Text, nullable=False),
    Column("to_counter", Text, nullable=False),
    Column("to_office", Text, nullable=False),
    Column("reason", Text, nullable=False),
    # The note, by a key of its own.
    Column("note_sealed", LargeBinary),
    Column("wrapped_key", LargeBinary),
    Column("sent_at", TIME, nullable=False),
    UniqueConstraint("municipality", "appointment_id", "version"),
    CheckConstraint("from_counter <> to_counter", name="elsewhere"),
    CheckConstraint("(note_sealed IS NULL) = (wrapped_key IS NULL)", name="note_whole"),
    CheckConstraint("reason <> 'other' OR note_sealed IS NOT NULL", name="reason_given"),
    Index("transfer_municipality_day_idx", "municipality", "day"),
)
