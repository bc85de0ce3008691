"""What was changed on pages, taken over into another version of the files; where both changed one field, told."""

from collections.abc import Mapping
from typing import Any

import msgspec

from shared.town_pack.reading import examine_files
from shared.town_pack.records import (
    KINDS,
    Kind,
    add_record,
    change_record,
    find_by_path,
    find_record,
    key_of,
    list_parents,
    list_records,
    remove_record,
    split_path,
    values_of,
    values_with_lists,
)
from shared.town_pack.schema import TownPack

Files = Mapping[str, str]


class Conflict(msgspec.Struct, frozen=True):
    """A field that both changed, or a record that one changed and the other took out (`field` is empty)."""

    kind: str
    key: str
    field: str
    mine: Any = None
    theirs: Any = None


class Unreadable(Exception):
    """One of the packs does not fit the schema, so nothing can be compared."""


def merge_values(
    old: Mapping[str, Any], mine: Mapping[str, Any], theirs: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """A record with what was changed of it: mine where I changed something, else theirs; and the fields of both."""
    merged = {name: mine[name] if mine[name] != old[name] else theirs[name] for name in mine}
    both = [name for name in mine if mine[name] != old[name] != theirs[name] and mine[name] != theirs[name]]
    return merged, both


def merge_packs(old: Files, mine: Files, theirs: Files) -> tuple[dict[str, str], list[Conflict]]:
    """The files of `theirs` with what `mine` changed since `old`. Of a field that both changed, mine is taken.

    Raises:
        Unreadable: one of the three does not fit the schema.
    """
    packs = [examine_files(files)[0] for files in (old, mine, theirs)]
    before, draft, target = packs
    if before is None or draft is None or target is None:
        raise Unreadable
    files, conflicts = dict(theirs), []
    for kind in KINDS.values():
        for parent in list_parents(draft, kind):
            files, told = _merge_kind(kind, parent, before, draft, files)
            conflicts += told
    return files, conflicts


def _merge_kind(
    kind: Kind, parent: str, before: TownPack, draft: TownPack, files: dict[str, str]
) -> tuple[dict[str, str], list[Conflict]]:
    conflicts: list[Conflict] = []
    was, mine = (_records(kind, pack, parent) for pack in (before, draft))
    if was == mine:
        return files, []
    if kind.parent and find_by_path(_read(files), KINDS[kind.parent], parent) is None:
        return files, [Conflict(kind.parent, split_path(KINDS[kind.parent], parent)[1], "")]
    # First what is new: a list that may not be empty never is.
    for key, record in mine.items():
        target = _read(files)
        there = _key_there(kind, target, key, record, parent)
        values = values_of(kind, record)
        if key not in was and there is None:
            files = add_record(files, target, kind, values_with_lists(kind, record), parent)
        elif key not in was or (not kind.key and not kind.is_single):
            continue
        elif there is None:
            if values != values_of(kind, was[key]):
                conflicts.append(Conflict(kind.name, key, ""))
        else:
            theirs = values_of(kind, find_record(target, kind, there, parent))
            merged, both = merge_values(values_of(kind, was[key]), values, theirs)
            conflicts += [Conflict(kind.name, key, name, values[name], theirs[name]) for name in both]
            files = change_record(files, target, kind, there, merged, parent)
    for key in [key for key in was if key not in mine]:
        target = _read(files)
        there = _key_there(kind, target, key, was[key], parent)
        if there is None:
            continue
        if kind.key and find_record(target, kind, there, parent) != was[key]:
            conflicts.append(Conflict(kind.name, key, ""))
            continue
        files = remove_record(files, target, kind, there, parent)
    return files, conflicts


def _read(files: Files) -> TownPack:
    pack, _ = examine_files(files)
    if pack is None:
        raise Unreadable
    return pack


def _records(kind: Kind, pack: TownPack, parent: str) -> dict[str, Any]:
    """By their keys; those that nothing names by what they say."""
    records = list_records(pack, kind, parent)
    if kind.is_single:
        return {"": records[0]}
    return {_name(kind, record, number): record for number, record in enumerate(records)}


def _name(kind: Kind, record: Any, number: int) -> str:
    return key_of(kind, record, number) if kind.key else str(values_of(kind, record))


def _key_there(kind: Kind, pack: TownPack, key: str, record: Any, parent: str) -> str | None:
    """How a record is found in another pack; None: it is not there."""
    if kind.is_single:
        return ""
    if kind.key:
        return key if find_record(pack, kind, key, parent) is not None else None
    wanted = values_of(kind, record)
    found = (str(n) for n, each in enumerate(list_records(pack, kind, parent)) if values_of(kind, each) == wanted)
    return next(found, None)
