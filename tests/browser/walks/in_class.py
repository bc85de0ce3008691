"""Help in a class: what the form shows, a seat that is kept, one touch to it, and the coordinator's page."""

import re

from playwright.sync_api import Page, expect

from tests.browser.helping import sign_in
from tests.browser.residents import See, give_name, hand_over
from tests.browser.walks.asked import NewPhone
from tests.browser.walks.classes import TITLE, make_class
from tests.stack import COORDINATOR_LOGIN


def at_the_form(phone: Page, name: str) -> Page:
    phone.goto("/procedures/DIG01")
    phone.get_by_role("button", name="サポーターの日時を選ぶ").click()
    phone.wait_for_url("**/you")
    give_name(phone, name=name, kana="", reach="none", contact="")
    hand_over(phone, answer="はい")
    phone.get_by_role("link", name="町にさがしてもらう").click()
    phone.get_by_label("何を手伝ってほしいですか").select_option(label="はじめてのスマートフォン")
    last = phone.get_by_label(re.compile("^いつまでに"))
    last.select_option(index=last.locator("option").count() - 1)
    return phone


def test_who_would_come_to_a_class(new_phone: NewPhone, tablet: Page, see: See) -> None:
    desk = sign_in(tablet, COORDINATOR_LOGIN, "/helpers/roster")
    make_class(desk, seats="2", mode="first_come", see=see, name="in-class")
    phone = at_the_form(new_phone(), "川匂 ハル")
    phone.get_by_role("button", name="合う教室を見る").click()
    expect(phone.locator("#classes")).to_contain_text(TITLE)
    see(phone, "help-ask-classes")
    phone.get_by_role("radio", name="教室がよい").check()
    phone.get_by_role("button", name="さがしてもらう").click()
    expect(phone.get_by_role("main")).to_contain_text("教室")
    phone.wait_for_timeout(3_000)
    phone.reload()
    expect(phone.get_by_role("main")).to_contain_text("教室の席を、とってあります")
    see(phone, "help-class-kept")
    phone.get_by_role("button", name="この席をとる").click()
    expect(phone.get_by_role("main")).to_contain_text("教室の席がとれました")
    see(phone, "help-class-taken")
    phone.get_by_role("link", name="教室の申し込みを開く").click()
    expect(phone.get_by_role("main")).to_contain_text("席がとれています")
    other = at_the_form(new_phone(), "中里 ツル")
    other.get_by_role("button", name="さがしてもらう").click()
    desk.goto("/helpers/roster")
    desk.get_by_role("link", name="このお願いを開く").last.click()
    desk.get_by_role("radio", name=TITLE).check()
    see(desk, "help-staff-classes")
    desk.get_by_role("button", name="この教室の席をすすめる").click()
    expect(desk.get_by_role("main")).to_contain_text("教室の席をとって、ご本人に知らせました")
    see(desk, "help-staff-class-kept")
    other.reload()
    expect(other.get_by_role("main")).to_contain_text("教室の席を、とってあります")
    see(other, "help-class-kept-by-staff")
    other.get_by_role("button", name="教室には行かない").click()
    expect(other.get_by_role("main")).not_to_contain_text("教室の席を、とってあります")
    see(other, "help-class-left")
