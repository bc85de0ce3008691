"""Does the resident's page say what the ledgers say? Compares routing's projection with each service's own entries."""

from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import text

from shared.db import Database
from shared.erasure import subject_hash
from shared.ledger.entry import canonical
from shared.ledger.ledger import read_row

PAGE = 1_000
_ENTRIES = """
    SELECT * FROM {schema}.ledger_entry
    WHERE municipality = :municipality AND visibility = 'subject' AND occurred_at <= :now
      AND entry_id > CAST(:after AS uuid)
    ORDER BY entry_id LIMIT {page}
"""
_SHOWN = text("""
    SELECT entry_id, canonical FROM routing.reuse
    WHERE municipality = :municipality AND entry_id = ANY (CAST(:ids AS uuid[]))
""")
_ERASED = text("""
    SELECT subject_hash FROM routing.erased_subject
    WHERE municipality = :municipality AND subject_hash = ANY (CAST(:hashes AS bytea[]))
""")
_FIRST = UUID(int=0)


class Compared(msgspec.Struct, kw_only=True):
    """How many entries were compared, how many are not shown (yet), and which are shown otherwise than written."""

    entries: int = 0
    missing: int = 0
    altered: list[UUID] = msgspec.field(default_factory=list)

    def __str__(self) -> str:
        altered = f", ALTERED: {', '.join(map(str, self.altered))}" if self.altered else ""
        return f"{self.entries} of its entries are for residents, {self.missing} not on their pages (yet){altered}"


async def compare_projection(own: Database, routing: Database, municipality: str, *, now: datetime) -> Compared:
    """Compare what a service wrote for residents with what their pages show. Erased people have no page."""
    compared, after = Compared(), _FIRST
    entries = text(_ENTRIES.format(schema=own.service, page=PAGE))
    while True:
        async with own.begin(municipality) as session:
            key = {"municipality": municipality, "now": now, "after": after}
            rows = (await session.execute(entries, key)).all()
        if not rows:
            return compared
        after = rows[-1].entry_id
        hashes = {row.subject_ref: subject_hash(row.subject_ref) for row in rows}
        async with routing.begin(municipality) as session:
            asked = {"municipality": municipality, "ids": [row.entry_id for row in rows]}
            shown = {row.entry_id: row.canonical for row in await session.execute(_SHOWN, asked)}
            asked = {"municipality": municipality, "hashes": list(set(hashes.values()))}
            erased = {bytes(found) for found in (await session.execute(_ERASED, asked)).scalars()}
        for row in rows:
            if hashes[row.subject_ref] in erased:
                continue
            compared.entries += 1
            if row.entry_id not in shown:
                compared.missing += 1
            # What was told before entries had a form for residents has none to compare.
            elif shown[row.entry_id] is not None and shown[row.entry_id] != canonical(read_row(row)).decode():
                compared.altered.append(row.entry_id)
