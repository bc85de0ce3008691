"""Proofs that an entry is in the tree whose root was published for a day: hashes only, nothing of the entry."""

import re
from collections.abc import Collection
from datetime import date
from itertools import chain, islice
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from shared.db import Prepared
from shared.errors import Refusal
from shared.ledger.checkpoints import Checkpoint, Checkpoints
from shared.ledger.entry import link_hash
from shared.ledger.merkle import consistency_ranges, inclusion_ranges, leaf_hash, root_from_inclusion
from shared.ledger.tiles import Tiles, TilesBehind

_HASH = re.compile(r"[0-9a-f]{64}")


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """That entry number `seq` of a service's chain is in its tree of `tree_size` entries, closed for `day`.

    The leaf is `entry_hash`: SHA-256 of `prev_hash`, a line feed and the entry's canonical JSON.
    """

    service: str
    entry_id: UUID
    seq: int
    prev_hash: str
    entry_hash: str
    day: date
    tree_size: int
    root: str
    path: tuple[str, ...]


class Consistency(msgspec.Struct, frozen=True, kw_only=True):
    """That the tree of one day is the beginning of that of a later one."""

    service: str
    old: Checkpoint
    new: Checkpoint
    path: tuple[str, ...]


class Prover:
    """Makes the proofs of one service's ledgers."""

    def __init__(self, schema: str) -> None:
        self._service = schema
        self._tiles = Tiles(schema)
        self._checkpoints = Checkpoints(schema)
        self._links = Prepared(f"""
            SELECT e.entry_id, c.seq, c.prev_hash, c.entry_hash, covering.day, covering.tree_size, covering.root
            FROM {schema}.ledger_entry e LEFT JOIN {schema}.ledger_chain c USING (municipality, entry_id)
            LEFT JOIN LATERAL (
                SELECT k.day, k.tree_size, k.root FROM {schema}.ledger_checkpoint k
                WHERE k.municipality = e.municipality AND k.tree_size >= c.seq
                ORDER BY k.tree_size, k.day LIMIT 1) AS covering ON true
            WHERE e.municipality = :municipality AND e.entry_id = ANY (CAST(:entry_ids AS uuid[]))
        """)

    async def prove(self, session: AsyncSession, municipality: str, entry_id: UUID) -> Proof:
        """The proof of an entry.

        Raises:
            Refusal: `entry_unknown` (404), `entry_not_proved_yet` (409: the next checkpoint will have it).
        """
        known = await self.prove_all(session, municipality, [entry_id])
        if not known:
            raise Refusal("entry_unknown", 404)
        if (proof := known[entry_id]) is None:
            raise Refusal("entry_not_proved_yet", 409)
        return proof

    async def prove_all(
        self, session: AsyncSession, municipality: str, entry_ids: Collection[UUID]
    ) -> dict[UUID, Proof | None]:
        """The proofs of the entries that there are: None for one that is in no checkpoint yet.

        Each is by the first checkpoint that has the entry, and so always the same.
        """
        rows = await self._links.rows(session, {"municipality": municipality, "entry_ids": list(entry_ids)})
        paths = [inclusion_ranges(row.seq - 1, row.tree_size) if row.tree_size else [] for row in rows]
        try:
            hashes = iter(await self._tiles.range_hashes(session, municipality, chain.from_iterable(paths)))
        except TilesBehind:
            return dict.fromkeys(row.entry_id for row in rows)
        found = zip(rows, [tuple(islice(hashes, len(path))) for path in paths], strict=True)
        return {row.entry_id: self._proof(row, path) if row.tree_size else None for row, path in found}

    def _proof(self, row: Any, path: tuple[bytes, ...]) -> Proof:
        return Proof(
            service=self._service,
            entry_id=row.entry_id,
            seq=row.seq,
            prev_hash=row.prev_hash,
            entry_hash=row.entry_hash,
            day=row.day,
            tree_size=row.tree_size,
            root=row.root,
            path=tuple(each.hex() for each in path),
        )

    async def prove_consistency(
        self, session: AsyncSession, municipality: str, first: date, second: date
    ) -> Consistency:
        """That nothing before the one day's checkpoint was changed until the other's.

        Raises:
            Refusal: `checkpoint_unknown` (404).
        """
        found = [await self._checkpoints.of_day(session, municipality, day) for day in (first, second)]
        known = sorted((each for each in found if each is not None), key=lambda each: each.tree_size)
        if len(known) < len(found):
            raise Refusal("checkpoint_unknown", 404)
        old, new = known
        # An empty tree is the beginning of every other, and there is nothing to prove.
        ranges = consistency_ranges(old.tree_size, new.tree_size) if old.tree_size else []
        path = await self._tiles.range_hashes(session, municipality, ranges)
        return Consistency(service=self._service, old=old, new=new, path=tuple(each.hex() for each in path))


def does_prove(proof: Proof, content: bytes) -> bool:
    """Whether a proof shows that an entry with this canonical JSON is in the tree that has the proof's root."""
    # Hashes and nothing else: what is hashed together must not be cut elsewhere.
    if not all(_HASH.fullmatch(each) for each in (proof.prev_hash, proof.entry_hash, *proof.path)):
        return False
    if link_hash(content, proof.prev_hash) != proof.entry_hash:
        return False
    path = [bytes.fromhex(each) for each in proof.path]
    root = root_from_inclusion(leaf_hash(bytes.fromhex(proof.entry_hash)), proof.seq - 1, proof.tree_size, path)
    return root is not None and root.hex() == proof.root
