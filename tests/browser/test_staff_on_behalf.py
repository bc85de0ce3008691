"""Staff on somebody's behalf, on the counter's tablet: by phone, at the desk, online, one person after another."""

import re

from playwright.sync_api import Page, expect

from tests.browser.applying import fill_child_allowance, go_on
from tests.browser.conftest import PHONE, TABLET, look
from tests.browser.on_behalf import begin_for, book_earliest, tell
from tests.stack import Stack


def test_5_by_phone_with_sms_the_number_is_read_aloud_and_sent(tablet: Page, stack: Stack) -> None:
    begin_for(tablet, "phone", "counter", seen=look)
    go_on(tablet)
    expect(tablet.locator("[data-error-summary]")).to_be_visible()
    tell(tablet, name="電話 花子", kana="でんわ はなこ", reach="sms", phone="080-1111-2222")
    expect(tablet.get_by_role("main")).to_contain_text("本人に読み上げて、答えを押してください")
    look(tablet, "behalf-phone-handover")
    tablet.get_by_role("button", name="「よい」と答えた（すべてわたす）").click()
    number, code = book_earliest(tablet, "phone", seen=look)
    main = tablet.get_by_role("main")
    expect(main).to_contain_text("本人に読み上げてください")
    expect(main.locator("q").first).to_have_text(
        re.compile(r"^予約は、.*月.*日（.）午[前後].*。場所は、町役場 2階 7番窓口（子育て）です。$")
    )
    expect(main).to_contain_text(f"予約番号は、{number}。確認コードは、{code} です。")
    expect(main).to_contain_text("確認のSMSも送ります。")
    expect(main.get_by_role("link", name="紙を印刷")).to_have_count(0)
    look(tablet, "behalf-phone-appointment")
    assert number in stack.wait_for_messages(1, to="+818011112222", channel="sms")[0]["text"]
    main.get_by_role("link", name="「今日の受付」にもどる").click()
    expect(tablet).to_have_url(re.compile("/counter$"))
    look(tablet, "behalf-line")


def test_5_at_the_desk_with_neither_phone_nor_mail_a_slip_says_all_and_changes_it_later(
    tablet: Page, phone: Page
) -> None:
    begin_for(tablet, "desk", "counter")
    look(tablet, "behalf-desk-you")
    tell(tablet, name="窓口 次郎", kana="まどぐち じろう")
    tablet.get_by_role("button", name="「よい」と答えた（すべてわたす）").click()
    number, code = book_earliest(tablet, "desk")
    look(tablet, "behalf-desk-appointment")
    tablet.set_viewport_size(PHONE)  # type: ignore[arg-type]
    look(tablet, "behalf-desk-appointment-on-a-phone")
    tablet.set_viewport_size(TABLET)  # type: ignore[arg-type]
    tablet.get_by_role("link", name="紙を印刷").click()
    tablet.wait_for_url("**/slip")
    look(tablet, "behalf-slip")
    tablet.emulate_media(media="print")
    slip = tablet.locator(".slip")
    for said in (
        number,
        code,
        "児童手当",
        "月",
        "7番",
        "持ちもの",
        "通帳",
        "0463-71-3311",
        "変えるとき・取り消すとき",
        "/booking/find",
    ):
        expect(slip).to_contain_text(said)
    expect(slip.get_by_role("img", name=re.compile("QRコード"))).to_be_visible()
    expect(tablet.get_by_role("link", name="次の方の入力")).to_be_hidden()
    tablet.emulate_media(media="screen")
    tablet.get_by_role("link", name="次の方の入力").click()
    expect(tablet).to_have_url(re.compile("/office/behalf$"))
    cookies = [cookie["name"] for cookie in tablet.context.cookies()]
    assert not [name for name in cookies if "appointment" in name], "what was booked stays open on the tablet"

    phone.goto("/booking/find")
    phone.get_by_label("予約番号").fill(number)
    phone.get_by_label("確認コード").fill(code)
    phone.get_by_role("button", name=re.compile("予約を")).click()
    phone.wait_for_url("**/booking/appointments/*")
    expect(phone.get_by_role("main")).not_to_contain_text("本人に")
    phone.get_by_role("link", name="日時を変える").click()
    phone.locator("ul.slots button:enabled").last.click()
    phone.get_by_role("button", name=re.compile("変える")).click()
    expect(phone.get_by_role("main")).to_contain_text("日時を変えました")


