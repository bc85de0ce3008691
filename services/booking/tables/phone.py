"""Tickets on the own phone (スマホの番号札): whose browser holds one, and nothing of who that is."""

from sqlalchemy import Boolean, CheckConstraint, Column, ForeignKeyConstraint, Index, LargeBinary, Table, Text, text

from services.booking.tables.schema import TIME, UUID, metadata

phone_ticket = Table(
    "phone_ticket",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("appointment_id", UUID, primary_key=True),
    # A random value in a cookie of the browser that took it, hashed.
    Column("holder_hash", LargeBinary, nullable=False),
    # The counter whose line it was taken for.
    Column("counter", Text, nullable=False),
    Column("taken_at", TIME, nullable=False),
    # Until its holder takes another one there: then this one was over.
    Column("is_open", Boolean, nullable=False, server_default="true"),
    # すぐもどります: once, and until when.
    Column("stepped_out_at", TIME),
    Column("back_at", TIME),
    ForeignKeyConstraint(
        ["municipality", "appointment_id"],
        ["booking.appointment.municipality", "booking.appointment.appointment_id"],
    ),
    CheckConstraint(
        "(stepped_out_at IS NULL) = (back_at IS NULL) AND (back_at IS NULL OR back_at > stepped_out_at)",
        name="stepped_out_whole",
    ),
    # Whatever the application does: one live ticket of a browser at a counter.
    Index(
        "phone_ticket_one_per_counter_idx",
        "municipality",
        "holder_hash",
        "counter",
        unique=True,
        postgresql_where=text("is_open"),
    ),
    # How many were taken of late, and what is old.
    Index("phone_ticket_municipality_taken_at_idx", "municipality", "taken_at"),
)
