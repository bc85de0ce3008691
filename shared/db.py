"""PostgreSQL: one engine per event loop, a transaction where you see `db.begin(...)`, and the town set with it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import MetaData, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

POOL_SIZE = 8
POOL_OVERFLOW = 8
POOL_TIMEOUT_S = 5
CONNECT_TIMEOUT_S = 5
STATEMENT_TIMEOUT_MS = 5_000
LOCK_TIMEOUT_MS = 3_000
IDLE_IN_TRANSACTION_TIMEOUT_MS = 15_000

TOWN_SETTING = "choudo.municipality"

NAMING = {
    "pk": "%(table_name)s_pkey",
    "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
    "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    "uq": "%(table_name)s_%(column_0_N_name)s_key",
    "ck": "%(table_name)s_%(constraint_name)s_check",
}

_SET_TOWN = text(f"SELECT set_config('{TOWN_SETTING}', :municipality, true)")


def service_metadata(schema: str) -> MetaData:
    """The metadata of a service's own schema, with names that a migration can rely on."""
    return MetaData(schema=schema, naming_convention=NAMING)


class Database:
    """A service's access to its own schema, as a role that sees only the rows of the town it names."""

    def __init__(self, url: str, *, service: str, pool_size: int = POOL_SIZE, overflow: int = POOL_OVERFLOW) -> None:
        self.service = service
        self.engine: AsyncEngine = create_async_engine(
            url.replace("postgresql://", "postgresql+asyncpg://", 1),
            pool_size=pool_size,
            max_overflow=overflow,
            pool_timeout=POOL_TIMEOUT_S,
            pool_use_lifo=True,
            # An error's text must never hold what a person typed.
            hide_parameters=True,
            connect_args={
                "timeout": CONNECT_TIMEOUT_S,
                "server_settings": {
                    "application_name": f"choudo-{service}",
                    "search_path": service,
                    "timezone": "UTC",
                    "statement_timeout": str(STATEMENT_TIMEOUT_MS),
                    "lock_timeout": str(LOCK_TIMEOUT_MS),
                    "idle_in_transaction_session_timeout": str(IDLE_IN_TRANSACTION_TIMEOUT_MS),
                },
            },
        )

    @asynccontextmanager
    async def begin(self, municipality: str) -> AsyncIterator[AsyncSession]:
        """One transaction that sees one town. Leaving the block commits; raising rolls back."""
        async with AsyncSession(self.engine, expire_on_commit=False) as session, session.begin():
            await session.execute(_SET_TOWN, {"municipality": municipality})
            yield session

    @asynccontextmanager
    async def begin_across_towns(self) -> AsyncIterator[AsyncSession]:
        """One transaction for the tables without a town's secrets: outbox, delivery, inbox, dead letters, due."""
        async with AsyncSession(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    async def ping(self) -> None:
        """Raise if the database does not answer."""
        async with self.engine.connect() as connection:
            await connection.execute(text("SELECT 1"))

    async def dispose(self) -> None:
        """Close every connection. Call it on the loop that used them."""
        await self.engine.dispose()


def row_level_security(schema: str, table: str) -> list[str]:
    """The statements of a migration that let the application's role see only the town of its transaction."""
    town = f"municipality = current_setting('{TOWN_SETTING}', true)"
    return [
        f"ALTER TABLE {schema}.{table} ENABLE ROW LEVEL SECURITY",
        f"CREATE POLICY town ON {schema}.{table} USING ({town}) WITH CHECK ({town})",
    ]
