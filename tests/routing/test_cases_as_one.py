"""The pages around a case agree: switched, confirmed at the desk, opened at another device, or given up."""

import re
import secrets
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from shared.db import Database
from shared.events.booking import AppointmentBooked, AppointmentCancelled, AppointmentProgressed
from shared.reference_number import make_number
from tests.routing import attaching
from tests.routing.applying import CHI02_FORM, SEE_OTHER, apply, fill_in, hidden, office_path, press, send, sign_in
from tests.routing.conftest import Visitor
from tests.routing.filling_together import begin as begin_together
from tests.routing.filling_together import cases_of, publish_birth
from tests.routing.makers import NOW
from tests.routing.test_consumers import hear, make_appointment
from tests.routing.test_desk import at_desk, confirm, id_of, prepare, tick_all
from tests.routing.test_devices import began, make_link
from tests.routing.test_feedback import rows
from tests.routing.test_helpers import open_venue
from tests.routing.test_history import come_round
from tests.routing.test_thread import kinds

NewVisitor = Callable[..., Visitor]
OK, CONFLICT, NOT_FOUND, UNPROCESSABLE = 200, 409, 404, 422
NUMBER = "K4M7RXA"


def appointment(case: str, state: str, **changes: Any) -> Any:
    """What booking tells of the case's appointment in this state."""
    kind, version = {
        "booked": (AppointmentBooked, 1),
        "cancelled": (AppointmentCancelled, 2),
        "no_show": (AppointmentProgressed, 2),
        "done": (AppointmentProgressed, 3),
    }[state]
    told = {
        "case_id": UUID(id_of(case)),
        "number": NUMBER,
        "starts_at": NOW,
        "ends_at": NOW + timedelta(hours=1),
        "occurred_at": NOW + timedelta(minutes=version),
    } | changes
    return make_appointment(kind, version, state, **told)


async def leads_to(visitor: Visitor, case: str) -> str:
    return str((await visitor.get(case)).headers["location"]).removeprefix(case)


async def lines(visitor: Visitor, case: str) -> list[tuple[str, str]]:
    """What the thread says happened, and who did it, the newest first."""
    page = await visitor.get(f"{case}/thread")
    assert page.status_code == OK, page.text
    found = re.findall(r'<time [^>]*>[^<]*</time>\s*<p>(.*?)</p>\s*(?:<p class="soft small">(.*?)</p>)?', page.text)
    return [(text, who) for text, who in found]


async def switch(visitor: Visitor, case: str, channel: str) -> None:
    answer = await visitor.post(f"{case}/channel", CHI02_FORM | {"channel": channel})
    assert answer.status_code == SEE_OTHER, answer.text


async def switch_by_phone(staff: Visitor, case: str, channel: str) -> None:
    ways = await staff.get(f"/office{case}/ways")
    fields = {"version": hidden(ways, "version"), "channel": channel, "consent": "phone"}
    answer = await staff.post(f"/office{case}/channel", fields)
    assert answer.status_code == SEE_OTHER, answer.text


async def test_each_switch_stands_once_in_the_thread_with_who_said_it(
    db: Database, visitor: Visitor, new_visitor: NewVisitor
) -> None:
    case = await fill_in(visitor)
    await switch(visitor, case, "counter")
    staff = await sign_in(db, new_visitor())
    await switch_by_phone(staff, case, "online")
    await switch(visitor, case, "counter")
    await hear(db, appointment(case, "booked"))
    await switch(visitor, case, "online")
    told = [(text, who) for text, who in await lines(visitor, case) if text.startswith("やり方を")]
    assert told[::-1] == [
        ("やり方を「役場の窓口」に変えました", "あなた"),
        ("やり方を「オンライン」に変えました", "電話でご本人からうかがい、子育ての係が変えました"),
        ("やり方を「役場の窓口」に変えました", "あなた"),
        ("やり方を「オンライン」に変えました", "あなた"),
    ]


