"""Closing on the tablet, and what the owner of an appointment sees of it."""

import re
from datetime import timedelta
from urllib.parse import urlencode
from uuid import uuid4

import httpx

from shared.reference_number import show_number
from tests.booking.closing_town import TUESDAY, book_on, close, closure_of, offers_of, open_again, run_due
from tests.booking.conftest import BookingTown
from tests.journeys.resident import read_forms

CHOICE = {"counter": "7", "day": TUESDAY.isoformat(), "from": "", "to": "", "reason": "weather"}


def manager(town: BookingTown) -> httpx.AsyncClient:
    return town.browser("boss", kind="staff", roles=("manager",))


def form_of(page: httpx.Response, ending: str) -> dict[str, str]:
    """The fields of the page's form whose action ends so."""
    return next(form for form in read_forms(page.text) if form.action.endswith(ending)).fields


def rows_of(page: httpx.Response) -> dict[str, str]:
    """The page's summary: what stands beside what."""
    return dict(re.findall(r"<dt>(.*?)</dt>\s*<dd[^>]*>(.*?)</dd>", page.text))


async def test_chosen_looked_at_confirmed_and_reopened(town: BookingTown) -> None:
    written, unreached = await book_on(town, "a"), await book_on(town, "b", slot=2, reach="none", contact_ref=None)
    async with manager(town) as browser:
        page = await browser.get("/counter/close")
        assert page.status_code == 200
        assert set(form_of(page, "/counter/close/preview")) == {"counter", "day", "until", "from", "to", "reason"}
        preview = await browser.get(f"/counter/close/preview?{urlencode(CHOICE)}")
        assert preview.status_code == 200
        for booked in (written, unreached):
            assert show_number(booked.number) in preview.text
        assert "花子" not in preview.text
        # Appointments, not people: somebody may have two.
        assert "2件" in preview.text
        assert "1件の予約は、お知らせの届け先がわかりません" in preview.text
        # 17 slots of two places, two of which are taken.
        assert "32人分" in preview.text
        fields = form_of(preview, "/counter/close")
        answers = [await browser.post("/counter/close", data=fields) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [303, 303]
        assert answers[0].headers["location"] == answers[1].headers["location"]
        await run_due(town)
        status = await browser.get(answers[0].headers["location"])
        assert show_number(written.number) in status.text
        assert "花子" not in status.text
        reopened = await browser.post(f"{answers[0].headers['location']}/reopen", data={})
        assert reopened.headers["location"] == answers[0].headers["location"]
        await run_due(town)
        assert "休みを取りやめました" in (await browser.get(answers[0].headers["location"])).text
    assert await closure_of(town, written) == ("booked", "none")
    deeds = await town.rows("SELECT action FROM booking.audit WHERE actor_ref = 'boss' ORDER BY occurred_at, action")
    assert [row.action for row in deeds] == ["close", "reopen", "view-closing", "view-closing"]  # type: ignore[attr-defined]


async def test_before_the_worker_has_been_there_it_says_how_many_are_still_to_be_told(town: BookingTown) -> None:
    """Of those whom it moves: not of whom is elsewhere, was cancelled, or had begun when it was closed."""
    for slot in (0, 1):
        await book_on(town, "a", slot=slot)
    await book_on(town, "b", day=TUESDAY + timedelta(days=1))
    closing_id = await close(town)
    async with manager(town) as browser:
        before = await browser.get(f"/counter/close/{closing_id}")
        assert rows_of(before)["これからお知らせする予約"] == "2件"
        assert rows_of(before)["返事を待っている予約"] == "0件"
        assert "お知らせは、これからです。" in before.text
        await run_due(town)
        after = await browser.get(f"/counter/close/{closing_id}")
        assert rows_of(after)["これからお知らせする予約"] == "0件"
        assert rows_of(after)["返事を待っている予約"] == "2件"
        assert "お知らせは、これからです。" not in after.text
        await open_again(town, closing_id)
        assert rows_of(await browser.get(f"/counter/close/{closing_id}"))["これからお知らせする予約"] == "0件"


async def test_what_cannot_be_closed_leads_back_and_says_why(town: BookingTown) -> None:
    async with manager(town) as browser:
        for wrong in ({"counter": "99"}, {"day": "2026-02-30"}, {"from": "900", "to": "600"}, {"reason": "x"}):
            answer = await browser.get(f"/counter/close/preview?{urlencode(CHOICE | wrong)}")
            location = answer.headers["location"]
            assert location.startswith("/counter/close?refused=closing_unfit&"), wrong
            # What was chosen is still there, and the whole town is not what stands in for it.
            again = (await browser.get(location)).text
            assert ('<option value="7" selected>' in again) == ("counter" not in wrong), wrong
            assert (f'<option value="{TUESDAY.isoformat()}" selected>' in again) == ("day" not in wrong), wrong
        assert '<option value="-" selected>' in (await browser.get("/counter/close")).text
        form = CHOICE | {"reason": "other", "idempotency_key": str(uuid4())}
        answer = await browser.post("/counter/close", data=form)
        assert answer.headers["location"].startswith("/counter/close/preview?counter=7&")
        assert "住民に見せる説明を書いてください" in (await browser.get(answer.headers["location"])).text
        answer = await browser.post("/counter/close", data=form | {"note": "水道管の工事"})
        assert answer.headers["location"].startswith("/counter/close/")
        assert (await browser.get(f"/counter/close/{uuid4()}")).status_code == 404
        assert (await browser.post(f"/counter/close/{uuid4()}/reopen", data={})).status_code == 404


async def test_its_owner_takes_the_kept_time_with_one_touch(town: BookingTown) -> None:
    booked = await book_on(town, "a")
    await close(town)
    await run_due(town)
    [offer] = await offers_of(town, booked)
    path = f"/booking/appointments/{booked.number}"
    async with town.browser("a") as browser:
        page = await browser.get(path)
        assert "この時間は、休みになりました" in page.text
        assert "台風や大雪など" in page.text
        assert "6月1日（月）午後4時30分" in page.text
        assert {link for link in (f"{path}/change", f"{path}/cancel") if f'href="{link}"' in page.text} == {
            f"{path}/change", f"{path}/cancel",
        }  # fmt: skip
        assert f"{path}/slip" not in page.text
        answer = await browser.post(f"{path}/change", data=form_of(page, "/change"))
        assert answer.headers["location"] == f"{path}?changed=1"
        after = await browser.get(answer.headers["location"])
    assert "日時を変えました" in after.text
    assert (await offers_of(town, booked))[0].state == "taken"
    assert offer.is_kept


async def test_its_owner_sees_when_nothing_is_kept_any_more_and_when_it_stands_again(town: BookingTown) -> None:
    booked = await book_on(town, "a")
    closing_id = await close(town)
    await run_due(town)
    [offer] = await offers_of(town, booked)
    path = f"/booking/appointments/{booked.number}"
    town.now = offer.until
    await run_due(town)
    async with town.browser("a") as browser:
        page = await browser.get(path)
        assert "ほかの時間を選んでください" in page.text
        assert "この時間に決める" not in page.text
        await open_again(town, closing_id)
        await run_due(town)
        assert "予約ができています" in (await browser.get(path)).text
