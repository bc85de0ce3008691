"""What an editor changes is what the files say afterwards, and nothing else of them: for every field of every kind."""

import re
from collections.abc import Iterator
from datetime import date, time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shared.town_pack import TownPack, find_files, read_files
from shared.town_pack.items import Condition
from shared.town_pack.reading import examine_files
from shared.town_pack.records import (
    KINDS,
    Kind,
    add_record,
    change_record,
    fields_of,
    find_record,
    key_of,
    list_parents,
    list_records,
    raise_record,
    remove_record,
    values_of,
    values_with_lists,
)
from shared.town_pack.toml_text import add_table, change_table, remove_table, swap_tables

ROOT = Path(__file__).resolve().parents[2]
PACKS = {
    folder: find_files(ROOT / folder)
    for folder in ("deploy/towns/ninomiya", "deploy/towns/hoshimi", "tests/routing/pack")
}
Files = dict[str, str]


def other(kind: Any, old: Any) -> Any:
    """Another value that fits a type."""
    match msgspec.inspect.type_info(kind):
        case msgspec.inspect.UnionType(types=types):
            inner = next(each for each in types if not isinstance(each, msgspec.inspect.NoneType))
            return _other(inner, old)
        case info:
            return _other(info, old)


def _other(info: Any, old: Any) -> Any:
    match info:
        case msgspec.inspect.BoolType():
            return not old
        case msgspec.inspect.IntType(ge=lowest, le=highest):
            wanted = (old if old is not None else lowest or 0) + 1
            return wanted if highest is None or wanted <= highest else wanted - 2
        case msgspec.inspect.StrType(pattern=None):
            return f'{old or ""} "#｜"'[-10:]
        case msgspec.inspect.StrType(pattern=str() as pattern):
            # A code, a number to call, an address, a degree.
            fitting = (f"{old}x"[-20:], f"{old}9"[-20:], "x@town.example", "999-0001", "35.2991")
            return next(each for each in fitting if re.search(pattern, each))
        case msgspec.inspect.LiteralType(values=values):
            return next(value for value in values if value != old)
        case msgspec.inspect.TimeType():
            return time(old.hour if old else 10, 5)
        case msgspec.inspect.DateType():
            return date(2027, 3, 4) if old is None else old.replace(year=old.year + 1)
        case msgspec.inspect.VarTupleType(item_type=item, min_length=shortest, max_length=longest):
            added = _other(item, None if not isinstance(item, msgspec.inspect.StrType) else "a")
            rest = [each for each in old if each != added]
            room = longest is None or len(old) < longest
            return [*rest, added] if len(rest) == len(old) and room else rest[(shortest or 0) or 1 :]
        case msgspec.inspect.StructType(cls=cls):
            # The condition on which something is asked for.
            assert cls is Condition
            return None if old else {"part": "other", "one_of": ["x"], "from_day": date(2027, 3, 4)}
    raise NotImplementedError(info)


def records(pack: TownPack) -> Iterator[tuple[Kind, str, str, Any]]:
    """Records of every kind that a pack has, with its key and that of what it stands in."""
    for kind in KINDS.values():
        parents = list_parents(pack, kind)
        # The first and the last of each list: the others are like them.
        for parent in {parents[0], parents[-1]} if parents else ():
            found = list(enumerate(list_records(pack, kind, parent)))
            for number, record in [*found[:1], *found[1:][-1:]]:
                yield kind, key_of(kind, record, number), parent, record


def comments(files: Files) -> list[str]:
    return [line for text in files.values() for line in text.split("\n") if line.startswith("#")]


@pytest.mark.parametrize("folder", PACKS)
def test_every_field_of_every_record_is_changed_by_itself(folder: str) -> None:
    files = PACKS[folder]
    pack = read_files(files)
    for kind, key, parent, record in records(pack):
        old = values_of(kind, record)
        assert change_record(files, pack, kind, key, old, parent) == files
        for field in fields_of(kind):
            new = other(field.type, old[field.name])
            changed = change_record(files, pack, kind, key, {field.name: new}, parent)
            read, _ = examine_files(changed)
            assert read is not None, (kind.name, field.name)
            at = str(new) if field.name == kind.key else key
            assert values_of(kind, find_record(read, kind, at, parent)) == old | {field.name: new}
            assert comments(changed) == comments(files)
            back = change_record(changed, read, kind, at, old, parent)
            assert examine_files(back)[0] == pack, (kind.name, field.name)
            # Every line but the record's own is the same one, in the same order.
            lines, before = changed[kind.file].split("\n"), files.get(kind.file, "").split("\n")
            moved = [line for line in before if line not in lines]
            # A long text or a list stands on several.
            own = max(1, str(old[field.name]).count("\n") + 1, str(before).count(f"{field.name} = ["))
            assert len(moved) <= own or kind.file.endswith(".csv")


