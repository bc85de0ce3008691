"""Bad input in a real browser at phone size: said in plain Japanese, what was typed kept, nothing shown of others."""

import re
import shutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from shared.crypto import ServiceBox
from shared.passes import Pass, seal_pass
from shared.tokens import sign_token, verify_token
from shared.web.identity import SESSION_COOKIE
from tests.browser.conftest import MORNING, PAGE_TIMEOUT_MS, PHONE, look
from tests.browser.residents import book, book_on_visit_page, choose_counter, give_name, hand_over
from tests.stack import SAMPLE_TOWN, STAFF_LOGIN, STAFF_PASSWORD, Stack, run_cli

ExpectStatus = Callable[..., None]
NewPhone = Callable[..., Page]

OTHER_TOWN, OTHER_HOST = "143413", "oiso.localhost"
RARE_NAME = "𠮷田 﨑子"
SECRET = "谷戸 内緒"
# Not a number of ours, and one that could be.
NUMBERS = ("ZZZ", "K4M-7RXA")


def main(page: Page) -> str:
    """What the page says."""
    return page.get_by_role("main").inner_text()


def begin(page: Page, procedure: str = "CHI02") -> str:
    """A case; return its path."""
    choose_counter(page, procedure)
    return page.url.removesuffix("/you")


def visit(page: Page, *, name: str = "", procedure: str = "CHI02") -> str:
    """A case with its items handed over; return the visit's address."""
    begin(page, procedure)
    give_name(page, name=name, kana="", reach="none", contact="")
    hand_over(page, answer="はい")
    return page.url


def carry_pass(page: Page) -> str:
    """A case up to the page that holds the pass; return the pass."""
    begin(page)
    give_name(page, name=SECRET, kana="", reach="none", contact="")
    page.get_by_role("button", name="すべてわたして次へ進む").click()
    field = page.locator("input[name=pass]")
    field.wait_for(state="attached")
    return field.get_attribute("value") or ""


def bring_pass(page: Page, sealed: str) -> None:
    """Send a pass as the page that holds one does."""
    page.evaluate(
        """sealed => {
            const form = document.createElement("form");
            const field = Object.assign(document.createElement("input"), {type: "hidden", name: "pass", value: sealed});
            Object.assign(form, {method: "post", action: "/booking/arrive"}).append(field);
            document.body.append(form);
            form.submit();
        }""",
        sealed,
    )
    page.wait_for_url(re.compile("/booking/|/pass[?]late"))


def check_says_what_to_do(page: Page, title: str | re.Pattern[str], name: str) -> None:
    """A friendly page: what happened, what to do next, a way out; accessible and fitting."""
    expect(page.get_by_role("heading", level=1)).to_have_text(title)
    expect(page.get_by_role("main")).to_contain_text("つぎにできること")
    expect(page.get_by_role("link", name="はじめのページへ")).to_be_visible()
    expect(page.get_by_role("link", name="電話で聞く：0463-71-3311")).to_have_attribute("href", "tel:0463713311")
    look(page, f"bad-{name}")


def check_nothing_shown(page: Page) -> None:
    """Nothing of the person, in what is seen and in what is not."""
    for part in SECRET.split():
        assert part not in page.content(), page.url


# --- the form about oneself ---


PROBLEMS: list[tuple[dict[str, str], dict[str, str]]] = [
    ({"お名前": "花" * 61}, {"name": "60文字まで"}),
    ({"お名前": "花" * 5_000}, {"name": "60文字まで"}),
    ({"お名前": "花\u0007子"}, {"name": "使えない記号"}),
    ({"お名前": "👩"}, {"name": "使えない記号"}),
    ({"お名前": "花\u202e子"}, {"name": "使えない記号"}),
    ({"よみがな": "山田"}, {"kana": "カタカナかひらがな"}),
    ({"よみがな": "<script>alert(1)</script>"}, {"kana": "カタカナかひらがな"}),
    ({"reach": "email", "メールアドレス": "hanako＠"}, {"email": "形を確かめて"}),
    ({"reach": "email", "メールアドレス": "a" * 400 + "@example.jp"}, {"email": "形を確かめて"}),
    ({"reach": "email", "メールアドレス": "a..b@docomo.ne.jp"}, {"email": "SMSを選んで"}),
    ({"reach": "sms", "携帯電話の番号": "0463-71-3311"}, {"phone": "060・070・080・090"}),
    ({"reach": "sms", "携帯電話の番号": "090-1234"}, {"phone": "形を確かめて"}),
    ({"reach": "sms", "携帯電話の番号": "でんわ"}, {"phone": "形を確かめて"}),
    (
        {"お名前": "👩", "よみがな": "abc", "reach": ""},
        {"name": "記号", "kana": "カタカナ", "reach": "ひとつ選んで"},
    ),
]


