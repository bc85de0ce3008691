"""The services' databases, as the operator's commands open them: with the role of the service, which owns nothing."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime

import asyncpg
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from deploy.secrets import required
from shared.clock import clock_from
from shared.db import Database
from shared.errors import Refusal
from shared.timekeeping import agree_on_time

TOWNS_MAX = 2_000
_TOWNS = text(f"SELECT code FROM town.municipality ORDER BY code LIMIT {TOWNS_MAX}")
_KNOWN = text("SELECT 1 FROM town.municipality WHERE code = :code")


class Unreachable(Exception):
    """A database does not let us in. The message names the variable that says where it is, and never what it says."""


@asynccontextmanager
async def open_database(service: str, environ: Mapping[str, str]) -> AsyncIterator[Database]:
    """One service's database (CHOUDO_<SERVICE>_DATABASE_URL), closed afterwards.

    Raises:
        MissingVariable: the environment does not say which.
        Unreachable: nobody is there, or they do not let us in.
    """
    variable = f"CHOUDO_{service.upper()}_DATABASE_URL"
    url = required(environ, variable)
    try:
        db = Database(url, service=service)
    except (SQLAlchemyError, ValueError) as error:
        raise Unreachable(f"{service}: {variable} is no address of a database") from error
    try:
        try:
            await db.ping()
        except (OSError, TimeoutError, SQLAlchemyError, asyncpg.PostgresError) as error:
            raise Unreachable(
                f"{service}: the database cannot be reached ({variable}; {type(error).__name__})"
            ) from error
        yield db
    finally:
        await db.dispose()


async def time_of(db: Database, environ: Mapping[str, str]) -> datetime:
    """The present, as the processes of this database's service have it."""
    clock = clock_from(environ)
    await agree_on_time(db, clock)
    return clock()


async def require_town(db: Database, code: str) -> None:
    """Raise if no such town was ever loaded.

    Raises:
        Refusal: `no_such_town`.
    """
    async with db.begin_across_towns() as session:
        if (await session.execute(_KNOWN, {"code": code})).one_or_none() is None:
            raise Refusal("no_such_town", 404, town=code)


async def list_towns(db: Database) -> list[str]:
    """The codes of all towns that were loaded."""
    async with db.begin_across_towns() as session:
        return list((await session.execute(_TOWNS)).scalars())


@asynccontextmanager
async def transaction(
    service: str, town: str, environ: Mapping[str, str]
) -> AsyncIterator[tuple[AsyncSession, datetime]]:
    """One transaction of a town at a service's database, and the time there."""
    async with open_database(service, environ) as db:
        now = await time_of(db, environ)
        async with db.begin(town) as session:
            yield session, now
