"""Calls: whoever chose to be called is called once, in words for it, with three ends; and what nobody could reach."""

from datetime import timedelta
from typing import get_args

import httpx
import pytest

from services.notifications.commands.calls import CALLS_MAX
from services.notifications.commands.ways import NewWay
from services.notifications.domain.notices import MAY_BE_MISSED, Kind
from services.notifications.pages.tasks import script_of
from services.notifications.queries_of_templates import LANGUAGES
from services.notifications.rendering import say_call
from services.notifications.samples import cases_of, make_sample
from shared.reference_number import show_number
from tests.conftest import TestDatabase
from tests.notifications.by_hand import CALL, LATER, book, task_of
from tests.notifications.harness import CODE, EMAIL, LINK_TOKEN, NOW, Notifications, sign_in
from tests.notifications.test_web import fail_one
from tests.notifications.test_words_of_every_kind import TELLING, facts

MAIL = NewWay(kind="email", address=EMAIL)
OTHER_CALL = NewWay(kind="call", address="+81463700000")
KINDS: tuple[Kind, ...] = get_args(Kind)
ATTEMPTS = "SELECT way_no, provider, outcome, delivery FROM attempt ORDER BY attempt_no"


async def press(client: httpx.AsyncClient, task: object, button: str, **fields: object) -> str:
    """Where a button of the task's page leads."""
    answer = await client.post(f"/notices/tasks/{task}/{button}", data=fields)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


async def states_of_ways(service: Notifications) -> list[tuple[int, str]]:
    return [tuple(row) for row in await service.rows("SELECT way_no, state FROM contact_way ORDER BY way_no")]


# --- what is said -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
def test_there_is_a_script_for_whatever_is_called(language: str) -> None:
    for kind in set(KINDS) - set(MAY_BE_MISSED):
        for case in cases_of(kind):
            order = make_sample(kind, case, language, facts(), own={}, now=NOW)
            script = script_of(order)
            assert script.opening
            assert script.to_others
            assert len(script.matter) >= 2, (kind, case)
            said = say_call(order)
            # What proves who somebody is is said to nobody, and nothing is to be tapped.
            for secret in (str(order.code), str(order.link_token), "http", "リンク", "メール"):
                assert secret not in said, (kind, case, secret)
            assert order.town_phone in said
            assert show_number(order.number) in said


@pytest.mark.parametrize("language", LANGUAGES)
def test_nobody_hears_the_name_of_what_is_discreet_nor_anything_before_they_said_who_they_are(language: str) -> None:
    for kind in set(KINDS) - set(MAY_BE_MISSED):
        for case in cases_of(kind):
            order = make_sample(kind, case, language, facts(), own={}, now=NOW)
            script = script_of(order)
            if case == "discreet":
                assert not [word for word in TELLING if word in say_call(order)], kind
            for word in filter(None, (order.procedure_name, order.number, order.message_body, order.title)):
                assert word not in script.opening + script.to_others, (kind, word)


def test_a_discreet_matter_warns_whoever_calls() -> None:
    order = make_sample("reminder", "discreet", "ja", facts(), own={}, now=NOW)
    assert order.discreet


# --- what comes of it ---------------------------------------------------------------------------------------------


async def test_whoever_chose_a_call_is_a_task_with_a_script(
    service: Notifications, signed_in: httpx.AsyncClient
) -> None:
    await book(service, CALL)
    assert (await service.states(), await service.open_tasks()) == ({"confirmation": "sent"}, ["call_chosen"])
    task = await task_of(service)
    assert f"/notices/tasks/{task}" in (await signed_in.get("/notices/unreached")).text
    page = (await signed_in.get(f"/notices/tasks/{task}")).text
    for words in (
        "ご本人様でいらっしゃいますか",
        "予約ができました",
        "児童手当",
        "午前10時",
        "預金通帳",
        "NNN-1042",
        "0463-71-3311",
    ):
        assert words in page, words
    for secret in (CODE, LINK_TOKEN, "3711-3311", "046-371-3311"):
        assert secret not in page
    assert await service.rows("SELECT 1 FROM ledger_entry WHERE entry_type = 'staff_viewed'") == []
    shown = await signed_in.post(f"/notices/tasks/{task}/contact", data={"on": "task"})
    assert shown.status_code == 200
    assert "話すことば" in shown.text
    assert 'href="tel:+81463713311"' in shown.text
    assert len(await service.rows("SELECT 1 FROM ledger_entry WHERE entry_type = 'staff_viewed'")) == 1


async def test_the_script_is_in_the_persons_language(service: Notifications, signed_in: httpx.AsyncClient) -> None:
    await book(service, CALL, language="en")
    page = (await signed_in.get(f"/notices/tasks/{await task_of(service)}")).text
    assert 'lang="en"' in page
    assert "英語" in page
    assert "Your appointment is booked" in page


