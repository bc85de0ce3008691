"""What is wrong with the town's own items and forms is told with its line and what to do."""

import re
import shutil
from pathlib import Path

import pytest

from shared.town_pack import ITEMS_FILE, read_town_pack
from shared.town_pack.difference import changes_between
from shared.town_texts import collect_texts
from tests.shared.test_town_pack import change, line_of, problem

HOSHIMI = Path(__file__).resolve().parents[2] / "deploy" / "towns" / "hoshimi"

# From the line that was spoiled to the one that contradicts it: within the same table, or the next.
NEAR_LINES = 30


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """A copy of the town that has items of its own, to spoil."""
    return Path(shutil.copytree(HOSHIMI, tmp_path / "town"))


def test_a_town_without_the_file_asks_as_we_do(pack: Path) -> None:
    (pack / ITEMS_FILE).unlink()
    change(pack / "procedures.csv", "|town_snack|town_pickup|town_late", "")
    change(pack / "procedures.csv", "|town_composter", "")
    assert read_town_pack(pack).items.forms == ()


def test_its_words_are_said_in_three_languages() -> None:
    texts = collect_texts(read_town_pack(HOSHIMI))
    assert texts["おやつと食物アレルギー"].en == "Snacks and food allergies"
    assert texts["食べられないもの"].easy == "たべられない もの"
    assert texts["エピペンがあります"].en == "Yes, there is one"
    assert texts["クラブでの過ごし方"].en == "At the club"
    assert texts["ひとつずつ書いてください。"].en == "One at a time, please."


