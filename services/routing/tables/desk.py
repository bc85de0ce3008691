"""What was prepared at home and is gone through at the counter (書かない窓口): checks, and the person's word for it."""

from sqlalchemy import CheckConstraint, Column, Index, Integer, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB

from services.routing.tables.schema import TIME, UUID, metadata, town

# Which version of an item was gone through with the person, and by whom.
desk_check = Table(
    "desk_check",
    metadata,
    town(),
    Column("case_id", UUID, primary_key=True),
    Column("item", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("ticked_by", Text, nullable=False),
    Column("ticked_at", TIME, nullable=False),
)

# What a person confirmed: the version of each item. A trigger lets none of it change, and another sets `replaced_at`
# when anybody writes another version: at most one stands.
desk_confirmation = Table(
    "desk_confirmation",
    metadata,
    town(),
    Column("confirmation_id", UUID, primary_key=True),
    Column("case_id", UUID, nullable=False),
    Column("items", JSONB, nullable=False),
    Column("how", Text, nullable=False),
    Column("office", Text, nullable=False),
    Column("staff_ref", Text, nullable=False),
    # Of the item `signature`, if they signed on the tablet.
    Column("signature_version", Integer),
    Column("confirmed_at", TIME, nullable=False),
    Column("replaced_at", TIME),
    CheckConstraint("how IN ('tablet', 'paper')", name="how"),
    CheckConstraint("items <> '{}'", name="items"),
    CheckConstraint("signature_version IS NULL OR how = 'tablet'", name="signature"),
    Index(
        "desk_confirmation_standing_key", "municipality", "case_id", unique=True,
        postgresql_where=text("replaced_at IS NULL"),
    ),
    Index("desk_confirmation_case_idx", "municipality", "case_id", "confirmed_at"),
)  # fmt: skip