def new_key(pack: TownPack, kind: Kind, parent: str) -> str:
    """A key that no record of a kind has."""
    key = next(field for field in fields_of(kind) if field.name == kind.key)
    match msgspec.inspect.type_info(key.type):
        case msgspec.inspect.LiteralType(values=values):
            taken = {getattr(each, kind.key) for each in list_records(pack, kind, parent)}
            return next(str(value) for value in values if value not in taken)
        case _:
            return "town_brandnew" if kind.name == "item" else "brandnew"


@pytest.mark.parametrize("folder", PACKS)
def test_a_record_is_added_raised_and_taken_out_again(folder: str) -> None:
    files = PACKS[folder]
    pack = read_files(files)
    for kind, key, parent, record in records(pack):
        if kind.is_single:
            continue
        key_of_new = {kind.key: new_key(pack, kind, parent)} if kind.key else {}
        new = values_with_lists(kind, record) | key_of_new
        added = add_record(files, pack, kind, new, parent)
        more, _ = examine_files(added)
        assert more is not None, (kind.name, key)
        assert values_with_lists(kind, list_records(more, kind, parent)[-1]) == new
        assert comments(added) == comments(files)
        last = key_of(kind, list_records(more, kind, parent)[-1], len(list_records(more, kind, parent)) - 1)
        raised, _ = examine_files(raise_record(added, more, kind, last, parent))
        assert raised is not None
        was, now = list_records(more, kind, parent), list_records(raised, kind, parent)
        assert now == [*was[:-2], was[-1], was[-2]]
        assert examine_files(remove_record(added, more, kind, last, parent))[0] == pack
        gone = remove_record(files, pack, kind, key, parent)
        assert set(comments(gone)) >= {line for line in comments(files) if line.startswith("# ")} - inside(files)


def inside(files: Files) -> set[str]:
    """Comments between the fields of a table go with it."""
    found = set()
    for text in files.values():
        lines = text.split("\n")
        found |= {line for line, above in zip(lines[1:], lines, strict=False) if line.startswith("#") and above}
    return found


def test_a_list_in_brackets_stays_one() -> None:
    text = 'events = [\n    { code = "a", steps = [{ procedure = "P" }] },\n]  # all\n'
    changed = change_table(text, ("events", 0), {"code": "b"})
    assert 'code = "b"' in changed
    assert changed.endswith("]  # all\n")
    two = add_table(changed, ("events", 0, "steps"), {"procedure": "Q"})
    assert '{ procedure = "P" }' in two
    assert '{ procedure = "Q" }' in two
    assert two.index('"P"') < two.index('"Q"')
    turned = swap_tables(two, ("events", 0, "steps", 0), ("events", 0, "steps", 1))
    assert turned.index('"Q"') < turned.index('"P"')
    assert '"P"' not in remove_table(turned, ("events", 0, "steps", 1))


def test_what_is_said_beside_a_value_stays_beside_it() -> None:
    text = '[town]\nname = "a#b"  # the "name"\nphone = "1"\n'
    assert change_table(text, ("town",), {"name": "c"}) == '[town]\nname = "c"  # the "name"\nphone = "1"\n'
    assert change_table(text, ("town",), {"phone": None}) == '[town]\nname = "a#b"  # the "name"\n'
    assert change_table(text, ("booking",), {"n": 1}).endswith("\n\n[booking]\nn = 1\n")
    # A separator that is no line end, as it may stand in a text.
    odd = '[town]\nname = "a\u2028b"\nphone = "1"\n'
    assert change_table(odd, ("town",), {"phone": "2"}) == odd.replace('"1"', '"2"')


def test_a_line_between_quotes_and_a_new_column_keep_the_other_lines() -> None:
    files = dict(PACKS["tests/routing/pack"])
    sheet = files["procedures.csv"]
    assert "retention_days" not in sheet
    pack = read_files(files)
    changed = change_record(files, pack, KINDS["procedure"], "TAX01", {"retention_days": 30})["procedures.csv"]
    was, now = sheet.split("\n"), changed.split("\n")
    assert now[0] == was[0] + ",retention_days"
    assert [line for line, old in zip(now[1:], was[1:], strict=True) if line not in (old, old + ",")] == [
        next(line for line in was if line.startswith("TAX01")) + ",30"
    ]
    quoted = sheet.replace("住民票の写し,", '"住民票,\nの写し",', 1)
    files["procedures.csv"] = quoted
    again = change_record(files, read_files(files), KINDS["procedure"], "TAX01", {"fee_yen": 301})["procedures.csv"]
    assert again == quoted.replace("yes,yes,10,300,name|tax_year", "yes,yes,10,301,name|tax_year")
