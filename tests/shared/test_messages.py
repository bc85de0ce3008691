"""What `make messages` collects and `make lint` refuses: stale catalogues, lost placeholders, unplain Japanese."""

from pathlib import Path

import jinja2
import pytest
from babel.messages.catalog import Catalog

from deploy import messages
from deploy.messages import (
    ROOT_DIR,
    STAFF_ONLY,
    check,
    collect,
    extract,
    merge,
    problems_of,
    read_catalogue,
    render,
    untranslated,
)
from deploy.plain_japanese import plain_problems
from shared.web import i18n
from shared.web.i18n import LANGUAGES, catalogue_path

ENGLISH = LANGUAGES["en"]


def texts(*ids: str) -> Catalog:
    found = Catalog()
    for text in ids:
        found.add(text)
    return found


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(i18n, "LOCALE_DIR", tmp_path)
    return tmp_path


def test_the_catalogues_are_those_of_the_texts_of_now() -> None:
    assert check(extract()) == []


def test_every_text_has_english_words() -> None:
    """Staff's texts too: only やさしい日本語 is for residents alone."""
    assert [message.id for message in read_catalogue(ENGLISH) if message.id and not message.string] == []


def test_every_file_that_is_for_staff_alone_is_there() -> None:
    """A name that says nothing any more is not left behind."""
    assert [file for files in STAFF_ONLY.values() for file in files if not (ROOT_DIR / file).is_file()] == []


def test_a_text_that_a_resident_sees_has_to_be_translated() -> None:
    """What stands on a resident's page too is theirs: seen to fail when one of staff's pages makes a text staff's."""
    staff = STAFF_ONLY["the counter's tablet"][0]
    seen = Catalog()
    seen.add("不在", locations=[(staff, 1)])
    seen.add("予約", locations=[(staff, 2), ("services/booking/pages/find.html", 3)])
    seen.add("番号", locations=[("services/booking/pages/find.html", 4)])
    known = Catalog()
    known.add("番号", string="number")
    assert untranslated(known, seen) == ["予約"]
    known.add("予約", string="")
    assert untranslated(known, seen) == ["予約"]


def test_collecting_twice_changes_nothing_and_keeps_translations(
    elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    collect(texts("予約 %(number)s", "窓口"))
    path = catalogue_path(ENGLISH)
    first = path.read_bytes()
    assert b"Creation-Date" not in first
    path.write_bytes(
        first.replace(
            b'msgid "\xe7\xaa\x93\xe5\x8f\xa3"\nmsgstr ""', b'msgid "\xe7\xaa\x93\xe5\x8f\xa3"\nmsgstr "Counter"'
        )
    )
    translated = path.read_bytes()
    assert translated != first
    collect(texts("窓口", "予約 %(number)s"))
    assert path.read_bytes() == translated
    assert "en: 2 texts, 1 without a translation, 0 no longer asked for" in capsys.readouterr().out


def test_a_text_that_is_new_or_gone_makes_a_catalogue_stale(elsewhere: Path) -> None:
    collect(texts("窓口", "予約"))
    assert check(texts("窓口", "予約")) == []
    for now in (texts("窓口"), texts("窓口", "予約", "番号")):
        assert any("make messages" in problem for problem in check(now))
    collect(texts("窓口"))
    assert [message.id for message in read_catalogue(ENGLISH) if message.id] == ["窓口"]


@pytest.mark.parametrize(
    ("source", "translation", "problem"),
    [
        ("予約 %(number)s", "Appointment %(nummer)s", "placeholders"),
        ("予約 %(number)s", "Appointment", "placeholders"),
        ("あと {m}分", "{n} min", "placeholders"),
        ("予約 %(number)s", "100% sure of %(number)s", "percent"),
    ],
)
def test_placeholders_agree(source: str, translation: str, problem: str) -> None:
    catalogue = merge(texts(), texts(source), ENGLISH)
    assert problems_of(catalogue, plain=False) == []
    catalogue.get(source).string = translation  # type: ignore[union-attr]
    assert any(problem in found for found in problems_of(catalogue, plain=False))


def test_an_uncertain_translation_is_refused_and_stays_uncertain(elsewhere: Path) -> None:
    collect(texts("窓口"))
    catalogue = read_catalogue(ENGLISH)
    message = catalogue.get("窓口")
    assert message is not None
    message.string, message.flags = "Window", {"fuzzy"}
    catalogue_path(ENGLISH).write_bytes(render(catalogue, ENGLISH))
    assert check(texts("窓口")) == ["en: marked as uncertain (fuzzy): 窓口"]
    collect(texts("窓口"))
    assert len(check(texts("窓口"))) == 1


def test_a_template_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    """Seen to fail without `silent = false`: Babel then takes it for a template without texts."""
    (tmp_path / "services" / "booking" / "pages").mkdir(parents=True)
    (tmp_path / "services" / "booking" / "pages" / "broken.html").write_text("{% if %}{{ _('予約') }}")
    with pytest.raises(jinja2.TemplateSyntaxError):
        extract(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "予約が できました。",
        "電話（%(phone)s）で 聞いてください。 まどぐちでも いいです。",
        "メールアドレスを 書いてください（例：hanako@example.jp）。",
        "マイナンバーカードと 暗証番号",
        "もう一度 書かずに すみます。",
        "この 日と 時間に 変えますか",
        "",
    ],
)
def test_plain_japanese_is_left_alone(text: str) -> None:
    assert plain_problems(text) == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("予約を 確認 後 変更 取消 可能 期間 内 来庁 です。", "kanji"),
        ("本人確認書類を 見せてください。", "chain of nouns"),
        ("わたしのじょうほうのやりとりを 見てください。", "no space"),
        ("まどぐちへ 来る。", "does not end"),
        ("まどぐちへ 来てください。 電話で 話す。", "does not end"),
        ("鬱を 見てください。", "no reading of 鬱"),
        ("書かないと 進めません。", "two negatives"),
        ("なおさなければ なりません。", "two negatives"),
        ("わたさない ことは ないです。", "two negatives"),
        (
            "あの 人が きのう ここで 話を して それから 家に かえって ごはんを 食べて よる ねてから また おきました。",
            "characters",
        ),
    ],
)
def test_japanese_that_is_not_plain_is_found(text: str, problem: str) -> None:
    assert any(problem in found for found in plain_problems(text))


def test_the_check_speaks_of_plain_japanese_too(elsewhere: Path) -> None:
    collect(texts("窓口"))
    plain = LANGUAGES[messages.PLAIN]
    catalogue = read_catalogue(plain)
    catalogue.get("窓口").string = "本人確認書"  # type: ignore[union-attr]
    catalogue_path(plain).write_bytes(render(catalogue, plain))
    assert check(texts("窓口")) == ["ja-easy: a chain of nouns, 本人確認書: 本人確認書"]
