"""Alembic's entry for booking."""

from services.booking.tables import metadata
from shared.migrations_env import run_migrations

run_migrations("booking", metadata)
