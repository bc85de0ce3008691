"""Which town a request is for: told by the host name alone. An unknown host is 404."""

import asyncio
import time

import msgspec
from sqlalchemy import text

from shared.db import Database

REFRESH_INTERVAL_S = 30.0
# A town that was added just now answers soon; scanners with made-up host names do not reach the database each time.
MISS_INTERVAL_S = 1.0
HOST_MAX_LENGTH = 255

_HOSTS = text("""
    SELECT h.host, m.code, m.name_ja FROM town.host h JOIN town.municipality m ON m.code = h.municipality LIMIT 10000
""")


class Town(msgspec.Struct, frozen=True):
    """A municipality (自治体): `code` is its 全国地方公共団体コード, or another text for practice and tests."""

    code: str
    name_ja: str


class TownDirectory:
    """Host → town, read from the global table and kept for half a minute."""

    def __init__(self, db: Database, *, default_municipality: str | None = None) -> None:
        self._db = db
        self._default = default_municipality
        self._by_host: dict[str, Town] = {}
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()

    async def find(self, host: str) -> Town | None:
        """The town of a host name (a port is ignored). With a default town (`make run` only) any other host is its."""
        name = host[:HOST_MAX_LENGTH].lower().rsplit(":", 1)[0] if not host.startswith("[") else host.lower()
        town = self._lookup(name)
        if not self._is_old(town) or (town is not None and self._reading.locked()):
            return town
        # One reads for all who are waiting: in a rush they would take every connection there is.
        async with self._reading:
            if self._is_old(self._lookup(name)):
                await self._read()
        return self._lookup(name)

    def _is_old(self, town: Town | None) -> bool:
        return time.monotonic() - self._read_at > (REFRESH_INTERVAL_S if town else MISS_INTERVAL_S)

    def _lookup(self, name: str) -> Town | None:
        town = self._by_host.get(name)
        if town is None and self._default is not None:
            return next((town for town in self._by_host.values() if town.code == self._default), None)
        return town

    async def _read(self) -> None:
        async with self._db.begin_across_towns() as session:
            rows = (await session.execute(_HOSTS)).all()
        self._by_host = {row.host: Town(row.code, row.name_ja) for row in rows}
        self._read_at = time.monotonic()
