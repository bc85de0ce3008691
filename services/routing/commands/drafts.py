"""Editing the town pack: one save after another, undone and done again, and what is to be published of it.

Everything that changes a draft locks first: of two editors at once, the second goes on from what the first left.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.queries.drafts import Draft, find_draft, find_newest_order, find_save
from services.routing.queries.packs import find_pack
from services.routing.tables import catalogue, pack_draft, pack_order, pack_save
from shared.audit import Operator, record_deed
from shared.errors import Refusal
from shared.tokens import Identity
from shared.town_pack import TownPack
from shared.town_pack.difference import Change, changes_between
from shared.town_pack.merging import Conflict, Unreadable, merge_packs
from shared.town_pack.problems import Flaw
from shared.town_pack.reading import examine_files

Files = Mapping[str, str]
# Of a draft, and what it means: the files with the change.
Edit = Callable[[Files, TownPack], Files]
FILE_MAX_LENGTH = 400_000


def addresses_of(pack: TownPack) -> tuple[object, ...]:
    """Where a town's site answers. It is the operator's to change: an address may be another town's."""
    return pack.town.code, pack.town.hosts, pack.town.public_url


class Misfit(Exception):
    """What was given does not fit the schema, so it is not saved."""

    def __init__(self, flaws: Sequence[Flaw]) -> None:
        self.flaws = tuple(flaws)
        super().__init__("does not fit")


async def edit_draft(session: AsyncSession, *, identity: Identity, edit: Edit, now: datetime) -> Draft:
    """Make one more save. What contradicts something else is saved and told; only what fits no schema is not.

    Raises:
        Misfit: with what does not fit.
        Refusal: `pack_missing` (409), `pack_unreadable` (409), `pack_too_large` (422).
    """
    draft = await _lock(session, identity.municipality)
    pack = _meaning(draft.files)
    files = edit(draft.files, pack)
    if dict(files) == dict(draft.files):
        return draft
    becomes, flaws = examine_files(files)
    if becomes is None:
        raise Misfit(flaws)
    if any(len(text) > FILE_MAX_LENGTH for text in files.values()):
        raise Refusal("pack_too_large", 422)
    await _save(session, identity, draft, files, changes_between(pack, becomes), "edit", base=draft.base, now=now)
    return await find_draft(session, identity.municipality)


async def step_back_or_on(
    session: AsyncSession, *, identity: Identity, seen: int, direction: Literal["undo", "redo"], now: datetime
) -> None:
    """Undo the save that the editor saw, or do again what was undone.

    Raises:
        Refusal: `pack_missing` (409), `draft_moved` (409): somebody saved meanwhile, or there is nothing to undo.
    """
    draft = await _lock(session, identity.municipality)
    to = draft.undo if direction == "undo" else draft.redo
    if draft.save != seen or to is None:
        raise Refusal("draft_moved", 409)
    # Who goes back knows what is published now, unless something was published that the draft does not know yet.
    values = {"at": to, "base": draft.base}
    await session.execute(update(pack_draft).where(pack_draft.c.municipality == identity.municipality).values(values))
    await record_deed(session, identity, f"pack_{direction}", str(to), now=now)


async def take_version(session: AsyncSession, *, identity: Identity, version: int, now: datetime) -> None:
    """Go on from a published version, as it was. What stood in the draft stays in the history.

    Raises:
        Refusal: `pack_missing` (409), `version_unknown` (404), `pack_unreadable` (409).
    """
    draft = await _lock(session, identity.municipality)
    wanted = await find_pack(session, identity.municipality, version)
    if wanted is None:
        raise Refusal("version_unknown", 404)
    changes = changes_between(_meaning(draft.files), _meaning(wanted.files))
    await _save(session, identity, draft, wanted.files, changes, "back", base=draft.newest.version, now=now)


async def merge_draft(session: AsyncSession, *, identity: Identity, now: datetime) -> list[Conflict]:
    """Take the draft's changes over into what was published meanwhile; return where both changed the same.

    Raises:
        Refusal: `pack_missing` (409), `pack_unreadable` (409).
    """
    town = identity.municipality
    draft = await _lock(session, town)
    begun_from = await find_pack(session, town, draft.base)
    if not draft.is_overtaken or begun_from is None:
        return []
    try:
        files, conflicts = merge_packs(begun_from.files, draft.files, draft.newest.files)
    except Unreadable as error:
        raise Refusal("pack_unreadable", 409) from error
    changes = changes_between(_meaning(draft.files), _meaning(files))
    await _save(session, identity, draft, files, changes, "merge", base=draft.newest.version, now=now)
    return conflicts


