"""What can be chosen in the fields of a record: other records by names, items, offices, and the values of a type."""

from collections.abc import Mapping, Sequence
from typing import Any, get_args

import msgspec

from services.routing.pages.catalogue_conditions import part_names
from services.routing.pages.catalogue_wording import WEEKDAYS, choice_name
from shared.town_pack import TownPack
from shared.town_pack.records import KINDS, Kind, find_by_path, key_of, list_records, split_path
from shared.town_pack.schema import NOT_TYPED_ITEMS, Item

# What a field names: records of these kinds, by their keys.
NAMES: dict[tuple[str, str], tuple[str, ...]] = {
    ("procedure", "counters"): ("counter",),
    ("procedure", "bring"): ("thing",),
    ("procedure", "bring_online"): ("thing",),
    ("procedure", "attach"): ("thing",),
    ("procedure", "deadline"): ("deadline",),
    ("opening", "counters"): ("counter", "venue"),
    ("walk", "counters"): ("counter",),
    ("walk", "others"): ("counter",),
    ("travel", "counters"): ("counter", "venue"),
    ("step", "procedure"): ("procedure",),
    ("step", "when"): ("question",),
    ("step", "after"): ("step",),
    ("rule", "procedure"): ("procedure",),
    ("rule", "enclose"): ("thing",),
    ("town", "frequent"): ("procedure",),
    ("form", "procedure"): ("procedure",),
}
# An item, ours or the town's own; and names of an item's parts.
ITEM, PARTS = ("entry", "item"), ("entry", "required")
# The name of a part that is alone in its item is empty, which no box can send.
NO_NAME = "-"
# Texts that are one of the town's offices, where it lists them.
OFFICES = {("procedure", "office"), ("counter", "office"), ("venue", "office"), ("town", "registrar")}
WEEK_MAX = 7


def options_of(
    kind: Kind, field: msgspec.structs.FieldInfo, look: str, pack: TownPack, parent: str, values: Mapping[str, Any]
) -> list[dict[str, str]]:
    """What can be chosen in a field, and what has been."""
    if look not in ("choice", "choices", "ordered"):
        return []
    value = values.get(field.name)
    chosen = [str(each) or NO_NAME for each in value] if isinstance(value, list) else [str(value or "")]
    known: dict[str, str] = {}
    if (kind.name, field.name) in NAMES:
        for name in NAMES[kind.name, field.name]:
            known |= dict(_named(KINDS[name], pack, parent))
    elif (kind.name, field.name) in (("procedure", "items"), ITEM):
        own = {item.code: item.ja for item in pack.items.items}
        known = {str(code): choice_name(str(code)) for code in get_args(Item)} | own
        if (kind.name, field.name) == ITEM:
            asked = _items_asked(pack, parent)
            known = {code: label for code, label in known.items() if asked is None or code in asked}
    elif (kind.name, field.name) == PARTS:
        known = {name or NO_NAME: label for name, label in part_names(pack, str(values.get("item") or "")).items()}
    elif (kind.name, field.name) in OFFICES:
        known = {office.name_ja: office.name_ja for office in pack.offices}
    else:
        known = _of_type(info_of(field.type))
    # What is not known any more stays to be seen, and to be taken out.
    known |= {code: code for code in chosen if code and code not in known}
    options = [{"value": code, "label": label} for code, label in known.items()]
    names_one = (kind.name, field.name) in NAMES.keys() | OFFICES | {ITEM}
    needs_none = look == "ordered" or (look == "choice" and names_one)
    return [{"value": "", "label": "―"}, *options] if needs_none else options


def _items_asked(pack: TownPack, parent: str) -> list[str] | None:
    """What a form can ask for: what its procedure needs. None: nobody knows yet which form it is."""
    code = split_path(KINDS["form"], split_path(KINDS["group"], parent)[0])[1]
    line = find_by_path(pack, KINDS["procedure"], code)
    return [item for item in line.items if item not in NOT_TYPED_ITEMS] if line is not None else None


def _of_type(info: Any) -> dict[str, str]:
    match info:
        case msgspec.inspect.LiteralType(values=values):
            return {str(value): choice_name(str(value)) for value in values}
        case msgspec.inspect.VarTupleType(item_type=item):
            return _of_type(item)
        case msgspec.inspect.IntType(ge=int(lowest), le=int(highest)):
            is_week = highest == WEEK_MAX
            return {str(n): WEEKDAYS[n - 1] if is_week else str(n) for n in range(lowest, highest + 1)}
        case _:
            return {}


def _named(kind: Kind, pack: TownPack, parent: str) -> Sequence[tuple[str, str]]:
    records = list_records(pack, kind, parent if kind.parent else "")
    return [(key_of(kind, record, number), record_title(kind, pack, record, number)) for number, record in
            enumerate(records)]  # fmt: skip


def record_title(kind: Kind, pack: TownPack, record: Any, number: int) -> str:
    """By what people know a record."""
    match kind.name:
        case "step" | "rule" | "form":
            names = {line.code: line.name_ja for line in pack.procedures}
            return str(names.get(record.procedure, record.procedure))
        case "template":
            return choice_name(record.kind)
        case "reason":
            return choice_name(record.reason)
        case "travel":
            return f"{record.district} → {'、'.join(record.counters)}"
        case "entry":
            own = {item.code: item.ja for item in pack.items.items}
            return own.get(record.item) or choice_name(record.item)
        case "counter":
            return f"{record.number} {record.name_ja}"
        case "opening":
            days = "".join(WEEKDAYS[day - 1] for day in record.weekdays)
            return f"{days} {record.opens_at:%H:%M}–{record.closes_at:%H:%M}（{'、'.join(record.counters)}）"
        case "closure":
            return f"{record.first_day}–{record.last_day} {record.reason_ja}"
        case "walk":
            return f"{'、'.join(record.counters)}{' ↔ ' if record.others else ''}{'、'.join(record.others)}"
    for field in ("name_ja", "text_ja", "ja"):
        if hasattr(record, field):
            return str(getattr(record, field))
    return key_of(kind, record, number)


def info_of(kind: Any) -> Any:
    """What a type takes, without None."""
    found = msgspec.inspect.type_info(kind)
    if isinstance(found, msgspec.inspect.UnionType):
        return next(each for each in found.types if not isinstance(each, msgspec.inspect.NoneType))
    return found
