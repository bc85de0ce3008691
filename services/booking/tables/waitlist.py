"""Who waits for an earlier time."""

from sqlalchemy import CheckConstraint, Column, Date, ForeignKeyConstraint, Integer, Table, Text
from sqlalchemy.dialects.postgresql import ARRAY

from services.booking.tables.schema import TIME, UUID, metadata

# Who waits for an earlier time than their own: at most once for each appointment, in the order of joining. It is over
# by itself when the appointment is not `booked` any more, has begun, or the last day has passed: whoever reads asks for
# that. A trigger (0018) takes no days after the appointment's own, and no offer of a time that is not earlier.
waiting = Table(
    "waiting",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("appointment_id", UUID, primary_key=True),
    Column("first_day", Date, nullable=False),
    Column("last_day", Date, nullable=False),
    Column("weekdays", ARRAY(Integer), nullable=False),
    Column("part", Text, nullable=False),
    # None: wherever the procedure can be done.
    Column("counter", Text),
    Column("joined_at", TIME, nullable=False),
    ForeignKeyConstraint(
        ["municipality", "appointment_id"],
        ["booking.appointment.municipality", "booking.appointment.appointment_id"],
    ),
    CheckConstraint("first_day <= last_day", name="days"),
    CheckConstraint("cardinality(weekdays) > 0 AND weekdays <@ ARRAY[1, 2, 3, 4, 5, 6, 7]", name="weekdays"),
    CheckConstraint("part IN ('any', 'morning', 'afternoon')", name="part"),
)