async def test_back_online_after_sending_is_told_and_a_correction_only_as_the_offices(
    db: Database, visitor: Visitor, new_visitor: NewVisitor
) -> None:
    number = await apply(visitor)
    [(case_id,)] = await rows(db, "SELECT case_id FROM application")
    case = f"/cases/{case_id}"
    for channel in ("counter", "online", "counter"):
        await switch(visitor, case, channel)
    staff = await sign_in(db, new_visitor())
    # The office's list says where its person wants to go on.
    assert "「役場の窓口」を希望" in (await staff.get("/office")).text
    await press(staff, await office_path(db, number), "ask-correction", reason="なおしてください。")
    told = Counter(await kinds(db, case))
    assert told == Counter({"switched": 3, "begun": 1, "submitted": 1, "correction_asked": 1})
    assert "を希望" not in (await staff.get("/office")).text


async def test_what_was_done_at_the_desk_stands_in_the_thread_once(
    db: Database, visitor: Visitor, new_visitor: NewVisitor
) -> None:
    case = await prepare(visitor)
    base, desk = f"/office/cases/{id_of(case)}", f"/office/cases/{id_of(case)}/desk"
    staff = await at_desk(db, new_visitor)
    await tick_all(staff, desk)
    assert (await confirm(staff, base)).status_code == SEE_OTHER
    await come_round(db)
    assert Counter(await kinds(db, case)) == Counter(["begun", "given", "desk_checked", "confirmed_on_tablet"])
    told = dict(await lines(visitor, case))
    assert told["内容がこれでよいことを、窓口のタブレットで確かめました（4項目）"].endswith("の窓口")
    assert [words for words in told if words.startswith("窓口の係といっしょに、4項目を確かめました")]


async def test_what_was_confirmed_at_the_desk_holds_when_it_goes_on_online(
    db: Database, visitor: Visitor, new_visitor: NewVisitor
) -> None:
    """The person's word is about what was written, not about the way. Sent, it is the application that counts."""
    case = await visitor.open_case("CHI02")
    assert (await visitor.post(f"{case}/form", CHI02_FORM)).headers["location"] == f"{case}/prepared"
    base = f"/office/cases/{id_of(case)}"
    staff = await at_desk(db, new_visitor, office="子育て")
    await tick_all(staff, f"{base}/desk")
    assert (await confirm(staff, base)).status_code == SEE_OTHER
    confirmed = "SELECT items, replaced_at FROM desk_confirmation"
    before = await rows(db, confirmed)
    answer = await visitor.post(f"{case}/channel", {"channel": "online"})
    assert answer.status_code == SEE_OTHER, answer.text
    # At home it can be changed, and need not be.
    page = await visitor.get(f"{case}/form")
    assert page.status_code == OK, page.headers
    assert CHI02_FORM["address_line"] in page.text
    await switch(visitor, case, "counter")
    assert await rows(db, confirmed) == before
    assert "本人に確かめてもらいました" in (await staff.get(f"{base}/desk")).text
    await switch(visitor, case, "online")
    await visitor.post(f"{case}/you", {"reach": "none", "email": "", "phone": ""})
    assert (await send(visitor, case)).status_code == SEE_OTHER
    assert await rows(db, confirmed) == before
    assert (await staff.get(f"{base}/desk")).status_code == CONFLICT


async def test_a_visit_that_was_for_another_way_is_not_the_end(db: Database, visitor: Visitor) -> None:
    """A helper's visit that is done, a time that was missed: the case goes on where its person wants it to."""
    await open_venue(db)
    case = await fill_in(visitor)
    await switch(visitor, case, "helper")
    await hear(db, appointment(case, "booked", helper="accepted"), appointment(case, "done", helper="accepted"))
    mine = (await visitor.get("/my")).text
    assert "いま進んでいる手続きは、ありません" in mine
    await switch(visitor, case, "online")
    assert await leads_to(visitor, case) == "/check"
    assert "つづける" in (await visitor.get(f"{case}/thread")).text
    mine = (await visitor.get("/my")).text
    assert mine.index(f'href="{case}"') < mine.index('id="find"')
    assert "終わった手続きを見る" not in mine


