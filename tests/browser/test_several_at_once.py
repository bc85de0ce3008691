"""Several at once: how many, and what else at the same counter, for eyes, ears and keys; booked in one appointment."""

from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.browser.eyes import look_closely
from tests.browser.keys import Keys
from tests.browser.residents import book_on_visit_page
from tests.browser.test_readers_of_all_kinds import visit

CERTIFICATE, SEAL = "RES01", "RES07"


def test_five_certificates_and_a_seal_are_one_appointment_without_javascript(new_phone: Callable[..., Page]) -> None:
    phone = new_phone(javascript=False)
    visit(phone, CERTIFICATE)
    phone.get_by_text("人数や通数、いっしょにする手続きを選ぶ").click()
    phone.locator(f"#f-quantity-{CERTIFICATE}").select_option("5")
    phone.locator(f"#f-quantity-{SEAL}").select_option("2")
    phone.get_by_role("button", name="これで時間を探す").click()
    # 10 + 4 × 5 and 10 + 3 minutes: two slots of half an hour.
    expect(phone.get_by_role("main")).to_contain_text("窓口でかかる時間：およそ43分")
    phone.locator("ul.slots button:enabled").first.click()
    phone.wait_for_url("**/confirm")
    expect(phone.get_by_role("main")).to_contain_text("住民票の写し（5通）、印鑑登録証明書（2通）")
    book_on_visit_page(phone)
    expect(phone.get_by_role("main")).to_contain_text("住民票の写し（5通）、印鑑登録証明書（2通）")
    expect(phone.get_by_role("main")).to_contain_text("43分")


def test_choosing_several_is_for_everybody(phone: Page) -> None:
    visit(phone, CERTIFICATE)
    found = look_closely(phone, "several-closed")
    phone.get_by_text("人数や通数、いっしょにする手続きを選ぶ").click()
    found += look_closely(phone, "several")
    phone.locator(f"#f-quantity-{CERTIFICATE}").select_option("3")
    phone.get_by_role("button", name="これで時間を探す").click()
    expect(phone.get_by_role("main")).to_contain_text("窓口でかかる時間：およそ20分")
    found += look_closely(phone, "several-chosen")
    assert not found


def test_several_are_chosen_by_keyboard(phone: Page) -> None:
    visit(phone, CERTIFICATE)
    keys = Keys(phone)
    keys.press(phone.locator("#services summary"))
    field = phone.locator(f"#f-quantity-{CERTIFICATE}")
    keys.tab_to(field)
    phone.keyboard.press("ArrowDown")
    expect(field).to_have_value("2")
    keys.press(phone.get_by_role("button", name="これで時間を探す"))
    expect(phone.get_by_role("main")).to_contain_text("住民票の写し（2通）")
