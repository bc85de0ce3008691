"""What an editor changes in a pack: one record (a procedure, a question …) at a time, in the files' texts."""

from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote, unquote

import msgspec

from shared.town_pack import items, schema, templates
from shared.town_pack.csv_text import add_line, change_line, remove_line, swap_lines
from shared.town_pack.items import (
    ITEMS_FILE,
    Choice,
    FormGroup,
    FormItem,
    ItemPart,
    ProcedureForm,
    SimplePart,
    TownItem,
)
from shared.town_pack.office import Check, OfficeRule, OfficeRules
from shared.town_pack.problems import Place
from shared.town_pack.schema import (
    LIFE_EVENTS_FILE,
    OFFICE_FILE,
    PROCEDURES_FILE,
    TOWN_FILE,
    BookingRules,
    ChannelReason,
    ChannelRules,
    Closure,
    Counter,
    LifeEvent,
    LifeEventsFile,
    Name,
    NoticeRules,
    Office,
    Opening,
    Procedure,
    Question,
    QueueRules,
    Step,
    TownFacts,
    TownPack,
    Travel,
    Venue,
    Walk,
    Words,
)
from shared.town_pack.templates import TEMPLATES_FILE, Template, TemplatesFile
from shared.town_pack.toml_text import add_table, change_table, remove_table, swap_tables


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of record: its type, the file and the place there, and the field that names it (none: its number does).

    `parent` is the kind that it stands in, which may stand in another. A single one of its kind is no list.
    """

    name: str
    type: type[msgspec.Struct]
    file: str
    place: tuple[str, ...] = ()
    key: str = ""
    parent: str = ""
    is_single: bool = False


KINDS: Final = {
    kind.name: kind
    for kind in (
        Kind(name="procedure", type=Procedure, file=PROCEDURES_FILE, key="code"),
        Kind(name="event", type=LifeEvent, file=LIFE_EVENTS_FILE, place=("events",), key="code"),
        Kind(name="question", type=Question, file=LIFE_EVENTS_FILE, place=("questions",), key="code", parent="event"),
        Kind(name="step", type=Step, file=LIFE_EVENTS_FILE, place=("steps",), key="procedure", parent="event"),
        Kind(name="counter", type=Counter, file=TOWN_FILE, place=("counters",), key="code"),
        Kind(name="venue", type=Venue, file=TOWN_FILE, place=("venues",), key="code"),
        Kind(name="opening", type=Opening, file=TOWN_FILE, place=("opening",)),
        Kind(name="closure", type=Closure, file=TOWN_FILE, place=("closures",)),
        Kind(name="walk", type=Walk, file=TOWN_FILE, place=("walks",)),
        Kind(name="travel", type=Travel, file=TOWN_FILE, place=("travels",)),
        Kind(name="thing", type=Words, file=TOWN_FILE, place=("things",), key="code"),
        Kind(name="deadline", type=Words, file=TOWN_FILE, place=("deadlines",), key="code"),
        Kind(name="topic", type=Words, file=TOWN_FILE, place=("topics",), key="code"),
        Kind(name="name", type=Name, file=TOWN_FILE, place=("names",), key="ja"),
        Kind(name="town", type=TownFacts, file=TOWN_FILE, place=("town",), is_single=True),
        Kind(name="booking", type=BookingRules, file=TOWN_FILE, place=("booking",), is_single=True),
        Kind(name="notices", type=NoticeRules, file=TOWN_FILE, place=("notices",), is_single=True),
        Kind(name="channels", type=ChannelRules, file=TOWN_FILE, place=("channels",), is_single=True),
        Kind(name="queue", type=QueueRules, file=TOWN_FILE, place=("queue",), is_single=True),
        Kind(name="reason", type=ChannelReason, file=TOWN_FILE, place=("channels", "reasons"), key="reason"),
        Kind(name="desk", type=Office, file=TOWN_FILE, place=("offices",), key="name_ja"),
        Kind(name="office", type=OfficeRules, file=OFFICE_FILE, is_single=True),
        Kind(name="rule", type=OfficeRule, file=OFFICE_FILE, place=("procedures",), key="procedure"),
        Kind(name="check", type=Check, file=OFFICE_FILE, place=("checks",), key="code", parent="rule"),
        Kind(name="item", type=TownItem, file=ITEMS_FILE, place=("items",), key="code"),
        Kind(name="part", type=ItemPart, file=ITEMS_FILE, place=("parts",), key="name", parent="item"),
        Kind(name="choice", type=Choice, file=ITEMS_FILE, place=("choices",), key="code", parent="part"),
        Kind(name="own", type=SimplePart, file=ITEMS_FILE, place=("each",), key="name", parent="part"),
        Kind(name="own_choice", type=Choice, file=ITEMS_FILE, place=("choices",), key="code", parent="own"),
        Kind(name="template", type=Template, file=TEMPLATES_FILE, place=("templates",), key="kind"),
        Kind(name="form", type=ProcedureForm, file=ITEMS_FILE, place=("forms",), key="procedure"),
        Kind(name="group", type=FormGroup, file=ITEMS_FILE, place=("groups",), key="ja", parent="form"),
        Kind(name="entry", type=FormItem, file=ITEMS_FILE, place=("items",), key="item", parent="group"),
    )
}
Values = Mapping[str, Any]


def children_of(kind: Kind) -> list[Kind]:
    """The kinds that stand in a kind."""
    return [each for each in KINDS.values() if each.parent == kind.name]


def fields_of(kind: Kind) -> list[msgspec.structs.FieldInfo]:
    """The fields that are a record's own: not the lists of records in it."""
    return [field for field in msgspec.structs.fields(kind.type) if not _has_records(field.type)]


