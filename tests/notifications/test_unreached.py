"""Whom nobody reaches: person by person, the most urgent first, and who will not be reached; counted, and measured."""

import re
from datetime import timedelta
from uuid import UUID, uuid4

import httpx
from prometheus_client import REGISTRY

from services.notifications.commands.telling import KEPT_FOR_STAFF
from services.notifications.measuring import Measuring
from services.notifications.queries_of_unreached import PEOPLE
from tests.conftest import TestDatabase
from tests.notifications.harness import Notifications, sign_in
from tests.notifications.test_delivery_log import told_by_town

UNREACHED = "/notices/unreached"


async def fail(service: Notifications, number: str, *, hours: int = 72, subject_ref: UUID | None = None) -> None:
    """Somebody books, and no SMS reaches them."""
    contact = service.contact("sms", subject_ref=subject_ref)
    service.sink.behave("sms", "reject_permanent")
    starts_at = service.now + timedelta(hours=hours)
    await service.hear(contact, service.booked(contact, number=number, starts_at=starts_at))
    await service.settle()


def numbers(page: str) -> list[str]:
    """Those that head a card, in their order."""
    return re.findall(r"<h3[^>]*>番号 ([^<]+)</h3>", page)


async def test_all_of_one_person_is_one_card_and_who_must_know_soonest_is_first(
    service: Notifications, database: TestDatabase, client: httpx.AsyncClient, signed_in: httpx.AsyncClient
) -> None:
    subject = uuid4()
    await fail(service, "NNN2001", hours=48, subject_ref=subject)
    await fail(service, "NNN2002", hours=5)
    await fail(service, "NNN2003", hours=24, subject_ref=subject)
    page = (await signed_in.get(UNREACHED)).text
    assert numbers(page) == ["NNN-2002", "NNN-2003"]
    card = page[page.index("NNN-2003</h3>") :]
    assert "NNN-2001" in card
    assert "送った回数：2" in card
    for words in ("全部で2人です", "までに伝えます", "あて先に届きません", "送った記録を見る"):
        assert words in page, words
    log = (await signed_in.get("/notices")).text
    assert "連絡がつかない人が2人います" in log
    await service.pass_time(hours=6)
    page = (await sign_in(service, database, client, roles=("counter",)).get(UNREACHED)).text
    # For whom it is too late comes last.
    assert numbers(page) == ["NNN-2003", "NNN-2002"]
    assert "時間がすぎています" in page


async def test_they_are_chosen_by_reason_and_go_on_on_another_page(
    service: Notifications, database: TestDatabase, client: httpx.AsyncClient
) -> None:
    for number in range(PEOPLE + 1):
        await fail(service, f"NNN{number:04}", hours=3 + number)
    await service.hear(service.booked(service.contact("sms"), number="NNN9999"))
    await service.pass_time(minutes=11)
    staff = sign_in(service, database, client, roles=("counter",))
    first = (await staff.get(UNREACHED)).text
    assert len(numbers(first)) == PEOPLE
    assert f"あて先に届かない（{PEOPLE + 1}）" in first
    assert f'href="{UNREACHED}?skip={PEOPLE}"' in first
    rest = (await staff.get(f"{UNREACHED}?skip={PEOPLE}")).text
    assert len(numbers(rest)) == 2
    assert numbers((await staff.get(f"{UNREACHED}?reason=contact_missing")).text) == ["NNN-9999"]
    for garbage in ("reason=x&skip=-1", "skip=%E4%B8%80&done=x", "skip=99999999999999999999"):
        assert (await staff.get(f"{UNREACHED}?{garbage}")).status_code == 200


async def test_whose_every_way_is_dead_will_not_be_reached(
    service: Notifications, signed_in: httpx.AsyncClient
) -> None:
    contact = service.contact("sms")
    await service.hear(contact, service.booked(contact))
    await service.settle()
    assert "これから連絡がつかなくなる人" not in (await signed_in.get(UNREACHED)).text
    await service.rows("UPDATE contact_way SET state = 'dead', state_at = :now RETURNING 1", now=service.now)
    page = (await signed_in.get(UNREACHED)).text
    assert "これから連絡がつかなくなる人" in page
    assert "NNN-1042" in page
    await service.rows("UPDATE contact_point SET wants_paper = true RETURNING 1")
    assert "NNN-1042" not in (await signed_in.get(UNREACHED)).text


