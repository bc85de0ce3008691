"""Who else could come to a visit, and what coordinators wrote to helpers."""

from sqlalchemy import CheckConstraint, Column, ForeignKeyConstraint, Index, Integer, LargeBinary, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB

from services.booking.tables.schema import TIME, UUID, metadata

# Several helpers are asked at once whether they can come instead. `former_ref` is whom the visit was with.
cover = Table(
    "cover",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("cover_id", UUID, primary_key=True),
    Column("appointment_id", UUID, nullable=False),
    Column("former_ref", Text, nullable=False),
    # `lapsed`: nobody answered in time. `withdrawn`: nobody need come, or somebody was asked otherwise.
    Column("state", Text, nullable=False),
    Column("asked_at", TIME, nullable=False),
    Column("answer_by", TIME, nullable=False),
    Column("ended_at", TIME),
    ForeignKeyConstraint(
        ["municipality", "appointment_id"],
        ["booking.appointment.municipality", "booking.appointment.appointment_id"],
    ),
    ForeignKeyConstraint(["municipality", "former_ref"], ["booking.helper.municipality", "booking.helper.helper_ref"]),
    CheckConstraint("state IN ('open', 'taken', 'lapsed', 'withdrawn')", name="state"),
    CheckConstraint("(state = 'open') = (ended_at IS NULL)", name="ended"),
    Index(
        "cover_one_open_idx",
        "municipality",
        "appointment_id",
        unique=True,
        postgresql_where=text("state = 'open'"),
    ),
    Index("cover_appointment_idx", "municipality", "appointment_id"),
)
cover_ask = Table(
    "cover_ask",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("cover_id", UUID, primary_key=True),
    Column("helper_ref", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("answered_at", TIME),
    ForeignKeyConstraint(["municipality", "cover_id"], ["booking.cover.municipality", "booking.cover.cover_id"]),
    ForeignKeyConstraint(["municipality", "helper_ref"], ["booking.helper.municipality", "booking.helper.helper_ref"]),
    CheckConstraint("state IN ('asked', 'accepted', 'declined')", name="state"),
    # Whatever the application does: the first who accepts comes, and nobody else.
    Index(
        "cover_ask_one_accepted_idx",
        "municipality",
        "cover_id",
        unique=True,
        postgresql_where=text("state = 'accepted'"),
    ),
    Index("cover_ask_helper_idx", "municipality", "helper_ref"),
)
# What a coordinator wrote to a group of helpers: to which (`sent_to`), to how many; the words by a key of their own.
helper_message = Table(
    "helper_message",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("message_id", UUID, primary_key=True),
    Column("sent_by", Text, nullable=False),
    Column("sent_at", TIME, nullable=False),
    Column("sent_to", JSONB, nullable=False),
    Column("people", Integer, nullable=False),
    Column("text_sealed", LargeBinary, nullable=False),
    Column("wrapped_key", LargeBinary, nullable=False),
    CheckConstraint("people > 0", name="people"),
    Index("helper_message_sent_idx", "municipality", "sent_at"),
)
