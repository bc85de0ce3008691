"""Refusals through the door: each is told by its code to a program, and to a person in words with what to do next."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from services.booking.commands import draw_entries, draws, shifts
from services.booking.refusals import REFUSALS
from tests.booking.conftest import BookingTown, make_pack
from tests.booking.draws_town import announce, enter, sessions_of
from tests.booking.helpers_town import HALL, TANAKA, HelperTown
from tests.booking.test_draw_pages import make_form
from tests.booking.test_pages import go

JSON = {"accept": "application/json"}
NOBODY = UUID(int=0)


def says(page: httpx.Response, code: str) -> bool:
    """Whether a page tells it, and what to do next."""
    words = REFUSALS[code]
    return str(words.title) in page.text and str(words.advice) in page.text


def manager(town: BookingTown) -> httpx.AsyncClient:
    return town.browser("boss", kind="staff", roles=("manager", "counter"))


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/booking/api/appointments/ABCDEFG", "appointment_unknown"),
        ("/booking/api/slots?procedure=XXX", "procedure_unknown"),
        ("/booking/a/nobodys-link", "link_unknown"),
        ("/helpers/calendar/nobodys.ics", "feed_unknown"),
        (f"/counter/tickets/{NOBODY}", "appointment_unknown"),
        (f"/counter/close/{NOBODY}", "closing_unknown"),
        ("/counter/close/none", "closing_unknown"),
    ],
)
async def test_what_is_not_there_is_not_found(town: BookingTown, path: str, code: str) -> None:
    async with manager(town) as browser:
        problem = await browser.get(path, headers=JSON)
        assert (problem.status_code, problem.json()["code"]) == (404, code)
        if "/api/" not in path:
            assert says(await browser.get(path), code)


async def test_nothing_is_reopened_that_was_never_closed(town: BookingTown) -> None:
    async with manager(town) as browser:
        answer = await browser.post(f"/counter/close/{NOBODY}/reopen", headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (404, "closing_unknown")


@pytest.mark.parametrize("key", ["", "x" * 101, "line\tbreak"])
async def test_a_key_that_cannot_be_kept_is_refused(town: BookingTown, key: str) -> None:
    visit_id, slot = await town.visit("guest"), (await town.slots())[0]
    body = {"slot_id": str(slot.slot_id), "visit_id": str(visit_id)}
    async with town.browser() as browser:
        answer = await browser.post("/booking/api/holds", json=body, headers={"idempotency-key": key})
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")


async def test_a_pages_key_that_cannot_be_kept_is_refused(town: BookingTown) -> None:
    visit_id, slot = await town.visit("guest"), (await town.slots())[0]
    fields = {"slot": str(slot.slot_id), "idempotency_key": "line\tbreak"}
    async with town.browser() as browser:
        page = await browser.post(f"/booking/visits/{visit_id}/hold", data=fields)
    assert page.status_code == 400
    assert says(page, "key_unreadable")


async def test_who_has_booked_holds_nothing_more_with_the_same_visit(town: BookingTown) -> None:
    visit_id, slots = await town.visit("guest"), await town.slots()
    await town.hold(visit_id, "guest", slots[0].slot_id)
    await town.book(visit_id, "guest")
    async with town.browser() as browser:
        answer = await browser.post(
            "/booking/api/holds", json={"slot_id": str(slots[1].slot_id), "visit_id": str(visit_id)}
        )
    assert (answer.status_code, answer.json()["code"]) == (409, "visit_booked")


async def test_a_pass_that_another_browser_brings_is_refused(town: BookingTown) -> None:
    form = {"pass": town.seal(town.make_pass("guest"))}
    async with town.browser("somebody else") as browser:
        problem = await browser.post("/booking/arrive", data=form, headers=JSON)
        assert (problem.status_code, problem.json()["code"]) == (409, "pass_used")
        assert (await browser.post("/booking/arrive", data=form)).status_code == 409


async def test_a_form_without_its_version_is_refused(town: BookingTown) -> None:
    booked = await town.booked()
    async with town.browser() as browser, town.staff() as staff:
        for answer in (
            await browser.post(f"/booking/appointments/{booked.number}/cancel", data={"version": "x"}, headers=JSON),
            await staff.post(f"/counter/{booked.appointment_id}/call", data={"version": "-1"}, headers=JSON),
        ):
            assert (answer.status_code, answer.json()["code"]) == (400, "form_unreadable")
    rows: list[Any] = await town.rows("SELECT state FROM booking.appointment")
    assert [row.state for row in rows] == ["booked"]


async def test_a_step_that_there_is_not_is_not_found(town: BookingTown) -> None:
    booked = await town.booked()
    async with town.staff() as staff:
        answer = await staff.post(f"/counter/{booked.appointment_id}/dance", data={"version": "1"}, headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def post_own(town: BookingTown, booked: Any, what: str, **fields: str) -> httpx.Response:
    """To one's own appointment, and then the page that follows."""
    async with town.browser() as browser:
        form = {"version": "1", "idempotency_key": "k"} | fields
        return await go(browser, await browser.post(f"/booking/appointments/{booked.number}/{what}", data=form))