def test_every_problem_is_told_at_its_field_and_what_was_typed_is_kept(phone: Page) -> None:
    case = begin(phone)
    for typed, advice in PROBLEMS:
        phone.goto(f"{case}/you")
        reach = typed.get("reach", "none")
        if reach:
            phone.locator(f"input[name=reach][value={reach}]").check(force=True)
        fields = {label: value for label, value in typed.items() if label != "reach"}
        for label, value in fields.items():
            phone.get_by_label(re.compile(label)).fill(value)
        phone.get_by_role("button", name="次へ進む").click()
        summary = phone.get_by_role("alert")
        expect(summary.get_by_role("link")).to_have_count(len(advice))
        for field, text in advice.items():
            expect(phone.locator(f"#f-{field}-error")).to_contain_text(text)
            summary.locator(f"a[href='#f-{field}']").click()
            expect(phone.locator(f"#f-{field}")).to_be_focused()
        for label, value in fields.items():
            expect(phone.get_by_label(re.compile(label))).to_have_value(value)
        if reach:
            expect(phone.locator(f"input[name=reach][value={reach}]")).to_be_checked()
        look(phone, f"bad-you-{'-'.join(advice)}")


def test_a_name_of_rare_kanji_is_kept_exactly_and_half_width_kana_become_full_width(phone: Page) -> None:
    begin(phone)
    give_name(phone, name=RARE_NAME, kana="ﾖｼﾀﾞ ｻｷｺ", reach="none", contact="")
    expect(phone.get_by_role("main")).to_contain_text(RARE_NAME)
    expect(phone.get_by_role("main")).to_contain_text("ヨシダ サキコ")
    hand_over(phone, answer="はい")
    phone.locator("ul.slots button:enabled").first.click()
    expect(phone.get_by_role("main")).to_contain_text(RARE_NAME)
    expect(phone.get_by_role("main")).to_contain_text("ヨシダ サキコさま")
    look(phone, "bad-rare-kanji")


def test_a_mobile_number_is_understood_in_every_japanese_notation(phone: Page) -> None:
    case = begin(phone)
    for typed in (
        "090-1234-5678",
        "０９０－１２３４－５６７８",
        "090ー1234ー5678",
        "+81 90 1234 5678",
        "090 (1234) 5678",
    ):
        phone.goto(f"{case}/you")
        give_name(phone, name="", kana="", reach="sms", contact=typed)
        expect(phone.get_by_role("main")).to_contain_text("090-1234-5678")


def test_a_form_that_is_far_too_large_is_refused_kindly(phone: Page, expect_status: ExpectStatus) -> None:
    expect_status(413)
    begin(phone)
    phone.get_by_label("お名前").fill("花" * 30_000)
    phone.get_by_role("button", name="次へ進む").click()
    check_says_what_to_do(phone, "送られた文字が多すぎます", "too-large")


def test_a_search_that_is_too_long_is_only_a_search(phone: Page) -> None:
    for text in ("児" * 2_000, "x" * 4_000, "👩" * 200, "%00<script>alert(1)</script>"):
        phone.goto(f"/search?q={text}")
        expect(phone.get_by_role("main")).to_contain_text(re.compile("みつかりませんでした"))
        look(phone, "bad-search")
    phone.goto("/")
    phone.get_by_role("searchbox").fill("児童手当" * 200)
    phone.get_by_role("button", name="さがす").click()
    expect(phone.get_by_role("heading", level=1)).to_be_visible()
    look(phone, "bad-search-long")


