"""One visit for several procedures: the walks between counters, and what is held for each."""

from sqlalchemy import CheckConstraint, Column, ForeignKeyConstraint, Integer, Table, Text, UniqueConstraint

from services.booking.tables.schema import UUID, metadata

# What the town said of the way between two counters, in either direction.
walk = Table(
    "walk",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("counter", Text, primary_key=True),
    Column("other", Text, primary_key=True),
    Column("minutes", Integer, nullable=False),
    CheckConstraint("minutes BETWEEN 0 AND 120", name="minutes"),
)
# What a visit for several procedures is about. A place that it holds names the errand where others name their visit.
visit_errand = Table(
    "visit_errand",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("visit_id", UUID, primary_key=True),
    Column("errand_no", Integer, primary_key=True),
    Column("errand_id", UUID, nullable=False),
    Column("procedure", Text, nullable=False),
    # Whose place it is that is held for it.
    Column("person", Integer, nullable=False, server_default="1"),
    UniqueConstraint("municipality", "errand_id"),
    UniqueConstraint("municipality", "visit_id", "procedure"),
    ForeignKeyConstraint(
        ["municipality", "visit_id"], ["booking.visit.municipality", "booking.visit.visit_id"], ondelete="CASCADE"
    ),
    CheckConstraint("errand_no BETWEEN 1 AND 10", name="errand_no"),
    CheckConstraint("person BETWEEN 1 AND 3", name="person"),
)
