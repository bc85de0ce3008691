"""The counter's tablet, held upright and across: what is next is the largest, and every state is looked at closely."""

import re
from collections.abc import Callable

import pytest
import segno
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import AXE, check_fits, find_too_wide, look, picture
from tests.browser.desk import prepare_and_book
from tests.browser.eyes import GLOVE_PX, look_closely
from tests.browser.residents import book
from tests.browser.test_line_in_place import number_of, rows, take_walk_ins, told
from tests.stack import STAFF_LOGIN, STAFF_PASSWORD

UPRIGHT, ACROSS, NARROW = (768, 1024), (1024, 768), (360, 740)
# In the sun: what matters has the contrast of WCAG's level AAA.
SUN = '{"runOnly": {"type": "rule", "values": ["color-contrast-enhanced"]}}'
MATTERS = "main"


@pytest.fixture
def at_seven(tablet: Page) -> Page:
    """A tablet that stands at counter 7."""
    tablet.goto("/counter?counter=7")
    return tablet


def walk_in(tablet: Page, procedure: str = "CHI02") -> Locator:
    """Somebody with a ticket, on the page of counter 7: their row."""
    take_walk_ins(tablet, 1, procedure)
    tablet.goto("/counter?counter=7")
    return rows(tablet).filter(has=tablet.get_by_role("button", name="呼び出す", exact=True)).last


def press(row: Locator, name: str) -> None:
    button = row.get_by_role("button", name=name, exact=True)
    if not button.is_visible():
        row.locator(".line__more > summary").click()
    button.click()


def find_pale(page: Page) -> list[str]:
    """What of the counter's page can hardly be read in the sun."""
    page.evaluate(AXE.read_text("utf-8"))
    result = page.evaluate(f"axe.run('{MATTERS}', {SUN})")
    return [f"{node['target']}: {node['any'][0]['message']}" for rule in result["violations"] for node in rule["nodes"]]


def look_all_around(page: Page, name: str) -> None:
    """Upright, across and narrow; in large text, forced colours and the sun."""
    usual = page.viewport_size
    page.set_viewport_size({"width": UPRIGHT[0], "height": UPRIGHT[1]})
    found = look_closely(page, name) + find_pale(page)
    for width, height in (ACROSS, NARROW):
        page.set_viewport_size({"width": width, "height": height})
        found += look_at_its_size(page, f"{name}-{width}")
    assert usual is not None
    page.set_viewport_size(usual)
    assert not found, "\n".join(found)


def look_at_its_size(page: Page, name: str) -> list[str]:
    """What depends on the size alone."""
    found = find_too_wide(page) + page.evaluate(f"eyes.small({GLOVE_PX})")
    page.evaluate("document.documentElement.style.fontSize = '200%'")
    found += find_too_wide(page) + page.evaluate("eyes.spilled()")
    page.evaluate("document.documentElement.style.fontSize = ''")
    picture(page, name)
    return [f"{name}: {finding}" for finding in found]


def area(locator: Locator) -> float:
    box = locator.bounding_box()
    assert box
    return box["width"] * box["height"]


def test_nobody_is_there_yet(at_seven: Page) -> None:
    look_all_around(at_seven, "tablet-empty")


