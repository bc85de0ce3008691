"""What goes with an application: one form for several, files, another device, the rest by post, who somebody is."""

import re

from playwright.sync_api import FilePayload, Page, expect

from deploy.local.sample_procedure import CODE
from tests.browser.applying import begin, choose_reach, fill_child_allowance, fill_day, fill_person, go_on, send
from tests.browser.residents import See
from tests.browser.walks.asked import NewPhone
from tests.routing.files import make_photo


def test_one_form_for_a_birth(phone: Page, see: See) -> None:
    phone.goto("/life-events/birth")
    phone.get_by_role("radio", name="いいえ").check(force=True)
    phone.get_by_role("button", name="必要な手続きを見る").click()
    phone.wait_for_url("**/plans/*")
    see(phone, "one-form-plan")
    phone.get_by_role("button", name="オンラインでまとめて書く").click()
    phone.wait_for_url("**/form")
    see(phone, "one-form")
    go_on(phone)
    expect(phone.locator("[data-error-summary]")).to_be_visible()
    see(phone, "one-form-refused")
    fill_child_allowance(phone, "二宮 花子")
    phone.locator("input[name=insurance_kind]").first.check(force=True)
    go_on(phone)
    phone.wait_for_url("**/reuse")
    see(phone, "one-form-reuse")
    phone.get_by_role("button", name="すべて使って次へ進む").click()
    phone.wait_for_url("**/you")
    see(phone, "one-form-you")
    choose_reach(phone, "none")
    see(phone, "one-form-check")
    phone.get_by_role("button", name="すべて申請する").click()
    phone.wait_for_url("**/sent")
    see(phone, "one-form-sent")


def test_photos_go_with_an_application(phone: Page, see: See) -> None:
    photo: FilePayload = {"name": "IMG_2041.JPG", "mimeType": "image/jpeg", "buffer": make_photo()}
    begin(phone, "DIS01")
    phone.get_by_role("textbox", name="お名前").fill("二宮 花子")
    phone.locator("[name=address_postal_code]").fill("259-0123")
    phone.locator("[name=address_line]").fill("神奈川県中郡二宮町二宮961")
    phone.locator("[name=phone]").fill("0463-71-3311")
    go_on(phone)
    phone.wait_for_url("**/attachments")
    see(phone, "attachments")
    phone.locator("section form input[type=file]").last.set_input_files([photo])
    phone.get_by_label("何の写真、書類か").fill("屋根")
    phone.get_by_role("button", name="これを入れる").click()
    expect(phone.get_by_role("link", name="屋根")).to_be_visible()
    phone.get_by_text("とりかえる、消す").last.click()
    see(phone, "attachments-one")
    phone.get_by_role("link", name="次へ進む").click()
    choose_reach(phone, "none")
    see(phone, "check-with-photos")


def test_another_device_and_the_rest_by_post(phone: Page, new_phone: NewPhone, see: See) -> None:
    begin(phone, "TAX01")
    see(phone, "form-with-fee")
    fill_person(phone, "二宮 花子", phone=None)
    phone.locator("[name=tax_year]").fill("2026")
    phone.locator("[name=copies_purpose_copies]").fill("2")
    phone.locator("[name=copies_purpose_purpose]").fill("勤め先に出す")
    go_on(phone)
    choose_reach(phone, "none")
    see(phone, "check-with-fee")
    case = re.sub(r"/check$", "", phone.url)
    phone.goto(f"{case}/device")
    see(phone, "device")
    phone.get_by_role("button", name="続けるための番号を出す").click()
    see(phone, "device-made")
    link = phone.locator("details a").get_attribute("href")
    assert link
    other = new_phone()
    other.goto("/resume")
    see(other, "resume")
    other.get_by_role("button", name="続きを開く").click()
    expect(other.locator("[data-error-summary]")).to_be_visible()
    see(other, "resume-refused")
    other.goto(link)
    see(other, "resume-link")
    other.get_by_role("button", name="この機械で続ける").click()
    other.wait_for_url("**/check")
    phone.goto(f"{case}/device")
    see(phone, "device-opened")
    phone.goto(f"{case}/check")
    send(phone, "申請する")
    see(phone, "finish")
    phone.get_by_role("link", name="送付状を印刷する").click()
    phone.wait_for_url("**/cover")
    see(phone, "cover")


def test_who_sends_it_is_asked_elsewhere(phone: Page, provider: str, see: See) -> None:
    """Comes last: the site starts again with a provider."""
    begin(phone, CODE)
    phone.get_by_role("textbox", name=re.compile("^お名前")).fill("二宮 花子")
    fill_day(phone, "birth_date", "S", "63", "4", "5")
    go_on(phone)
    choose_reach(phone, "none")
    see(phone, "check-without-identity")
    phone.get_by_role("link", name="本人確認に進む").click()
    see(phone, "identity")
    phone.get_by_role("button", name="本人確認に進む").click()
    phone.wait_for_url(f"{provider}/authorize**")
    phone.get_by_role("button", name="やめる").click()
    phone.wait_for_url("**/identity?problem=declined")
    see(phone, "identity-declined")
    phone.goto("/identity/callback?state=nobodys&code=x")
    see(phone, "identity-lost")
