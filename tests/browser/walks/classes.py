"""Classes (教室): a coordinator makes them, people enter, wait and leave."""

from playwright.sync_api import Page, expect

from tests.browser.helping import sign_in
from tests.browser.residents import See
from tests.browser.walks.asked import ExpectStatus, NewPhone
from tests.stack import COORDINATOR_LOGIN

TITLE = "はじめてのスマホ教室"


def make_class(desk: Page, *, seats: str, mode: str, see: See, name: str) -> str:
    """A class three weeks ahead, published; its path for everybody."""
    desk.goto("/helpers/classes")
    desk.locator("input[name=title]").fill(TITLE)
    desk.locator("textarea[name=text]").fill("電源の入れ方から、ゆっくり進めます。")
    desk.get_by_label("はじめてのスマートフォン").check()
    desk.locator("select[name=venue]").select_option("KOMINKAN")
    desk.locator("input[name=seats]").fill(seats)
    desk.locator(f"input[name=mode][value={mode}]").check()
    desk.get_by_role("button", name="下書きを作る").click()
    expect(desk.get_by_role("main")).to_contain_text("下書きを作りました")
    see(desk, f"class-draft-{name}")
    desk.get_by_label("部屋").fill("会議室2")
    desk.get_by_role("button", name="この日時を加える").click()
    expect(desk.get_by_role("main")).to_contain_text("会議室2")
    desk.get_by_role("button", name="公開して").click()
    expect(desk.get_by_role("main")).to_contain_text("公開しました")
    return desk.url.replace("/helpers/", "/booking/").partition("?")[0]


def enter(phone: Page, path: str, *, see: See, name: str) -> str:
    """By the class's page; the entry's address."""
    phone.goto(path)
    see(phone, f"class-{name}")
    phone.get_by_role("link", name="教室に申し込む").or_(phone.get_by_role("link", name="空きを待つ")).click()
    see(phone, f"class-enter-{name}")
    phone.get_by_role("button", name="申し込む").or_(phone.get_by_role("button", name="空きを待つ")).click()
    phone.wait_for_url("**/entries/*")
    see(phone, f"class-entry-{name}")
    return phone.url


def test_a_class_from_the_draft_to_the_list_of_who_comes(
    phone: Page, new_phone: NewPhone, tablet: Page, see: See, expect_status: ExpectStatus
) -> None:
    expect_status(422)
    phone.goto("/booking/classes")
    see(phone, "classes-none")
    desk = sign_in(tablet, COORDINATOR_LOGIN, "/helpers/roster")
    desk.goto("/helpers/classes")
    see(desk, "classes-staff-empty")
    desk.get_by_role("button", name="下書きを作る").click()
    expect(desk.locator("[data-error-summary]")).to_be_visible()
    see(desk, "classes-staff-refused")
    path = make_class(desk, seats="1", mode="first_come", see=see, name="seats")
    desk.get_by_role("button", name="担当にする").click()
    expect(desk.get_by_role("main")).to_contain_text("担当を変えました")
    see(desk, "class-staff")
    phone.goto("/booking/classes")
    see(phone, "classes")
    phone.get_by_role("link", name="はじめてのスマートフォン").click()
    see(phone, "classes-of-a-topic")
    own = enter(phone, path, see=see, name="free")
    other = new_phone()
    waiting = enter(other, path, see=see, name="full")
    desk.goto(path.replace("/booking/", "/helpers/") + "/roll")
    see(desk, "class-roll")
    desk.goto("/helpers/classes/materials")
    see(desk, "class-materials")
    desk.goto("/helpers/classes")
    see(desk, "classes-staff")
    phone.goto(own)
    phone.get_by_role("button", name="申し込みを取り消す").click()
    expect(phone.get_by_role("main")).to_contain_text("取り消しました")
    see(phone, "class-entry-left")
    other.goto(waiting)
    see(other, "class-entry-offered")
    other.get_by_role("button", name="この席をとる").click()
    expect(other.get_by_role("main")).to_contain_text("席がとれています")
    see(other, "class-entry-taken")
    phone.goto(f"{path}/poster")
    see(phone, "class-poster")
    phone.goto("/open-data/events")
    see(phone, "events-open-data")
    desk.goto(path.replace("/booking/", "/helpers/") + "/call-off")
    desk.get_by_role("button", name="中止にして").click()
    see(desk, "class-call-off-refused")
    desk.locator("input[name=reason]").fill("大雨のため")
    desk.get_by_role("button", name="中止にして").click()
    expect(desk.get_by_role("main")).to_contain_text("中止にしました")
    see(desk, "class-called-off-staff")
    other.goto(waiting)
    see(other, "class-entry-called-off")
    other.goto(path)
    see(other, "class-called-off")
    drawn = make_class(desk, seats="3", mode="draw", see=see, name="draw")
    enter(phone, drawn, see=see, name="draw")
