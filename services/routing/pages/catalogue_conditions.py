"""On what answer it depends whether something is asked for: chosen among what a form, or an item, asks for above."""

from collections.abc import Mapping
from datetime import date
from typing import Any

import msgspec

from services.routing.domain.items import ITEM_PARTS
from services.routing.pages.item_labels import choice_name as answer_name
from services.routing.pages.item_labels import part_label
from services.routing.pages.wording import item_name
from shared.town_pack import TownPack
from shared.town_pack.items import OUR_FIELDS, fields_of
from shared.town_pack.records import KINDS, Kind, find_by_path, list_records, split_path
from shared.web.forms import Form
from shared.web.i18n import gettext as _

NUMBERS, DAYS = ("lowest", "highest"), ("from_day", "until_day")
# A condition asks for these kinds of fields.
DECIDING = ("choice", "number", "day")


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A field that may decide. `value` names it in a form: item and part; `answers` are its choices."""

    value: str
    label: str
    kind: str
    answers: tuple[tuple[str, str], ...] = ()


def fields_above(kind: Kind, pack: TownPack, parent: str, key: str) -> list[Asked]:
    """What is asked for before a record (one that there is not yet comes last), and may decide over it."""
    if kind.name == "part":
        parts = list_records(pack, kind, parent)
        names = [part.name for part in parts]
        above = parts[: names.index(key)] if key in names else parts
        own = {part.name: part for part in above}
        return [each for each in _own_fields(pack, split_path(KINDS["item"], parent)[1], "") if each.value[1:] in own]
    form_path, heading = split_path(KINDS["group"], parent)
    items: list[str] = []
    for group in list_records(pack, KINDS["group"], form_path):
        for entry in group.items:
            if group.ja == heading and entry.item == key:
                break
            items.append(entry.item)
        if group.ja == heading:
            break
    return [each for item in items for each in _fields(pack, item)]


def show_condition(above: list[Asked], value: Mapping[str, Any] | None) -> dict[str, Any]:
    """What stands in the fields, and what there is to choose from."""
    when = value or {}
    field = f"{when.get('item', '')}/{when.get('part', '')}" if value else ""
    chosen = [f"{field}/{code}" for code in when.get("one_of", ())]
    fields = {each.value: each.label for each in above}
    answers = {f"{each.value}/{code}": f"{each.label}：{said}" for each in above for code, said in each.answers}
    kinds = {each.kind for each in above}
    # What is not known any more stays to be seen, and to be taken out.
    fields |= {field: field for field in [field] if field and field not in fields}
    answers |= {answer: answer for answer in chosen if answer not in answers}
    return {
        "field": field,
        "fields": _options({"": _("いつもたずねる")} | fields),
        "one_of": chosen,
        "answers": _options(answers),
        "numbers": {name: _text(when.get(name)) for name in NUMBERS} if _has(kinds, "number", when, NUMBERS) else {},
        "days": {name: _text(when.get(name)) for name in DAYS} if _has(kinds, "day", when, DAYS) else {},
    }


def read_condition(form: Form, name: str, old: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The condition that was filled in; None: it is always asked for."""
    field = form.value(name)
    ticked = [answer.rpartition("/")[::2] for answer in form.value(f"{name}_one_of").split()]
    asked = {of for of, _code in ticked}
    if not field and len(asked) == 1:
        # Whoever ticks an answer means its question.
        field = asked.pop()
    if asked - {field}:
        form.errors[name] = _("えらんだ質問の答えだけに、印をつけてください。")
    if not field:
        return None
    item, _slash, part = field.rpartition("/")
    codes = [code for of, code in ticked if of == field]
    before = [code for code in (old or {}).get("one_of", ()) if code in codes]
    given: dict[str, Any] = {
        "part": part,
        "item": item,
        "one_of": [*before, *(code for code in codes if code not in before)],
        **{each: _number(form.value(f"{name}_{each}").strip()) for each in NUMBERS},
        **{each: _day(form.value(f"{name}_{each}").strip()) for each in DAYS},
    }
    return {each: value for each, value in given.items() if value not in ("", None, [])}


def part_names(pack: TownPack, item: str) -> dict[str, str]:
    """The parts of an item, by their names, and what they are called."""
    if item in OUR_FIELDS:
        return {part.name: part_label(item, part) for part in ITEM_PARTS[item]}
    own = find_by_path(pack, KINDS["item"], item)
    return {part.name: part.ja for part in own.parts} if own is not None else {}


def _fields(pack: TownPack, item: str) -> list[Asked]:
    if item not in OUR_FIELDS:
        return _own_fields(pack, item, item)
    kinds = OUR_FIELDS[item]
    return [
        Asked(
            value=f"{item}/{part.name}",
            label=f"{item_name(item)}・{part_label(item, part)}" if part.name else item_name(item),
            kind=kinds[part.name].kind,
            answers=tuple((code, answer_name(item, part, code)) for code in kinds[part.name].choices),
        )
        for part in ITEM_PARTS[item]
        if kinds[part.name].kind in DECIDING
    ]


def _own_fields(pack: TownPack, item: str, named: str) -> list[Asked]:
    """Of an item of the town's own, which conditions between its own parts do not name."""
    own = find_by_path(pack, KINDS["item"], item)
    if own is None:
        return []
    kinds = fields_of(own)
    return [
        Asked(
            value=f"{named}/{part.name}",
            label=f"{own.ja}・{part.ja}" if named and part.name else part.ja,
            kind=kinds[part.name].kind,
            answers=tuple((choice.code, choice.ja) for choice in part.choices),
        )
        for part in own.parts
        if kinds[part.name].kind in DECIDING
    ]


def _has(kinds: set[str], kind: str, when: Mapping[str, Any], names: tuple[str, ...]) -> bool:
    return kind in kinds or any(name in when for name in names)


def _options(labels: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"value": value, "label": label} for value, label in labels.items()]


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _number(text: str) -> int | str | None:
    digits = text.removeprefix("-")
    return int(text) if digits.isascii() and digits.isdigit() and len(digits) <= 9 else text or None


def _day(text: str) -> date | str | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        return text
