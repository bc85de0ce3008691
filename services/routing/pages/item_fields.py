"""The form of a procedure's items: reading what was typed, part by part, and showing it again."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Any

import msgspec

from services.routing.domain.addresses import complete_line, tidy_line
from services.routing.domain.applications import WRITTEN, read_reasons
from services.routing.domain.attachments import unpack_files
from services.routing.domain.items import (
    ADDRESS_ITEMS,
    Part,
    day_limits,
    field_of,
    field_of_person,
    in_order,
    is_attached,
    left_over,
    number_limits,
    pack_people,
    pack_value,
    parts_of,
    typed_items,
    unpack_people,
    unpack_value,
)
from services.routing.domain.town_items import PLAIN_FORM, ProcedureForm, postal_example
from services.routing.pages.application_wording import WHOLE
from services.routing.pages.item_labels import choice_name, part_hint, part_label, show_when
from services.routing.pages.item_wording import PARTS
from services.routing.pages.wording import item_name as item_name
from services.routing.pages.wording import show_phone
from services.routing.queries.postal_codes import find_places
from shared.web.forms import DATE_PARTS, POSTAL_CODE_LENGTH, Form
from shared.web.i18n import gettext as _
from shared.web.i18n import translate
from shared.web.templating import jst_date, wareki
from shared.web.town_texts import town_text

# Buttons inside a form: which address to look up, and which people there is one more of.
LOOK_UP, MORE = "lookup", "more"
# On a tablet that many write on, the browser would offer what it knows of somebody else.
NO_AUTOFILL = {"autocomplete": "off", "birthday": False}


class Typed(msgspec.Struct, frozen=True, kw_only=True):
    """What of a form can be kept: `values` by item; `unsaved` are items that were typed but are not right yet."""

    values: dict[str, str]
    unsaved: tuple[str, ...]


def read_items(
    form: Form,
    items: Sequence[str],
    today: date,
    *,
    complete: bool | Collection[str] = True,
    plan: ProcedureForm = PLAIN_FORM,
) -> Typed:
    """Check every part of every item that applies; the form's errors say what is wrong and where.

    `plan`: what applies, by what was answered above. What does not is neither checked nor kept, whatever was typed.
    Not `complete`: what was not typed at all is no error, for those who go on another way. Or it is these items that
    have to be complete.
    """
    values: dict[str, str] = {}
    unsaved: list[str] = []
    read: dict[str, dict[str, str]] = {}
    for item in typed_items(items):
        entry = plan.entry(item)
        is_whole = complete if isinstance(complete, bool) else item in complete
        if not is_whole and not _is_touched(form, item):
            continue
        holds = [when.holds(read.get(when.item, {}).get(when.part, "")) for when in entry.conditions]
        is_decided = all(when.item in read for when in entry.conditions)
        # Undecided: the answer above is to be mended first, or does not apply itself.
        if holds and not any(holds) and (is_whole or is_decided):
            continue
        before = set(form.errors)
        parts = _read_parts(form, item, entry.parts(), today)
        if set(form.errors) - before:
            unsaved.append(item)
        else:
            read[item] = parts
            values[item] = pack_value(item, _complete_address(item, parts))
    return Typed(values=values, unsaved=tuple(unsaved))


def _read_parts(form: Form, item: str, known: Sequence[Part], today: date) -> dict[str, str]:
    parts: dict[str, str] = {}
    for part in known:
        if part.when is None or part.when.holds(parts.get(part.when.part, "")):
            parts[part.name] = _read_part(form, field_of(item, part), item, part, today)
    return parts


def extend_form(form: Form, items: Sequence[str]) -> dict[str, str] | None:
    """The fields after a button inside a form: an address looked up, or one more person. None: none was pressed."""
    item = form.value(LOOK_UP)
    if item in ADDRESS_ITEMS and item in items:
        return _look_up_address(form, item)
    people = {field_of(item, part) for item in typed_items(items) for part in parts_of(item) if part.each}
    return dict(form.values) if form.value(MORE) in people else None


def _look_up_address(form: Form, item: str) -> dict[str, str]:
    """The fields with the line of an address filled in from its postal code, if it tells more than is there.

    What the person typed after the place is kept. The form's errors say what is wrong with the code.
    """
    code, line = f"{item}_postal_code", f"{item}_line"
    postal_code = form.postal_code(code, example=postal_example())
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
        parts = unpack_value(item, value)
        for part in parts_of(item):
            fields |= _fill_part(field_of(item, part), part, parts.get(part.name, ""))
    return fields


def make_groups(
    items: Sequence[str],
    fields: Mapping[str, str],
    errors: Mapping[str, str],
    *,
    with_autofill: bool = True,
    is_draft: bool = False,
    plan: ProcedureForm = PLAIN_FORM,
) -> list[dict[str, Any]]:
    """The items as the page asks for them: one group each, with its parts, and the heading above those that begin one.

    `with_autofill`: the browser may offer what it knows of its owner. Of a draft nothing has to be written.
    """
    groups = []
    for item in typed_items(items):
        entry = plan.entry(item)
        heading = plan.heading(item)
        groups.append(
            {
                "item": item,
                "label": item_name(item),
                "heading": town_text(heading) if heading else None,
                # Below the heading of its group.
                "level": 3 if plan.groups else 2,
                "when": show_when(entry.conditions[0], item) if len(entry.conditions) == 1 else None,
                # Several procedures ask for it, each in a case of its own: it stays on the page, with all of them.
                "any_of": [shown["case"] for when in entry.conditions if (shown := show_when(when, item))]
                if len(entry.conditions) > 1
                else [],
                "is_address": item in ADDRESS_ITEMS,
                "parts": [
                    _show_field(item, part, fields, errors, is_needed=not is_draft)
                    | ({} if with_autofill else NO_AUTOFILL)
                    for part in entry.parts()
                ],
            }
        )
    return groups


def errors_in_order(items: Sequence[str], errors: Mapping[str, str]) -> dict[str, str]:
    """The problems in the order of the page, each with the name of its field."""
    return {
        name: f"{label}：{errors[name]}"
        for item in typed_items(items)
        for part in parts_of(item)
        for name, label in _labelled(item, part)
        if name in errors
    }


def show_value(item: str, value: str) -> str:
    """An item's value for people to read, its parts one below the other."""
    if item == WRITTEN["correction_asked"]:
        return "\n".join(f"{row['term']}：{row['text']}" for row in reason_rows(value))
    if is_attached(item):
        return count_files(value)
    parts = unpack_value(item, value)
    known = parts_of(item)
    if not known:
        return value
    if len(known) == 1:
        return _readable(item, known[0], value)
    lines = []
    for part in known:
        text = parts.get(part.name, "")
        if text:
            lines.append(f"{part_label(item, part)}：{_readable(item, part, text)}")
    return "\n".join([*lines, *left_over(item, value)])