def test_every_step_with_somebody_in_every_size(at_seven: Page) -> None:
    row = walk_in(at_seven)
    ticket = number_of(row)
    own = at_seven.locator(".line__row").filter(has_text=ticket)
    following = at_seven.locator("#next-button")
    expect(following).to_be_in_viewport()
    # Nobody is called: the largest thing is to call the next person.
    buttons = at_seven.locator("#line-region button:visible")
    assert area(following) == max(area(each) for each in buttons.all())
    look_all_around(at_seven, "tablet-waiting")
    press(row, "優先にする")
    expect(own.get_by_text("優先", exact=True)).to_be_visible()
    look_all_around(at_seven, "tablet-preferred")
    press(own, "保留にする")
    expect(own.get_by_text("保留", exact=True)).to_be_visible()
    look_all_around(at_seven, "tablet-parked")
    press(own, "列にもどす")
    expect(told(at_seven)).to_contain_text("列にもどしました")
    press(own, "呼び出す")
    expect(own).to_have_class(re.compile("line__row--called"))
    # Now it is what is to be done with whom was called, and the three ways stand side by side.
    for label in ("対応を始める", "もう一度呼ぶ", "不在にする"):
        expect(own.get_by_role("button", name=label)).to_be_visible()
    own.scroll_into_view_if_needed()
    look_all_around(at_seven, "tablet-called")
    for width, height in (UPRIGHT, ACROSS):
        at_seven.set_viewport_size({"width": width, "height": height})
        start = own.get_by_role("button", name="対応を始める")
        assert area(start) == max(area(each) for each in own.get_by_role("button").all())
    # What is told is as it was before: only the answer says that it was done.
    with at_seven.expect_response("**/call"):
        press(own, "もう一度呼ぶ")
    at_seven.wait_for_function("row => !row.querySelector('[data-busy], [aria-busy=true]')", arg=own.element_handle())
    press(own, "不在にする")
    expect(own).to_have_class(re.compile("line__row--absent"))
    look_all_around(at_seven, "tablet-absent")
    told(at_seven).get_by_role("button", name="一つ前にもどす").click()
    expect(own).to_have_class(re.compile("line__row--called"))
    press(own, "対応を始める")
    expect(own).to_have_class(re.compile("line__row--serving"))
    look_all_around(at_seven, "tablet-serving")
    press(own, "対応を終える")
    expect(told(at_seven)).to_contain_text(f"{ticket}の対応を終えました")
    at_seven.locator("#line-recent > summary").click()
    look_all_around(at_seven, "tablet-recent")
    at_seven.locator("#line-recent").get_by_role("button", name="もどす").first.click()
    expect(own).to_have_class(re.compile("line__row--serving"))
    expect(told(at_seven)).to_contain_text("「対応中」にもどしました")
    look_all_around(at_seven, "tablet-undone")


def test_a_ticket_given_by_mistake_is_taken_back(at_seven: Page) -> None:
    row = walk_in(at_seven)
    ticket = number_of(row)
    press(row, "番号札を取り消す")
    expect(told(at_seven)).to_contain_text(f"{ticket}の番号札を取り消しました")
    expect(at_seven.locator(".line__row").filter(has_text=ticket)).to_have_count(0)
    look_all_around(at_seven, "tablet-withdrawn")
    told(at_seven).get_by_role("button", name="一つ前にもどす").click()
    expect(at_seven.locator(".line__row").filter(has_text=ticket)).to_have_count(1)


def test_sent_to_another_counter_with_a_note(at_seven: Page, new_tablet: Callable[[], Page]) -> None:
    row = walk_in(at_seven)
    ticket = number_of(row)
    row.locator(".line__more > summary").click()
    row.get_by_role("link", name="ほかの窓口へ送る").click()
    at_seven.wait_for_url("**/transfer**")
    at_seven.get_by_role("button", name="この窓口へ送る").click()
    expect(at_seven.locator("[data-error-summary]")).to_be_visible()
    look_all_around(at_seven, "transfer-refused")
    at_seven.get_by_role("radio", name=re.compile("^1番")).check(force=True)
    at_seven.get_by_role("radio", name="お支払いに行きます").check(force=True)
    at_seven.get_by_role("textbox", name="伝言").fill("領収書の名前を聞いてください")
    look_all_around(at_seven, "transfer-filled")
    at_seven.get_by_role("button", name="この窓口へ送る").click()
    at_seven.wait_for_url("**/counter?**")
    expect(told(at_seven)).to_contain_text(f"{ticket}を1番へ送りました")
    at_seven.locator("#line-recent > summary").click()
    expect(at_seven.locator("#line-recent")).to_contain_text("伝言：領収書の名前を聞いてください")
    look_all_around(at_seven, "tablet-sent")
    other = signed_in(new_tablet())
    other.goto("/counter?counter=1")
    theirs = other.locator(".line__row").filter(has_text=ticket)
    expect(theirs).to_contain_text("7番から来ました")
    expect(theirs).to_contain_text("伝言：領収書の名前を聞いてください")
    look_all_around(other, "tablet-received")
    at_seven.locator("#line-recent").get_by_role("button", name="もどす").first.click()
    expect(at_seven.locator(".line__row").filter(has_text=ticket)).to_have_count(1)
    expect(theirs).to_have_count(0)


