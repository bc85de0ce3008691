"""Waiting for an earlier time, as its owner and staff see it."""

import re
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio

from tests.booking.conftest import BookingTown, TownAfter
from tests.booking.one_stop_town import booked, open_town
from tests.booking.test_closing_pages import form_of
from tests.booking.waiting_town import (
    FRIDAY,
    THURSDAY,
    TUESDAY,
    book_at,
    cancel,
    on_list,
    open_small,
    settle,
    states_of,
    waiters,
)

CHOICE = {"first": TUESDAY.isoformat(), "last": TUESDAY.isoformat(), "weekdays": ["2", "3"], "part": "any"}


@pytest_asyncio.fixture
async def small(town_after: TownAfter) -> BookingTown:
    return await town_after(open_small)


def chosen(page: httpx.Response, name: str) -> str:
    """What a list of the page has chosen."""
    found = re.search(rf'name="{name}".*?<option value="([^"]*)" selected', page.text, re.DOTALL)
    assert found is not None, name
    return found[1]


async def join(browser: httpx.AsyncClient, path: str, **changes: object) -> httpx.Response:
    """Send the form, as filled in."""
    form = {"idempotency_key": str(uuid4()), **CHOICE, **changes}
    return await browser.post(path, data=form)


async def test_chosen_changed_and_stopped(small: BookingTown) -> None:
    mine = await book_at(small, "a", THURSDAY)
    own = f"/booking/appointments/{mine.number}"
    async with small.browser("a") as browser:
        assert f'href="{own}/earlier"' in (await browser.get(own)).text
        page = await browser.get(f"{own}/earlier")
        assert page.status_code == 200
        # From today until their own day, at any time.
        assert (chosen(page, "first"), chosen(page, "last"), form_of(page, "/earlier")["part"]) == (
            "2026-06-01",
            "2026-06-04",
            "any",
        )
        # Of the days of the week those that come before: from Monday to Thursday.
        assert [name for name in "月火水木金土日" if f"{name}曜日" in page.text] == list("月火水木")
        answer = await join(browser, f"{own}/earlier")
        assert answer.headers["location"] == f"{own}/earlier?told=waits"
        page = await browser.get(answer.headers["location"])
        assert "早い時間があいたら、お知らせします" in page.text
        assert chosen(page, "first") == TUESDAY.isoformat()
        told = (await browser.get(own)).text
        assert "6月2日（火）" in told
        assert "6月2日（火）から" not in told
        answer = await join(browser, f"{own}/earlier", part="morning", where="here")
        rows = await small.rows("SELECT part, counter, weekdays FROM booking.waiting")
        assert [tuple(row) for row in rows] == [("morning", "7", [2, 3])]  # type: ignore[arg-type]
        answer = await browser.post(f"{own}/earlier", data={"do": "stop"})
        assert "お知らせをやめました" in (await browser.get(answer.headers["location"])).text
    assert await on_list(small) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"first": THURSDAY.isoformat(), "last": TUESDAY.isoformat()},
        {"last": FRIDAY.isoformat()},
        {"weekdays": []},
        {"weekdays": ["9"]},
        {"part": "x"},
        {"first": "2026-02-30"},
        {"first": ""},
    ],
)
async def test_what_cannot_be_waited_for_leads_back_with_what_was_chosen(
    small: BookingTown, wrong: dict[str, object]
) -> None:
    mine = await book_at(small, "a", THURSDAY)
    own = f"/booking/appointments/{mine.number}"
    async with small.browser("a") as browser:
        answer = await join(browser, f"{own}/earlier", **wrong)
        query = parse_qs(urlsplit(answer.headers["location"]).query)
        assert query["refused"] == ["waiting_window"]
        page = await browser.get(answer.headers["location"])
        assert "この選びかたでは、お待ちいただけません" in page.text
        if wrong.get("last") == TUESDAY.isoformat():
            assert chosen(page, "first") == THURSDAY.isoformat()
    assert await on_list(small) == []


