"""What keeps the town hall running: opening rules, the machine in the lobby, draws, what was not told."""

import re
from uuid import UUID, uuid4

import httpx
from playwright.sync_api import Page, expect

from tests.browser import drawing
from tests.browser.helping import sign_in
from tests.browser.residents import See, book
from tests.browser.walks.asked import (
    KIOSK_LOGIN,
    OPERATOR_LOGIN,
    ExpectStatus,
    NewPhone,
)
from tests.journeys.database import let_die
from tests.stack import COORDINATOR_LOGIN, Stack, run_cli

# A finger of somebody who stands, or sits below: CSS pixels.
TOUCH_MIN = 64


def test_when_a_counter_is_open(tablet: Page, see: See, expect_status: ExpectStatus) -> None:
    expect_status(422)
    desk = sign_in(tablet, COORDINATOR_LOGIN, "/helpers/roster")
    desk.goto("/counter/opening")
    see(desk, "rules")
    desk.goto("/counter/opening/9")
    see(desk, "rule")
    hours = desk.get_by_label("時間（月曜日）")
    hours.fill("朝から")
    desk.get_by_role("button", name="変わるところを見る").click()
    expect(desk.locator("[data-error-summary]")).to_be_visible()
    see(desk, "rule-refused")
    hours.fill("9:00〜12:00、13:00〜16:00")
    desk.get_by_label("いつもとちがう日").fill("2027-01-05 休み 棚卸しのため")
    desk.get_by_role("button", name="変わるところを見る").click()
    expect(desk.get_by_role("heading", level=1)).to_have_text("受付時間を変える前の確認")
    see(desk, "rule-preview")
    desk.get_by_role("button", name="この受付時間を公開する").click()
    expect(desk.get_by_role("main")).to_contain_text("公開しました。")
    see(desk, "rule-published")
    desk.get_by_role("button", name="取りやめる").click()
    expect(desk.get_by_role("main")).to_contain_text("取りやめました。")


def test_the_machine_in_the_lobby(tablet: Page, stack: Stack, see: See) -> None:
    """Large targets, and in the lower two thirds: for whoever stands, and whoever sits in a wheelchair."""
    run_cli(stack.environ, "account", "open", KIOSK_LOGIN, "--town", "143421", "--role", "kiosk")
    machine = sign_in(tablet, KIOSK_LOGIN, "/kiosk")
    touched = "a, button, input:not([type=hidden]), select"
    looks = [("kiosk", "/kiosk"), ("kiosk-row", "/kiosk?row=さ"), ("kiosk-refused", "/kiosk?refused=kiosk_full")]
    for name, path in [*looks, ("kiosk-procedure", "/kiosk/procedures/RES01")]:
        machine.goto(path)
        see(machine, name)
        boxes = [found.bounding_box() for found in machine.locator(touched).all() if found.is_visible()]
        seen = [box for box in boxes if box is not None and box["y"] >= 0]
        screen = machine.viewport_size
        assert seen
        assert screen
        assert all(box["height"] >= TOUCH_MIN for box in seen), (name, seen)
        assert all(box["y"] >= screen["height"] / 3 for box in seen), (name, seen)
    machine.get_by_role("button", name="番号札をとる").click()
    expect(machine.get_by_role("main")).to_contain_text("2-001")
    see(machine, "kiosk-ticket")
    machine.go_back()
    slots = machine.locator("ul.slots button")
    if slots.count():  # not at night
        slots.first.click()
        expect(machine.get_by_role("heading", level=1)).to_have_text("予約の控え")
        see(machine, "kiosk-slip")
        # Who presses the way back after them finds no slip.
        machine.get_by_role("link", name="おわる").click()
        machine.wait_for_url("**/kiosk")
        machine.go_back()
        expect(machine.get_by_role("heading", level=1)).not_to_have_text("予約の控え")
    # Whoever was there has gone: the next person finds the start.
    machine.clock.install()
    machine.goto("/kiosk/procedures/RES01")
    machine.clock.fast_forward("00:59")
    machine.mouse.click(5, 700)
    machine.clock.fast_forward("00:59")
    expect(machine).to_have_url(re.compile("/kiosk/procedures/RES01$"))
    machine.clock.fast_forward("00:02")
    machine.wait_for_url("**/kiosk")


def test_whom_no_notice_reached(phone: Page, tablet: Page, stack: Stack, see: See) -> None:
    httpx.post(f"{stack.sink_url}/behaviour", json={"channel": "sms", "mode": "reject_permanent"}, timeout=5)
    number = book(phone, name="元町 九郎", kana="", reach="sms", contact="080-9876-5432")
    task = tablet.locator("article").filter(has_text=number)
    for _ in range(40):
        tablet.goto("/notices/unreached")
        if task.count():
            break
        tablet.wait_for_timeout(250)
    see(tablet, "notices-task")
    task.get_by_role("button", name="連絡先を見る").click()
    expect(task.get_by_role("link", name="080-9876-5432")).to_be_visible()
    see(tablet, "notices-contact")
    task.get_by_role("button", name="連絡しました").click()
    expect(tablet.get_by_role("main")).to_contain_text("連絡したことを記録しました")
    see(tablet, "notices-done")