async def test_reached_is_delivered_and_can_be_undone(service: Notifications, signed_in: httpx.AsyncClient) -> None:
    await book(service, CALL, MAIL)
    task = await task_of(service)
    for _ in range(2):
        assert await press(signed_in, task, "done") == f"/notices/unreached?done={task}"
    assert [tuple(row) for row in await service.rows(ATTEMPTS)] == [(2, "call_list", "accepted", "delivered")]
    assert (await service.rows("SELECT delivery FROM notice"))[0].delivery == "delivered"
    assert await service.open_tasks() == []
    await press(signed_in, task, "undo")
    assert await service.open_tasks() == ["call_chosen"]
    assert [tuple(row) for row in await service.rows(ATTEMPTS)] == [(2, "call_list", "accepted", None)]
    assert (await service.rows("SELECT delivery FROM notice"))[0].delivery == "accepted"
    await press(signed_in, task, "done")
    assert (await service.rows("SELECT delivery FROM notice"))[0].delivery == "delivered"


async def test_who_does_not_pick_up_is_called_again_and_then_told_by_the_next_way(
    service: Notifications, database: TestDatabase, signed_in: httpx.AsyncClient
) -> None:
    await book(service, CALL, MAIL)
    task = await task_of(service)
    for tries in range(CALLS_MAX - 1):
        for _ in range(2):
            # A second tap counts nothing.
            await press(signed_in, task, "unanswered", tries=tries)
        page = (await signed_in.get(f"/notices/tasks/{task}?done=unanswered")).text
        assert f"電話に出なかったことを記録しました（{tries + 1}回）" in page
        assert "もう一度かけてください" in page
        service.now += timedelta(hours=20)
        sign_in(service, database, signed_in, roles=("counter",))
    assert await service.open_tasks() == ["call_chosen"]
    await press(signed_in, task, "unanswered", tries=CALLS_MAX - 1)
    await service.settle()
    # Days later: what it tells of is still ahead, and the number is as good as it was.
    assert [sent.to for sent in service.sink.messages(channel="email")] == [EMAIL]
    assert await states_of_ways(service) == [(2, "good"), (3, "good")]
    assert await service.open_tasks() == []
    done = await service.rows("SELECT action, actor_ref, ref FROM audit")
    assert [tuple(row) for row in done] == [("call_unanswered", "staff-1", str(task))] * CALLS_MAX


async def test_who_never_picks_up_and_has_no_other_way_stays_a_task(
    service: Notifications, signed_in: httpx.AsyncClient
) -> None:
    await book(service, CALL)
    task = await task_of(service)
    for tries in range(CALLS_MAX):
        await press(signed_in, task, "unanswered", tries=tries)
    assert await service.open_tasks() == ["no_answer"]
    assert "何度かけても、電話に出ません" in (await signed_in.get("/notices/unreached")).text
    await press(signed_in, task, "unanswered", tries=CALLS_MAX)
    assert await service.open_tasks() == ["no_answer"]
    await press(signed_in, task, "done")
    assert await service.open_tasks() == []


async def test_a_wrong_number_is_dead_and_the_next_way_is_taken_at_once(
    service: Notifications, signed_in: httpx.AsyncClient
) -> None:
    await book(service, CALL, MAIL)
    task = await task_of(service)
    for _ in range(2):
        assert await press(signed_in, task, "wrong-number") == f"/notices/tasks/{task}?done=wrong-number"
    await service.settle()
    told = [sent for sent in service.sink.messages(channel="email") if "NNN-1042" in sent.text]
    assert [sent.to for sent in told] == [EMAIL]
    assert await states_of_ways(service) == [(2, "dead"), (3, "good")]
    assert await service.open_tasks() == []
    assert "つぎの送り方で、すぐに知らせます" in (await signed_in.get(f"/notices/tasks/{task}?done=wrong-number")).text
    # What has gone has gone; but the number is good again.
    await press(signed_in, task, "undo")
    assert (await states_of_ways(service), await service.open_tasks()) == ([(2, "good"), (3, "good")], [])
    done = [row.action for row in await service.rows("SELECT action FROM audit ORDER BY occurred_at")]
    assert done == ["call_wrong_number", "task_reopened"]


async def test_a_wrong_number_that_was_none_is_taken_back_before_anything_went(
    service: Notifications, signed_in: httpx.AsyncClient
) -> None:
    await book(service, CALL, MAIL)
    task = await task_of(service)
    await press(signed_in, task, "wrong-number")
    await press(signed_in, task, "undo")
    await service.settle()
    assert [sent for sent in service.sink.messages(channel="email") if "NNN-1042" in sent.text] == []
    assert await states_of_ways(service) == [(2, "good"), (3, "good")]
    assert (await service.states())["confirmation"] == "sent"
    assert await service.open_tasks() == ["call_chosen"]
    await press(signed_in, task, "done")
    assert (await service.rows("SELECT delivery FROM notice WHERE kind = 'confirmation'"))[0].delivery == "delivered"


