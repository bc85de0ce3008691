"""Items of a town's own and how its forms ask: order, groups, what is needed, and what depends on an answer above."""

from collections.abc import Iterator
from datetime import date

import msgspec
import pytest

from services.routing.commands.town_items import town_items_of
from services.routing.domain.items import (
    ITEM_PARTS,
    Condition,
    can_be_typed,
    in_order,
    pack_value,
    parts_of,
    unpack_people,
    unpack_value,
)
from services.routing.domain.town_items import ProcedureForm, TownItems, form_of, use_town_items
from services.routing.pages.item_fields import errors_in_order, fill_fields, make_groups, read_items, show_value
from services.routing.pages.wording import item_names
from shared.town_pack import read_town_pack
from shared.town_pack.items import OUR_FIELDS
from shared.web.forms import Form
from tests.routing.test_items import typed_for
from tests.stack import SAMPLE_TOWN

TODAY = date(2026, 11, 24)
HOSHIMI = town_items_of(read_town_pack(SAMPLE_TOWN.parent / "hoshimi").items)
SNACK = {
    "town_snack_allergy": "yes",
    "town_snack_foods_0_food": "そば",
    "town_snack_foods_0_strength": "heavy",
    "town_snack_epipen": "no",
}
PICKUP = {"town_pickup_people_0_name": "星見　一郎", "town_pickup_people_0_phone": "03-1234-5678"}


@pytest.fixture(autouse=True)
def _hoshimi() -> Iterator[None]:
    with use_town_items(HOSHIMI):
        yield


def club() -> ProcedureForm:
    return form_of("gakudo")


def test_the_pack_knows_the_parts_of_our_items() -> None:
    """A pack may name them in its forms: what it may name is what there is."""
    assert set(OUR_FIELDS) == set(ITEM_PARTS)
    for item, fields in OUR_FIELDS.items():
        assert {part.name: part.choices for part in ITEM_PARTS[item]} == {
            name: field.choices for name, field in fields.items()
        }
        for part in ITEM_PARTS[item]:
            asked = part.kind if part.kind in ("choice", "day", "number") else "text"
            assert fields[part.name].kind == asked, (item, part.name)


def test_what_is_published_is_read_back_as_it_was() -> None:
    assert msgspec.convert(msgspec.to_builtins(HOSHIMI), TownItems) == HOSHIMI


def test_a_towns_items_are_known_in_its_requests_and_nowhere_else() -> None:
    assert can_be_typed(["name", "town_snack"])
    assert in_order({"town_pickup", "town_snack", "name"}) == ("name", "town_snack", "town_pickup")
    assert item_names(["town_snack", "name"]) == "お名前、おやつと食物アレルギー"
    with use_town_items(TownItems()):
        assert not can_be_typed(["town_snack"])
        assert parts_of("town_snack") == ()
        assert item_names(["town_snack"]) == "そのほかの項目"
        assert form_of("gakudo") == ProcedureForm()


def test_an_item_of_the_towns_own_is_typed_shown_and_typed_again_as_ours_are() -> None:
    form = Form(SNACK | {"town_snack_foods_2_food": "いくら", "town_snack_foods_2_strength": "light"})
    typed = read_items(form, ["town_snack"], TODAY)
    assert form.ok, form.errors
    value = typed.values["town_snack"]
    assert unpack_people(unpack_value("town_snack", value)["foods"]) == [
        {"food": "そば", "strength": "heavy"},
        {"food": "いくら", "strength": "light"},
    ], "an empty row in between is nothing"
    assert show_value("town_snack", value) == (
        "食物アレルギーがありますか：アレルギーがあります\n"
        "食べられないもの：そば、息が苦しくなるなど、重い症状／いくら、かゆみなど、軽い症状\n"
        "エピペンを持っていますか：エピペンはありません"
    )
    assert read_items(Form(fill_fields({"town_snack": value})), ["town_snack"], TODAY).values == {"town_snack": value}
    assert pack_value("town_snack", unpack_value("town_snack", value)) == value


@pytest.mark.parametrize(
    ("former", "shown"),
    [
        # Before it was parted; with a part and a choice that are gone.
        ("そばと卵", "そばと卵"),
        ('{"allergy":"sometimes","drink":"麦茶"}', "食物アレルギーがありますか：sometimes\n麦茶"),
    ],
)
def test_what_was_given_before_the_town_asked_otherwise_can_still_be_read(former: str, shown: str) -> None:
    assert show_value("town_snack", former) == shown
    assert isinstance(fill_fields({"town_snack": former}), dict)


@pytest.mark.parametrize("garbage", ["", "🙂", "x" * 9_999, "\x00"])
def test_what_does_not_apply_is_neither_checked_nor_kept(garbage: str) -> None:
    form = Form(SNACK | {"town_snack_allergy": "no", "town_snack_foods_0_food": garbage})
    assert read_items(form, ["town_snack"], TODAY).values == {"town_snack": '{"allergy":"no"}'}
    assert form.ok
    late = Form(PICKUP | {"town_pickup_until": "six", "town_late": garbage})
    assert set(read_items(late, ["town_pickup", "town_late"], TODAY, plan=club()).values) == {"town_pickup"}
    assert late.ok


