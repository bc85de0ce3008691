"""The town pack as it is edited on pages: where it stands, its history, and what waits to be published."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.queries.packs import LoadedPack, find_pack
from services.routing.tables import pack_draft, pack_order, pack_save
from shared.errors import Refusal

HISTORY_MAX = 50
NUMBER_MAX_LENGTH = 9


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """What is edited. `save` is where it stands (0: nobody edited since `newest` was published), `base` the published
    version that it was made from; `undo` and `redo` are the saves before and after, if there are any."""

    save: int
    base: int
    files: Mapping[str, str]
    newest: LoadedPack
    undo: int | None = None
    redo: int | None = None

    @property
    def is_changed(self) -> bool:
        """Whether it says anything else than what is published."""
        return dict(self.files) != dict(self.newest.files)

    @property
    def content(self) -> str:
        """A name for these very texts, to be found by `find_content` later."""
        return f"s{self.save}" if self.is_changed else f"v{self.newest.version}"

    @property
    def is_overtaken(self) -> bool:
        """Whether something else was published since it was begun."""
        return self.is_changed and self.base != self.newest.version


class Save(msgspec.Struct, frozen=True, kw_only=True):
    """One save in the history, without its texts."""

    save: int
    parent: int | None
    deed: str
    changes: list[dict[str, Any]]
    saved_by: str
    saved_at: datetime


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What a manager wants, or wanted, to be published."""

    order_id: UUID
    save: int
    base: int
    state: str
    ordered_by: str
    ordered_at: datetime


_SAVE = tuple(pack_save.c[name] for name in Save.__struct_fields__)
_ORDER = tuple(pack_order.c[name] for name in Order.__struct_fields__)


async def find_draft(session: AsyncSession, municipality: str) -> Draft:
    """What is edited now; without edits, what is published.

    Raises:
        Refusal: `pack_missing` (409): no pack was ever loaded from files.
    """
    newest = await find_pack(session, municipality)
    if newest is None:
        raise Refusal("pack_missing", 409)
    query = (
        select(pack_save, pack_draft.c.base)
        .join(
            pack_draft, (pack_draft.c.municipality == pack_save.c.municipality) & (pack_draft.c.at == pack_save.c.save)
        )
        .where(pack_draft.c.municipality == municipality)
    )
    row = (await session.execute(query)).one_or_none()
    if row is None:
        return Draft(save=0, base=newest.version, files=newest.files, newest=newest)
    begun_from = newest if row.base == newest.version else await find_pack(session, municipality, row.base)
    # With nothing of it left to keep, what was published meanwhile is gone on from.
    is_kept = row.files not in (newest.files, begun_from.files if begun_from else {})
    return Draft(
        save=row.save,
        base=row.base if is_kept else newest.version,
        files=row.files if is_kept else newest.files,
        newest=newest,
        undo=row.parent,
        redo=await _find_redo(session, municipality, row.save),
    )


async def find_save(session: AsyncSession, municipality: str, save: int) -> Any:
    """A save with its texts; None when there is none."""
    query = select(pack_save).where(pack_save.c.municipality == municipality, pack_save.c.save == save)
    return (await session.execute(query)).one_or_none()


async def find_content(session: AsyncSession, municipality: str, content: str) -> Mapping[str, str] | None:
    """The texts of `Draft.content`; None when nobody was ever shown any by this name."""
    number = content[1:]
    if content[:1] not in ("s", "v") or not (
        number.isascii() and number.isdigit() and len(number) <= NUMBER_MAX_LENGTH
    ):
        return None
    found = (find_save if content[0] == "s" else find_pack)(session, municipality, int(number))
    row = await found
    return row.files if row is not None else None


async def list_saves(session: AsyncSession, municipality: str) -> list[Save]:
    """The newest saves, newest first."""
    query = select(*_SAVE).where(pack_save.c.municipality == municipality)
    rows = await session.execute(query.order_by(pack_save.c.save.desc()).limit(HISTORY_MAX))
    return [Save(**row._mapping) for row in rows]


async def find_newest_order(session: AsyncSession, municipality: str) -> Order | None:
    """The last one that was wanted, however it ended."""
    query = select(*_ORDER).where(pack_order.c.municipality == municipality)
    # One that waits is the newest, whatever the clocks said.
    newest_first = (pack_order.c.state == "waiting").desc(), pack_order.c.ordered_at.desc()
    row = (await session.execute(query.order_by(*newest_first).limit(1))).one_or_none()
    return Order(**row._mapping) if row else None


async def _find_redo(session: AsyncSession, municipality: str, save: int) -> int | None:
    """Of several that were made from this one, the newest: the others were undone before."""
    query = select(pack_save.c.save).where(pack_save.c.municipality == municipality, pack_save.c.parent == save)
    return (await session.execute(query.order_by(pack_save.c.save.desc()).limit(1))).scalar_one_or_none()
