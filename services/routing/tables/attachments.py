"""Attached files (添付), sealed with their person's key. They live as long as a version of an item lists them."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
)

from services.routing.domain.attachments import FILES_PER_CASE_MAX
from services.routing.tables.schema import TIME, UUID, metadata, town

attachment = Table(
    "attachment",
    metadata,
    town(),
    Column("file_id", UUID, primary_key=True),
    # Where it was given.
    Column("case_id", UUID, nullable=False),
    # Its place among the case's files; empty once it was taken out and only what was sent still lists it.
    Column("slot", SmallInteger),
    # The key of the form that brought it: sent twice, it is there once.
    Column("send_key", UUID, nullable=False),
    Column("kind", Text, nullable=False),
    Column("size_bytes", Integer, nullable=False),
    Column("pages", Integer, nullable=False),
    Column("hash", Text, nullable=False),
    # What the person calls it and its SHA-256; and its small picture.
    Column("sealed_about", LargeBinary, nullable=False),
    Column("sealed_small", LargeBinary),
    Column("stored_at", TIME, nullable=False),
    CheckConstraint("kind IN ('jpeg', 'pdf')", name="kind"),
    CheckConstraint(f"slot BETWEEN 1 AND {FILES_PER_CASE_MAX}", name="slot"),
    UniqueConstraint("municipality", "case_id", "slot"),
    UniqueConstraint("municipality", "case_id", "send_key"),
)

attachment_chunk = Table(
    "attachment_chunk",
    metadata,
    town(),
    Column("file_id", UUID, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
    ForeignKeyConstraint(
        ["municipality", "file_id"],
        ["routing.attachment.municipality", "routing.attachment.file_id"],
        ondelete="CASCADE",
    ),
)

# Which version of an item lists which files. It goes with the version; with the last of a file's, a trigger takes the
# file.
attachment_use = Table(
    "attachment_use",
    metadata,
    town(),
    Column("subject_ref", UUID, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("position", SmallInteger, primary_key=True),
    Column("file_id", UUID, nullable=False),
    ForeignKeyConstraint(
        ["municipality", "subject_ref", "key", "version"],
        ["routing.item.municipality", "routing.item.subject_ref", "routing.item.key", "routing.item.version"],
        ondelete="CASCADE",
    ),
    ForeignKeyConstraint(
        ["municipality", "file_id"], ["routing.attachment.municipality", "routing.attachment.file_id"]
    ),
    Index("attachment_use_file_idx", "municipality", "file_id"),
)