# --- unknown references ---


def test_an_unknown_procedure_or_page_or_link_is_told_kindly(phone: Page, expect_status: ExpectStatus) -> None:
    expect_status(404)
    for path in ("/procedures/NOPE99", "/procedures/👩"):
        phone.goto(path)
        expect(phone.get_by_role("heading", level=1)).to_have_text("この手続きは見つかりません")
        # It can be looked for at once.
        expect(phone.get_by_role("main").get_by_role("searchbox")).to_be_visible()
        expect(phone.get_by_role("main").get_by_role("link", name="住民票の写し")).to_be_visible()
        look(phone, "bad-unknown-procedure")
    for path, title in (
        ("/no/such/page", "ページが見つかりません"),
        ("/booking/no-such-page", "ページが見つかりません"),
        (f"/booking/a/{uuid4()}", "このリンクでは開けません"),
    ):
        phone.goto(path)
        check_says_what_to_do(phone, title, "unknown-page")


def test_an_unknown_case_or_visit_is_told_kindly(phone: Page, expect_status: ExpectStatus) -> None:
    expect_status(404)
    for reference in (str(uuid4()), "x", "👩"):
        for path in (f"/cases/{reference}/{step}" for step in ("you", "handover", "pass")):
            phone.goto(path)
            check_says_what_to_do(phone, "この申しこみは見つかりません", "unknown-case")
        for path in (f"/booking/visits/{reference}", f"/booking/visits/{reference}/confirm"):
            phone.goto(path)
            check_says_what_to_do(phone, "予約の途中の情報が見つかりません", "unknown-visit")


def test_an_unknown_number_asks_for_number_and_code(phone: Page) -> None:
    for number in NUMBERS:
        phone.goto(f"/booking/appointments/{number}")
        expect(phone.get_by_label("予約番号")).to_have_value(number)
    look(phone, "bad-number")
    phone.get_by_label("確認コード").fill("123456")
    phone.get_by_role("button", name="予約を開く").click()
    expect(phone.get_by_role("main")).to_contain_text("予約番号か確認コードがちがいます")
    phone.get_by_label("予約番号").fill("👩" * 10)
    phone.get_by_label("確認コード").fill("１２３あ")
    phone.get_by_role("button", name="予約を開く").click()
    expect(phone.get_by_role("main")).to_contain_text("予約番号か確認コードがちがいます")
    # What can be no number is not carried in an address: it may be anything, a code or a name.
    expect(phone.get_by_label("予約番号")).to_have_value("")
    look(phone, "bad-number-garbage")


# --- what belongs to others ---


def test_nobody_sees_anothers_case_visit_or_appointment(
    phone: Page, new_phone: NewPhone, expect_status: ExpectStatus
) -> None:
    expect_status(404)
    addresses = {}
    case = begin(phone)
    give_name(phone, name=SECRET, kana="", reach="none", contact="")
    hand_over(phone, answer="はい")
    addresses[phone.url] = "予約の途中の情報が見つかりません"
    phone.locator("ul.slots button:enabled").first.click()
    phone.wait_for_url("**/confirm")
    addresses |= {phone.url: "予約の途中の情報が見つかりません"}
    addresses |= {f"{case}/{step}": "この申しこみは見つかりません" for step in ("you", "handover", "pass")}
    book_on_visit_page(phone)
    appointment = phone.url
    stranger = new_phone()
    begin(stranger)
    for address, title in addresses.items():
        stranger.goto(address)
        check_says_what_to_do(stranger, title, "anothers")
        check_nothing_shown(stranger)
    for page in ("", "/slip", "/change", "/cancel", "/calendar.ics", "/qr.svg"):
        stranger.goto(appointment + page)
        expect(stranger).to_have_url(re.compile("/booking/find"))
        check_nothing_shown(stranger)
    stranger.goto("/my")
    check_nothing_shown(stranger)


