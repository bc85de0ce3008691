"""The delivery log, the staff tasks, and the providers' receipts, over HTTP."""

from datetime import timedelta
from uuid import uuid4

import httpx
import msgspec
import pytest

from services.notifications.app import create_app
from tests.conftest import TestDatabase
from tests.notifications.harness import CODE, EMAIL, LINK_TOKEN, OTHER_TOWN, PHONE, TOKEN, TOWN, Notifications, sign_in

RECEIPTS = "/notifications/api/receipts/sms_gateway"
BEARER = {"authorization": f"Bearer {TOKEN}"}


async def fail_one(service: Notifications) -> None:
    service.sink.behave("sms", "reject_permanent")
    contact = service.contact("sms")
    await service.hear(contact, service.booked(contact))
    await service.settle()


async def test_the_log_shows_numbers_and_states_and_no_personal_data(
    service: Notifications, signed_in: httpx.AsyncClient
) -> None:
    await fail_one(service)
    contact = service.contact("email")
    await service.hear(contact, service.booked(contact, number="NNN2077"), service.booked(None, number="NNN3001"))
    await service.settle()
    answer = await signed_in.get("/notices")
    assert answer.status_code == 200
    for words in (
        "お知らせの記録",
        "NNN-1042",
        "NNN-2077",
        "NNN-3001",
        "送れませんでした",
        "送りました",
        "送りません（控えの方）",
        "状態",
    ):
        assert words in answer.text, words
    for secret in (EMAIL, PHONE, "09012345678", LINK_TOKEN, CODE):
        assert secret not in answer.text


async def test_an_empty_log_says_so(signed_in: httpx.AsyncClient) -> None:
    assert "お知らせはまだありません" in (await signed_in.get("/notices")).text
    assert "連絡がつかない人はいません" in (await signed_in.get("/notices/unreached")).text


async def test_a_long_log_goes_on_on_another_page(service: Notifications, signed_in: httpx.AsyncClient) -> None:
    for number in range(101):
        await service.pass_time(seconds=1)
        await service.hear(service.booked(None, number=f"NNN{number:04}"))
    first = await signed_in.get("/notices")
    assert "NNN-0100" in first.text
    assert "NNN-0000" not in first.text
    href = first.text.split('href="/notices?before=')[1].split('"')[0]
    older = await signed_in.get(f"/notices?before={href}")
    assert "NNN-0000" in older.text
    assert "NNN-0001" not in older.text
    for garbage in ("x", "2026-01-01", "%00", "9" * 100):
        assert (await signed_in.get(f"/notices?before={garbage}")).status_code == 200


async def test_a_task_is_done_once_and_audited(service: Notifications, signed_in: httpx.AsyncClient) -> None:
    await fail_one(service)
    [task] = await service.rows("SELECT task_id FROM staff_task")
    assert f"/notices/tasks/{task.task_id}/done" in (await signed_in.get("/notices/unreached")).text
    for _ in range(2):
        answer = await signed_in.post(f"/notices/tasks/{task.task_id}/done")
        assert (answer.status_code, answer.headers["location"]) == (303, f"/notices/unreached?done={task.task_id}")
    assert await service.open_tasks() == []
    rows = await service.rows("SELECT actor_ref, action, ref FROM audit")
    assert [tuple(row) for row in rows] == [("staff-1", "task_completed", str(task.task_id))]


async def test_unknown_tasks_and_tasks_of_other_towns_are_not_found(
    service: Notifications, signed_in: httpx.AsyncClient
) -> None:
    other = service.contact("sms", municipality=OTHER_TOWN)
    service.sink.behave("sms", "reject_permanent")
    await service.hear(service.catalogue(municipality=OTHER_TOWN), other, service.booked(other))
    await service.settle()
    [task] = await service.rows("SELECT task_id FROM staff_task", municipality=OTHER_TOWN)
    for task_id in (task.task_id, uuid4(), "garbage"):
        assert (await signed_in.post(f"/notices/tasks/{task_id}/done")).status_code == 404
    assert "NNN-1042" not in (await signed_in.get("/notices/unreached")).text


