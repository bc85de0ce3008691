"""What staff carry: a letter that somebody chose, to the letter box and back; and a call, with its three ends."""

import re

from playwright.sync_api import Page, expect

from tests.browser.applying import begin, choose_reach, fill_child_allowance, go_on, send
from tests.browser.residents import See, book
from tests.browser.walks.asked import TOLD_WITHIN, TRY_AGAIN_MS, NewPhone, wait_for_page
from tests.browser.walks.wishes import OPEN

# What a page does with an answer that it does not show: PDF of a POST, in a browser without a viewer.
FETCH = "async path => { const answer = await fetch(path, {method: 'POST'}); return [answer.status, answer.headers.get('content-type'), (await answer.arrayBuffer()).byteLength] }"  # noqa: E501


def test_a_letter_to_the_letter_box_and_back(phone: Page, tablet: Page, see: See) -> None:
    tablet.goto("/notices/letters")
    see(tablet, "letters-none")
    begin(phone, "CHI02")
    fill_child_allowance(phone, "二宮 花子")
    go_on(phone)
    choose_reach(phone, "email", "tegami.hanako@example.jp")
    send(phone)
    application = phone.url
    phone.get_by_role("link", name=re.compile("ながれ")).or_(
        phone.get_by_role("button", name=re.compile("ながれ"))
    ).first.click()
    phone.wait_for_url("**/cases/*/thread")
    _only_by(phone, phone.url, "letter", {"郵便番号": "259-0123", "住所": "二宮町二宮961", "あて名": "二宮 花子"})
    phone.goto(application)
    phone.get_by_text("申請を取り下げる").first.click()
    phone.locator("form[action$='/withdraw'] button").click()
    wait_for_page(tablet, "/notices/letters", "1通")
    see(tablet, "letters")
    tablet.get_by_role("button", name="1通をまとめる").click()
    tablet.wait_for_url("**done=made")
    see(tablet, "letter-batch")
    batch = tablet.url.split("?")[0]
    status, kind, size = tablet.evaluate(FETCH, f"{batch}/print")
    assert (status, kind) == (200, "application/pdf")
    assert size > 5_000
    tablet.goto(batch)
    tablet.get_by_role("button", name="発送しました").click()
    tablet.wait_for_url("**done=posted")
    see(tablet, "letter-batch-posted")
    tablet.get_by_role("button", name=re.compile("宛先不明で戻ってきた")).click()
    tablet.wait_for_url("**done=came-back")
    see(tablet, "letter-batch-came-back")
    tablet.get_by_role("link", name="手紙の印刷").click()
    see(tablet, "letters-batches")
    tablet.goto("/notices/unreached")
    expect(tablet.get_by_role("main")).to_contain_text("手紙が、宛先不明で戻ってきました")
    see(tablet, "notices-letter-returned")


def test_a_call_and_what_comes_of_it(new_phone: NewPhone, tablet: Page, see: See) -> None:
    phone = new_phone()
    book(phone, name="山西 和男", kana="", reach="email", contact="denwa.kazuo@example.jp")
    appointment = phone.url
    _only_by(phone, appointment, "call", {"電話番号": "0463-71-3312"})
    phone.goto(appointment)
    phone.get_by_role("link", name=re.compile("取り消")).first.click()
    phone.locator("form[action$='/cancel'] button").first.click()
    wait_for_page(tablet, "/notices/unreached", "電話で知らせてほしいという方です")
    see(tablet, "notices-call")
    task = tablet.locator("article", has_text="電話で知らせてほしいという方です").first
    task.get_by_role("link", name="電話で話すことばを見る").click()
    main = tablet.get_by_role("main")
    expect(main).to_contain_text("ご本人様でいらっしゃいますか")
    see(tablet, "task")
    tablet.get_by_role("button", name="連絡先を見る").click()
    expect(main).to_contain_text("0463-71-3312")
    see(tablet, "task-contact")
    tablet.get_by_role("button", name="出ませんでした").click()
    tablet.wait_for_url("**done=unanswered")
    expect(main).to_contain_text("電話に出なかったことを記録しました（1回）")
    see(tablet, "task-unanswered")
    tablet.get_by_role("button", name="ほかの人の番号でした").click()
    tablet.wait_for_url("**done=wrong-number")
    see(tablet, "task-wrong-number")
    tablet.get_by_role("button", name="いちばん新しい記録を取り消す").click()
    tablet.wait_for_url(re.compile("/notices/unreached(#.*)?$"))
    task.get_by_role("link", name="電話で話すことばを見る").click()
    tablet.get_by_role("button", name="伝えました").click()
    tablet.wait_for_url("**/notices/unreached?done=*")
    see(tablet, "notices-told")


def _only_by(phone: Page, opened_from: str, by: str, fields: dict[str, str]) -> None:
    """Be told by this way alone, from now on."""
    for _ in range(TOLD_WITHIN):
        phone.goto(opened_from)
        phone.get_by_role("button", name=OPEN).click()
        phone.wait_for_url("**/notices/*")
        if phone.get_by_role("heading", name="連絡先と順番").count():
            break
        phone.wait_for_timeout(TRY_AGAIN_MS)
    phone.goto(f"/notices/mine/ways/new?by={by}")
    for label, value in fields.items():
        phone.get_by_label(label).fill(value)
    phone.get_by_role("button", name="加える").click()
    phone.wait_for_url("**done=added**")
    phone.get_by_text("この連絡先を消す").first.click()
    phone.get_by_role("button", name="消す", exact=True).first.click()
    expect(phone.get_by_role("heading", level=3)).to_have_count(1)
