"""Which town a request is for: told by the host name alone. An unknown host is 404."""

import asyncio
import time

import msgspec
from sqlalchemy import text

from shared.db import Database
from shared.log import describe, get_logger
from shared.practice import is_practice

log = get_logger(__name__)

REFRESH_INTERVAL_S = 30.0
# A town that was added just now answers soon; scanners with made-up host names do not reach the database each time.
MISS_INTERVAL_S = 1.0
RETRY_INTERVAL_S = 1.0
# Its address leads to a fresh one soon after staff began anew.
PRACTICE_REFRESH_INTERVAL_S = 2.0
HOST_MAX_LENGTH = 255

_HOSTS = text("""
    SELECT h.host, m.code, m.name_ja, m.phone
    FROM town.host h JOIN town.municipality m ON m.code = h.municipality LIMIT 10000
""")


class Town(msgspec.Struct, frozen=True):
    """A municipality (自治体): `code` is its 全国地方公共団体コード, or another text for practice and tests.

    `phone` is where somebody calls who is stuck. It is here, known before any page begins, so that an error page has it
    without asking for anything.
    """

    code: str
    name_ja: str
    phone: str = ""


class TownDirectory:
    """Host → town, read from the global table and kept for half a minute."""

    def __init__(self, db: Database, *, default_municipality: str | None = None) -> None:
        self._db = db
        self._default = default_municipality
        self._by_host: dict[str, Town] = {}
        self._read_at = self._failed_at = float("-inf")
        self._reading = asyncio.Lock()

    async def find(self, host: str) -> Town | None:
        """The town of a host name (a port is ignored). With a default town (`make run` only) any other host is its."""
        name = _name(host)
        town = self._lookup(name)
        if not self._is_old(town) or (town is not None and self._reading.locked()):
            return town
        # One reads for all who are waiting: in a rush they would take every connection there is.
        async with self._reading:
            if self._is_old(self._lookup(name)):
                await self._read_again(name)
        return self._lookup(name)

    async def prepare(self) -> None:
        """Read the list before anybody asks, if the database is there already."""
        try:
            await self._read()
        except Exception as error:  # noqa: BLE001 - whatever it is, the first visitor asks again
            log.warning("towns_unread", **describe(error))

    def recall(self, host: str) -> Town | None:
        """The town of a host name as it was last read: asks nobody, so that an error page can."""
        return self._lookup(_name(host))

    async def _read_again(self, name: str) -> None:
        try:
            await self._read()
        except Exception as error:  # whatever it is, it is no reason to forget a town
            if self._lookup(name) is None:
                raise
            # The database is away: the page that says so still has the town's name and phone number.
            log.warning("towns_unread", **describe(error))
            self._failed_at = time.monotonic()

    def _is_old(self, town: Town | None) -> bool:
        now = time.monotonic()
        if town is None:
            return now - self._read_at > MISS_INTERVAL_S
        interval = PRACTICE_REFRESH_INTERVAL_S if is_practice(town.code) else REFRESH_INTERVAL_S
        return now - self._read_at > interval and now - self._failed_at > RETRY_INTERVAL_S

    def _lookup(self, name: str) -> Town | None:
        town = self._by_host.get(name)
        if town is None and self._default is not None:
            return next((town for town in self._by_host.values() if town.code == self._default), None)
        return town

    async def _read(self) -> None:
        async with self._db.begin_across_towns() as session:
            rows = (await session.execute(_HOSTS)).all()
        self._by_host = {row.host: Town(row.code, row.name_ja, row.phone) for row in rows}
        self._read_at = time.monotonic()


def _name(host: str) -> str:
    return host[:HOST_MAX_LENGTH].lower().rsplit(":", 1)[0] if not host.startswith("[") else host.lower()