def path_in(parent: str, key: str) -> str:
    """How a record is named with all that it stands in, from the outside: what stands in it has this as `parent`."""
    return f"{parent}/{quote(key, safe='')}" if parent else quote(key, safe="")


def split_path(kind: Kind, path: str) -> tuple[str, str]:
    """What a record of a kind stands in, and its key, from its path."""
    outer, _slash, own = path.rpartition("/") if kind.parent else ("", "", path)
    return outer, unquote(own)


def list_paths(pack: TownPack, kind: Kind) -> list[str]:
    """The paths of all records of a kind."""
    return [
        path_in(parent, key_of(kind, record, number))
        for parent in list_parents(pack, kind)
        for number, record in enumerate(list_records(pack, kind, parent))
    ]


def list_parents(pack: TownPack, kind: Kind) -> list[str]:
    """The paths of everything that records of a kind may stand in."""
    return list_paths(pack, KINDS[kind.parent]) if kind.parent else [""]


def find_by_path(pack: TownPack, kind: Kind, path: str) -> Any:
    """A record by its path; None when there is none."""
    parent, key = split_path(kind, path)
    return find_record(pack, kind, key, parent)


def list_records(pack: TownPack, kind: Kind, parent: str = "") -> list[Any]:
    """All of a kind in a pack, or in the record of a path."""
    if kind.parent:
        within = find_by_path(pack, KINDS[kind.parent], parent)
        return list(getattr(within, kind.place[-1])) if within is not None else []
    found: Any = _file_of(pack, kind)
    for step in kind.place:
        found = getattr(found, step)
    return [found] if kind.is_single else list(found)


def _file_of(pack: TownPack, kind: Kind) -> Any:
    """What holds the tables of a kind's file."""
    match kind.file:
        case schema.PROCEDURES_FILE:
            return pack.procedures
        case schema.OFFICE_FILE:
            return pack.office
        case schema.LIFE_EVENTS_FILE:
            return LifeEventsFile(pack.life_events)
        case items.ITEMS_FILE:
            return pack.items
        case templates.TEMPLATES_FILE:
            return TemplatesFile(pack.templates)
        case _:
            return pack


def key_of(kind: Kind, record: Any, number: int) -> str:
    """By what a record is named among those of its kind."""
    return str(getattr(record, kind.key)) if kind.key else str(number)


def number_of(pack: TownPack, kind: Kind, key: str, parent: str = "") -> int | None:
    """The place of a record among those of its kind; None when there is none."""
    records = list_records(pack, kind, parent)
    if kind.is_single:
        return 0
    found = (number for number, record in enumerate(records) if key_of(kind, record, number) == key)
    return next(found, None)


def find_record(pack: TownPack, kind: Kind, key: str, parent: str = "") -> Any:
    """A record; None when there is none."""
    number = number_of(pack, kind, key, parent)
    return None if number is None else list_records(pack, kind, parent)[number]


def values_of(kind: Kind, record: Any) -> dict[str, Any]:
    """What a record says, field by field, as the files could say it."""
    return {field.name: _plain(getattr(record, field.name)) for field in fields_of(kind)}


def values_with_lists(kind: Kind, record: Any) -> dict[str, Any]:
    """The same with the lists of records in it."""
    lists = {
        each.place[-1]: [values_with_lists(each, inner) for inner in getattr(record, each.place[-1])]
        for each in children_of(kind)
    }
    return values_of(kind, record) | lists


