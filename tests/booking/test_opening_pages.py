"""`/counter/opening`: what staff read, type, look at before, publish and take back, without JavaScript."""

import re
from datetime import timedelta

import httpx
import pytest

from tests.booking.conftest import BookingTown
from tests.booking.helpers_town import HALL, HelperTown
from tests.booking.opening_town import all_slots
from tests.journeys.resident import Form, read_forms

PAGE = "/counter/opening/7"
OK, SEE_OTHER, FORBIDDEN = httpx.codes.OK, httpx.codes.SEE_OTHER, httpx.codes.FORBIDDEN
UNPROCESSABLE, CONFLICT, NOT_FOUND = httpx.codes.UNPROCESSABLE_ENTITY, httpx.codes.CONFLICT, httpx.codes.NOT_FOUND
EVERY_WEEK = {f"pattern_{day}": "every1" for day in range(1, 8)}


def desk(town: BookingTown, *roles: str) -> httpx.AsyncClient:
    return town.browser("boss", kind="staff", roles=roles or ("manager",))


def form_to(page: httpx.Response, ending: str, **holding: str) -> Form:
    return next(
        form
        for form in read_forms(page.text)
        if form.action.endswith(ending) and holding.items() <= form.fields.items()
    )


async def look(browser: httpx.AsyncClient, page: str = PAGE, **typed: str) -> httpx.Response:
    """The form of the page, with this typed into it, sent for a look."""
    form = form_to(await browser.get(page), "/preview")
    return await browser.post(form.action, data=form.fields | EVERY_WEEK | typed)


async def publish(browser: httpx.AsyncClient, preview: httpx.Response) -> httpx.Response:
    form = form_to(preview, "/publish")
    return await browser.post(form.action, data=form.fields)


async def test_the_list_says_when_everything_is_open_and_what_changes(town: BookingTown) -> None:
    browser = desk(town, "coordinator")
    page = await browser.get("/counter/opening")
    assert page.status_code == OK
    for shown in (
        "7番窓口（子育て）",
        "月・火・水・木・金",
        "8:30〜17:15",
        "1枠 30分、2席",
        'href="/counter/opening/7"',
    ):
        assert shown in page.text, shown
    await publish(browser, await look(browser, hours_1="9:00〜12:00"))
    assert "6月8日（月）から変わります" in (await browser.get("/counter/opening")).text


async def test_a_change_is_looked_at_and_then_published(town: BookingTown) -> None:
    booked = await town.booked(slot=15)  # on Tuesday at 8:30
    browser = desk(town)
    before = await all_slots(town)
    days = {f"hours_{day}": "9:00〜12:00、13:00〜16:00" for day in range(1, 6)}
    first = {"valid_from_year": "2026", "valid_from_month": "6", "valid_from_day": "2"}
    preview = await look(browser, slot_min="60", special_days="2026-06-04 休み 研修", **days, **first)
    assert preview.status_code == OK
    for shown in ("時間が合わなくなる予約（1件）", f"{booked.number[:3]}-{booked.number[3:]}", "児童手当の申請",
                  "なくなる枠", "6月2日（火）", "6月4日（木） 休み（研修）"):  # fmt: skip
        assert shown in re.sub(r"</?span[^>]*>", "", preview.text), shown
    for secret in ("花子", "ハナコ", "𠮷﨑"):
        assert secret not in preview.text
    assert await all_slots(town) == before
    answer = await publish(browser, preview)
    assert (answer.status_code, answer.headers["location"]) == (SEE_OTHER, f"{PAGE}?told=published")
    page = await browser.get(answer.headers["location"])
    for shown in ("公開しました。", "2026年6月2日（火）からの受付時間", "9:00〜12:00、13:00〜16:00", "取りやめる"):
        assert shown in page.text, shown
    later = [slot for slot in await all_slots(town) if slot.starts_at > town.now + timedelta(days=1)]
    assert {slot.ends_at - slot.starts_at for slot in later if not slot.withdrawn} == {timedelta(hours=1)}
    rows = await town.rows("SELECT actor_ref, ref, ref_version FROM booking.audit WHERE action = 'publish-opening'")
    assert rows == [("boss", "7", 2)]


