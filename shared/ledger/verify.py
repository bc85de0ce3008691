"""Does the chain still say what was written? Checks one service's ledger of one town, entry by entry."""

from collections.abc import AsyncIterator

import msgspec
from sqlalchemy import text

from shared.db import Database
from shared.ledger.entry import GENESIS, Entry, entry_hash
from shared.ledger.ledger import read_row

PAGE = 1_000


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The result: how many entries were checked, how many wait to be chained, and the first broken one, if any."""

    checked: int
    unchained: int
    broken_seq: int | None = None
    broken_reason: str | None = None

    @property
    def intact(self) -> bool:
        """Whether every chained entry is as it was written."""
        return self.broken_seq is None


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """One link of the chain with its entry; None if the entry is gone."""

    seq: int
    prev_hash: str
    entry_hash: str
    entry: Entry | None


async def verify_links(links: AsyncIterator[Link]) -> Verdict:
    """Walk the chain; stop at the first link that does not hold."""
    expected_seq, prev_hash = 1, GENESIS
    async for link in links:
        reason = None
        if link.seq != expected_seq:
            reason = "gap"
        elif link.prev_hash != prev_hash:
            reason = "chain"
        elif link.entry is None:
            reason = "entry_missing"
        elif entry_hash(link.entry, prev_hash) != link.entry_hash:
            reason = "entry_altered"
        if reason:
            return Verdict(checked=expected_seq - 1, unchained=0, broken_seq=expected_seq, broken_reason=reason)
        expected_seq, prev_hash = expected_seq + 1, link.entry_hash
    return Verdict(checked=expected_seq - 1, unchained=0)


async def verify(db: Database, municipality: str) -> Verdict:
    """Check a service's whole chain of one town."""
    verdict = await verify_links(_read_links(db, municipality))
    async with db.begin(municipality) as session:
        totals = (
            await session.execute(
                text(f"""SELECT
                    (SELECT count(*) FROM {db.service}.ledger_entry WHERE municipality = :town) AS entries,
                    (SELECT count(*) FROM {db.service}.ledger_chain WHERE municipality = :town) AS links"""),
                {"town": municipality},
            )
        ).one()
    return msgspec.structs.replace(verdict, unchained=max(0, totals.entries - totals.links))


async def _read_links(db: Database, municipality: str) -> AsyncIterator[Link]:
    page = text(f"""
        SELECT c.seq, c.prev_hash, c.entry_hash AS link_hash, e.*
        FROM {db.service}.ledger_chain c LEFT JOIN {db.service}.ledger_entry e USING (municipality, entry_id)
        WHERE c.municipality = :municipality AND c.seq > :after ORDER BY c.seq LIMIT :page
    """)
    after = 0
    while True:
        async with db.begin(municipality) as session:
            rows = (await session.execute(page, {"municipality": municipality, "after": after, "page": PAGE})).all()
        for row in rows:
            entry = read_row(row) if row.entry_type is not None else None
            yield Link(seq=row.seq, prev_hash=row.prev_hash, entry_hash=row.link_hash, entry=entry)
            after = row.seq
        if len(rows) < PAGE:
            return