def count_files(value: str) -> str:
    """How many there are in a list of files."""
    files = unpack_files(value)
    pictures = sum(file.kind == "jpeg" for file in files)
    parts = [_("写真%(count)sまい", count=pictures)] if pictures else []
    parts += [_("PDF%(count)sつ", count=len(files) - pictures)] if len(files) > pictures else []
    return "、".join(parts)


def reason_rows(value: str) -> list[dict[str, str]]:
    """What is to be corrected, in the order in which items are asked for: what is about all of it first."""
    reasons = read_reasons(value)
    order = ["", *in_order(reasons)]
    known = sorted(reasons, key=lambda item: order.index(item) if item in order else len(order))
    return [
        {"item": item, "term": item_name(item) if item else translate(WHOLE), "text": reasons[item]} for item in known
    ]


def _is_touched(form: Form, item: str) -> bool:
    return any(_is_part_touched(form.values, field_of(item, part), part) for part in parts_of(item))


def _is_part_touched(fields: Mapping[str, str], name: str, part: Part) -> bool:
    if part.each:
        return count_people(fields, name, part) > 0
    names = [f"{name}_{piece}" for piece in DATE_PARTS[1:]] if part.kind == "day" else [name]
    return any(fields.get(each, "").strip() for each in names)


def count_people(fields: Mapping[str, str], name: str, part: Part) -> int:
    """Up to which of several people something was typed."""
    touched = [
        index + 1
        for index in range(part.at_most)
        if any(_is_part_touched(fields, field_of_person(name, index, own), own) for own in part.each)
    ]
    return max(touched, default=0)


def _complete_address(item: str, parts: dict[str, str]) -> dict[str, str]:
    if item not in ADDRESS_ITEMS or not parts["line"]:
        return parts
    places = find_places(parts["postal_code"])
    building = " ".join(parts["building"].split())
    return parts | {"line": complete_line(tidy_line(parts["line"]), places), "building": building}


def _read_part(form: Form, name: str, item: str, part: Part, today: date) -> str:
    required = part.required
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
            return form.postal_code(name, required=required, example=postal_example())
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
        case "people" | "things":
            return _read_people(form, name, item, part, today)


