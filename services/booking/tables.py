"""Booking's own schema. The municipality leads every key; row-level security covers every table with a town in it."""

from sqlalchemy import (
    TIMESTAMP,
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
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TSTZMULTIRANGE, TSTZRANGE, UUID, ExcludeConstraint

from shared.audit import audit_table
from shared.db import service_metadata
from shared.erasure import erased_subject_table
from shared.ledger.ledger import Ledger
from shared.messaging.outbox import Outbox
from shared.web.sessions import EndedSessions

_TIME = TIMESTAMP(timezone=True)
_UUID = UUID(as_uuid=True)

metadata = service_metadata("booking")
outbox = Outbox("booking", metadata)
ledger = Ledger(metadata, outbox)
ended_sessions = EndedSessions(metadata)

# --- projections of routing's catalogue ------------------------------------------------------------------------------

town_facts = Table(
    "town_facts",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("name_ja", Text, nullable=False),
    Column("phone", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("address_ja", Text, nullable=False, server_default=""),
    Column("version", Integer, nullable=False),
)
procedure = Table(
    "procedure",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("code", Text, primary_key=True),
    Column("name_ja", Text, nullable=False),
    Column("office", Text, nullable=False),
    Column("counters", ARRAY(Text), nullable=False),
    Column("minutes", Integer, nullable=False),
    Column("discreet", Boolean, nullable=False),
    # A helper may go through it with the resident: it can be booked at every venue.
    Column("with_helper", Boolean, nullable=False, server_default=text("false")),
    # What to bring, in Japanese, and what it costs: printed on the slip.
    Column("bring", ARRAY(Text), nullable=False, server_default="{}"),
    Column("fee_yen", Integer, nullable=False, server_default="0"),
    # Its own notice and horizon; NULL: the town's.
    Column("notice_min", Integer),
    Column("horizon_days", Integer),
    # How many of it are done in one appointment at most, what each more takes, and how they are counted (人分, 通).
    Column("quantity_max", Integer, nullable=False, server_default=text("1")),
    Column("more_min", Integer, nullable=False, server_default=text("0")),
    Column("unit", Text, nullable=False, server_default=""),
    # What comes first, where both are to be done.
    Column("after", ARRAY(Text), nullable=False, server_default="{}"),
    # Its reading, by which it is found at the ticket machine.
    Column("name_kana", Text, nullable=False, server_default=""),
    Column("version", Integer, nullable=False),
    CheckConstraint("notice_min >= 0", name="notice_min"),
    CheckConstraint("horizon_days >= 1", name="horizon_days"),
    CheckConstraint("quantity_max BETWEEN 1 AND 20 AND more_min >= 0", name="quantity"),
)
counter = Table(
    "counter",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("code", Text, primary_key=True),
    Column("number", Text, nullable=False),
    Column("name_ja", Text, nullable=False),
    Column("office", Text, nullable=False),
    Column("place_ja", Text, nullable=False),
    Column("kind", Text, nullable=False, server_default="counter"),
    Column("version", Integer, nullable=False),
)

# --- rules -----------------------------------------------------------------------------------------------------------

booking_rules = Table(
    "booking_rules",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("horizon_days", Integer, nullable=False),
    Column("notice_min", Integer, nullable=False),
    Column("cancel_until_min", Integer, nullable=False),
    Column("hold_min", Integer, nullable=False),
    Column("max_open_appointments", Integer, nullable=False),
    Column("holidays", Boolean, nullable=False),
    Column("year_end", Boolean, nullable=False),
    Column("version", Integer, nullable=False),
)
counter_rule = Table(
    "counter_rule",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("counter", Text, primary_key=True),
    # The office of the counter, for the line, even before the catalogue has arrived.
    Column("office", Text, nullable=False),
    Column("kind", Text, nullable=False, server_default="counter"),
    Column("version", Integer, nullable=False),
    CheckConstraint("kind IN ('counter', 'venue')", name="kind"),
)
closure = Table(
    "closure",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("first_day", Date, primary_key=True),
    Column("last_day", Date, primary_key=True),
    Column("reason_ja", Text, nullable=False),
    CheckConstraint("first_day <= last_day", name="days"),
)

# --- slots and places ------------------------------------------------------------------------------------------------

slot = Table(
    "slot",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("slot_id", _UUID, primary_key=True),
    Column("counter", Text, nullable=False),
    Column("starts_at", _TIME, nullable=False),
    Column("ends_at", _TIME, nullable=False),
    Column("capacity", Integer, nullable=False),
    # The rules no longer have it, but somebody is in it: what is still free is not given out.
    Column("withdrawn", Boolean, nullable=False, server_default=text("false")),
    UniqueConstraint("municipality", "slot_id", "capacity"),
    CheckConstraint("starts_at < ends_at", name="times"),
    CheckConstraint("capacity BETWEEN 1 AND 50", name="capacity"),
    ExcludeConstraint(
        # A number first: the index tells counters apart by it, and a row costs half. The columns decide.
        (text("hashtextextended(municipality || '/' || counter, 0)"), "="),
        (text("tstzrange(starts_at, ends_at)"), "&&"),
        ("counter", "="),
        ("municipality", "="),
        using="gist",
        name="slot_no_overlap_excl",
    ),
    Index("slot_municipality_counter_starts_at_idx", "municipality", "counter", "starts_at"),
)
place = Table(
    "place",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("slot_id", _UUID, primary_key=True),
    Column("place_no", Integer, primary_key=True),
    Column("capacity", Integer, nullable=False),
    Column("audience", Text, nullable=False),
    Column("hold_id", _UUID),
    Column("held_by", Text),
    Column("held_until", _TIME),
    # Who holds or held it on the way to `appointment_id`; kept when the hold became an appointment.
    Column("visit_id", _UUID),
    Column("appointment_id", _UUID),
    # Who needs more time has places one after another at a counter: this is `part` of so many `parts`. A trigger (0021)
    # keeps them together.
    Column("part", SmallInteger, nullable=False, server_default=text("1")),
    Column("parts", SmallInteger, nullable=False, server_default=text("1")),
    # The application's time of the last change: the trigger judges by it whether a hold still lived.
    Column("changed_at", _TIME, nullable=False),
    ForeignKeyConstraint(
        ["municipality", "slot_id", "capacity"],
        ["booking.slot.municipality", "booking.slot.slot_id", "booking.slot.capacity"],
        onupdate="CASCADE",
    ),
    ForeignKeyConstraint(
        ["municipality", "appointment_id"],
        ["booking.appointment.municipality", "booking.appointment.appointment_id"],
        use_alter=True,
    ),
    CheckConstraint("place_no BETWEEN 1 AND capacity", name="place_no"),
    # `kiosk`: given out at the ticket machine only. `closed`: at a venue, no helper is there for it (any more).
    # `draw`: given out by a draw, and nobody books past it.
    CheckConstraint("audience IN ('public', 'staff', 'kiosk', 'closed', 'draw')", name="audience"),
    CheckConstraint(
        "(hold_id IS NULL) = (held_until IS NULL) AND (hold_id IS NULL) = (held_by IS NULL)"
        " AND (hold_id IS NULL OR visit_id IS NOT NULL)",
        name="hold_whole",
    ),
    CheckConstraint("appointment_id IS NULL OR hold_id IS NULL", name="one_taker"),
    CheckConstraint("part BETWEEN 1 AND parts AND parts <= 50", name="part"),
    # Only the places that are taken: nobody may look for free ones by it.
    Index(
        "place_one_place_per_appointment_idx",
        "municipality",
        "appointment_id",
        "part",
        unique=True,
        postgresql_where=text("appointment_id IS NOT NULL"),
    ),
    Index(
        "place_one_hold_per_visit_idx",
        "municipality",
        "visit_id",
        "part",
        unique=True,
        postgresql_where=text("hold_id IS NOT NULL"),
    ),
    # Which hold lapses next: of all those of a town, in their order.
    Index("place_next_lapse_idx", "municipality", "held_until", postgresql_where=text("held_until IS NOT NULL")),
)

# --- visits and appointments -----------------------------------------------------------------------------------------

subject_key = Table(
    "subject_key",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("subject_ref", _UUID, primary_key=True),
    # A data key wrapped by the master key. Destroying it erases whatever it sealed.
    Column("wrapped_key", LargeBinary, nullable=False),
)
visit = Table(
    "visit",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("visit_id", _UUID, primary_key=True),
    Column("pass_id", _UUID, nullable=False),
    Column("guest_ref", Text, nullable=False),
    Column("subject_ref", _UUID, nullable=False),
    Column("case_id", _UUID, nullable=False),
    Column("contact_ref", _UUID),
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
    Column("passed_at", _TIME, nullable=False),
    Column("arrived_at", _TIME, nullable=False),
    Column("expires_at", _TIME, nullable=False),
    # When a page last showed its hold: who leaves another page of it has not gone.
    Column("shown_at", _TIME),
    Column("appointment_id", _UUID),
    # What is done in one appointment and how many of each, its own procedure first, and how long that takes; NULL: its
    # procedure, once.
    Column("services", JSONB),
    Column("minutes", Integer),
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
    Column("case_id", _UUID, primary_key=True),
    Column("item", Text, primary_key=True),
    Column("withdrawn_at", _TIME, nullable=False),
)
appointment = Table(
    "appointment",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("appointment_id", _UUID, primary_key=True),
    Column("number", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("procedure", Text, nullable=False),
    Column("counter", Text, nullable=False),
    Column("office", Text, nullable=False),
    Column("slot_id", _UUID),
    Column("place_no", Integer),
    Column("starts_at", _TIME, nullable=False),
    Column("ends_at", _TIME, nullable=False),
    # The day in Japan.
    Column("day", Date, nullable=False),
    Column("visit_id", _UUID),
    Column("guest_ref", Text),
    Column("subject_ref", _UUID),
    Column("case_id", _UUID),
    Column("contact_ref", _UUID),
    Column("reach", Text, nullable=False),
    Column("name_sealed", LargeBinary),
    Column("kana_sealed", LargeBinary),
    Column("helper", Text, nullable=False, server_default="none"),
    Column("language", Text, nullable=False, server_default="ja"),
    Column("ticket_no", Integer),
    # One arrival for several errands: which of its people this one is for, and when they can go on.
    Column("chain_id", _UUID),
    Column("chain_person", Integer),
    Column("chain_until", _TIME),
    Column("booked_at", _TIME, nullable=False),
    Column("changed_at", _TIME, nullable=False),
    Column("checked_in_at", _TIME),
    Column("called_at", _TIME),
    Column("serving_at", _TIME),
    Column("done_at", _TIME),
    Column("no_show_at", _TIME),
    Column("cancelled_at", _TIME),
    Column("code_failures", Integer, nullable=False, server_default=text("0")),
    Column("locked_until", _TIME),
    # Whether a closing covers it: the person was asked to move it (`asked`), or staff are to (`staff`).
    Column("closure", Text, nullable=False, server_default="none"),
    Column("closing_id", _UUID),
    # As of a visit; and how many places it takes, one after another.
    Column("services", JSONB),
    Column("minutes", Integer),
    Column("parts", SmallInteger, nullable=False, server_default=text("1")),
    # The ticket machine that gave it out: it knows of nobody who they are.
    Column("kiosk_ref", Text),
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
    Index(
        "appointment_ticket_idx",
        "municipality",
        "counter",
        "day",
        "ticket_no",
        unique=True,
        postgresql_where=text("ticket_no IS NOT NULL"),
    ),
    Index("appointment_municipality_day_office_idx", "municipality", "day", "office"),
    # Whose name is withdrawn.
    Index("appointment_case_idx", "municipality", "case_id"),
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
    Column("appointment_id", _UUID, nullable=False),
    Column("code_hash", LargeBinary, nullable=False),
    Column("issued_at", _TIME, nullable=False),
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

# --- helpers ---------------------------------------------------------------------------------------------------------

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
    Column("feed_made_at", _TIME),
    UniqueConstraint("municipality", "feed_hash"),
)
# When a helper is at a venue. Weekdays are ISO; minutes count from midnight in Japan.
helper_shift = Table(
    "helper_shift",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("shift_id", _UUID, primary_key=True),
    Column("helper_ref", Text, nullable=False),
    Column("venue", Text, nullable=False),
    Column("weekday", Integer, nullable=False),
    Column("from_min", Integer, nullable=False),
    Column("to_min", Integer, nullable=False),
    # Every week, every n weeks from a first one on, or the n-th of a month: as opening rules say it.
    Column("every_weeks", Integer, nullable=False, server_default=text("1")),
    Column("nth", ARRAY(Integer), nullable=False, server_default="{}"),
    Column("first_week", Date),
    ForeignKeyConstraint(["municipality", "helper_ref"], ["booking.helper.municipality", "booking.helper.helper_ref"]),
    CheckConstraint("weekday BETWEEN 1 AND 7", name="weekday"),
    CheckConstraint("every_weeks BETWEEN 1 AND 4 AND (every_weeks = 1 OR first_week IS NOT NULL)", name="every_weeks"),
    CheckConstraint("nth <@ ARRAY[1, 2, 3, 4, 5]", name="nth"),
    CheckConstraint("0 <= from_min AND from_min < to_min AND to_min <= 1440", name="times"),
    # Nobody is at two places at once.
    ExcludeConstraint(
        ("municipality", "="),
        ("helper_ref", "="),
        ("weekday", "="),
        (text("int4range(from_min, to_min)"), "&&"),
        using="gist",
        name="helper_shift_no_overlap_excl",
    ),
    Index("helper_shift_venue_idx", "municipality", "venue"),
)
# Who was asked for an appointment. What is over (declined, released) stays: nobody is asked twice.
assignment = Table(
    "assignment",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("assignment_id", _UUID, primary_key=True),
    Column("appointment_id", _UUID, nullable=False),
    Column("helper_ref", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("during", TSTZRANGE, nullable=False),
    Column("asked_at", _TIME, nullable=False),
    Column("answered_at", _TIME),
    # When the helper first saw whom they will meet: written to the ledger once.
    Column("viewed_at", _TIME),
    ForeignKeyConstraint(
        ["municipality", "appointment_id"],
        ["booking.appointment.municipality", "booking.appointment.appointment_id"],
    ),
    ForeignKeyConstraint(["municipality", "helper_ref"], ["booking.helper.municipality", "booking.helper.helper_ref"]),
    CheckConstraint("state IN ('asked', 'accepted', 'declined', 'released')", name="state"),
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

# --- opening rules in versions ---------------------------------------------------------------------------------------

# When a counter or venue of `counter_rule` is open, how long its slots are and how many places they have. A trigger
# keeps what was published: a version is only withdrawn, and only before its day has come.
opening_rule = Table(
    "opening_rule",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("counter", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("valid_from", Date, nullable=False),
    Column("rule", JSONB, nullable=False),
    Column("origin", Text, nullable=False),
    Column("published_by", Text, nullable=False),
    Column("published_at", _TIME, nullable=False),
    Column("withdrawn_at", _TIME),
    CheckConstraint("version >= 1", name="version"),
    CheckConstraint("origin IN ('pack', 'staff')", name="origin"),
    Index(
        "opening_rule_valid_from_idx",
        "municipality",
        "counter",
        "valid_from",
        unique=True,
        postgresql_where=text("withdrawn_at IS NULL"),
    ),
)
# What the slots of a counter's day were made from: a day whose plan is still the same is left alone.
opened_day = Table(
    "opened_day",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("counter", Text, primary_key=True),
    Column("day", Date, primary_key=True),
    Column("plan", Text, nullable=False),
)

# --- closings and offered places -------------------------------------------------------------------------------------

# Nobody is served then. A trigger (0015) refuses whoever would take a place in a slot that it covers.
closing = Table(
    "closing",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("closing_id", _UUID, primary_key=True),
    # None: the whole town.
    Column("counter", Text),
    # One stretch of time, or the same part of several days.
    Column("during", TSTZMULTIRANGE, nullable=False),
    Column("reason", Text, nullable=False),
    # What staff wrote for the residents.
    Column("note_ja", Text),
    Column("closed_at", _TIME, nullable=False),
    Column("closed_by", Text, nullable=False),
    Column("reopened_at", _TIME),
    Column("reopened_by", Text),
    CheckConstraint("NOT isempty(during) AND NOT lower_inf(during) AND NOT upper_inf(during)", name="during"),
    CheckConstraint("reason IN ('weather', 'power', 'illness', 'other')", name="reason"),
    CheckConstraint("(reopened_at IS NULL) = (reopened_by IS NULL)", name="reopened"),
    Index("closing_live_idx", "municipality", postgresql_where=text("reopened_at IS NULL")),
)
# A place that is kept for the owner of an appointment. In the place itself it is a hold (`hold_id` is the offer's id):
# the trigger that guards holds keeps it. It names no place by a foreign key: one that is over keeps no place.
offered_place = Table(
    "offered_place",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("offer_id", _UUID, primary_key=True),
    Column("appointment_id", _UUID, nullable=False),
    Column("slot_id", _UUID, nullable=False),
    Column("place_no", Integer, nullable=False),
    Column("offered_at", _TIME, nullable=False),
    Column("until", _TIME, nullable=False),
    Column("state", Text, nullable=False),
    Column("ended_at", _TIME),
    # Why it is offered: a closing moves the person, or they wait for an earlier time.
    Column("cause", Text, nullable=False, server_default="closing"),
    # Of the places that are offered to all of an arrival together; and who of it goes there.
    Column("together_id", _UUID),
    Column("person", Integer),
    ForeignKeyConstraint(
        ["municipality", "appointment_id"],
        ["booking.appointment.municipality", "booking.appointment.appointment_id"],
    ),
    CheckConstraint("state IN ('open', 'taken', 'lapsed', 'withdrawn', 'declined')", name="state"),
    CheckConstraint("(state = 'open') = (ended_at IS NULL)", name="ended"),
    CheckConstraint("cause IN ('closing', 'waiting')", name="cause"),
    CheckConstraint("(together_id IS NULL) = (person IS NULL)", name="together_whole"),
    Index(
        "offered_place_one_open_idx",
        "municipality",
        "appointment_id",
        unique=True,
        postgresql_where=text("state = 'open'"),
    ),
    # Nobody is offered the same earlier time twice.
    Index(
        "offered_place_once_idx",
        "municipality",
        "appointment_id",
        "slot_id",
        unique=True,
        postgresql_where=text("cause = 'waiting'"),
    ),
)

# --- the draw --------------------------------------------------------------------------------------------------------

# A draw as it was announced. The seed is sealed with a key of its own until it is drawn; the database compares it with
# its commitment when it is told.
draw = Table(
    "draw",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("draw_id", _UUID, primary_key=True),
    Column("title_ja", Text, nullable=False),
    Column("procedure", Text, nullable=False),
    Column("counter", Text, nullable=False),
    Column("opens_at", _TIME, nullable=False),
    Column("closes_at", _TIME, nullable=False),
    Column("seed_commitment", LargeBinary, nullable=False),
    Column("seed_sealed", LargeBinary, nullable=False),
    Column("wrapped_key", LargeBinary),
    Column("seed", LargeBinary),
    Column("entries_digest", LargeBinary),
    Column("state", Text, nullable=False),
    Column("announced_at", _TIME, nullable=False),
    Column("drawn_at", _TIME),
    Column("called_off_at", _TIME),
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
    Column("draw_id", _UUID, primary_key=True),
    Column("slot_id", _UUID, primary_key=True),
    Column("starts_at", _TIME, nullable=False),
    Column("ends_at", _TIME, nullable=False),
    Column("seats", Integer, nullable=False),
    ForeignKeyConstraint(["municipality", "draw_id"], ["booking.draw.municipality", "booking.draw.draw_id"]),
    # A slot is in one draw.
    UniqueConstraint("municipality", "slot_id"),
    CheckConstraint("seats > 0", name="seats"),
)
# Who entered: a public ticket, and what an appointment needs, for whoever wins. Forgotten when nobody can win any more.
draw_entry = Table(
    "draw_entry",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("entry_id", _UUID, primary_key=True),
    Column("draw_id", _UUID, nullable=False),
    Column("ticket", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("preferences", ARRAY(_UUID), nullable=False),
    # How they came: by themselves, or through staff, by phone or at the desk.
    Column("came_by", Text, nullable=False),
    Column("guest_ref", Text),
    Column("subject_ref", _UUID),
    Column("case_id", _UUID),
    Column("contact_ref", _UUID),
    Column("reach", Text, nullable=False),
    Column("language", Text, nullable=False),
    # The approved items, as a visit has them.
    Column("draft_sealed", LargeBinary),
    Column("passed_at", _TIME, nullable=False),
    Column("code_hash", LargeBinary),
    Column("code_sealed", LargeBinary),
    Column("code_failures", Integer, nullable=False, server_default=text("0")),
    Column("locked_until", _TIME),
    Column("entered_at", _TIME, nullable=False),
    # The application's time of the last change: the trigger judges by it whether people could enter.
    Column("changed_at", _TIME, nullable=False),
    Column("appointment_id", _UUID),
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
    Column("draw_id", _UUID, primary_key=True),
    Column("ticket", Text, primary_key=True),
    Column("rank", Integer, nullable=False),
    Column("slot_id", _UUID),
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
    Column("draw_id", _UUID, primary_key=True),
    Column("ticket", Text, primary_key=True),
    Column("slot_id", _UUID, nullable=False),
    Column("passed_at", _TIME, nullable=False),
    ForeignKeyConstraint(
        ["municipality", "draw_id", "ticket"],
        ["booking.draw_result.municipality", "booking.draw_result.draw_id", "booking.draw_result.ticket"],
    ),
)

# --- one visit for everything ----------------------------------------------------------------------------------------

# What the town said of the way between two counters, in either direction.
walk = Table(
    "walk",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("counter", Text, primary_key=True),
    Column("other", Text, primary_key=True),
    Column("minutes", Integer, nullable=False),
    CheckConstraint("minutes BETWEEN 0 AND 120", name="minutes"),
)
# What a visit for several procedures is about. A place that it holds names the errand where others name their visit.
visit_errand = Table(
    "visit_errand",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("visit_id", _UUID, primary_key=True),
    Column("errand_no", Integer, primary_key=True),
    Column("errand_id", _UUID, nullable=False),
    Column("procedure", Text, nullable=False),
    # Whose place it is that is held for it.
    Column("person", Integer, nullable=False, server_default="1"),
    UniqueConstraint("municipality", "errand_id"),
    UniqueConstraint("municipality", "visit_id", "procedure"),
    ForeignKeyConstraint(
        ["municipality", "visit_id"], ["booking.visit.municipality", "booking.visit.visit_id"], ondelete="CASCADE"
    ),
    CheckConstraint("errand_no BETWEEN 1 AND 10", name="errand_no"),
    CheckConstraint("person BETWEEN 1 AND 3", name="person"),
)

# --- the waitlist ----------------------------------------------------------------------------------------------------

# Who waits for an earlier time than their own: at most once for each appointment, in the order of joining. It is over
# by itself when the appointment is not `booked` any more, has begun, or the last day has passed: whoever reads asks for
# that. A trigger (0018) takes no days after the appointment's own, and no offer of a time that is not earlier.
waiting = Table(
    "waiting",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("appointment_id", _UUID, primary_key=True),
    Column("first_day", Date, nullable=False),
    Column("last_day", Date, nullable=False),
    Column("weekdays", ARRAY(Integer), nullable=False),
    Column("part", Text, nullable=False),
    # None: wherever the procedure can be done.
    Column("counter", Text),
    Column("joined_at", _TIME, nullable=False),
    ForeignKeyConstraint(
        ["municipality", "appointment_id"],
        ["booking.appointment.municipality", "booking.appointment.appointment_id"],
    ),
    CheckConstraint("first_day <= last_day", name="days"),
    CheckConstraint("cardinality(weekdays) > 0 AND weekdays <@ ARRAY[1, 2, 3, 4, 5, 6, 7]", name="weekdays"),
    CheckConstraint("part IN ('any', 'morning', 'afternoon')", name="part"),
)

# --- webhooks --------------------------------------------------------------------------------------------------------

# Another system of the town, and how it is told: where, of what, and by which secret the receiver knows us. `stopped`:
# it took nothing for too long. Its `due` row (kind `webhook`) stands as long as it does.
webhook_endpoint = Table(
    "webhook_endpoint",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("endpoint_id", _UUID, primary_key=True),
    Column("name_ja", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("kinds", ARRAY(Text), nullable=False),
    Column("state", Text, nullable=False),
    Column("wrapped_key", LargeBinary),
    Column("secret_sealed", LargeBinary, nullable=False),
    # Signs beside the new one for a day.
    Column("old_secret_sealed", LargeBinary),
    Column("old_secret_until", _TIME),
    # Turns in a row in which it took nothing.
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("failing_since", _TIME),
    Column("registered_at", _TIME, nullable=False),
    Column("changed_at", _TIME, nullable=False),
    CheckConstraint("state IN ('active', 'paused', 'stopped')", name="state"),
    CheckConstraint("cardinality(kinds) > 0", name="kinds"),
    CheckConstraint("(old_secret_sealed IS NULL) = (old_secret_until IS NULL)", name="old_secret"),
    CheckConstraint("(failures = 0) = (failing_since IS NULL)", name="failing"),
)
# What an endpoint is to be told: written by `tell_webhooks` (0019), a trigger's for what is published. No foreign key:
# whoever books would wait for whoever deletes an endpoint, and a row of one that is gone is sent to nobody.
webhook_delivery = Table(
    "webhook_delivery",
    metadata,
    Column("municipality", Text, primary_key=True),
    # In the message: the same at every try.
    Column("delivery_id", _UUID, primary_key=True),
    Column("endpoint_id", _UUID, nullable=False),
    Column("kind", Text, nullable=False),
    # Of an appointment, what leaves here is another id for each endpoint.
    Column("about", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("facts", JSONB, nullable=False),
    Column("told_at", _TIME, nullable=False),
    Column("state", Text, nullable=False),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("next_try_at", _TIME, nullable=False),
    Column("failing_since", _TIME),
    # What became of the last try: `http_200`, `connect`, `timeout`, …
    Column("answer", Text),
    Column("answered_at", _TIME),
    CheckConstraint("state IN ('waiting', 'taken', 'given_up')", name="state"),
    Index(
        "webhook_delivery_waiting_idx",
        "municipality",
        "endpoint_id",
        "next_try_at",
        postgresql_where=text("state = 'waiting'"),
    ),
    Index("webhook_delivery_municipality_told_at_idx", "municipality", "told_at"),
)

# --- keeping order ---------------------------------------------------------------------------------------------------

counter_version = Table(
    "counter_version",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("counter", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("earliest_at", _TIME),
    # For procedures with a notice or a horizon of their own, by code.
    Column("own", JSONB, nullable=False, server_default="{}"),
    Column("published_at", _TIME, nullable=False),
)
idempotency = Table(
    "idempotency",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("owner", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("request_hash", LargeBinary, nullable=False),
    Column("response", JSONB),
    Column("created_at", _TIME, nullable=False),
    Index("idempotency_municipality_created_at_idx", "municipality", "created_at"),
)
# Which subjects are erased, by a hash; and the tables that name subjects, which take no erased one (a trigger).
erased_subject = erased_subject_table(metadata)
NAME_SUBJECTS = ("subject_key", "visit", "appointment", "draw_entry")
audit = audit_table(metadata)
