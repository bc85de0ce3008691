"""Readings: the right one for each word, elements only where elements can be, nothing over what people typed."""

import re
import time

import pytest

from shared.web.i18n import gettext, use_language, without_readings
from shared.web.readings import READINGS_FILE, annotate, unread, with_ruby
from shared.web.templating import make_environment

AT_ONCE_S = 0.3


def shown(text: str) -> str:
    """A text with its readings in brackets."""
    return re.sub("\ufff9([^\ufffa]*)\ufffa([^\ufffb]*)\ufffb", r"\1[\2]", annotate(text))


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("今日 行く。 行を かえる", "今日[きょう] 行[い]く。 行[ぎょう]を かえる"),
        ("来ました。 来ない。 来る。", "来[き]ました。 来[こ]ない。 来[く]る。"),
        ("お金を 入れて 消す。 消えました", "お金[かね]を 入[い]れて 消[け]す。 消[き]えました"),
        ("何の ために 何を", "何[なん]の ために 何[なに]を"),
        ("次の 日から 14日、 3人", "次[つぎ]の 日[ひ]から 14日、 3人"),
        ("%(minutes)s分 %(day)sまで {m}分", "%(minutes)s分 %(day)sまで {m}分"),
        ("予約番号と 確認コード", "予約[よやく]番号[ばんごう]と 確認[かくにん]コード"),
        ("｜百合が丘《ゆりがおか》の 松根《まつね》", "百合が丘[ゆりがおか]の 松根[まつね]"),
    ],
)
def test_a_word_is_read_as_it_is_read_there(text: str, read: str) -> None:
    assert shown(text) == read


def test_a_word_that_nobody_gave_a_reading_to_is_found() -> None:
    assert unread("鬱の 手続きを 2日で します") == ["鬱"]


def test_every_line_gives_readings_in_hiragana_and_stands_once() -> None:
    lines = [line for line in READINGS_FILE.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    assert [line for line in lines if not re.fullmatch("([^《》]+《[ぁ-んー]+》)+[ぁ-ん]*", line)] == []
    assert len(lines) == len(set(lines))


PAGE = """
<title>{{ _("予約する") }}</title>
<p title="{{ _("予約する") }}" data-x='<予約>'>{{ _("予約 %(number)s", number=typed) }}</p>
<select><option>{{ _("予約する") }}</option></select>
"""


def test_a_page_has_elements_in_its_texts_and_bare_words_elsewhere() -> None:
    with use_language("ja-easy", page=True):
        html = make_environment().from_string(PAGE).render(typed="予約<b>")
    ruby = '<ruby>予約<rp>（</rp><rt aria-hidden="true">よやく</rt><rp>）</rp></ruby>'
    assert f'<span class="read">{ruby} 予約&lt;b&gt;</span></p>' in html
    assert "<title>予約する</title>" in html
    assert '<p title="予約する"' in html
    assert "<option>予約する</option>" in html


@pytest.mark.parametrize(
    ("text", "joined"),
    [
        ("お知らせを 取り消しますか", "お+知らせを 取り+消しますか"),
        ("予約の 確認と 変更。", "予約の 確認と 変更。"),
        ("（児童手当の申請）", "（児童手当の申請）"),
    ],
)
def test_no_line_ends_inside_a_word_that_begins_in_hiragana(text: str, joined: str) -> None:
    html = with_ruby(annotate(text)).replace("\u2060", "+")
    assert re.sub("<rp>.*?</ruby>|<[^>]*>", "", html) == joined


def test_whoever_types_the_marks_gains_nothing() -> None:
    with use_language("ja-easy", page=True):
        page = make_environment().from_string('<p title="{{ typed }}">{{ typed }}</p>')
        html = page.render(typed='\ufff9<script>\ufffa" onclick=x\ufffb')
    assert "<script" not in html
    assert html.startswith('<p title="&lt;script&gt;">')


def test_a_form_full_of_marks_is_finished_at_once() -> None:
    """Seen to fail with marks allowed inside of marks: whoever posts 60 kB of them stops the process for a second."""
    began_at = time.process_time()
    for marks in ("\ufff9", "\ufff9\ufffa"):
        page = f'<input value="{marks * 20_000}">'
        assert with_ruby(page) == page
    assert time.process_time() - began_at < AT_ONCE_S


def test_a_lone_mark_leaves_the_words_after_it_alone() -> None:
    with use_language("ja-easy", page=True):
        html = make_environment().from_string("{{ typed }}{{ _('予約する') }}").render(typed="\ufff9x")
    assert "<ruby>予約<rp>" in html


@pytest.mark.parametrize("language", ["ja", "en", "ja-easy"])
def test_only_a_page_in_plain_japanese_has_readings(language: str) -> None:
    with use_language(language):
        assert gettext("予約する") == with_ruby(gettext("予約する"))
    with use_language(language, page=True):
        assert ("\ufff9" in gettext("予約する")) == (language == "ja-easy")
        with without_readings():
            assert "\ufff9" not in gettext("予約する")
