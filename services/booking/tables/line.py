"""The line at the counters: what staff did in it, step by step."""

from sqlalchemy import Boolean, Column, Date, Index, Integer, Table, Text
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
    Index("line_step_municipality_day_counter_idx", "municipality", "day", "counter"),
)
