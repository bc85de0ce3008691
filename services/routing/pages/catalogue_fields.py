"""A record as a form: each field of the schema becomes something to fill in, and what was filled in a value again."""

from collections.abc import Mapping, Sequence
from datetime import date, time
from typing import Any, Literal, get_args

import msgspec

from services.routing.pages.catalogue_wording import WEEKDAYS, choice_name, hint_of, label_of
from shared.town_pack import TownPack
from shared.town_pack.fitting import misfits
from shared.town_pack.records import KINDS, Kind, fields_of, key_of, list_records
from shared.town_pack.schema import Item
from shared.web.forms import Form
from shared.web.i18n import gettext as _

Look = Literal["text", "number", "yes_no", "choice", "choices", "ordered", "lines", "time", "date"]
# An address may be another town's: only the operator changes these, in the files.
NOT_HERE = {("town", "code"), ("town", "hosts"), ("town", "public_url")}
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
    ("step", "procedure"): ("procedure",),
    ("step", "when"): ("question",),
    ("step", "after"): ("step",),
    ("rule", "procedure"): ("procedure",),
    ("rule", "enclose"): ("thing",),
    ("town", "frequent"): ("procedure",),
}
# Lists whose order says something.
ORDERED = {("procedure", "items"), ("town", "frequent")}
# Texts that are one of the town's offices, where it lists them.
OFFICES = {("procedure", "office"), ("counter", "office"), ("venue", "office"), ("town", "registrar")}
EMPTY_ROWS = 3
TEXT_MAX_LENGTH = 2_000
WEEK_MAX = 7
# A text that may be unsaid, which is something else than empty.
UNSAID = "unsaid"


class Input(msgspec.Struct, frozen=True, kw_only=True):
    """Something to fill in. `value` is what stands there: a text, or the values that are chosen."""

    name: str
    field: str
    look: Look
    label: str
    hint: str | None
    required: bool
    value: Any
    options: list[dict[str, str]] = []
    # May be left unsaid, and is.
    unsaid: bool | None = None


def make_inputs(kind: Kind, pack: TownPack, parent: str, values: Mapping[str, Any]) -> list[Input]:
    """What there is to fill in of a record, with the values that it has."""
    return [
        _input(kind, field, pack, parent, values.get(field.name))
        for field in fields_of(kind)
        if (kind.name, field.name) not in NOT_HERE
    ]


def usual_values(kind: Kind) -> dict[str, Any]:
    """A new record, before anybody said something of it."""
    return {field.name: _usual(field) for field in fields_of(kind)}