def _read_people(form: Form, name: str, item: str, part: Part, today: date) -> str:
    """Everybody of whom anything was typed; an empty row in between is nobody, unless there are too few."""
    touched = {
        index
        for index in range(part.at_most)
        if any(_is_part_touched(form.values, field_of_person(name, index, own), own) for own in part.each)
    }
    free = (index for index in range(part.at_most) if index not in touched)
    wanted = sorted(
        touched | {index for index, _missing in zip(free, range(part.at_least - len(touched)), strict=False)}
    )
    people = [
        {own.name: _read_part(form, field_of_person(name, index, own), item, own, today) for own in part.each}
        for index in wanted
    ]
    return pack_people(people)


def _fill_part(name: str, part: Part, text: str) -> dict[str, str]:
    if part.each:
        fields: dict[str, str] = {}
        for index, person in enumerate(unpack_people(text)):
            for own in part.each:
                fields |= _fill_part(field_of_person(name, index, own), own, person.get(own.name, ""))
        return fields
    if part.kind == "day":
        year, _dash, rest = text.partition("-")
        month, _dash, day = rest.partition("-")
        return {
            f"{name}_era": "AD",
            f"{name}_year": year,
            f"{name}_month": month.lstrip("0"),
            f"{name}_day": day.lstrip("0"),
        }
    return {name: _as_typed(part, text)}


def _show_field(
    item: str,
    part: Part,
    fields: Mapping[str, str],
    errors: Mapping[str, str],
    *,
    name: str = "",
    within: str = "",
    is_needed: bool = True,
) -> dict[str, Any]:
    name = name or field_of(item, part)
    words = PARTS.get((item, within + part.name))
    value: Any = fields.get(name, "")
    if part.kind == "day":
        value = {piece: fields.get(f"{name}_{piece}", "") for piece in DATE_PARTS}
    return {
        "name": name,
        "kind": part.kind,
        "label": part_label(item, part, within),
        "hint": part_hint(item, part, within),
        "when": show_when(part.when, item) if part.when is not None else None,
        "autocomplete": words.autocomplete if words else "off",
        "required": part.required and is_needed,
        "length": part.length,
        "birthday": item == "birth_date",
        "options": [{"value": choice, "label": choice_name(item, part, choice, within)} for choice in part.choices],
        "value": value,
        "error": errors.get(name),
        "people": _show_people(item, part, name, fields, errors) if part.each else None,
    }


def _show_people(
    item: str, part: Part, name: str, fields: Mapping[str, str], errors: Mapping[str, str]
) -> dict[str, Any]:
    """A row for each of whom something was typed, and one more when it was asked for; at first there is one."""
    asked = fields.get(MORE, "") == name
    rows = min(max(1, part.at_least, count_people(fields, name, part) + asked), part.at_most)
    people = []
    for index in range(rows):
        names = {own.name: field_of_person(name, index, own) for own in part.each}
        # Nothing has to be written of nobody.
        is_needed = index < part.at_least or any(_is_part_touched(fields, names[own.name], own) for own in part.each)
        people.append(
            {
                "title": _("%(number)s人目", number=index + 1)
                if part.kind == "people"
                else _("%(number)s番目", number=index + 1),
                "parts": [
                    _show_field(
                        item,
                        own,
                        fields,
                        errors,
                        name=names[own.name],
                        within=f"{part.name}.",
                        is_needed=is_needed,
                    )
                    for own in part.each
                ],
            }
        )
    return {"rows": people, "has_room": rows < part.at_most}


def _labelled(item: str, part: Part) -> list[tuple[str, str]]:
    """Every field of a part, in the order of the page, with what it is called."""
    name = field_of(item, part)
    if not part.each:
        return [(name, part_label(item, part))]
    return [
        (
            field_of_person(name, index, own),
            f"{part_label(item, part)} {index + 1} {part_label(item, own, f'{part.name}.')}",
        )
        for index in range(part.at_most)
        for own in part.each
    ]


def _as_typed(part: Part, text: str) -> str:
    if part.kind == "phone" and text:
        return show_phone(text)
    if part.kind == "postal_code" and len(text) == POSTAL_CODE_LENGTH:
        return f"{text[:3]}-{text[3:]}"
    return text


def _readable(item: str, part: Part, text: str, within: str = "") -> str:
    if part.each:
        people = unpack_people(text)
        # What was typed before there were fields for each is shown as it was.
        return "／".join(_readable_person(item, part, person) for person in people) if people else text
    if part.kind == "choice":
        return choice_name(item, part, text, within)
    if part.kind == "day":
        try:
            day = date.fromisoformat(text)
        except ValueError:
            return text
        return f"{jst_date(day, weekday=False)}（{wareki(day, year_only=True)}）"
    return ("〒" if part.kind == "postal_code" else "") + _as_typed(part, text)


def _readable_person(item: str, part: Part, person: Mapping[str, str]) -> str:
    known = [own for own in part.each if person.get(own.name)]
    return "、".join(_readable(item, own, person[own.name], f"{part.name}.") for own in known)
