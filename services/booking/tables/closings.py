"""Times that are closed, and places that are kept for those who have to move or wait."""

from sqlalchemy import CheckConstraint, Column, ForeignKeyConstraint, Index, Integer, Table, Text, text
from sqlalchemy.dialects.postgresql import TSTZMULTIRANGE

from services.booking.tables.schema import TIME, UUID, metadata

# Nobody is served then. A trigger (0015) refuses whoever would take a place in a slot that it covers.
closing = Table(
    "closing",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("closing_id", UUID, primary_key=True),
    # None: the whole town.
    Column("counter", Text),
    # One stretch of time, or the same part of several days.
    Column("during", TSTZMULTIRANGE, nullable=False),
    Column("reason", Text, nullable=False),
    # What staff wrote for the residents.
    Column("note_ja", Text),
    Column("closed_at", TIME, nullable=False),
    Column("closed_by", Text, nullable=False),
    Column("reopened_at", TIME),
    Column("reopened_by", Text),
    CheckConstraint("NOT isempty(during) AND NOT lower_inf(during) AND NOT upper_inf(during)", name="during"),
    CheckConstraint("reason IN ('weather', 'power', 'illness', 'other')", name="reason"),
    CheckConstraint("(reopened_at IS NULL) = (reopened_by IS NULL)", name="reopened"),
    Index("closing_live_idx", "municipality", postgresql_where=text("reopened_at IS NULL")),
)
# A place that is kept for the owner of an appointment. In the place itself it is a hold (`hold_id` is the offer's id):
# the trigger that guards holds keeps it. It names no place by a foreign key: one that is over keeps no place.
offered_place = Table(
    "offered_place",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("offer_id", UUID, primary_key=True),
    Column("appointment_id", UUID, nullable=False),
    Column("slot_id", UUID, nullable=False),
    Column("place_no", Integer, nullable=False),
    Column("offered_at", TIME, nullable=False),
    Column("until", TIME, nullable=False),
    Column("state", Text, nullable=False),
    Column("ended_at", TIME),
    # Why it is offered: a closing moves the person, or they wait for an earlier time.
    Column("cause", Text, nullable=False, server_default="closing"),
    # Of the places that are offered to all of an arrival together; and who of it goes there.
    Column("together_id", UUID),
    Column("person", Integer),
    ForeignKeyConstraint(
        ["municipality", "appointment_id"],
        ["booking.appointment.municipality", "booking.appointment.appointment_id"],
    ),
    CheckConstraint("state IN ('open', 'taken', 'lapsed', 'withdrawn', 'declined')", name="state"),
    CheckConstraint("(state = 'open') = (ended_at IS NULL)", name="ended"),
    CheckConstraint("cause IN ('closing', 'waiting')", name="cause"),
    CheckConstraint("(together_id IS NULL) = (person IS NULL)", name="together_whole"),
    Index(
        "offered_place_one_open_idx",
        "municipality",
        "appointment_id",
        unique=True,
        postgresql_where=text("state = 'open'"),
    ),
    # Nobody is offered the same earlier time twice.
    Index(
        "offered_place_once_idx",
        "municipality",
        "appointment_id",
        "slot_id",
        unique=True,
        postgresql_where=text("cause = 'waiting'"),
    ),
)
