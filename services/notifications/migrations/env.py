"""Alembic's entry: see `shared/migrations_env.py`."""

from services.notifications.tables import metadata
from shared.migrations_env import run_migrations

run_migrations("notifications", metadata)
