"""Draws, who entered, and what came of them."""

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from services.booking.tables.schema import TIME, UUID, metadata

# A draw as it was announced. The seed is sealed with a key of its own until it is drawn; the database compares it with
# its commitment when it is told.
draw = Table(
    "draw",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("draw_id", UUID, primary_key=True),
    Column("title_ja", Text, nullable=False),
    Column("procedure", Text, nullable=False),
    Column("counter", Text, nullable=False),
    Column("opens_at", TIME, nullable=False),
    Column("closes_at", TIME, nullable=False),
    Column("seed_commitment", LargeBinary, nullable=False),
    Column("seed_sealed", LargeBinary, nullable=False),
    Column("wrapped_key", LargeBinary),
    Column("seed", LargeBinary),
    Column("entries_digest", LargeBinary),
    Column("state", Text, nullable=False),
    Column("announced_at", TIME, nullable=False),
    Column("drawn_at", TIME),
    Column("called_off_at", TIME),
    CheckConstraint("announced_at <= opens_at AND opens_at < closes_at", name="window"),
    CheckConstraint("state IN ('announced', 'drawn', 'called_off')", name="state"),
    CheckConstraint("(state = 'called_off') = (called_off_at IS NOT NULL)", name="called_off_whole"),
    CheckConstraint(
        "(state = 'drawn') = (seed IS NOT NULL) AND (seed IS NULL) = (entries_digest IS NULL)"
        " AND (seed IS NULL) = (drawn_at IS NULL)",
        name="drawn_whole",
    ),
    CheckConstraint("length(seed_commitment) = 32 AND (seed IS NULL OR sha256(seed) = seed_commitment)", name="seed"),
    Index("draw_municipality_opens_at_idx", "municipality", "opens_at"),
)
# What is given out, as it was announced: the slot may be gone when everything is over.
draw_session = Table(
    "draw_session",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("draw_id", UUID, primary_key=True),
    Column("slot_id", UUID, primary_key=True),
    Column("starts_at", TIME, nullable=False),
    Column("ends_at", TIME, nullable=False),
    Column("seats", Integer, nullable=False),
    # False once the draw is called off: the slot may be in another one then.
    Column("is_kept", Boolean, nullable=False, server_default=text("true")),
    ForeignKeyConstraint(["municipality", "draw_id"], ["booking.draw.municipality", "booking.draw.draw_id"]),
    Index("draw_session_one_draw_idx", "municipality", "slot_id", unique=True, postgresql_where=text("is_kept")),
    CheckConstraint("seats > 0", name="seats"),
)
# Who entered: a public ticket, and what an appointment needs, for whoever wins. Forgotten when nobody can win any more.
draw_entry = Table(
    "draw_entry",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("entry_id", UUID, primary_key=True),
    Column("draw_id", UUID, nullable=False),
    Column("ticket", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("preferences", ARRAY(UUID), nullable=False),
    # How they came: by themselves, or through staff, by phone or at the desk.
    Column("came_by", Text, nullable=False),
    Column("guest_ref", Text),
    Column("subject_ref", UUID),
    Column("case_id", UUID),
    Column("contact_ref", UUID),
    Column("reach", Text, nullable=False),
    Column("language", Text, nullable=False),
    # The approved items, as a visit has them.
    Column("draft_sealed", LargeBinary),
    Column("passed_at", TIME, nullable=False),
    Column("code_hash", LargeBinary),
    Column("code_sealed", LargeBinary),
    Column("code_failures", Integer, nullable=False, server_default=text("0")),
    Column("locked_until", TIME),
    Column("entered_at", TIME, nullable=False),
    # The application's time of the last change: the trigger judges by it whether people could enter.
    Column("changed_at", TIME, nullable=False),
    Column("appointment_id", UUID),
    ForeignKeyConstraint(["municipality", "draw_id"], ["booking.draw.municipality", "booking.draw.draw_id"]),
    UniqueConstraint("municipality", "draw_id", "ticket"),
    CheckConstraint("state IN ('entered', 'withdrawn')", name="state"),
    CheckConstraint("cardinality(preferences) BETWEEN 1 AND 5", name="preferences"),
    CheckConstraint("came_by IN ('web', 'phone', 'desk')", name="came_by"),
    CheckConstraint("reach IN ('email', 'sms', 'none')", name="reach"),
    # Whatever the application does: nobody is in a draw twice. Staff enter many, each of another person.
    Index(
        "draw_entry_one_per_subject_idx",
        "municipality",
        "draw_id",
        "subject_ref",
        unique=True,
        postgresql_where=text("state = 'entered'"),
    ),
    Index(
        "draw_entry_one_per_guest_idx",
        "municipality",
        "draw_id",
        "guest_ref",
        unique=True,
        postgresql_where=text("state = 'entered' AND came_by = 'web'"),
    ),
    # What an erasure, and a withdrawn name, are about.
    Index("draw_entry_subject_idx", "municipality", "subject_ref", postgresql_where=text("subject_ref IS NOT NULL")),
    Index("draw_entry_case_idx", "municipality", "case_id", postgresql_where=text("case_id IS NOT NULL")),
)
# What was drawn, in the order drawn: without a slot, a place in the waiting order. Written once.
draw_result = Table(
    "draw_result",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("draw_id", UUID, primary_key=True),
    Column("ticket", Text, primary_key=True),
    Column("rank", Integer, nullable=False),
    Column("slot_id", UUID),
    ForeignKeyConstraint(
        ["municipality", "draw_id", "ticket"],
        ["booking.draw_entry.municipality", "booking.draw_entry.draw_id", "booking.draw_entry.ticket"],
    ),
    UniqueConstraint("municipality", "draw_id", "rank"),
)
# Seats given back after the draw, and who of the waiting order got them. Written once.
draw_passed_on = Table(
    "draw_passed_on",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("draw_id", UUID, primary_key=True),
    Column("ticket", Text, primary_key=True),
    Column("slot_id", UUID, nullable=False),
    Column("passed_at", TIME, nullable=False),
    ForeignKeyConstraint(
        ["municipality", "draw_id", "ticket"],
        ["booking.draw_result.municipality", "booking.draw_result.draw_id", "booking.draw_result.ticket"],
    ),
)
