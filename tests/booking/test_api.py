"""The JSON side does what the pages do, by the same rules."""

from datetime import date, time, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import msgspec
import pytest

from services.booking.domain.opening import Hours, OpeningRule, SpecialDay, WeekdayHours
from tests.booking import closing_town, draws_town, one_stop_town
from tests.booking.conftest import CHILD, FAMILY, HOST, BookingTown

KEY = "idempotency-key"


def problem(answer: httpx.Response) -> tuple[int, str]:
    """The status, and which refusal it is."""
    assert answer.headers["content-type"].startswith("application/problem+json"), answer.text
    body = answer.json()
    assert body["status"] == answer.status_code
    assert body["title"]
    assert body["detail"]
    return answer.status_code, body["code"]


def manager(town: BookingTown) -> httpx.AsyncClient:
    return town.browser("boss", kind="staff", roles=("manager",))


async def slots(browser: httpx.AsyncClient, procedure: str = CHILD) -> list[dict[str, Any]]:
    found = (await browser.get("/booking/api/free", params={"procedure": procedure, "most": 50})).json()["slots"]
    assert found
    return list(found)


async def booked_by_api(town: BookingTown, browser: httpx.AsyncClient, guest: str = "guest") -> dict[str, Any]:
    """The whole way, from the pass to the appointment."""
    brought = await browser.post("/booking/api/visits", json={"pass": town.seal(town.make_pass(guest))})
    assert brought.status_code == 201, brought.text
    visit_id = brought.json()["visit_id"]
    slot = (await slots(browser))[0]
    held = await browser.post("/booking/api/holds", json={"visit_id": visit_id, "slot_id": slot["slot_id"]})
    assert held.status_code == 201, held.text
    made = await browser.post("/booking/api/appointments", json={"visit_id": visit_id})
    assert made.status_code == 201, made.text
    return dict(made.json()) | {"visit_id": visit_id}


async def test_free_times_are_told_in_every_way_alike(town: BookingTown) -> None:
    asked: dict[str, str | int] = {"procedure": CHILD, "days": 31}
    async with town.browser(None) as browser:
        all_slots = (await browser.get("/booking/api/slots", params=asked)).json()
        days = (await browser.get("/booking/api/days", params=asked)).json()
        assert sum(day["free"] for day in days) == sum(slot["free"] for slot in all_slots)
        assert {day["day"]: day["closed"] for day in days}["2026-06-10"] == "庁舎点検"
        listed: list[dict[str, Any]] = []
        after: str | None = ""
        while after is not None:
            page_of: dict[str, str | int] = {"procedure": CHILD, "most": 100}
            if after:
                page_of["after"] = after
            page = (await browser.get("/booking/api/free", params=page_of)).json()
            listed, after = listed + page["slots"], page["after"]
        assert listed == [slot for slot in all_slots if slot["free"]]
        earliest = (await browser.get("/booking/api/earliest", params={"procedure": CHILD})).json()
        assert [(each["channel"], each["slot"]) for each in earliest] == [("counter", all_slots[0])]
        near = await browser.get(
            f"/booking/api/slots/{all_slots[5]['slot_id']}/alternatives", params={"procedure": CHILD}
        )
        assert len(near.json()) == 6
        unknown = await browser.get("/booking/api/days", params={"procedure": "NOPE"})
        assert problem(unknown) == (404, "procedure_unknown")


