"""A form with conditions and repeated parts: shown as it applies, kept as it goes, and all of it without JavaScript."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.applying import begin, choose_reach, fill_day, go_on, send
from tests.browser.conftest import PAGE_TIMEOUT_MS, PHONE, TABLET, look, picture
from tests.stack import SAMPLE_TOWN, Stack, run_cli

HOST = "hoshimi.localhost"
NewPage = Callable[..., Page]


@pytest.fixture(scope="module")
def hoshimi(stack: Stack) -> str:
    """The other sample town on the same site; its address."""
    address = stack.url.replace("127.0.0.1", HOST)
    run_cli(stack.environ | {"CHOUDO_PUBLIC_URL": address}, "town", "load", str(SAMPLE_TOWN.parent / "hoshimi"))
    # Hosts are read every half minute; starting again reads them now.
    stack.stop("front")
    stack.start("front")
    stack.wait_until_ready()
    return address


@pytest.fixture
def new_page(chromium: Browser, hoshimi: str) -> Iterator[NewPage]:
    contexts: list[BrowserContext] = []

    def make(*, javascript: bool = True, tablet: bool = False) -> Page:
        contexts.append(
            chromium.new_context(
                viewport=TABLET if tablet else PHONE,  # type: ignore[arg-type]
                has_touch=True,
                locale="ja-JP",
                timezone_id="Asia/Tokyo",
                base_url=hoshimi,
                java_script_enabled=javascript,
            )
        )
        contexts[-1].set_default_timeout(PAGE_TIMEOUT_MS)
        return contexts[-1].new_page()

    yield make
    for context in contexts:
        context.close()


def fill_club(page: Page) -> None:
    page.locator("[name=name]").fill("星見 花子")
    page.locator("[name=address_postal_code]").fill("259-0123")
    page.locator("[name=address_line]").fill("神奈川県中郡二宮町二宮961")
    page.locator("[name=phone]").fill("0463-71-3311")
    page.locator("[name=employer_name]").fill("星見製作所")
    page.locator("[name=employer_hours]").fill("平日 9時から5時")
    page.locator("[name=child_name]").fill("星見 はじめ")
    page.locator("[name=child_kana]").fill("ほしみ はじめ")
    fill_day(page, "child_birth_date", "R", "元", "10", "2")
    choose(page, "child_together", "no")
    choose(page, "town_snack_allergy", "no")
    page.locator("[name=town_pickup_people_0_name]").fill("星見 一郎")
    page.locator("[name=town_pickup_people_0_phone]").fill("03-1234-5678")
    choose(page, "town_pickup_until", "six")


def choose(page: Page, name: str, value: str) -> None:
    page.locator(f"[name={name}][value={value}]").check(force=True)


def test_what_depends_on_an_answer_comes_and_goes_with_it(new_page: NewPage) -> None:
    page = new_page()
    begin(page, "gakudo")
    foods, late = page.locator("#p-town_snack_foods"), page.locator("[name=town_late]")
    expect(foods).to_be_hidden()
    expect(page.locator("[name=household_head]")).to_be_hidden()
    look(page, "town-form")
    choose(page, "town_snack_allergy", "yes")
    expect(foods).to_be_visible()
    expect(page.locator("[data-more-told]")).to_have_text("下に、書くところがふえました。")
    page.locator("[name=town_snack_foods_0_food]").fill("そば")
    page.get_by_role("button", name="もうひとつ書く").click()
    page.locator("[name=town_snack_foods_1_food]").fill("いくら")
    # What the server brings anew is shown as it applies, too.
    expect(foods).to_be_visible()
    expect(late).to_be_hidden()
    choose(page, "town_pickup_until", "seven")
    expect(late).to_be_visible()
    look(page, "town-form-more")
    choose(page, "town_snack_allergy", "no")
    expect(foods).to_be_hidden()
    fill_club(page)
    go_on(page)
    # Nothing has to be attached.
    page.get_by_role("link", name="次へ進む").click()
    choose_reach(page, "none")
    expect(page.get_by_role("main")).not_to_contain_text("そば")
    look(page, "town-form-check")
    send(page, "申請する")


def test_what_was_written_is_kept_while_somebody_writes_on(new_page: NewPage) -> None:
    page = new_page(tablet=True)
    begin(page, "compost")
    page.locator("[name=name]").fill("星見 花子")
    page.locator("[name=phone]").fill("0463-71-3311")
    page.locator("[name=town_composter_price]").fill("9")
    # Whoever is still in a field has not said it.
    expect(page.locator("#saved")).to_contain_text("保存しました", timeout=20_000)
    look(page, "town-form-kept")
    expect(page.locator("[name=town_composter_price]")).to_have_value("9")
    form = page.url
    page.goto("about:blank")
    page.goto(form)
    expect(page.locator("[name=name]")).to_have_value("星見 花子")
    expect(page.locator("[name=town_composter_price]")).to_have_value("")


def test_without_javascript_all_is_there_with_a_sentence_and_what_does_not_apply_is_dropped(new_page: NewPage) -> None:
    page = new_page(javascript=False)
    begin(page, "gakudo")
    main = page.get_by_role("main")
    expect(main).to_contain_text("「お迎えの時間」が「午後7時まで（延長）」のときだけ、書いてください。")
    page.locator("[name=name]").fill("星見 花子")
    page.locator("[name=town_pickup_people_0_name]").fill("星見 一郎")
    page.get_by_role("button", name="もうひとり書く").last.click()
    expect(page.locator("[name=town_pickup_people_0_name]")).to_have_value("星見 一郎")
    expect(page.locator("[name=town_pickup_people_1_name]")).to_be_visible()
    page.get_by_role("button", name="途中で保存する").click()
    expect(main).to_contain_text("ここまで保存しました")
    picture(page, "town-form-halfway")
    fill_club(page)
    page.locator("[name=town_late]").fill("仕事が長いため")
    go_on(page)
    # Nothing has to be attached.
    page.get_by_role("link", name="次へ進む").click()
    choose_reach(page, "none")
    expect(main).not_to_contain_text("仕事が長いため")
    send(page, "申請する")
