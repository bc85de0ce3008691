"""罹災証明書 with a photo of the damage, on a phone without JavaScript; and what the office sees of it.

axe needs scripts: the same pages are looked at with them in `walks/sending.py`.
"""

from collections.abc import Callable

from playwright.sync_api import FilePayload, Page, expect

from tests.browser.applying import begin, choose_reach, go_on, open_in_office, send
from tests.browser.conftest import look, picture
from tests.browser.helping import sign_in
from tests.routing.files import make_photo
from tests.stack import STAFF_LOGIN

NewPhone = Callable[..., Page]
PHOTO: FilePayload = {"name": "IMG_2041.JPG", "mimeType": "image/jpeg", "buffer": make_photo()}


def test_a_photo_of_the_damage_goes_with_the_application(new_phone: NewPhone) -> None:
    resident = new_phone(javascript=False)
    begin(resident, "DIS01")
    resident.get_by_role("textbox", name="お名前").fill("二宮 花子")
    resident.locator("[name=address_postal_code]").fill("259-0123")
    resident.locator("[name=address_line]").fill("神奈川県中郡二宮町二宮961")
    resident.locator("[name=phone]").fill("0463-71-3311")
    go_on(resident)
    resident.wait_for_url("**/attachments")
    resident.get_by_role("button", name="これを入れる").click()
    expect(resident.locator("[data-error-summary]")).to_be_visible()
    picture(resident, "attach-nothing-chosen")
    for label in ("屋根", "台所"):
        resident.locator("section form input[type=file]").last.set_input_files([PHOTO])
        resident.get_by_label("何の写真、書類か").fill(label)
        resident.get_by_role("button", name="これを入れる").click()
        expect(resident.get_by_role("link", name=label)).to_be_visible()
    picture(resident, "attach-two")
    resident.get_by_text("とりかえる、消す").last.click()
    picture(resident, "attach-exchange")
    resident.get_by_role("button", name="消す").last.click()
    expect(resident.get_by_role("link", name="台所")).to_have_count(0)
    bad: FilePayload = {"name": "x.jpg", "mimeType": "image/jpeg", "buffer": b"<svg/>"}
    resident.locator("section form input[type=file]").last.set_input_files([bad])
    resident.get_by_role("button", name="これを入れる").click()
    expect(resident.get_by_role("main")).to_contain_text("このファイルは受けとれません")
    resident.get_by_role("link", name="次へ進む").click()
    choose_reach(resident, "none")
    expect(resident.get_by_role("main")).to_contain_text("写真1まい")
    picture(resident, "attach-check")
    number = send(resident, "申請する")
    picture(resident, "attach-sent")
    desk = sign_in(new_phone(), STAFF_LOGIN, "/counter")
    desk.set_viewport_size({"width": 768, "height": 1_024})
    open_in_office(desk, number)
    expect(desk.get_by_role("link", name="屋根")).to_be_visible()
    look(desk, "attach-office")
