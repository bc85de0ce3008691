"""What was delivered at the counters, and what was paid for it. A row counts unless its step was taken back."""

from sqlalchemy import Boolean, CheckConstraint, Column, Date, ForeignKeyConstraint, Index, Integer, Table, Text, text

from services.booking.tables.schema import TIME, UUID, metadata


def _of_step() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(
        ["municipality", "appointment_id", "version"],
        [
            "booking.line_step.municipality",
            "booking.line_step.appointment_id",
            "booking.line_step.version",
        ],
    )


# A procedure that was done for somebody. `version`: that of the step `done` that says so.
delivered = Table(
    "delivered",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("appointment_id", UUID, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("procedure", Text, primary_key=True),
    Column("quantity", Integer, nullable=False),
    Column("handed", Text, nullable=False),
    _of_step(),
    CheckConstraint("quantity BETWEEN 1 AND 99", name="quantity"),
    CheckConstraint("handed IN ('counter', 'online', 'post')", name="handed"),
)
# What was paid at the end of it: never anything of a card.
payment = Table(
    "payment",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("appointment_id", UUID, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("day", Date, nullable=False),
    Column("counter", Text, nullable=False),
    Column("office", Text, nullable=False),
    Column("amount_yen", Integer, nullable=False),
    Column("means", Text, nullable=False),
    # Of the town's till; empty: it gives none.
    Column("receipt_no", Text, nullable=False),
    Column("taken_at", TIME, nullable=False),
    # Follows its step (a trigger, 0035).
    Column("is_undone", Boolean, nullable=False, server_default="false"),
    _of_step(),
    CheckConstraint("amount_yen BETWEEN 1 AND 999999", name="amount"),
    CheckConstraint("means IN ('cash', 'credit', 'ic_card', 'code', 'invoice')", name="means"),
    CheckConstraint("receipt_no ~ '^([0-9A-Z][0-9A-Z-]{0,11})?$'", name="receipt"),
    # A receipt is for one payment.
    Index(
        "payment_receipt_idx",
        "municipality",
        "counter",
        "day",
        "receipt_no",
        unique=True,
        postgresql_where=text("receipt_no <> '' AND NOT is_undone"),
    ),
    Index("payment_municipality_day_idx", "municipality", "day"),
)