@pytest.mark.parametrize("path", ["/notices", "/notices?before=x"])
async def test_the_log_is_for_staff_only(
    service: Notifications, database: TestDatabase, client: httpx.AsyncClient, path: str
) -> None:
    answer = await client.get(path)
    assert (answer.status_code, answer.headers["location"].split("?")[0]) == (303, "/sign-in")
    assert (await sign_in(service, database, client, roles=("helper",)).get(path)).status_code == 403
    assert (await sign_in(service, database, client, roles=("manager",)).get(path)).status_code == 200
    elsewhere = sign_in(service, database, client, roles=("manager",), municipality=OTHER_TOWN)
    assert (await elsewhere.get(path)).status_code == 303


async def test_a_form_of_another_site_is_refused(service: Notifications, signed_in: httpx.AsyncClient) -> None:
    await fail_one(service)
    [task] = await service.rows("SELECT task_id FROM staff_task")
    answer = await signed_in.post(f"/notices/tasks/{task.task_id}/done", headers={"origin": "http://evil.example"})
    assert answer.status_code == 403
    assert await service.open_tasks() == ["rejected"]


async def test_receipts_move_forward_only(service: Notifications, client: httpx.AsyncClient) -> None:
    contact = service.contact("sms")
    await service.hear(contact, service.booked(contact))
    await service.settle()
    [sent] = service.sink.messages()
    said = []
    for status in ("accepted", "delivered", "delivered", "failed"):
        answer = await client.post(RECEIPTS, json={"id": sent.key, "status": status}, headers=BEARER)
        assert answer.status_code == 204
        said.append((await service.rows("SELECT delivery FROM notice"))[0].delivery)
    assert said == ["accepted", "delivered", "delivered", "delivered"]
    assert await service.open_tasks() == []


async def test_a_message_that_did_not_arrive_becomes_a_task(service: Notifications, client: httpx.AsyncClient) -> None:
    contact = service.contact("sms")
    await service.hear(contact, service.booked(contact))
    await service.settle()
    [sent] = service.sink.messages()
    for _ in range(2):
        await client.post(RECEIPTS, json=[{"id": sent.key, "status": "failed"}], headers=BEARER)
    assert await service.open_tasks() == ["not_delivered"]


async def test_a_receipt_tells_what_became_of_an_unknown_attempt(
    service: Notifications, client: httpx.AsyncClient
) -> None:
    service.sink.behave("sms", "drop_after_accept")
    contact = service.contact("sms")
    await service.hear(contact, service.booked(contact))
    await service.settle()
    assert await service.states() == {"confirmation": "unknown"}
    [sent] = service.sink.messages()
    await client.post(RECEIPTS, json={"id": sent.key, "status": "delivered"}, headers=BEARER)
    await service.pass_time(minutes=5)
    assert await service.states() == {"confirmation": "sent"}
    assert service.sink.messages()[0].times == 1


async def test_receipts_need_the_gateways_token_and_sense(service: Notifications, client: httpx.AsyncClient) -> None:
    key = f"{TOWN}:{uuid4()}"
    good = {"id": key, "status": "delivered"}
    for headers in ({}, {"authorization": "Bearer x"}, {"authorization": "Bearer ほ".encode().decode("latin-1")}):
        encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        assert (await client.post(RECEIPTS, json=good, headers=encoded)).status_code == 401
    assert (await client.post("/notifications/api/receipts/other", json=good, headers=BEARER)).status_code == 404
    # Nobody's message: the gateway shall not repeat it for ever.
    assert (await client.post(RECEIPTS, json=good, headers=BEARER)).status_code == 204
    for bad in (b"", b"{}", b"\xff", b'{"id":"x","status":"delivered"}', b'{"id":"a:b","status":"delivered"}',
                b'{"id":"143421:x","status":"eaten"}'):  # fmt: skip
        answer = await client.post(RECEIPTS, content=bad, headers=BEARER)
        assert answer.status_code == 400, bad
        assert answer.json()["code"] == "bad_request"


