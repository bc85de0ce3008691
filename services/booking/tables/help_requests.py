"""Requests for help without a chosen time, and who was matched to them."""

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Date,
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

# Somebody asks for a helper, and leaves it to the town which one, when and where. While it is `open`, its appointment
# is one that a helper was asked for: its owner hears of it once they have accepted (`met`). A trigger (0039) keeps what
# was withdrawn withdrawn.
help_request = Table(
    "help_request",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("request_id", UUID, primary_key=True),
    Column("number", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("came_by", Text, nullable=False),
    Column("guest_ref", Text),
    Column("subject_ref", UUID),
    Column("case_id", UUID),
    Column("contact_ref", UUID),
    Column("reach", Text, nullable=False),
    # The procedure of the case; and a topic of the town's, if it is for that.
    Column("procedure", Text, nullable=False),
    Column("topic", Text, nullable=False),
    # How far their case had come online; empty: it did not come from there.
    Column("from_step", Text, nullable=False, server_default=""),
    # Where they would like it; none: anywhere. And whether elsewhere is no use.
    Column("venues", ARRAY(Text), nullable=False),
    Column("only_there", Boolean, nullable=False),
    # When it may begin: days and ISO weekdays in Japan, minutes from midnight.
    Column("first_day", Date, nullable=False),
    Column("last_day", Date, nullable=False),
    Column("weekdays", ARRAY(Integer), nullable=False),
    Column("from_min", Integer, nullable=False),
    Column("to_min", Integer, nullable=False),
    # Whether a class (教室) would do as well, or it is a class that they wish.
    Column("in_class", Text, nullable=False),
    Column("language", Text, nullable=False),
    Column("language_need", Text, nullable=False),
    Column("sign_need", Text, nullable=False),
    # The approved items, as a visit has them; and the way to open it.
    Column("draft_sealed", LargeBinary),
    Column("passed_at", TIME, nullable=False),
    Column("link_hash", LargeBinary),
    Column("code_hash", LargeBinary),
    Column("code_sealed", LargeBinary),
    # The way to open its appointment, sealed for notifications, until its owner is told.
    Column("access_sealed", Text),
    Column("code_failures", Integer, nullable=False, server_default=text("0")),
    Column("locked_until", TIME),
    Column("opened_at", TIME, nullable=False),
    Column("changed_at", TIME, nullable=False),
    # Until when a helper is looked for.
    Column("until", TIME, nullable=False),
    # Met by one of both: a helper's appointment, or a seat in a class. A trigger (0045) keeps it the one it is.
    Column("appointment_id", UUID),
    Column("entry_id", UUID),
    # How many plans for it could not be carried out, one after the other; and from when on it is planned for again.
    Column("plans_dropped", Integer, nullable=False, server_default=text("0")),
    Column("plan_again_at", TIME),
    UniqueConstraint("municipality", "number"),
    UniqueConstraint("municipality", "link_hash"),
    ForeignKeyConstraint(
        ["municipality", "appointment_id"],
        ["booking.appointment.municipality", "booking.appointment.appointment_id"],
    ),
    ForeignKeyConstraint(
        ["municipality", "entry_id"],
        ["booking.course_entry.municipality", "booking.course_entry.entry_id"],
        use_alter=True,
        name="help_request_municipality_entry_id_fkey",
    ),
    CheckConstraint("state IN ('open', 'met', 'unmet', 'withdrawn')", name="state"),
    CheckConstraint("in_class IN ('no', 'too', 'only')", name="in_class"),
    CheckConstraint(
        "CASE state WHEN 'met' THEN num_nonnulls(appointment_id, entry_id) = 1 OR subject_ref IS NULL"
        " WHEN 'open' THEN subject_ref IS NOT NULL AND entry_id IS NULL"
        " ELSE num_nonnulls(appointment_id, entry_id) = 0 END",
        name="met_whole",
    ),
    CheckConstraint("came_by IN ('web', 'phone', 'desk')", name="came_by"),
    CheckConstraint("reach IN ('email', 'sms', 'none')", name="reach"),
    CheckConstraint("first_day <= last_day", name="days"),
    CheckConstraint("cardinality(weekdays) > 0 AND weekdays <@ ARRAY[1, 2, 3, 4, 5, 6, 7]", name="weekdays"),
    CheckConstraint("0 <= from_min AND from_min < to_min AND to_min <= 1440", name="times"),
    CheckConstraint("language_need IN ('none', 'wished', 'needed')", name="language_need"),
    CheckConstraint("sign_need IN ('none', 'wished', 'needed')", name="sign_need"),
    CheckConstraint("until > opened_at", name="until"),
    # Whatever the application does: help is looked for once for a case.
    Index("help_request_one_open_idx", "municipality", "case_id", unique=True, postgresql_where=text("state = 'open'")),
    Index(
        "help_request_appointment_idx",
        "municipality",
        "appointment_id",
        unique=True,
        postgresql_where=text("appointment_id IS NOT NULL"),
    ),
    Index(
        "help_request_entry_idx",
        "municipality",
        "entry_id",
        unique=True,
        postgresql_where=text("entry_id IS NOT NULL"),
    ),
    Index("help_request_state_idx", "municipality", "state", "until"),
    Index("help_request_subject_idx", "municipality", "subject_ref", postgresql_where=text("subject_ref IS NOT NULL")),
    Index("help_request_case_idx", "municipality", "case_id", postgresql_where=text("case_id IS NOT NULL")),
    Index("help_request_stuck_idx", "municipality", "opened_at", postgresql_where=text("from_step <> ''")),
)
# Whom the matching chose for a request, when and why. Without an appointment it is only planned: nobody was asked yet.
help_match = Table(
    "help_match",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("match_id", UUID, primary_key=True),
    Column("request_id", UUID, nullable=False),
    Column("helper_ref", Text, nullable=False),
    # A slot may be gone later.
    Column("slot_id", UUID, nullable=False),
    Column("reasons", ARRAY(Text), nullable=False),
    # The coordinator who chose; NULL: the matching.
    Column("decided_by", Text),
    Column("matched_at", TIME, nullable=False),
    Column("appointment_id", UUID),
    ForeignKeyConstraint(
        ["municipality", "request_id"], ["booking.help_request.municipality", "booking.help_request.request_id"]
    ),
    ForeignKeyConstraint(["municipality", "helper_ref"], ["booking.helper.municipality", "booking.helper.helper_ref"]),
    ForeignKeyConstraint(
        ["municipality", "appointment_id"],
        ["booking.appointment.municipality", "booking.appointment.appointment_id"],
    ),
    # Whatever the application does: one plan at a time, and nobody is chosen twice for the same request.
    Index(
        "help_match_one_planned_idx",
        "municipality",
        "request_id",
        unique=True,
        postgresql_where=text("appointment_id IS NULL"),
    ),
    Index(
        "help_match_never_again_idx",
        "municipality",
        "request_id",
        "helper_ref",
        unique=True,
        postgresql_where=text("decided_by IS NULL"),
    ),
    Index("help_match_helper_idx", "municipality", "helper_ref", postgresql_where=text("appointment_id IS NULL")),
)
