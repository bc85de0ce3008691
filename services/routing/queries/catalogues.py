"""The catalogues of the towns that were asked for, each with the index for its search, made once for each version."""

import asyncio
from collections import OrderedDict, defaultdict
from typing import Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.domain.search import SearchIndex
from services.routing.queries.catalogue import list_procedures
from services.routing.tables import catalogue
from shared.errors import Refusal

# Of all towns together. A procedure with its words takes about 7 kB.
KEPT_PROCEDURES_MAX: Final = 10_000

Version = tuple[int, str]


class Catalogues:
    """What was read of the newest catalogues, in memory. What was not asked for longest goes first."""

    def __init__(self, kept_max: int = KEPT_PROCEDURES_MAX) -> None:
        self._kept_max = kept_max
        self._kept: OrderedDict[str, tuple[Version, SearchIndex]] = OrderedDict()
        # A town's own: nobody waits for another town's.
        self._making: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def read(self, session: AsyncSession, municipality: str) -> SearchIndex:
        """A town's procedures as they are offered now, in the town's order, ready to be searched.

        Raises:
            Refusal: `catalogue_missing` (503): no town pack was loaded yet.
        """
        row = (
            await session.execute(
                select(catalogue.c.version, catalogue.c.content_hash).where(catalogue.c.municipality == municipality)
            )
        ).one_or_none()
        if row is None:
            raise Refusal("catalogue_missing", 503)
        version = (row.version, row.content_hash)
        if (kept := self._find(municipality, version)) is not None:
            return kept
        making = self._making[municipality]
        if making.locked() and municipality in self._kept:
            # Nobody holds a connection for a second: what was offered a moment ago serves while the new one is made.
            return self._kept[municipality][1]
        async with making:
            # Somebody else may have made it meanwhile.
            if (kept := self._find(municipality, version)) is not None:
                return kept
            procedures = await list_procedures(session, municipality)
            # A second for a large town, in which others go on being answered.
            index = await asyncio.to_thread(SearchIndex, procedures)
            self._keep(municipality, version, index)
        return index

    def _keep(self, municipality: str, version: Version, index: SearchIndex) -> None:
        self._kept[municipality] = (version, index)
        self._kept.move_to_end(municipality)
        while len(self._kept) > 1 and sum(len(kept.procedures) for _v, kept in self._kept.values()) > self._kept_max:
            self._kept.popitem(last=False)

    def _find(self, municipality: str, version: Version) -> SearchIndex | None:
        kept = self._kept.get(municipality)
        if kept is None or kept[0] != version:
            return None
        self._kept.move_to_end(municipality)
        return kept[1]
