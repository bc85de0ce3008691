"""PostgreSQL: one engine per event loop, a transaction where you see `db.begin(...)`, and the town set with it.

Most of what a short transaction costs is not PostgreSQL but the ways there and back and SQLAlchemy's work on each
statement (`docs/decisions/0011`). So a transaction is opened, with its town, in one message, and the statements that
a whole town sends at once are `Prepared`.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, TypeVar

import asyncpg
from sqlalchemy import MetaData, text
from sqlalchemy.dialects.postgresql.asyncpg import dialect
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine

from shared.clock import steady
from shared.faults import pass_step

# Opened as they are needed, and kept: opening one for a single turn costs more than what it is opened for.
POOL_SIZE = 16
# One is kept for looks; a loop, a handler and a sender never wait for each other.
POOL_SIZE_MIN, POOL_SIZE_MAX = 4, 500
POOL_TIMEOUT_S = 5
CONNECT_TIMEOUT_S = 5
STATEMENT_TIMEOUT_MS = 5_000
# For a server that does not answer at all: otherwise the statement's own timeout comes first.
LOOK_TIMEOUT_S = 6
TIME_TOLD_WITHIN_S = 2.0
DISPOSE_WITHIN_S = 2.5
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

DRIVER = "driver"
# In a session's info: its transaction publishes something.
TOLD = "told"
WHEN_COMMITTED = "when_committed"
INTEGRITY_CLASS = "23"
DEADLOCK = "40P01"

T = TypeVar("T")


def call_when_committed(session: AsyncSession, call: Callable[[], None]) -> None:
    """Call once the transaction is committed; never when it is undone, or when nobody knows which of both it is.

    For what this process remembers. What must happen is written in the transaction.
    """
    session.info.setdefault(WHEN_COMMITTED, []).append(call)


def service_metadata(schema: str) -> MetaData:
    """The metadata of a service's own schema, with names that a migration can rely on."""
    return MetaData(schema=schema, naming_convention=NAMING)


