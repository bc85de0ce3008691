"""Booking's schema and its column types. The municipality leads every key; row-level security covers a town's rows."""

from sqlalchemy import TIMESTAMP
from sqlalchemy.dialects import postgresql

from shared.db import service_metadata

TIME = TIMESTAMP(timezone=True)
UUID = postgresql.UUID(as_uuid=True)

metadata = service_metadata("booking")