def test_a_change_is_one_line_of_the_difference(pack: Path) -> None:
    change(pack / ITEMS_FILE, "at_most = 5", "at_most = 4")
    change(pack / ITEMS_FILE, "lowest = 2000", "lowest = 3000")
    changes = list(changes_between(read_town_pack(HOSHIMI), read_town_pack(pack)))
    assert [(line.kind, line.code, sorted(line.fields)) for line in changes] == [
        ("part of an item", "town_snack/foods", ["at_most"]),
        ("item of a form", "compost/処理機と補助金/bank_account", ["when"]),
    ]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        # An item that nobody defines; ours cannot be taken.
        ('code = "town_late"', 'code = "late"', r"items\.code: 'late' does not fit; write a text like"),
        ('code = "town_late"', 'code = "town_snack"', r"items\.code: town_snack is there twice"),
        ('kind = "long_text"', 'kind = "photo"', r"items\.parts\.kind: 'photo' does not fit; write one of choice, "),
        ('name = "epipen"', 'name = "allergy"', r"items\.parts\.name: allergy is there twice"),
        ('name = "epipen"', 'name = "epi_pen"', r"items\.parts\.name: 'epi_pen' does not fit"),
        ('name = "bought"\n', "", r"items\.parts\.name: one of several parts has no name; give it one"),
        ('    { code = "no", ja = "エピペンはありません", easy = "もって いません", en = "No injector" },\n', "",
         r"items\.parts: a choice between fewer than two; write its choices"),
        ("at_least = 1\nat_most = 5", "at_least = 5\nat_most = 1", r"items\.parts\.at_most: less than at_least"),
        ("from_days = -183", "from_days = 183", r"items\.parts\.until_days: less than from_days"),
        ("length = 200", "length = 900", r"items\.parts\.length: 900 does not fit; write a whole number from 1 to 500"),
        ('kind = "things"', 'kind = "text"', r"items\.parts\.each: a text comes once; write people or things"),
        # Conditions look back, at something that can be asked.
        ('{ part = "allergy", one_of = ["yes"] }', '{ part = "epipen", one_of = ["yes"] }',
         r"items\.parts\.when: foods depends on 'epipen', which does not come before it; a condition looks back only"),
        ('{ part = "allergy", one_of = ["yes"] }', '{ part = "foods", one_of = ["yes"] }',
         r"items\.parts\.when: foods depends on 'foods', which does not come before it"),
        ('{ part = "allergy", one_of = ["yes"] }', '{ part = "allergy", one_of = ["often"] }',
         r"items\.parts\.when: no such choice: often; mend the code; there are no, yes"),
        ('{ part = "allergy", one_of = ["yes"] }', '{ part = "allergy", lowest = 1 }',
         r"items\.parts\.when: nothing that fits a choice; write one_of"),
        ('{ item = "child", part = "together", one_of = ["yes"] }',
         '{ item = "town_pickup", part = "until", one_of = ["six"] }',
         r"forms\.groups\.items: household depends on 'town_pickup', which does not come before it"),
        ('{ item = "child", part = "together", one_of = ["yes"] }',
         '{ item = "household", part = "head", one_of = ["yes"] }',
         r"forms\.groups\.items: household depends on 'household', which does not come before it"),
        ('{ item = "child", part = "together", one_of = ["yes"] }', '{ item = "child", part = "name", one_of = ["a"] }',
         r"forms\.groups\.items: a condition asks for a choice, a number or a day"),
        ('{ item = "child", part = "together", one_of = ["yes"] }', '{ item = "child", part = "age", lowest = 3 }',
         r"forms\.groups\.items: child has no part 'age'; mend the part; there are "),
        # A form asks for what its procedure needs, once each.
        ('procedure = "gakudo"', 'procedure = "gakudoo"', r"forms\.procedure: no such procedure: gakudoo"),
        ('procedure = "gakudo"', 'procedure = "compost"', r"forms\.procedure: compost is there twice"),
        ('procedure = "compost"', 'procedure = "kaigo"', r"forms\.procedure: kaigo cannot be done online"),
        ('    { item = "town_snack" },\n', "", r"forms\.groups: the form of gakudo leaves out town_snack"),
        ('{ item = "town_snack" }', '{ item = "town_snack" }, { item = "child" }',
         r"forms\.groups\.items: child is there twice; take one out"),
        ('{ item = "town_snack" }', '{ item = "town_snack" }, { item = "dog" }',
         r"forms\.groups\.items: gakudo does not need dog"),
        ('required = ["hours"]', 'required = ["wage"]',
         r"forms\.groups\.items: employer has no part wage; mend the name; there are name, phone, hours"),
    ],
)  # fmt: skip
def test_what_contradicts_itself_is_told_at_its_line(pack: Path, old: str, new: str, said: str) -> None:
    line = line_of(pack / ITEMS_FILE, old.splitlines()[0])
    change(pack / ITEMS_FILE, old, new)
    told = problem(pack)
    found = re.search(rf"items\.toml, line (\d+), {said}", told)
    assert found, told
    assert abs(int(found[1]) - line) <= NEAR_LINES


def test_an_item_that_nobody_defines_is_told_where_it_is_named(pack: Path) -> None:
    change(pack / "procedures.csv", "|town_snack|", "|town_snak|")
    assert re.search(
        r"procedures\.csv, line \d+, items: no such item: town_snak; mend the code; there are ", problem(pack)
    )


def test_an_item_that_could_grow_beyond_what_is_kept_is_told(pack: Path) -> None:
    change(pack / ITEMS_FILE, "length = 40 }", "length = 500 }")
    change(pack / ITEMS_FILE, "at_most = 5", "at_most = 10")
    assert re.search(r"town_snack could be \d+ letters long, of at most 4000; lower some length", problem(pack))


def test_a_form_that_could_have_too_many_fields_is_told(pack: Path) -> None:
    change(pack / ITEMS_FILE, "at_most = 4", "at_most = 10")
    change(pack / ITEMS_FILE, "at_most = 5", "at_most = 10")
    change(pack / ITEMS_FILE, 'kind = "phone"', 'kind = "day"')
    assert re.search(
        r"procedures\.csv, line \d+, items: gakudo would ask for \d+ fields of the town's own", problem(pack)
    )
