"""The projection of a town's catalogue: what notices say of the town, its procedures and its counters."""

from datetime import datetime

import msgspec
from sqlalchemy import delete, insert
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.tables import catalogue_counter, catalogue_procedure, catalogue_template, catalogue_town
from shared.events.routing import CataloguePublished


async def apply_catalogue(session: AsyncSession, event: CataloguePublished, *, now: datetime) -> None:  # noqa: ARG001  the shape of all consumers
    """Replace the projection, unless it is as new already."""
    town = event.municipality
    values = {
        "version": event.aggregate_version,
        "name_ja": event.town_name_ja,
        "phone": event.town_phone,
        "public_url": public_url_of(event.town_host),
        "address_ja": event.town_address_ja,
    }
    statement = upsert(catalogue_town).values(municipality=town, **values)
    newer = await session.execute(
        statement.on_conflict_do_update(
            index_elements=["municipality"],
            set_=values,
            where=catalogue_town.c.version < statement.excluded.version,
        ).returning(catalogue_town.c.version)
    )
    if newer.one_or_none() is None:
        return
    await session.execute(delete(catalogue_procedure).where(catalogue_procedure.c.municipality == town))
    await session.execute(delete(catalogue_counter).where(catalogue_counter.c.municipality == town))
    await session.execute(delete(catalogue_template).where(catalogue_template.c.municipality == town))
    if event.procedures:
        await session.execute(
            insert(catalogue_procedure),
            [
                {
                    "municipality": town,
                    "code": entry.code,
                    "name_ja": entry.name_ja,
                    "office": entry.office,
                    "discreet": entry.discreet,
                    "bring": list(entry.bring),
                    "fee_yen": entry.fee_yen,
                    "minutes": entry.minutes,
                    "at_counter": bool(entry.counters),
                }
                for entry in event.procedures
            ],
        )
    if event.counters:
        await session.execute(
            insert(catalogue_counter),
            [
                {
                    "municipality": town,
                    "code": entry.code,
                    "number": entry.number,
                    "name_ja": entry.name_ja,
                    "place_ja": entry.place_ja,
                }
                for entry in event.counters
            ],
        )
    if event.templates:
        templates = [{"municipality": town, **msgspec.to_builtins(entry)} for entry in event.templates]
        await session.execute(insert(catalogue_template), templates)


def public_url_of(host: str) -> str:
    """The town's address for links: a host name alone means https."""
    return (host if "://" in host else f"https://{host}").rstrip("/")
