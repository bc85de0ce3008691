"""Somebody who goes on another way finds their form again, whatever was booked before; a time that is past is over."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from services.routing.commands.switching import on_switch_wished
from shared.db import Database
from shared.events.booking import AppointmentBooked, AppointmentCancelled, AppointmentProgressed, SwitchWished
from tests.routing.applying import CHI02_FORM, SEE_OTHER, apply, fill_in, hidden, office_path, press, send, sign_in
from tests.routing.conftest import TestClock, Visitor
from tests.routing.makers import EMAIL, KANA, NAME, NOW, TOWN
from tests.routing.test_consumers import hear, make_appointment
from tests.routing.test_devices import began, make_link
from tests.routing.test_helpers import open_venue
from tests.routing.test_quality import counted

NewVisitor = Callable[..., Visitor]
OK, NOT_FOUND, CONFLICT = 200, 404, 409
GO_ON = "つづける"
GIVE_UP = "この手続きをやめる"


def time_of(case: str, **changes: Any) -> dict[str, Any]:
    """An appointment of the case, an hour from now."""
    return {
        "case_id": UUID(case.split("/")[2]), "appointment_id": uuid4(), "number": "K4M7RXA",
        "starts_at": NOW + timedelta(hours=1), "ends_at": NOW + timedelta(hours=1, minutes=30),
    } | changes  # fmt: skip


async def look(visitor: Visitor, path: str) -> Any:
    """A page, also once the visitor's token has to be renewed."""
    return await visitor.http.get(path, follow_redirects=True)


async def switch(visitor: Visitor, case: str, channel: str) -> None:
    assert (await visitor.post(f"{case}/channel", {"channel": channel})).status_code == SEE_OTHER


async def finds_the_form(visitor: Visitor, case: str, *, by: str) -> None:
    """From /my, from the thread and from the case itself."""
    assert f'href="{case}"' in (await visitor.get("/my")).text
    page = await visitor.get(f"{case}/thread")
    assert GO_ON in page.text
    assert "することは、もうありません" not in page.text
    assert (await visitor.get(case)).headers["location"] == f"{case}/{by}"


async def test_who_goes_on_online_while_a_time_is_kept_finds_the_form_again(db: Database, visitor: Visitor) -> None:
    """Seen to fail with every appointment deciding where the case stands."""
    case = await visitor.open_case()
    await hear(db, make_appointment(AppointmentBooked, 1, "booked", **time_of(case)))
    await switch(visitor, case, "online")
    await finds_the_form(visitor, case, by="reuse")
    page = await visitor.get(f"{case}/thread")
    assert "K4M-7RXA" in page.text
    assert "ほかのやり方に変える" in page.text
    # The time waits for them still: nothing is given up beside it.
    assert GIVE_UP not in page.text
    assert (await visitor.post(f"{case}/close")).status_code == CONFLICT


async def test_who_goes_on_at_the_counter_while_a_helpers_time_is_kept_may_still_book(
    db: Database, visitor: Visitor
) -> None:
    await open_venue(db)
    case = await visitor.open_case(channel="helper")
    await hear(db, make_appointment(AppointmentBooked, 1, "booked", **time_of(case, helper="accepted")))
    await switch(visitor, case, "counter")
    await finds_the_form(visitor, case, by="you")


async def test_after_a_helpers_visit_one_goes_on_another_way(db: Database, visitor: Visitor) -> None:
    """Seen to fail with every appointment deciding where the case stands."""
    await open_venue(db)
    case = await visitor.open_case(channel="helper")
    visit = time_of(case, helper="accepted")
    await hear(db, make_appointment(AppointmentBooked, 1, "booked", **visit))
    await hear(db, make_appointment(AppointmentProgressed, 2, "done", **visit))
    assert "することは、もうありません" in (await visitor.get(f"{case}/thread")).text
    wish = SwitchWished(
        event_id=uuid4(), municipality=TOWN, aggregate_id=str(visit["case_id"]), aggregate_version=2, occurred_at=NOW,
        case_id=visit["case_id"], channel="online",
    )  # fmt: skip
    async with db.begin(TOWN) as session:
        await on_switch_wished(session, wish, now=NOW)
    await finds_the_form(visitor, case, by="reuse")
    page = await visitor.get(f"{case}/thread")
    assert GIVE_UP in page.text
    assert "ほかのやり方に変える" in page.text


