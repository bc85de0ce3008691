"""A record as a form: each field of the schema becomes something to fill in, and what was filled in a value again."""

from collections.abc import Mapping
from datetime import date, time
from typing import Any, Literal

import msgspec

from services.routing.pages.catalogue_conditions import fields_above, part_names, read_condition, show_condition
from services.routing.pages.catalogue_options import ITEM, NAMES, NO_NAME, OFFICES, PARTS, info_of, options_of
from services.routing.pages.catalogue_wording import hint_of, kind_name, label_of, names_hint
from shared.town_pack import TownPack
from shared.town_pack.fitting import misfits
from shared.town_pack.records import KINDS, Kind, children_of, fields_of
from shared.town_pack.templates import NOTICE_KINDS
from shared.web.forms import Form
from shared.web.i18n import gettext as _

Look = Literal[
    "text", "long_text", "number", "yes_no", "choice", "choices", "ordered", "lines", "time", "date", "condition",
]  # fmt: skip
# An address may be another town's: only the operator changes these, in the files.
NOT_HERE = {("town", "code"), ("town", "hosts"), ("town", "public_url")}
# Lists whose order says something.
ORDERED = {("procedure", "items"), ("town", "frequent")}
EMPTY_ROWS = 3
TEXT_MAX_LENGTH = 2_000
# A text that may be longer has several lines.
LINE_MAX_LENGTH = 500
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
        _input(kind, field, pack, parent, values)
        for field in fields_of(kind)
        if (kind.name, field.name) not in NOT_HERE and not _has_no_use(kind, field, pack, parent, values)
    ]


def make_first_inputs(kind: Kind, pack: TownPack, values: Mapping[str, Any], prefix: str = "") -> list[Input]:
    """What there is to fill in of the first record in a new one, of whose kind there has to be one; and in that."""
    inner = needed_in(kind)
    if inner is None:
        return []
    prefix = f"{prefix}{inner.place[-1]}_"
    first = (values.get(inner.place[-1]) or [{}])[0]
    own = [
        msgspec.structs.replace(made, label=f"{kind_name(inner)}：{made.label}", name=input_name(field.name, prefix))
        for field in _needed_fields(inner)
        for made in [_input(inner, field, pack, "", usual_values(inner) | first)]
    ]
    return own + make_first_inputs(inner, pack, first, prefix)


def needed_in(kind: Kind) -> Kind | None:
    """The kind of which one at least stands in each record of a kind; None when there is no such."""
    lists = {field.name for field in msgspec.structs.fields(kind.type) if field.required}
    return next((each for each in children_of(kind) if each.place[-1] in lists), None)


def usual_values(kind: Kind) -> dict[str, Any]:
    """A new record, before anybody said something of it."""
    return {field.name: _usual(field) for field in fields_of(kind)}


