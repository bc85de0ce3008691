"""The town pack as it is edited on pages: every save of it, where the editing stands, and what is to be published."""

from sqlalchemy import CheckConstraint, Column, ForeignKeyConstraint, Index, Integer, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB

from services.routing.tables.schema import TIME, UUID, metadata, town

# A draft's texts after each save, written once. `parent` is the save that it was made from.
pack_save = Table(
    "pack_save",
    metadata,
    town(),
    Column("save", Integer, primary_key=True),
    Column("parent", Integer),
    Column("files", JSONB, nullable=False),
    # What it changed, as `shared/town_pack/difference.py` says it.
    Column("changes", JSONB, nullable=False),
    Column("deed", Text, nullable=False),
    Column("saved_by", Text, nullable=False),
    Column("saved_at", TIME, nullable=False),
    CheckConstraint("deed IN ('begin', 'edit', 'back', 'merge')", name="deed"),
    CheckConstraint("parent < save", name="parent"),
    ForeignKeyConstraint(["municipality", "parent"], ["routing.pack_save.municipality", "routing.pack_save.save"]),
)

# Which save the editing stands at: undone or done again, it goes back and forth; whoever saves holds this row.
pack_draft = Table(
    "pack_draft",
    metadata,
    town(),
    Column("at", Integer, nullable=False),
    # The published version that its changes are meant for: with a newer one, they are to be merged first.
    Column("base", Integer, nullable=False),
    ForeignKeyConstraint(["municipality", "at"], ["routing.pack_save.municipality", "routing.pack_save.save"]),
    ForeignKeyConstraint(
        ["municipality", "base"], ["routing.pack_version.municipality", "routing.pack_version.version"]
    ),
)

# A save that a manager wants published. Only the operator's command may do it (`choudo town publish`).
pack_order = Table(
    "pack_order",
    metadata,
    town(),
    Column("order_id", UUID, primary_key=True),
    Column("save", Integer, nullable=False),
    # The newest version when it was wanted: with another one meanwhile, something else would go live than was seen.
    Column("base", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("ordered_by", Text, nullable=False),
    Column("ordered_at", TIME, nullable=False),
    Column("ended_at", TIME),
    CheckConstraint("state IN ('waiting', 'published', 'overtaken', 'failed', 'called_off')", name="state"),
    CheckConstraint("(state = 'waiting') = (ended_at IS NULL)", name="ended"),
    ForeignKeyConstraint(["municipality", "save"], ["routing.pack_save.municipality", "routing.pack_save.save"]),
    ForeignKeyConstraint(
        ["municipality", "base"], ["routing.pack_version.municipality", "routing.pack_version.version"]
    ),
    Index("pack_order_waiting_key", "municipality", unique=True, postgresql_where=text("state = 'waiting'")),
)
