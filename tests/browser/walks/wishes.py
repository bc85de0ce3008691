"""How somebody wants to be told: from the appointment to another way, its code, the order, and paper."""

import re

import httpx
from playwright.sync_api import Page, expect

from tests.browser.residents import See, book
from tests.browser.walks.asked import TOLD_WITHIN, TRY_AGAIN_MS, ExpectStatus, wait_for_page
from tests.stack import Stack

OPEN = "お知らせの受けとり方を変える"
ADDED = "080-1122-3344"


def test_how_somebody_wants_to_be_told(phone: Page, stack: Stack, see: See, expect_status: ExpectStatus) -> None:
    expect_status(404, 410, 422)
    phone.goto("/notices/mine")
    see(phone, "wishes-closed")
    book(phone, name="二宮 花子", kana="にのみや はなこ", reach="email", contact="hanako.ninomiya@example.jp")
    appointment = phone.url
    for _ in range(TOLD_WITHIN):
        phone.goto(appointment)
        phone.get_by_role("button", name=OPEN).click()
        phone.wait_for_url("**/notices/*")
        if phone.get_by_role("heading", name="連絡先と順番").count():
            break
        phone.wait_for_timeout(TRY_AGAIN_MS)
    main = phone.get_by_role("main")
    expect(main).to_contain_text("h****@example.jp")
    see(phone, "wishes")
    phone.get_by_role("link", name="連絡先を加える").click()
    see(phone, "wishes-new")
    for by in ("email", "letter", "call", "relay"):
        phone.goto(f"/notices/mine/ways/new?by={by}")
        see(phone, f"wishes-new-{by}")
    phone.get_by_role("button", name="番号を送って、確かめる").click()
    see(phone, "wishes-new-refused")
    phone.goto("/notices/mine/line")
    see(phone, "wishes-line")
    phone.get_by_role("button", name="番号を出す").click()
    expect(phone.get_by_role("link", name="LINEを開いて送る")).to_be_visible()
    see(phone, "wishes-line-code")
    code = phone.locator(".slip__number").inner_text()
    sent = {"kind": "message", "user_id": "U" + "7" * 32, "text": code}
    httpx.post(f"{stack.sink_url}/line/events", json=sent, timeout=10).raise_for_status()
    phone.get_by_role("link", name="送りました").click()
    expect(phone.get_by_role("main")).to_contain_text("LINEをつなぎました")
    see(phone, "wishes-line-linked")
    phone.goto("/notices/mine/ways/new?by=sms")
    phone.get_by_label("携帯電話の番号").fill("０８０−１１２２−３３４４")
    phone.get_by_role("button", name="番号を送って、確かめる").click()
    phone.wait_for_url("**/code")
    see(phone, "wishes-code")
    phone.get_by_label("6けたの番号").fill("12")
    phone.get_by_role("button", name="確かめる", exact=True).click()
    see(phone, "wishes-code-wrong")
    phone.goto("/notices/mine")
    see(phone, "wishes-unproved")
    phone.get_by_role("link", name="届いた番号を入れる").click()
    phone.get_by_label("6けたの番号").fill(_code_sent(phone, stack))
    phone.get_by_role("button", name="確かめる", exact=True).click()
    phone.wait_for_url("**done=proved*")
    for _ in range(2):
        phone.get_by_role("button", name=re.compile("上へ.*携帯電話")).click()
    expect(main.get_by_role("heading", level=3).first).to_contain_text("携帯電話のSMS")
    phone.get_by_text("予約の前のお知らせ").click()
    phone.get_by_label("つぎの日の朝").select_option("10")
    phone.get_by_role("button", name="保存する").click()
    expect(main).to_contain_text("保存しました")
    see(phone, "wishes-three")
    phone.get_by_text("送らない（紙か電話）").click()
    phone.get_by_role("button", name="このしかたにする").click()
    expect(main).to_contain_text("いまは、どこにも送りません")
    see(phone, "wishes-paper")
    phone.get_by_role("button", name="このページを閉じる").click()
    phone.wait_for_url(re.compile("/$"))


def test_a_contact_that_was_not_reached_is_asked_about(phone: Page, stack: Stack, see: See) -> None:
    httpx.post(f"{stack.sink_url}/behaviour", json={"channel": "smtp", "mode": "reject_permanent"}, timeout=5)
    book(phone, name="元町 花子", kana="", reach="email", contact="nobody.motomachi@example.jp")
    phone.get_by_role("button", name="この手続きのながれを見る").click()
    phone.wait_for_url("**/cases/*/thread")
    wait_for_page(phone, phone.url, "お知らせが、連絡先に届きませんでした")
    see(phone, "thread-unreached")
    phone.get_by_role("button", name="連絡先を確かめる").click()
    phone.wait_for_url("**/notices/mine")
    expect(phone.get_by_role("main")).to_contain_text("この連絡先には届きませんでした")
    see(phone, "wishes-dead")
    phone.get_by_role("button", name="確かめる番号を送ってもらう").click()
    phone.wait_for_url("**/code")
    see(phone, "wishes-dead-code")


def _code_sent(page: Page, stack: Stack) -> str:
    """The code of the newest SMS to the number that was added."""
    to = ADDED.replace("-", "")
    for _ in range(TOLD_WITHIN):
        sent = httpx.get(f"{stack.sink_url}/messages.json", params={"to": to}, timeout=5).json()
        texts = [each["text"] for each in sent]
        found = re.search(r"番号 (\d{6})", texts[0]) if texts else None
        if found:
            return found[1]
        page.wait_for_timeout(TRY_AGAIN_MS)
    raise AssertionError("no code came")
