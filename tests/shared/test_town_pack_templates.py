"""What is wrong with the town's own messages is told with its line and what to do; and what is filled in, once."""

import re
import shutil
import tomllib
from pathlib import Path

import pytest

from shared.sms_parts import PARTS_MAX, count_parts
from shared.town_pack import read_town_pack
from shared.town_pack.difference import changes_between
from shared.town_pack.templates import LANGUAGES, NEEDED, PLACEHOLDERS, TEMPLATES_FILE, fill, names_for
from shared.town_pack.toml_text import show
from tests.shared.test_town_pack import change, line_of, problem

TOWNS = Path(__file__).resolve().parents[2] / "deploy" / "towns"
HOSHIMI = TOWNS / "hoshimi"


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """A copy of the town that has words of its own, to spoil."""
    return Path(shutil.copytree(HOSHIMI, tmp_path / "town"))


def test_one_sample_town_has_two_texts_and_the_other_none() -> None:
    assert [each.kind for each in read_town_pack(HOSHIMI).templates] == ["reminder", "application_completed"]
    assert read_town_pack(TOWNS / "ninomiya").templates == ()


def test_a_town_without_the_file_is_said_in_our_words(pack: Path) -> None:
    (pack / TEMPLATES_FILE).unlink()
    assert read_town_pack(pack).templates == ()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('kind = "reminder"', 'kind = "remainder"', r"kind: 'remainder' does not fit; write one of application_acc"),
        ('kind = "application_completed"', 'kind = "reminder"', r"kind: reminder is there twice"),
        ("short_ja = ", "shot_ja = ", r"shot_ja: no such field; did you mean short_ja\?"),
        ('short_en = "', '# short_en = "', r"short_en: short is said in another language and not in en; say it in all"),
        ("番号{number} {when} 場所・", "番号{numbr} {when} 場所・",
         r"short_ja: the short of reminder does not know \{numbr\}; did you mean \{number\}\?"),
        ("Where: {place}", "Where: {offer_when}", r"long_en: the long of reminder does not know \{offer_when\}; there"),
        # Whoever looks over a shoulder reads the subject; and an SMS has one way in.
        ("（{number}）", "（{link}）", r"subject_ja: \{link\} may not stand in the subject: others read it"),
        ("番号{number} {when} 場所・", "番号{number} {when} {code} ", r"short_ja: \{code\} may not stand in the short"),
        ("日時　　{when}", "日時　　", r"long_ja: the message does not say \{when\}; people need it"),
        ("no. {number}, ", "", r"short_en: the message does not say \{number\}"),
        ("場所　　{place}", "場所　　{place.name}", r"long_ja: a brace around no name; take it out"),
        ("場所　　{place}", "場所　　{{place}}", r"long_ja: a brace around no name"),
        ("場所　　{place}", "場所　　{}", r"long_ja: a brace around no name"),
        ("[{town}] Your application", "[{town}]\\nYour application",
         r"subject_en: a line break, or a sign that is none"),
        ("Place, change or cancel", "Place, change or cancel " + "x" * 100,
         r"short_en: an SMS in up to 5 parts, of at most 3; make it shorter"),
        ('subject_ja = "【{town}】予約', f'subject_ja = "{"あ" * 101}【{{town}}】予約',
         r"subject_ja: .+ does not fit; write a text of 0 to 100 letters"),
    ],
)  # fmt: skip
def test_what_could_not_be_sent_is_told_at_its_line(pack: Path, old: str, new: str, said: str) -> None:
    line = line_of(pack / TEMPLATES_FILE, old.splitlines()[0])
    change(pack / TEMPLATES_FILE, old, new)
    found = re.search(rf"templates\.toml, line (\d+), templates\.{said}", problem(pack))
    assert found, problem(pack)
    # A text over several lines is told where it begins.
    assert 0 <= line - int(found[1]) <= 50 or int(found[1]) - line <= 30


def test_an_empty_record_says_nothing(pack: Path) -> None:
    (pack / TEMPLATES_FILE).write_text('[[templates]]\nkind = "change"\n', "utf-8")
    assert "line 1, templates: nothing is said of change; write a text, or take it out" in problem(pack)


def test_every_kind_can_say_what_people_need() -> None:
    for kind, known in PLACEHOLDERS.items():
        assert set(names_for(kind, "sms")) <= set(known), kind
        assert {name for name in NEEDED if name in known} <= set(names_for(kind, "sms")), kind
        assert "code" not in names_for(kind, "sms") + names_for(kind, "email_subject")


def test_a_changed_text_is_a_line_of_the_difference(pack: Path) -> None:
    change(pack / TEMPLATES_FILE, "[{town}] Your application is done", "[{town}] All done")
    changes = list(changes_between(read_town_pack(HOSHIMI), read_town_pack(pack)))
    assert [(line.kind, line.code, sorted(line.fields)) for line in changes] == [
        ("template", "application_completed", ["subject_en"])
    ]


def test_names_are_filled_in_once_and_none_is_left_open() -> None:
    assert fill("{a} と {b_c}", {"a": "{b_c}", "b_c": "x"}) == "{b_c} と x"
    assert fill("{a}", {"a": ""}) is None
    assert fill("{a}", {}) is None
    assert fill("{a.b} {0} {} %s", {}) == "{a.b} {0} {} %s"


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_samples_fit_into_an_sms(language: str) -> None:
    for template in read_town_pack(HOSHIMI).templates:
        text = getattr(template, f"short_{language}")
        values = dict.fromkeys(PLACEHOLDERS[template.kind], "x" * 20) | {"link": "x" * 80}
        assert count_parts(fill(text, values) or "") <= PARTS_MAX


@pytest.mark.parametrize("text", ["a\nb\n", "a\n\n　b", 'a "quoted"\nb', "back\\slash\n", "tab\tand\nline", '"""\n'])
def test_a_text_of_several_lines_is_written_as_it_is_read(text: str) -> None:

    assert tomllib.loads(f"text = {show(text)}\n") == {"text": text}
