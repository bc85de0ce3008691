"""The journey in English and in やさしい日本語 on a small phone: nothing left in Japanese, nothing cut off."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from shared.web.i18n import LANGUAGES
from tests.browser.conftest import look
from tests.stack import Stack

HEADINGS = {"en": "What do you need to do?", "ja-easy": "どんな 手続きですか"}


@pytest.mark.parametrize("code", HEADINGS)
def test_the_whole_journey_speaks_the_language_that_was_chosen(
    phone: Page, stack: Stack, code: str, expect_status: Callable[..., None]
) -> None:
    expect_status(404)

    def see(name: str) -> None:
        expect(phone.locator("html")).to_have_attribute("lang", LANGUAGES[code].html_lang)
        look(phone, f"{code}-{name}")

    phone.goto("/")
    phone.get_by_role("link", name=LANGUAGES[code].name, exact=True).click()
    expect(phone.get_by_role("heading", level=1)).to_have_text(HEADINGS[code])
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
    phone.locator("input[name=name]").fill("二宮 花子")
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
    words = {"en": "Your appointment is booked", "ja-easy": "予約が できました"}[code]
    assert words in message["subject"]
    assert words in message["text"]
    if code == "en":
        # The town's own data (names of services, places) is Japanese still; sentences of ours are not.
        kana = re.compile("(です|ます|ください)。")
        assert not kana.search(phone.get_by_role("main").inner_text())