async def test_more_slots_than_an_answer_has_room_for_are_led_to(
    town: BookingTown, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen to fail when the rest is only left out, as it was."""
    asked = {"procedure": CHILD, "days": "21"}
    async with town.browser(None) as browser:
        whole = (await browser.get("/booking/api/slots", params=asked)).json()
        monkeypatch.setattr("services.booking.api.times.SLOTS_MAX", 40)
        first = await browser.get("/booking/api/slots", params=asked)
        rest = first.links["next"]["url"]
        assert urlsplit(rest).path == "/booking/api/slots"
        following = await browser.get(rest)
        assert "link" not in following.headers
        assert first.json() + following.json() == whole
        monkeypatch.setattr("services.booking.api.times.SLOTS_MAX", 1)
        one_day = await browser.get("/booking/api/slots", params=asked | {"days": "1"})
        assert problem(one_day) == (422, "too_many_slots")


async def test_from_the_pass_to_the_appointment_and_away(town: BookingTown) -> None:
    async with town.browser() as browser, town.browser("other") as other, town.browser(None) as anybody:
        sealed = town.seal(town.make_pass("guest"))
        visit_id = (await browser.post("/booking/api/visits", json={"pass": sealed})).json()["visit_id"]
        assert (await browser.post("/booking/api/visits", json={"pass": sealed})).json()["visit_id"] == visit_id
        assert problem(await other.post("/booking/api/visits", json={"pass": sealed})) == (409, "pass_used")
        path = f"/booking/api/visits/{visit_id}"
        assert problem(await other.get(path)) == (404, "visit_unknown")
        assert problem(await anybody.get(path)) == (401, "session_needed")
        free = await slots(browser)
        hold = {"visit_id": visit_id, "slot_id": free[0]["slot_id"]}
        assert (await browser.post("/booking/api/holds", json=hold)).status_code == 201
        assert (await browser.get(path)).json()["held"]["slot_id"] == free[0]["slot_id"]
        assert (await browser.delete(f"{path}/hold")).status_code == 204
        assert (await browser.get(path)).json()["held"] is None
        assert problem(await browser.post("/booking/api/appointments", json={"visit_id": visit_id})) == (
            409,
            "hold_missing",
        )
        assert (await browser.post("/booking/api/holds", json=hold)).status_code == 201
        number = (await browser.post("/booking/api/appointments", json={"visit_id": visit_id})).json()["number"]
        shown = (await browser.get(path)).json()
        assert shown["number"] == number
        # Number and code open it for anybody, and a wrong code does not.
        own = f"/booking/api/appointments/{number}"
        assert problem(await anybody.get(own)) == (404, "appointment_unknown")
        wrong = await anybody.post("/booking/api/access", json={"number": number, "code": "000000"})
        assert problem(wrong) == (403, "code_wrong")
        opened = await anybody.post("/booking/api/access", json={"number": number, "code": shown["code"]})
        assert opened.json() == {"number": number}
        assert (await anybody.get(own)).json()["version"] == 1
        # Another time: sent twice, it is done once; the same key for something else is refused.
        target = {"slot_id": free[3]["slot_id"], "version": 1}
        first = await anybody.post(f"{own}/change", json=target, headers={KEY: "k"})
        assert (first.status_code, first.json()["version"]) == (200, 2)
        assert (await anybody.post(f"{own}/change", json=target, headers={KEY: "k"})).json() == first.json()
        again = await anybody.post(f"{own}/change", json=target | {"version": 2}, headers={KEY: "k"})
        assert problem(again) == (422, "key_reused")
        assert problem(await anybody.post(f"{own}/cancel", json={"version": 1})) == (409, "appointment_moved")
        calendar = await anybody.get(f"{own}/calendar.ics")
        assert calendar.headers["content-type"].startswith("text/calendar")
        assert b"SEQUENCE:1" in calendar.content
        ended = await anybody.post(f"{own}/cancel", json={"version": 2})
        assert ended.json()["version"] == 3
        assert (await anybody.post(f"{own}/cancel", json={"version": 2})).json() == ended.json()
        assert (await anybody.get(own)).json()["state"] == "cancelled"
        assert problem(await anybody.post(f"{own}/change", json=target | {"version": 3})) == (
            409,
            "appointment_cancelled",
        )


async def test_five_wrong_codes_lock_it_here_as_on_the_page(town: BookingTown) -> None:
    """Seen to fail when the refusal is raised inside the transaction: nothing is counted."""
    booked = await town.booked()
    async with town.browser(None) as browser:
        for number in (booked.number, "2222222"):
            said = [
                problem(await browser.post("/booking/api/access", json={"number": number, "code": "000000"}))
                for _ in range(6)
            ]
            assert said == [(403, "code_wrong")] * 4 + [(429, "code_locked")] * 2, number


async def test_who_guesses_numbers_from_one_address_is_held_up(town: BookingTown) -> None:
    async with town.browser(None) as browser:
        typed = [
            {"number": f"{number:07d}".replace("0", "2").replace("1", "3"), "code": "000000"} for number in range(40)
        ]
        said = [problem(await browser.post("/booking/api/access", json=each)) for each in typed]
    assert said[:30] == [(403, "code_wrong")] * 30
    assert set(said[30:]) == {(429, "too_many_tries")}


async def test_who_lost_the_place_of_a_change_is_told_the_nearest_others(town: BookingTown) -> None:
    async with town.browser() as browser:
        made = await booked_by_api(town, browser)
        wanted = (await slots(browser))[4]
        for guest in ("a", "b"):
            await town.hold(await town.visit(guest), guest, wanted["slot_id"])
        own = f"/booking/api/appointments/{made['number']}"
        lost = await browser.post(f"{own}/change", json={"slot_id": wanted["slot_id"], "version": 1})
        assert problem(lost) == (409, "slot_taken")
        assert len(lost.json()["alternatives"]) == 6
        assert (await browser.get(own)).json()["version"] == 1


async def test_a_body_is_read_strictly_and_says_which_field_is_wrong(town: BookingTown) -> None:
    """Seen to fail when a body is read as forms are: a version that is text was taken for a number."""
    async with town.browser() as browser:
        made = await booked_by_api(town, browser)
        own = f"/booking/api/appointments/{made['number']}"
        for body, fields in (
            ({"version": "1"}, ["version"]),
            ({"version": 0}, ["version"]),
            ({}, ["version"]),
            ({"version": 1, "whole": "yes"}, ["whole"]),
            ({"version": 1, "other": 1}, []),
        ):
            answer = await browser.post(f"{own}/cancel", json=body)
            assert problem(answer) == (400, "bad_request")
            assert answer.json().get("fields", []) == fields
        for content in (b"", b"{", b"null", b"[" * 50_000, b"\xff\xfe"):
            assert problem(await browser.post(f"{own}/cancel", content=content)) == (400, "bad_request")
        far = await browser.get("/booking/api/slots", params={"procedure": CHILD, "from": "x", "days": "0"})
        assert set(far.json()["fields"]) == {"from", "days"}
        assert (await browser.get(own)).json()["state"] == "booked"


async def test_a_problem_is_told_in_the_language_of_its_reader(town: BookingTown) -> None:
    async with town.browser(None) as browser:
        browser.cookies.set("language", "en", domain=HOST)
        answer = await browser.get("/booking/api/appointments/2222222")
        assert answer.json()["title"].isascii()


async def test_another_site_can_order_nothing(town: BookingTown) -> None:
    async with town.browser() as browser:
        made = await booked_by_api(town, browser)
        crossed = await browser.post(
            f"/booking/api/appointments/{made['number']}/cancel",
            json={"version": 1},
            headers={"sec-fetch-site": "cross-site"},
        )
        assert problem(crossed) == (403, "cross_site")


async def test_a_program_says_where_it_sends_from(town: BookingTown) -> None:
    async with town.browser() as browser:
        del browser.headers["sec-fetch-site"]
        sealed = {"pass": town.seal(town.make_pass("guest"))}
        assert problem(await browser.post("/booking/api/visits", json=sealed)) == (403, "cross_site")
        said = await browser.post("/booking/api/visits", json=sealed, headers={"origin": f"http://{HOST}"})
        assert said.status_code == 201


async def test_one_visit_for_everything(bare_town: BookingTown) -> None:
    town = bare_town
    await one_stop_town.open_town(town)
    visit_id = str(await one_stop_town.arrive(town))
    async with town.browser() as browser:
        found = (await browser.get(f"/booking/api/visits/{visit_id}/chains")).json()
        assert found["apart_min"] > 0
        chain = found["chains"][0]
        assert [part["procedure"] for part in chain["parts"]] == [FAMILY, CHILD]

        def wishes(of: dict[str, Any]) -> list[dict[str, Any]]:
            return [{name: part[name] for name in ("procedure", "slot_id", "person")} for part in of["parts"]]

        hold = {"visit_id": visit_id, "wishes": wishes(chain)}
        held = await browser.post("/booking/api/chains/holds", json=hold)
        assert held.status_code == 201, held.text
        assert held.json()["chain"] == chain
        made = (await browser.post("/booking/api/chains", json={"visit_id": visit_id})).json()
        numbers = [each["number"] for each in made]
        assert len(numbers) == 2
        assert (await browser.post("/booking/api/chains", json={"visit_id": visit_id})).json() == made
        own = f"/booking/api/appointments/{numbers[0]}"
        assert set((await browser.get(own)).json()["together"]) == set(numbers)
        moves = (await browser.get(f"{own}/moves")).json()
        moved = await browser.post(f"{own}/move", json={"version": 1, "wishes": wishes(moves[0])})
        assert moved.status_code == 200, moved.text
        assert set(moved.json()["numbers"]) == set(numbers)
        unfit = await browser.post(f"{own}/move", json={"version": 2, "wishes": wishes(moves[0])[:1]})
        assert problem(unfit) == (409, "chain_unfit")


async def test_a_draw_is_entered_changed_and_left(town: BookingTown) -> None:
    draw_id = await draws_town.announce(town)
    base = f"/booking/api/draws/{draw_id}"
    visit_id = str(await town.visit("guest"))
    async with town.browser() as browser, town.browser(None) as anybody:
        [listed] = (await anybody.get("/booking/api/draws")).json()
        assert (listed["stage"], listed["seats"]) == ("open", draws_town.SEATS)
        record = (await anybody.get(f"{base}/record")).json()
        assert record["seed"] is None
        sessions = [each["session_id"] for each in record["sessions"]]
        order = {"visit_id": visit_id, "preferences": sessions}
        entered = await browser.post(f"{base}/entries", json=order)
        assert entered.status_code == 201, entered.text
        assert (await browser.post(f"{base}/entries", json=order)).json() == entered.json()
        ticket = entered.json()["ticket"]
        own = f"{base}/entries/{ticket}"
        assert problem(await anybody.get(own)) == (404, "draw_entry_unknown")
        code = (await browser.get(own)).json()["code"]
        assert problem(await anybody.post(f"{base}/access", json={"number": ticket, "code": "x"})) == (
            403,
            "code_wrong",
        )
        opened = await anybody.post(f"{base}/access", json={"number": ticket, "code": code})
        assert opened.json() == {"ticket": ticket}
        changed = await anybody.put(own, json={"preferences": sessions[:1]})
        assert changed.json()["preferences"] == sessions[:1]
        wrong = await anybody.put(own, json={"preferences": [str(uuid4())]})
        assert problem(wrong) == (422, "draw_wishes")
        assert (await anybody.delete(own)).status_code == 204
        assert (await anybody.get(own)).json()["state"] == "withdrawn"


async def test_a_manager_closes_and_the_owner_takes_what_is_kept(town: BookingTown) -> None:
    booked = await closing_town.book_on(town, "guest")
    time = {"counter": "7", "starts_at": "2026-06-02T00:00:00+09:00", "ends_at": "2026-06-03T00:00:00+09:00"}
    own = f"/booking/api/appointments/{booked.number}"
    async with manager(town) as boss, town.browser() as browser:
        assert problem(await browser.get("/booking/api/closings")) == (401, "session_needed")
        preview = (await boss.post("/booking/api/closings/preview", json=time)).json()
        assert (preview["total"], preview["affected"][0]["number"]) == (1, booked.number)
        order = time | {"reason": "weather"}
        keyless = await boss.post("/booking/api/closings", json=order)
        assert problem(keyless) == (400, "bad_request")
        made = await boss.post("/booking/api/closings", json=order, headers={KEY: "k"})
        assert made.status_code == 201, made.text
        assert (await boss.post("/booking/api/closings", json=order, headers={KEY: "k"})).json() == made.json()
        assert problem(await browser.get(f"{own}/offer")) == (404, "offer_unknown")
        await closing_town.run_due(town)
        closing = f"/booking/api/closings/{made.json()['closing_id']}"
        assert (await boss.get(closing)).json()["asked"] == 1
        offer = (await browser.get(f"{own}/offer")).json()
        taken = await browser.post(f"{own}/offer", json={"version": (await browser.get(own)).json()["version"]})
        assert taken.status_code == 200, taken.text
        assert (await browser.get(own)).json()["starts_at"] == offer["starts_at"]
        assert (await boss.post(f"{closing}/reopen")).status_code == 204
        assert (await boss.get("/booking/api/closings")).json() == []
        for ends_at in ("2026-06-01T00:00:00+09:00", "9999-12-31T23:59:59+09:00"):
            unfit = await boss.post("/booking/api/closings/preview", json=time | {"ends_at": ends_at})
            assert problem(unfit) == (400, "closing_unfit")


async def test_a_manager_looks_at_a_rule_publishes_it_and_takes_it_back(town: BookingTown) -> None:
    base = "/booking/api/opening/7"
    hours = [{"opens_at": "09:00", "closes_at": "12:00"}]
    new = {
        "valid_from": "2026-06-08",
        "rule": {"slot_min": 30, "places": 1, "week": [{"weekday": 1, "hours": hours}]},
    }
    async with manager(town) as boss:
        assert {each["counter"] for each in (await boss.get("/booking/api/opening")).json()} == {"3", "7"}
        known = (await boss.get(base)).json()
        preview = await boss.post(f"{base}/preview", json=new)
        assert preview.status_code == 200, preview.text
        assert preview.json()["disappearing"]
        order = new | {"seen": known["highest"]}
        made = await boss.post(f"{base}/versions", json=order)
        assert made.status_code == 201, made.text
        assert (await boss.post(f"{base}/versions", json=order)).json() == made.json()
        behind = order | {"valid_from": "2026-06-09"}
        assert problem(await boss.post(f"{base}/versions", json=behind)) == (409, "rules_moved")
        assert (await boss.delete(f"{base}/versions/{made.json()['version']}")).status_code == 204
        assert problem(await boss.delete(f"{base}/versions/1")) == (409, "version_open")
        assert problem(await boss.delete(f"{base}/versions/x")) == (404, "version_unknown")
        assert problem(await boss.post("/booking/api/opening/99/preview", json=new)) == (404, "counter_unknown")
        assert (await boss.get(base)).json()["versions"] == known["versions"]


async def test_a_rule_that_was_read_is_sent_back_as_it_is(town: BookingTown) -> None:
    """Seen to fail while the body of a rule had no `kiosk_places`, and times no seconds."""
    base = "/booking/api/opening/7"
    hours = (Hours(time(9), time(12)),)
    rule = OpeningRule(
        slot_min=20,
        places=4,
        staff_only_places=1,
        week=(WeekdayHours(weekday=1, hours=hours, every_weeks=2, nth=(1, 3)),),
        kiosk_places=2,
        first_week=date(2026, 6, 8),
        special_days=(SpecialDay(day=date(2026, 6, 10), hours=hours, reason_ja="庁舎点検"),),
    )
    unset = [name for name in OpeningRule.__struct_fields__ if not getattr(rule, name)]
    assert unset == [], "a field that this test leaves out"
    sent = msgspec.to_builtins(rule)
    async with manager(town) as boss:
        for valid_from in ("2026-06-08", "2026-06-15"):
            seen = (await boss.get(base)).json()["highest"]
            order = {"valid_from": valid_from, "rule": sent, "seen": seen}
            made = await boss.post(f"{base}/versions", json=order)
            assert made.status_code == 201, made.text
            newest = (await boss.get(base)).json()["versions"][0]
            assert newest["version"] == made.json()["version"]
            assert msgspec.convert(newest["rule"], OpeningRule) == rule
            sent = newest["rule"]


async def test_the_line_is_numbers_only(town: BookingTown) -> None:
    first, second = await town.booked("a"), await town.booked("b")
    town.now = first.starts_at - timedelta(minutes=5)
    async with town.staff() as staff, town.browser(None) as anybody:
        for each in (first, second):
            arrived = await staff.post("/counter/check-in", data={"number": each.number})
            assert arrived.status_code == 303
        called = await staff.post(f"/counter/{first.appointment_id}/call", data={"version": "2"})
        assert called.status_code == 303
        now = (await anybody.get("/booking/api/line")).json()
    [counter] = now["counters"]
    assert (counter["counter"], len(counter["called"]), counter["waiting"]) == ("7", 1, "1-4")
    assert set(counter) == {"counter", "called", "serving", "waiting"}


async def test_a_closed_or_wrong_method_says_which_there_are(town: BookingTown) -> None:
    async with town.browser() as browser:
        answer = await browser.put("/booking/api/slots")
        assert problem(answer) == (405, "method_not_allowed")
        assert "GET" in answer.headers["allow"]