async def order_publication(session: AsyncSession, *, identity: Identity, seen: int, base: int, now: datetime) -> None:
    """Have a save published that the manager saw, over the version that they saw it compared with.

    Raises:
        Refusal: `pack_missing` (409), `draft_moved` (409): somebody saved or published meanwhile, `draft_wrong` (422):
            it contradicts itself, `operators_only` (422), `nothing_to_publish` (409), `publication_waits` (409).
    """
    town = identity.municipality
    draft = await _lock(session, town)
    if (draft.save, draft.base, draft.newest.version) != (seen, base, base):
        raise Refusal("draft_moved", 409)
    if not draft.is_changed:
        raise Refusal("nothing_to_publish", 409)
    pack, flaws = examine_files(draft.files)
    if pack is None or flaws:
        raise Refusal("draft_wrong", 422)
    if addresses_of(pack) != addresses_of(_meaning(draft.newest.files)):
        raise Refusal("operators_only", 422)
    order = {
        "municipality": town,
        "order_id": uuid4(),
        "save": seen,
        "base": base,
        "state": "waiting",
        "ordered_by": identity.ref,
        "ordered_at": now,
    }
    # The draft's row is locked, so that nobody else orders meanwhile.
    newest = await find_newest_order(session, town)
    if newest is not None and newest.state == "waiting":
        raise Refusal("publication_waits", 409)
    await session.execute(insert(pack_order).values(order))
    await record_deed(session, identity, "order_publication", str(order["order_id"]), version=seen, now=now)


async def call_off_publication(session: AsyncSession, *, identity: Identity, now: datetime) -> None:
    """Take back what waits to be published; if it was published meanwhile, that stays."""
    settled = await _settle(session, identity.municipality, None, "called_off", now=now)
    if settled is not None:
        await record_deed(session, identity, "call_off_publication", str(settled), now=now)


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What waits to be published."""

    order_id: UUID
    base: int
    files: Files


async def find_wanted(session: AsyncSession, municipality: str) -> Wanted | None:
    """What waits to be published of a town."""
    order = await find_newest_order(session, municipality)
    if order is None or order.state != "waiting":
        return None
    save = await find_save(session, municipality, order.save)
    return Wanted(order_id=order.order_id, base=order.base, files=save.files)


async def hold_order(session: AsyncSession, municipality: str, order_id: UUID) -> None:
    """Let nobody call it off until this transaction ends.

    Raises:
        Refusal: `order_ended` (409): it was called off, or published, before.
    """
    query = select(pack_order.c.order_id).where(
        pack_order.c.municipality == municipality,
        pack_order.c.order_id == order_id,
        pack_order.c.state == "waiting",
    )
    if (await session.execute(query.with_for_update())).one_or_none() is None:
        raise Refusal("order_ended", 409)


async def end_order(
    session: AsyncSession,
    municipality: str,
    order_id: UUID,
    state: Literal["published", "overtaken", "failed"],
    *,
    now: datetime,
) -> None:
    """Write how it ended, in the transaction that publishes.

    Raises:
        Refusal: `order_ended` (409): it was called off meanwhile.
    """
    if await _settle(session, municipality, order_id, state, now=now) is None:
        raise Refusal("order_ended", 409)
    await record_deed(session, Operator(municipality), f"publication_{state}", str(order_id), now=now)


async def _settle(
    session: AsyncSession, municipality: str, order_id: UUID | None, state: str, *, now: datetime
) -> UUID | None:
    waiting = [pack_order.c.municipality == municipality, pack_order.c.state == "waiting"]
    if order_id is not None:
        waiting.append(pack_order.c.order_id == order_id)
    ended = update(pack_order).where(*waiting).values(state=state, ended_at=now).returning(pack_order.c.order_id)
    settled: UUID | None = (await session.execute(ended)).scalar_one_or_none()
    return settled


async def _lock(session: AsyncSession, municipality: str) -> Draft:
    """The draft, which nobody else changes and nobody publishes until this transaction ends."""
    # The catalogue's row is there before the first draft is; publishing locks it, too.
    await session.execute(select(catalogue.c.version).where(catalogue.c.municipality == municipality).with_for_update())
    return await find_draft(session, municipality)


def _meaning(files: Files) -> TownPack:
    pack, _ = examine_files(files)
    if pack is None:
        # Loaded by another version of the program, whose schema was another one.
        raise Refusal("pack_unreadable", 409)
    return pack


async def _save(
    session: AsyncSession,
    identity: Identity,
    draft: Draft,
    files: Files,
    changes: Iterable[Change],
    deed: str,
    *,
    base: int,
    now: datetime,
) -> None:
    town = identity.municipality
    newest = select(func.coalesce(func.max(pack_save.c.save), 0)).where(pack_save.c.municipality == town)
    number = (await session.execute(newest)).scalar_one() + 1
    stands = await find_save(session, town, draft.save)
    saves = []
    if stands is None or stands.files != draft.files:
        # What it begins from is the first save: to it the first change is undone.
        saves.append({"save": number, "parent": draft.save or None, "files": dict(draft.files), "changes": [],
                      "deed": "begin"})  # fmt: skip
    parent = saves[-1]["save"] if saves else draft.save
    told = msgspec.to_builtins(list(changes))
    saves.append({"save": number + len(saves), "parent": parent, "files": dict(files), "changes": told, "deed": deed})
    for save in saves:
        row = {"municipality": town, **save, "saved_by": identity.ref, "saved_at": now}
        await session.execute(insert(pack_save).values(row))
    at = {"at": saves[-1]["save"], "base": base}
    await session.execute(
        upsert(pack_draft)
        .values(municipality=town, **at)
        .on_conflict_do_update(index_elements=["municipality"], set_=at)
    )
    await record_deed(session, identity, f"pack_{deed}", str(saves[-1]["save"]), now=now)
