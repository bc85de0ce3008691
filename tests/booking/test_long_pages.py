"""How many, and what else at the same counter: chosen, seen and changed on the pages, without JavaScript."""

import re

import httpx
import pytest_asyncio

from services.booking.domain.services import Service
from tests.booking.conftest import CHILD, BookingTown, TownAfter
from tests.booking.long_town import CARE, THREE, booked_at, choose, open_town, publish_catalogue, slot_at, taken
from tests.booking.test_free_times import slots_of
from tests.booking.test_pages import fields_of, go


@pytest_asyncio.fixture
async def house(town_after: TownAfter) -> BookingTown:
    return await town_after(open_town)


async def pick(browser: httpx.AsyncClient, page: httpx.Response, **quantities: str) -> httpx.Response:
    """The form of what to do, sent with these quantities."""
    path = f"{page.url.path}/services"
    fields = fields_of(page.text, path) | {f"quantity_{code}": number for code, number in quantities.items()}
    return await go(browser, await browser.post(path, data=fields))


async def test_several_are_chosen_and_booked_and_every_page_says_so(house: BookingTown) -> None:
    visit = f"/booking/visits/{await house.visit('guest')}"
    async with house.browser() as browser:
        page = await browser.get(visit)
        assert "窓口でかかる時間：およそ30分" in page.text
        assert "いっしょに同じ窓口でする手続き" in page.text
        assert "医療証の申請" in page.text
        # What tells too much is offered to nobody.
        assert "ひみつ" not in page.text
        short = slots_of(page.text)
        page = await pick(browser, page, **{CHILD: "3", CARE: "1"})
        assert "窓口でかかる時間：およそ1時間25分" in page.text
        assert "児童手当の申請（3人分）、医療証の申請" in " ".join(page.text.split())
        assert '<option value="3" selected>3人分</option>' in page.text
        # 85 minutes are three slots: the last two of the day are no beginning.
        assert slots_of(page.text) == short[:-2]
        path = f"{visit}/hold"
        fields = fields_of(page.text, path) | {"slot": str(await slot_at(house, 10))}
        confirm = await go(browser, await browser.post(path, data=fields))
        assert "児童手当の申請（3人分）、医療証の申請" in confirm.text
        assert "1時間25分" in confirm.text
        booked = await go(browser, await browser.post(f"{visit}/book", data=fields_of(confirm.text, f"{visit}/book")))
        assert "児童手当の申請（3人分）、医療証の申請" in booked.text
        assert "1時間25分" in booked.text
        assert "4,600円" in booked.text
        assert booked.text.count("預金通帳") == 1
        assert "保険証" in booked.text
        ics = (await browser.get(f"{booked.url.path}/calendar.ics")).text
        assert "T100000" in ics
        assert "T112500" in ics
        slip = await browser.get(f"{booked.url.path}/slip")
        assert "児童手当の申請（3人分）、医療証の申請" in slip.text
        # Nobody thinks that only one of them goes.
        assert "児童手当の申請（3人分）、医療証の申請" in (await browser.get(f"{booked.url.path}/cancel")).text
        # Another time is as long.
        change = await browser.get(f"{booked.url.path}/change")
        assert str(await slot_at(house, 16)) not in slots_of(change.text)
        assert str(await slot_at(house, 10, 30)) in slots_of(change.text)
        wanted = {"slot": str(await slot_at(house, 10, 30))}
        sure = await browser.get(f"{booked.url.path}/change", params=wanted)
        assert "児童手当の申請（3人分）、医療証の申請" in sure.text
    assert await taken(house) == ["10:00 1/3", "10:30 2/3", "11:00 3/3"]
    async with house.staff() as tablet:
        line = await tablet.get("/counter")
        assert "児童手当の申請（3人分）、医療証の申請" in line.text


async def test_what_no_longer_fits_is_said_and_nothing_is_lost(house: BookingTown) -> None:
    visit_id = await house.visit("guest")
    visit = f"/booking/visits/{visit_id}"
    await house.hold(visit_id, "guest", await slot_at(house, 16, 30))
    async with house.browser() as browser:
        page = await pick(browser, await browser.get(visit), **{CHILD: "2"})
        assert "おさえている時間では、続けて取れません" in page.text
        assert "午後4時30分をおさえています" in re.sub(r"<[^>]+>|\s+", "", page.text)
        assert await taken(house) == ["16:30 1/1"]
        # One press frees it, and then it can be chosen.
        assert fields_of(page.text, f"{visit}/release") == {}
        page = await go(browser, await browser.post(f"{visit}/release", data={}))
        page = await pick(browser, page, **{CHILD: "2"})
        assert "窓口でかかる時間：およそ50分" in page.text


async def test_garbage_and_what_cannot_be_is_refused_with_what_to_do(house: BookingTown) -> None:
    visit = f"/booking/visits/{await house.visit('guest')}"
    async with house.browser() as browser:
        page = await browser.get(visit)
        for typed in ("99", "５", "-1", "x" * 300, "0x2"):
            said = await pick(browser, page, **{CHILD: typed})
            assert "この組み合わせは、ひとつの予約ではできません" in said.text
        # Of their own procedure there is always one.
        assert "およそ30分" in (await pick(browser, page, **{CHILD: "0"})).text
    async with house.browser("thief") as thief:
        assert (await thief.post(f"{visit}/services", data={f"quantity_{CHILD}": "2"})).status_code == 404


async def test_a_time_that_is_lost_leads_to_others_that_are_long_enough(house: BookingTown) -> None:
    await booked_at(house, 11, guest="a", services=(Service(CHILD),))
    await booked_at(house, 11, guest="b", services=(Service(CHILD),))
    visit_id = await house.visit("guest")
    await choose(house, visit_id, *THREE)
    async with house.browser() as browser:
        lost = {"slot": str(await slot_at(house, 10)), "idempotency_key": "k"}
        page = await go(browser, await browser.post(f"/booking/visits/{visit_id}/hold", data=lost))
        near = page.text.split("近い時間で空いている", 1)[1].split("</ol>", 1)[0]
        # 10:00 and 10:30 run into 11:00; before them there is 9:30 alone, which ends at 11:00.
        assert re.findall(r">6月1日（月）([^<]+)</a>", near)[:3] == ["午前9時30分", "午前11時30分", "正午"]
        end = {"slot": str(await slot_at(house, 16, 30)), "idempotency_key": "k"}
        page = await go(browser, await browser.post(f"/booking/visits/{visit_id}/hold", data=end))
        assert "この時間からは、続けて取れません" in page.text


async def test_where_there_is_nothing_to_choose_nothing_is_asked(town: BookingTown) -> None:
    async with town.browser() as browser:
        page = await browser.get(f"/booking/visits/{await town.visit('guest')}")
    assert "窓口でかかる時間" not in page.text


async def test_when_the_catalogue_has_changed_they_choose_again(house: BookingTown) -> None:
    visit_id = await house.visit("guest")
    await choose(house, visit_id, Service(CHILD), Service(CARE))
    await publish_catalogue(house, version=3, counters=("3",))
    async with house.browser() as browser:
        page = await browser.get(f"/booking/visits/{visit_id}")
        assert page.status_code == 200
        assert "選びなおしてください" in page.text
        page = await pick(browser, page, **{CHILD: "1"})
        assert "選びなおしてください" not in page.text
