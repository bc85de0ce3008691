"""What the towns that were asked for offer, each with the index for its search: read once for each version."""

import asyncio
from collections import OrderedDict, defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.domain.catalogue import Counter, Procedure, Town
from services.routing.domain.life_events import LifeEvent
from services.routing.domain.search import SearchIndex
from services.routing.queries.catalogue import get_town, list_counters, list_procedures
from services.routing.queries.plans import list_life_events
from services.routing.tables import catalogue
from shared.errors import Refusal

# Of all towns together. A procedure with its words takes about 7 kB.
KEPT_PROCEDURES_MAX: Final = 10_000

Version = tuple[int, str]


class TownCatalogue(msgspec.Struct, frozen=True, kw_only=True):
    """All that one version of a town's catalogue says to residents, ready to be searched."""

    municipality: str
    town: Town
    index: SearchIndex
    by_code: Mapping[str, Procedure]
    by_category: Mapping[str, tuple[Procedure, ...]]
    counters: Mapping[str, Counter]
    life_events: tuple[LifeEvent, ...]

    @property
    def categories(self) -> list[tuple[str, int]]:
        """Every category with its number of procedures, in the town's order."""
        return [(name, len(of_it)) for name, of_it in self.by_category.items()]

    @property
    def procedures(self) -> tuple[Procedure, ...]:
        """Every procedure that is offered, in the town's order."""
        return self.index.procedures

    def procedure(self, code: str) -> Procedure:
        """One procedure that is offered.

        Raises:
            Refusal: `procedure_unknown` (404).
        """
        if code not in self.by_code:
            raise Refusal("procedure_unknown", 404)
        return self.by_code[code]


class Catalogues:
    """What was read of the newest catalogues, in memory. What was not asked for longest goes first."""

    def __init__(self, kept_max: int = KEPT_PROCEDURES_MAX) -> None:
        self._kept_max = kept_max
        self._kept: OrderedDict[str, tuple[Version, TownCatalogue]] = OrderedDict()
        # A town's own: nobody waits for another town's.
        self._making: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def read(self, session: AsyncSession, municipality: str) -> TownCatalogue:
        """What a town offers now.

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
            made = TownCatalogue(
                municipality=municipality,
                town=await get_town(session, municipality),
                # A second for a large town, in which others go on being answered.
                index=await asyncio.to_thread(SearchIndex, procedures),
                by_code={procedure.code: procedure for procedure in procedures},
                by_category=_by_category(procedures),
                counters=await list_counters(session, municipality),
                life_events=tuple(await list_life_events(session, municipality)),
            )
            self._keep(municipality, version, made)
        return made

    def _keep(self, municipality: str, version: Version, made: TownCatalogue) -> None:
        self._kept[municipality] = (version, made)
        self._kept.move_to_end(municipality)
        while len(self._kept) > 1 and sum(len(kept.procedures) for _v, kept in self._kept.values()) > self._kept_max:
            self._kept.popitem(last=False)

    def _find(self, municipality: str, version: Version) -> TownCatalogue | None:
        kept = self._kept.get(municipality)
        if kept is None or kept[0] != version:
            return None
        self._kept.move_to_end(municipality)
        return kept[1]


def _by_category(procedures: Sequence[Procedure]) -> dict[str, tuple[Procedure, ...]]:
    by_category: dict[str, list[Procedure]] = {}
    for procedure in procedures:
        by_category.setdefault(procedure.category, []).append(procedure)
    return {category: tuple(of_it) for category, of_it in by_category.items()}
