"""Where a ledger's Merkle tree is kept: complete subtrees of 256 hashes as rows that never change.

A tile of level 0 holds 256 leaf hashes, one of level 1 the roots of 256 tiles of level 0, and so on. What is not yet a
tile is read from the chain, or from the roots of the tiles below. So a proof in a ledger of millions of entries reads a
handful of tiles, and at most 255 small rows a level.
"""

from collections.abc import Iterable

from sqlalchemy.ext.asyncio import AsyncSession

from shared.db import Prepared
from shared.ledger.merkle import Node, Range, complete_root, leaf_hash, nodes_of, range_hash

TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT
HASH_BYTES = 32
# Of level 0, in one transaction: what a ledger from before there were tiles is caught up by.
TILES_AT_ONCE = 64


class TilesBehind(Exception):
    """The tree has not been built as far as it is asked about."""


class Tiles:
    """The tiles of one service's ledgers."""

    def __init__(self, schema: str) -> None:
        self._size = Prepared(f"""
            SELECT coalesce((SELECT seq FROM {schema}.ledger_chain WHERE municipality = :municipality
                             ORDER BY seq DESC LIMIT 1), 0) AS size
        """)
        self._next = Prepared(f"""
            SELECT coalesce((SELECT place + 1 FROM {schema}.ledger_tile WHERE (municipality, level) = (:municipality, 0)
                             ORDER BY place DESC LIMIT 1), 0) AS next
        """)
        self._leaves = Prepared(f"""
            SELECT entry_hash AS hash FROM {schema}.ledger_chain
            WHERE municipality = :municipality AND seq > :start AND seq <= :end ORDER BY seq LIMIT {TILE_WIDTH}
        """)
        self._tile = Prepared(f"""
            SELECT hashes FROM {schema}.ledger_tile
            WHERE (municipality, level, place) = (:municipality, :level, :place)
        """)
        self._roots = Prepared(f"""
            SELECT root AS hash FROM {schema}.ledger_tile
            WHERE (municipality, level) = (:municipality, :level) AND place >= :start AND place < :end
            ORDER BY place LIMIT {TILE_WIDTH}
        """)
        self._keep = Prepared(f"""
            INSERT INTO {schema}.ledger_tile (municipality, level, place, hashes, root)
            VALUES (:municipality, :level, :place, :hashes, :root)
        """)

    async def size(self, session: AsyncSession, municipality: str) -> int:
        """How many entries the chain has."""
        return int((await self._size.row(session, {"municipality": municipality})).size)

    async def build(self, session: AsyncSession, municipality: str, size: int) -> bool:
        """Keep the tiles that a chain of `size` entries completes; whether none is missing now.

        Only for whoever has the sealer's lock.
        """
        place = int((await self._next.row(session, {"municipality": municipality})).next)
        last = size // TILE_WIDTH
        for each in range(place, min(last, place + TILES_AT_ONCE)):
            await self._build_tile(session, municipality, 0, each)
        return last <= place + TILES_AT_ONCE

    async def _build_tile(self, session: AsyncSession, municipality: str, level: int, place: int) -> None:
        hashes = await self._below(session, municipality, level, place)
        if len(hashes) < TILE_WIDTH:
            raise TilesBehind
        tile = {"municipality": municipality, "level": level, "place": place}
        await self._keep.row(session, tile | {"hashes": b"".join(hashes), "root": complete_root(hashes)})
        if (place + 1) % TILE_WIDTH == 0:
            await self._build_tile(session, municipality, level + 1, place // TILE_WIDTH)

    async def range_hashes(self, session: AsyncSession, municipality: str, ranges: Iterable[Range]) -> list[bytes]:
        """The hashes of ranges of leaves, which must be in the chain.

        Raises:
            TilesBehind: some of it has no tiles yet.
        """
        wanted = list(ranges)
        tiles: dict[Node, list[bytes]] = {}
        known: dict[Node, bytes] = {}
        for node in {node for each in wanted for node in nodes_of(each)}:
            tile, first, width = _place_in_tile(node)
            if tile not in tiles:
                tiles[tile] = await self._load(session, municipality, *tile)
            hashes = tiles[tile][first : first + width]
            if len(hashes) < width:
                raise TilesBehind
            known[node] = complete_root(hashes)
        return [range_hash(each, known.__getitem__) for each in wanted]

    async def root(self, session: AsyncSession, municipality: str, size: int) -> bytes:
        """The root of the tree over the first `size` entries.

        Raises:
            TilesBehind: some of it has no tiles yet.
        """
        [root] = await self.range_hashes(session, municipality, [(0, size)])
        return root

    async def _load(self, session: AsyncSession, municipality: str, level: int, place: int) -> list[bytes]:
        found = await self._tile.row(session, {"municipality": municipality, "level": level, "place": place})
        if found is None:
            return await self._below(session, municipality, level, place)
        return [found.hashes[start : start + HASH_BYTES] for start in range(0, len(found.hashes), HASH_BYTES)]

    async def _below(self, session: AsyncSession, municipality: str, level: int, place: int) -> list[bytes]:
        """What a tile holds, or will: as many of its hashes as there are."""
        within = {"municipality": municipality, "start": place * TILE_WIDTH, "end": (place + 1) * TILE_WIDTH}
        if level == 0:
            rows = await self._leaves.rows(session, within)
            return [leaf_hash(bytes.fromhex(row.hash)) for row in rows]
        rows = await self._roots.rows(session, within | {"level": level - 1})
        return [row.hash for row in rows]


def _place_in_tile(node: Node) -> tuple[Node, int, int]:
    """In which tile (level, place) a complete subtree lies, from which of its hashes on, and how many of them it is."""
    level, place = node
    tile_level, height = divmod(level, TILE_HEIGHT)
    first = place << height
    return (tile_level, first // TILE_WIDTH), first % TILE_WIDTH, 1 << height
