"""Routing's schema and its column types. The municipality leads every key; row-level security covers a town's rows."""

from sqlalchemy import TIMESTAMP, Column, Text
from sqlalchemy.dialects import postgresql

from shared.db import service_metadata

SERVICE = "routing"
TIME = TIMESTAMP(timezone=True)
UUID = postgresql.UUID(as_uuid=True)
TEXTS = postgresql.ARRAY(Text)

metadata = service_metadata(SERVICE)


def town() -> Column[str]:
    """The first column of every key."""
    return Column("municipality", Text, primary_key=True)
