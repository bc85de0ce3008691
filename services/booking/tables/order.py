"""What keeps order: versions of what was told, answered requests, the audit, and who is erased."""

from sqlalchemy import Column, Index, Integer, LargeBinary, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from services.booking.tables.schema import TIME, metadata
from shared.audit import audit_table
from shared.erasure import erased_subject_table

counter_version = Table(
    "counter_version",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("counter", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("earliest_at", TIME),
    # For procedures with a notice or a horizon of their own, by code.
    Column("own", JSONB, nullable=False, server_default="{}"),
    Column("published_at", TIME, nullable=False),
)
idempotency = Table(
    "idempotency",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("owner", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("request_hash", LargeBinary, nullable=False),
    Column("response", JSONB),
    Column("created_at", TIME, nullable=False),
    Index("idempotency_municipality_created_at_idx", "municipality", "created_at"),
)
# Which subjects are erased, by a hash; and the tables that name subjects, which take no erased one (a trigger).
erased_subject = erased_subject_table(metadata)
NAME_SUBJECTS = ("subject_key", "visit", "appointment", "draw_entry", "course_entry", "help_request")
audit = audit_table(metadata)
