"""Slots, and one row for each person whom a slot takes."""

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ExcludeConstraint

from services.booking.tables.schema import TIME, UUID, metadata

# A slot as a box: the number of its counter (53 bits, exact in a float) × its seconds. Ranges, with the counter beside
# them, cost twice as much a row (docs/decisions/0024).
_NUMBER = "(hashtextextended(municipality || '/' || counter, 0) & 9007199254740991)"
_SECOND = "date_part('epoch', {} AT TIME ZONE 'UTC')"
_BOX = f"box(point({_NUMBER}, {_SECOND.format('starts_at')}), point({_NUMBER}, {_SECOND.format('ends_at')} - 1))"

slot = Table(
    "slot",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("slot_id", UUID, primary_key=True),
    Column("counter", Text, nullable=False),
    Column("starts_at", TIME, nullable=False),
    Column("ends_at", TIME, nullable=False),
    Column("capacity", Integer, nullable=False),
    # The rules no longer have it, but somebody is in it: what is still free is not given out.
    Column("withdrawn", Boolean, nullable=False, server_default=text("false")),
    UniqueConstraint("municipality", "slot_id", "capacity"),
    CheckConstraint("starts_at < ends_at", name="times"),
    CheckConstraint("capacity BETWEEN 1 AND 50", name="capacity"),
    CheckConstraint(
        "date_part('second', starts_at AT TIME ZONE 'UTC') = 0 AND date_part('second', ends_at AT TIME ZONE 'UTC') = 0",
        name="whole_minutes",
    ),
    ExcludeConstraint((text(_BOX), "&&"), ("municipality", "="), using="gist", name="slot_no_overlap_excl"),
    Index("slot_municipality_counter_starts_at_idx", "municipality", "counter", "starts_at"),
)
place = Table(
    "place",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("slot_id", UUID, primary_key=True),
    Column("place_no", Integer, primary_key=True),
    Column("capacity", Integer, nullable=False),
    Column("audience", Text, nullable=False),
    Column("hold_id", UUID),
    Column("held_by", Text),
    Column("held_until", TIME),
    # Who holds or held it on the way to `appointment_id`; kept when the hold became an appointment.
    Column("visit_id", UUID),
    Column("appointment_id", UUID),
    # Who needs more time has places one after another at a counter: this is `part` of so many `parts`. A trigger (0021)
    # keeps them together.
    Column("part", SmallInteger, nullable=False, server_default=text("1")),
    Column("parts", SmallInteger, nullable=False, server_default=text("1")),
    # The application's time of the last change: the trigger judges by it whether a hold still lived.
    Column("changed_at", TIME, nullable=False),
    ForeignKeyConstraint(
        ["municipality", "slot_id", "capacity"],
        ["booking.slot.municipality", "booking.slot.slot_id", "booking.slot.capacity"],
        onupdate="CASCADE",
    ),
    ForeignKeyConstraint(
        ["municipality", "appointment_id"],
        ["booking.appointment.municipality", "booking.appointment.appointment_id"],
        use_alter=True,
    ),
    CheckConstraint("place_no BETWEEN 1 AND capacity", name="place_no"),
    # `kiosk`: given out at the ticket machine only. `closed`: at a venue, no helper is there for it (any more).
    # `draw`: given out by a draw, and nobody books past it.
    CheckConstraint("audience IN ('public', 'staff', 'kiosk', 'closed', 'draw')", name="audience"),
    CheckConstraint(
        "(hold_id IS NULL) = (held_until IS NULL) AND (hold_id IS NULL) = (held_by IS NULL)"
        " AND (hold_id IS NULL OR visit_id IS NOT NULL)",
        name="hold_whole",
    ),
    CheckConstraint("appointment_id IS NULL OR hold_id IS NULL", name="one_taker"),
    CheckConstraint("part BETWEEN 1 AND parts AND parts <= 50", name="part"),
    # Only the places that are taken: nobody may look for free ones by it.
    Index(
        "place_one_place_per_appointment_idx",
        "municipality",
        "appointment_id",
        "part",
        unique=True,
        postgresql_where=text("appointment_id IS NOT NULL"),
    ),
    Index(
        "place_one_hold_per_visit_idx",
        "municipality",
        "visit_id",
        "part",
        unique=True,
        postgresql_where=text("hold_id IS NOT NULL"),
    ),
    # Which hold lapses next: of all those of a town, in their order.
    Index("place_next_lapse_idx", "municipality", "held_until", postgresql_where=text("held_until IS NOT NULL")),
)
