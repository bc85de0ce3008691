"""Proofs that an entry is in the tree whose root was published for a day: hashes only, nothing of the entry."""

import re
from datetime import date
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
        self._link = Prepared(f"""
            SELECT c.seq, c.prev_hash, c.entry_hash
            FROM {schema}.ledger_entry e LEFT JOIN {schema}.ledger_chain c USING (municipality, entry_id)
            WHERE (e.municipality, e.entry_id) = (:municipality, :entry_id)
        """)

    async def prove(self, session: AsyncSession, municipality: str, entry_id: UUID) -> Proof:
        """The proof of an entry, by the first checkpoint that has it: from then on it is always the same.

        Raises:
            Refusal: `entry_unknown` (404), `entry_not_proved_yet` (409: the next checkpoint will have it).
        """
        link = await self._link.row(session, {"municipality": municipality, "entry_id": entry_id})
        if link is None:
            raise Refusal("entry_unknown", 404)
        found = await self._checkpoints.first_covering(session, municipality, link.seq) if link.seq else None
        if found is None:
            raise Refusal("entry_not_proved_yet", 409)
        ranges = inclusion_ranges(link.seq - 1, found.tree_size)
        try:
            path = await self._tiles.range_hashes(session, municipality, ranges)
        except TilesBehind as error:
            raise Refusal("entry_not_proved_yet", 409) from error
        return Proof(
            service=self._service,
            entry_id=entry_id,
            seq=link.seq,
            prev_hash=link.prev_hash,
            entry_hash=link.entry_hash,
            day=found.day,
            tree_size=found.tree_size,
            root=found.root,
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