class Database:
    """A service's access to its own schema, as a role that sees only the rows of the town it names."""

    def __init__(self, url: str, *, service: str, pool_size: int = POOL_SIZE) -> None:
        self.service = service
        self._lookout: AsyncConnection | None = None
        self._looking = asyncio.Lock()
        self._when_told: Callable[[], None] = lambda: None
        self.engine: AsyncEngine = create_async_engine(
            url.replace("postgresql://", "postgresql+asyncpg://", 1),
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=POOL_TIMEOUT_S,
            pool_use_lifo=True,
            # SQLAlchemy begins nothing by itself: a transaction is begun below, and nowhere else.
            isolation_level="AUTOCOMMIT",
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

    def when_told(self, listener: Callable[[], None]) -> None:
        """Call `listener` after each commit of this process with which something was published."""
        self._when_told = listener

    @asynccontextmanager
    async def begin(self, municipality: str) -> AsyncIterator[AsyncSession]:
        """One transaction that sees one town. Leaving the block commits; raising rolls back."""
        town = municipality.replace("'", "''")
        async with self._transaction(f"BEGIN; SET LOCAL {TOWN_SETTING} = '{town}'") as session:
            yield session

    @asynccontextmanager
    async def begin_across_towns(self) -> AsyncIterator[AsyncSession]:
        """One transaction for the tables without a town's secrets: outbox, delivery, inbox, dead letters, due."""
        async with self._transaction("BEGIN") as session:
            yield session

    @asynccontextmanager
    async def _transaction(self, opening: str) -> AsyncIterator[AsyncSession]:
        async with self.engine.connect() as connection:
            driver = await _live_driver(connection)
            session = AsyncSession(connection, expire_on_commit=False, info={DRIVER: driver})
            try:
                await _send(driver, opening)
                yield session
                pass_step("transaction.written")
                await _commit(driver)
                pass_step("transaction.committed")
                if TOLD in session.info:
                    self._when_told()
                for call in session.info.get(WHEN_COMMITTED, ()):
                    call()
            except BaseException as error:
                await _undo(connection, driver, error)
                raise
            finally:
                if session.in_transaction():
                    await session.close()

    async def look(self, question: str, *values: object) -> bool:
        """The answer to a yes-or-no question about tables without a town; `values` stand for `$1, $2 …`.

        For loops that ask many times a second, mostly to hear no. On a connection kept for it, past transaction, pool
        and SQLAlchemy, a look costs a fifth of the processor time of `begin_across_towns`.
        """
        async with self._looking:
            if self._lookout is None:
                self._lookout = await self.engine.connect()
            try:
                connection = (await self._lookout.get_raw_connection()).driver_connection
                assert connection is not None
                return bool(await connection.fetchval(question, *values, timeout=LOOK_TIMEOUT_S))
            except BaseException:
                # Whatever it was, or cancelled half-way: the next look begins with a new connection.
                await self._stop_looking()
                raise

    @asynccontextmanager
    async def listen(self, channel: str, heard: Callable[[str], None]) -> AsyncIterator[asyncio.Event]:
        """Call `heard` with each text that is notified on the channel, on a connection kept for it.

        Gives the event that tells that the connection was lost: from then on nothing is heard.
        """
        async with self.engine.connect() as connection:
            driver = await _live_driver(connection)
            lost = asyncio.Event()
            driver.add_termination_listener(lambda _: lost.set())
            try:
                try:
                    await driver.add_listener(channel, lambda _connection, _pid, _channel, told: heard(told))
                except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                    raise _as_sqlalchemy(error, "LISTEN", driver) from error
                yield lost
            finally:
                # In the pool it would go on listening.
                await connection.invalidate()

    async def tell_time(self) -> tuple[datetime, float, float]:
        """The database's time, and between which moments of the steady clock it was so.

        Raises:
            TimeoutError: no answer within `TIME_TOLD_WITHIN_S`, however long a connection may hang.
        """
        async with asyncio.timeout(TIME_TOLD_WITHIN_S), self.engine.connect() as connection:
            asked_at = steady()
            told: datetime = (await connection.execute(text("SELECT clock_timestamp()"))).scalar_one()
            return told, asked_at, steady()

    async def ping(self) -> None:
        """Raise if the database does not answer."""
        async with self.engine.connect() as connection:
            await connection.execute(text("SELECT 1"))

    async def dispose(self) -> None:
        """Close every connection. Call it on the loop that used them.

        A server that does not answer is not waited for: the connections end with the process.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DISPOSE_WITHIN_S):
                await self._stop_looking()
                await self.engine.dispose()

    async def _stop_looking(self) -> None:
        connection, self._lookout = self._lookout, None
        if connection is not None:
            await connection.invalidate()
            await connection.close()


def is_deadlock(error: BaseException) -> bool:
    """Whether two transactions waited for each other, and this is the one that PostgreSQL undid."""
    return isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) == DEADLOCK


async def again_after_deadlock(work: Callable[[], Awaitable[T]]) -> T:
    """Do the work, which is one transaction, and once more after a deadlock: the other has gone on meanwhile."""
    try:
        return await work()
    except DBAPIError as error:
        if not is_deadlock(error):
            raise
    return await work()


class Prepared:
    """A statement of a hot path, put together once and sent by the driver, in the transaction of a session.

    Parameters are named as in `text`. It fails as SQLAlchemy does: with `DBAPIError`, or `IntegrityError`.
    """

    def __init__(self, sql: str) -> None:
        compiled = text(sql).compile(dialect=dialect())  # type: ignore[no-untyped-call]  # as SQLAlchemy leaves it
        self.sql = compiled.string
        self.names: tuple[str, ...] = tuple(compiled.positiontup or ())

    async def row(self, session: AsyncSession, values: Mapping[str, Any]) -> Any:
        """Send it; its first row, with a column's value under the column's name, or None."""
        rows = await self.rows(session, values)
        return rows[0] if rows else None

    async def rows(self, session: AsyncSession, values: Mapping[str, Any]) -> Sequence[Any]:
        """Send it; all its rows."""
        driver = session.info[DRIVER]
        try:
            found: Sequence[Any] = await driver.fetch(
                self.sql, *[values[name] for name in self.names], record_class=_Row
            )
        except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise _as_sqlalchemy(error, self.sql, driver) from error
        return found


class _Row(asyncpg.Record):  # type: ignore[misc]  # asyncpg publishes no types
    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


async def _live_driver(connection: AsyncConnection) -> Any:
    """The driver's connection; another one if PostgreSQL has closed it while it lay in the pool."""
    driver: Any = (await connection.get_raw_connection()).driver_connection
    if not driver.is_closed():
        return driver
    await connection.invalidate()
    return (await connection.get_raw_connection()).driver_connection


async def _send(driver: Any, command: str) -> str:
    try:
        done: str = await driver.execute(command)
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise _as_sqlalchemy(error, command, driver) from error
    return done


async def _commit(driver: Any) -> None:
    # PostgreSQL answers COMMIT with ROLLBACK, and no error, when a statement failed and somebody went on regardless.
    if await _send(driver, "COMMIT") != "COMMIT":
        raise RuntimeError("a statement had failed, so nothing was committed")


async def _undo(connection: AsyncConnection, driver: Any, error: BaseException) -> None:
    """Roll back; a connection that cannot, or was left in the middle of a statement, is thrown away."""
    if not isinstance(error, Exception):
        await connection.invalidate()
        return
    try:
        await driver.execute("ROLLBACK")
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        await connection.invalidate()
    except BaseException:
        # Cancelled in the middle of it: in the pool, the next transaction would find itself in this one.
        await connection.invalidate()
        raise


def _as_sqlalchemy(error: Exception, sql: str, driver: Any) -> DBAPIError:
    is_integrity = str(getattr(error, "sqlstate", "")).startswith(INTEGRITY_CLASS)
    kind = IntegrityError if is_integrity else DBAPIError
    return kind(sql, None, error, hide_parameters=True, connection_invalidated=driver.is_closed())


def row_level_security(schema: str, table: str) -> list[str]:
    """The statements of a migration that let the application's role see only the town of its transaction."""
    town = f"municipality = current_setting('{TOWN_SETTING}', true)"
    return [
        f"ALTER TABLE {schema}.{table} ENABLE ROW LEVEL SECURITY",
        f"CREATE POLICY town ON {schema}.{table} USING ({town}) WITH CHECK ({town})",
    ]