def read_inputs(kind: Kind, form: Form, old: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """The values that were filled in, and what is wrong with them by the name of the input."""
    fields = [field for field in fields_of(kind) if (kind.name, field.name) not in NOT_HERE]
    values = dict(old) | {field.name: _read(kind, field, form, old.get(field.name)) for field in fields}
    return values, _errors_of(kind, form, values, fields_of(kind))


def read_first_inputs(kind: Kind, form: Form, prefix: str = "") -> tuple[dict[str, Any], dict[str, str]]:
    """The same of the first records in a new one, as lists of one."""
    inner = needed_in(kind)
    if inner is None:
        return {}, {}
    prefix = f"{prefix}{inner.place[-1]}_"
    fields = _needed_fields(inner)
    values = {field.name: _read(inner, field, form, None, prefix) for field in fields}
    errors = _errors_of(inner, form, values, fields, prefix)
    for field in fields:
        if look_of(inner, field) == "choice" and not values[field.name]:
            errors[input_name(field.name, prefix)] = _("ひとつ選んでください。")
    deeper, more = read_first_inputs(inner, form, prefix)
    return {inner.place[-1]: [values | deeper]}, errors | more


def _needed_fields(kind: Kind) -> list[msgspec.structs.FieldInfo]:
    return [field for field in fields_of(kind) if field.required]


def _errors_of(
    kind: Kind, form: Form, values: Mapping[str, Any], fields: list[msgspec.structs.FieldInfo], prefix: str = ""
) -> dict[str, str]:
    errors = dict(form.errors)
    inner = {field.name: values[field.name] for field in fields}
    whole = msgspec.defstruct("Own", [(field.name, field.type) for field in fields])
    for flaw in misfits(kind.file, inner, whole):
        field_name = str(flaw.place[0]) if flaw.place else fields[0].name
        errors.setdefault(input_name(field_name, prefix), _wanted(kind, field_name))
    return errors


def input_name(field: str, prefix: str = "") -> str:
    """The name of a field's input: no other field of a form has it."""
    return f"v_{prefix}{field}"


def _has_no_use(
    kind: Kind, field: msgspec.structs.FieldInfo, pack: TownPack, parent: str, values: Mapping[str, Any]
) -> bool:
    """What nothing can be chosen for: parts of no item yet, and what could depend on nothing."""
    value = values.get(field.name)
    match look_of(kind, field):
        case "condition":
            return not value and not fields_above(kind, pack, parent, str(values.get(kind.key) or ""))
        case "choices" if (kind.name, field.name) == PARTS:
            return not value and not part_names(pack, str(values.get("item") or ""))
        case _:
            return False


def _input(
    kind: Kind, field: msgspec.structs.FieldInfo, pack: TownPack, parent: str, values: Mapping[str, Any]
) -> Input:
    value = values.get(field.name)
    look = look_of(kind, field)
    if (kind.name, field.name) in OFFICES and pack.offices:
        look = "choice"
    may_be_unsaid = look == "text" and _is_optional(field.type)
    shown = _shown(look, value)
    if look == "condition":
        shown = show_condition(fields_above(kind, pack, parent, str(values.get(kind.key) or "")), value)
    return Input(
        name=input_name(field.name),
        field=field.name,
        look=look,
        label=label_of(kind, field.name),
        hint=_template_hint(field.name, values) if kind.name == "template" else hint_of(kind, field.name),
        required=field.required and _must_be_said(kind, field, look),
        value=shown,
        options=options_of(kind, field, look, pack, parent, values),
        unsaid=value is None if may_be_unsaid else None,
    )


def _template_hint(field: str, values: Mapping[str, Any]) -> str | None:
    """Beside a text in Japanese stands what it may name; the others name the same."""
    name, _line, language = field.partition("_")
    if language != "ja" or values.get("kind") not in NOTICE_KINDS:
        return hint_of(KINDS["template"], field)
    return names_hint(values["kind"], name)


def _must_be_said(kind: Kind, field: msgspec.structs.FieldInfo, look: Look) -> bool:
    match look:
        case "number" | "time" | "date":
            return True
        case "text" | "long_text":
            return _min_length(field) > 0
        case "choice":
            # What names a record may name none.
            return (kind.name, field.name) not in NAMES.keys() | OFFICES | {ITEM}
        case _:
            return False


def look_of(kind: Kind, field: msgspec.structs.FieldInfo) -> Look:  # noqa: C901  a line for each type
    """How a field is filled in, by its type."""
    if (kind.name, field.name) in ORDERED:
        return "ordered"
    is_named = (kind.name, field.name) in NAMES.keys() | {ITEM, PARTS}
    match info_of(field.type):
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
        case msgspec.inspect.StrType(max_length=longest):
            if longest is not None and longest > LINE_MAX_LENGTH:
                return "long_text"
            return "choice" if is_named else "text"
        case msgspec.inspect.StructType():
            return "condition"
    raise NotImplementedError(f"{kind.name}.{field.name}")


def _read(kind: Kind, field: msgspec.structs.FieldInfo, form: Form, old: Any, prefix: str = "") -> Any:
    name = input_name(field.name, prefix)
    match look_of(kind, field):
        case "condition":
            return read_condition(form, name, old)
        case "long_text":
            written = form.long_text(name, max_length=TEXT_MAX_LENGTH, required=False)
            # As in the files, where the last line ends like all of them.
            return f"{written}\n" if written and (old or "\n").endswith("\n") else written
        case "yes_no":
            return form.value(name) == "yes"
        case "number":
            return _number(form.value(name)) if form.value(name).strip() else _nothing(field)
        case "choice":
            return form.value(name)
        case "choices":
            chosen = ["" if text == NO_NAME else text for text in form.value(name).split()]
            return _in_old_order(_typed(field, chosen), old)
        case "ordered":
            rows = [key for key in form.values if key.startswith(f"{name}_")]
            in_order = [form.value(key) for key in sorted(rows, key=lambda key: (len(key), key)) if form.value(key)]
            return list(dict.fromkeys(in_order))
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


def _shown(look: Look, value: Any) -> Any:
    if look in ("choices", "ordered"):
        return [str(each) or NO_NAME for each in value or ()]
    if look == "lines":
        return "\n".join(str(each) for each in value or ())
    if look == "yes_no":
        return "yes" if value else "no"
    if isinstance(value, time):
        return f"{value:%H:%M}" if not value.second else value.isoformat()
    return "" if value is None else str(value)


def _typed(field: msgspec.structs.FieldInfo, texts: list[str]) -> list[Any]:
    match info_of(field.type):
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
    match info_of(field.type):
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


def _is_optional(kind: Any) -> bool:
    return isinstance(msgspec.inspect.type_info(kind), msgspec.inspect.UnionType)


def _min_length(field: msgspec.structs.FieldInfo) -> int:
    info = info_of(field.type)
    if isinstance(info, msgspec.inspect.StrType):
        return 1 if info.pattern else info.min_length or 0
    return 0


def _wanted(kind: Kind, name: str) -> str:
    """What fits a field, in words."""
    field = next(each for each in fields_of(kind) if each.name == name)
    match info_of(field.type):
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
        case msgspec.inspect.StructType():
            return _("数字と日を、確かめてください。日は 2026-12-29 のように入力してください。")
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