def test_another_browser_cannot_use_a_copied_pass(phone: Page, new_phone: NewPhone) -> None:
    sealed = carry_pass(phone)
    thief = new_phone()
    carry_pass(thief)
    bring_pass(thief, sealed)
    check_says_what_to_do(thief, "この引きつぎは、ほかの端末で使われました", "pass-used")
    check_nothing_shown(thief)
    # The one whose pass it is goes on as if nothing had happened; a second time it leads to the same visit.
    bring_pass(phone, sealed)
    phone.wait_for_url("**/booking/visits/*")
    first = phone.url
    phone.goto("/")
    bring_pass(phone, sealed)
    phone.wait_for_url("**/booking/visits/*")
    assert phone.url == first


def test_a_pass_that_has_expired_is_made_again_and_one_that_was_forged_is_refused(phone: Page, stack: Stack) -> None:
    public_keys = stack.environ["CHOUDO_BOX_PUBLIC_KEYS"]
    ours = ServiceBox.from_settings(stack.environ["CHOUDO_ROUTING_BOX_KEY"], public_keys)
    theirs = ServiceBox.from_settings(stack.environ["CHOUDO_BOOKING_BOX_KEY"], public_keys)
    sealed = carry_pass(phone)
    ticket = msgspec.msgpack.decode(theirs.open_from("routing", "pass:book", sealed), type=Pass)
    case = f"/cases/{ticket.case_id}"
    late = msgspec.structs.replace(ticket, pass_id=uuid4(), expires_at=MORNING - timedelta(minutes=1))
    elsewhere = msgspec.structs.replace(ticket, pass_id=uuid4(), municipality=OTHER_TOWN)
    for brought, title in (
        (seal_pass(ours, "booking", "book", elsewhere), "引きつぎの情報を読みとれませんでした"),
        (sealed[:-2] + "AA", "引きつぎの情報を読みとれませんでした"),
        ("👩", "引きつぎの情報を読みとれませんでした"),
        ("", "引きつぎの情報を読みとれませんでした"),
    ):
        bring_pass(phone, brought)
        check_says_what_to_do(phone, title, "pass-refused")
        check_nothing_shown(phone)
        # One tap leads to where it goes on.
        phone.get_by_role("link", name="手続きのつづきへ").click()
        expect(phone.get_by_role("link", name="つづける")).to_have_attribute("href", case)
    bring_pass(phone, seal_pass(ours, "booking", "book", late))
    phone.wait_for_url("**/pass?late=1")
    expect(phone.get_by_role("main")).to_contain_text("用意しなおしました")
    look(phone, "bad-pass-late")
    phone.get_by_role("button", name="日にちと時間を選ぶ").click()
    phone.wait_for_url("**/booking/visits/*")


def test_five_wrong_codes_lock_the_number_for_a_while(phone: Page, new_phone: NewPhone) -> None:
    number = book(phone, name=SECRET, kana="", reach="none", contact="")
    stranger = new_phone()
    stranger.goto("/booking/find")
    for attempt in range(5):
        stranger.get_by_label("予約番号").fill(number)
        stranger.get_by_label("確認コード").fill(f"00000{attempt}")
        stranger.get_by_role("button", name="予約を開く").click()
        expect(stranger.get_by_role("main")).to_contain_text("まちがいが続いた" if attempt == 4 else "ちがいます")
        check_nothing_shown(stranger)
    expect(stranger.get_by_role("main")).to_contain_text(re.compile("午前9時|午後|午前"))
    expect(stranger.get_by_label("予約番号")).to_have_value(number)
    look(stranger, "bad-code-locked")
    # Whoever booked is not locked out of their own page.
    phone.reload()
    expect(phone.get_by_role("main")).to_contain_text(number)


# --- days, doubles, machines ---


