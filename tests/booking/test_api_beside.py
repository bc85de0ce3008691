"""What was built beside the JSON: waiting for an earlier time, several in one appointment, arrivals, calling off."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from services.booking.domain.services import Service
from tests.booking import draws_town, long_town, one_stop_town, waiting_town
from tests.booking.closing_town import close, closure_of, run_due
from tests.booking.conftest import CHILD, FAMILY, BookingTown, TownAfter
from tests.booking.test_api import KEY, manager, problem
from tests.booking.test_one_stop_closings import MONDAY, kept
from tests.booking.waiting_town import THURSDAY, TUESDAY

WEEK = {"first_day": TUESDAY.isoformat(), "last_day": THURSDAY.isoformat()}


async def test_an_owner_waits_for_an_earlier_time_changes_it_and_stops(bare_town: BookingTown) -> None:
    """Seen to fail where the request is the key, as it is for a POST: the second `morning` was not heard."""
    town = await waiting_town.open_small(bare_town)
    mine = await waiting_town.book_at(town, "guest", THURSDAY)
    path = f"/booking/api/appointments/{mine.number}/waiting"
    async with town.browser() as browser, town.browser("other") as other:
        assert problem(await other.put(path, json=WEEK)) == (404, "appointment_unknown")
        assert (await browser.get(path)).json() == {"window": None}
        for part in ("morning", "afternoon", "morning"):
            put = await browser.put(path, json=WEEK | {"part": part, "weekdays": [2, 3, 2]})
            assert put.status_code == 200, put.text
            window = {"part": part, "weekdays": [2, 3], "counter": None}
            assert put.json() == (await browser.get(path)).json() == {"window": WEEK | window}
        for unfit in ({"last_day": "2026-06-05"}, {"first_day": "2026-06-05"}, {"counter": "3"}, {"counter": "99"}):
            assert problem(await browser.put(path, json=WEEK | unfit)) == (400, "waiting_window")
        wrongs: list[dict[str, Any]] = [{"weekdays": []}, {"weekdays": [8]}, {"part": "night"}, {"last_day": "soon"}]
        for wrong in wrongs:
            assert problem(await browser.put(path, json=WEEK | wrong)) == (400, "bad_request")
        assert (await browser.put(path, json=WEEK | {"counter": "7"})).json()["window"]["counter"] == "7"
        assert [(await browser.delete(path)).status_code for _ in range(2)] == [204, 204]
        assert (await browser.get(path)).json() == {"window": None}
    assert await waiting_town.on_list(town) == []


async def test_what_staff_do_for_somebody_is_audited(bare_town: BookingTown) -> None:
    town = await waiting_town.open_small(bare_town)
    await waiting_town.book_at(town, "x", TUESDAY)
    mine = await waiting_town.book_at(town, "clerk", THURSDAY)
    own = f"/booking/api/appointments/{mine.number}"
    async with town.staff("clerk") as clerk:
        assert (await clerk.put(f"{own}/waiting", json=WEEK)).status_code == 200
        await waiting_town.settle(town)
        offer = (await clerk.get(f"{own}/offer")).json()
        assert (await clerk.delete(f"{own}/offer", params={"offer_id": offer["offer_id"]})).status_code == 204
        assert (await clerk.delete(f"{own}/waiting")).status_code == 204
        visit_id = await town.visit("clerk")
        several = {"services": [{"procedure": CHILD, "quantity": 1}]}
        assert (await clerk.put(f"/booking/api/visits/{visit_id}/services", json=several)).status_code == 200
    rows = await town.rows("SELECT action FROM booking.audit WHERE actor_ref = 'clerk' ORDER BY occurred_at, action")
    actions = [row.action for row in rows]  # type: ignore[attr-defined]
    assert set(actions) >= {"wait", "decline-earlier", "wait-no-more"}


async def test_an_earlier_time_is_shown_declined_and_taken_once(bare_town: BookingTown) -> None:
    """Seen to fail where only what is kept now is looked for: after a lost answer, the same request was a 404."""
    town = await waiting_town.open_small(bare_town)
    taken = [await waiting_town.book_at(town, who, TUESDAY, who) for who in ("morning", "afternoon")]
    mine = await waiting_town.book_at(town, "guest", THURSDAY)
    own = f"/booking/api/appointments/{mine.number}"
    async with town.browser() as browser:
        assert (await browser.put(f"{own}/waiting", json=WEEK | {"last_day": WEEK["first_day"]})).status_code == 200
        await waiting_town.cancel(town, taken[0])
        await waiting_town.settle(town)
        first = (await browser.get(f"{own}/offer")).json()
        assert first["cause"] == "waiting"
        other_id = {"offer_id": str(uuid4())}
        assert (await browser.delete(f"{own}/offer", params=other_id)).status_code == 204
        assert (await browser.get(f"{own}/offer")).json() == first
        assert problem(await browser.delete(f"{own}/offer")) == (400, "bad_request")
        no = {"offer_id": first["offer_id"]}
        assert [(await browser.delete(f"{own}/offer", params=no)).status_code for _ in range(2)] == [204, 204]
        assert problem(await browser.get(f"{own}/offer")) == (404, "offer_unknown")
        assert problem(await browser.post(f"{own}/offer", json={"version": 1})) == (404, "offer_unknown")
        assert (await browser.get(f"{own}/waiting")).json()["window"] is not None
        await waiting_town.cancel(town, taken[1])
        await waiting_town.settle(town)
        second = (await browser.get(f"{own}/offer")).json()
        assert second["starts_at"] > first["starts_at"]
        take = {"version": (await browser.get(own)).json()["version"]}
        for _ in range(2):
            answer = await browser.post(f"{own}/offer", json=take)
            assert (answer.status_code, answer.json()["version"]) == (200, take["version"] + 1)
        again = await browser.post(f"{own}/offer", json={"version": take["version"] + 1})
        assert problem(again) == (404, "offer_unknown")
        assert (await browser.get(own)).json()["starts_at"] == second["starts_at"]


async def test_what_is_kept_because_of_a_closing_is_not_declined(town: BookingTown) -> None:
    """Seen to fail where the cause is not asked for: it was a 204, and the place was kept as before."""
    booked = await town.booked()
    await close(town, day=MONDAY)
    await run_due(town)
    own = f"/booking/api/appointments/{booked.number}/offer"
    async with town.browser() as browser:
        offer = (await browser.get(own)).json()
        assert offer["cause"] == "closing"
        assert problem(await browser.delete(own, params={"offer_id": offer["offer_id"]})) == (409, "offer_of_closing")
        assert (await browser.get(own)).json() == offer


@pytest.fixture
async def long(town_after: TownAfter) -> BookingTown:
    return await town_after(long_town.open_town)


async def free(browser: httpx.AsyncClient, **asked: Any) -> list[dict[str, Any]]:
    params: dict[str, Any] = {"procedure": CHILD, "most": 100} | asked
    answer = await browser.get("/booking/api/free", params=params)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["slots"])


async def test_free_times_are_long_enough_for_what_is_asked(long: BookingTown) -> None:
    """Three take 70 minutes: three slots of half an hour. Seen to fail where what is unfit is not refused."""
    together = f"{CHILD}:3,{long_town.CARE}:1"
    async with long.browser(None) as anybody:
        one, three = await free(anybody), await free(anybody, services=f"{CHILD}:3")
        assert len(three) < len(one) or len(one) == 100
        assert three[0]["ends_at"] > one[0]["ends_at"]
        plain = await free(anybody, services=f"{CHILD}:1")
        assert plain == one
        asked = {"procedure": CHILD, "services": together, "days": "5"}
        slots = (await anybody.get("/booking/api/slots", params=asked)).json()
        days = (await anybody.get("/booking/api/days", params=asked)).json()
        assert sum(day["free"] for day in days) == sum(1 for slot in slots if slot["free"])
        [earliest] = (await anybody.get("/booking/api/earliest", params=asked)).json()
        assert earliest["slot"]["slot_id"] == slots[0]["slot_id"]
        near = await anybody.get(f"/booking/api/slots/{slots[0]['slot_id']}/alternatives", params=asked)
        assert near.status_code == 200, near.text
        for unfit in (f"{CHILD}:9", f"{long_town.CARE}:1", f"{CHILD}:1,{FAMILY}:1", f"{CHILD}:1,{CHILD}:1"):
            answer = await anybody.get("/booking/api/free", params={"procedure": CHILD, "services": unfit})
            assert problem(answer) == (409, "services_unfit"), unfit
        for wrong in ("x", f"{CHILD}:0", f"{CHILD}:2,", f"{CHILD}:１"):
            answer = await anybody.get("/booking/api/free", params={"procedure": CHILD, "services": wrong})
            assert (problem(answer), answer.json()["fields"]) == ((400, "bad_request"), ["services"]), wrong


async def test_the_rest_of_long_times_is_led_to(long: BookingTown, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen to fail where the way to the rest forgets what was asked for."""
    asked = {"procedure": CHILD, "services": f"{CHILD}:3", "days": "14"}
    async with long.browser(None) as anybody:
        whole = (await anybody.get("/booking/api/slots", params=asked)).json()
        monkeypatch.setattr("services.booking.api.times.SLOTS_MAX", len(whole) // 2)
        first = await anybody.get("/booking/api/slots", params=asked)
        monkeypatch.undo()
        rest = await anybody.get(first.links["next"]["url"])
        assert first.json() + rest.json() == whole


async def test_several_are_chosen_held_and_booked_as_one(long: BookingTown) -> None:
    """Seen to fail where anybody's visit is looked at, or one for something else; where its own hold is not free."""
    visit_id = str(await long.visit("guest"))
    path = f"/booking/api/visits/{visit_id}"
    several = [{"procedure": CHILD, "quantity": 2}, {"procedure": long_town.CARE, "quantity": 1}]
    async with long.browser() as browser, long.browser("other") as other:
        assert problem(await other.get(f"{path}/services")) == (404, "visit_unknown")
        known = (await browser.get(f"{path}/services")).json()
        assert [(each["procedure"], each["chosen"]) for each in known["choices"]] == [(CHILD, 1), (long_town.CARE, 0)]
        assert (known["services"], known["minutes"]) == ([], None)
        chosen = await browser.put(f"{path}/services", json={"services": several})
        assert chosen.status_code == 200, chosen.text
        assert (chosen.json()["services"], chosen.json()["minutes"]) == (several, 65)
        mine = await free(browser, visit_id=visit_id)
        assert mine == await free(browser, services=f"{CHILD}:2,{long_town.CARE}:1")
        stranger = await other.get("/booking/api/free", params={"procedure": CHILD, "visit_id": visit_id})
        assert problem(stranger) == (404, "visit_unknown")
        nobody = {"procedure": FAMILY, "visit_id": visit_id}
        assert problem(await browser.get("/booking/api/free", params=nobody)) == (404, "visit_unknown")
        held = await browser.post("/booking/api/holds", json={"visit_id": visit_id, "slot_id": mine[0]["slot_id"]})
        assert held.json()["ends_at"] == mine[0]["ends_at"]
        # What it holds itself does not stand in its way.
        assert await free(browser, visit_id=visit_id) == mine
        assert (await browser.get(path)).json()["services"] == several
        for wrong, code in (
            ([{"procedure": CHILD, "quantity": 5}], "services_unfit"),
            (several[::-1], "services_unfit"),
        ):
            assert problem(await browser.put(f"{path}/services", json={"services": wrong})) == (409, code)
        made = (await browser.post("/booking/api/appointments", json={"visit_id": visit_id})).json()
        shown = (await browser.get(f"/booking/api/appointments/{made['number']}")).json()
        assert (shown["services"], shown["minutes"], shown["ends_at"]) == (several, 65, mine[0]["ends_at"])
        late = await browser.put(f"{path}/services", json={"services": several[:1]})
        assert problem(late) == (409, "visit_booked")
    await long_town.assert_whole(long)


async def test_a_held_time_that_cannot_grow_stays_as_it_is(long: BookingTown) -> None:
    visit_id = await long.visit("guest")
    await long.hold(visit_id, "guest", await long_town.slot_at(long, 10))
    for number in range(2):
        beside = await long_town.long_visit(long, f"b{number}", (Service(CHILD, 2),))
        await long.hold(beside, f"b{number}", await long_town.slot_at(long, 10, 30))
    async with long.browser() as browser:
        path = f"/booking/api/visits/{visit_id}"
        before = (await browser.get(path)).json()
        more = await browser.put(f"{path}/services", json={"services": [{"procedure": CHILD, "quantity": 3}]})
        assert problem(more) == (409, "services_no_room")
        assert (await browser.get(path)).json() == before
        # And a slot from which the day is too short is not to be had.
        await browser.delete(f"{path}/hold")
        await browser.put(f"{path}/services", json={"services": [{"procedure": CHILD, "quantity": 3}]})
        late = {"visit_id": str(visit_id), "slot_id": str(await long_town.slot_at(long, 16, 30))}
        assert problem(await browser.post("/booking/api/holds", json=late)) == (409, "slot_too_short")


@pytest.fixture
async def house(town_after: TownAfter) -> BookingTown:
    return await town_after(one_stop_town.open_town)


async def test_who_comes_along_stands_only_for_what_is_shared(town: BookingTown) -> None:
    """Seen to fail without `shared`: the companion went where only the visitor may go."""
    visit_id = await one_stop_town.arrive(town)
    path = f"/booking/api/visits/{visit_id}/chains"
    async with town.browser() as browser:
        chain: dict[str, Any] = {}
        people: dict[str, int] = {}
        for shared, alone in ((FAMILY, CHILD), (CHILD, FAMILY)):
            answer = await browser.get(path, params={"people": 2, "shared": shared})
            chain = answer.json()["chains"][0]
            people = {part["procedure"]: part["person"] for part in chain["parts"]}
            assert (chain["people"], people) == (2, {shared: 2, alone: 1})
        wishes = [{name: part[name] for name in ("procedure", "slot_id", "person")} for part in chain["parts"]]
        held = await browser.post("/booking/api/chains/holds", json={"visit_id": str(visit_id), "wishes": wishes})
        assert held.status_code == 201, held.text
        made = (await browser.post("/booking/api/chains", json={"visit_id": str(visit_id)})).json()
        shown = [(await browser.get(f"/booking/api/appointments/{each['number']}")).json() for each in made]
        assert {each["procedure"]: each["person"] for each in shown} == people
        assert problem(await browser.get(path, params={"shared": "a b"})) == (400, "bad_request")
        services = f"/booking/api/visits/{await one_stop_town.arrive(town, 'guest')}/services"
        assert (await browser.get(services)).json()["choices"] == []
        one = {"services": [{"procedure": FAMILY, "quantity": 1}]}
        assert problem(await browser.put(services, json=one)) == (409, "services_of_chain")


async def test_what_is_kept_for_all_of_an_arrival_is_shown_and_taken(house: BookingTown) -> None:
    made = await one_stop_town.booked(house)
    own = f"/booking/api/appointments/{made[1].number}"
    async with house.browser() as browser, house.browser("other") as other:
        assert problem(await browser.get(f"{own}/chain-offer")) == (404, "offer_unknown")
        await close(house, counter=None, day=MONDAY)
        await run_due(house)
        offer = (await browser.get(f"{own}/chain-offer")).json()
        assert offer["chain"]["arrives_at"] == (await kept(house)).starts_at.isoformat().replace("+00:00", "Z")
        assert problem(await other.get(f"{own}/chain-offer")) == (404, "appointment_unknown")
        # One of its places alone is not what is kept.
        assert problem(await browser.get(f"{own}/offer")) == (404, "offer_unknown")
        wishes = [{name: part[name] for name in ("procedure", "slot_id", "person")} for part in offer["chain"]["parts"]]
        order = {"wishes": wishes, "version": (await browser.get(own)).json()["version"]}
        taken = [await browser.post(f"{own}/move", json=order) for _ in range(2)]
        assert [answer.status_code for answer in taken] == [200, 200]
        assert set(taken[0].json()["numbers"]) == {each.number for each in made}
        assert taken[1].json() == taken[0].json()
        same = await browser.post(f"{own}/move", json=order | {"version": order["version"] + 1})
        assert problem(same) == (409, "same_slot")
    assert [await closure_of(house, each) for each in made] == [("booked", "none")] * 2
    states = await house.rows("SELECT state FROM booking.offered_place")
    assert {row.state for row in states} == {"taken"}  # type: ignore[attr-defined]


async def test_a_manager_calls_a_draw_off(town: BookingTown) -> None:
    draw_id = await draws_town.announce(town)
    path = f"/booking/api/draws/{draw_id}/call-off"
    async with manager(town) as boss, town.staff() as counter, town.browser() as browser:
        assert problem(await browser.post(path)) == (401, "session_needed")
        assert problem(await counter.post(path)) == (403, "role_missing")
        assert [(await boss.post(path, headers={KEY: "k"})).status_code for _ in range(2)] == [204, 204]
        [listed] = (await browser.get("/booking/api/draws")).json()
        assert listed["stage"] == "called_off"
        deeds = await town.rows("SELECT actor_ref FROM booking.audit WHERE action = 'draw-call-off'")
        assert [row.actor_ref for row in deeds] == ["boss"]  # type: ignore[attr-defined]
        other = f"/booking/api/draws/{uuid4()}/call-off"
        assert problem(await boss.post(other)) == (404, "draw_unknown")
        first = town.now + draws_town.FIRST + draws_town.HOUR
        late = await draws_town.announce(town, first=first, until=first + draws_town.HOUR)
        town.now += draws_town.WINDOW + timedelta(seconds=1)
    async with manager(town) as boss:
        assert problem(await boss.post(f"/booking/api/draws/{late}/call-off")) == (409, "draw_decided")