def test_what_stopped_between_the_services(phone: Page, new_tablet: NewPhone, stack: Stack, see: See) -> None:
    run_cli(stack.environ, "account", "open", OPERATOR_LOGIN, "--town", "143421", "--role", "operator")
    home = "/routing/dead-letters"
    tablet = sign_in(new_tablet(), OPERATOR_LOGIN, home)
    expect(tablet.get_by_role("main")).to_contain_text("止まっている連絡はありません")
    see(tablet, "dead-letters-none")
    sign_in(phone, OPERATOR_LOGIN, home)
    for service, place in (("routing", "手続き・申請"), ("booking", "予約・窓口"), ("notifications", "お知らせ")):
        first, second, old = uuid4(), uuid4(), uuid4()
        let_die(stack, service, first)
        let_die(stack, service, second)
        let_die(stack, service, old, reason="older_than_inbox")
        for page, size in ((tablet, "tablet"), (phone, "phone")):
            page.goto(home)
            page.get_by_role("main").get_by_role("link", name=place).click()
            page.wait_for_url(f"**/{service}/dead-letters")
            see(page, f"dead-letters-{service}-{size}")
            page.goto(f"/{service}/dead-letters/{second}")
            see(page, f"dead-letter-{service}-{size}")
            page.get_by_role("link", name="捨てる").click()
            page.get_by_role("button", name="捨てる").click()
            expect(page.locator("[data-error-summary]")).to_be_visible()
            see(page, f"dead-letter-refused-{service}-{size}")
            _look_at_one_too_old_to_tell(page, service, old, see, size)
        tablet.goto(f"/{service}/dead-letters/{first}")
        tablet.get_by_role("button", name="やり直す").click()
        told = tablet.locator("main .notice")
        expect(told).to_contain_text(re.compile("やり直しを頼みました|また止まりました"))
        see(tablet, f"dead-letter-asked-{service}")
        for _ in range(40):
            tablet.reload()
            if "また止まりました" in told.inner_text():
                break
            tablet.wait_for_timeout(250)
        expect(told).to_contain_text("unknown_type")
        see(tablet, f"dead-letter-again-{service}")
        phone.goto(f"/{service}/dead-letters/{second}/discard")
        phone.get_by_text("必要なことは、手ですませた").click()
        phone.get_by_role("button", name="捨てる").click()
        expect(phone.get_by_role("main")).to_contain_text("もう処理されません")
        see(phone, f"dead-letter-discarded-{service}")


def _look_at_one_too_old_to_tell(page: Page, service: str, old: UUID, see: See, size: str) -> None:
    page.goto(f"/{service}/dead-letters/{old}")
    see(page, f"dead-letter-old-{service}-{size}")
    page.get_by_role("link", name="確かめてから、やり直す").click()
    page.get_by_role("button", name="やり直す").click()
    expect(page.locator("[data-error-summary]")).to_be_visible()
    see(page, f"dead-letter-old-refused-{service}-{size}")


def test_a_draw(phone: Page, new_phone: NewPhone, tablet: Page, see: See) -> None:
    phone.goto("/booking/draws")
    see(phone, "draws-empty")
    drawing.announce(tablet, "年末の特別相談", seen=see)
    number, code = drawing.enter(phone, seen=see)
    own = new_phone()
    own.goto("/booking/draws")
    see(own, "draws")
    own.get_by_role("link", name="年末の特別相談").click()
    own.wait_for_url("**/booking/draws/*")
    see(own, "draw-open")
    own.get_by_role("link", name="自分の申し込みを見る").click()
    own.get_by_label("抽選番号").fill(number)
    own.get_by_label("確認コード").fill("x")
    own.get_by_role("button", name="申し込みを開く").click()
    expect(own.get_by_role("main")).to_contain_text("ちがいます")
    see(own, "draw-find-refused")
    own.get_by_label("抽選番号").fill(number)
    own.get_by_label("確認コード").fill(code)
    own.get_by_role("button", name="申し込みを開く").click()
    own.wait_for_url("**/entries/*")
    own.get_by_role("button", name="申し込みを取り消す").click()
    expect(own.get_by_role("main")).to_contain_text("この申し込みは取り消しました")
    see(own, "draw-withdrawn")
    tablet.goto("/counter/draws")
    tablet.get_by_role("link", name="「年末の特別相談」を取りやめる").click()
    tablet.wait_for_url("**/call-off")
    see(tablet, "draw-call-off")
    tablet.get_by_role("button", name="抽選を取りやめて、お知らせする").click()
    expect(tablet.get_by_role("main")).to_contain_text("抽選を取りやめました")
    see(tablet, "draw-staff-called-off")
    own.goto("/booking/draws")
    own.get_by_role("link", name="年末の特別相談").click()
    own.wait_for_url("**/booking/draws/*")
    see(own, "draw-called-off")
    own.goto("/open-data/draws")
    see(own, "draws-open-data")


def test_another_system_is_told(tablet: Page, see: See) -> None:
    tablet.goto("/counter/webhooks")
    see(tablet, "webhooks-empty")
    tablet.get_by_label("システムの名前").fill("1階の案内表示")
    tablet.get_by_label("送り先のURL").fill("https://display.example.jp/hook")
    tablet.get_by_label("よびだした").check(force=True)
    tablet.get_by_role("button", name="登録して、秘密の鍵を見る").click()
    expect(tablet.get_by_role("main")).to_contain_text("whsec_")
    see(tablet, "webhook-secret")
    tablet.get_by_role("link", name="写しました。次へ").click()
    tablet.wait_for_url("**/counter/webhooks/*")
    tablet.get_by_role("button", name="試しに送る").click()
    expect(tablet.get_by_role("main")).to_contain_text("試しの通知")
    see(tablet, "webhook")
    tablet.get_by_role("button", name="送るのを止める").click()
    expect(tablet.get_by_role("main")).to_contain_text("送るのを止めています")
    see(tablet, "webhook-paused")
    tablet.goto("/counter/webhooks")
    see(tablet, "webhooks")