def test_a_closed_day_says_why_and_a_day_that_is_none_shows_a_free_one(phone: Page) -> None:
    address = visit(phone)
    for day, why in (
        ("2026-11-28", "受け付けていません"),
        ("2026-12-29", "年末年始"),
        ("2027-01-01", "元日"),
        ("2027-01-03", "年末年始"),
    ):
        phone.goto(f"{address}?day={day}")
        expect(phone.locator("#times")).to_contain_text(re.compile(f"この日は.*{why}.*ほかの日を選んでください"))
        expect(phone.locator("#times button")).to_have_count(0)
        look(phone, f"bad-closed-{day}")
    for day in ("2026-11-23", "2030-01-01", "2026-02-30", "👩", "0000-00-00", "9" * 400):
        phone.goto(f"{address}?day={day}")
        expect(phone.locator("#times button:enabled").first).to_be_visible()


@pytest.mark.parametrize("javascript", [True, False])
def test_a_double_tap_makes_one_appointment(new_phone: NewPhone, *, javascript: bool) -> None:
    phone = new_phone(javascript=javascript)
    visit(phone)
    phone.locator("ul.slots button:enabled").first.click()
    phone.wait_for_url("**/confirm")
    phone.get_by_role("button", name="予約する").dblclick(no_wait_after=True)
    phone.wait_for_url("**/booking/appointments/*")
    number = phone.locator(".slip__number, .figure-number").first.inner_text().strip()
    for _ in range(40):
        phone.goto("/my")
        if number in main(phone):
            break
        phone.wait_for_timeout(250)
    assert re.findall("[0-9A-Z]{3}-[0-9A-Z]{4}", main(phone)).count(number) >= 1
    assert set(re.findall("番号：([0-9A-Z]{3}-[0-9A-Z]{4})", main(phone))) == {number}


def test_garbage_for_the_machines_interface_is_a_problem_in_json(phone: Page, expect_status: ExpectStatus) -> None:
    expect_status(404)
    visit(phone)
    for path in ("/booking/api/holds", "/booking/api/appointments"):
        for body in ("", "{", "null", "[]", '"👩"', '{"visit_id": 1}', '{"visit_id": "x", "slot_id": "y"}', "\u0000"):
            status, kind, problem = phone.evaluate(
                """async ([path, body]) => {
                    const headers = {"content-type": "application/json"};
                    const answer = await fetch(path, {method: "POST", body, headers});
                    return [answer.status, answer.headers.get("content-type"), await answer.json()];
                }""",
                [path, body],
            )
            assert (status, kind.split(";")[0]) == (400, "application/problem+json"), (path, body)
            assert problem["title"], body
            assert problem["status"] == status
    for path in ("slots?procedure=NOPE", "slots?procedure=CHI02&days=99999", "slots", "appointments/ZZZ", "nothing"):
        status, kind = phone.evaluate(
            "async (path) => { const a = await fetch(path); return [a.status, a.headers.get('content-type')]; }",
            f"/booking/api/{path}",
        )
        assert (status in (400, 404), kind.split(";")[0]) == (True, "application/problem+json"), path


# --- staff whose session is gone ---


def end_session(tablet: Page, stack: Stack) -> None:
    """Of the cookies the token is left, which has run out and still says who was here."""
    [kept] = [cookie for cookie in tablet.context.cookies() if cookie["name"] == SESSION_COOKIE]
    identity = verify_token(kept["value"], (stack.environ["CHOUDO_TOKEN_PUBLIC_KEY"],)).identity
    run_out = sign_token(identity, stack.environ["CHOUDO_TOKEN_PRIVATE_KEY"], now=MORNING - timedelta(days=1))
    tablet.context.clear_cookies()
    tablet.context.add_cookies([{"name": SESSION_COOKIE, "value": run_out, "url": stack.url}])


