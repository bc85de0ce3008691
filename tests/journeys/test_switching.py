"""Every step of a case, and from each of them every channel, there and back three times: nothing is typed again and
nothing is lost (`docs/decisions/0049-switching.md` has the table).

What was given is compared as the person's own page and the office's page show it; routing and booking are really
connected (`one_process.py`).
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from services.routing.domain.catalogue import CHANNELS
from shared.town_pack import read_town_pack
from tests.conftest import TestDatabase
from tests.journeys.one_process import Browser, House, case_id_of, open_house, own_rows, seen_rows
from tests.journeys.resident import read_forms
from tests.routing.applying import CHI02_FORM
from tests.routing.makers import EMAIL, KANA, NAME, new_key
from tests.routing.test_every_procedure import TOWNS
from tests.routing.test_invariants_of_reuse import assert_every_use_was_approved

OK, SEE_OTHER, CONFLICT = 200, 303, 409
PROCEDURE = "CHI02"
WRITTEN = "もう一度、見てください。"
HALF = ("name", "birth_date_era", "birth_date_year", "birth_date_month", "birth_date_day", "phone")
# From each channel over both others and back, and between those: three times away from where one began.
ROUNDS = {
    "online": ("counter", "helper", "online", "helper", "counter", "online"),
    "counter": ("online", "helper", "counter", "helper", "online", "counter"),
    "helper": ("counter", "online", "helper", "online", "counter", "helper"),
}


@dataclass
class Place:
    """A town with somebody in it, and who works there."""

    house: House
    resident: Browser
    desk: Browser
    helper: Browser
    # The online form of each case as it was seen first.
    forms: dict[str, dict[str, str]] = field(default_factory=dict)

    async def scalar(self, sql: str, *values: object) -> Any:
        [row] = await self.house.town.rows(sql, *values)
        return row[0]

    async def given(self, case: str) -> dict[str, str]:
        """What was given in the case, as the counter sees it."""
        page = await self.desk.get(f"/office/cases/{case_id_of(case)}/fragment")
        assert page.status_code == OK, page.text
        return seen_rows(page.text)

    async def own(self) -> dict[str, str]:
        """What the person has given, as they see it."""
        return own_rows((await self.resident.get("/my/data")).text)

    async def held(self) -> int:
        held: int = await self.scalar("SELECT count(*) FROM booking.place WHERE hold_id IS NOT NULL")
        return held

    async def booked(self, case: str) -> dict[str, str]:
        """The states of the case's appointments by their channel, as booking has them; cancelled ones are over."""
        rows = await self.house.town.rows(
            "SELECT helper, state FROM booking.appointment WHERE case_id = $1 AND state <> 'cancelled'",
            case_id_of(case),
        )
        return {"counter" if row["helper"] == "none" else "helper": row["state"] for row in rows}

    async def case_now(self, case: str) -> tuple[str, str]:
        [row] = await self.house.town.rows(
            "SELECT channel, state FROM routing.case_file WHERE case_id = $1", case_id_of(case)
        )
        return row["channel"], row["state"]

    async def switch(self, browser: Browser, case: str, channel: str) -> None:
        """By the button that the page of the ways has."""
        await browser.get(f"{case}/ways")
        await browser.press("/channel", channel=channel)
        assert browser.page.status_code == OK, (case, channel, browser.text[-1500:])
        await self.house.town.deliver()
        assert (await self.case_now(case))[0] == channel

    async def office(self, case: str, *actions: str) -> None:
        """The office's steps with what was sent."""
        application_id = await self.scalar(
            "SELECT application_id FROM routing.application WHERE case_id = $1", case_id_of(case)
        )
        path = f"/office/applications/{application_id}"
        await self.desk.get(path)
        for action in actions:
            await self.desk.send(f"/{action}", reason=WRITTEN, visit=WRITTEN, refusal=WRITTEN)
            assert self.desk.page.status_code == OK, (action, self.desk.text[-1500:])
        await self.house.town.deliver()


@pytest_asyncio.fixture
async def place(database: TestDatabase) -> AsyncIterator[Place]:
    pack = read_town_pack(TOWNS / "ninomiya")
    async with open_house(database, pack) as house:
        helper = await house.add_helper("tanaka", pack.venues[0].code)
        desk = await house.staff("madoguchi", "counter", "back_office", "manager")
        yield Place(house, house.browser(), desk, helper)


# --- the steps ---


