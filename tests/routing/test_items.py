"""What data items consist of: every item of every procedure that can be done online, packed, shown and typed again."""

from datetime import date, timedelta
from typing import Any

import pytest

from services.routing.domain.items import (
    ITEM_PARTS,
    NOT_TYPED,
    VALUE_MAX_LENGTH,
    can_be_typed,
    day_limits,
    field_of,
    number_limits,
    pack_value,
    typed_items,
    unpack_value,
)
from services.routing.pages.item_fields import fill_fields, make_groups, read_items, show_value
from services.routing.pages.item_wording import CHOICES, PARTS
from services.routing.pages.wording import ITEMS
from shared.town_pack import read_town_pack
from shared.web.forms import Form
from tests.stack import SAMPLE_TOWN

TODAY = date(2026, 11, 24)
ONLINE = [line for line in read_town_pack(SAMPLE_TOWN).procedures if line.online != "no"]


def typed_for(item: str, *, optional: bool = True) -> dict[str, str]:
    """Fields as a person might type them, right for every kind of part."""
    fields: dict[str, str] = {}
    for part in ITEM_PARTS[item]:
        if not part.required and not optional:
            continue
        name = field_of(item, part)
        earliest, latest = day_limits(part, TODAY)
        day = min(max(TODAY - timedelta(days=5), earliest), latest)
        right: dict[str, Any] = {
            "text": "𠮷田 﨑子",
            "person": "𠮷田　　﨑子",
            "kana": "ﾖｼﾀﾞ さきこ",
            "long_text": "一行目\r\n二行目",
            "phone": "０４６３−７１−３３１１",
            "postal_code": "〒259-0196",
            "choice": part.choices[0] if part.choices else "",
            "number": str(number_limits(item, part, TODAY)[0]),
            "digits": "12",
        }
        if part.kind == "day":
            fields |= {f"{name}_era": "R", f"{name}_year": str(day.year - 2018)}
            fields |= {f"{name}_month": str(day.month), f"{name}_day": str(day.day)}
        else:
            fields[name] = right[part.kind]
    return fields


@pytest.mark.parametrize("line", ONLINE, ids=lambda line: line.code)
def test_every_online_procedure_can_be_typed(line: Any) -> None:
    assert can_be_typed(line.items)
    assert set(line.items) - set(typed_items(line.items)) <= NOT_TYPED


@pytest.mark.parametrize("item", sorted(ITEM_PARTS))
@pytest.mark.parametrize("optional", [True, False])
def test_what_is_typed_is_kept_and_comes_back_the_same(item: str, optional: bool) -> None:
    form = Form(typed_for(item, optional=optional))
    typed = read_items(form, [item], TODAY)
    assert form.ok, form.errors
    value = typed.values[item]
    assert 0 < len(value) <= VALUE_MAX_LENGTH
    again = Form(fill_fields({item: value}))
    assert read_items(again, [item], TODAY).values == {item: value}
    assert pack_value(item, unpack_value(item, value)) == value
    assert show_value(item, value)


def test_one_part_is_plain_text_and_several_are_json_in_one_order() -> None:
    assert pack_value("name", {"": "𠮷田"}) == "𠮷田"
    address = {"line": "二宮961", "postal_code": "2590123", "building": ""}
    assert pack_value("address", address) == '{"line":"二宮961","postal_code":"2590123"}'
    assert pack_value("address", {}) == ""


@pytest.mark.parametrize("stored", ["", "no json", "[]", '{"line": 1}', '{"old_part": "x"}', "null"])
def test_what_is_stored_in_another_form_breaks_nothing(stored: str) -> None:
    assert unpack_value("address", stored) == {}
    assert isinstance(show_value("address", stored), str)
    assert show_value("unknown_item", stored) == stored
    assert fill_fields({"address": stored, "birth_date": stored})


@pytest.mark.parametrize("item", sorted(ITEM_PARTS))
def test_an_empty_item_is_missing_unless_somebody_goes_on_another_way(item: str) -> None:
    assert read_items(Form({}), [item], TODAY).unsaved == (item,)
    assert read_items(Form({}), [item], TODAY, complete=False).unsaved == ()


def test_half_an_item_is_named_and_the_whole_ones_are_kept() -> None:
    form = Form({"name": "二宮 花子", "address_line": "二宮961", "phone": "🙂"})
    typed = read_items(form, ["name", "birth_date", "address", "phone"], TODAY, complete=False)
    assert (typed.values, typed.unsaved) == ({"name": "二宮 花子"}, ("address", "phone"))


@pytest.mark.parametrize("item", sorted(ITEM_PARTS))
@pytest.mark.parametrize("garbage", ["\x00", "🙂", "x" * 9_999, "\u202e", "-1", "²", "٣", "\ud7ff", "2026-11-24"])
def test_garbage_is_an_error_at_its_field_or_plain_text(item: str, garbage: str) -> None:
    for field in typed_for(item):
        form = Form(typed_for(item) | {field: garbage})
        typed = read_items(form, [item], TODAY)
        assert bool(typed.unsaved) is not form.ok
        assert len(typed.values.get(item, "")) <= VALUE_MAX_LENGTH
        make_groups([item], form.values, form.errors)


def test_days_have_limits() -> None:
    for item, when in (("birth_date", TODAY + timedelta(days=1)), ("due_date", TODAY + timedelta(days=400)),
                       ("birth_date", date(1880, 1, 1))):  # fmt: skip
        fields = {f"{item}_year": str(when.year), f"{item}_month": str(when.month), f"{item}_day": str(when.day)}
        form = Form(fields)
        read_items(form, [item], TODAY)
        assert set(form.errors) == {item}


def test_every_part_and_choice_has_words_and_no_word_is_left_over() -> None:
    parts = {(item, part.name) for item, known in ITEM_PARTS.items() for part in known}
    choices = {
        (item, part.name, choice) for item, known in ITEM_PARTS.items() for part in known for choice in part.choices
    }
    assert set(PARTS) == parts
    assert set(CHOICES) == choices
    assert set(ITEM_PARTS) <= set(ITEMS)


def test_my_number_is_never_asked_for() -> None:
    words = "".join(f"{item} {part.name}" for item, known in ITEM_PARTS.items() for part in known)
    assert "my_number" not in words
    assert not any("個人番号" in f"{text.label}{text.hint}" for text in PARTS.values())