def test_what_staff_typed_survives_signing_in_again(tablet: Page, stack: Stack, expect_status: ExpectStatus) -> None:
    expect_status(404)  # there is no such number
    tablet.goto("/counter")
    tablet.get_by_label("予約番号").fill("ZZZ-ZZZZ")
    # The session ends while the page is open, as at the end of a day.
    end_session(tablet, stack)
    tablet.locator("form[action='/counter/check-in']").get_by_role("button", name="受け付ける").click()
    expect(tablet.get_by_role("main")).to_contain_text("入力したことは残っています")
    look(tablet, "bad-signed-out")
    tablet.get_by_label("ログインID").fill(STAFF_LOGIN)
    tablet.get_by_label("パスワード").fill(STAFF_PASSWORD)
    tablet.get_by_role("button", name="ログイン").click()
    expect(tablet.get_by_role("heading", level=1)).to_have_text("ログインしました")
    look(tablet, "bad-signed-in-again")
    tablet.get_by_role("button", name="つづける").click()
    expect(tablet.get_by_label("予約番号")).to_have_value("ZZZ-ZZZZ")
    tablet.goto("/counter")
    tablet.get_by_role("button", name="ログアウト").click()
    expect(tablet).to_have_url(re.compile("/sign-in"))


# --- another town ---


@pytest.fixture(scope="module")
def other_town(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A second town on the same site, under its own host name; its address."""
    folder: Path = tmp_path_factory.mktemp("towns") / "oiso"
    shutil.copytree(SAMPLE_TOWN, folder)
    file = folder / "town.toml"
    text = file.read_text("utf-8").replace("143421", OTHER_TOWN).replace("ninomiya.localhost", OTHER_HOST)
    file.write_text(text.replace("二宮町", "大磯町"), "utf-8")
    address = stack.url.replace("127.0.0.1", OTHER_HOST)
    run_cli(stack.environ | {"CHOUDO_PUBLIC_URL": address}, "town", "load", str(folder))
    # Hosts are read every half minute; starting again reads them now.
    stack.stop("front")
    stack.start("front")
    stack.wait_until_ready()
    return address


@pytest.fixture
def elsewhere(chromium: Browser, other_town: str) -> Iterator[Page]:
    """A phone on the other town's site."""
    context: BrowserContext = chromium.new_context(
        viewport=PHONE,  # type: ignore[arg-type]
        has_touch=True,
        is_mobile=True,
        locale="ja-JP",
        timezone_id="Asia/Tokyo",
        base_url=other_town,
    )
    context.set_default_timeout(PAGE_TIMEOUT_MS)
    yield context.new_page()
    context.close()


def test_another_towns_cases_visits_and_appointments_do_not_exist_here(
    phone: Page, elsewhere: Page, other_town: str, stack: Stack
) -> None:
    case = begin(phone)
    give_name(phone, name=SECRET, kana="", reach="none", contact="")
    hand_over(phone, answer="はい")
    address = phone.url
    phone.locator("ul.slots button:enabled").first.click()
    phone.wait_for_url("**/confirm")
    book_on_visit_page(phone)
    number = phone.url.rsplit("/", 1)[-1]
    code = re.search(r"確認コード\D*(\d{6})", main(phone))
    assert code
    # The visitor even brings the first town's cookies.
    cookies = phone.context.cookies(stack.url)
    elsewhere.context.add_cookies([{"name": c["name"], "value": c["value"], "url": other_town} for c in cookies])
    elsewhere.goto("/")
    expect(elsewhere.get_by_role("banner")).to_contain_text("大磯町")
    for path, title in (
        (case + "/you", "この申しこみは見つかりません"),
        (case + "/handover", "この申しこみは見つかりません"),
        (address, "予約の途中の情報が見つかりません"),
    ):
        elsewhere.goto(path.replace(stack.url, ""))
        check_says_what_to_do(elsewhere, title, "other-town")
        check_nothing_shown(elsewhere)
    elsewhere.goto(f"/booking/appointments/{number}")
    expect(elsewhere).to_have_url(re.compile("/booking/find"))
    elsewhere.get_by_label("予約番号").fill(number)
    elsewhere.get_by_label("確認コード").fill(code[1])
    elsewhere.get_by_role("button", name="予約を開く").click()
    expect(elsewhere.get_by_role("main")).to_contain_text("予約番号か確認コードがちがいます")
    check_nothing_shown(elsewhere)