async def test_without_a_token_of_the_gateway_nobody_may_report(service: Notifications, database: TestDatabase) -> None:
    settings = msgspec.structs.replace(service.settings, sms_gateway_token="")
    app = create_app(settings, clock=lambda: service.now, db=service.db)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://ninomiya.example.jp") as client:
        body = {"id": f"{TOWN}:{uuid4()}", "status": "delivered"}
        assert (await client.post(RECEIPTS, json=body, headers={"authorization": "Bearer "})).status_code == 401


async def test_an_unknown_host_is_not_found_and_health_needs_none(client: httpx.AsyncClient) -> None:
    assert (await client.get("/notices", headers={"host": "nobody.example"})).status_code == 404
    assert (await client.get("/healthz", headers={"host": "nobody.example"})).text == "ok"
    assert (await client.get("/readyz", headers={"host": "nobody.example"})).status_code == 200


async def test_that_somebody_was_reached_can_be_taken_back(
    service: Notifications, signed_in: httpx.AsyncClient
) -> None:
    await fail_one(service)
    [task] = await service.rows("SELECT task_id FROM staff_task")
    undo = f"/notices/tasks/{task.task_id}/undo"
    answer = await signed_in.post(f"/notices/tasks/{task.task_id}/done")
    page = (await signed_in.get(answer.headers["location"])).text
    assert "NNN-1042に連絡したことを記録しました" in page
    assert undo in page
    for _ in range(2):
        answer = await signed_in.post(undo)
        assert (answer.status_code, answer.headers["location"]) == (303, f"/notices/unreached#task-{task.task_id}")
    assert await service.open_tasks() == ["rejected"]
    # What is not true any more is not said again by a reload.
    page = (await signed_in.get("/notices/unreached", params={"done": str(task.task_id)})).text
    assert "記録しました" not in page
    actions = [row.action for row in await service.rows("SELECT action FROM audit ORDER BY occurred_at, action")]
    assert sorted(actions) == ["task_completed", "task_reopened"]
    for garbage in ("x", str(uuid4())):
        assert (await signed_in.get("/notices/unreached", params={"done": garbage})).status_code == 200


async def test_a_task_says_what_is_needed_to_call(service: Notifications, signed_in: httpx.AsyncClient) -> None:
    service.sink.behave("sms", "reject_permanent")
    contact = service.contact("sms")
    booked = service.booked(contact, starts_at=service.now + timedelta(hours=2))
    await service.hear(service.catalogue(), contact, booked)
    await service.settle()
    page = (await signed_in.get("/notices/unreached")).text
    for words in ("NNN-1042", "児童手当", "11月24日（火）正午", "7番窓口", "連絡先を見る"):
        assert words in page, words
    assert f'href="/counter#line-{booked.appointment_id}"' in page
    await service.pass_time(days=-1)
    assert "/counter#line" not in (await signed_in.get("/notices/unreached")).text


@pytest.mark.parametrize("htmx", [True, False])
async def test_a_contact_is_shown_to_who_asks_and_the_person_reads_of_it(
    service: Notifications, signed_in: httpx.AsyncClient, htmx: bool
) -> None:
    await fail_one(service)
    [task] = await service.rows("SELECT task_id FROM staff_task")
    path = f"/notices/tasks/{task.task_id}/contact"
    assert "090-1234-5678" not in (await signed_in.get("/notices/unreached")).text
    assert await service.rows("SELECT 1 FROM ledger_entry WHERE entry_type = 'staff_viewed'") == []
    answer = await signed_in.post(path, headers={"hx-request": "true"} if htmx else {})
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert "090-1234-5678" in answer.text
    assert f'href="tel:{PHONE}"' in answer.text
    assert ("<html" in answer.text) is not htmx
    [entry] = await service.rows(
        "SELECT actor_kind, actor_ref, items, target_step, visibility FROM ledger_entry"
        " WHERE entry_type = 'staff_viewed'"
    )
    assert tuple(entry) == ("staff", "staff-1", ["contact"], "staff_task", "subject")
    [audit] = await service.rows("SELECT actor_ref, action, ref FROM audit")
    assert tuple(audit) == ("staff-1", "contact_viewed", str(task.task_id))
    # Opened as a page it shows nothing; once the task is done there is no reason to look.
    shown = await signed_in.get(path)
    assert (shown.status_code, shown.headers["location"]) == (303, "/notices/unreached")
    await signed_in.post(f"/notices/tasks/{task.task_id}/done")
    assert (await signed_in.post(path)).status_code == 404


