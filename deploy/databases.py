"""The services' databases, as the operator's commands open them: with the role of the service, which owns nothing."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from deploy.secrets import required
from shared.db import Database


@asynccontextmanager
async def open_database(service: str, environ: Mapping[str, str]) -> AsyncIterator[Database]:
    """One service's database (CHOUDO_<SERVICE>_DATABASE_URL), closed afterwards.

    Raises:
        MissingVariable: the environment does not say which.
    """
    db = Database(required(environ, f"CHOUDO_{service.upper()}_DATABASE_URL"), service=service)
    try:
        yield db
    finally:
        await db.dispose()
