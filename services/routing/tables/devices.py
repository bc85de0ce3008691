"""A case that goes on at another device (ほかの端末で続ける)."""

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

from services.routing.tables.schema import TIME, UUID, metadata, town

# A link and a code that open one case at one other device, once; and then that device. The code is not stored: it
# follows from `device_id` and the master key.
case_device = Table(
    "case_device",
    metadata,
    town(),
    Column("device_id", UUID, primary_key=True),
    Column("case_id", UUID, nullable=False),
    # Typed together with the code (続きの番号).
    Column("number", Text, nullable=False),
    Column("link_hash", LargeBinary, nullable=False),
    Column("made_at", TIME, nullable=False),
    Column("expires_at", TIME, nullable=False),
    Column("code_failures", Integer, nullable=False, server_default="0"),
    Column("locked_until", TIME),
    # Whose browser opened it: a guest of their own, who has this case and nothing else of the person.
    Column("guest_ref", Text),
    Column("opened_at", TIME),
    Column("ended_at", TIME),
    UniqueConstraint("municipality", "number"),
    UniqueConstraint("municipality", "link_hash"),
    CheckConstraint("(guest_ref IS NULL) = (opened_at IS NULL)", name="opened"),
    CheckConstraint("opened_at < expires_at", name="opened_in_time"),
    ForeignKeyConstraint(["municipality", "case_id"], ["routing.case_file.municipality", "routing.case_file.case_id"]),
    # Of several links made for one case, one counts.
    Index(
        "case_device_waiting_key", "municipality", "case_id", unique=True,
        postgresql_where=text("opened_at IS NULL AND ended_at IS NULL"),
    ),
    Index("case_device_case_idx", "municipality", "case_id"),
    Index("case_device_guest_idx", "municipality", "guest_ref"),
)  # fmt: skip