def read_inputs(kind: Kind, form: Form, old: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """The values that were filled in, and what is wrong with them by the name of the input."""
    values = dict(old)
    for field in fields_of(kind):
        if (kind.name, field.name) not in NOT_HERE:
            values[field.name] = _read(kind, field, form, old.get(field.name))
    errors = dict(form.errors)
    inner = {field.name: values[field.name] for field in fields_of(kind)}
    whole = msgspec.defstruct("Own", [(f.name, f.type) for f in fields_of(kind)])
    for flaw in misfits(kind.file, inner, whole):
        field_name = str(flaw.place[0]) if flaw.place else fields_of(kind)[0].name
        errors.setdefault(input_name(field_name), _wanted(kind, field_name))
    return values, errors


def input_name(field: str) -> str:
    """The name of a field's input: no other field of a form has it."""
    return f"v_{field}"


def _input(kind: Kind, field: msgspec.structs.FieldInfo, pack: TownPack, parent: str, value: Any) -> Input:
    look = look_of(kind, field)
    if (kind.name, field.name) in OFFICES and pack.offices:
        look = "choice"
    may_be_unsaid = look == "text" and _is_optional(field.type)
    return Input(
        name=input_name(field.name),
        field=field.name,
        look=look,
        label=label_of(kind, field.name),
        hint=hint_of(kind, field.name),
        required=field.required and _must_be_said(kind, field, look),
        value=_shown(look, value),
        options=_options(kind, field, look, pack, parent, value),
        unsaid=value is None if may_be_unsaid else None,
    )


def _must_be_said(kind: Kind, field: msgspec.structs.FieldInfo, look: Look) -> bool:
    match look:
        case "number" | "time" | "date":
            return True
        case "text":
            return _min_length(field) > 0
        case "choice":
            # What names a record may name none.
            return (kind.name, field.name) not in NAMES.keys() | OFFICES
        case _:
            return False


def look_of(kind: Kind, field: msgspec.structs.FieldInfo) -> Look:
    """How a field is filled in, by its type."""
    if (kind.name, field.name) in ORDERED:
        return "ordered"
    is_named = (kind.name, field.name) in NAMES
    match _info(field.type):
        case msgspec.inspect.BoolType():
            return "yes_no"
        case msgspec.inspect.IntType():
            return "number"
        case msgspec.inspect.LiteralType():
            return "choice"
        case msgspec.inspect.TimeType():
            return "time"
        case msgspec.inspect.DateType():
            return "date"
        case msgspec.inspect.VarTupleType(item_type=msgspec.inspect.LiteralType()):
            return "choices"
        case msgspec.inspect.VarTupleType(item_type=msgspec.inspect.IntType(le=highest)):
            return "choices" if highest is not None else "lines"
        case msgspec.inspect.VarTupleType(item_type=msgspec.inspect.StrType()):
            return "choices" if is_named else "lines"
        case msgspec.inspect.StrType():
            return "choice" if is_named else "text"
    raise NotImplementedError(f"{kind.name}.{field.name}")


def _read(kind: Kind, field: msgspec.structs.FieldInfo, form: Form, old: Any) -> Any:
    name = input_name(field.name)
    match look_of(kind, field):
        case "yes_no":
            return form.value(name) == "yes"
        case "number":
            return _number(form.value(name)) if form.value(name).strip() else _nothing(field)
        case "choice":
            return form.value(name)
        case "choices":
            return _in_old_order(_typed(field, form.value(name).split()), old)
        case "ordered":
            rows = [key for key in form.values if key.startswith(f"{name}_")]
            chosen = [form.value(key) for key in sorted(rows, key=lambda key: (len(key), key)) if form.value(key)]
            return list(dict.fromkeys(chosen))
        case "lines":
            lines = form.long_text(name, max_length=TEXT_MAX_LENGTH, required=False).split("\n")
            return _typed(field, [line.strip() for line in lines if line.strip()])
        case "time":
            return _parsed(time, form.value(name).strip()) if form.value(name).strip() else None
        case "date":
            return _parsed(date, form.value(name).strip()) if form.value(name).strip() else None
        case _:
            if form.value(f"{name}_{UNSAID}"):
                return None
            return form.text(name, max_length=TEXT_MAX_LENGTH, required=field.required and _min_length(field) > 0)


def _options(
    kind: Kind, field: msgspec.structs.FieldInfo, look: Look, pack: TownPack, parent: str, value: Any
) -> list[dict[str, str]]:
    chosen = [str(each) for each in value] if isinstance(value, list) else [str(value or "")]
    known: dict[str, str] = {}
    if (kind.name, field.name) in NAMES:
        for name in NAMES[kind.name, field.name]:
            known |= dict(_named(KINDS[name], pack, parent))
    elif (kind.name, field.name) == ("procedure", "items"):
        own = {item.code: item.ja for item in pack.items.items}
        known = {str(code): choice_name(str(code)) for code in get_args(Item)} | own
    elif (kind.name, field.name) in OFFICES:
        known = {office.name_ja: office.name_ja for office in pack.offices}
    else:
        known = _of_type(_info(field.type))
    if look not in ("choice", "choices", "ordered"):
        return []
    # What is not known any more stays to be seen, and to be taken out.
    known |= {code: code for code in chosen if code and code not in known}
    options = [{"value": code, "label": label} for code, label in known.items()]
    needs_none = look == "ordered" or (look == "choice" and (kind.name, field.name) in NAMES.keys() | OFFICES)
    return [{"value": "", "label": "―"}, *options] if needs_none else options


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
        case "step" | "rule":
            names = {line.code: line.name_ja for line in pack.procedures}
            return str(names.get(record.procedure, record.procedure))
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


def _shown(look: Look, value: Any) -> Any:
    if look in ("choices", "ordered"):
        return [str(each) for each in value or ()]
    if look == "lines":
        return "\n".join(str(each) for each in value or ())
    if look == "yes_no":
        return "yes" if value else "no"
    if isinstance(value, time):
        return f"{value:%H:%M}" if not value.second else value.isoformat()
    return "" if value is None else str(value)


def _typed(field: msgspec.structs.FieldInfo, texts: list[str]) -> list[Any]:
    match _info(field.type):
        case msgspec.inspect.VarTupleType(item_type=msgspec.inspect.IntType()):
            return [_number(text) for text in texts]
        case _:
            return texts


def _in_old_order(chosen: list[Any], old: Any) -> list[Any]:
    """What was there before stays in its order: the boxes of a page have another one."""
    kept = [each for each in old or () if each in chosen]
    return [*kept, *(each for each in dict.fromkeys(chosen) if each not in kept)]


def _number(text: str) -> int | str:
    """A whole number; what is none stays a text, which fits nowhere."""
    clean = text.strip()
    digits = clean.removeprefix("-")
    return int(clean) if digits.isascii() and digits.isdigit() and len(digits) <= 9 else clean


def _parsed(kind: type[time] | type[date], text: str) -> Any:
    try:
        return kind.fromisoformat(text)
    except ValueError:
        return text


def _nothing(field: msgspec.structs.FieldInfo) -> Any:
    return None if field.required else field.default


def _usual(field: msgspec.structs.FieldInfo) -> Any:
    if not field.required:
        return list(field.default) if isinstance(field.default, tuple) else field.default
    match _info(field.type):
        case msgspec.inspect.VarTupleType():
            return []
        case msgspec.inspect.BoolType():
            return False
        case msgspec.inspect.StrType():
            return ""
        case msgspec.inspect.LiteralType(values=values):
            return values[0]
        case _:
            return None


def _info(kind: Any) -> Any:
    found = msgspec.inspect.type_info(kind)
    if isinstance(found, msgspec.inspect.UnionType):
        return next(each for each in found.types if not isinstance(each, msgspec.inspect.NoneType))
    return found


def _is_optional(kind: Any) -> bool:
    return isinstance(msgspec.inspect.type_info(kind), msgspec.inspect.UnionType)


def _min_length(field: msgspec.structs.FieldInfo) -> int:
    info = _info(field.type)
    if isinstance(info, msgspec.inspect.StrType):
        return 1 if info.pattern else info.min_length or 0
    return 0


def _wanted(kind: Kind, name: str) -> str:
    """What fits a field, in words."""
    field = next(each for each in fields_of(kind) if each.name == name)
    match _info(field.type):
        case msgspec.inspect.IntType(ge=lowest, le=highest):
            if lowest is not None and highest is not None:
                return _("%(lowest)sから%(highest)sまでの数字で入力してください。", lowest=lowest, highest=highest)
            return _("数字だけで入力してください。")
        case msgspec.inspect.LiteralType():
            return _("ひとつ選んでください。")
        case msgspec.inspect.StrType(pattern=str()):
            return _("英字・数字・「-」「_」だけで、短く入力してください。")
        case msgspec.inspect.StrType(max_length=int(longest)):
            return _("1文字から%(max)s文字までで入力してください。", max=longest)
        case msgspec.inspect.TimeType():
            return _("時刻を、08:30 のように入力してください。")
        case msgspec.inspect.DateType():
            return _("日を、2026-12-29 のように入力してください。")
        case msgspec.inspect.VarTupleType(max_length=int(longest)):
            return _("%(max)sつまでにしてください。", max=longest)
        case msgspec.inspect.VarTupleType(min_length=int(shortest)) if shortest:
            return _("ひとつ以上選んでください。")
        case _:
            return _("この書き方では入りません。書きなおしてください。")
