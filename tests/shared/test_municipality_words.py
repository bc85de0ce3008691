"""Our texts are written for a town; in a city they speak of the city and its 市役所."""

import re

import pytest
from babel.messages.pofile import read_po

from shared.web.i18n import LANGUAGES, SOURCE, catalogue_path, gettext, translate, use_language
from shared.web.municipality_words import as_said_here, use_municipality
from shared.web.readings import unread


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("二宮町", "役場に電話で。町の手続き。市区町村と町村、町字。The Town hall of the town, towns"),
        ("星見市", "市役所に電話で。市の手続き。市区町村と町村、町字。The City hall of the city, towns"),
        ("中央区", "区役所に電話で。区の手続き。市区町村と町村、町字。The Ward office of the ward, towns"),
        ("某村", "役場に電話で。村の手続き。市区町村と町村、町字。The Village office of the village, towns"),
        ("", "役場に電話で。町の手続き。市区町村と町村、町字。The Town hall of the town, towns"),
    ],
)
def test_a_municipality_is_called_what_its_name_says(name: str, said: str) -> None:
    text = "役場に電話で。町の手続き。市区町村と町村、町字。The Town hall of the town, towns"
    with use_municipality(name):
        assert as_said_here(text) == said
    assert as_said_here(text) == text


def test_a_citys_words_are_ours_in_every_language_and_what_is_filled_in_stays() -> None:
    with use_municipality("星見市"):
        assert translate("役場の窓口") == "市役所の窓口"
        assert gettext("「%(category)s」の手続き", category="町と役場") == "「町と役場」の手続き"
        with use_language("en"):
            assert "city hall" in translate("役場の窓口").lower()
        with use_language("ja-easy"):
            assert unread(translate("役場の窓口")) == []


def test_what_is_filled_in_later_keeps_its_name_in_every_text() -> None:
    """Seen to fail where `%(town)s` is taken for our word: then nothing fits into `%(city)s`."""
    texts = set()
    for language in LANGUAGES.values():
        if language is not SOURCE:
            with catalogue_path(language).open("rb") as file:
                texts |= {text for line in read_po(file) for text in (line.id, line.string) if isinstance(text, str)}
    filled_in = re.compile(r"%\(\w+\)[sd]")
    assert any("%(town)s" in text for text in texts)
    for name in ("星見市", "中央区", "某村"):
        with use_municipality(name):
            for text in texts:
                assert filled_in.findall(as_said_here(text)) == filled_in.findall(text)


@pytest.mark.parametrize(
    ("name", "said"),
    [("二宮町", "二宮町役場"), ("星見市", "星見市役所"), ("中央区", "中央区役所"), ("某村", "某村役場")],
)
def test_the_hall_after_its_name_says_it_once(name: str, said: str) -> None:
    with use_municipality(name):
        assert gettext("%(town)s役場からのお知らせです。", town=name) == f"{said}からのお知らせです。"
