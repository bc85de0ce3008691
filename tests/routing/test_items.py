"""What data items consist of: every item of every procedure that can be done online, packed, shown and typed again."""

from datetime import date, timedelta
from typing import Any

import pytest

from services.routing.domain.items import (
    ITEM_PARTS,
    NOT_TYPED,
    PEOPLE_MAX,
    VALUE_MAX_LENGTH,
    Part,
    can_be_typed,
    day_limits,
    field_of,
    field_of_person,
    number_limits,
    pack_value,
    parts_of,
    typed_items,
    unpack_people,
    unpack_value,
)
from services.routing.pages.item_fields import (
    MORE,
    errors_in_order,
    extend_form,
    fill_fields,
    make_groups,
    read_items,
    show_value,
)
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
    for part in parts_of(item):
        if not part.required and not part.at_least and not optional:
            continue
        for name, own in fields_of(field_of(item, part), part):
            fields |= typed_for_part(item, name, own)
    return fields


def fields_of(name: str, part: Part) -> list[tuple[str, Part]]:
    """A part's fields: its own, or those of everybody where there may be several people."""
    if not part.each:
        return [(name, part)]
    return [(field_of_person(name, index, own), own) for index in range(part.at_most) for own in part.each]


def typed_for_part(item: str, name: str, part: Part) -> dict[str, str]:
    earliest, latest = day_limits(part, TODAY)
    day = min(max(TODAY - timedelta(days=5), earliest), latest)
    if part.kind == "day":
        return {
            f"{name}_era": "R",
            f"{name}_year": str(day.year - 2018),
            f"{name}_month": str(day.month),
            f"{name}_day": str(day.day),
        }
    right: dict[str, str] = {
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
    return {name: right[part.kind]}


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
    named = [
        (item, name, part)
        for item, known in ITEM_PARTS.items()
        for whole in known
        for name, part in [(whole.name, whole), *((f"{whole.name}.{own.name}", own) for own in whole.each)]
    ]
    parts = {(item, name) for item, name, _part in named}
    choices = {(item, name, choice) for item, name, part in named for choice in part.choices}
    assert set(PARTS) == parts
    assert set(CHOICES) == choices
    assert set(ITEM_PARTS) <= set(ITEMS)


def test_my_number_is_never_asked_for() -> None:
    words = "".join(f"{item} {part.name}" for item, known in ITEM_PARTS.items() for part in known)
    assert "my_number" not in words
    assert not any("個人番号" in f"{text.label}{text.hint}" for text in PARTS.values())


def household(*people: tuple[str, str, str]) -> dict[str, str]:
    """A form with these people, each with a name, a relation and the year of birth."""
    fields = {"household_head": "二宮 花子"}
    for index, (name, relation, year) in enumerate(people):
        row = f"household_members_{index}"
        fields |= {f"{row}_name": name, f"{row}_relation": relation}
        fields |= {f"{row}_birth_date_year": year, f"{row}_birth_date_month": "3", f"{row}_birth_date_day": "1"}
    return fields


def test_a_household_has_its_members_one_by_one() -> None:
    form = Form(household(("二宮　太郎", "spouse", "S50"), ("", "", ""), ("二宮 一郎", "child", "2015")))
    form.values |= {"household_members_1_birth_date_month": "", "household_members_1_birth_date_day": ""}
    typed = read_items(form, ["household"], TODAY)
    assert form.ok, form.errors
    value = typed.values["household"]
    assert unpack_people(unpack_value("household", value)["members"]) == [
        {"name": "二宮 太郎", "relation": "spouse", "birth_date": "1975-03-01"},
        {"name": "二宮 一郎", "relation": "child", "birth_date": "2015-03-01"},
    ], "an empty row in between is nobody"
    shown = show_value("household", value)
    assert "二宮 太郎、夫または妻、1975年3月1日（昭和50年）／二宮 一郎、子、2015年3月1日（平成27年）" in shown


def test_who_lives_alone_leaves_the_row_empty() -> None:
    form = Form(household())
    assert read_items(form, ["household"], TODAY).values == {"household": '{"head":"二宮 花子"}'}
    assert form.ok


def test_half_a_person_is_told_at_their_own_field() -> None:
    form = Form(household(("二宮 太郎", "spouse", "S50"), ("二宮 一郎", "cousin", "")))
    assert read_items(form, ["household"], TODAY).unsaved == ("household",)
    assert set(form.errors) == {"household_members_1_relation", "household_members_1_birth_date"}
    texts = errors_in_order(["household"], form.errors)
    assert list(texts) == ["household_members_1_relation", "household_members_1_birth_date"]
    assert texts["household_members_1_relation"].startswith("いっしょに住んでいる方 2 続柄")


def test_there_is_a_row_for_one_more_until_there_are_too_many() -> None:
    def rows(form: Form) -> int:
        fields = extend_form(form, ["household"]) or form.values
        return len(make_groups(["household"], fields, {})[0]["parts"][1]["people"]["rows"])

    assert rows(Form({})) == 1
    assert rows(Form({MORE: "household_members"})) == 1, "the first one is still free"
    two = household(("二宮 太郎", "spouse", "S50"), ("二宮 一郎", "child", "2015"))
    assert rows(Form(two)) == 2
    assert rows(Form(two | {MORE: "household_members"})) == 3
    assert rows(Form(two | {MORE: "new_address_members"})) == 2
    many = household(*[("二宮 太郎", "child", "2015")] * (PEOPLE_MAX + 3))
    assert rows(Form(many | {MORE: "household_members"})) == PEOPLE_MAX


@pytest.mark.parametrize("former", ["夫 太郎\n子 一郎", "[1]", '{"name": "太郎"}', "null"])
def test_members_that_were_typed_as_a_note_are_shown_as_they_were(former: str) -> None:
    value = pack_value("household", {"head": "二宮 花子", "members": former})
    assert former in show_value("household", value)
    assert fill_fields({"household": value}) == {"household_head": "二宮 花子"}
