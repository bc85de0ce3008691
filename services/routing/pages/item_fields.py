"""The form of a procedure's items: reading what was typed, part by part, and showing it again."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import msgspec

from services.routing.domain.addresses import complete_line, tidy_line
from services.routing.domain.items import (
    ADDRESS_ITEMS,
    ITEM_PARTS,
    Part,
    day_limits,
    field_of,
    number_limits,
    pack_value,
    typed_items,
    unpack_value,
)
from services.routing.pages.item_wording import CHOICES, PARTS
from services.routing.pages.wording import ITEMS, OTHER_ITEM, show_phone
from services.routing.queries.postal_codes import find_places
from shared.web.forms import DATE_PARTS, POSTAL_CODE_LENGTH, Form
from shared.web.i18n import gettext as _
from shared.web.i18n import translate
from shared.web.templating import jst_date, wareki

# On a tablet that many write on, the browser would offer what it knows of somebody else.
NO_AUTOFILL = {"autocomplete": "off", "birthday": False}


class Typed(msgspec.Struct, frozen=True, kw_only=True):
    """What of a form can be kept: `values` by item; `unsaved` are items that were typed but are not right yet."""

    values: dict[str, str]
    unsaved: tuple[str, ...]


def read_items(form: Form, items: Sequence[str], today: date, *, complete: bool = True) -> Typed:
    """Check every part of every item; the form's errors say what is wrong and where.

    Not `complete`: what was not typed at all is no error, for those who go on another way.
    """
    values: dict[str, str] = {}
    unsaved: list[str] = []
    for item in typed_items(items):
        if not complete and not _is_touched(form, item):
            continue
        before = set(form.errors)
        parts = {part.name: _read_part(form, item, part, today) for part in ITEM_PARTS[item]}
        if set(form.errors) - before:
            unsaved.append(item)
        else:
            values[item] = pack_value(item, _complete_address(item, parts))
    return Typed(values=values, unsaved=tuple(unsaved))


def look_up_address(form: Form, item: str) -> dict[str, str]:
    """The fields of a form with the line of an address filled in from its postal code, if it tells more than is there.

    What the person typed after the place is kept. The form's errors say what is wrong with the code.
    """
    code, line = f"{item}_postal_code", f"{item}_line"
    postal_code = form.postal_code(code)
    places = find_places(postal_code) if postal_code else ()
    if postal_code and not places:
        form.errors[code] = _("この郵便番号は見つかりません。数字を確かめるか、住所を書いてください。")
    typed = tidy_line(form.value(line))
    if not places:
        return dict(form.values)
    found = complete_line(typed, places)
    if not any(found.startswith(place.line) for place in places):
        # Another place's address would be wrong; a number alone goes on after the place.
        found = places[0].line + (typed if typed[:1].isdigit() else "")
    return dict(form.values) | {line: found}


def fill_fields(values: Mapping[str, str]) -> dict[str, str]:
    """The fields of a form from the items' values, as a person would have typed them."""
    fields: dict[str, str] = {}
    for item, value in values.items():
        for part in ITEM_PARTS.get(item, ()):
            text = unpack_value(item, value).get(part.name, "")
            name = field_of(item, part)
            if part.kind == "day":
                year, _, rest = text.partition("-")
                month, _, day = rest.partition("-")
                fields |= {f"{name}_era": "AD", f"{name}_year": year}
                fields |= {f"{name}_month": month.lstrip("0"), f"{name}_day": day.lstrip("0")}
            else:
                fields[name] = _as_typed(part, text)
    return fields


def make_groups(
    items: Sequence[str], fields: Mapping[str, str], errors: Mapping[str, str], *, with_autofill: bool = True
) -> list[dict[str, Any]]:
    """The items as the page asks for them: one group each, with its parts.

    `with_autofill`: the browser may offer what it knows of its owner.
    """
    return [
        {
            "item": item,
            "label": item_name(item),
            "is_address": item in ADDRESS_ITEMS,
            "parts": [
                _show_field(item, part, fields, errors) | ({} if with_autofill else NO_AUTOFILL)
                for part in ITEM_PARTS[item]
            ],
        }
        for item in typed_items(items)
    ]


