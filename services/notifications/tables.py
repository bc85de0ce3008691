"""The service's own schema. The municipality leads every key; row-level security covers what is a town's own."""

from typing import get_args

from sqlalchemy import (
    TIMESTAMP,
    BigInteger,
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
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID

from services.notifications.domain.again import AGAIN
from services.notifications.domain.bulk import BULK_REASONS, BULK_STATES, PRICE_SEN_MAX, PRICED_WAYS, TESTS_MAX
from services.notifications.domain.notices import OF_TOWN, Kind
from services.notifications.domain.proofs import CODE_TRIES_MAX
from services.notifications.domain.quiet_hours import OWN_FROM, OWN_TO
from services.notifications.domain.stops import STOP_KEYS
from services.notifications.domain.systems import KEY_PLACES, RecipientKind
from services.notifications.domain.ways import WayKind, WayState
from shared.audit import audit_table
from shared.db import service_metadata
from shared.erasure import erased_subject_table
from shared.ledger.ledger import Ledger
from shared.messaging.outbox import Outbox
from shared.practice import PATTERN
from shared.town_pack.templates import CHANNELS
from shared.web.sessions import EndedSessions
from shared.webhooks.tables import webhook_delivery_table, webhook_endpoint_table

SERVICE = "notifications"
_TIME = TIMESTAMP(timezone=True)
_UUID = UUID(as_uuid=True)

metadata = service_metadata(SERVICE)
outbox = Outbox(SERVICE, metadata)
ledger = Ledger(metadata, outbox)
ended_sessions = EndedSessions(metadata)

# A subject's data key, wrapped by the master key. Destroying it erases what it sealed, backups included.
subject_key = Table(
    "subject_key",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("subject_ref", _UUID, primary_key=True),
    Column("wrapped_key", LargeBinary, nullable=False),
    Column("made_at", _TIME, nullable=False),
)

contact_point = Table(
    "contact_point",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("contact_ref", _UUID, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("subject_ref", _UUID, nullable=False),
    Column("reach", Text, nullable=False),
    Column("language", Text, nullable=False),
    Column("approval_id", _UUID, nullable=False),
    Column("case_id", _UUID, nullable=False),
    Column("given_at", _TIME, nullable=False),
    # What the person said here since, and no other approval changes: paper or a call instead of messages; another
    # language; hours of their own, wider than the town's; and what they do not want to be told.
    Column("wants_paper", Boolean, nullable=False, server_default="false"),
    Column("chosen_language", Text),
    Column("quiet_from", Integer),
    Column("quiet_to", Integer),
    Column("stopped", ARRAY(Text), nullable=False, server_default="{}"),
    # The newest number of its ways: the link of a message opens by it, also when the notice is long forgotten.
    Column("last_way_no", Integer, nullable=False, server_default="1"),
    CheckConstraint("reach IN ('email', 'sms', 'none')", name="reach"),
    CheckConstraint("(quiet_from IS NULL) = (quiet_to IS NULL)", name="quiet"),
    CheckConstraint(f"quiet_from BETWEEN {OWN_FROM[0]} AND {OWN_FROM[-1]}", name="quiet_from"),
    CheckConstraint(f"quiet_to BETWEEN {OWN_TO[0]} AND {OWN_TO[-1]}", name="quiet_to"),
    CheckConstraint(f"stopped <@ ARRAY{list(STOP_KEYS)}", name="stopped"),
    Index("contact_point_subject_idx", "municipality", "subject_ref"),
)

# By which ways the person of a contact is reached, in their order; of `reach` none there are none.
contact_way = Table(
    "contact_way",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("contact_ref", _UUID, primary_key=True),
    # Never given to another way of the contact: what was sent stays with where it was sent.
    Column("way_no", Integer, primary_key=True),
    Column("position", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("address_sealed", LargeBinary, nullable=False),
    # Of LINE: the hash of LINE's own id, by which its events find the way (`line_follow`).
    Column("line_hash", LargeBinary),
    # Somebody else reads it and passes it on.
    Column("is_relay", Boolean, nullable=False, server_default="false"),
    # When its code was typed, or it was approved as it is. Until then it is used for its code alone.
    Column("verified_at", _TIME),
    Column("state", Text, nullable=False, server_default="good"),
    Column("state_at", _TIME),
    # How often it was found dead, or good again: the version of what routing is told of it.
    Column("state_no", Integer, nullable=False, server_default="0"),
    UniqueConstraint(
        "municipality",
        "contact_ref",
        "position",
        name="contact_way_position_key",
        deferrable=True,
        initially="DEFERRED",
    ),
    ForeignKeyConstraint(
        ["municipality", "contact_ref"],
        [f"{SERVICE}.contact_point.municipality", f"{SERVICE}.contact_point.contact_ref"],
        ondelete="CASCADE",
    ),
    CheckConstraint(f"kind IN {get_args(WayKind)}", name="kind"),
    CheckConstraint(f"state IN {get_args(WayState)}", name="state"),
    Index("contact_way_dead_idx", "municipality", "contact_ref", postgresql_where=text("state = 'dead'")),
    CheckConstraint("line_hash IS NULL OR kind = 'line'", name="line_hash"),
    # One account at LINE is one way of a contact.
    Index(
        "contact_way_line_idx",
        "municipality",
        "line_hash",
        "contact_ref",
        unique=True,
        postgresql_where=text("line_hash IS NOT NULL"),
    ),
)

# A code that was sent to prove a way. Kept for a day, to count: also when the way is removed, so that nobody's phone
# rings because somebody adds it again and again.
way_code = Table(
    "way_code",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("code_id", _UUID, primary_key=True),
    Column("contact_ref", _UUID, nullable=False),
    Column("way_no", Integer, nullable=False),
    # Keyed: a million codes are soon tried, and so are all numbers.
    Column("code_hash", LargeBinary, nullable=False),
    Column("address_hash", LargeBinary, nullable=False),
    Column("asked_at", _TIME, nullable=False),
    Column("expires_at", _TIME, nullable=False),
    Column("tries", Integer, nullable=False, server_default="0"),
    # Typed, tried too often, or followed by another.
    Column("ended_at", _TIME),
    ForeignKeyConstraint(
        ["municipality", "contact_ref"],
        [f"{SERVICE}.contact_point.municipality", f"{SERVICE}.contact_point.contact_ref"],
        ondelete="CASCADE",
    ),
    CheckConstraint(f"tries BETWEEN 0 AND {CODE_TRIES_MAX}", name="tries"),
    Index("way_code_address_idx", "municipality", "address_hash", "asked_at"),
    Index(
        "way_code_live_idx",
        "municipality",
        "contact_ref",
        "way_no",
        unique=True,
        postgresql_where=text("ended_at IS NULL"),
    ),
)

# A code that its owner sends to the town's account at LINE: what is shown is made of its id, and kept nowhere.
line_code = Table(
    "line_code",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("code_id", _UUID, primary_key=True),
    Column("contact_ref", _UUID, nullable=False),
    Column("code_hash", LargeBinary, nullable=False),
    Column("asked_at", _TIME, nullable=False),
    Column("expires_at", _TIME, nullable=False),
    # Sent, or followed by another; and by which account at LINE it was sent.
    Column("ended_at", _TIME),
    Column("sent_by", LargeBinary),
    ForeignKeyConstraint(
        ["municipality", "contact_ref"],
        [f"{SERVICE}.contact_point.municipality", f"{SERVICE}.contact_point.contact_ref"],
        ondelete="CASCADE",
    ),
    CheckConstraint("sent_by IS NULL OR ended_at IS NOT NULL", name="sent_by"),
    Index("line_code_live_idx", "municipality", "contact_ref", unique=True, postgresql_where=text("ended_at IS NULL")),
    Index("line_code_hash_idx", "municipality", "code_hash", unique=True),
)

# A wrong code that an account at LINE sent, by the hash of LINE's id: nobody tries many.
line_try = Table(
    "line_try",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("try_id", _UUID, primary_key=True),
    Column("user_hash", LargeBinary, nullable=False),
    Column("tried_at", _TIME, nullable=False),
    Index("line_try_user_idx", "municipality", "user_hash", "tried_at"),
)

# By which way somebody with an account is told things, as they chose last. The address has a key of its own beside it:
# with the row's, both are forgotten.
account_contact = Table(
    "account_contact",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("account_ref", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("reach", Text, nullable=False),
    Column("address_sealed", LargeBinary),
    Column("wrapped_key", LargeBinary),
    Column("language", Text, nullable=False),
    CheckConstraint("reach IN ('email', 'sms', 'none')", name="reach"),
    CheckConstraint("(reach = 'none') = (address_sealed IS NULL)", name="address"),
)

# What the town writes to many at once. It is drafted, tested, sent, and stands then as it was sent; whom it is told to
# is `told`, one row for each person.
bulk_notice = Table(
    "bulk_notice",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("bulk_id", _UUID, primary_key=True),
    Column("kind", Text, nullable=False),
    # Why it must be told; of what may be stopped there is none.
    Column("reason", Text),
    Column("audience", JSONB, nullable=False),
    # By language: subject, body and short.
    Column("texts", JSONB, nullable=False),
    # Nothing of it is sent after that.
    Column("until", _TIME),
    Column("state", Text, nullable=False),
    # Rises with each change; the one that was looked at as a test came.
    Column("version", Integer, nullable=False),
    Column("tested_version", Integer),
    Column("tests", Integer, nullable=False, server_default="0"),
    Column("saved_by", Text, nullable=False),
    Column("saved_at", _TIME, nullable=False),
    Column("sent_by", Text),
    Column("sent_at", _TIME),
    # Not at night.
    Column("starts_at", _TIME),
    # To how many it goes by which way, and what that costs, as whoever sent it read it.
    Column("estimate", JSONB),
    # When all were found whom it goes to; up to whom notices are made; and when all are made.
    Column("gathered_at", _TIME),
    Column("spread_to", LargeBinary),
    Column("spread_at", _TIME),
    Column("stopped_by", Text),
    Column("stopped_at", _TIME),
    # What became of it, once nothing of it waits; kept when who it was is forgotten.
    Column("counts", JSONB),
    CheckConstraint(f"kind IN {OF_TOWN}", name="kind"),
    CheckConstraint("(reason IS NOT NULL) = (kind = 'town_notice')", name="why"),
    CheckConstraint(f"reason IN {BULK_REASONS}", name="reason"),
    CheckConstraint(f"state IN {BULK_STATES}", name="state"),
    CheckConstraint("version >= 1", name="version"),
    CheckConstraint(f"tests BETWEEN 0 AND {TESTS_MAX}", name="tests"),
    CheckConstraint(
        "num_nonnulls(sent_by, sent_at, starts_at, estimate) = CASE WHEN state = 'draft' THEN 0 ELSE 4 END",
        name="sent",
    ),
    # Nothing goes to many that nobody has seen arrive.
    CheckConstraint(
        "state = 'draft' OR (tested_version = version AND tested_version IS NOT NULL AND until IS NOT NULL)",
        name="tested",
    ),
    CheckConstraint("(stopped_at IS NOT NULL) = (state = 'stopped')", name="stopped"),
    Index("bulk_notice_saved_idx", "municipality", text("saved_at DESC")),
)

# What one message costs a town, as its managers know it: of an SMS each part. In sen, a hundredth of a yen.
way_price = Table(
    "way_price",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("way", Text, primary_key=True),
    Column("price_sen", Integer, nullable=False),
    Column("set_by", Text, nullable=False),
    Column("set_at", _TIME, nullable=False),
    CheckConstraint(f"way IN {PRICED_WAYS}", name="way"),
    CheckConstraint(f"price_sen BETWEEN 0 AND {PRICE_SEN_MAX}", name="price"),
)

# What somebody with an account is told (of a visit, by a coordinator, or how to sign in), a contact about its own ways,
# or anybody by the town. What is written in it is sealed with a key of its own beside it, and forgotten when it is of
# no more use.
told = Table(
    "told",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("told_id", _UUID, primary_key=True),
    # One of the two, or neither.
    Column("account_ref", Text),
    Column("contact_ref", _UUID),
    # The appointment, the asking of several at once, or the way: a later word about it overtakes what waits.
    Column("about", _UUID),
    Column("occurred_at", _TIME, nullable=False),
    Column("venue", Text, nullable=False, server_default=""),
    Column("starts_at", _TIME),
    Column("ends_at", _TIME),
    # Until when an answer is waited for, or the code opens.
    Column("until", _TIME),
    # Told to the address of the content (one that was theirs before, or that another system gave): by which way, and
    # in which language.
    Column("reach", Text),
    Column("language", Text),
    Column("content_sealed", LargeBinary),
    Column("wrapped_key", LargeBinary),
    # Told to many at once: what is written stands there, and who this is among them, by a hash that says nothing else.
    Column("bulk_id", _UUID),
    Column("person_hash", LargeBinary),
    CheckConstraint("reach IN ('email', 'sms')", name="reach"),
    CheckConstraint("num_nonnulls(bulk_id, person_hash) IN (0, 2)", name="bulk"),
    CheckConstraint("bulk_id IS NULL OR contact_ref IS NOT NULL", name="bulk_contact"),
    ForeignKeyConstraint(
        ["municipality", "bulk_id"], [f"{SERVICE}.bulk_notice.municipality", f"{SERVICE}.bulk_notice.bulk_id"]
    ),
    # Everybody once, however many appointments and contacts they have.
    Index(
        "told_bulk_idx",
        "municipality",
        "bulk_id",
        "person_hash",
        unique=True,
        postgresql_where=text("bulk_id IS NOT NULL"),
    ),
    CheckConstraint("(reach IS NULL) = (language IS NULL)", name="former"),
    # Nobody is forgotten while something is still to be told to them.
    ForeignKeyConstraint(
        ["municipality", "contact_ref"],
        [f"{SERVICE}.contact_point.municipality", f"{SERVICE}.contact_point.contact_ref"],
    ),
    # To an account, to a contact, or to the address of the content, which nobody here has.
    CheckConstraint(
        "num_nonnulls(account_ref, contact_ref) = CASE WHEN account_ref IS NULL AND reach IS NOT NULL "
        "THEN 0 ELSE 1 END",
        name="whom",
    ),
    Index(
        "told_contact_idx",
        "municipality",
        "contact_ref",
        postgresql_where=text("contact_ref IS NOT NULL"),
    ),
    Index(
        "told_visit_idx",
        "municipality",
        "about",
        "account_ref",
        postgresql_where=text("about IS NOT NULL"),
    ),
)

# Projection of booking's appointments: the newest version of each.
appointment = Table(
    "appointment",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("appointment_id", _UUID, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("number", Text, nullable=False),
    Column("subject_ref", _UUID),
    Column("contact_ref", _UUID),
    Column("case_id", _UUID),
    Column("procedure", Text, nullable=False),
    Column("office", Text, nullable=False),
    Column("counter", Text, nullable=False),
    Column("starts_at", _TIME, nullable=False),
    Column("ends_at", _TIME, nullable=False),
    Column("state", Text, nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("helper", Text, nullable=False, server_default="none"),
    # Whether a closing covers it, and the other time that is kept for the person.
    Column("closure", Text, nullable=False, server_default="none"),
    Column("offer_starts_at", _TIME),
    Column("offer_until", _TIME),
    # Those of one arrival: who is reminded, is reminded of the first.
    Column("chain_id", _UUID),
    # How long it takes, where more is done in it than its procedure, once.
    Column("minutes", Integer),
    # The earliest that we heard of it: what "so long after booking" counts from.
    Column("booked_at", _TIME, nullable=False),
    # The way to open it (link and code), kept only as long as a notice may need it.
    Column("access_sealed", LargeBinary),
    Column("access_version", Integer, nullable=False, server_default="0"),
    Index("appointment_subject_idx", "municipality", "subject_ref", postgresql_where=text("subject_ref IS NOT NULL")),
    Index("appointment_number_idx", "municipality", "number"),
    Index("appointment_chain_idx", "municipality", "chain_id", postgresql_where=text("chain_id IS NOT NULL")),
    Index("appointment_starts_idx", "municipality", "starts_at"),
)

# What people handed in: the newest version of each of routing's online applications, and of booking's entries to draws
# and classes and its requests for a helper.
application = Table(
    "application",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("application_id", _UUID, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("number", Text, nullable=False),
    Column("subject_ref", _UUID),
    Column("contact_ref", _UUID),
    Column("case_id", _UUID),
    Column("procedure", Text, nullable=False),
    Column("office", Text, nullable=False),
    Column("state", Text, nullable=False),
    # Of a class: what it is called, where and when it is. An application begins at no time.
    Column("title", Text, nullable=False, server_default=""),
    Column("venue", Text, nullable=False, server_default=""),
    Column("starts_at", _TIME),
    Column("ends_at", _TIME),
    # Until when a seat is kept, or a helper is looked for; and which classes fit, where none was found.
    Column("until", _TIME),
    Column("classes", JSONB, nullable=False, server_default="[]"),
    # The way to open it (link and code), until it is closed.
    Column("access_sealed", LargeBinary),
    Column("access_version", Integer, nullable=False, server_default="0"),
    Index("application_subject_idx", "municipality", "subject_ref"),
    Index("application_number_idx", "municipality", "number"),
)

# Projection of routing's catalogue: what a notice says of a town, a procedure, a counter.
catalogue_town = Table(
    "catalogue_town",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("name_ja", Text, nullable=False),
    Column("phone", Text, nullable=False),
    Column("public_url", Text, nullable=False),
    Column("address_ja", Text, nullable=False, server_default=""),
)

catalogue_procedure = Table(
    "catalogue_procedure",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("code", Text, primary_key=True),
    Column("name_ja", Text, nullable=False),
    # Whose it is; empty until the catalogue is published once more.
    Column("office", Text, nullable=False, server_default=""),
    Column("discreet", Boolean, nullable=False),
    Column("bring", ARRAY(Text), nullable=False, server_default="{}"),
    Column("fee_yen", Integer, nullable=False, server_default="0"),
    Column("minutes", Integer, nullable=False, server_default="0"),
    # Whether a time at a counter can be booked for it.
    Column("at_counter", Boolean, nullable=False, server_default="true"),
)

catalogue_counter = Table(
    "catalogue_counter",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("code", Text, primary_key=True),
    Column("number", Text, nullable=False),
    Column("name_ja", Text, nullable=False),
    Column("place_ja", Text, nullable=False),
)

# What a town says itself in its notices, for readers of a language; empty: it is said in our words.
catalogue_template = Table(
    "catalogue_template",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("language", Text, primary_key=True),
    Column("subject", Text, nullable=False),
    Column("long", Text, nullable=False),
    Column("short", Text, nullable=False),
)

# What managers have a town say instead, of all offices ('') or of one. A version is written once, and published once;
# the newest that is published counts. An empty one takes the place's words back.
template_version = Table(
    "template_version",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("office", Text, primary_key=True),
    Column("channel", Text, primary_key=True),
    Column("language", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("text", Text, nullable=False),
    Column("saved_by", Text, nullable=False),
    Column("saved_at", _TIME, nullable=False),
    Column("published_by", Text),
    Column("published_at", _TIME),
    CheckConstraint(f"kind IN {get_args(Kind)}", name="kind"),
    CheckConstraint(f"channel IN {CHANNELS}", name="channel"),
    CheckConstraint("language IN ('ja', 'ja-easy', 'en')", name="language"),
    CheckConstraint("version >= 1", name="version"),
    CheckConstraint("(published_at IS NULL) = (published_by IS NULL)", name="published"),
)

reminder_rule = Table(
    "reminder_rule",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("rule", Text, primary_key=True),
    Column("before_min", Integer),
    Column("after_booking_s", Integer),
    CheckConstraint("(before_min IS NULL) <> (after_booking_s IS NULL)", name="one_time"),
)

NOTICE_KINDS: tuple[str, ...] = get_args(Kind)
# A notice, and a task of staff, is about an appointment, about what was handed in, or is told to an account.
ONE_MATTER = "num_nonnulls(appointment_id, application_id, told_id) = 1"
NOTICE_STATES = (
    "pending",
    "sending",
    "sent",
    "failed",
    "unknown",
    "superseded",
    "undeliverable",
    "printed_slip",
)

# How a notice ends that was not sent, and by which ways few go.
ENDED_UNSENT = ("failed", "undeliverable", "superseded", "printed_slip")
RARE_REACHES = ("line", "letter", "call", "none")

notice = Table(
    "notice",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("notice_id", _UUID, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("appointment_id", _UUID),
    Column("application_id", _UUID),
    Column("told_id", _UUID),
    # What of it is told: a duplicate event finds the row there and makes no second notice.
    Column("occasion", Text, nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("appointment_version", Integer, nullable=False),
    # Whom it goes to: the contact that somebody gave, or the account.
    Column("contact_ref", _UUID),
    Column("account_ref", Text),
    # By this way of the contact and no other: the code that proves it, or what staff had sent again that way.
    Column("only_way", Integer),
    # Which notice staff had sent again (もう一度送る). It may be forgotten before this one.
    Column("again_of", _UUID),
    # None until the contact is known.
    Column("reach", Text),
    Column("state", Text, nullable=False),
    Column("keeps_quiet", Boolean, nullable=False),
    # Nobody waits for it: it is sent beside the others, and never before them.
    Column("bulk", Boolean, nullable=False, server_default="false"),
    # How many appointments of one arrival it tells of, and when they are all done.
    Column("together", Integer, nullable=False, server_default="1"),
    Column("together_until", _TIME),
    # Whose turn is near: how many are before them, and the number in their hand.
    Column("turn_before", Integer),
    Column("turn_ticket", Text),
    Column("created_at", _TIME, nullable=False),
    Column("useful_until", _TIME, nullable=False),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("settled_at", _TIME),
    Column("reason", Text),
    # What is known of its arrival, by whichever way: accepted, then delivered or not.
    Column("delivery", Text),
    UniqueConstraint("municipality", "appointment_id", "kind", "occasion"),
    UniqueConstraint("municipality", "application_id", "kind", "occasion"),
    UniqueConstraint("municipality", "told_id", "kind", "occasion"),
    CheckConstraint(ONE_MATTER, name="one_matter"),
    CheckConstraint("account_ref IS NULL OR told_id IS NOT NULL", name="account"),
    CheckConstraint(f"told_id IS NULL OR num_nonnulls(account_ref, contact_ref) = 1 OR kind IN {OF_TOWN}", name="whom"),
    CheckConstraint("only_way IS NULL OR num_nonnulls(told_id, again_of) > 0", name="only_way"),
    CheckConstraint(f"(again_of IS NULL) = (occasion NOT LIKE '{AGAIN}%')", name="again"),
    CheckConstraint("together >= 1", name="together"),
    CheckConstraint(f"kind IN {NOTICE_KINDS}", name="kind"),
    CheckConstraint(f"state IN {NOTICE_STATES}", name="state"),
    # The delivery log looks for its newest, by each thing that it is looked through for; what nearly all notices are
    # (`sent`, by mail or SMS) the first of these finds as well.
    Index("notice_created_idx", "municipality", text("created_at DESC")),
    Index("notice_kind_idx", "municipality", "kind", text("created_at DESC")),
    Index("notice_open_idx", "municipality", text("created_at DESC"), postgresql_where=text("settled_at IS NULL")),
    Index(
        "notice_ended_idx",
        "municipality",
        "state",
        text("created_at DESC"),
        postgresql_where=text(f"state IN {ENDED_UNSENT}"),
    ),
    Index(
        "notice_delivery_idx",
        "municipality",
        "delivery",
        text("created_at DESC"),
        postgresql_where=text("delivery IN ('delivered', 'not_delivered')"),
    ),
    Index(
        "notice_rare_reach_idx",
        "municipality",
        "reach",
        text("created_at DESC"),
        postgresql_where=text(f"reach IN {RARE_REACHES}"),
    ),
    Index(
        "notice_of_accounts_idx",
        "municipality",
        text("created_at DESC"),
        postgresql_where=text("account_ref IS NOT NULL"),
    ),
    Index(
        "notice_contact_idx",
        "municipality",
        "contact_ref",
        text("created_at DESC"),
        postgresql_where=text("contact_ref IS NOT NULL"),
    ),
    Index(
        "notice_waiting_idx", "municipality", "contact_ref", postgresql_where=text("state IN ('pending', 'unknown')")
    ),
    Index(
        "notice_account_idx", "municipality", "account_ref", postgresql_where=text("state IN ('pending', 'unknown')")
    ),
)

attempt = Table(
    "attempt",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("notice_id", _UUID, primary_key=True),
    Column("attempt_no", Integer, primary_key=True),
    Column("lease_token", _UUID, nullable=False),
    Column("leased_until", _TIME, nullable=False),
    Column("started_at", _TIME, nullable=False),
    Column("finished_at", _TIME),
    Column("outcome", Text),
    Column("provider", Text, nullable=False),
    Column("provider_ref", Text),
    # What a gateway that takes no id of ours brings back with its receipts, also when its answer was lost.
    Column("tag", Text),
    Column("error_code", Text),
    # Which way of the contact it took, and what the provider told of it later.
    Column("way_no", Integer, nullable=False, server_default="1"),
    Column("delivery", Text),
    # In whose words, and in which version of them, each of its texts is told.
    Column("words", JSONB, nullable=False, server_default="[]"),
    # Nothing of a practice town leaves, and nothing real is only said to be sent.
    CheckConstraint(f"(municipality ~ '{PATTERN}') = (provider = 'simulated')", name="practice"),
    ForeignKeyConstraint(
        ["municipality", "notice_id"], [f"{SERVICE}.notice.municipality", f"{SERVICE}.notice.notice_id"]
    ),
    Index("attempt_tag_idx", "municipality", "tag", postgresql_where=text("tag IS NOT NULL")),
    Index(
        "attempt_ref_idx",
        "municipality",
        "provider",
        "provider_ref",
        postgresql_where=text("provider_ref IS NOT NULL"),
    ),
)

# A receipt under the provider's own id, which no attempt of ours has yet: it may come before we have written it down.
receipt_unmatched = Table(
    "receipt_unmatched",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("provider", Text, primary_key=True),
    Column("provider_ref", Text, primary_key=True),
    Column("status", Text, primary_key=True),
    Column("received_at", _TIME, nullable=False),
    CheckConstraint("status IN ('accepted', 'delivered', 'failed')", name="status"),
)

# Whether somebody follows the town's account at LINE, as LINE told last: by a hash of LINE's own id, which is random.
line_follow = Table(
    "line_follow",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("user_hash", LargeBinary, primary_key=True),
    Column("follows", Boolean, nullable=False),
    Column("told_at", _TIME, nullable=False),
    CheckConstraint("octet_length(user_hash) = 32", name="user_hash"),
)

# How providers do, as each sending process sees it, for whoever looks at them. Nothing of a town is in it.
provider_health = Table(
    "provider_health",
    metadata,
    Column("provider", Text, primary_key=True),
    Column("process", _UUID, primary_key=True),
    Column("way", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("since", _TIME, nullable=False),
    Column("written_at", _TIME, nullable=False),
    # Of the last ten minutes.
    Column("accepted", Integer, nullable=False),
    Column("temporary", Integer, nullable=False),
    Column("permanent", Integer, nullable=False),
    Column("unknown", Integer, nullable=False),
    Column("took_p95_ms", Integer),
    Column("last_error", Text),
    Column("last_error_at", _TIME),
    CheckConstraint("state IN ('closed', 'half_open', 'open')", name="state"),
)

# Somebody whom nobody could reach: staff call them. Never silence.
staff_task = Table(
    "staff_task",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("task_id", _UUID, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("notice_id", _UUID, nullable=False),
    Column("appointment_id", _UUID),
    Column("application_id", _UUID),
    Column("told_id", _UUID),
    Column("number", Text, nullable=False),
    Column("opened_at", _TIME, nullable=False),
    Column("done_at", _TIME),
    Column("done_by", Text),
    # Of somebody who chose to be called: the way whose number is called.
    Column("way_no", Integer),
    # How often nobody picked up, and when it is time to try again.
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("again_at", _TIME),
    UniqueConstraint("municipality", "notice_id"),
    CheckConstraint("tries >= 0", name="tries"),
    CheckConstraint(ONE_MATTER, name="one_matter"),
    Index("staff_task_open_idx", "municipality", "opened_at", postgresql_where=text("done_at IS NULL")),
    Index("staff_task_opened_idx", "municipality", "opened_at"),
)

# Letters that are printed and posted together. `printed`: how often; `size`: how many they were, also when somebody was
# erased, and their letter with them: the sheet is still in the pile.
letter_batch = Table(
    "letter_batch",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("batch_id", _UUID, primary_key=True),
    Column("made_at", _TIME, nullable=False),
    Column("made_by", Text, nullable=False),
    Column("printed", Integer, nullable=False, server_default="0"),
    Column("size", Integer, nullable=False),
    Column("posted_at", _TIME),
    Column("posted_by", Text),
    CheckConstraint("(posted_at IS NULL) = (posted_by IS NULL)", name="posted"),
    CheckConstraint("posted_at IS NULL OR printed > 0", name="printed"),
    CheckConstraint("size > 0", name="size"),
    Index("letter_batch_made_idx", "municipality", text("made_at DESC")),
)

# A letter that staff print: once for each notice and way. What is written, and to whom, is sealed with a key of its
# own, and forgotten when it was posted long ago, or taken out of the queue because it is not true any more. A trigger
# keeps each in the one batch that it was put into.
letter = Table(
    "letter",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("letter_id", _UUID, primary_key=True),
    Column("notice_id", _UUID, nullable=False),
    Column("way_no", Integer, nullable=False),
    Column("content_sealed", LargeBinary),
    Column("wrapped_key", LargeBinary),
    Column("queued_at", _TIME, nullable=False),
    Column("batch_id", _UUID),
    Column("position", Integer),
    Column("taken_out_at", _TIME),
    Column("came_back_at", _TIME),
    UniqueConstraint("municipality", "notice_id", "way_no"),
    UniqueConstraint("municipality", "batch_id", "position"),
    ForeignKeyConstraint(
        ["municipality", "notice_id"],
        [f"{SERVICE}.notice.municipality", f"{SERVICE}.notice.notice_id"],
        ondelete="CASCADE",
    ),
    ForeignKeyConstraint(
        ["municipality", "batch_id"], [f"{SERVICE}.letter_batch.municipality", f"{SERVICE}.letter_batch.batch_id"]
    ),
    CheckConstraint("(content_sealed IS NULL) = (wrapped_key IS NULL)", name="sealed"),
    CheckConstraint("(batch_id IS NULL) = (position IS NULL)", name="position"),
    CheckConstraint("came_back_at IS NULL OR (batch_id IS NOT NULL AND taken_out_at IS NULL)", name="came_back"),
    Index(
        "letter_waiting_idx",
        "municipality",
        "queued_at",
        postgresql_where=text("batch_id IS NULL AND taken_out_at IS NULL"),
    ),
)

# Another system of the town that may ask for notices: of which kinds, to whom, and how many.
api_system = Table(
    "api_system",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("system_id", _UUID, primary_key=True),
    Column("name_ja", Text, nullable=False),
    Column("recipients", ARRAY(Text), nullable=False),
    Column("kinds", ARRAY(Text), nullable=False),
    Column("per_minute", Integer, nullable=False),
    Column("per_day", Integer, nullable=False),
    # What the town pays for.
    Column("sms_parts_per_day", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("registered_at", _TIME, nullable=False),
    Column("changed_at", _TIME, nullable=False),
    CheckConstraint("state IN ('active', 'paused')", name="state"),
    CheckConstraint(
        f"cardinality(recipients) > 0 AND recipients <@ ARRAY{list(get_args(RecipientKind))}", name="recipients"
    ),
    CheckConstraint(f"cardinality(kinds) > 0 AND kinds <@ ARRAY{list(OF_TOWN)}", name="kinds"),
    CheckConstraint("per_minute > 0 AND per_day > 0 AND sms_parts_per_day >= 0", name="limits"),
    # Nothing of a practice town is another system's.
    CheckConstraint(f"municipality !~ '{PATTERN}'", name="practice"),
)

# By what a system is known. Two may live side by side, so that one can take the other's place.
api_key = Table(
    "api_key",
    metadata,
    Column("municipality", Text, primary_key=True),
    # In the key itself: by it the key is found, and known on the page.
    Column("key_id", Text, primary_key=True),
    Column("system_id", _UUID, nullable=False),
    Column("place", Integer, nullable=False),
    Column("secret_hash", LargeBinary, nullable=False),
    Column("made_at", _TIME, nullable=False),
    Column("last_used_at", _TIME),
    Column("revoked_at", _TIME),
    ForeignKeyConstraint(
        ["municipality", "system_id"],
        [f"{SERVICE}.api_system.municipality", f"{SERVICE}.api_system.system_id"],
        ondelete="CASCADE",
    ),
    CheckConstraint(f"place IN {KEY_PLACES}", name="place"),
    CheckConstraint("octet_length(secret_hash) = 32", name="secret_hash"),
    Index(
        "api_key_live_idx",
        "municipality",
        "system_id",
        "place",
        unique=True,
        postgresql_where=text("revoked_at IS NULL"),
    ),
)

# What a system asked for: whose it is, and what the system was told of it last. It goes with what was told. Its trigger
# (0034) counts it in `api_use`, refuses more than the system may, and gives it its place (`seq`).
api_notice = Table(
    "api_notice",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("told_id", _UUID, primary_key=True),
    Column("system_id", _UUID, nullable=False),
    Column("seq", BigInteger, nullable=False),
    # Forgotten after a week: then nobody sends the same request again.
    Column("idempotency_key", Text),
    # Keyed: what was asked for has an address in it.
    Column("request_hash", LargeBinary),
    # The system's own name for it.
    Column("reference", Text),
    Column("sms_parts", Integer, nullable=False),
    Column("accepted_at", _TIME, nullable=False),
    Column("told_state", Text, nullable=False, server_default="waiting"),
    Column("version", Integer, nullable=False, server_default="0"),
    UniqueConstraint("municipality", "system_id", "idempotency_key"),
    UniqueConstraint("municipality", "system_id", "seq"),
    ForeignKeyConstraint(
        ["municipality", "told_id"],
        [f"{SERVICE}.told.municipality", f"{SERVICE}.told.told_id"],
        ondelete="CASCADE",
    ),
    ForeignKeyConstraint(
        ["municipality", "system_id"],
        [f"{SERVICE}.api_system.municipality", f"{SERVICE}.api_system.system_id"],
        ondelete="CASCADE",
    ),
    CheckConstraint("(idempotency_key IS NULL) = (request_hash IS NULL)", name="key"),
    CheckConstraint("sms_parts >= 0", name="sms_parts"),
    Index("api_notice_accepted_idx", "municipality", "accepted_at"),
)

# How much a system has asked for, in a minute and in a day of Japan's.
api_use = Table(
    "api_use",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("system_id", _UUID, primary_key=True),
    Column("span", Text, primary_key=True),
    Column("starts_at", _TIME, primary_key=True),
    Column("notices", Integer, nullable=False),
    Column("sms_parts", Integer, nullable=False),
    ForeignKeyConstraint(
        ["municipality", "system_id"],
        [f"{SERVICE}.api_system.municipality", f"{SERVICE}.api_system.system_id"],
        ondelete="CASCADE",
    ),
    CheckConstraint("span IN ('minute', 'day')", name="span"),
)

# Where a system is told what became of it: its endpoint has the id of the system.
webhook_endpoint = webhook_endpoint_table(metadata)
webhook_delivery = webhook_delivery_table(metadata)

# Which subjects are erased, by a hash; and the tables that name subjects, which take no erased one (a trigger).
erased_subject = erased_subject_table(metadata)
NAME_SUBJECTS = ("subject_key", "contact_point", "appointment", "application")

audit = audit_table(metadata)
