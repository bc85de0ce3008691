"""Does a ledger still say what was written? Checks one service's chain of one town, and the checkpoints made of it.

The chain betrays whatever was changed, taken out, put in or moved inside it. That its end was cut off, or all of it
written anew, only a checkpoint betrays: best one that somebody else has kept.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import text

from shared.db import Database, Prepared
from shared.ledger.checkpoints import Checkpoint, Checkpoints
from shared.ledger.entry import GENESIS, canonical, link_hash
from shared.ledger.ledger import read_row
from shared.ledger.merkle import Growing, complete_root, leaf_hash
from shared.ledger.tiles import TILE_WIDTH

PAGE = 1_000
# What is broken, in the order in which it is looked for.
GAP, CHAIN, ENTRY_MISSING, ENTRY_ALTERED = "gap", "chain", "entry_missing", "entry_altered"
TREE, TAIL_MISSING, REWRITTEN, UNREADABLE = "tree", "tail_missing", "rewritten", "unreadable"


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The result: how many entries were checked, how many wait to be chained, and the first broken one, if any.

    Against the checkpoint of `broken_day`, the entries from `broken_seq` on are not what they were then.
    """

    checked: int
    unchained: int = 0
    broken_seq: int | None = None
    broken_reason: str | None = None
    broken_entry: UUID | str | None = None
    broken_day: str | None = None

    @property
    def intact(self) -> bool:
        """Whether every chained entry is as it was written."""
        return self.broken_seq is None

    def __str__(self) -> str:
        if self.intact:
            return f"{self.checked} entries intact"
        entry = f" (entry {self.broken_entry})" if self.broken_entry else ""
        day = f", by the checkpoint of {self.broken_day}" if self.broken_day else ""
        return f"{self.checked} entries, BROKEN at {self.broken_seq}{entry}: {self.broken_reason}{day}"


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """One link of the chain with its entry's canonical JSON; None if the entry is gone."""

    seq: int
    prev_hash: str
    entry_hash: str
    entry_id: UUID | None
    content: bytes | None


class Walk:
    """A walk along a chain from its first link, which stops at the first that does not hold.

    Where the tree had as many leaves as at a checkpoint, its root is compared.
    """

    def __init__(self, checkpoints: Iterable[Checkpoint] = ()) -> None:
        self._checkpoints = sorted(checkpoints, key=lambda each: each.tree_size, reverse=True)
        self._prev_hash = GENESIS
        self._tree = Growing()
        self._agreed = 0
        self._verdict: Verdict | None = self._compare()

    @property
    def checked(self) -> int:
        """How many links hold."""
        return self._tree.size

    def take(self, seq: int, prev_hash: str, entry_hash: str, content: bytes | None) -> str | None:
        """The next link: why it does not hold, or None."""
        if seq != self._tree.size + 1:
            return GAP
        if prev_hash != self._prev_hash:
            return CHAIN
        if content is None:
            return ENTRY_MISSING
        if link_hash(content, prev_hash) != entry_hash:
            return ENTRY_ALTERED
        self._tree.add(leaf_hash(bytes.fromhex(entry_hash)))
        self._prev_hash = entry_hash
        if self._checkpoints and self._checkpoints[-1].tree_size == seq:
            self._verdict = self._verdict or self._compare()
        return None

    def broken(self, reason: str, entry_id: UUID | str | None = None) -> Verdict:
        """The verdict about the link after those that hold; what a checkpoint contradicted came before it."""
        if self._verdict is not None:
            return self.end()
        return Verdict(checked=self.checked, broken_seq=self.checked + 1, broken_reason=reason, broken_entry=entry_id)

    def end(self) -> Verdict:
        """The verdict when there is no further link. What a checkpoint contradicts is found by now."""
        if self._verdict is not None:
            return msgspec.structs.replace(self._verdict, checked=self.checked)
        if self._checkpoints:
            cut = self.broken(TAIL_MISSING)
            return msgspec.structs.replace(cut, broken_day=self._checkpoints[-1].day.isoformat())
        return Verdict(checked=self.checked)

    def _compare(self) -> Verdict | None:
        """Compare with the checkpoints of the tree as it is now."""
        while self._checkpoints and self._checkpoints[-1].tree_size == self._tree.size:
            checkpoint = self._checkpoints.pop()
            if checkpoint.root != self._tree.root().hex():
                return Verdict(
                    checked=self.checked,
                    broken_seq=self._agreed + 1,
                    broken_reason=REWRITTEN,
                    broken_day=checkpoint.day.isoformat(),
                )
        self._agreed = self._tree.size
        return None