async def begun_online(place: Place) -> str:
    return await place.resident.begin(PROCEDURE, "online")


async def begun_at_a_counter(place: Place) -> str:
    return await place.resident.begin(PROCEDURE, "counter")


async def person_chosen(place: Place) -> str:
    case = await begun_online(place)
    await place.resident.get(f"{case}/form")
    await place.resident.post(f"{case}/person", {"person": "new"})
    return case


async def reuse_answered(place: Place) -> str:
    await sent(place)
    case = await place.resident.begin("CHI03", "online")
    assert place.resident.path == f"{case}/reuse", place.resident.path
    await place.resident.press("/reuse", all="yes")
    return case


async def form_half_filled(place: Place) -> str:
    """What is right on it goes along with the button of another way."""
    case = await begun_online(place)
    await place.resident.post(f"{case}/channel", {key: CHI02_FORM[key] for key in HALF} | {"channel": "counter"})
    assert "次のことは、まだ保存していません" not in place.resident.text
    await place.switch(place.resident, case, "online")
    return case


async def form_filled(place: Place) -> str:
    case = await begun_online(place)
    await place.resident.get(f"{case}/form")
    await place.resident.send("/form", **CHI02_FORM)
    return case


async def ready_to_send(place: Place) -> str:
    case = await form_filled(place)
    if place.resident.path.endswith("/you"):
        await place.resident.send("/you", reach="email", email=EMAIL)
    assert place.resident.path == f"{case}/check", place.resident.path
    return case


async def name_told(place: Place) -> str:
    case = await begun_at_a_counter(place)
    await place.resident.get(f"{case}/you")
    await place.resident.send("/you", name=NAME, kana=KANA, reach="email", email=EMAIL)
    assert place.resident.path == f"{case}/handover"
    return case


async def handed_over(place: Place) -> str:
    case = await name_told(place)
    await place.resident.send("/handover", all="yes")
    assert place.resident.path == f"{case}/pass"
    return case


async def place_held(place: Place) -> str:
    case = await name_told(place)
    await place.resident.hand_over(case)
    await place.resident.hold()
    assert await place.held() == 1
    return case


async def booked_at_a_counter(place: Place) -> str:
    case = await name_told(place)
    await place.resident.book(case)
    await place.house.town.deliver()
    return case


async def booked_with_a_helper(place: Place) -> str:
    case = await place.resident.begin(PROCEDURE, "helper")
    await place.resident.get(f"{case}/you")
    await place.resident.send("/you", name=NAME, kana=KANA, reach="none")
    await place.resident.book(case)
    await place.house.town.deliver()
    return case


async def sent(place: Place) -> str:
    case = await ready_to_send(place)
    await place.resident.press("/submit", notices="yes")
    assert place.resident.path.startswith("/applications/"), place.resident.path
    await place.house.town.deliver()
    return case


async def accepted(place: Place) -> str:
    case = await sent(place)
    await place.office(case, "accept")
    return case


async def correction_asked(place: Place) -> str:
    case = await sent(place)
    await place.office(case, "ask-correction")
    return case


async def visit_asked(place: Place) -> str:
    case = await sent(place)
    await place.office(case, "ask-visit")
    return case


async def visit_asked_and_booked(place: Place) -> str:
    case = await visit_asked(place)
    await place.resident.post(f"{case}/visit", {})
    await place.resident.book(case)
    await place.house.town.deliver()
    return case


async def wished_and_booked(place: Place) -> str:
    """The person said by themselves that they come to the counter with what was sent."""
    case = await accepted(place)
    await place.switch(place.resident, case, "counter")
    assert "送った申請は、そのままです" in place.resident.text
    await place.resident.book(case)
    await place.house.town.deliver()
    return case


