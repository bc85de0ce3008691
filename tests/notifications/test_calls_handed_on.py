"""Calls that go on by another way, come back, or end by themselves: nobody is told by nobody."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from services.notifications.commands.calls import CALLS_MAX
from services.notifications.commands.receipts import record_receipt
from services.notifications.commands.ways import NewWay
from shared.events.booking import AppointmentProgressed
from tests.notifications.by_hand import CALL, LATER, book, task_of
from tests.notifications.harness import EMAIL, TOWN, Notifications
from tests.notifications.test_calls import press, states_of_ways
from tests.notifications.test_closings import closed

MAIL = NewWay(kind="email", address=EMAIL)


async def nobody_answers(client: httpx.AsyncClient, task: object) -> None:
    for tries in range(CALLS_MAX):
        await press(client, task, "unanswered", tries=tries)


async def receipt(service: Notifications, way_no: int) -> None:
    """Of the confirmation: it did not arrive by this way."""
    [row] = await service.rows("SELECT notice_id FROM notice WHERE kind = 'confirmation'")
    async with service.db.begin(TOWN) as session:
        await record_receipt(session, TOWN, row.notice_id, "failed", way_no=way_no, now=service.now)


# --- by another way, and back -------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["no_answer", "wrong_number"])
@pytest.mark.parametrize("fails", ["at_once", "later"])
async def test_whom_the_next_way_does_not_reach_either_is_a_task_again(
    service: Notifications, signed_in: httpx.AsyncClient, how: str, fails: str
) -> None:
    """Seen to fail: the task stayed done, and nobody was to reach them."""
    await book(service, CALL, MAIL)
    task = await task_of(service)
    if fails == "at_once":
        service.sink.behave("smtp", "reject_permanent", times=5)
    if how == "no_answer":
        await nobody_answers(signed_in, task)
    else:
        await press(signed_in, task, "wrong-number")
    service.now += timedelta(minutes=5)
    await service.settle()
    if fails == "later":
        assert await service.open_tasks() == []
        await receipt(service, 3)
    [row] = await service.rows("SELECT task_id, reason, opened_at, done_at, done_by, tries, again_at FROM staff_task")
    reason = "rejected" if fails == "at_once" else "not_delivered"
    assert tuple(row) == (task, reason, service.now, None, None, 0, None)
    await press(signed_in, task, "done")
    assert await service.open_tasks() == []


async def test_what_staff_have_done_is_not_asked_of_them_again(
    service: Notifications, signed_in: httpx.AsyncClient
) -> None:
    await book(service, CALL)
    task = await task_of(service)
    await nobody_answers(signed_in, task)
    await press(signed_in, task, "done")
    await receipt(service, 2)
    assert await service.open_tasks() == []


async def test_a_number_that_was_right_after_all_is_called_when_the_other_way_fails(
    service: Notifications, signed_in: httpx.AsyncClient
) -> None:
    """Seen to fail: the call was accepted, and its task stayed done."""
    await book(service, CALL, MAIL)
    task = await task_of(service)
    await press(signed_in, task, "wrong-number")
    await service.settle()
    await press(signed_in, task, "undo")
    assert await service.open_tasks() == []
    await receipt(service, 3)
    await service.settle()
    assert await service.open_tasks() == ["call_chosen"]
    [row] = await service.rows("SELECT way_no, tries, done_by FROM staff_task")
    assert tuple(row) == (2, 0, None)


async def test_after_nobody_answered_it_may_turn_out_to_be_somebody_elses_number(
    service: Notifications, signed_in: httpx.AsyncClient
) -> None:
    """Seen to fail: there was no such button any more, and the number stayed good."""
    await book(service, CALL)
    task = await task_of(service)
    await nobody_answers(signed_in, task)
    assert f"/notices/tasks/{task}/wrong-number" in (await signed_in.get(f"/notices/tasks/{task}")).text
    for _ in range(2):
        await press(signed_in, task, "wrong-number")
    assert (await states_of_ways(service), await service.open_tasks()) == ([(2, "dead")], ["wrong_number"])
    assert f"/notices/tasks/{task}/wrong-number" not in (await signed_in.get(f"/notices/tasks/{task}")).text
    deeds = await service.rows("SELECT 1 FROM audit WHERE action = 'call_wrong_number'")
    assert len(deeds) == 1
    await press(signed_in, task, "undo")
    assert await states_of_ways(service) == [(2, "good")]


# --- what ended by itself -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_called", [False, True])
async def test_of_a_closing_that_nobody_called_about_nobody_has_heard(
    service: Notifications, signed_in: httpx.AsyncClient, is_called: bool
) -> None:
    """Seen to fail: they were called to hear that what they had not heard of was over."""
    booked = await book(service, CALL)
    await press(signed_in, await task_of(service), "done")
    asked = closed(service, booked)
    await service.hear(asked)
    await service.settle()
    [call] = await service.rows("SELECT task_id FROM staff_task WHERE done_at IS NULL")
    if is_called:
        await press(signed_in, call.task_id, "done")
    back = service.followed(AppointmentProgressed, asked, closure="none", offer_starts_at=None, offer_until=None)
    await service.hear(back)
    await service.settle()
    assert ("reopened" in await service.states()) is is_called


@pytest.mark.parametrize(
    ("reason", "done_by", "is_asked"),
    [
        ("call_chosen", "staff-1", True),
        ("no_answer", "next_way", True),
        ("not_moved", "closing", True),
        ("call_chosen", "overtaken", True),
        ("call_chosen", None, True),
        ("not_delivered", "staff-1", False),
        ("not_delivered", None, False),
    ],
)
async def test_a_reminder_that_does_not_arrive_is_a_task_unless_staff_call_them_about_it_anyway(
    service: Notifications, reason: str, done_by: str | None, is_asked: bool
) -> None:
    """Seen to fail: whoever had chosen a call once was never asked for again."""
    await service.rows("INSERT INTO reminder_rule VALUES ('143421', 'day', 1440, NULL) RETURNING 1")
    await book(service, CALL, MAIL)
    values: dict[str, Any] = {"reason": reason, "by": done_by, "at": service.now if done_by else None}
    await service.rows("UPDATE staff_task SET (reason, done_by, done_at) = (:reason, :by, :at) RETURNING 1", **values)
    await service.rows("DELETE FROM contact_way WHERE way_no = 2 RETURNING 1")
    before = await service.open_tasks()
    service.sink.behave("smtp", "reject_permanent", times=5)
    service.now = LATER - timedelta(days=1)
    await service.settle()
    assert (await service.states())["reminder"] == "failed"
    assert await service.open_tasks() == before + ["rejected"] * is_asked