def errors_in_order(items: Sequence[str], errors: Mapping[str, str]) -> dict[str, str]:
    """The problems in the order of the page, each with the name of its field."""
    return {
        name: f"{_label(item, part)}：{errors[name]}"
        for item in typed_items(items)
        for part in ITEM_PARTS[item]
        if (name := field_of(item, part)) in errors
    }


def show_value(item: str, value: str) -> str:
    """An item's value for people to read, its parts one below the other."""
    parts = unpack_value(item, value)
    known = ITEM_PARTS.get(item, ())
    if not known:
        return value
    if len(known) == 1:
        return _readable(item, known[0], value)
    lines = []
    for part in known:
        text = parts.get(part.name, "")
        if text:
            lines.append(f"{_label(item, part)}：{_readable(item, part, text)}")
    return "\n".join(lines)


def item_name(item: str) -> str:
    """What an item is called."""
    return translate(ITEMS.get(item, OTHER_ITEM))


def _is_touched(form: Form, item: str) -> bool:
    for part in ITEM_PARTS[item]:
        name = field_of(item, part)
        names = [f"{name}_{piece}" for piece in DATE_PARTS[1:]] if part.kind == "day" else [name]
        if any(form.value(each).strip() for each in names):
            return True
    return False


def _complete_address(item: str, parts: dict[str, str]) -> dict[str, str]:
    if item not in ADDRESS_ITEMS or not parts["line"]:
        return parts
    places = find_places(parts["postal_code"])
    building = " ".join(parts["building"].split())
    return parts | {"line": complete_line(tidy_line(parts["line"]), places), "building": building}


def _read_part(form: Form, item: str, part: Part, today: date) -> str:
    name, required = field_of(item, part), part.required
    match part.kind:
        case "text":
            return form.text(name, max_length=part.length, required=required)
        case "person":
            return " ".join(form.text(name, max_length=part.length, required=required).split())
        case "long_text":
            return form.long_text(name, max_length=part.length, required=required)
        case "kana":
            return form.kana(name, max_length=part.length, required=required)
        case "phone":
            return form.phone(name, required=required)
        case "postal_code":
            return form.postal_code(name, required=required)
        case "choice":
            return form.choice(name, part.choices, required=required)
        case "digits":
            return form.digits(name, length=part.length, required=required)
        case "number":
            lowest, highest = number_limits(item, part, today)
            return form.number(name, lowest=lowest, highest=highest, required=required)
        case "day":
            earliest, latest = day_limits(part, today)
            return form.day(name, earliest=earliest, latest=latest, required=required)


def _show_field(item: str, part: Part, fields: Mapping[str, str], errors: Mapping[str, str]) -> dict[str, Any]:
    name = field_of(item, part)
    words = PARTS.get((item, part.name))
    value: Any = fields.get(name, "")
    if part.kind == "day":
        value = {piece: fields.get(f"{name}_{piece}", "") for piece in DATE_PARTS}
    return {
        "name": name,
        "kind": part.kind,
        "label": _label(item, part),
        "hint": translate(words.hint) if words and words.hint else None,
        "autocomplete": words.autocomplete if words else "off",
        "required": part.required,
        "length": part.length,
        "birthday": item == "birth_date",
        "options": [{"value": choice, "label": _choice_name(item, part, choice)} for choice in part.choices],
        "value": value,
        "error": errors.get(name),
    }


def _label(item: str, part: Part) -> str:
    words = PARTS.get((item, part.name))
    return translate(words.label) if words else item_name(item)


def _choice_name(item: str, part: Part, choice: str) -> str:
    return translate(CHOICES.get((item, part.name, choice), choice))


def _as_typed(part: Part, text: str) -> str:
    if part.kind == "phone" and text:
        return show_phone(text)
    if part.kind == "postal_code" and len(text) == POSTAL_CODE_LENGTH:
        return f"{text[:3]}-{text[3:]}"
    return text


def _readable(item: str, part: Part, text: str) -> str:
    if part.kind == "choice":
        return _choice_name(item, part, text)
    if part.kind == "day":
        try:
            day = date.fromisoformat(text)
        except ValueError:
            return text
        return f"{jst_date(day, weekday=False)}（{wareki(day, year_only=True)}）"
    return ("〒" if part.kind == "postal_code" else "") + _as_typed(part, text)