async def test_the_form_can_be_corrected_after_the_look(town: BookingTown) -> None:
    browser = desk(town)
    preview = await look(browser, hours_1="9:00〜12:00", hours_2="", special_days="2026-06-18 休み 研修")
    form = form_to(preview, "/preview")
    again = await browser.post(form.action, data=form.fields | {"edit": "1"})
    assert again.status_code == OK
    fields = form_to(again, "/preview").fields
    assert (fields["hours_1"], fields["hours_2"], fields["hours_3"]) == ("9:00〜12:00", "", "8:30〜17:15")
    assert "2026-06-18 休み 研修</textarea>" in again.text


async def test_what_cannot_be_read_is_told_at_its_field_and_kept(town: BookingTown) -> None:
    page = await look(desk(town), hours_1="朝から", staff_only_places="9", special_days="あした 休み")
    assert page.status_code == UNPROCESSABLE
    for shown in ('id="f-hours_1-error"', 'id="f-staff_only_places-error"', 'id="f-special_days-error"', "朝から",
                  'href="#f-hours_1"'):  # fmt: skip
        assert shown in page.text, shown


async def test_who_was_slower_sees_what_the_faster_one_published(town: BookingTown) -> None:
    browser = desk(town)
    slower = await look(browser, hours_1="9:00〜12:00")
    await publish(browser, await look(browser, hours_1="10:00〜11:00"))
    answer = await publish(browser, slower)
    assert answer.status_code == CONFLICT
    assert "ほかの職員が先に受付時間を変えました" in answer.text
    assert "10:00〜11:00" in answer.text
    # Looked at again, it can be published.
    form = form_to(answer, "/preview")
    again = await browser.post(form.action, data=form.fields | EVERY_WEEK)
    assert (await publish(browser, again)).status_code == SEE_OTHER


async def test_a_double_tap_publishes_once(town: BookingTown) -> None:
    browser = desk(town)
    preview = await look(browser, hours_1="9:00〜12:00")
    assert [(await publish(browser, preview)).status_code for _ in range(2)] == [SEE_OTHER] * 2
    assert len(await town.rows("SELECT 1 FROM booking.opening_rule WHERE counter = '7'")) == 2
    assert len(await town.rows("SELECT 1 FROM booking.audit WHERE action = 'publish-opening'")) == 1


async def test_a_version_is_taken_back_before_its_day(town: BookingTown) -> None:
    browser = desk(town)
    await publish(browser, await look(browser, hours_1="9:00〜12:00"))
    form = form_to(await browser.get(PAGE), "/withdraw", version="2")
    town.now += timedelta(days=8)
    late = await desk(town).post(form.action, data=form.fields)
    assert late.status_code == CONFLICT
    assert "もう始まっている受付時間は取りやめられません" in late.text
    town.now -= timedelta(days=8)
    answer = await browser.post(form.action, data=form.fields)
    assert answer.headers["location"] == f"{PAGE}?told=withdrawn"
    assert "取りやめました。" in (await browser.get(answer.headers["location"])).text


async def test_a_venue_has_no_places_of_its_own_to_type(bare_town: BookingTown) -> None:
    helpers = HelperTown(bare_town)
    await helpers.open()
    browser = desk(bare_town)
    page = await browser.get(f"/counter/opening/{HALL}")
    assert "来られるサポーターの人数です" in page.text
    assert 'name="places"' not in page.text
    preview = await look(browser, f"/counter/opening/{HALL}", hours_1="9:00〜11:00")
    assert preview.status_code == OK
    assert (await publish(browser, preview)).status_code == SEE_OTHER


@pytest.mark.parametrize("step", ["preview", "publish", "withdraw"])
async def test_where_a_form_is_sent_opens_as_a_page_too(town: BookingTown, step: str) -> None:
    answer = await desk(town).get(f"{PAGE}/{step}")
    assert answer.headers["location"] == "/counter/opening"


async def test_only_those_who_lead_may_look_or_change(town: BookingTown) -> None:
    for browser in (desk(town, "counter"), desk(town, "back_office")):
        for page in ("/counter/opening", PAGE):
            assert (await browser.get(page)).status_code == FORBIDDEN
        for step in ("preview", "publish", "withdraw"):
            assert (await browser.post(f"{PAGE}/{step}", data={})).status_code == FORBIDDEN
    manager = desk(town)
    for counter in ("99", "%00"):
        assert (await manager.get(f"/counter/opening/{counter}")).status_code == NOT_FOUND
        for step in ("preview", "publish", "withdraw"):
            assert (await manager.post(f"/counter/opening/{counter}/{step}", data={})).status_code == NOT_FOUND