async def test_taken_with_one_touch_also_when_it_is_touched_twice(small: BookingTown) -> None:
    taken = await book_at(small, "x", TUESDAY)
    await book_at(small, "y", TUESDAY, "afternoon")
    [first] = await waiters(small, "a")
    await cancel(small, taken)
    await settle(small)
    own = f"/booking/appointments/{first.number}"
    async with small.browser("a") as browser:
        page = await browser.get(own)
        assert "もっと早い時間があきました" in page.text
        assert "6月2日（火）午前8時30分" in page.text
        fields = form_of(page, "/change")
        answers = [await browser.post(f"{own}/change", data=fields) for _ in range(2)]
        assert [answer.headers["location"] for answer in answers] == [f"{own}?changed=1"] * 2
        after = await browser.get(f"{own}?changed=1")
        assert "日時を変えました" in after.text
        assert "もっと早い時間があきました" not in after.text
    assert await states_of(small, first) == ["taken"]


async def test_no_thank_you_said_twice(small: BookingTown) -> None:
    [first] = await waiters(small, "a")
    await settle(small)
    own = f"/booking/appointments/{first.number}"
    async with small.browser("a") as browser:
        page = await browser.get(own)
        fields = form_of(page, "/earlier")
        assert fields["do"] == "decline"
        assert "あいた時間を見る" in (await browser.get(f"{own}/earlier")).text
        answers = [await browser.post(f"{own}/earlier", data=fields) for _ in range(2)]
        assert [answer.headers["location"] for answer in answers] == [f"{own}/earlier?told=declined"] * 2
        assert "その時間は、次の方にお知らせします" in (await browser.get(answers[0].headers["location"])).text
        assert "もっと早い時間があきました" not in (await browser.get(own)).text
    assert (await states_of(small, first))[0] == "declined"
    assert await on_list(small) == [first.appointment_id]


async def test_somebody_elses_is_not_opened(small: BookingTown) -> None:
    mine = await book_at(small, "a", THURSDAY)
    own = f"/booking/appointments/{mine.number}"
    async with small.browser("stranger") as browser:
        for answer in (await browser.get(f"{own}/earlier"), await join(browser, f"{own}/earlier")):
            assert answer.headers["location"].startswith("/booking/find")
    assert await on_list(small) == []


async def test_who_cannot_be_told_is_asked_to_call(small: BookingTown) -> None:
    mine = await book_at(small, "a", THURSDAY, reach="none", contact_ref=None)
    own = f"/booking/appointments/{mine.number}"
    async with small.browser("a") as browser:
        page = await browser.get(f"{own}/earlier")
        assert "電話か窓口でお聞きください" in page.text
        assert "知らせてほしい" not in page.text
        assert (await join(browser, f"{own}/earlier")).status_code == 409


async def test_a_part_of_an_arrival_is_told_that_it_cannot(bare_town: BookingTown) -> None:
    await open_town(bare_town)
    first, _ = await booked(bare_town)
    async with bare_town.browser("guest") as browser:
        page = await browser.get(f"/booking/appointments/{first.number}/earlier")
    assert "まとめて予約した手続きでは、早い時間のお知らせを使えません" in page.text


async def test_staff_see_how_many_wait_and_nothing_else(small: BookingTown) -> None:
    await waiters(small, "a", "b")
    async with small.staff() as browser:
        page = await browser.get("/counter")
        assert "もっと早い時間を待っている方 2人" in page.text
    async with small.browser("other", kind="staff", roles=("counter",), office="戸籍") as browser:
        assert "もっと早い時間を待っている方" not in (await browser.get("/counter")).text


async def test_staff_wait_for_somebody_and_it_is_audited(small: BookingTown) -> None:
    mine = await book_at(small, "desk", THURSDAY)
    own = f"/booking/appointments/{mine.number}"
    async with small.browser("desk", kind="staff", roles=("counter",)) as browser:
        await join(browser, f"{own}/earlier")
        await browser.post(f"{own}/earlier", data={"do": "stop"})
    deeds = await small.rows("SELECT action FROM booking.audit WHERE actor_ref = 'desk' ORDER BY occurred_at, action")
    assert [row.action for row in deeds][-2:] == ["wait", "wait-no-more"]  # type: ignore[attr-defined]