def test_5_the_next_person_finds_nothing_of_the_one_before(tablet: Page) -> None:
    begin_for(tablet, "desk", "counter")
    tell(tablet, name="一人目 太郎", kana="ひとりめ たろう", reach="sms", phone="080-3333-4444")
    tablet.get_by_role("link", name=re.compile("^やめて")).click()
    expect(tablet).to_have_url(re.compile("/counter$"))
    for channel in ("counter", "online"):
        begin_for(tablet, "phone", channel)
        main = tablet.get_by_role("main")
        assert not [field.input_value() for field in main.locator("input:is([type=text],[type=tel],[type=email])").all()
                    if field.input_value()]  # fmt: skip
        for of_the_first in ("一人目", "ヒトリメ", "080-3333-4444", "前に教えて"):
            expect(main).not_to_contain_text(of_the_first)
    tablet.goto("/my/history")
    expect(tablet.get_by_role("main")).to_contain_text("まだ記録はありません")


def test_5_an_application_on_behalf_ends_with_number_and_code_on_paper(tablet: Page, phone: Page) -> None:
    begin_for(tablet, "desk", "online")
    look(tablet, "behalf-online-form")
    fill_child_allowance(tablet, "申請 花子")
    go_on(tablet)
    tablet.wait_for_url("**/you")
    tablet.locator("input[name=reach][value=none]").check(force=True)
    go_on(tablet)
    tablet.wait_for_url("**/check")
    expect(tablet.get_by_role("main")).to_contain_text("本人に読み上げてください")
    look(tablet, "behalf-online-check")
    tablet.get_by_role("button", name="申請する").click()
    tablet.wait_for_url("**/applications/*")
    number, code = tablet.locator(".slip__number").all_inner_texts()
    expect(tablet.get_by_role("main")).to_contain_text("紙を印刷して、本人にわたしてください")
    look(tablet, "behalf-online-application")
    tablet.emulate_media(media="print")
    for said in (number, code, "/applications/find"):
        expect(tablet.locator(".slip")).to_contain_text(said)
    expect(tablet.get_by_role("main")).to_contain_text("0463-71-3311")
    tablet.emulate_media(media="screen")
    tablet.get_by_role("link", name="次の方の入力").click()
    tablet.wait_for_url("**/office/behalf")

    phone.goto("/applications/find")
    phone.get_by_label("受付番号").fill(number)
    phone.get_by_label("確認コード").fill(code)
    phone.get_by_role("main").get_by_role("button").click()
    expect(phone.get_by_role("main")).to_contain_text(number)


def test_5_what_is_missing_is_said_beside_it_and_going_back_asks_for_no_form(tablet: Page) -> None:
    tablet.goto("/office")
    look(tablet, "behalf-office")
    tablet.get_by_role("link", name="代わりに予約・申請をする").click()
    tablet.get_by_role("link", name="子育て").click()
    tablet.get_by_role("main").get_by_role("link", name=re.compile("^児童手当")).click()
    tablet.locator("input[name=channel][value=helper]").check(force=True)
    tablet.get_by_role("button", name="この方の入力を始める").click()
    expect(tablet.locator("[data-error-summary]")).to_contain_text("電話か、窓口かを選んでください。")
    expect(tablet.locator("input[name=channel][value=helper]")).to_be_checked()
    look(tablet, "behalf-begin-errors")
    tablet.locator("input[name=behalf][value=phone]").check(force=True)
    tablet.get_by_role("button", name="この方の入力を始める").click()
    tablet.wait_for_url("**/you")
    look(tablet, "behalf-phone-you")
    tablet.go_back()
    expect(tablet.get_by_role("heading", level=1)).to_contain_text("児童手当")
    tablet.goto("/office/behalf/NOPE")
    expect(tablet.get_by_role("main")).to_contain_text("この手続きは見つかりません")
