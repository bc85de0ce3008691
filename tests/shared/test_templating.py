"""Templates, languages, and how dates and sums are shown."""

import re
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import jinja2
import pytest
from markupsafe import Markup

from shared.web import assets, i18n
from shared.web.i18n import LANGUAGES, current_language, gettext, set_language, translations, use_language
from shared.web.templating import (
    Drawn,
    duration,
    iso,
    jst_date,
    jst_datetime,
    jst_half,
    jst_month,
    jst_time,
    make_environment,
    tel,
    wareki,
    yen,
)
from tests.shared.web_gallery import PAGES, render

NOW = datetime(2026, 11, 24, 0, 30, tzinfo=UTC)
EASTERN = timezone(timedelta(hours=-5))


@pytest.fixture(autouse=True)
def manifest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names as a build would give them, so that templates can be tested without one."""
    names = ("app.css", "app.js", "form.js", "receipt.js", "htmx.js", "icons.svg", "favicon.svg")
    monkeypatch.setattr(assets, "load_manifest", lambda: {name: name for name in names})


@pytest.mark.parametrize(
    ("phone", "link"),
    [
        ("0463-71-3311", "tel:0463713311"),
        ("０４６３－７１－３３１１（代表）", "tel:0463713311"),
        ("0463-71-3311 内線 12", "tel:0463713311"),
        ("+81 463 71 3311", "tel:+81463713311"),
        ("(0463) 71-3311", "tel:0463713311"),
        ("役場", "tel:"),
    ],
)
def test_a_phone_dials_the_number_and_nothing_else(phone: str, link: str) -> None:
    assert tel(phone) == link


# ---- Dates


@pytest.mark.parametrize(
    ("moment", "shown"),
    [
        (datetime(2026, 11, 23, 14, 59, 59, tzinfo=UTC), "2026年11月23日（月）"),
        (datetime(2026, 11, 23, 15, 0, tzinfo=UTC), "2026年11月24日（火）"),
        (datetime(2026, 12, 31, 14, 59, tzinfo=UTC), "2026年12月31日（木）"),
        (datetime(2026, 12, 31, 15, 0, tzinfo=UTC), "2027年1月1日（金）"),
        (datetime(2026, 12, 31, 10, 0, tzinfo=EASTERN), "2027年1月1日（金）"),
        (date(2028, 2, 29), "2028年2月29日（火）"),
    ],
)
def test_the_day_is_tokyos(moment: date, shown: str) -> None:
    assert jst_date(moment) == shown


@pytest.mark.parametrize(
    ("moment", "shown"),
    [
        (datetime(2026, 12, 31, 14, 59, tzinfo=UTC), "令和8年12月31日"),
        (datetime(2026, 12, 31, 15, 0, tzinfo=UTC), "令和9年1月1日"),
        (date(2019, 5, 1), "令和元年5月1日"),
        (date(2019, 4, 30), "平成31年4月30日"),
        (date(1989, 1, 8), "平成元年1月8日"),
        (date(1989, 1, 7), "昭和64年1月7日"),
        (date(1946, 3, 5), "昭和21年3月5日"),
        (date(1926, 12, 25), "昭和元年12月25日"),
        (date(1926, 12, 24), "大正15年12月24日"),
        (date(1912, 7, 29), "明治45年7月29日"),
        (date(1872, 12, 31), "1872年12月31日"),
    ],
)
def test_the_era_is_that_of_the_day_in_tokyo(moment: date, shown: str) -> None:
    assert wareki(moment) == shown


def test_a_date_can_carry_its_era_or_leave_its_year() -> None:
    assert jst_date(NOW, era=True) == "2026年（令和8年）11月24日（火）"
    assert jst_date(NOW, year=False) == "11月24日（火）"
    assert jst_date(NOW, year=False, weekday=False) == "11月24日"
    assert wareki(NOW, year_only=True) == "令和8年"
    assert jst_month(datetime(2026, 12, 31, 15, tzinfo=UTC)) == "2027年1月"


@pytest.mark.parametrize(
    ("hour", "minute", "shown", "short"),
    [
        (0, 0, "午前0時", "0:00"),
        (9, 0, "午前9時", "9:00"),
        (9, 30, "午前9時30分", "9:30"),
        (11, 59, "午前11時59分", "11:59"),
        (12, 0, "正午", "12:00"),
        (12, 5, "午後0時5分", "12:05"),
        (14, 30, "午後2時30分", "14:30"),
        (23, 59, "午後11時59分", "23:59"),
    ],
)
def test_the_time_is_said_as_people_say_it(hour: int, minute: int, shown: str, short: str) -> None:
    moment = datetime(2026, 11, 24, hour, minute, tzinfo=UTC) - timedelta(hours=9)
    assert jst_time(moment) == shown
    assert jst_time(moment, short=True) == short


def test_the_half_of_the_day_can_stand_apart() -> None:
    assert (jst_half(NOW), jst_time(NOW, half=False)) == ("午前", "9時30分")
    noon = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
    assert (jst_half(noon), jst_time(noon, half=False)) == ("", "正午")


def test_date_and_time_together_and_for_machines() -> None:
    assert jst_datetime(NOW) == "2026年11月24日（火）午前9時30分"
    assert jst_datetime(NOW, year=False, short=True) == "11月24日（火） 9:30"
    assert iso(NOW) == "2026-11-24T09:30:00+09:00"
    assert iso(date(2026, 11, 24)) == "2026-11-24"


def test_a_naive_datetime_is_refused() -> None:
    with pytest.raises(ValueError, match="naive"):
        jst_date(datetime(2026, 11, 24, 9, 0))  # noqa: DTZ001 the very mistake


def test_sums_and_lengths() -> None:
    assert [yen(0), yen(300), yen(12_000)] == ["無料", "300円", "12,000円"]
    assert [duration(20), duration(60), duration(90)] == ["20分", "1時間", "1時間30分"]


def test_english_dates_follow_the_language() -> None:
    with use_language("en"):
        assert jst_date(NOW) == "Tue, 24 Nov 2026"
        assert jst_time(NOW).replace("\u202f", " ") == "9:30 AM"
        assert wareki(date(2027, 1, 1)) == "Reiwa 9"
        assert yen(1200) == "¥1,200"
    assert jst_date(NOW) == "2026年11月24日（火）"


# ---- Languages


def test_an_unknown_language_is_japanese() -> None:
    with use_language("tlh") as language:
        assert language.code == "ja"
    assert set_language(None) is current_language() is LANGUAGES["ja"]


def test_a_sentence_nobody_translated_is_shown_in_japanese(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue = tmp_path / "en" / "LC_MESSAGES" / "choudo.po"
    catalogue.parent.mkdir(parents=True)
    catalogue.write_text(
        'msgid ""\nmsgstr "Content-Type: text/plain; charset=utf-8\\n"\n\n'
        'msgid "予約 %(number)s"\nmsgstr "Booking %(number)s"\n\nmsgid "窓口"\nmsgstr ""\n'
    )
    monkeypatch.setattr(i18n, "LOCALE_DIR", tmp_path)
    translations.cache_clear()
    try:
        with use_language("en"):
            assert gettext("予約 %(number)s", number="A-1") == "Booking A-1"
            assert gettext("窓口") == "窓口"
            page = make_environment().from_string('{{ _("予約 %(number)s", number="<A>") }}')
            assert page.render() == "Booking &lt;A&gt;"
        assert gettext("予約 %(number)s", number="A-1") == "予約 A-1"
    finally:
        translations.cache_clear()


@pytest.mark.parametrize("code", LANGUAGES)
def test_every_language_loads(code: str) -> None:
    assert translations(code).gettext("no such sentence") == "no such sentence"
    assert LANGUAGES[code].babel.language in {"ja", "en"}


# ---- Templates


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_part_renders_and_obeys_the_content_security_policy(page: str, language: str) -> None:
    with use_language(language):
        html = render(page, now=NOW)
    assert html.lstrip().startswith("<!DOCTYPE html>")
    assert not re.search(r"\sstyle=|<style|\son[a-z]+=|javascript:|<script(?![^>]*\ssrc=)", html)
    ids = re.findall(r'\sid="([^"]+)"', html)
    assert sorted(ids) == sorted(set(ids)), "an id twice"
    for described in re.findall(r'aria-(?:describedby|labelledby)="([^"]+)"', html):
        assert set(described.split()) <= set(ids)


def test_what_people_typed_is_escaped_everywhere() -> None:
    template = make_environment().from_string(
        '{% from "components.html" import text_field, notice, summary_rows %}'
        '{{ text_field("name", bad, bad, error=bad, hint=bad) }}{{ notice("info", bad, bad) }}'
        '{{ summary_rows([{"term": bad, "text": bad}]) }}'
    )
    html = template.render(bad="\"><script>x</script>'&")
    assert "<script" not in html
    assert html.count("&lt;script&gt;") >= 7


def test_a_field_says_that_it_is_required_and_what_is_wrong() -> None:
    html = (
        make_environment()
        .from_string(
            '{% from "components.html" import text_field, error_summary %}'
            '{{ error_summary({"kana": "ふりがなを 書いてください。"}) }}'
            '{{ text_field("kana", "ふりがな", "ﾀﾛｳ", "ふりがなを 書いてください。", true, "かなで", maxlength=60) }}'
        )
        .render()
    )
    assert 'href="#f-kana"' in html
    assert '<label class="field__label" for="f-kana">ふりがな <span class="field__need">※必須</span></label>' in html
    assert 'aria-describedby="f-kana-hint f-kana-error" aria-invalid="true"' in html
    assert 'value="ﾀﾛｳ"' in html
    assert 'aria-required="true" maxlength="60"' in html


def test_an_empty_list_of_errors_shows_nothing() -> None:
    template = make_environment().from_string(
        '{% from "components.html" import error_summary %}{{ error_summary({}) }}'
    )
    assert template.render().strip() == ""


def test_the_step_is_said_in_words() -> None:
    template = make_environment().from_string(
        '{% from "components.html" import stepper %}{{ stepper(2, ["日", "名", "確"]) }}'
    )
    assert "3つのうち 2つめ" in template.render()


def test_a_name_that_is_missing_is_an_error_and_not_a_gap() -> None:
    with pytest.raises(jinja2.UndefinedError):
        make_environment().from_string("{{ nothing }}").render()


def test_a_services_own_template_comes_before_the_shared_one(tmp_path: Path) -> None:
    (tmp_path / "error.html").write_text("ours")
    assert make_environment(tmp_path).get_template("error.html").render() == "ours"
    assert make_environment(tmp_path).get_template("components.html").name == "components.html"


def test_what_was_drawn_of_an_equal_item_is_not_drawn_again() -> None:
    drawn, made = Drawn(kept_max=2), []

    class Macro:
        name = "row"

        def __call__(self, item: dict[str, object]) -> Markup:
            made.append(item["id"])
            return Markup("  <li>{}\n    </li>").format(item["id"])

    macro = Macro()
    for number in (1, 1, 2, 1, 3, 1, 2):
        assert list(drawn(macro, [{"id": number, "made_of": number}])) == [f"<li>{number}\n</li>"]
    # Two are kept: 2 was asked for the longest ago when 3 came.
    assert made == [1, 2, 3, 2]
    with use_language("en"):
        list(drawn(macro, [{"id": 1, "made_of": 1}]))
    assert made[-1] == 1
