"""Cases, the person's own items, and what of them was offered and handed over."""

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

from services.routing.domain.open_pages import PAGE_PATTERN
from services.routing.domain.switching import SAID
from services.routing.tables.schema import TEXTS, TIME, UUID, metadata, town

case_file = Table(
    "case_file",
    metadata,
    town(),
    Column("case_id", UUID, primary_key=True),
    # 案件番号. It opens nothing alone.
    Column("number", Text, nullable=False, server_default=text("routing.new_case_number()")),
    Column("procedure", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("guest_ref", Text, nullable=False),
    Column("session_id", Text, nullable=False),
    # How the person came to the staff who began it on their behalf: by phone, or at the desk.
    Column("behalf", Text),
    # The member of the family whose case it is, when it is not the visitor's own.
    Column("acting_for", UUID),
    Column("subject_ref", UUID),
    # The keys of the items that this case may use; None until the person has said something.
    Column("items", TEXTS),
    # Items of the form that do not apply, by what was answered above them: neither kept nor sent.
    Column("not_asked", TEXTS, nullable=False, server_default="{}"),
    Column("reach", Text),
    # The contact before it is handed over: sealed with the subject's key, blanked afterwards.
    Column("contact_sealed", LargeBinary),
    Column("contact_commitment", Text),
    Column("contact_given_at", TIME),
    # What notifications knows the contact by, once it was handed over, and by which approval of this case.
    Column("contact_ref", UUID),
    Column("contact_approval_id", UUID),
    # Procedures of a plan that are booked for the same visit as this one, at counters.
    Column("together", TEXTS, nullable=False, server_default="{}"),
    Column("plan_id", UUID),
    # Which page its person opened last (`domain/open_pages.py`). No version of the case comes of it.
    Column("open_page", Text),
    Column("idempotency_key", UUID, nullable=False),
    Column("created_at", TIME, nullable=False),
    Column("updated_at", TIME, nullable=False),
    Column("version", Integer, nullable=False),
    CheckConstraint("state IN ('opened', 'told', 'handed_over', 'submitted')", name="state"),
    CheckConstraint("reach IN ('email', 'sms', 'none')", name="reach"),
    CheckConstraint("behalf IN ('phone', 'desk')", name="behalf"),
    CheckConstraint("acting_for IS NULL OR (subject_ref = acting_for AND behalf IS NULL)", name="acting_for"),
    CheckConstraint("cardinality(together) <= 9", name="together"),
    CheckConstraint(f"open_page ~ '{PAGE_PATTERN}'", name="open_page"),
    UniqueConstraint("municipality", "guest_ref", "idempotency_key"),
    UniqueConstraint("municipality", "number"),
    Index("case_file_subject_idx", "municipality", "subject_ref"),
    Index("case_file_created_at_idx", "municipality", "created_at"),
    Index("case_file_updated_at_idx", "municipality", "updated_at"),
)

# How a case went on by another channel: written with each change of its channel, and never changed.
case_switch = Table(
    "case_switch",
    metadata,
    town(),
    Column("case_id", UUID, primary_key=True),
    # The case's version with it: of two at once, one is.
    Column("version", Integer, primary_key=True),
    Column("from_channel", Text, nullable=False),
    Column("to_channel", Text, nullable=False),
    # How far the case had come, and which page of its online form was open.
    Column("step", Text, nullable=False),
    Column("page", Text),
    # The time at a counter that was free first when it was wished for: what the person is asked about.
    Column("counter", Text),
    Column("starts_at", TIME),
    # Who said it; staff name their office.
    Column("said", Text, nullable=False),
    Column("office", Text),
    Column("switched_at", TIME, nullable=False),
    CheckConstraint("from_channel <> to_channel", name="another"),
    CheckConstraint("to_channel IN ('online', 'counter', 'helper')", name="to_channel"),
    CheckConstraint(f"said IN {SAID}", name="said"),
    CheckConstraint(
        "(counter IS NULL) = (starts_at IS NULL) AND (counter IS NULL OR to_channel = 'counter')", name="proposed"
    ),
    CheckConstraint(f"page IS NULL OR page ~ '{PAGE_PATTERN}' AND from_channel = 'online'", name="page"),
    ForeignKeyConstraint(["municipality", "case_id"], ["routing.case_file.municipality", "routing.case_file.case_id"]),
)

# What a visitor has to do because of a life event: which procedures follow from the answers, which are not kept.
plan = Table(
    "plan",
    metadata,
    town(),
    Column("plan_id", UUID, primary_key=True),
    Column("event", Text, nullable=False),
    Column("guest_ref", Text, nullable=False),
    Column("procedures", TEXTS, nullable=False),
    Column("idempotency_key", UUID, nullable=False),
    Column("created_at", TIME, nullable=False),
    UniqueConstraint("municipality", "guest_ref", "idempotency_key"),
    Index("plan_created_at_idx", "municipality", "created_at"),
)

# A contact that notifications has: where it was typed, and how often what we told of it has changed. No address.
contact = Table(
    "contact",
    metadata,
    town(),
    Column("contact_ref", UUID, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("procedure", Text, nullable=False),
    Column("case_id", UUID, nullable=False),
    Column("step", Text, nullable=False),
    Column("collected_at", TIME, nullable=False),
)

subject_key = Table(
    "subject_key",
    metadata,
    town(),
    Column("subject_ref", UUID, primary_key=True),
    # Destroying it erases everything that it sealed, backups included.
    Column("wrapped_key", LargeBinary, nullable=False),
    Column("made_at", TIME, nullable=False),
)

item = Table(
    "item",
    metadata,
    town(),
    Column("subject_ref", UUID, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
    # Tells whether a value changed without opening it.
    Column("commitment", Text, nullable=False),
    Column("procedure", Text, nullable=False),
    Column("case_id", UUID, nullable=False),
    Column("step", Text, nullable=False),
    Column("how", Text, nullable=False),
    Column("collected_at", TIME, nullable=False),
)

# Items that a person wants no other procedure to ask for, from when until when.
reuse_stop = Table(
    "reuse_stop",
    metadata,
    town(),
    Column("subject_ref", UUID, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("stopped_at", TIME, primary_key=True),
    Column("ended_at", TIME),
    Index(
        "reuse_stop_standing_key", "municipality", "subject_ref", "key", unique=True,
        postgresql_where=text("ended_at IS NULL"),
    ),
)  # fmt: skip

offer = Table(
    "offer",
    metadata,
    town(),
    Column("offer_id", UUID, primary_key=True),
    Column("case_id", UUID, nullable=False),
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
    Column("approval_id", UUID),
    Column("offered_at", TIME, nullable=False),
    Column("expires_at", TIME, nullable=False),
    Column("decided_at", TIME),
    # In a form an approved item counts as used once for each approval, when the form is kept with it.
    Column("applied_at", TIME),
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
    town(),
    Column("pass_id", UUID, primary_key=True),
    Column("case_id", UUID, nullable=False),
    Column("items", TEXTS, nullable=False),
    Column("issued_at", TIME, nullable=False),
    Column("expires_at", TIME, nullable=False),
    Column("channel", Text, nullable=False, server_default="counter"),
    # Beyond this, a trigger lets only items through that have an approved offer of this case.
    CheckConstraint("items <@ ARRAY['name', 'kana', 'contact']", name="declared"),
    Index("pass_issued_case_idx", "municipality", "case_id"),
)