def test_the_line_is_searched_as_it_is_typed_and_nothing_of_it_is_sent(at_seven: Page, phone: Page) -> None:
    book(phone, name="百合が丘 すず", kana="ゆりがおか すず", reach="none", contact="")
    walk_in(at_seven)
    asked: list[str] = []
    at_seven.on("request", lambda request: asked.append(f"{request.url} {request.post_data or ''}"))
    field = at_seven.get_by_label("予約番号")
    for typed in ("ﾕﾘｶﾞｵｶ", "ゆりが", "スズ"):
        field.fill(typed)
        expect(rows(at_seven).locator("visible=true").filter(has_text="ユリガオカ")).to_have_count(1)
        assert at_seven.locator(".line__row:visible").count() == 1
    expect(at_seven.locator("[data-found]")).to_have_text("1人見つかりました")
    look_all_around(at_seven, "tablet-searched")
    field.press("Enter")
    own = at_seven.locator(".line__row").filter(has_text="ユリガオカ")
    expect(own.get_by_role("button", name="受け付ける")).to_be_focused()
    assert not [each for each in asked if "スズ" in each or "%E3%82%B9" in each]
    # What happens meanwhile keeps the list as it was searched.
    at_seven.keyboard.press("Enter")
    expect(own.locator(".badge").first).to_have_text("受付")
    expect(at_seven.locator(".line__row:visible")).to_have_count(1)
    field.fill("だれもいない")
    expect(at_seven.locator("[data-found]")).to_contain_text("見つかりません")
    look_all_around(at_seven, "tablet-nobody-found")
    field.fill("")
    assert at_seven.locator(".line__row:visible").count() > 1


def test_who_is_at_another_counter_is_found_there(at_seven: Page, expect_status: Callable[..., None]) -> None:
    expect_status(404)
    take_walk_ins(at_seven, 1, "ENV01")
    at_seven.goto("/counter?counter=")
    ticket = number_of(rows(at_seven).filter(has_text="犬の登録").last)
    at_seven.goto("/counter?counter=7")
    field = at_seven.get_by_label("予約番号")
    field.fill(ticket)
    field.press("Enter")
    expect(told(at_seven)).to_contain_text("1人見つかりました")
    look(at_seven, "tablet-found-elsewhere")
    told(at_seven).get_by_role("link").click()
    expect(at_seven.locator(".line__row:target")).to_contain_text(ticket)
    at_seven.get_by_label("予約番号").fill("ぬぬぬ")
    at_seven.get_by_label("予約番号").press("Enter")
    expect(told(at_seven)).to_contain_text("今日の列に見つかりません")
    look(at_seven, "tablet-not-found")


def test_a_hand_scanner_types_wherever_the_focus_is(at_seven: Page, phone: Page) -> None:
    number = book(phone, name="", kana="", reach="none", contact="")
    at_seven.locator("body").click(position={"x": 5, "y": 5})
    at_seven.keyboard.type(number)
    at_seven.keyboard.press("Enter")
    expect(told(at_seven)).to_contain_text("を受け付けました")


def test_a_cases_number_leads_to_its_desk_and_back_with_one_touch_each(at_seven: Page, phone: Page) -> None:
    number = prepare_and_book(phone, "中里 みどり", "なかざと みどり")
    at_seven.goto("/counter?counter=7")
    at_seven.keyboard.type(number)
    at_seven.keyboard.press("Enter")
    at_seven.wait_for_url("**/desk")
    at_seven.get_by_role("link", name="今日の受付").first.click()
    at_seven.wait_for_url("**/counter")
    # The tablet stands where it stood.
    expect(at_seven.get_by_label("窓口", exact=True)).to_have_value("7")