def change_record(
    files: Mapping[str, str], pack: TownPack, kind: Kind, key: str, values: Values, parent: str = ""
) -> dict[str, str]:
    """The files with what is different in a record."""
    number = number_of(pack, kind, key, parent)
    if number is None:
        raise LookupError(key)
    old = values_of(kind, list_records(pack, kind, parent)[number])
    changed = {name: value for name, value in values.items() if value != old[name]}
    if not changed:
        return dict(files)
    text = files.get(kind.file, "")
    if kind.file == PROCEDURES_FILE:
        return {**files, kind.file: change_line(text, number, _cells(kind, changed))}
    place = place_of(pack, kind, number, parent)
    return {**files, kind.file: change_table(text, place, dict(_told(kind, changed)))}


def add_record(
    files: Mapping[str, str], pack: TownPack, kind: Kind, values: Values, parent: str = ""
) -> dict[str, str]:
    """The files with one more record, the last of its kind; `values` may have lists of records in it, too."""
    text = files.get(kind.file, "")
    if kind.file == PROCEDURES_FILE:
        return {**files, kind.file: add_line(text, _cells(kind, values))}
    place = place_of(pack, kind, 0, parent)[:-1]
    return {**files, kind.file: add_table(text, place, _told_with_lists(kind, values))}


def remove_record(files: Mapping[str, str], pack: TownPack, kind: Kind, key: str, parent: str = "") -> dict[str, str]:
    """The files without a record."""
    number = number_of(pack, kind, key, parent)
    if number is None:
        raise LookupError(key)
    text = files[kind.file]
    if kind.file == PROCEDURES_FILE:
        return {**files, kind.file: remove_line(text, number)}
    return {**files, kind.file: remove_table(text, place_of(pack, kind, number, parent))}


def raise_record(files: Mapping[str, str], pack: TownPack, kind: Kind, key: str, parent: str = "") -> dict[str, str]:
    """The files with a record one place further up; the first stays where it is."""
    number = number_of(pack, kind, key, parent)
    if number is None:
        raise LookupError(key)
    if number == 0:
        return dict(files)
    text = files[kind.file]
    if kind.file == PROCEDURES_FILE:
        return {**files, kind.file: swap_lines(text, number - 1, number)}
    place, above = (place_of(pack, kind, each, parent) for each in (number, number - 1))
    return {**files, kind.file: swap_tables(text, above, place)}


def place_of(pack: TownPack, kind: Kind, number: int, parent: str = "") -> Place:
    """The place of a record in its file, as problems name it."""
    if kind.file == PROCEDURES_FILE:
        return (number,)
    if kind.is_single:
        return kind.place
    if kind.parent:
        above = KINDS[kind.parent]
        outer, key = split_path(above, parent)
        at = number_of(pack, above, key, outer)
        if at is None:
            raise LookupError(parent)
        return (*place_of(pack, above, at, outer), *kind.place, number)
    return (*kind.place, number)


def _told(kind: Kind, values: Values) -> Iterator[tuple[str, Any]]:
    """What the file has to say: what is as it would be anyway is left out."""
    for field in fields_of(kind):
        if field.name in values:
            value = values[field.name]
            is_usual = not field.required and value == _plain(field.default)
            yield field.name, None if is_usual else value


def _told_with_lists(kind: Kind, values: Values) -> dict[str, Any]:
    """The same of a new record, with the lists of records in it."""
    told = {name: value for name, value in _told(kind, values) if value is not None}
    for each in children_of(kind):
        if inner := values.get(each.place[-1]):
            told[each.place[-1]] = [_told_with_lists(each, one) for one in inner]
    return told


def _cells(kind: Kind, values: Values) -> dict[str, str]:
    return {name: "" if value is None else _cell(value) for name, value in _told(kind, values)}


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "|".join(value) if isinstance(value, list) else str(value)


def _has_records(kind: Any) -> bool:
    match msgspec.inspect.type_info(kind):
        case msgspec.inspect.VarTupleType(item_type=msgspec.inspect.StructType()):
            return True
        case _:
            return False


def _plain(value: Any) -> Any:
    """A tuple as the list that the files have, a structure as its table, without what is usual; else as it is."""
    match value:
        case tuple():
            return [_plain(each) for each in value]
        case msgspec.Struct():
            told = [(field, getattr(value, field.name)) for field in msgspec.structs.fields(value)]
            return {field.name: _plain(own) for field, own in told if field.required or own != field.default}
        case _:
            return value
