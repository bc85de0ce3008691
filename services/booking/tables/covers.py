"""Who else could come to a visit, and what coordinators wrote to helpers."""

from sqlalchemy import CheckConstraint, Column, ForeignKeyConstraint, Index, Integer, LargeBinary, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB, ExcludeConstraint

from services.booking.tables.schema import TIME, UUID, metadata

# Several helpers are asked at once whether they can come: to a visit, instead of `former_ref`; or to a venue at a time
# when nobody is there.
cover = Table(
    "cover",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("cover_id", UUID, primary_key=True),
    Column("appointment_id", UUID),
    Column("former_ref", Text),
    Column("venue", Text),
    Column("starts_at", TIME),
    Column("ends_at", TIME),
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
    CheckConstraint(
        "num_nonnulls(appointment_id, former_ref) IN (0, 2) AND num_nonnulls(venue, starts_at, ends_at) IN (0, 3)"
        " AND (appointment_id IS NULL) <> (venue IS NULL) AND (venue IS NULL OR starts_at < ends_at)",
        name="of_one_thing",
    ),
    # Whoever looks for somebody for a gap a second time, finds that it is being done.
    ExcludeConstraint(
        ("municipality", "="),
        ("venue", "="),
        (text("tstzrange(starts_at, ends_at)"), "&&"),
        using="gist",
        where=text("state = 'open' AND venue IS NOT NULL"),
        name="cover_one_open_gap_excl",
    ),
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