Step = Callable[[Place], Awaitable[str]]
STEPS: tuple[Step, ...] = (
    begun_online, begun_at_a_counter, person_chosen, reuse_answered, form_half_filled, form_filled, ready_to_send,
    name_told, handed_over, place_held, booked_at_a_counter, booked_with_a_helper, sent, accepted, correction_asked,
    visit_asked, visit_asked_and_booked, wished_and_booked,
)  # fmt: skip


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.__name__)
async def test_from_every_step_every_channel_goes_on_with_everything(place: Place, step: Step) -> None:
    """Seen to fail without `switched_since` in `_issue_pass` (back at the counter the visit was over) and with a
    `state_after` that forgets what was sent."""
    case = await step(place)
    case_id = case_id_of(case)
    numbers = await place.house.town.rows("SELECT number, state, due_at FROM routing.application ORDER BY number")
    cases = await place.scalar("SELECT count(*) FROM routing.case_file")
    before, own, booked = await place.given(case), await place.own(), await place.booked(case)
    origin, _ = await place.case_now(case)
    first = await place.scalar("SELECT count(*) FROM routing.case_switch WHERE case_id = $1", case_id)
    done = 0
    for channel in ROUNDS[origin]:
        if not await is_offered(place, case, channel):
            continue
        await place.switch(place.resident, case, channel)
        done += 1
        assert await place.given(case) == before, (step.__name__, channel)
        assert await place.own() == own, (step.__name__, channel)
        await nothing_is_asked_again(place, case, channel, before)
        # A place that was only chosen is everybody's again; what was booked stays until the other way is done.
        assert await place.held() == 0
        if not numbers:
            assert await place.booked(case) == booked
    assert done >= len(CHANNELS), "it goes both ways"
    switches = await place.scalar("SELECT count(*) FROM routing.case_switch WHERE case_id = $1", case_id)
    assert switches - first == done
    assert await place.scalar("SELECT count(*) FROM routing.case_file") == cases, "one case"
    after = await place.house.town.rows("SELECT number, state, due_at FROM routing.application ORDER BY number")
    assert after == numbers, "the office goes on as before"
    await place.resident.get(f"{case}/ways")
    said = await place.scalar("SELECT count(*) FROM routing.case_switch WHERE case_id = $1 AND said = 'self'", case_id)
    assert place.resident.text.count("ご本人が変えました") == said >= done
    await assert_every_use_was_approved(place.house.town.services["routing"].db)
    await place.house.every_chain_holds()


async def is_offered(place: Place, case: str, channel: str) -> bool:
    """Whether the page of the ways has the button; what a procedure cannot be done by is no button."""
    await place.resident.get(f"{case}/ways")
    assert place.resident.page.status_code == OK, place.resident.text[-1500:]
    return any(("channel", channel) in form.buttons for form in read_forms(place.resident.text))


async def nothing_is_asked_again(place: Place, case: str, channel: str, given: dict[str, str]) -> None:
    """The next page knows what was said: the form is filled in, and who said their name hands it over."""
    number = await place.house.town.rows("SELECT number FROM routing.application WHERE case_id = $1", case_id_of(case))
    if channel != "online":
        await place.resident.get(case)
        knows = await place.scalar(
            "SELECT reach IS NOT NULL FROM routing.case_file WHERE case_id = $1", case_id_of(case)
        )
        assert place.resident.path == f"{case}/{'handover' if knows else 'you'}"
        if knows and "お名前" in given:
            assert given["お名前"] in place.resident.text
        return
    if number:
        await place.resident.get(f"/applications/{number[0]['number']}")
        assert "送った内容" in place.resident.text
        return
    await place.resident.get(f"{case}/form")
    fields = place.resident.form("/form").fields
    if "お名前" in given:
        assert fields["name"] == given["お名前"]
    if "生年月日" in given:
        assert all(fields[key] for key in HALF if not key.endswith("_era"))
    assert place.forms.setdefault(case, fields) == fields, "as it was the first time"


# --- what becomes of what was booked ---


async def test_what_was_booked_is_cancelled_when_the_other_way_is_done(place: Place) -> None:
    """A counter's time goes when a helper's is booked, and that one when it is sent online."""
    case = await booked_at_a_counter(place)
    await place.switch(place.resident, case, "helper")
    assert "まだそのままです" in place.resident.text
    assert await place.booked(case) == {"counter": "booked"}
    await place.resident.hand_over(case)
    await place.resident.hold()
    assert "の予約は取り消します" in place.resident.text
    assert "もう一つ予約しますか" not in place.resident.text
    await place.resident.send("/book")
    await place.house.town.deliver()
    assert await place.booked(case) == {"helper": "booked"}
    await place.switch(place.resident, case, "online")
    await place.resident.get(f"{case}/form")
    await place.resident.send("/form", **CHI02_FORM)
    assert "申請すると取り消します" in place.resident.text
    await place.resident.press("/submit", notices="yes")
    assert place.resident.path.startswith("/applications/")
    await place.house.town.deliver()
    assert await place.booked(case) == {}