def test_what_applies_is_needed() -> None:
    form = Form({"town_snack_allergy": "yes"})
    assert read_items(form, ["town_snack"], TODAY).unsaved == ("town_snack",)
    assert set(form.errors) == {"town_snack_foods_0_food", "town_snack_foods_0_strength", "town_snack_epipen"}
    assert list(errors_in_order(["town_snack"], form.errors)) == list(form.errors)
    late = Form(PICKUP | {"town_pickup_until": "seven"})
    assert read_items(late, ["town_pickup", "town_late"], TODAY, plan=club()).unsaved == ("town_late",)


def test_while_the_answer_above_is_missing_nothing_below_it_is_asked_for_but_on_the_way_nothing_is_lost() -> None:
    form = Form({"town_late": "仕事が長いため"})
    items = ["town_pickup", "town_late"]
    typed = read_items(form, items, TODAY, plan=club())
    assert (typed.values, typed.unsaved) == ({}, ("town_pickup",))
    assert "town_late" not in form.errors
    # Whoever saves or goes to the counter in between may have answered above before, or will.
    assert read_items(Form(form.values), items, TODAY, plan=club(), complete=False).values == form.values


def test_a_procedure_may_need_what_others_do_without() -> None:
    employer = typed_for("employer", optional=False)
    assert read_items(Form(employer), ["employer"], TODAY).unsaved == ()
    form = Form(employer)
    assert read_items(form, ["employer"], TODAY, plan=club()).unsaved == ("employer",)
    assert set(form.errors) == {"employer_hours"}
    given = {"employer": pack_value("employer", {"name": "星見製作所"})}
    assert club().lacks(given) == ("employer",)
    assert club().lacks({"employer": pack_value("employer", {"name": "星見製作所", "hours": "平日"})}) == ()
    assert form_of("kokuho").lacks(given) == ()


def test_there_are_as_many_rows_as_are_needed_and_no_more_than_there_may_be() -> None:
    def rows(fields: dict[str, str]) -> list[bool]:
        people = make_groups(["town_pickup"], fields, {}, plan=club())[0]["parts"][0]["people"]
        return [row["parts"][0]["required"] for row in people["rows"]]

    assert rows({}) == [True]
    assert rows({"more": "town_pickup_people"} | PICKUP) == [True, False]
    many = {f"town_pickup_people_{index}_name": "星見 一郎" for index in range(9)}
    assert rows(many) == [True] * 4
    form = Form({"town_pickup_until": "six"})
    read_items(form, ["town_pickup"], TODAY)
    assert set(form.errors) == {"town_pickup_people_0_name", "town_pickup_people_0_phone"}
    # Whoever left the first row empty has given somebody all the same.
    second = {name.replace("_0_", "_1_"): text for name, text in PICKUP.items()}
    assert read_items(Form(second | {"town_pickup_until": "six"}), ["town_pickup"], TODAY).unsaved == ()


def test_the_form_has_its_order_headings_and_sentences() -> None:
    items = club().in_order(["town_late", "name", "topic", "child", "household", "town_snack", "town_pickup"])
    assert items == ("name", "child", "household", "town_snack", "town_pickup", "town_late", "topic")
    groups = {group["item"]: group for group in make_groups(items, {}, {}, plan=club())}
    assert [group["heading"] for group in groups.values()] == [
        "保護者の方", "お子さんとご家族", None, "クラブでの過ごし方", None, None, None,
    ]  # fmt: skip
    assert groups["household"]["when"]["text"] == (
        "「いっしょに住んでいますか」が「はい、いっしょに住んでいます」のときだけ、書いてください。"
    )
    assert groups["household"]["when"]["field"] == "child_together"
    price = make_groups(["bank_account"], {}, {}, plan=form_of("compost"))[0]["when"]
    assert price["text"] == "「値段（円）」が「2000以上」のときだけ、書いてください。"


@pytest.mark.parametrize(
    ("when", "text", "is_so"),
    [
        (Condition(one_of=("a", "b")), "b", True),
        (Condition(one_of=("a", "b")), "c", False),
        (Condition(one_of=("a", "b")), "", False),
        (Condition(lowest=3), "3", True),
        (Condition(lowest=3), "2", False),
        (Condition(highest=3), "3", True),
        (Condition(highest=3), "10", False),
        (Condition(lowest=3, highest=3), "", False),
        (Condition(lowest=0), "two", False),
        (Condition(from_day=date(2026, 4, 2)), "2026-04-02", True),
        (Condition(from_day=date(2026, 4, 2)), "2026-04-01", False),
        (Condition(until_day=date(2026, 4, 1)), "2026-04-01", True),
        (Condition(until_day=date(2026, 4, 1)), "2026-04-02", False),
        (Condition(until_day=date(2026, 4, 1)), "", False),
    ],
)
def test_a_condition_holds_within_its_bounds(when: Condition, text: str, is_so: bool) -> None:
    assert when.holds(text) is is_so


def test_what_does_not_apply_follows_from_the_answers_and_where_they_are_not_stays_as_it_was() -> None:
    form = club()
    six, seven = (pack_value("town_pickup", {"people": "[]", "until": until}) for until in ("six", "seven"))
    assert form.not_asked({"town_pickup": six}) == ("town_late",)
    assert form.not_asked({"town_pickup": seven}, ["town_late"]) == ()
    assert form.not_asked({}, ["town_late", "name"]) == ("town_late",)
    assert form.not_asked({}) == ()
    alone = pack_value("child", {"together": "no"})
    assert form.not_asked({"town_pickup": six, "child": alone}) == ("household", "town_late")
