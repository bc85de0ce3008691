"""What routing's catalogue says of the town, its procedures and counters."""

from sqlalchemy import Boolean, CheckConstraint, Column, Integer, Table, Text, text
from sqlalchemy.dialects.postgresql import ARRAY

from services.booking.tables.schema import metadata

town_facts = Table(
    "town_facts",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("name_ja", Text, nullable=False),
    Column("phone", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("address_ja", Text, nullable=False, server_default=""),
    Column("version", Integer, nullable=False),
)
procedure = Table(
    "procedure",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("code", Text, primary_key=True),
    Column("name_ja", Text, nullable=False),
    Column("office", Text, nullable=False),
    Column("counters", ARRAY(Text), nullable=False),
    Column("minutes", Integer, nullable=False),
    Column("discreet", Boolean, nullable=False),
    # A helper may go through it with the resident: it can be booked at every venue.
    Column("with_helper", Boolean, nullable=False, server_default=text("false")),
    # What to bring, in Japanese, and what it costs: printed on the slip.
    Column("bring", ARRAY(Text), nullable=False, server_default="{}"),
    Column("fee_yen", Integer, nullable=False, server_default="0"),
    # Its own notice and horizon; NULL: the town's.
    Column("notice_min", Integer),
    Column("horizon_days", Integer),
    # How many of it are done in one appointment at most, what each more takes, and how they are counted (人分, 通).
    Column("quantity_max", Integer, nullable=False, server_default=text("1")),
    Column("more_min", Integer, nullable=False, server_default=text("0")),
    Column("unit", Text, nullable=False, server_default=""),
    # What comes first, where both are to be done.
    Column("after", ARRAY(Text), nullable=False, server_default="{}"),
    # Its reading, by which it is found at the ticket machine.
    Column("name_kana", Text, nullable=False, server_default=""),
    Column("version", Integer, nullable=False),
    CheckConstraint("notice_min >= 0", name="notice_min"),
    CheckConstraint("horizon_days >= 1", name="horizon_days"),
    CheckConstraint("quantity_max BETWEEN 1 AND 20 AND more_min >= 0", name="quantity"),
)
topic = Table(
    "topic",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("code", Text, primary_key=True),
    Column("name_ja", Text, nullable=False),
    Column("version", Integer, nullable=False),
)
counter = Table(
    "counter",
    metadata,
    Column("municipality", Text, primary_key=True),
    Column("code", Text, primary_key=True),
    Column("number", Text, nullable=False),
    Column("name_ja", Text, nullable=False),
    Column("office", Text, nullable=False),
    Column("place_ja", Text, nullable=False),
    Column("kind", Text, nullable=False, server_default="counter"),
    # By which means a fee is paid there; empty: the town has not told.
    Column("payment", ARRAY(Text), nullable=False, server_default="{}"),
    # Where a venue is, in degrees as the town writes them; empty: it has not told.
    Column("latitude", Text, nullable=False, server_default=""),
    Column("longitude", Text, nullable=False, server_default=""),
    Column("version", Integer, nullable=False),
    CheckConstraint("(latitude = '') = (longitude = '')", name="located"),
)