async def test_whom_staff_call_already_is_not_shown_twice(service: Notifications, signed_in: httpx.AsyncClient) -> None:
    """The refused SMS left its way dead, and a task."""
    await fail(service, "NNN2001")
    page = (await signed_in.get(UNREACHED)).text
    assert numbers(page) == ["NNN-2001"]
    assert "これから連絡がつかなくなる人" not in page


async def test_whom_the_town_must_tell_is_reached_by_their_contact_and_reads_of_it(
    service: Notifications, signed_in: httpx.AsyncClient
) -> None:
    """Seen to fail before: a task of the town's own notice had no contact."""
    contact = service.contact("sms")
    await service.hear(contact)
    service.sink.behave("sms", "reject_permanent")
    await told_by_town(service, contact)
    await service.settle()
    [task] = await service.rows("SELECT task_id FROM staff_task")
    assert "番号のない人（町から送ったもの）" in (await signed_in.get(UNREACHED)).text
    shown = await signed_in.post(f"/notices/tasks/{task.task_id}/contact", headers={"hx-request": "true"})
    assert "090-1234-5678" in shown.text
    assert "情報の履歴" in shown.text
    [entry] = await service.rows(
        "SELECT target_case, target_procedure FROM ledger_entry WHERE entry_type = 'staff_viewed'"
    )
    assert tuple(entry) == (contact.case_id, None)
    done = await signed_in.post(f"/notices/tasks/{task.task_id}/done")
    assert "連絡したことを記録しました" in (await signed_in.get(done.headers["location"])).text


async def test_an_address_that_nobody_here_has_is_kept_until_staff_have_called(
    service: Notifications, database: TestDatabase, client: httpx.AsyncClient
) -> None:
    """Seen to fail before: the address was in what was told alone, and forgotten when it was of no more use."""
    service.sink.behave("sms", "reject_permanent")
    await told_by_town(service, None)
    await service.settle()
    [task] = await service.rows("SELECT task_id FROM staff_task")
    await service.pass_time(days=2)
    staff = sign_in(service, database, client, roles=("counter",))
    shown = await staff.post(f"/notices/tasks/{task.task_id}/contact", headers={"hx-request": "true"})
    assert "090-1234-5678" in shown.text
    assert "操作の記録" in shown.text
    assert await service.rows("SELECT 1 FROM ledger_entry WHERE entry_type = 'staff_viewed'") == []
    await staff.post(f"/notices/tasks/{task.task_id}/done")
    await service.pass_time(days=1)
    await service.pass_time(days=1)
    assert await service.rows("SELECT 1 FROM told WHERE content_sealed IS NOT NULL") == []


async def test_what_nobody_called_about_is_forgotten_at_last(service: Notifications) -> None:
    service.sink.behave("sms", "reject_permanent")
    await told_by_town(service, None)
    await service.settle()
    for _ in range(KEPT_FOR_STAFF.days + 2):
        await service.pass_time(days=1)
    assert await service.rows("SELECT 1 FROM told WHERE content_sealed IS NOT NULL") == []
    assert len(await service.open_tasks()) == 1


async def test_they_are_measured_without_saying_who(service: Notifications) -> None:
    def value(name: str, **labels: str) -> float | None:
        return REGISTRY.get_sample_value(name, labels)

    await fail(service, "NNN2001")
    await fail(service, "NNN2002")
    await service.pass_time(minutes=5)
    measuring = Measuring(service.db, service.providers, lambda: service.now)
    await measuring.measure_tasks()
    assert value("choudo_staff_tasks_open", reason="rejected") == 2
    assert value("choudo_people_unreached") == 2
    assert value("choudo_staff_task_oldest_seconds") == 300
    await service.rows("UPDATE staff_task SET done_at = now() RETURNING 1")
    await measuring.measure_tasks()
    assert value("choudo_staff_tasks_open", reason="rejected") is None
    assert (value("choudo_people_unreached"), value("choudo_staff_task_oldest_seconds")) == (0, 0)


async def test_a_coordinator_sees_nobodys_number_by_the_address_of_a_task(
    service: Notifications, database: TestDatabase, client: httpx.AsyncClient
) -> None:
    """Seen to fail with any task of the town looked up: the page said who was reached."""
    await fail(service, "NNN2001")
    [task] = await service.rows("UPDATE staff_task SET done_at = now(), done_by = 'staff-1' RETURNING task_id")
    done = f"{UNREACHED}?done={task.task_id}"
    assert "NNN-2001" in (await sign_in(service, database, client, roles=("counter",)).get(done)).text
    assert "NNN-2001" not in (await sign_in(service, database, client, roles=("coordinator",)).get(done)).text