async def test_an_appointment_can_be_kept_beside_what_is_sent(place: Place) -> None:
    case = await booked_at_a_counter(place)
    await place.switch(place.resident, case, "online")
    await place.resident.get(f"{case}/form")
    await place.resident.send("/form", **CHI02_FORM)
    form = place.resident.form("/submit")
    await place.resident.post(form.action, form.fields | {"notices": "yes", "keep_booking": "yes"})
    await place.house.town.deliver()
    assert await place.booked(case) == {"counter": "booked"}


async def test_who_waits_online_after_all_needs_no_time(place: Place) -> None:
    case = await wished_and_booked(place)
    number = await place.scalar("SELECT number FROM routing.application WHERE case_id = $1", case_id_of(case))
    await place.office(case)
    assert "ご本人の希望：役場の窓口" in place.desk.text
    await place.resident.get(f"/applications/{number}")
    assert "窓口に来ることを、役場に伝えてあります" in place.resident.text
    await place.resident.press("/channel", channel="online")
    assert place.resident.path == f"/applications/{number}"
    await place.house.town.deliver()
    assert await place.booked(case) == {}
    assert await place.case_now(case) == ("online", "submitted")


async def test_who_is_received_at_the_counter_has_come_whatever_they_began_meanwhile(place: Place) -> None:
    """And as long as they stand there, only the desk changes it; when it is done, nobody does."""
    case = await booked_at_a_counter(place)
    await place.switch(place.resident, case, "online")
    await at_the_counter(place, case, "check-in")
    assert await place.case_now(case) == ("counter", "handed_over")
    refused = await place.resident.post(f"{case}/channel", {"channel": "online"})
    assert (refused.status_code, "いま、窓口で受付をしています" in refused.text) == (CONFLICT, True)
    await at_the_counter(place, case, "call", "start", "done")
    done = await place.resident.post(f"{case}/channel", {"channel": "online"})
    assert (done.status_code, "窓口でもう終わっています" in done.text) == (CONFLICT, True)
    await place.resident.get(f"{case}/ways")
    assert "この手続きをもう一度はじめる" in place.resident.text


async def at_the_counter(place: Place, case: str, *actions: str) -> None:
    """Staff take the next steps in the line."""
    [row] = await place.house.town.rows(
        "SELECT appointment_id, starts_at FROM booking.appointment WHERE case_id = $1 AND state <> 'cancelled'",
        case_id_of(case),
    )
    place.house.town.now = max(place.house.town.now, row["starts_at"] - timedelta(minutes=5))
    for action in actions:
        version = await place.scalar(
            "SELECT version FROM booking.appointment WHERE appointment_id = $1", row["appointment_id"]
        )
        fields = {"action": action, "version": str(version)}
        await place.desk.post(f"/counter/{row['appointment_id']}/{action}", fields)
        assert place.desk.page.status_code == OK, place.desk.text[-1500:]
    await place.house.town.deliver()


@pytest.mark.parametrize("end", ["completed", "refused", "withdrawn"])
async def test_what_is_closed_says_why_and_what_to_do(place: Place, end: str) -> None:
    case = await sent(place)
    if end == "withdrawn":
        await place.resident.send("/withdraw")
    else:
        await place.office(case, *{"completed": ("accept", "complete"), "refused": ("refuse",)}[end])
    assert await place.scalar("SELECT state FROM routing.application") == end
    for channel in ("counter", "helper"):
        refused = await place.resident.post(f"{case}/channel", {"channel": channel})
        assert (refused.status_code, "もう終わっています" in refused.text) == (CONFLICT, True)
    await place.resident.get(f"{case}/ways")
    assert "前に入力したことを使えます" in place.resident.text


# --- by staff and helpers, with consent ---