class _TileWatch:
    """The tiles that a walk completes, compared with those that are kept."""

    def __init__(self, db: Database, municipality: str) -> None:
        self._db = db
        self._municipality = municipality
        self._levels: list[list[bytes]] = [[]]
        self._done: list[int] = [0]
        self._complete: list[tuple[int, int, bytes, bytes]] = []
        self._kept = Prepared(f"""
            SELECT hashes, root FROM {db.service}.ledger_tile
            WHERE (municipality, level, place) = (:municipality, :level, :place)
        """)

    def add(self, leaf: bytes, level: int = 0) -> None:
        if level == len(self._levels):
            self._levels.append([])
            self._done.append(0)
        hashes = self._levels[level]
        hashes.append(leaf)
        if len(hashes) == TILE_WIDTH:
            root = complete_root(hashes)
            self._complete.append((level, self._done[level], b"".join(hashes), root))
            hashes.clear()
            self._done[level] += 1
            self.add(root, level + 1)

    async def first_wrong(self) -> int | None:
        """The first entry under a tile that is kept and wrong. One that is missing is built by whoever needs it."""
        complete, self._complete = self._complete, []
        for level, place, hashes, root in complete:
            wanted = {"municipality": self._municipality, "level": level, "place": place}
            async with self._db.begin(self._municipality) as session:
                kept = await self._kept.row(session, wanted)
            if kept is not None and (kept.hashes, kept.root) != (hashes, root):
                return int(place * TILE_WIDTH ** (level + 1)) + 1
        return None


async def verify(db: Database, municipality: str, roots: Sequence[Checkpoint] = ()) -> Verdict:
    """Check a service's whole chain of one town, its tree, and its checkpoints: its own, and those given in `roots`."""
    async with db.begin(municipality) as session:
        own = await Checkpoints(db.service).every(session, municipality)
    walk = Walk([*own, *(root for root in roots if root.service == db.service)])
    tiles = _TileWatch(db, municipality)
    async for page in read_pages(db, municipality):
        for link in page:
            if reason := walk.take(link.seq, link.prev_hash, link.entry_hash, link.content):
                return walk.broken(reason, link.entry_id)
            tiles.add(leaf_hash(bytes.fromhex(link.entry_hash)))
        if (wrong := await tiles.first_wrong()) is not None:
            return Verdict(checked=walk.checked, broken_seq=wrong, broken_reason=TREE)
    async with db.begin(municipality) as session:
        totals = (
            await session.execute(
                text(f"""SELECT
                    (SELECT count(*) FROM {db.service}.ledger_entry WHERE municipality = :town) AS entries,
                    (SELECT count(*) FROM {db.service}.ledger_chain WHERE municipality = :town) AS links"""),
                {"town": municipality},
            )
        ).one()
    return msgspec.structs.replace(walk.end(), unchained=max(0, totals.entries - totals.links))


async def read_pages(db: Database, municipality: str) -> AsyncIterator[list[Link]]:
    """The chain with its entries, page by page."""
    page = text(f"""
        SELECT c.seq, c.prev_hash, c.entry_hash AS link_hash, c.entry_id AS link_entry, e.*
        FROM {db.service}.ledger_chain c LEFT JOIN {db.service}.ledger_entry e USING (municipality, entry_id)
        WHERE c.municipality = :municipality AND c.seq > :after ORDER BY c.seq LIMIT :page
    """)
    after = 0
    while True:
        async with db.begin(municipality) as session:
            rows = (await session.execute(page, {"municipality": municipality, "after": after, "page": PAGE})).all()
        if rows:
            yield [_read_link(row) for row in rows]
            after = rows[-1].seq
        if len(rows) < PAGE:
            return


def _read_link(row: Any) -> Link:
    return Link(
        seq=row.seq,
        prev_hash=row.prev_hash,
        entry_hash=row.link_hash,
        entry_id=row.link_entry,
        content=None if row.entry_type is None else _read_content(row),
    )


def _read_content(row: Any) -> bytes:
    try:
        return canonical(read_row(row))
    except msgspec.ValidationError:
        # No entry of ours: whatever the chain says of it, it is not this.
        return b""