async def test_a_case_leads_where_it_goes_on_in_every_state(
    db: Database, visitor: Visitor, new_visitor: NewVisitor
) -> None:
    online = await visitor.open_case("CHI02", "online")
    assert await leads_to(visitor, online) == "/reuse"
    case = await fill_in(visitor)
    assert await leads_to(visitor, case) == "/check"
    await switch(visitor, case, "counter")
    assert await leads_to(visitor, case) == "/handover"
    await hear(db, appointment(case, "booked"))
    assert await leads_to(visitor, case) == "/thread"
    await hear(db, appointment(case, "no_show"))
    assert await leads_to(visitor, case) == "/handover"
    await hear(db, appointment(case, "done"))
    assert await leads_to(visitor, case) == "/thread"
    # Sent; its person wants to come; it is over while they have a time.
    number = await apply(visitor)
    [(case_id,)] = await rows(db, "SELECT case_id FROM application")
    sent = f"/cases/{case_id}"
    assert await leads_to(visitor, sent) == "/thread"
    await switch(visitor, sent, "counter")
    assert await leads_to(visitor, sent) == "/handover"
    other = {"appointment_id": uuid4(), "number": "OTHER"}
    await hear(db, appointment(sent, "booked", **other))
    staff = await sign_in(db, new_visitor())
    for action in ("accept", "complete"):
        assert (await press(staff, await office_path(db, number), action)).status_code == SEE_OTHER
    await hear(db, appointment(sent, "done", **other))
    assert await leads_to(visitor, sent) == "/thread"


async def test_a_case_of_one_form_says_so_and_leaves_it_when_given_up(db: Database, visitor: Visitor) -> None:
    await publish_birth(db)
    plan = await begin_together(visitor)
    cases = await cases_of(db)
    case = f"/cases/{cases['CHI02']}"
    assert (await visitor.get(case)).headers["location"] == f"{plan}/online"
    assert f'href="{plan}/online"' in (await visitor.get(f"{case}/thread")).text
    assert (await visitor.get("/my")).text.count(f'href="{plan}/online"') == len(cases)
    assert (await visitor.post(f"{case}/close")).headers["location"] == f"{case}/thread"
    assert f'href="{plan}/online"' not in (await visitor.get(f"{case}/thread")).text
    assert (await visitor.get("/my")).text.count(f'href="{plan}/online"') == len(cases) - 1
    assert await leads_to(visitor, case) == "/reuse"
    # Begun from the plan again, it is in the form as it was.
    begun = await visitor.post(f"{plan}/online", {"procedure": "CHI02"})
    assert begun.headers["location"] == f"{plan}/online"
    assert (await visitor.get("/my")).text.count(f'href="{plan}/online"') == len(cases)


async def test_a_member_of_one_form_that_goes_to_the_counter_leaves_it_with_everything(
    db: Database, visitor: Visitor
) -> None:
    await publish_birth(db)
    plan = await begin_together(visitor)
    cases = await cases_of(db)
    case = f"/cases/{cases['CHI02']}"
    await switch(visitor, case, "counter")
    assert f'href="{plan}/online"' not in (await visitor.get(f"{case}/thread")).text
    assert (await visitor.get("/my")).text.count(f'href="{plan}/online"') == len(cases) - 1
    page = await visitor.get(f"{case}/form")
    assert CHI02_FORM["address_line"] in page.text
    assert CHI02_FORM["child_name"] in page.text


