"""The items and forms that a town defines itself, as they were published."""

import asyncio
import time
from typing import Final

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.domain.town_items import FormGroup, ProcedureForm, TownItem, TownItems
from services.routing.tables import catalogue, procedure_form, town_item
from shared.db import Database
from shared.log import describe, get_logger

log = get_logger(__name__)

REFRESH_INTERVAL_S: Final = 5.0
# With those that were withdrawn since.
TOWN_ITEMS_MAX: Final = 1_000
FORMS_MAX: Final = 5_000


async def read_town_items(session: AsyncSession, municipality: str) -> TownItems:
    """Every item that the town ever defined, and the forms of today."""
    items = await session.execute(
        select(town_item.c.content)
        .where(town_item.c.municipality == municipality)
        .order_by(town_item.c.position, town_item.c.code)
        .limit(TOWN_ITEMS_MAX)
    )
    forms = await session.execute(
        select(procedure_form.c.procedure, procedure_form.c.groups)
        .where(procedure_form.c.municipality == municipality)
        .limit(FORMS_MAX)
    )
    known = [msgspec.convert(content, TownItem) for content in items.scalars()]
    return TownItems(
        items={item.code: item for item in known},
        forms={
            row.procedure: ProcedureForm(groups=msgspec.convert(row.groups, tuple[FormGroup, ...])) for row in forms
        },
    )


class TownItemDirectory:
    """The items of the towns that were asked for, read again after some seconds."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._read: dict[str, tuple[float, TownItems]] = {}
        self._reading = asyncio.Lock()

    async def find(self, municipality: str) -> TownItems:
        """A town's items; with the database away, those that were read before.

        Raises whatever went wrong when there are none: a form without them would leave something out.
        """
        if self._is_old(municipality) and not (municipality in self._read and self._reading.locked()):
            # One reads for all who are waiting.
            async with self._reading:
                if self._is_old(municipality):
                    await self._read_again(municipality)
        return self._read[municipality][1]

    def _is_old(self, municipality: str) -> bool:
        known = self._read.get(municipality)
        return known is None or time.monotonic() - known[0] >= REFRESH_INTERVAL_S

    async def _read_again(self, municipality: str) -> None:
        try:
            async with self._db.begin(municipality) as session:
                items = await read_town_items(session, municipality)
                example = select(catalogue.c.postal_example).where(catalogue.c.municipality == municipality)
                said = (await session.execute(example)).scalar_one_or_none() or ""
                items = msgspec.structs.replace(items, postal_example=said)
        except Exception as error:
            if municipality not in self._read:
                raise
            log.warning("town_items_unread", **describe(error))
            items = self._read[municipality][1]
        self._read[municipality] = (time.monotonic(), items)