def test_the_camera_reads_a_code_and_checks_in(tablet: Page, phone: Page) -> None:
    number = book(phone, name="", kana="", reach="none", contact="")
    picture = segno.make(number, error="m", micro=False).png_data_uri(scale=8, border=4)
    # A camera that looks at the code: the browser here has none.
    tablet.add_init_script(f"""
        navigator.mediaDevices.getUserMedia = async () => {{
            const canvas = document.createElement("canvas");
            canvas.width = 640; canvas.height = 480;
            const pen = canvas.getContext("2d");
            const image = new Image();
            image.src = "{picture}";
            await image.decode();
            pen.fillStyle = "#fff";
            const show = () => {{ pen.fillRect(0, 0, 640, 480); pen.drawImage(image, 120, 90); }};
            setInterval(show, 50);
            return window.seen = canvas.captureStream(20);
        }};
    """)
    tablet.goto("/counter")
    loaded: list[str] = []
    tablet.on("request", lambda request: loaded.append(request.url))
    assert tablet.locator("script[src*=scan], script[src*=qr-]").count() == 0
    tablet.get_by_role("button", name="カメラで読みとる").click()
    expect(told(tablet)).to_contain_text("を受け付けました")
    assert [url for url in loaded if "/scan." in url]
    # The camera is off again.
    assert tablet.evaluate("window.seen.getTracks().every(track => track.readyState === 'ended')")
    expect(tablet.get_by_role("button", name="カメラで読みとる")).to_be_visible()


def test_without_a_camera_that_is_said_and_it_can_be_stopped(tablet: Page) -> None:
    tablet.add_init_script("navigator.mediaDevices.getUserMedia = () => Promise.reject(new Error('none'))")
    tablet.goto("/counter")
    tablet.get_by_role("button", name="カメラで読みとる").click()
    expect(tablet.locator("[data-scan-says]")).to_have_text("カメラを使えません。番号を入力してください。")
    look(tablet, "tablet-no-camera")
    page = tablet.context.new_page()
    page.add_init_script(
        "navigator.mediaDevices.getUserMedia = async () => document.createElement('canvas').captureStream(5)"
    )
    page.add_init_script("HTMLMediaElement.prototype.play = () => Promise.resolve()")
    page.goto("/counter")
    page.get_by_role("button", name="カメラで読みとる").click()
    expect(page.get_by_role("button", name="カメラを止める")).to_be_visible()
    look(page, "tablet-scanning")
    page.get_by_role("button", name="カメラを止める").click()
    expect(page.get_by_role("button", name="カメラで読みとる")).to_be_visible()
    page.close()


def test_without_javascript_it_is_found_sent_and_taken_back(
    new_phone: Callable[..., Page], expect_status: Callable[..., None]
) -> None:
    expect_status(404)
    page = signed_in(new_phone(javascript=False))
    take_walk_ins(page, 1)
    row = rows(page).filter(has=page.get_by_role("button", name="呼び出す", exact=True)).last
    ticket = number_of(row)
    page.get_by_label("予約番号").fill(ticket)
    page.locator("form[action='/counter/check-in']").get_by_role("button", name="さがす").click()
    expect(told(page)).to_contain_text("1人見つかりました")
    assert ticket not in page.url
    told(page).get_by_role("link").click()
    own = page.locator(".line__row:target")
    expect(own).to_contain_text(ticket)
    own.locator(".line__more > summary").click()
    own.get_by_role("link", name="ほかの窓口へ送る").click()
    page.get_by_role("radio", name=re.compile("^1番")).check(force=True)
    page.get_by_role("radio", name="書類を受け取りに行きます").check(force=True)
    page.get_by_role("button", name="この窓口へ送る").click()
    expect(told(page)).to_contain_text(f"{ticket}を1番へ送りました")
    check_fits(page)
    told(page).get_by_role("button", name="一つ前にもどす").click()
    expect(told(page)).to_contain_text("にもどしました")


def signed_in(page: Page) -> Page:
    page.goto("/counter")
    page.get_by_label("ログインID").fill(STAFF_LOGIN)
    page.get_by_label("パスワード").fill(STAFF_PASSWORD)
    page.get_by_role("button", name="ログイン").click()
    return page