@pytest.mark.parametrize(("kind", "state"), [(AppointmentCancelled, "cancelled"), (AppointmentProgressed, "no_show")])
async def test_after_a_time_that_came_to_nothing_one_goes_on_online(
    db: Database, visitor: Visitor, kind: Any, state: str
) -> None:
    case = await visitor.open_case()
    time = time_of(case)
    await hear(db, make_appointment(AppointmentBooked, 1, "booked", **time))
    await switch(visitor, case, "online")
    await hear(db, make_appointment(kind, 2, state, **time))
    await finds_the_form(visitor, case, by="reuse")


async def test_a_time_that_nobody_closed_is_over_when_it_ends(db: Database, visitor: Visitor, clock: TestClock) -> None:
    """To the second."""
    case = await fill_in(visitor)
    time = time_of(case)
    await hear(db, make_appointment(AppointmentBooked, 1, "booked", **time))
    clock.move(timedelta(minutes=90, seconds=-1))
    for page in ("check", "ways"):
        assert "11月24日" in (await look(visitor, f"{case}/{page}")).text, page
    assert GIVE_UP not in (await look(visitor, f"{case}/thread")).text
    clock.move(timedelta(seconds=1))
    for page in ("check", "ways"):
        assert "11月24日" not in (await look(visitor, f"{case}/{page}")).text, page
    assert GIVE_UP in (await look(visitor, f"{case}/thread")).text
    # By its own channel, it has to be booked anew.
    counter = await visitor.open_case("RES01")
    await hear(db, make_appointment(AppointmentBooked, 1, "booked", **time_of(counter)))
    thread = await look(visitor, f"{counter}/thread")
    assert "もう一度予約する" in thread.text
    assert (await look(visitor, counter)).url.path == f"{counter}/you"


async def test_whom_staff_have_called_is_there_until_the_day_is_over(
    db: Database, visitor: Visitor, clock: TestClock
) -> None:
    """Nine o'clock in Japan; the day ends at fifteen o'clock UTC."""
    case = await visitor.open_case()
    time = time_of(case)
    await hear(db, make_appointment(AppointmentBooked, 1, "booked", **time))
    await hear(db, make_appointment(AppointmentProgressed, 2, "called", **time))
    midnight = NOW.replace(hour=15, minute=0, second=0, microsecond=0)
    clock.move(midnight - NOW - timedelta(seconds=1))
    assert (await look(visitor, case)).url.path == f"{case}/thread"
    clock.move(timedelta(seconds=1))
    assert (await look(visitor, case)).url.path == f"{case}/you"


async def test_who_gave_up_and_came_all_the_same_may_say_how_it_went(db: Database, visitor: Visitor) -> None:
    """What was counted is counted once."""
    case = await visitor.open_case()
    await visitor.post(f"{case}/close")
    await visitor.tell(case, name=NAME, kana=KANA)
    time = time_of(case)
    await hear(db, make_appointment(AppointmentBooked, 1, "booked", **time))
    assert (await visitor.get(f"{case}/feedback")).status_code == CONFLICT
    await hear(db, make_appointment(AppointmentProgressed, 2, "done", **time))
    assert (await visitor.get(f"{case}/feedback")).status_code == OK
    assert f'href="{case}/feedback"' in (await visitor.get("/my")).text
    found = await counted(db)
    assert found["given_up", "counter", "opened"] == 1
    assert ("finished", "counter") not in found


async def test_the_link_of_the_last_message_is_good_for_a_case_that_was_given_up_before(
    db: Database, visitor: Visitor, new_visitor: NewVisitor
) -> None:
    """Seen to fail while what was given up before could not be said to be finished."""
    case = await visitor.open_case(channel="online")
    await visitor.post(f"{case}/close")
    await visitor.post(f"{case}/form", CHI02_FORM)
    await visitor.post(f"{case}/you", {"reach": "email", "email": EMAIL, "phone": ""})
    number = (await send(visitor, case)).headers["location"].removeprefix("/applications/")
    staff = await sign_in(db, new_visitor())
    path = await office_path(db, number)
    assert (await visitor.get(f"{case}/feedback")).status_code == CONFLICT
    for action in ("accept", "complete"):
        await press(staff, path, action)
    assert (await visitor.get(f"{case}/feedback")).status_code == OK