async def test_a_contact_that_was_erased_is_not_shown_and_nothing_is_written(
    service: Notifications, signed_in: httpx.AsyncClient
) -> None:
    await fail_one(service)
    [task] = await service.rows("SELECT task_id FROM staff_task")
    await service.rows("DELETE FROM contact_way RETURNING 1")
    answer = await signed_in.post(f"/notices/tasks/{task.task_id}/contact")
    assert "連絡先はありません" in answer.text
    assert await service.rows("SELECT 1 FROM ledger_entry WHERE entry_type = 'staff_viewed'") == []


async def test_a_task_of_an_application_has_no_time_and_works_as_any_other(
    service: Notifications, signed_in: httpx.AsyncClient
) -> None:
    service.sink.behave("sms", "reject_permanent")
    contact = service.contact("sms")
    await service.hear(service.catalogue(), contact, service.applied(contact))
    await service.settle()
    service.sink.behave("sms", "reject_permanent")
    await service.hear(service.booked(contact))
    await service.settle()
    page = (await signed_in.get("/notices/unreached")).text
    for words in ("K4M7-RXAC", "児童手当", "申請を受けとった"):
        assert words in page, words
    # What has a time comes first.
    assert page.index("NNN-1042") < page.index("K4M7-RXAC")
    [task] = await service.rows("SELECT task_id FROM staff_task WHERE application_id IS NOT NULL")
    shown = await signed_in.post(f"/notices/tasks/{task.task_id}/contact", headers={"hx-request": "true"})
    assert "090-1234-5678" in shown.text
    [entry] = await service.rows(
        "SELECT target_procedure, target_case FROM ledger_entry WHERE target_step = 'staff_task'"
    )
    assert tuple(entry) == ("CHI01", contact.case_id)
    done = await signed_in.post(f"/notices/tasks/{task.task_id}/done")
    assert "K4M7-RXACに連絡したことを記録しました" in (await signed_in.get(done.headers["location"])).text
    await signed_in.post(f"/notices/tasks/{task.task_id}/undo")
    assert len(await service.open_tasks()) == 2


async def test_a_coordinator_sees_helpers_and_nobody_else(
    service: Notifications, database: TestDatabase, client: httpx.AsyncClient
) -> None:
    """Seen to fail without `_theirs` in `commands/tasks.py`: a coordinator opened a resident's address."""
    await fail_one(service)
    service.sink.behave("sms", "reject_permanent")
    await service.hear(service.account(address="+819011112222"), service.helper_told(), service.account("none"))
    await service.settle()
    tasks = {row.told_id is None: row.task_id for row in await service.rows("SELECT told_id, task_id FROM staff_task")}
    coordinator = sign_in(service, database, client, roles=("coordinator",))
    shown = (await coordinator.get("/notices/unreached")).text
    assert "公民館" in shown
    assert "サポーターへのお願い" in shown
    assert "NNN-1042" not in shown
    assert "予約の確認" not in shown
    for deed in ("contact", "done"):
        assert (await coordinator.post(f"/notices/tasks/{tasks[True]}/{deed}")).status_code == 404
    contact = await coordinator.post(f"/notices/tasks/{tasks[False]}/contact")
    assert "090-1111-2222" in contact.text
    assert "操作の記録" in contact.text
    assert [row.action for row in await service.rows("SELECT action FROM audit")] == ["contact_viewed"]
    assert await service.rows("SELECT 1 FROM ledger_entry WHERE entry_type = 'staff_viewed'") == []
    assert "/helpers/people/tanaka" in shown
    done = await coordinator.post(f"/notices/tasks/{tasks[False]}/done")
    assert done.status_code == 303
    assert "サポーターに連絡したことを記録しました" in (await coordinator.get(done.headers["location"])).text
    # Who works at a counter sees both.
    everything = (await sign_in(service, database, client, roles=("counter",)).get("/notices/unreached")).text
    assert "NNN-1042" in everything
