"""Visits, and the appointments that come of them."""

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Date,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, ExcludeConstraint

from services.booking.tables.schema import TIME, UUID, metadata

subject_key = Table(
    "subject_key",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("subject_ref", UUID, primary_key=True),
    # A data key wrapped by the master key. Destroying it erases whatever it sealed.
    Column("wrapped_key", LargeBinary, nullable=False),
)
visit = Table(
    "visit",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("visit_id", UUID, primary_key=True),
    Column("pass_id", UUID, nullable=False),
    Column("guest_ref", Text, nullable=False),
    Column("subject_ref", UUID, nullable=False),
    Column("case_id", UUID, nullable=False),
    Column("contact_ref", UUID),
    Column("procedure", Text, nullable=False),
    Column("reach", Text, nullable=False),
    # What is to be booked: a counter's time, or a helper's; and the language that the person reads.
    Column("channel", Text, nullable=False, server_default="counter"),
    Column("language", Text, nullable=False, server_default="ja"),
    # How the person came to the staff who book on their behalf: by phone, or at the desk.
    Column("behalf", Text),
    # The approved items as they came with the pass; blanked when the visit ends.
    Column("draft_sealed", LargeBinary),
    # After booking: the code, for as long as the visit lives.
    Column("code_sealed", LargeBinary),
    Column("passed_at", TIME, nullable=False),
    Column("arrived_at", TIME, nullable=False),
    Column("expires_at", TIME, nullable=False),
    # When a page last showed its hold: who leaves another page of it has not gone.
    Column("shown_at", TIME),
    Column("appointment_id", UUID),
    # What is done in one appointment and how many of each, its own procedure first, and how long that takes; NULL: its
    # procedure, once.
    Column("services", JSONB),
    Column("minutes", Integer),
    # Where they were in the online form when they went to somebody (`shared/passes.py`); empty: they were not.
    Column("from_step", Text, nullable=False, server_default=""),
    UniqueConstraint("municipality", "pass_id"),
    CheckConstraint("channel IN ('counter', 'helper')", name="channel"),
    CheckConstraint("behalf IN ('phone', 'desk')", name="behalf"),
    CheckConstraint("(services IS NULL) = (minutes IS NULL) AND (minutes IS NULL OR minutes > 0)", name="services"),
    # Whoever arrives again with another pass of the same case ends the visits before.
    Index("visit_case_idx", "municipality", "case_id"),
)
# What a case passed on and then withdrew: a pass from before may still be on its way.
name_withdrawn = Table(
    "name_withdrawn",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("case_id", UUID, primary_key=True),
    Column("item", Text, primary_key=True),
    Column("withdrawn_at", TIME, nullable=False),
)
# By which channel a case went on last: a pass for another one may still be on its way.
case_switched = Table(
    "case_switched",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("case_id", UUID, primary_key=True),
    Column("channel", Text, nullable=False),
    Column("switched_at", TIME, nullable=False),
)
appointment = Table(
    "appointment",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("appointment_id", UUID, primary_key=True),
    Column("number", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("procedure", Text, nullable=False),
    Column("counter", Text, nullable=False),
    Column("office", Text, nullable=False),
    Column("slot_id", UUID),
    Column("place_no", Integer),
    Column("starts_at", TIME, nullable=False),
    Column("ends_at", TIME, nullable=False),
    # The day in Japan.
    Column("day", Date, nullable=False),
    Column("visit_id", UUID),
    Column("guest_ref", Text),
    Column("subject_ref", UUID),
    Column("case_id", UUID),
    Column("contact_ref", UUID),
    Column("reach", Text, nullable=False),
    Column("name_sealed", LargeBinary),
    Column("kana_sealed", LargeBinary),
    Column("helper", Text, nullable=False, server_default="none"),
    # Who comes: a trigger (0041) names whoever has accepted.
    Column("helper_ref", Text),
    Column("language", Text, nullable=False, server_default="ja"),
    # The number in the person's hand, and the counter whose roll it came from: it stays theirs wherever they are sent.
    Column("ticket_counter", Text),
    Column("ticket_no", Integer),
    # In the line: since when in that of this counter; set aside for a while; before others.
    Column("queued_at", TIME),
    Column("parked_at", TIME),
    Column("is_preferred", Boolean, nullable=False, server_default="false"),
    # When they were told that their turn is near.
    Column("near_turn_at", TIME),
    # The version of the step in the line that an undo takes back.
    Column("undo_version", Integer),
    # One arrival for several errands: which of its people this one is for, and when they can go on.
    Column("chain_id", UUID),
    Column("chain_person", Integer),
    Column("chain_until", TIME),
    Column("booked_at", TIME, nullable=False),
    Column("changed_at", TIME, nullable=False),
    Column("checked_in_at", TIME),
    Column("called_at", TIME),
    Column("serving_at", TIME),
    Column("done_at", TIME),
    Column("no_show_at", TIME),
    Column("cancelled_at", TIME),
    Column("code_failures", Integer, nullable=False, server_default=text("0")),
    Column("locked_until", TIME),
    # Whether a closing covers it: the person was asked to move it (`asked`), or staff are to (`staff`).
    Column("closure", Text, nullable=False, server_default="none"),
    Column("closing_id", UUID),
    # As of a visit; and how many places it takes, one after another.
    Column("services", JSONB),
    Column("minutes", Integer),
    Column("parts", SmallInteger, nullable=False, server_default=text("1")),
    # The ticket machine that gave it out: it knows of nobody who they are.
    Column("kiosk_ref", Text),
    # A trigger (0033) says it: `web`, or `phone` and `desk` by the staff who booked for them; `walk_in`, or `kiosk`.
    Column("came_by", Text, nullable=False),
    # As of a visit.
    Column("from_step", Text, nullable=False, server_default=""),
    UniqueConstraint("municipality", "number"),
    ForeignKeyConstraint(
        ["municipality", "slot_id", "place_no"],
        ["booking.place.municipality", "booking.place.slot_id", "booking.place.place_no"],
    ),
    CheckConstraint("kind IN ('booked', 'walk_in')", name="kind"),
    CheckConstraint(
        "state IN ('booked', 'checked_in', 'called', 'serving', 'done', 'no_show', 'cancelled')", name="state"
    ),
    CheckConstraint(
        "(slot_id IS NULL) = (place_no IS NULL) AND (kind = 'walk_in' OR slot_id IS NOT NULL)", name="place_whole"
    ),
    CheckConstraint("kind = 'booked' OR state <> 'booked'", name="walk_in_is_here"),
    CheckConstraint("helper IN ('none', 'asked', 'accepted', 'nobody')", name="helper"),
    CheckConstraint("helper_ref IS NULL OR helper = 'accepted'", name="helper_named"),
    CheckConstraint("closure IN ('none', 'asked', 'staff')", name="closure"),
    CheckConstraint("(closure = 'none') = (closing_id IS NULL)", name="closure_whole"),
    CheckConstraint("(services IS NULL) = (minutes IS NULL) AND (minutes IS NULL OR minutes > 0)", name="services"),
    # An arrival for several errands has a place for each.
    CheckConstraint("parts >= 1 AND (parts = 1 OR chain_id IS NULL AND minutes IS NOT NULL)", name="parts"),
    CheckConstraint(
        "kiosk_ref IS NULL OR (visit_id IS NULL AND guest_ref IS NULL AND subject_ref IS NULL)",
        name="kiosk_knows_nobody",
    ),
    CheckConstraint("reach IN ('email', 'sms', 'none')", name="reach"),
    CheckConstraint("came_by IN ('web', 'phone', 'desk', 'walk_in', 'kiosk')", name="came_by"),
    CheckConstraint(
        "(chain_id IS NULL) = (chain_person IS NULL) AND (chain_id IS NULL) = (chain_until IS NULL)"
        " AND (chain_id IS NULL OR chain_until > starts_at)",
        name="chain_whole",
    ),
    # Whatever the application does: nobody is at two counters at once. Whoever was missed is not there.
    ExcludeConstraint(
        ("municipality", "="),
        ("chain_id", "="),
        ("chain_person", "="),
        (text("tstzrange(starts_at, chain_until)"), "&&"),
        using="gist",
        where=text("chain_id IS NOT NULL AND state <> 'cancelled' AND state <> 'no_show'"),
        name="appointment_chain_no_overlap_excl",
    ),
    # Whatever the application does: one live appointment in a place.
    Index(
        "appointment_one_per_place_idx",
        "municipality",
        "slot_id",
        "place_no",
        unique=True,
        postgresql_where=text("state <> 'cancelled' AND slot_id IS NOT NULL"),
    ),
    CheckConstraint("(ticket_no IS NULL) = (ticket_counter IS NULL)", name="ticket_whole"),
    CheckConstraint("parked_at IS NULL OR state = 'checked_in'", name="parked"),
    # Whatever the application does: a number is in one hand a day, for everything of one arrival.
    ExcludeConstraint(
        ("municipality", "="),
        ("ticket_counter", "="),
        ("day", "="),
        ("ticket_no", "="),
        (text("coalesce(chain_id, appointment_id)"), "<>"),
        using="gist",
        where=text("ticket_no IS NOT NULL"),
        name="appointment_one_ticket_excl",
    ),
    # Whatever the application does: nobody is called to two counters at once.
    Index(
        "appointment_called_once_idx",
        "municipality",
        "chain_id",
        "chain_person",
        "day",
        unique=True,
        postgresql_where=text("chain_id IS NOT NULL AND state IN ('called', 'serving')"),
    ),
    Index("appointment_municipality_day_office_idx", "municipality", "day", "office"),
    # Whose name is withdrawn.
    Index("appointment_case_idx", "municipality", "case_id"),
    # Where people get stuck in a month.
    Index("appointment_stuck_idx", "municipality", "booked_at", postgresql_where=text("from_step <> ''")),
    # What an erasure is about.
    Index("appointment_subject_idx", "municipality", "subject_ref", postgresql_where=text("subject_ref IS NOT NULL")),
    # Whom a closing moves.
    Index("appointment_closing_idx", "municipality", "closing_id", postgresql_where=text("closing_id IS NOT NULL")),
    # What somebody has ahead of them.
    Index(
        "appointment_open_of_guest_idx",
        "municipality",
        "guest_ref",
        "starts_at",
        postgresql_where=text("state = 'booked'"),
    ),
)
access = Table(
    "access",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("link_hash", LargeBinary, primary_key=True),
    Column("appointment_id", UUID, nullable=False),
    Column("code_hash", LargeBinary, nullable=False),
    Column("issued_at", TIME, nullable=False),
    ForeignKeyConstraint(
        ["municipality", "appointment_id"],
        ["booking.appointment.municipality", "booking.appointment.appointment_id"],
    ),
    Index("access_municipality_appointment_id_issued_at_idx", "municipality", "appointment_id", "issued_at"),
)
ticket_roll = Table(
    "ticket_roll",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("counter", Text, primary_key=True),
    Column("day", Date, primary_key=True),
    Column("last_no", Integer, nullable=False),
)