async def test_another_number_of_theirs_is_the_same_task_once_more(
    service: Notifications, signed_in: httpx.AsyncClient
) -> None:
    await book(service, CALL, OTHER_CALL)
    task = await task_of(service)
    await press(signed_in, task, "unanswered", tries=0)
    await press(signed_in, task, "wrong-number")
    await service.settle()
    assert await task_of(service) == task
    [row] = await service.rows("SELECT reason, way_no, tries, done_at FROM staff_task")
    assert tuple(row) == ("call_chosen", 3, 0, None)
    shown = await signed_in.post(f"/notices/tasks/{task}/contact", data={"on": "task"})
    assert "tel:+81463700000" in shown.text


async def test_a_count_is_taken_back(service: Notifications, signed_in: httpx.AsyncClient) -> None:
    await book(service, CALL)
    task = await task_of(service)
    await press(signed_in, task, "unanswered", tries=0)
    await press(signed_in, task, "undo")
    [row] = await service.rows("SELECT tries, again_at FROM staff_task")
    assert tuple(row) == (0, None)


async def test_whom_nobody_could_reach_is_called_in_words_too(
    service: Notifications, signed_in: httpx.AsyncClient
) -> None:
    await fail_one(service)
    task = await task_of(service)
    page = (await signed_in.get(f"/notices/tasks/{task}")).text
    assert "予約ができました" in page
    # Which of their addresses is somebody else's, the staff cannot tell by a call.
    assert "wrong-number" not in page
    assert (await signed_in.post(f"/notices/tasks/{task}/wrong-number")).status_code == 404
    await press(signed_in, task, "unanswered", tries=0)
    assert (
        "電話に出なかったことを記録しました（1回）"
        in (await signed_in.get(f"/notices/tasks/{task}?done=unanswered")).text
    )
    for tries in range(1, CALLS_MAX + 1):
        await press(signed_in, task, "unanswered", tries=tries)
    assert await service.open_tasks() == ["rejected"]


async def test_a_discreet_name_is_in_no_word_that_is_said(service: Notifications, signed_in: httpx.AsyncClient) -> None:
    await book(service, CALL, procedure="OKU01", counter="0")
    page = (await signed_in.get(f"/notices/tasks/{await task_of(service)}")).text
    assert "人に知られたくない手続きです" in page
    said = page.split("話すことば")[1].split("電話のあとで押してください")[0]
    assert not [word for word in ("おくやみ", "死亡") if word in said]


@pytest.mark.parametrize("what", ["changed", "cancelled"])
async def test_what_was_overtaken_is_not_called_any_more(service: Notifications, what: str) -> None:
    booked = await book(service, CALL)
    event = service.changed(booked, LATER + timedelta(days=1)) if what == "changed" else service.cancelled(booked)
    await service.hear(event)
    assert ((await service.states())["confirmation"], await service.open_tasks()) == ("superseded", [])
    await service.settle()
    # The newer word is a call of its own.
    assert await service.open_tasks() == ["call_chosen"]


async def test_a_reminder_that_nobody_called_in_time_is_taken_back(service: Notifications) -> None:
    await service.rows("INSERT INTO reminder_rule VALUES ('143421', 'day', 1440, NULL) RETURNING 1")
    await book(service, CALL)
    await service.rows("UPDATE staff_task SET done_at = opened_at, done_by = 'x' RETURNING 1")
    service.now = LATER - timedelta(days=1)
    await service.settle()
    assert await service.open_tasks() == ["call_chosen"]
    service.now = LATER
    await service.settle()
    assert ((await service.states())["reminder"], await service.open_tasks()) == ("superseded", [])


async def test_a_coordinator_calls_helpers_alone(
    service: Notifications, database: TestDatabase, client: httpx.AsyncClient
) -> None:
    await book(service, CALL)
    task = await task_of(service)
    sign_in(service, database, client, roles=("coordinator",))
    assert (await client.get(f"/notices/tasks/{task}")).status_code == 404
    for button in ("unanswered", "wrong-number"):
        assert (await client.post(f"/notices/tasks/{task}/{button}", data={"tries": 0})).status_code == 404
        assert (await client.get(f"/notices/tasks/{task}/{button}")).headers["location"] == f"/notices/tasks/{task}"
    service.sink.behave("sms", "reject_permanent")
    await service.hear(service.account("sms"), service.helper_told("offer"))
    await service.settle()
    [row] = await service.rows("SELECT task_id FROM staff_task WHERE told_id IS NOT NULL")
    page = await client.get(f"/notices/tasks/{row.task_id}")
    assert page.status_code == 200
    assert "来ていただけませんか" in page.text


async def test_what_was_not_said_as_a_number_counts_nothing(
    service: Notifications, signed_in: httpx.AsyncClient
) -> None:
    await book(service, CALL)
    task = await task_of(service)
    for tries in ("", "x", "-1", "9" * 30):
        answer = await signed_in.post(f"/notices/tasks/{task}/unanswered", data={"tries": tries})
        assert answer.status_code == 400
    assert (await service.rows("SELECT tries FROM staff_task"))[0].tries == 0
