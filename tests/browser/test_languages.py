"""The journey in English and in やさしい日本語 on a small phone: nothing left in Japanese or without
a reading, nothing cut off, at 200 % text either."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from shared.web.i18n import LANGUAGES
from tests.browser.conftest import check_fits, look, picture
from tests.stack import Stack

# Every text of a page that has kanji and no reading over them. Numbers with their counters, weekdays in dates and the
# names of the languages are read by everybody; fields, options and titles hold no elements.
UNREAD = """typed => {
  const kanji = /[\\u3400-\\u4dbf\\u4e00-\\u9fff々]/;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    if (node.parentElement.closest("ruby, script, style, option, textarea, noscript, nav.languages")) continue;
    if (/^[月火水木金土日]$/.test(node.data.trim())) continue;
    let text = node.data;
    for (const word of typed) text = text.replaceAll(word, "");
    text = text.replace(/[0-9]+[年月日時分秒円番階人歳回件条項号]/g, "").replace(/（[月火水木金土日]）/g, "");
    if (kanji.test(text)) found.push(node.data.trim());
  }
  return found;
}"""
READINGS = "[...document.querySelectorAll('rt')].map(rt => rt.textContent)"
HEADING = """(() => {
  const heading = document.querySelector("h1").cloneNode(true);
  heading.querySelectorAll("rt, rp").forEach(reading => reading.remove());
  return heading.textContent;
})()"""
TYPED = "二宮 花子"
HEADINGS = {"en": "What do you need to do?", "ja-easy": "どんな 手続きですか"}


@pytest.mark.parametrize("code", HEADINGS)
def test_the_whole_journey_speaks_the_language_that_was_chosen(
    phone: Page, stack: Stack, code: str, expect_status: Callable[..., None]
) -> None:
    expect_status(404)

    def see(name: str) -> None:
        expect(phone.locator("html")).to_have_attribute("lang", LANGUAGES[code].html_lang)
        phone.evaluate("document.documentElement.style.fontSize = '200%'")
        check_fits(phone)
        picture(phone, f"{code}-{name}-200")
        phone.evaluate("document.documentElement.style.fontSize = ''")
        look(phone, f"{code}-{name}")
        readings = phone.evaluate(READINGS)
        assert (code == "ja-easy") == bool(readings)
        assert all(re.fullmatch("[ぁ-んー]+", reading) for reading in readings)
        if code == "ja-easy":
            assert phone.evaluate(UNREAD, [TYPED]) == [], name

    phone.goto("/")
    phone.get_by_role("link", name=LANGUAGES[code].name, exact=True).click()
    expect(phone.locator(f"html[data-language={code}] h1")).to_be_visible()
    assert phone.evaluate(HEADING) == HEADINGS[code]
    see("front")
    for path, name in (
        ("/search?q=xyz", "nothing"),
        ("/search", "all"),
        ("/booking/find", "find"),
        ("/my", "my"),
        ("/my/history", "history-empty"),
        ("/no/such/page", "not-found"),
        ("/procedures/CHI02", "compare"),
    ):
        phone.goto(path)
        see(name)
    phone.locator("form[action$='/cases']:has([name=channel][value=counter]) button").click()
    phone.wait_for_url("**/you")
    see("you")
    phone.locator("input[name=name]").fill(TYPED)
    phone.locator("input[name=reach][value=email]").check(force=True)
    phone.locator("form[action$='/you'] button[type=submit]").click()
    expect(phone.locator(".field__error").first).to_be_visible()
    see("you-error")
    phone.locator("input[name=email]").fill(f"{code}@example.jp")
    phone.locator("form[action$='/you'] button[type=submit]").click()
    phone.wait_for_url("**/handover")
    see("handover")
    phone.locator("button[name=all][value=yes]").click()
    see("handed-over")
    phone.locator("form[action$='/booking/arrive'] button").click()
    phone.wait_for_url("**/booking/visits/*")
    see("visit")
    phone.locator("ul.slots button:enabled").first.click()
    phone.wait_for_url("**/confirm")
    see("confirm")
    phone.locator("form[action$='/book'] button").click()
    phone.wait_for_url("**/booking/appointments/*")
    see("appointment")
    appointment = phone.url
    for ending in ("slip", "change", "cancel"):
        phone.goto(f"{appointment}/{ending}")
        see(ending)
    phone.goto("/my/history")
    see("history")
    message = stack.wait_for_messages(1, to=f"{code}@example.jp", channel="email")[-1]
    name = {"en": "Child allowance (児童手当の申請)", "ja-easy": "子どもの お金（児童手当の申請）"}[code]
    assert name in message["text"]
    assert name.split("（")[0].split(" (")[0] in message["subject"]
    words = {"en": "Your appointment is booked", "ja-easy": "予約が できました"}[code]
    assert words in message["subject"]
    assert words in message["text"]
    if code == "en":
        # The town's own data (names of services, places) is Japanese still; sentences of ours are not.
        kana = re.compile("(です|ます|ください)。")
        assert not kana.search(phone.get_by_role("main").inner_text())
