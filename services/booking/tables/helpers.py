"""Helpers, when they are where, and whom they meet."""

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
from sqlalchemy.dialects.postgresql import ARRAY, TSTZRANGE, ExcludeConstraint

from services.booking.tables.schema import TIME, UUID, metadata

# The roster: routing's helper accounts. The name is sealed with a key of its own: destroying it forgets the name.
helper = Table(
    "helper",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("helper_ref", Text, primary_key=True),
    Column("name_sealed", LargeBinary),
    Column("wrapped_key", LargeBinary),
    Column("languages", ARRAY(Text), nullable=False),
    Column("is_open", Boolean, nullable=False),
    Column("version", Integer, nullable=False),
    # Of the token in the address of their calendar feed.
    Column("feed_hash", LargeBinary),
    Column("feed_made_at", TIME),
    # What they explain beside the procedures, whether in sign language (手話), and how many visits of a week they take.
    Column("topics", ARRAY(Text), nullable=False, server_default="{}"),
    Column("signs", Boolean, nullable=False, server_default=text("false")),
    Column("visits_per_week", Integer, nullable=False, server_default=text("5")),
    # `registered`, until they are trained; `suspended`: asked nothing for now. Only who is active is asked.
    Column("standing", Text, nullable=False, server_default="active"),
    # Why they are suspended: what they read on their own page.
    Column("suspended_for", Text),
    Column("registered_on", Date),
    Column("trained_on", Date),
    Column("insured_until", Date),
    # Since when they take nothing on, until they say otherwise.
    Column("paused_on", Date),
    UniqueConstraint("municipality", "feed_hash"),
    CheckConstraint("visits_per_week BETWEEN 1 AND 40", name="visits_per_week"),
    CheckConstraint("standing IN ('registered', 'active', 'suspended')", name="standing"),
    CheckConstraint(
        "suspended_for IS NULL OR standing = 'suspended'"
        " AND suspended_for IN ('own_wish', 'insurance', 'training', 'talk')",
        name="suspended_for",
    ),
)
# Days on which a helper is not there, whatever their shifts say.
helper_away = Table(
    "helper_away",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("away_id", UUID, primary_key=True),
    Column("helper_ref", Text, nullable=False),
    Column("first_day", Date, nullable=False),
    Column("last_day", Date, nullable=False),
    ForeignKeyConstraint(["municipality", "helper_ref"], ["booking.helper.municipality", "booking.helper.helper_ref"]),
    CheckConstraint("first_day <= last_day", name="days"),
    Index("helper_away_helper_idx", "municipality", "helper_ref", "last_day"),
)
# When a helper is at a venue, in a rhythm or on one day. Weekdays are ISO; minutes count from midnight in Japan.
# On which days that is, `shifts_on` says, of 0044: who is on shift is asked of it alone.
helper_shift = Table(
    "helper_shift",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("shift_id", UUID, primary_key=True),
    Column("helper_ref", Text, nullable=False),
    Column("venue", Text, nullable=False),
    Column("weekday", Integer, nullable=False),
    Column("from_min", Integer, nullable=False),
    Column("to_min", Integer, nullable=False),
    # Every week, every n weeks from a first one on, or the n-th of a month: as opening rules say it.
    Column("every_weeks", Integer, nullable=False, server_default=text("1")),
    Column("nth", ARRAY(Integer), nullable=False, server_default="{}"),
    Column("first_week", Date),
    # Or on this day alone, beyond the rhythm.
    Column("only_on", Date),
    ForeignKeyConstraint(["municipality", "helper_ref"], ["booking.helper.municipality", "booking.helper.helper_ref"]),
    CheckConstraint("weekday BETWEEN 1 AND 7", name="weekday"),
    CheckConstraint("every_weeks BETWEEN 1 AND 4 AND (every_weeks = 1 OR first_week IS NOT NULL)", name="every_weeks"),
    CheckConstraint("nth <@ ARRAY[1, 2, 3, 4, 5]", name="nth"),
    CheckConstraint("0 <= from_min AND from_min < to_min AND to_min <= 1440", name="times"),
    CheckConstraint(
        "only_on IS NULL"
        " OR weekday = extract(isodow FROM only_on) AND every_weeks = 1 AND nth = '{}' AND first_week IS NULL",
        name="only_on",
    ),
    # Nobody is at two places at once. (A day within a rhythm: the trigger `guard_shift_days`.)
    ExcludeConstraint(
        ("municipality", "="),
        ("helper_ref", "="),
        ("weekday", "="),
        (text("coalesce(only_on, '0001-01-01'::date)"), "="),
        (text("int4range(from_min, to_min)"), "&&"),
        using="gist",
        name="helper_shift_no_overlap_excl",
    ),
    Index("helper_shift_venue_idx", "municipality", "venue"),
)
# Who was asked for an appointment. What is over (declined, released) stays: nobody is asked twice. Who is asked is open
# and active (a trigger of 0042), and on shift there then (`assignment_within_shift`, of 0038), unless a coordinator has
# said otherwise.
assignment = Table(
    "assignment",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("assignment_id", UUID, primary_key=True),
    Column("appointment_id", UUID, nullable=False),
    Column("helper_ref", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("during", TSTZRANGE, nullable=False),
    Column("asked_at", TIME, nullable=False),
    Column("answered_at", TIME),
    # When the helper first saw whom they will meet: written to the ledger once.
    Column("viewed_at", TIME),
    # A coordinator asked them although they have no shift there then.
    Column("overrides_shift", Boolean, nullable=False, server_default=text("false")),
    # They did not decline: the time to answer was over.
    Column("unanswered", Boolean, nullable=False, server_default=text("false")),
    # The person agreed to go through it together with this helper, until then (routing tells).
    Column("agreed_at", TIME),
    Column("agreed_until", TIME),
    Column("agreed_version", Integer),
    ForeignKeyConstraint(
        ["municipality", "appointment_id"],
        ["booking.appointment.municipality", "booking.appointment.appointment_id"],
    ),
    ForeignKeyConstraint(["municipality", "helper_ref"], ["booking.helper.municipality", "booking.helper.helper_ref"]),
    CheckConstraint("state IN ('asked', 'accepted', 'declined', 'released')", name="state"),
    CheckConstraint(
        "(agreed_at IS NULL) = (agreed_until IS NULL) AND (agreed_at IS NULL) = (agreed_version IS NULL)",
        name="agreed_whole",
    ),
    # Whatever the application does: no helper is in two appointments at once.
    ExcludeConstraint(
        ("municipality", "="),
        ("helper_ref", "="),
        ("during", "&&"),
        using="gist",
        where=text("state IN ('asked', 'accepted')"),
        name="assignment_no_overlap_excl",
    ),
    Index(
        "assignment_one_live_idx",
        "municipality",
        "appointment_id",
        unique=True,
        postgresql_where=text("state IN ('asked', 'accepted')"),
    ),
    Index("assignment_helper_idx", "municipality", "helper_ref"),
    Index("assignment_appointment_idx", "municipality", "appointment_id"),
)
# What a helper leaves to the next one of the same case (引き継ぎメモ): fixed phrases, and a few words in which there is
# nothing of a person (`domain/notes.py`), sealed with a key of their own. Both go after some weeks.
helper_note = Table(
    "helper_note",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("assignment_id", UUID, primary_key=True),
    Column("appointment_id", UUID, nullable=False),
    Column("case_id", UUID),
    Column("phrases", ARRAY(Text), nullable=False),
    Column("text_sealed", LargeBinary),
    Column("wrapped_key", LargeBinary),
    Column("written_at", TIME, nullable=False),
    ForeignKeyConstraint(
        ["municipality", "assignment_id"], ["booking.assignment.municipality", "booking.assignment.assignment_id"]
    ),
    CheckConstraint("(text_sealed IS NULL) = (wrapped_key IS NULL)", name="text_whole"),
    CheckConstraint("cardinality(phrases) > 0 OR text_sealed IS NOT NULL", name="says_something"),
    CheckConstraint("cardinality(phrases) <= 12", name="phrases"),
    Index("helper_note_case_idx", "municipality", "case_id"),
    Index("helper_note_appointment_idx", "municipality", "appointment_id"),
)
