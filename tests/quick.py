"""What every test would pay for and no test is about: made cheap, or made once in a process.

Nothing here changes what is asked of PostgreSQL or what the product decides. The processes that tests start
(`tests/stack.py`) work as they do for residents.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock
from urllib.parse import unquote, urlsplit

import asyncpg
from argon2 import PasswordHasher
from sqlalchemy import util
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from deploy import provision
from deploy.provision import scram_verifier
from services.routing.commands import accounts
from shared import db

# Every statement of the product, in each of the shapes that tests give it.
STATEMENTS_KEPT = 10_000
# As the product has it, for the test of how costly it is.
PRODUCTS_HASHER = accounts._hasher


@contextmanager
def quick_passwords() -> Iterator[None]:
    """Argon2id with its least costs: a sign-in need not take a tenth of a second of both cores."""
    with mock.patch.object(accounts, "_hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)):
        yield


@contextmanager
def quick_logins_to_the_database() -> Iterator[None]:
    """Passwords of roles that are set meanwhile are checked in one round instead of 4,096, at every connection."""
    with mock.patch.object(provision, "SCRAM_ITERATIONS", 1):
        yield


async def set_password_again(admin_url: str) -> None:
    """The administrator's own password, stored as those of the roles are."""
    parts = urlsplit(admin_url)
    connection = await asyncpg.connect(admin_url)
    try:
        await connection.execute(
            f"ALTER ROLE {parts.username} PASSWORD '{scram_verifier(unquote(parts.password or ''))}'"
        )
    finally:
        await connection.close()


@contextmanager
def statements_compiled_once() -> Iterator[None]:
    """Services' engines of this process share what SQLAlchemy made of a statement, as a service's connections do.

    Every test has an engine of its own, because it has a database of its own: without this, each of them compiles the
    same statements again.
    """
    kept: dict[str, tuple[Any, Any]] = {}

    def create(url: str, **options: Any) -> AsyncEngine:
        engine = create_async_engine(url, **options)
        inner = engine.sync_engine
        service = options["connect_args"]["server_settings"]["search_path"]
        # One that has never met the server does not know its version yet.
        if service not in kept or kept[service][0].server_version_info is None:
            kept[service] = inner.dialect, util.LRUCache(STATEMENTS_KEPT)
        inner.dialect, inner._compiled_cache = kept[service]
        return engine

    with mock.patch.object(db, "create_async_engine", create):
        yield