async def test_a_case_that_is_given_up_is_at_no_other_device_any_more(
    db: Database, visitor: Visitor, new_visitor: NewVisitor
) -> None:
    case = await fill_in(visitor)
    other = await began(new_visitor, case, (await make_link(visitor, case))[0])
    waiting, _, _ = await make_link(visitor, case)
    assert "opened_elsewhere" in await kinds(db, case)
    assert (await visitor.post(f"{case}/close")).status_code == SEE_OTHER
    assert (await other.get(f"{case}/form")).status_code == NOT_FOUND
    assert case not in (await other.get("/my")).text
    assert "この機械で、手続きを続けますか" not in (await new_visitor().get(waiting)).text
    assert (await visitor.get(f"{case}/form")).status_code == OK


async def test_at_another_device_the_case_is_one_card_with_its_time_and_may_go_another_way(
    db: Database, visitor: Visitor, new_visitor: NewVisitor
) -> None:
    case = await fill_in(visitor)
    other = await began(new_visitor, case, (await make_link(visitor, case))[0])
    await switch(other, case, "counter")
    assert ("やり方を「役場の窓口」に変えました", "あなた") in await lines(visitor, case)
    await hear(db, appointment(case, "booked"))
    for browser in (visitor, other):
        page = (await browser.get("/my")).text
        assert page.count(f'href="{case}/thread"') == 1
        assert f"/booking/appointments/{NUMBER}" in page
    # Given up there, it is gone from there.
    await hear(db, appointment(case, "cancelled"))
    await switch(other, case, "online")
    assert (await other.post(f"{case}/close")).headers["location"] == "/my"
    assert (await other.get(case)).status_code == NOT_FOUND
    once = dict.fromkeys(("begun", "opened_elsewhere", "booked", "cancelled", "closed"), 1)
    assert Counter(await kinds(db, case)) == Counter(once | {"switched": 2})


async def test_files_stay_there_and_back_and_when_given_up(db: Database, visitor: Visitor) -> None:
    await attaching.publish(db)
    case = await attaching.begin(visitor)
    for _ in range(2):
        assert (await attaching.attach(visitor, case)).status_code == SEE_OTHER
    files = await attaching.attached(visitor, case)
    assert ("写真や書類を2点、入れました", "") in await lines(visitor, case)
    for channel in ("counter", "online"):
        answer = await visitor.post(f"{case}/channel", attaching.FORM | {"channel": channel})
        assert answer.status_code == SEE_OTHER, answer.text
    assert await attaching.attached(visitor, case) == files
    await visitor.post(f"{case}/close")
    assert await attaching.attached(visitor, case) == files
    assert "つづきから始める" in (await visitor.get(f"{case}/thread")).text
    number = await attaching.send_it(visitor, case)
    assert number
    assert (await attaching.count(db, "attachment")) == len(files)


async def test_what_was_confirmed_at_the_desk_stays_when_given_up(
    db: Database, visitor: Visitor, new_visitor: NewVisitor
) -> None:
    case = await prepare(visitor)
    base = f"/office/cases/{id_of(case)}"
    staff = await at_desk(db, new_visitor)
    await tick_all(staff, f"{base}/desk")
    await confirm(staff, base)
    assert (await visitor.post(f"{case}/close")).status_code == SEE_OTHER
    assert await rows(db, "SELECT how, replaced_at FROM desk_confirmation") == [("tablet", None)]
    assert "本人に確かめてもらいました" in (await staff.get(f"{base}/desk")).text


async def test_a_booking_that_has_not_arrived_is_said_to_be_late_and_is_found_then(
    db: Database, visitor: Visitor, new_visitor: NewVisitor
) -> None:
    case = await prepare(visitor)
    staff = await at_desk(db, new_visitor)
    number = make_number(secrets.choice)
    late = await staff.post("/office/find", {"number": number})
    assert (late.status_code, "まだこちらに届いていません" in late.text) == (UNPROCESSABLE, True)
    other = await staff.post("/office/find", {"number": "1"})
    assert "まだこちらに届いていません" not in other.text
    await hear(db, appointment(case, "booked", number=number))
    answer = await staff.post("/office/find", {"number": number})
    assert answer.headers["location"] == f"/office/cases/{id_of(case)}/desk"
