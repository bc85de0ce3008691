"""Inquiries (問い合わせ) about an entry of the history."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from services.routing.domain.inquiries import KINDS as INQUIRY_KINDS
from services.routing.domain.inquiries import STATES as INQUIRY_STATES
from services.routing.tables.schema import TIME, UUID, metadata, town

inquiry = Table(
    "inquiry",
    metadata,
    town(),
    Column("inquiry_id", UUID, primary_key=True),
    # 問い合わせ番号
    Column("number", Text, nullable=False),
    Column("entry_id", UUID, nullable=False),
    Column("subject_ref", UUID, nullable=False),
    Column("kind", Text, nullable=False),
    # Which office has to answer.
    Column("office", Text, nullable=False),
    # What the entry was about; empty if it says nothing of that.
    Column("procedure", Text, nullable=False),
    # A trigger lets only the moves of `domain/inquiries.py` through, each with the next version.
    Column("state", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("asked_at", TIME, nullable=False),
    Column("due_at", TIME, nullable=False),
    Column("changed_at", TIME, nullable=False),
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
    town(),
    Column("inquiry_id", UUID, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("state", Text, nullable=False),
    Column("occurred_at", TIME, nullable=False),
    Column("actor_kind", Text, nullable=False),
    Column("office", Text),
    Column("text_version", Integer),
    ForeignKeyConstraint(
        ["municipality", "inquiry_id"],
        ["routing.inquiry.municipality", "routing.inquiry.inquiry_id"],
    ),
)
