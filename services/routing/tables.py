"""The service's own schema. The municipality leads every key, and row-level security covers each table."""

from typing import Any

from sqlalchemy import (
    TIMESTAMP,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID

from services.routing.domain.applications import STATES
from services.routing.domain.inquiries import KINDS as INQUIRY_KINDS
from services.routing.domain.inquiries import STATES as INQUIRY_STATES
from services.routing.domain.quality import KINDS as QUALITY_KINDS
from shared.audit import audit_table
from shared.db import service_metadata
from shared.erasure import erased_subject_table
from shared.ledger.ledger import Ledger
from shared.messaging.outbox import Outbox
from shared.web.sessions import EndedSessions

SERVICE = "routing"
_TIME = TIMESTAMP(timezone=True)
_UUID = UUID(as_uuid=True)
_TEXTS = ARRAY(Text)

metadata = service_metadata(SERVICE)
outbox = Outbox(SERVICE, metadata)
ledger = Ledger(metadata, outbox)
ended_sessions = EndedSessions(metadata)


def _town() -> Column[str]:
    return Column("municipality", Text, primary_key=True)


# --- the catalogue (手続きの一覧) ---

catalogue = Table(
    "catalogue",
    metadata,
    _town(),
    Column("version", Integer, nullable=False),
    # Of everything that is published: the same content is no new version.
    Column("content_hash", Text, nullable=False),
    Column("town_name_ja", Text, nullable=False),
    Column("town_phone", Text, nullable=False),
    Column("town_address_ja", Text, nullable=False),
    # What the town puts on its front page, in its order.
    Column("frequent", _TEXTS, nullable=False, server_default="{}"),
    # The words of what people bring, and of deadlines: a list of {code, ja}.
    Column("things", JSONB, nullable=False, server_default="[]"),
    Column("deadlines", JSONB, nullable=False, server_default="[]"),
    # The office that keeps the residents' register, and says who is protected; empty: only managers do.
    Column("registrar", Text, nullable=False, server_default=""),
    # How a fee is paid for what is done online.
    Column("online_payment", _TEXTS, nullable=False, server_default="{}"),
    # Whether payment, access and travel are the town's own word, or a sample.
    Column("places_confirmed", Boolean, nullable=False, server_default="true"),
    Column("published_at", _TIME, nullable=False),
)

# The town pack (自治体の設定ファイル) as it was loaded, each time that it said something else: the files' own texts.
pack_version = Table(
    "pack_version",
    metadata,
    _town(),
    Column("version", Integer, primary_key=True),
    Column("files", JSONB, nullable=False),
    Column("loaded_at", _TIME, nullable=False),
)

procedure = Table(
    "procedure",
    metadata,
    _town(),
    Column("code", Text, primary_key=True),
    Column("position", Integer, nullable=False),
    # No longer offered; kept, because cases and history name it.
    Column("withdrawn_at", _TIME),
    Column("name_ja", Text, nullable=False),
    Column("name_plain_ja", Text, nullable=False),
    Column("name_en", Text, nullable=False),
    Column("kana", Text, nullable=False),
    Column("category", Text, nullable=False),
    Column("words", _TEXTS, nullable=False),
    Column("office", Text, nullable=False),
    Column("online", Text, nullable=False),
    Column("counter", Text, nullable=False),
    Column("helper", Text, nullable=False),
    Column("counter_minutes", Integer, nullable=False),
    Column("fee_yen", Integer, nullable=False),
    Column("items", _TEXTS, nullable=False),
    Column("identity", Text, nullable=False),
    Column("bring", _TEXTS, nullable=False, server_default="{}"),
    Column("bring_online", _TEXTS, nullable=False, server_default="{}"),
    Column("deadline", Text, nullable=False, server_default=""),
    Column("source", Text, nullable=False),
    Column("counters", _TEXTS, nullable=False),
    Column("discreet", Boolean, nullable=False),
    # After the end of a case, what was given in it is kept so long.
    Column("retention_days", Integer, nullable=False, server_default="365"),
)

# How the town's offices work on a procedure's applications: `domain/office.py: Rule`.
office_rule = Table(
    "office_rule",
    metadata,
    _town(),
    Column("procedure", Text, primary_key=True),
    Column("process_days", Integer),
    Column("two_persons", Boolean, nullable=False),
    # A list of {code, ja}.
    Column("checks", JSONB, nullable=False),
    Column("appeal_to", Text, nullable=False),
    Column("appeal_first", Boolean, nullable=False),
)

counter = Table(
    "counter",
    metadata,
    _town(),
    Column("code", Text, primary_key=True),
    Column("number", Text, nullable=False),
    Column("name_ja", Text, nullable=False),
    Column("office", Text, nullable=False),
    Column("place_ja", Text, nullable=False),
    # A counter (窓口), or a venue where helpers meet residents.
    Column("kind", Text, nullable=False, server_default="counter"),
    # How a fee is paid here, what is here for those who need it, and how to get here, as the town says.
    Column("payment", _TEXTS, nullable=False, server_default="{}"),
    Column("access", _TEXTS, nullable=False, server_default="{}"),
    Column("travel_ja", Text, nullable=False, server_default=""),
    CheckConstraint("kind IN ('counter', 'venue')", name="kind"),
)

# A life event (ライフイベント) with its questions and steps: the town's own data, in its own words.
life_event = Table(
    "life_event",
    metadata,
    _town(),
    Column("code", Text, primary_key=True),
    Column("position", Integer, nullable=False),
    Column("name", JSONB, nullable=False),
    Column("intro", JSONB, nullable=False),
    Column("questions", JSONB, nullable=False),
    Column("steps", JSONB, nullable=False),
)

# --- who is signed in ---

account = Table(
    "account",
    metadata,
    _town(),
    Column("account_id", _UUID, primary_key=True),
    Column("login", Text, nullable=False),
    Column("password_hash", Text, nullable=False),
    Column("roles", _TEXTS, nullable=False),
    Column("office", Text),
    Column("failures", Integer, nullable=False),
    Column("locked_until", _TIME),
    Column("version", Integer, nullable=False),
    Column("opened_at", _TIME, nullable=False),
    # What residents and colleagues call a helper, and what they speak. None of others.
    Column("display_name", Text),
    Column("languages", _TEXTS, nullable=False, server_default="{}"),
    Column("closed_at", _TIME),
    UniqueConstraint("municipality", "login"),
)

session_table = Table(
    "session",
    metadata,
    _town(),
    Column("session_id", Text, primary_key=True),
    Column("refresh_hash", LargeBinary, nullable=False),
    Column("kind", Text, nullable=False),
    Column("ref", Text, nullable=False),
    Column("account_id", _UUID),
    # A guest's own items: minted at the first datum.
    Column("subject_ref", _UUID),
    Column("created_at", _TIME, nullable=False),
    Column("expires_at", _TIME, nullable=False),
    Column("ended_at", _TIME),
    CheckConstraint("kind IN ('guest', 'staff', 'helper')", name="kind"),
    UniqueConstraint("municipality", "refresh_hash"),
    Index("session_account_idx", "municipality", "account_id"),
    Index("session_subject_idx", "municipality", "subject_ref", postgresql_where=text("subject_ref IS NOT NULL")),
    ForeignKeyConstraint(
        ["municipality", "account_id"], ["routing.account.municipality", "routing.account.account_id"]
    ),
)

# What a guest said of their situation while comparing channels: codes, for one visit, gone with the session.
situation = Table(
    "situation",
    metadata,
    _town(),
    Column("session_id", Text, primary_key=True),
    Column("until", Text),
    Column("phone", Text),
    Column("needs", _TEXTS, nullable=False),
    Column("told_at", _TIME, nullable=False),
    # No free text: nothing but these answers can be kept.
    CheckConstraint("until IN ('tomorrow', 'week', 'any_day')", name="until"),
    CheckConstraint("phone IN ('alone', 'together', 'none')", name="phone"),
    CheckConstraint("needs <@ ARRAY['step_free', 'sign', 'writing', 'interpreter', 'stay_home']", name="needs"),
    ForeignKeyConstraint(
        ["municipality", "session_id"],
        ["routing.session.municipality", "routing.session.session_id"],
        ondelete="CASCADE",
    ),
)

# Of a guest's family: nobody's name, only in which order they came.
session_person = Table(
    "session_person",
    metadata,
    _town(),
    Column("session_id", Text, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("subject_ref", _UUID, nullable=False),
    CheckConstraint("position BETWEEN 1 AND 9", name="position"),
    UniqueConstraint("municipality", "subject_ref"),
)

# --- cases and the person's own items ---

case_file = Table(
    "case_file",
    metadata,
    _town(),
    Column("case_id", _UUID, primary_key=True),
    Column("procedure", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("guest_ref", Text, nullable=False),
    Column("session_id", Text, nullable=False),
    # How the person came to the staff who began it on their behalf: by phone, or at the desk.
    Column("behalf", Text),
    # The member of the family whose case it is, when it is not the visitor's own.
    Column("acting_for", _UUID),
    Column("subject_ref", _UUID),
    # The keys of the items that this case may use; None until the person has said something.
    Column("items", _TEXTS),
    Column("reach", Text),
    # The contact before it is handed over: sealed with the subject's key, blanked afterwards.
    Column("contact_sealed", LargeBinary),
    Column("contact_commitment", Text),
    Column("contact_given_at", _TIME),
    # What notifications knows the contact by, once it was handed over, and by which approval of this case.
    Column("contact_ref", _UUID),
    Column("contact_approval_id", _UUID),
    # Procedures of a plan that are booked for the same visit as this one, at counters.
    Column("together", _TEXTS, nullable=False, server_default="{}"),
    Column("plan_id", _UUID),
    Column("idempotency_key", _UUID, nullable=False),
    Column("created_at", _TIME, nullable=False),
    Column("updated_at", _TIME, nullable=False),
    Column("version", Integer, nullable=False),
    CheckConstraint("state IN ('opened', 'told', 'handed_over', 'submitted')", name="state"),
    CheckConstraint("reach IN ('email', 'sms', 'none')", name="reach"),
    CheckConstraint("behalf IN ('phone', 'desk')", name="behalf"),
    CheckConstraint("acting_for IS NULL OR (subject_ref = acting_for AND behalf IS NULL)", name="acting_for"),
    CheckConstraint("cardinality(together) <= 9", name="together"),
    UniqueConstraint("municipality", "guest_ref", "idempotency_key"),
    Index("case_file_subject_idx", "municipality", "subject_ref"),
    Index("case_file_created_at_idx", "municipality", "created_at"),
    Index("case_file_updated_at_idx", "municipality", "updated_at"),
)

# What a visitor has to do because of a life event: which procedures follow from the answers, which are not kept.
plan = Table(
    "plan",
    metadata,
    _town(),
    Column("plan_id", _UUID, primary_key=True),
    Column("event", Text, nullable=False),
    Column("guest_ref", Text, nullable=False),
    Column("procedures", _TEXTS, nullable=False),
    Column("idempotency_key", _UUID, nullable=False),
    Column("created_at", _TIME, nullable=False),
    UniqueConstraint("municipality", "guest_ref", "idempotency_key"),
    Index("plan_created_at_idx", "municipality", "created_at"),
)

# A contact that notifications has: where it was typed, and how often what we told of it has changed. No address.
contact = Table(
    "contact",
    metadata,
    _town(),
    Column("contact_ref", _UUID, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("procedure", Text, nullable=False),
    Column("case_id", _UUID, nullable=False),
    Column("step", Text, nullable=False),
    Column("collected_at", _TIME, nullable=False),
)

subject_key = Table(
    "subject_key",
    metadata,
    _town(),
    Column("subject_ref", _UUID, primary_key=True),
    # Destroying it erases everything that it sealed, backups included.
    Column("wrapped_key", LargeBinary, nullable=False),
    Column("made_at", _TIME, nullable=False),
)

item = Table(
    "item",
    metadata,
    _town(),
    Column("subject_ref", _UUID, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
    # Tells whether a value changed without opening it.
    Column("commitment", Text, nullable=False),
    Column("procedure", Text, nullable=False),
    Column("case_id", _UUID, nullable=False),
    Column("step", Text, nullable=False),
    Column("how", Text, nullable=False),
    Column("collected_at", _TIME, nullable=False),
)

# Items that a person wants no other procedure to ask for, from when until when.
reuse_stop = Table(
    "reuse_stop",
    metadata,
    _town(),
    Column("subject_ref", _UUID, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("stopped_at", _TIME, primary_key=True),
    Column("ended_at", _TIME),
    Index(
        "reuse_stop_standing_key", "municipality", "subject_ref", "key", unique=True,
        postgresql_where=text("ended_at IS NULL"),
    ),
)  # fmt: skip

offer = Table(
    "offer",
    metadata,
    _town(),
    Column("offer_id", _UUID, primary_key=True),
    Column("case_id", _UUID, nullable=False),
    # Where the item would be used: handed over to another service, in the case's own online form, or in the form of
    # somebody of the family.
    Column("step", Text, nullable=False, server_default="handover"),
    Column("item", Text, nullable=False),
    # What exactly was offered: another value needs another offer.
    Column("commitment", Text, nullable=False),
    # What for, and by which law, as it was shown and as the ledger says it: another purpose needs another offer. A
    # trigger lets neither this change nor an entry be written that says otherwise.
    Column("purpose", Text, nullable=False),
    Column("legal_basis", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("approval_id", _UUID),
    Column("offered_at", _TIME, nullable=False),
    Column("expires_at", _TIME, nullable=False),
    Column("decided_at", _TIME),
    # In a form an approved item counts as used once for each approval, when the form is kept with it.
    Column("applied_at", _TIME),
    CheckConstraint("state IN ('offered', 'previewed', 'approved', 'declined')", name="state"),
    CheckConstraint("step IN ('handover', 'form', 'family')", name="step"),
    CheckConstraint(
        "(state IN ('approved', 'declined')) = (decided_at IS NOT NULL)"
        " AND (state = 'approved') = (approval_id IS NOT NULL)"
        " AND (state <> 'approved' OR decided_at < expires_at)"
        " AND (applied_at IS NULL OR state = 'approved')",
        name="decided_in_time",
    ),
    Index("offer_case_idx", "municipality", "case_id"),
)

pass_issued = Table(
    "pass_issued",
    metadata,
    _town(),
    Column("pass_id", _UUID, primary_key=True),
    Column("case_id", _UUID, nullable=False),
    Column("items", _TEXTS, nullable=False),
    Column("issued_at", _TIME, nullable=False),
    Column("expires_at", _TIME, nullable=False),
    Column("channel", Text, nullable=False, server_default="counter"),
    # Beyond this, a trigger lets only items through that have an approved offer of this case.
    CheckConstraint("items <@ ARRAY['name', 'kana', 'contact']", name="declared"),
    Index("pass_issued_case_idx", "municipality", "case_id"),
)

# --- online applications (申請) ---

application = Table(
    "application",
    metadata,
    _town(),
    Column("application_id", _UUID, primary_key=True),
    # 受付番号
    Column("number", Text, nullable=False),
    Column("case_id", _UUID, nullable=False),
    Column("procedure", Text, nullable=False),
    Column("office", Text, nullable=False),
    Column("subject_ref", _UUID, nullable=False),
    Column("guest_ref", Text, nullable=False),
    Column("contact_ref", _UUID),
    # A trigger lets only the moves of `domain/applications.py` through, each with the next version.
    Column("state", Text, nullable=False),
    Column("version", Integer, nullable=False),
    # The version of each item as it was sent: what another case corrects later does not change this one.
    Column("items", JSONB, nullable=False),
    # The key of the page that sent it last: sent twice, it is sent once.
    Column("submit_key", _UUID, nullable=False),
    Column("submitted_at", _TIME, nullable=False),
    Column("changed_at", _TIME, nullable=False),
    Column("code_failures", Integer, nullable=False, server_default="0"),
    Column("locked_until", _TIME),
    CheckConstraint(f"state IN {STATES}", name="state"),
    # By when the office decides; empty: no period is set.
    Column("due_at", _TIME),
    # Who works on it: the `ref` of an account.
    Column("assignee", Text),
    # Whether the town asked for two when it was sent; who accepted it last, and who completed it.
    Column("two_persons", Boolean, nullable=False, server_default="false"),
    Column("accepted_by", Text),
    Column("completed_by", Text),
    # Of a refusal: whom an appeal goes to, as the person was told; empty: there is none.
    Column("appeal_to", Text),
    Column("appeal_first", Boolean, nullable=False, server_default="false"),
    CheckConstraint(
        "NOT two_persons OR state <> 'completed' OR (accepted_by IS NOT NULL AND completed_by IS NOT NULL"
        " AND accepted_by <> completed_by)",
        name="two_persons",
    ),
    CheckConstraint("state <> 'refused' OR appeal_to IS NOT NULL", name="appeal_told"),
    Index(
        "application_open_idx",
        "municipality",
        "office",
        "due_at",
        "submitted_at",
        postgresql_where=text("state NOT IN ('completed', 'refused', 'withdrawn')"),
    ),
    UniqueConstraint("municipality", "number"),
    UniqueConstraint("municipality", "case_id"),
    ForeignKeyConstraint(["municipality", "case_id"], ["routing.case_file.municipality", "routing.case_file.case_id"]),
    Index("application_submitted_at_idx", "municipality", "submitted_at"),
)

# The history of an application's states. What the office asks for is an item of the vault; here is its version only.
application_step = Table(
    "application_step",
    metadata,
    _town(),
    Column("application_id", _UUID, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("state", Text, nullable=False),
    Column("occurred_at", _TIME, nullable=False),
    Column("actor_kind", Text, nullable=False),
    Column("office", Text),
    Column("reason_version", Integer),
    ForeignKeyConstraint(
        ["municipality", "application_id"],
        ["routing.application.municipality", "routing.application.application_id"],
    ),
)

application_link = Table(
    "application_link",
    metadata,
    _town(),
    Column("link_hash", LargeBinary, primary_key=True),
    Column("application_id", _UUID, nullable=False),
    Column("issued_at", _TIME, nullable=False),
    ForeignKeyConstraint(
        ["municipality", "application_id"],
        ["routing.application.municipality", "routing.application.application_id"],
    ),
)

# What was gone through of a procedure's checks, and by whom. Sent once more, an application has all of them before it.
application_check = Table(
    "application_check",
    metadata,
    _town(),
    Column("application_id", _UUID, primary_key=True),
    Column("code", Text, primary_key=True),
    Column("ticked_by", Text, nullable=False),
    Column("ticked_at", _TIME, nullable=False),
    ForeignKeyConstraint(
        ["municipality", "application_id"],
        ["routing.application.municipality", "routing.application.application_id"],
    ),
)

# Which office has looked at which case on which day: the person reads that once a day, not for every reload.
office_look = Table(
    "office_look",
    metadata,
    _town(),
    Column("case_id", _UUID, primary_key=True),
    Column("office", Text, primary_key=True),
    # Where: beside the line at the counter, or in the back office.
    Column("step", Text, primary_key=True),
    Column("day", Date, primary_key=True),
)

# --- protected people (秘匿) ---

# Since when, and until when, a person is protected. Who said so is in the audit; why is written nowhere.
protection = Table(
    "protection",
    metadata,
    _town(),
    Column("protection_id", _UUID, primary_key=True),
    Column("subject_ref", _UUID, nullable=False),
    Column("set_at", _TIME, nullable=False),
    # A trigger lets nothing else change, once, and nothing be deleted before the person's key is.
    Column("lifted_at", _TIME),
    CheckConstraint("lifted_at >= set_at", name="lifted_later"),
    Index("protection_now_idx", "municipality", "subject_ref", unique=True, postgresql_where=text("lifted_at IS NULL")),
)

# What was not opened, for whom, on which day: written to the ledger once a day, not for every reload.
refused_look = Table(
    "refused_look",
    metadata,
    _town(),
    Column("case_id", _UUID, primary_key=True),
    Column("item", Text, primary_key=True),
    # The office, or what kind of person it was.
    Column("reader", Text, primary_key=True),
    Column("step", Text, primary_key=True),
    Column("day", Date, primary_key=True),
    Index("refused_look_day_idx", "municipality", "day"),
)

# --- inquiries (問い合わせ) about an entry of the history ---

inquiry = Table(
    "inquiry",
    metadata,
    _town(),
    Column("inquiry_id", _UUID, primary_key=True),
    # 問い合わせ番号
    Column("number", Text, nullable=False),
    Column("entry_id", _UUID, nullable=False),
    Column("subject_ref", _UUID, nullable=False),
    Column("kind", Text, nullable=False),
    # Which office has to answer.
    Column("office", Text, nullable=False),
    # What the entry was about; empty if it says nothing of that.
    Column("procedure", Text, nullable=False),
    # A trigger lets only the moves of `domain/inquiries.py` through, each with the next version.
    Column("state", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("asked_at", _TIME, nullable=False),
    Column("due_at", _TIME, nullable=False),
    Column("changed_at", _TIME, nullable=False),
    CheckConstraint(f"kind IN {INQUIRY_KINDS}", name="kind"),
    CheckConstraint(f"state IN {INQUIRY_STATES}", name="state"),
    UniqueConstraint("municipality", "number"),
    Index(
        "inquiry_one_per_entry_idx",
        "municipality",
        "entry_id",
        "kind",
        unique=True,
        postgresql_where=text("state <> 'closed'"),
    ),
    Index("inquiry_waiting_idx", "municipality", "due_at", postgresql_where=text("state IN ('open', 'asked_again')")),
    Index("inquiry_subject_idx", "municipality", "subject_ref"),
)

# The history of an inquiry's states. What was written is an item of the vault; here is its version only.
inquiry_step = Table(
    "inquiry_step",
    metadata,
    _town(),
    Column("inquiry_id", _UUID, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("state", Text, nullable=False),
    Column("occurred_at", _TIME, nullable=False),
    Column("actor_kind", Text, nullable=False),
    Column("office", Text),
    Column("text_version", Integer),
    ForeignKeyConstraint(
        ["municipality", "inquiry_id"],
        ["routing.inquiry.municipality", "routing.inquiry.inquiry_id"],
    ),
)

# --- projections: what others told us ---

availability = Table(
    "availability",
    metadata,
    _town(),
    Column("counter", Text, primary_key=True),
    Column("earliest_at", _TIME),
    # For procedures with a notice or a horizon of their own, by code.
    Column("own", JSONB, nullable=False, server_default="{}"),
    Column("as_of", _TIME, nullable=False),
    Column("version", Integer, nullable=False),
)

appointment = Table(
    "appointment",
    metadata,
    _town(),
    Column("appointment_id", _UUID, primary_key=True),
    Column("number", Text, nullable=False),
    Column("subject_ref", _UUID),
    Column("case_id", _UUID),
    Column("procedure", Text, nullable=False),
    Column("office", Text, nullable=False),
    Column("counter", Text, nullable=False),
    Column("starts_at", _TIME, nullable=False),
    Column("ends_at", _TIME, nullable=False),
    Column("state", Text, nullable=False),
    Column("helper", Text, nullable=False, server_default="none"),
    # The procedures that are done in it, when there are several: its own first.
    Column("services", _TEXTS, nullable=False, server_default="{}"),
    # A closing covers its time: who has it was `asked` to move, or `staff` are to see to it.
    Column("closure", Text, nullable=False, server_default="none"),
    Column("version", Integer, nullable=False),
    Index("appointment_case_idx", "municipality", "case_id"),
)

reuse = Table(
    "reuse",
    metadata,
    _town(),
    Column("entry_id", _UUID, primary_key=True),
    Column("service", Text, nullable=False),
    Column("occurred_at", _TIME, nullable=False),
    Column("received_at", _TIME, nullable=False),
    Column("entry_type", Text, nullable=False),
    Column("subject_ref", _UUID, nullable=False),
    Column("actor_kind", Text, nullable=False),
    # Of staff and helpers only, for the privacy officer: never shown to residents.
    Column("actor_ref", Text),
    Column("office", Text),
    Column("source_procedure", Text),
    Column("source_step", Text),
    Column("source_collected_at", _TIME),
    Column("target_service", Text, nullable=False),
    Column("target_procedure", Text),
    Column("target_step", Text, nullable=False),
    Column("case_id", _UUID),
    Column("items", _TEXTS, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("legal_basis", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("visibility", Text, nullable=False),
    # The entry as its ledger's chain has it, for the person's receipt.
    Column("canonical", Text),
    Index("reuse_subject_idx", "municipality", "subject_ref", "occurred_at"),
    Index("reuse_occurred_at_idx", "municipality", "occurred_at"),
)

# What each service's ledger came to, day by day: published, and never changed.
checkpoint = Table(
    "checkpoint",
    metadata,
    _town(),
    Column("service", Text, primary_key=True),
    Column("day", Date, primary_key=True),
    Column("tree_size", BigInteger, nullable=False),
    Column("root", Text, nullable=False),
    Column("made_at", _TIME, nullable=False),
)

# --- quality (サービス設計12箇条 第9条): counts without persons, and what people said afterwards ---

# What of a case was counted: each once.
case_course = Table(
    "case_course",
    metadata,
    _town(),
    Column("case_id", _UUID, primary_key=True),
    Column("sent_at", _TIME),
    Column("spared_at", _TIME),
    Column("ended_at", _TIME),
    Column("ended_how", Text),
    CheckConstraint("ended_how IN ('finished', 'given_up')", name="ended_how"),
    CheckConstraint("(ended_at IS NULL) = (ended_how IS NULL)", name="ended"),
)


def _counted() -> list[Any]:
    return [
        # The first day of the month in Japan in which it was counted.
        Column("month", Date, nullable=False),
        Column("procedure", Text, nullable=False),
        Column("channel", Text, nullable=False),
        Column("kind", Text, nullable=False),
        # Of a switch: to which channel, and how far the case had come.
        Column("to_channel", Text, nullable=False, server_default=""),
        Column("step", Text, nullable=False, server_default=""),
        # A bound in minutes (`domain/quality.py: BOUNDS_MIN`); 0: no time.
        Column("took_min", Integer, nullable=False, server_default="0"),
        # How many cases, and of items how many.
        Column("people", Integer, nullable=False, server_default="1"),
        Column("amount", Integer, nullable=False, server_default="0"),
        CheckConstraint(f"kind IN {QUALITY_KINDS}", name="kind"),
        CheckConstraint("month = date_trunc('month', month)", name="month"),
    ]


# Written beside what it counts, without saying whose it was; added up once a day, and gone.
quality_fact = Table(
    "quality_fact",
    metadata,
    _town(),
    Column("fact_id", _UUID, primary_key=True, server_default=text("gen_random_uuid()")),
    *_counted(),
)

quality_count = Table(
    "quality_count",
    metadata,
    Column("municipality", Text, nullable=False),
    *_counted(),
    PrimaryKeyConstraint(
        "municipality", "month", "procedure", "channel", "kind", "to_channel", "step", "took_min",
    ),
)  # fmt: skip

# What a person said after the end of a case: once for each case. Their words are an item of the vault.
feedback = Table(
    "feedback",
    metadata,
    _town(),
    Column("case_id", _UUID, primary_key=True),
    Column("subject_ref", _UUID, nullable=False),
    Column("procedure", Text, nullable=False),
    Column("office", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("ease", Text, nullable=False),
    Column("worked", Boolean, nullable=False),
    Column("text_version", Integer),
    Column("answer_version", Integer),
    # What of it was published: that does not say whose it was.
    Column("voice_id", _UUID),
    Column("version", Integer, nullable=False),
    Column("given_at", _TIME, nullable=False),
    Column("answered_at", _TIME),
    Column("counted_at", _TIME),
    CheckConstraint("ease IN ('easy', 'fair', 'hard')", name="ease"),
    CheckConstraint("(answer_version IS NULL) = (answered_at IS NULL)", name="answered"),
    Index("feedback_given_at_idx", "municipality", "given_at"),
    Index("feedback_subject_idx", "municipality", "subject_ref"),
)

# A published opinion in the words of staff, with the town's answer. Nothing leads from it to a person.
voice = Table(
    "voice",
    metadata,
    _town(),
    Column("voice_id", _UUID, primary_key=True),
    Column("month", Date, nullable=False),
    Column("said", Text, nullable=False),
    Column("answer", Text, nullable=False),
    CheckConstraint("month = date_trunc('month', month)", name="month"),
    Index("voice_month_idx", "municipality", "month"),
)

# What the town made better, written by its managers.
improvement = Table(
    "improvement",
    metadata,
    _town(),
    Column("improvement_id", _UUID, primary_key=True),
    Column("month", Date, nullable=False),
    Column("said", Text, nullable=False),
    CheckConstraint("month = date_trunc('month', month)", name="month"),
    Index("improvement_month_idx", "municipality", "month"),
)

# --- erasure (消去) ---

# Which subjects are erased, by a hash; and the tables that name subjects, which take no erased one (a trigger).
erased_subject = erased_subject_table(metadata)
NAME_SUBJECTS = (
    "session", "session_person", "case_file", "subject_key", "item", "application", "appointment", "reuse",
    "reuse_stop", "protection", "inquiry", "feedback",
)  # fmt: skip

# How far an erasure is: finished when booking and notifications have answered. From then on it names nobody.
erasure = Table(
    "erasure",
    metadata,
    _town(),
    Column("erasure_id", _UUID, primary_key=True),
    # The receipt's number, for whoever asked.
    Column("number", Text, nullable=False),
    # The key of the page that asked: asked twice, it is asked once.
    Column("request_key", _UUID, nullable=False),
    Column("subject_ref", _UUID),
    Column("reason", Text, nullable=False),
    # How often the others were told.
    Column("version", Integer, nullable=False),
    Column("requested_at", _TIME, nullable=False),
    Column("booking_done_at", _TIME),
    Column("notifications_done_at", _TIME),
    Column("finished_at", _TIME),
    UniqueConstraint("municipality", "number"),
    UniqueConstraint("municipality", "request_key"),
    UniqueConstraint("municipality", "subject_ref"),
    CheckConstraint("reason IN ('resident', 'operator', 'retention')", name="reason"),
    CheckConstraint("(finished_at IS NULL) = (subject_ref IS NOT NULL)", name="names_nobody"),
    CheckConstraint(
        "(finished_at IS NOT NULL) = (booking_done_at IS NOT NULL AND notifications_done_at IS NOT NULL)",
        name="all_answered",
    ),
)

# --- what staff and operators did ---

# Unusual reading that a privacy officer has looked into (個人情報保護管理者): written once, and kept.
watch_check = Table(
    "watch_check",
    metadata,
    _town(),
    Column("finding_id", _UUID, primary_key=True),
    Column("rule", Text, nullable=False),
    Column("actor_ref", Text, nullable=False),
    Column("looks", Integer, nullable=False),
    Column("last_at", _TIME, nullable=False),
    Column("checked_at", _TIME, nullable=False),
    Column("checked_by", Text, nullable=False),
)

audit = audit_table(metadata)
