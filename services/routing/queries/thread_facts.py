"""Facts of a case's thread that are told as they stand: the desk, files, a proof of identity, another device."""

from uuid import UUID

from sqlalchemy import ColumnElement, Table, and_, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.domain.thread import Entry
from services.routing.tables import attachment, case_device, desk_check, desk_confirmation, identity_proof

FACTS_MAX = 100


async def list_other_facts(session: AsyncSession, municipality: str, case_id: UUID) -> list[Entry]:
    """Each of them as an entry. Names of items and how many; nothing that was typed, and no staff."""

    def mine(table: Table) -> ColumnElement[bool]:
        return and_(table.c.municipality == municipality, table.c.case_id == case_id)

    told: list[Entry] = []
    ticked = (
        await session.execute(
            select(desk_check.c.item, desk_check.c.ticked_at)
            .where(mine(desk_check))
            .order_by(desk_check.c.item)
            .limit(FACTS_MAX)
        )
    ).all()
    if ticked:
        last = max(row.ticked_at for row in ticked)
        told.append(Entry(at=last, kind="desk_checked", who="town", items=tuple(row.item for row in ticked)))
    confirmed = await session.execute(
        select(desk_confirmation.c.how, desk_confirmation.c["items"], desk_confirmation.c.office,
               desk_confirmation.c.confirmed_at)
        .where(mine(desk_confirmation))
        .order_by(desk_confirmation.c.confirmed_at.desc())
        .limit(FACTS_MAX)
    )  # fmt: skip
    told += [
        Entry(
            at=row.confirmed_at,
            kind=f"confirmed_on_{row.how}",
            who="place",
            office=row.office,
            items=tuple(sorted(row._mapping["items"])),
        )
        for row in confirmed
    ]
    files = (
        await session.execute(
            select(func.count().label("files"), func.max(attachment.c.stored_at).label("last")).where(
                mine(attachment), attachment.c.slot.is_not(None)
            )
        )
    ).one()
    if files.last is not None:
        told.append(Entry(at=files.last, kind="attached", who="", count=files.files))
    proofs = await session.execute(
        select(identity_proof.c.proven_at)
        .where(mine(identity_proof))
        .order_by(identity_proof.c.proven_at.desc())
        .limit(FACTS_MAX)
    )
    told += [Entry(at=proven_at, kind="proven", who="you") for proven_at in proofs.scalars()]
    devices = await session.execute(
        select(case_device.c.opened_at)
        .where(mine(case_device), case_device.c.opened_at.is_not(None))
        .order_by(case_device.c.opened_at.desc())
        .limit(FACTS_MAX)
    )
    told += [Entry(at=opened_at, kind="opened_elsewhere", who="you") for opened_at in devices.scalars()]
    return told
