"""Classes (教室), when they are, who teaches, their seats, who entered, and who came."""

from sqlalchemy import (
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
from sqlalchemy.dialects.postgresql import ARRAY, ExcludeConstraint

from services.booking.tables.schema import TIME, UUID, metadata

LIVE = "state NOT IN ('withdrawn', 'called_off')"

# A class, or a series. `closes_at`: until when people can enter; of a draw, when it is drawn.
course = Table(
    "course",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("course_id", UUID, primary_key=True),
    Column("title_ja", Text, nullable=False),
    Column("text_ja", Text, nullable=False),
    # Of the town's topics, and for which procedures it stands beside a helper.
    Column("topics", ARRAY(Text), nullable=False),
    Column("procedures", ARRAY(Text), nullable=False),
    Column("venue", Text, nullable=False),
    Column("seats", Integer, nullable=False),
    Column("mode", Text, nullable=False),
    Column("closes_at", TIME, nullable=False),
    Column("language", Text, nullable=False),
    Column("fee_yen", Integer, nullable=False),
    Column("state", Text, nullable=False),
    # Why it was called off.
    Column("reason_ja", Text, nullable=False, server_default=""),
    # As a draw has them: `tables/draws.py`.
    Column("seed_commitment", LargeBinary),
    Column("seed_sealed", LargeBinary),
    Column("wrapped_key", LargeBinary),
    Column("seed", LargeBinary),
    Column("entries_digest", LargeBinary),
    Column("made_at", TIME, nullable=False),
    Column("published_at", TIME),
    Column("drawn_at", TIME),
    Column("called_off_at", TIME),
    Column("changed_at", TIME, nullable=False),
    UniqueConstraint("municipality", "course_id", "seats"),
    CheckConstraint("seats BETWEEN 1 AND 200", name="seats"),
    CheckConstraint("fee_yen BETWEEN 0 AND 100000", name="fee_yen"),
    CheckConstraint("mode IN ('first_come', 'draw')", name="mode"),
    CheckConstraint("state IN ('draft', 'open', 'closed', 'called_off', 'over')", name="state"),
    CheckConstraint("(state = 'called_off') = (called_off_at IS NOT NULL)", name="called_off_whole"),
    CheckConstraint("state IN ('draft', 'called_off') OR published_at IS NOT NULL", name="published_whole"),
    CheckConstraint(
        "CASE WHEN mode = 'draw' THEN published_at IS NULL OR seed_commitment IS NOT NULL"
        " ELSE seed_commitment IS NULL END"
        " AND (seed IS NULL) = (drawn_at IS NULL) AND (seed IS NULL) = (entries_digest IS NULL)"
        " AND (drawn_at IS NULL OR drawn_at >= closes_at)",
        name="draw_whole",
    ),
    CheckConstraint(
        "length(seed_commitment) = 32"
        " AND (seed IS NULL OR seed_commitment IS NOT NULL AND sha256(seed) = seed_commitment)",
        name="seed",
    ),
    Index("course_municipality_state_idx", "municipality", "state"),
)
course_session = Table(
    "course_session",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("session_id", UUID, primary_key=True),
    Column("course_id", UUID, nullable=False),
    Column("starts_at", TIME, nullable=False),
    Column("ends_at", TIME, nullable=False),
    Column("room_ja", Text, nullable=False),
    # What is handed out, or needed there: for who prepares it.
    Column("materials_ja", Text, nullable=False),
    ForeignKeyConstraint(["municipality", "course_id"], ["booking.course.municipality", "booking.course.course_id"]),
    UniqueConstraint("municipality", "session_id", "starts_at", "ends_at"),
    CheckConstraint("starts_at < ends_at", name="times"),
    Index("course_session_course_idx", "municipality", "course_id", "starts_at"),
)
# Who teaches, and who assists. Their times follow the session's.
course_staff = Table(
    "course_staff",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("session_id", UUID, primary_key=True),
    Column("helper_ref", Text, primary_key=True),
    Column("role", Text, nullable=False),
    Column("starts_at", TIME, nullable=False),
    Column("ends_at", TIME, nullable=False),
    ForeignKeyConstraint(
        ["municipality", "session_id", "starts_at", "ends_at"],
        [
            "booking.course_session.municipality",
            "booking.course_session.session_id",
            "booking.course_session.starts_at",
            "booking.course_session.ends_at",
        ],
        onupdate="CASCADE",
        ondelete="CASCADE",
        name="course_staff_session_fkey",
    ),
    ForeignKeyConstraint(["municipality", "helper_ref"], ["booking.helper.municipality", "booking.helper.helper_ref"]),
    CheckConstraint("role IN ('teacher', 'assistant')", name="role"),
    # Nobody is in two classes at once. Nor in a class and a visit: a trigger of both tables (`guard_helper_time`).
    ExcludeConstraint(
        ("municipality", "="),
        ("helper_ref", "="),
        (text("tstzrange(starts_at, ends_at)"), "&&"),
        using="gist",
        name="course_staff_no_overlap_excl",
    ),
)
# Who entered. `applied`: it is not drawn yet; `lost` and `waiting` wait for a seat that is given back.
course_entry = Table(
    "course_entry",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("entry_id", UUID, primary_key=True),
    Column("course_id", UUID, nullable=False),
    # By which its owner opens it, with their code; and of a draw the lot, which is published and leads to nobody.
    Column("number", Text, nullable=False),
    Column("lot", Text),
    Column("rank", Integer),
    Column("state", Text, nullable=False),
    Column("came_by", Text, nullable=False),
    Column("guest_ref", Text),
    # Without a pass there is no subject, no name and nobody to write to: a number is enough, as for a walk-in.
    Column("subject_ref", UUID),
    Column("case_id", UUID),
    Column("contact_ref", UUID),
    Column("procedure", Text, nullable=False),
    Column("language", Text, nullable=False),
    Column("name_sealed", LargeBinary),
    Column("kana_sealed", LargeBinary),
    Column("passed_at", TIME, nullable=False),
    Column("link_hash", LargeBinary),
    Column("code_hash", LargeBinary),
    Column("code_failures", Integer, nullable=False, server_default=text("0")),
    Column("locked_until", TIME),
    # Of the last seat that was offered.
    Column("offer_until", TIME),
    Column("version", Integer, nullable=False),
    Column("entered_at", TIME, nullable=False),
    Column("changed_at", TIME, nullable=False),
    # The request for help that this seat meets, or would; why this class, and which coordinator chose it.
    Column("request_id", UUID),
    Column("reasons", ARRAY(Text), nullable=False, server_default="{}"),
    Column("decided_by", Text),
    ForeignKeyConstraint(["municipality", "course_id"], ["booking.course.municipality", "booking.course.course_id"]),
    ForeignKeyConstraint(
        ["municipality", "request_id"], ["booking.help_request.municipality", "booking.help_request.request_id"]
    ),
    UniqueConstraint("municipality", "course_id", "entry_id"),
    UniqueConstraint("municipality", "number"),
    UniqueConstraint("municipality", "course_id", "lot"),
    UniqueConstraint("municipality", "link_hash"),
    CheckConstraint(
        "state IN ('applied', 'entered', 'waiting', 'offered', 'lost', 'withdrawn', 'called_off')", name="state"
    ),
    CheckConstraint(
        "(state NOT IN ('applied', 'lost') OR lot IS NOT NULL) AND (rank IS NULL OR lot IS NOT NULL)", name="lot_whole"
    ),
    CheckConstraint("state <> 'offered' OR offer_until IS NOT NULL", name="offer_whole"),
    CheckConstraint("came_by IN ('web', 'phone', 'desk')", name="came_by"),
    CheckConstraint("request_id IS NOT NULL OR decided_by IS NULL AND cardinality(reasons) = 0", name="request_whole"),
    # One seat at a time is kept for a request. Whoever is in the class by it is met by that: a trigger (0045).
    Index(
        "course_entry_one_per_request_idx",
        "municipality",
        "request_id",
        unique=True,
        postgresql_where=text(f"request_id IS NOT NULL AND {LIVE}"),
    ),
    Index("course_entry_request_idx", "municipality", "request_id"),
    # Nobody is in a class twice. Staff enter many, each for another person.
    Index(
        "course_entry_one_per_subject_idx",
        "municipality",
        "course_id",
        "subject_ref",
        unique=True,
        postgresql_where=text(LIVE),
    ),
    Index(
        "course_entry_one_per_guest_idx",
        "municipality",
        "course_id",
        "guest_ref",
        unique=True,
        postgresql_where=text(f"{LIVE} AND came_by = 'web'"),
    ),
    Index("course_entry_subject_idx", "municipality", "subject_ref", postgresql_where=text("subject_ref IS NOT NULL")),
    Index("course_entry_case_idx", "municipality", "case_id", postgresql_where=text("case_id IS NOT NULL")),
)
# One row for each seat: whoever holds it is in it, and nobody else can be.
course_seat = Table(
    "course_seat",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("course_id", UUID, primary_key=True),
    Column("seat_no", Integer, primary_key=True),
    Column("seats", Integer, nullable=False),
    Column("entry_id", UUID),
    ForeignKeyConstraint(
        ["municipality", "course_id", "seats"],
        ["booking.course.municipality", "booking.course.course_id", "booking.course.seats"],
        name="course_seat_course_fkey",
    ),
    ForeignKeyConstraint(
        ["municipality", "course_id", "entry_id"],
        ["booking.course_entry.municipality", "booking.course_entry.course_id", "booking.course_entry.entry_id"],
        deferrable=True,
        initially="DEFERRED",
        name="course_seat_entry_fkey",
    ),
    UniqueConstraint("municipality", "entry_id"),
    CheckConstraint("seat_no BETWEEN 1 AND seats", name="seat_no"),
)
course_attendance = Table(
    "course_attendance",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("session_id", UUID, primary_key=True),
    Column("entry_id", UUID, primary_key=True),
    Column("state", Text, nullable=False),
    Column("marked_at", TIME, nullable=False),
    ForeignKeyConstraint(
        ["municipality", "session_id"], ["booking.course_session.municipality", "booking.course_session.session_id"]
    ),
    ForeignKeyConstraint(
        ["municipality", "entry_id"], ["booking.course_entry.municipality", "booking.course_entry.entry_id"]
    ),
    CheckConstraint("state IN ('attended', 'absent')", name="state"),
)
