"""What keeps order: who is erased, what was looked into, and the audit."""

from sqlalchemy import CheckConstraint, Column, Integer, Table, Text, UniqueConstraint

from services.routing.tables.schema import TIME, UUID, metadata, town
from shared.audit import audit_table
from shared.erasure import erased_subject_table

# Which subjects are erased, by a hash; and the tables that name subjects, which take no erased one (a trigger).
erased_subject = erased_subject_table(metadata)
NAME_SUBJECTS = (
    "session", "session_person", "case_file", "subject_key", "item", "application", "appointment", "reuse",
    "reuse_stop", "protection", "inquiry", "feedback", "attachment_use",
)  # fmt: skip

# How far an erasure is: finished when booking and notifications have answered. From then on it names nobody.
erasure = Table(
    "erasure",
    metadata,
    town(),
    Column("erasure_id", UUID, primary_key=True),
    # The receipt's number, for whoever asked.
    Column("number", Text, nullable=False),
    # The key of the page that asked: asked twice, it is asked once.
    Column("request_key", UUID, nullable=False),
    Column("subject_ref", UUID),
    Column("reason", Text, nullable=False),
    # How often the others were told.
    Column("version", Integer, nullable=False),
    Column("requested_at", TIME, nullable=False),
    Column("booking_done_at", TIME),
    Column("notifications_done_at", TIME),
    Column("finished_at", TIME),
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

# Unusual reading that a privacy officer has looked into (個人情報保護管理者): written once, and kept.
watch_check = Table(
    "watch_check",
    metadata,
    town(),
    Column("finding_id", UUID, primary_key=True),
    Column("rule", Text, nullable=False),
    Column("actor_ref", Text, nullable=False),
    Column("looks", Integer, nullable=False),
    Column("last_at", TIME, nullable=False),
    Column("checked_at", TIME, nullable=False),
    Column("checked_by", Text, nullable=False),
)

audit = audit_table(metadata)
