"""What another town pack changes: one line for each thing that is new, gone or different."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote

import msgspec

from shared.town_pack.items import ITEMS_FILE
from shared.town_pack.records import (
    KINDS,
    Kind,
    find_by_path,
    key_of,
    list_parents,
    list_records,
    path_in,
    values_of,
)
from shared.town_pack.schema import Opening, TownPack
from shared.town_pack.templates import TEMPLATES_FILE

# What is named by a code, and by which of its fields people know it.
NAMED = {
    "counters": ("counter", "code", "name_ja"),
    "venues": ("venue", "code", "name_ja"),
    "procedures": ("procedure", "code", "name_ja"),
    "life_events": ("life event", "code", "name_ja"),
    "things": ("thing to bring", "code", "ja"),
    "topics": ("topic of helpers", "code", "ja"),
    "deadlines": ("deadline", "code", "ja"),
    "names": ("wording", "ja", "ja"),
    "offices": ("office", "name_ja", "name_ja"),
}
TABLES = ("town", "booking", "notices", "office", "channels", "queue")
# What stands in something else is told by itself, by what it is called.
NESTED = {
    "part": "part of an item",
    "choice": "choice of a part",
    "own": "part of each",
    "own_choice": "choice of each",
    "group": "group of a form",
    "entry": "item of a form",
}
WEEKDAYS = "月火水木金土日"


class Move(msgspec.Struct, frozen=True):
    """A field that differs, as it was and as it becomes."""

    field: str
    before: Any
    after: Any


class Change(msgspec.Struct, frozen=True):
    """One thing that differs. `kind` says what it is (procedure, hours …), `fields` are those that differ."""

    kind: str
    code: str
    name: str
    what: str
    is_gone: bool = False
    fields: frozenset[str] = frozenset()
    moves: tuple[Move, ...] = ()


def changes_between(old: TownPack, new: TownPack) -> Iterator[Change]:
    """Everything that differs, in the order of the files."""
    for table in TABLES:
        before, after = (msgspec.to_builtins(getattr(pack, table)) for pack in (old, new))
        for field in after:
            # Line by line, below.
            if before[field] != after[field] and field not in ("procedures", "reasons"):
                moves = (Move(field, before[field], after[field]),)
                yield Change("town", f"{table}.{field}", "", _move(before[field], after[field]), moves=moves)
    for table, (kind, key, label) in NAMED.items():
        yield from _named(kind, key, label, getattr(old, table), getattr(new, table))
    yield from _named("words of a channel", "reason", "ja", old.channels.reasons, new.channels.reasons)
    yield from _lines("way from a district", old.travels, new.travels)
    yield from _named("office rule", "procedure", "procedure", old.office.procedures, new.office.procedures)
    for each in KINDS.values():
        if each.file in (ITEMS_FILE, TEMPLATES_FILE):
            for parent in list_parents(new, each):
                yield from _records(each, parent, old, new)
    hours = [_hours(pack.opening) for pack in (old, new)]
    for counter in dict.fromkeys([*hours[0], *hours[1]]):
        before, after = (", ".join(said.get(counter, ())) or "none" for said in hours)
        if before != after:
            yield Change("hours", counter, "", f"{before} → {after}", moves=(Move("hours", before, after),))
    yield from _lines("closure", old.closures, new.closures)
    walks = [pack.walk_minutes() for pack in (old, new)]
    for pair in sorted({*walks[0], *walks[1]}):
        if walks[0].get(pair) != walks[1].get(pair):
            move = Move("minutes", walks[0].get(pair), walks[1].get(pair))
            yield Change("walk", "–".join(pair), "", f"minutes {_move(move.before, move.after)}", moves=(move,))


def _records(kind: Kind, parent: str, old: TownPack, new: TownPack) -> Iterator[Change]:
    """What differs among the records of a kind in one that both packs have; of a new one, all of it is new."""
    if kind.parent and find_by_path(old, KINDS[kind.parent], parent) is None:
        return
    before, after = (
        {key_of(kind, record, number): record for number, record in enumerate(list_records(pack, kind, parent))}
        for pack in (old, new)
    )
    said = NESTED.get(kind.name, kind.name)

    def code(key: str) -> str:
        return unquote(path_in(parent, key))

    for key, record in before.items():
        if key not in after:
            yield Change(said, code(key), getattr(record, "ja", ""), "gone", is_gone=True)
    for key, record in after.items():
        name = getattr(record, "ja", "")
        if key not in before:
            yield Change(said, code(key), name, "new")
            continue
        was, becomes = (msgspec.to_builtins(values_of(kind, each)) for each in (before[key], record))
        moves = tuple(Move(field, was[field], becomes[field]) for field in becomes if was[field] != becomes[field])
        if moves:
            what = "; ".join(f"{move.field} {_move(move.before, move.after)}" for move in moves)
            yield Change(said, code(key), name, what, fields=frozenset(move.field for move in moves), moves=moves)
    if list(before) != list(after) and set(before) == set(after):
        yield Change(said, unquote(parent), "", f"another order: {', '.join(after)}")


def _named(kind: str, key: str, label: str, old: Iterable[Any], new: Iterable[Any]) -> Iterator[Change]:
    before, after = ({getattr(line, key): line for line in lines} for lines in (old, new))
    for code, line in before.items():
        if code not in after:
            yield Change(kind, code, _name(line, key, label), "gone", is_gone=True)
    for code, line in after.items():
        name = _name(line, key, label)
        if code not in before:
            yield Change(kind, code, name, "new")
            continue
        was, becomes = msgspec.to_builtins(before[code]), msgspec.to_builtins(line)
        fields = [field for field in becomes if was[field] != becomes[field]]
        if fields:
            said = "; ".join(f"{field} {_move(was[field], becomes[field])}" for field in fields)
            moves = tuple(Move(field, was[field], becomes[field]) for field in fields)
            yield Change(kind, code, name, said, fields=frozenset(fields), moves=moves)
    if list(before) != list(after) and set(before) == set(after) and kind != "wording":
        yield Change(kind, "", "", f"another order: {', '.join(after)}")


def _name(line: Any, key: str, label: str) -> str:
    return getattr(line, label) if label != key else ""


def _lines(kind: str, old: Iterable[Any], new: Iterable[Any]) -> Iterator[Change]:
    before, after = ([msgspec.to_builtins(line) for line in lines] for lines in (old, new))
    for what, lines, others in (("gone", before, after), ("new", after, before)):
        for line in lines:
            if line not in others:
                moves = tuple(
                    Move(field, *((value, None) if what == "gone" else (None, value))) for field, value in line.items()
                )
                yield Change(kind, "", "", f"{what}: {_show(line)}", is_gone=what == "gone", moves=moves)


def _hours(opening: Iterable[Opening]) -> dict[str, list[str]]:
    """The hours of each counter, as they are said."""
    said: dict[str, list[str]] = {}
    for rule in opening:
        text = f"{''.join(WEEKDAYS[day - 1] for day in rule.weekdays)} {rule.opens_at:%H:%M}–{rule.closes_at:%H:%M}"
        if rule.lunch_from is not None and rule.lunch_to is not None:
            text += f" without {rule.lunch_from:%H:%M}–{rule.lunch_to:%H:%M}"
        if rule.every_weeks > 1:
            text += f" every {rule.every_weeks} weeks from {rule.first_week}"
        if rule.nth:
            text += f" only number {', '.join(map(str, rule.nth))} of the month"
        for counter in rule.counters:
            said.setdefault(counter, []).append(text)
    return said


def _move(before: object, after: object) -> str:
    return f"{_show(before)} → {_show(after)}"


def _show(value: object) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name} {_show(inner)}" for name, inner in value.items() if inner) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_show, value)) + "]"
    return "nothing" if value in (None, "") else str(value)