@pytest.mark.parametrize("first", ["called", "serving", "done"])
async def test_whoever_is_at_the_counter_has_come_whichever_state_is_heard_first(
    db: Database, visitor: Visitor, first: str
) -> None:
    """Seen to fail with `checked_in` alone: what was done counted as given up later."""
    case = await visitor.open_case()
    time = time_of(case)
    await hear(db, make_appointment(AppointmentBooked, 1, "booked", **time))
    await switch(visitor, case, "online")
    after = {name: NOW + timedelta(hours=1, minutes=n) for n, name in enumerate(("checked_in", "called", "done"))}
    after["serving"] = after["done"] - timedelta(seconds=1)

    def told(version: int, state: str) -> Any:
        return make_appointment(AppointmentProgressed, version, state, occurred_at=after[state], **time)

    await hear(db, told(4, first), *([told(5, "done")] if first != "done" else []), told(2, "checked_in"))
    found = await counted(db)
    assert found["finished", "counter"] == 1
    assert [key[:3] for key in found if key[0] == "switched"].count(("switched", "online", "counter")) == 1


async def test_what_the_desk_said_since_they_came_stands(
    db: Database, visitor: Visitor, new_visitor: NewVisitor
) -> None:
    case = await visitor.open_case()
    time = time_of(case, office="子育て")
    await hear(db, make_appointment(AppointmentBooked, 1, "booked", **time))
    received = make_appointment(AppointmentProgressed, 2, "checked_in", occurred_at=NOW, **time)
    await hear(db, received)
    staff = await sign_in(db, new_visitor(), roles=("counter",))
    ways = f"/office{case}/ways"
    page = await staff.get(ways)
    fields = {"channel": "online", "consent": "desk", "version": hidden(page, "version")}
    assert (await staff.post(f"/office{case}/channel", fields)).status_code == SEE_OTHER
    later = NOW + timedelta(minutes=5)
    await hear(db, make_appointment(AppointmentProgressed, 3, "done", occurred_at=later, **time))
    async with db.begin(TOWN) as session:
        assert (await session.execute(text("SELECT channel FROM case_file"))).scalar_one() == "online"


async def test_at_another_device_the_thread_is_open_too_without_code_or_close(
    db: Database, visitor: Visitor, new_visitor: NewVisitor
) -> None:
    """And no longer once it is sent. Seen to fail with the one who began it alone, and with the cookie."""
    case = await fill_in(visitor)
    other = await began(new_visitor, case, (await make_link(visitor, case))[0])
    assert f'href="{case}/thread"' in (await other.get("/my")).text
    page = await other.get(f"{case}/thread")
    assert page.status_code == OK
    assert "この手続きだけを開いています" in page.text
    assert GIVE_UP not in page.text
    assert (await new_visitor().get(f"{case}/thread")).status_code == NOT_FOUND
    await send(visitor, case)
    assert (await other.get(f"{case}/thread")).status_code == NOT_FOUND


async def test_back_online_after_a_wish_is_in_the_thread(
    db: Database, visitor: Visitor, new_visitor: NewVisitor
) -> None:
    number = await apply(visitor)
    async with db.begin(TOWN) as session:
        case_id = (await session.execute(text("SELECT case_id FROM application"))).scalar_one()
    case = f"/cases/{case_id}"
    staff = await sign_in(db, new_visitor())
    await press(staff, await office_path(db, number), "accept")
    await switch(visitor, case, "counter")
    await switch(visitor, case, "online")
    async with db.begin(TOWN) as session:
        steps = await session.execute(text("SELECT kind, channel FROM case_step ORDER BY version"))
        assert [tuple(row) for row in steps] == [
            ("begun", "online"), ("switched", "counter"), ("switched", "online"),
        ]  # fmt: skip
