"""Writing to the ledger: the entry and its publication join the caller's transaction."""

from collections.abc import Sequence
from uuid import NAMESPACE_URL, uuid5

import msgspec
from sqlalchemy import MetaData, Table, insert
from sqlalchemy.dialects.postgresql import dialect
from sqlalchemy.ext.asyncio import AsyncSession

from shared.db import TOLD, Prepared
from shared.events.base import Event
from shared.events.ledger import ReuseRecorded
from shared.ledger.entry import Entry, canonical
from shared.ledger.tables import LedgerTables
from shared.messaging.outbox import PUBLISH, Outbox, is_bulk, publish_values

# Whoever acts for the town; the privacy officer is told who it was.
STAFF_KINDS = ("staff", "helper")


class Ledger:
    """A service's ledger. One per service, beside its tables."""

    def __init__(self, metadata: MetaData, outbox: Outbox) -> None:
        self.tables = LedgerTables(metadata)
        self._outbox = outbox
        self._write = _write_statement(self.tables.entry)

    async def write(self, session: AsyncSession, *entries: Entry, events: Sequence[Event] = ()) -> None:
        """Write entries into the transaction of `session`, and publish each without values.

        `events` are published in the same statement: what a command tells beside its entries.
        """
        if not entries:
            await self._outbox.publish(session, *events)
            return
        told = [*(self._recorded(entry) for entry in entries), *events]
        values = publish_values(told, bulk=is_bulk(session))
        await self._write.row(session, values | {"entries": msgspec.json.encode(entries).decode()})
        session.info[TOLD] = True

    async def write_untold(self, session: AsyncSession, entry: Entry) -> None:
        """Write an entry, and tell nobody: of an erased subject there is no page that would show it."""
        values = msgspec.structs.asdict(entry) | {"items": list(entry.items)}
        await session.execute(insert(self.tables.entry).values(**values))

    def _recorded(self, entry: Entry) -> ReuseRecorded:
        return ReuseRecorded(
            event_id=uuid5(NAMESPACE_URL, f"ledger:{self._outbox.service}:{entry.entry_id}"),
            municipality=entry.municipality,
            aggregate_id=str(entry.entry_id),
            aggregate_version=1,
            occurred_at=entry.occurred_at,
            entry_id=entry.entry_id,
            service=self._outbox.service,
            entry_type=entry.entry_type,
            subject_ref=entry.subject_ref,
            actor_kind=entry.actor_kind,
            office=entry.office,
            source_procedure=entry.source_procedure,
            source_step=entry.source_step,
            source_collected_at=entry.source_collected_at,
            target_service=entry.target_service,
            target_procedure=entry.target_procedure,
            target_step=entry.target_step,
            case_id=entry.target_case or entry.source_case,
            items=entry.items,
            purpose=entry.purpose,
            legal_basis=entry.legal_basis,
            outcome=entry.outcome,
            visibility=entry.visibility,
            canonical=canonical(entry).decode() if entry.visibility == "subject" else None,
            actor_ref=entry.actor_ref if entry.actor_kind in STAFF_KINDS else None,
        )


def _write_statement(table: Table) -> Prepared:
    names = ", ".join(column.name for column in table.columns)
    postgresql = dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves the constructors of dialects untyped
    typed = ", ".join(f"{column.name} {column.type.compile(postgresql)}" for column in table.columns)
    return Prepared(f"""
        WITH entered AS (
            INSERT INTO {table.fullname} ({names})
            SELECT {names} FROM jsonb_to_recordset(CAST(:entries AS jsonb)) AS entry({typed})),
        {PUBLISH.format(schema=table.schema)}
    """)


def read_row(row: msgspec.Struct | object) -> Entry:
    """An entry as it stands in the table."""
    return msgspec.convert({name: getattr(row, name) for name in Entry.__struct_fields__}, Entry)
