"""Keeping the town packs that were loaded: to take the newest home again, and to tell what another would change."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.queries.packs import find_pack
from services.routing.tables import pack_version


async def keep_pack(session: AsyncSession, municipality: str, files: Mapping[str, str], *, now: datetime) -> int:
    """Keep a pack's texts in the transaction that loads it; return its version. The same again is no new version."""
    # Publishing the catalogue has locked the town's row: of two loads at once, one is here at a time.
    newest = await find_pack(session, municipality)
    if newest is not None and newest.files == files:
        return newest.version
    version = 1 if newest is None else newest.version + 1
    kept = {"municipality": municipality, "version": version, "files": dict(files), "loaded_at": now}
    await session.execute(insert(pack_version).values(kept))
    return version