async def test_who_changes_to_the_time_they_have_is_told_so(town: BookingTown) -> None:
    booked = await town.booked()
    rows: list[Any] = await town.rows("SELECT slot_id FROM booking.appointment")
    page = await post_own(town, booked, "change", slot=str(rows[0].slot_id))
    assert "refused=same_slot" in str(page.url)
    assert says(page, "same_slot")


async def test_a_change_is_in_time_to_the_very_minute_and_too_late_after_it(bare_town: BookingTown) -> None:
    town = bare_town
    await town.open(make_pack(cancel_until_min=60))
    booked = await town.booked(slot=5)
    other = (await town.slots())[8]
    town.now = booked.starts_at - timedelta(minutes=60) + timedelta(microseconds=1)
    for what, fields in (("change", {"slot": str(other.slot_id)}), ("cancel", {})):
        page = await post_own(town, booked, what, **fields)
        assert "refused=change_too_late" in str(page.url)
        assert says(page, "change_too_late")
    town.now -= timedelta(microseconds=1)
    page = await post_own(town, booked, "change", slot=str(other.slot_id))
    assert "changed=1" in str(page.url)


async def arrive_at_counter(town: BookingTown, number: str) -> httpx.Response:
    async with town.staff() as staff:
        return await go(staff, await staff.post("/counter/check-in", data={"number": number}))


async def test_at_the_counter_the_arrival_of_who_is_here_gone_or_not_coming_is_told_apart(town: BookingTown) -> None:
    booked, other = await town.booked("a"), await town.booked("b")
    page = await arrive_at_counter(town, booked.number)
    assert "refused" not in str(page.url)
    page = await arrive_at_counter(town, booked.number)
    assert "refused=arrival_known" in str(page.url)
    assert str(REFUSALS["arrival_known"].advice) in page.text
    async with town.staff() as staff:
        for version, action in ((2, "call"), (3, "done")):
            await staff.post(f"/counter/{booked.appointment_id}/{action}", data={"version": str(version)})
    page = await arrive_at_counter(town, booked.number)
    assert "refused=arrival_done" in str(page.url)
    assert str(REFUSALS["arrival_done"].advice) in page.text
    async with town.browser("b") as browser:
        await browser.post(f"/booking/appointments/{other.number}/cancel", data={"version": "1"})
    page = await arrive_at_counter(town, other.number)
    assert "refused=arrival_cancelled" in str(page.url)
    assert says(page, "arrival_cancelled")


@pytest.mark.parametrize(
    ("typed", "code"), [("X", "number_unreadable"), ("", "number_unreadable"), ("2345676", "number_unreadable")]
)
async def test_a_number_that_cannot_be_one_is_not_looked_for(town: BookingTown, typed: str, code: str) -> None:
    page = await arrive_at_counter(town, typed)
    assert f"refused={code}" in str(page.url)
    assert says(page, code)


async def test_who_walks_in_for_nothing_gets_no_ticket(town: BookingTown) -> None:
    async with town.staff() as staff:
        for procedure, code in (("", "procedure_not_chosen"), ("XXX", "procedure_unknown")):
            page = await go(staff, await staff.post("/counter/walk-ins", data={"procedure": procedure}))
            assert f"refused={code}" in str(page.url)
            assert says(page, code)
    assert await town.rows("SELECT 1 FROM booking.appointment") == []


async def test_a_draw_that_is_full_takes_nobody_more(town: BookingTown, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draw_entries, "ENTRIES_MAX", 1)
    draw_id = await announce(town)
    await enter(town, draw_id, "first")
    visit_id, wishes = await town.visit("guest"), await sessions_of(town, draw_id)
    async with town.browser() as browser:
        path = f"/booking/visits/{visit_id}/draws/{draw_id}"
        page = await go(browser, await browser.post(path, data={"wish1": str(wishes[0])}))
    assert "refused=draw_full" in str(page.url)
    assert says(page, "draw_full")


async def test_more_seats_than_a_draw_can_give_are_not_announced(
    town: BookingTown, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(draws, "SEATS_MAX", 3)
    async with manager(town) as browser:
        page = await browser.post("/counter/draws", data=make_form(town))
    assert page.status_code == 409
    assert says(page, "draw_too_large")
    assert await town.rows("SELECT 1 FROM booking.draw") == []


async def test_a_helper_has_no_more_times_than_can_be_shown(
    bare_town: BookingTown, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shifts, "SHIFTS_OF_ONE_MAX", 1)
    helpers = HelperTown(bare_town)
    await helpers.open()
    await helpers.helper()
    async with bare_town.browser(TANAKA, kind="helper", roles=("helper",)) as phone:
        page = await phone.post("/helpers/shifts", data={"venue": HALL, "weekday": "2", "from": "600", "to": "720"})
    assert page.status_code == 409
    assert says(page, "too_many_shifts")


async def test_what_the_api_refuses_says_in_words_what_to_do_next(town: BookingTown) -> None:
    visit_id = await town.visit("guest")
    async with town.browser() as browser:
        answer = await browser.post("/booking/api/holds", json={"slot_id": str(uuid4()), "visit_id": str(visit_id)})
    problem = answer.json()
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert (problem["code"], problem["status"]) == ("slot_unknown", 404)
    assert (problem["title"], problem["detail"]) == (REFUSALS["slot_unknown"].title, REFUSALS["slot_unknown"].advice)