async def test_staff_do_it_with_consent_and_the_person_can_undo_it(place: Place) -> None:
    """Seen to fail without the comparison of versions: an old page changed it once more."""
    case = await handed_over(place)
    case_id = case_id_of(case)
    ways = f"/office/cases/{case_id}/ways"
    await place.desk.get(ways)
    old = place.desk.form("/channel").fields
    unsaid = await place.desk.send("/channel", channel="online")
    assert unsaid.status_code == 422
    await place.desk.get(ways)
    await place.desk.send("/channel", channel="online", consent="phone")
    assert await place.case_now(case) == ("online", "told")
    assert "電話でご本人からうかがい" in place.desk.text
    stale = await place.desk.post(f"/office/cases/{case_id}/channel", old | {"channel": "helper", "consent": "desk"})
    assert (stale.status_code, "ほかの人が先に変えました" in stale.text) == (CONFLICT, True)
    audited = await place.scalar(
        "SELECT count(*) FROM routing.audit WHERE action = 'change_channel:online:phone' AND ref = $1", str(case_id)
    )
    assert audited == 1
    await place.house.town.deliver()
    notices = await place.house.town.rows("SELECT kind, state FROM notifications.notice")
    assert [tuple(row) for row in notices] == [("case_switched", "pending")], "the person is told"
    await place.resident.get(f"{case}/form")
    assert "役場の係が変えました" in place.resident.text
    await place.resident.press("/channel", channel="counter")
    assert await place.case_now(case) == ("counter", "told")
    assert "役場の係が変えました" not in place.resident.text
    await place.house.town.deliver()
    assert await place.scalar("SELECT count(*) FROM notifications.notice") == 1, "of what they did, they know"
    stranger = await place.house.staff("zei", "counter", office="税")
    assert (await stranger.get(ways)).status_code == 403


async def test_a_helper_says_it_for_the_person_beside_them(place: Place) -> None:
    """Seen to fail without the look at the last switch: the wish came late, and undid what the person had done."""
    case = await booked_with_a_helper(place)
    await place.helper.get("/helpers")
    await place.helper.send("/accept")
    starts_at = await place.scalar("SELECT starts_at FROM booking.appointment WHERE case_id = $1", case_id_of(case))
    place.house.town.now = max(place.house.town.now, starts_at + timedelta(minutes=1))
    await place.helper.get("/helpers")
    unsaid = await place.helper.press("/switch", channel="online")
    assert (unsaid.status_code, "ご本人の希望を確かめてください" in unsaid.text) == (422, True)
    await say_so(place, "online")
    await place.house.town.deliver()
    assert await place.case_now(case) == ("online", "told")
    await say_so(place, "online")
    await place.house.town.deliver()
    switches = await place.house.town.rows("SELECT said FROM routing.case_switch")
    assert [row["said"] for row in switches] == ["helper"], "twice is once"
    await place.resident.get(f"{case}/form")
    assert "サポーターが変えました" in place.resident.text
    await place.resident.press("/channel", channel="helper")
    # What a helper said before the person chose for themselves is overtaken.
    await say_so(place, "counter")
    await place.resident.post(f"{case}/channel", {"channel": "online"})
    await place.house.town.deliver()
    assert (await place.case_now(case))[0] == "online"
    # After the visit everything goes on, by any way.
    await place.helper.get("/helpers")
    await place.helper.send("/came")
    await place.house.town.deliver()
    await place.switch(place.resident, case, "counter")
    await place.resident.get(case)
    assert place.resident.path == f"{case}/handover"


async def say_so(place: Place, channel: str) -> None:
    await place.helper.get("/helpers")
    form = place.helper.form("/switch")
    [consent] = form.choices
    await place.helper.post(form.action, {consent: "yes", "channel": channel})
    assert "町に伝えました" in place.helper.text


async def test_what_staff_began_for_somebody_goes_every_way_too(place: Place) -> None:
    await place.desk.post(
        f"/office/behalf/{PROCEDURE}", {"behalf": "desk", "channel": "counter", "idempotency_key": new_key()}
    )
    case = "/".join(place.desk.path.split("/")[:3])
    await place.desk.send("/you", name=NAME, kana=KANA, reach="none")
    before = await place.given(case)
    for channel in ROUNDS["counter"]:
        await place.switch(place.desk, case, channel)
        assert await place.given(case) == before
    said = await place.house.town.rows("SELECT DISTINCT said FROM routing.case_switch")
    assert [row["said"] for row in said] == ["desk"]


async def test_the_figures_say_from_where_to_where_and_at_which_step(place: Place) -> None:
    case = await sent(place)
    await place.switch(place.resident, case, "counter")
    await place.switch(place.resident, case, "online")
    other = await booked_at_a_counter(place)
    await place.switch(place.resident, other, "helper")
    rows = await place.house.town.rows(
        "SELECT channel, to_channel, step FROM routing.quality_fact WHERE kind = 'switched' ORDER BY 3, 1"
    )
    assert [tuple(row) for row in rows] == [
        ("counter", "helper", "booked"),
        ("counter", "online", "submitted"),
        ("online", "counter", "submitted"),
    ]
