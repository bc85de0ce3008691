"""What is prepared on a phone and gone through at a counter, step by step."""

import re

from playwright.sync_api import Page, expect

from tests.browser.residents import (
    See,
    book_on_visit_page,
    choose_counter,
    give_name,
    hand_over,
    not_looking,
)

OTHER_PHONE = "0463-71-9999"


def prepare_and_book(phone: Page, name: str, kana: str, *, seen: See = not_looking) -> str:
    """転入届: written in part, then booked; the number of the case as it is shown."""
    choose_counter(phone, "RES02")
    give_name(phone, name=name, kana=kana, reach="none", contact="")
    seen(phone, "handover-write-ahead")
    phone.get_by_role("link", name="先に書いておく").click()
    phone.wait_for_url("**/form")
    expect(phone.get_by_role("textbox", name=re.compile("^お名前")).first).to_have_value(name)
    phone.locator("[name=phone]").fill("0463-71-3311")
    phone.locator("[name=address_postal_code]").fill("２５９ー０１２３")
    phone.locator("[name=address_line]").fill("神奈川県中郡二宮町二宮961")
    seen(phone, "draft-form")
    phone.get_by_role("button", name="書いたことを保存する").click()
    phone.wait_for_url("**/prepared")
    expect(phone.get_by_role("main")).to_contain_text("住所：書きました")
    seen(phone, "prepared-not-booked")
    prepared = phone.url
    phone.get_by_role("link", name="日にちと時間を選ぶ").click()
    phone.wait_for_url("**/handover")
    hand_over(phone, answer="はい")
    phone.locator("ul.slots button:enabled").first.click()
    phone.wait_for_url("**/confirm")
    book_on_visit_page(phone)
    phone.get_by_role("link", name=re.compile("^先に書いておく")).click()
    expect(phone).to_have_url(prepared)
    main = phone.get_by_role("main")
    # What booking tells comes in a moment.
    for _ in range(20):
        if main.get_by_role("link", name="予約を見る、変える").count():
            break
        phone.wait_for_timeout(250)
        phone.reload()
    expect(main.get_by_role("link", name="予約を見る、変える")).to_be_visible()
    seen(phone, "prepared-booked")
    main.get_by_role("link", name="紙に印刷する").click()
    phone.wait_for_url("**/sheet")
    expect(main).to_contain_text("二宮町二宮961")
    expect(main.get_by_role("img", name=re.compile("^案件番号.*QRコード"))).to_be_visible()
    seen(phone, "sheet")
    found = re.search(r"案件番号：(\S+)", main.inner_text())
    assert found
    return found[1]


def scan(tablet: Page, number: str, *, seen: See = not_looking) -> None:
    """As a hand scanner does: it types into what has the focus, and ends with Enter."""
    tablet.goto("/office/find")
    expect(tablet.get_by_label("番号", exact=True)).to_be_focused()
    seen(tablet, "desk-find")
    tablet.keyboard.type(number)
    tablet.keyboard.press("Enter")
    tablet.wait_for_url("**/desk")


def check_all(tablet: Page) -> None:
    for box in tablet.get_by_role("checkbox").all():
        box.check(force=True)
    tablet.get_by_role("button", name="確かめた印を保存する").click()


def correct_phone(tablet: Page, *, seen: See = not_looking) -> None:
    tablet.locator("#i-phone").get_by_role("link", name=re.compile("^なおす")).click()
    seen(tablet, "desk-item")
    tablet.locator("[name=phone]").fill(OTHER_PHONE)
    tablet.get_by_role("button", name="本人が言ったとおりに保存する").click()
    tablet.wait_for_url(re.compile("/desk#i-phone$"))
    expect(tablet.locator("#i-phone")).to_contain_text(OTHER_PHONE)


def sign(tablet: Page) -> None:
    """With a finger, as far as a mouse is one."""
    field = tablet.locator(".signature")
    field.scroll_into_view_if_needed()
    box = field.bounding_box()
    assert box
    tablet.mouse.move(box["x"] + 40, box["y"] + 40)
    tablet.mouse.down()
    tablet.mouse.move(box["x"] + 120, box["y"] + 90, steps=5)
    tablet.mouse.move(box["x"] + 200, box["y"] + 40, steps=5)
    tablet.mouse.up()
