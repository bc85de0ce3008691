"""What became of a notice is told to the system that asked for it: signed, about nobody, at least once, and again."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest_asyncio

from services.notifications.commands.attempts import LEASE, begin_attempts
from services.notifications.commands.by_hand import take_back
from services.notifications.commands.receipts import record_receipt
from services.notifications.commands.system_webhooks import change_telling, tell_again
from services.notifications.domain.receipts import ReceiptStatus
from shared.events.routing import SubjectErased
from shared.reference_number import make_number
from shared.webhooks.sending import WebhookLoop
from shared.webhooks.tries import GIVE_UP_AFTER, LONGEST_PAUSE, MESSAGES_KEPT
from tests.booking.webhook_receiver import Receiver, receiving
from tests.notifications.by_hand import CALL, book
from tests.notifications.harness import TOWN, Notifications
from tests.notifications.systems import MANAGER, ROOT, Library, register, tell_all

ADDRESS, MOBILE = "someone@example.jp", "090-8765-4321"
REPLAY = "/notifications/api/webhooks/replay"


@pytest_asyncio.fixture
async def library(service: Notifications, client: httpx.AsyncClient) -> Library:
    return await register(service, client)


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as made:
        yield made


@pytest_asyncio.fixture
async def loop(library: Library) -> AsyncIterator[WebhookLoop]:
    made = library.telling()
    yield made
    await made.close()


def told(receiver: Receiver) -> list[tuple[str, int]]:
    return [(got.told["type"], got.told["data"]["version"]) for got in receiver.got]


async def hear_receipt(service: Notifications, status: ReceiptStatus, **about: Any) -> None:
    [row] = await service.rows("SELECT notice_id FROM notice ORDER BY created_at DESC LIMIT 1")
    async with service.db.begin(TOWN) as session:
        await record_receipt(session, TOWN, row.notice_id, status, now=service.now, **about)


async def test_what_became_of_it_is_told_signed_and_about_nobody(
    library: Library, service: Notifications, receiver: Receiver, loop: WebhookLoop
) -> None:
    secret = await library.told_at(receiver.url)
    notice_id = await library.accepted(recipient={"phone": MOBILE})
    await tell_all(loop)
    assert receiver.got == []
    await service.settle()
    await hear_receipt(service, "delivered")
    # A receipt that comes again says nothing new.
    await hear_receipt(service, "delivered")
    await tell_all(loop)
    assert sorted(told(receiver), key=lambda each: each[1]) == [("notice.sent", 1), ("notice.delivered", 2)]
    for got in receiver.got:
        assert got.is_signed_by(secret)
        assert got.told["data"]["id"] == notice_id
    [delivered] = [got.told["data"] for got in receiver.got if got.told["type"] == "notice.delivered"]
    assert delivered == {
        "id": notice_id, "version": 2, "kind": "town_notice", "state": "delivered", "way": "sms", "reason": None,
    }  # fmt: skip
    everything = b"".join(got.body + json.dumps(got.headers).encode() for got in receiver.got).decode()
    for secret_of in ("8765", "loan-1", "本", library.key):
        assert secret_of not in everything, secret_of


async def test_what_did_not_arrive_is_told_and_what_is_taken_back(
    library: Library, service: Notifications, receiver: Receiver, loop: WebhookLoop
) -> None:
    await library.told_at(receiver.url)
    await library.accepted(recipient={"phone": MOBILE})
    await service.settle()
    await hear_receipt(service, "failed")
    service.sink.behave("smtp", "reject_permanent")
    await library.accepted()
    await service.settle()
    late = await library.accepted(useful_until=(service.now + timedelta(hours=1)).isoformat())
    await service.rows("UPDATE due SET due_at = now() + interval '9 years' WHERE kind LIKE 'send%' RETURNING 1")
    back = await library.accepted()
    await library.client.delete(f"{ROOT}/{back}", headers=library.headers())
    await tell_all(loop)
    kinds = sorted(kind for kind, _version in told(receiver))
    assert kinds == ["notice.not_delivered", "notice.sent", "notice.stopped", "notice.undeliverable"]
    reasons = {got.told["type"]: got.told["data"]["reason"] for got in receiver.got}
    assert reasons["notice.stopped"] == "taken_back"
    assert {reasons["notice.not_delivered"], reasons["notice.undeliverable"]} == {"not_reached"}
    service.now += timedelta(hours=2)
    await service.rows("UPDATE due SET due_at = '2026-01-01' WHERE kind LIKE 'send%' RETURNING 1")
    await service.settle()
    await tell_all(loop)
    assert receiver.got[-1].told["data"] | {"version": 1} == {
        "id": late, "version": 1, "kind": "town_notice", "state": "undeliverable", "way": "email", "reason": "too_late",
    }  # fmt: skip


async def test_what_goes_on_by_another_way_is_told_as_what_it_came_to(
    library: Library, service: Notifications, receiver: Receiver, loop: WebhookLoop
) -> None:
    """A receipt that says no, and another way: nothing is told of it before that has come to an end."""
    await library.told_at(receiver.url)
    contact = service.contact("sms")
    booked = service.booked(contact, number=make_number(lambda signs: signs[2]))
    await service.hear(contact, booked)
    await service.settle()
    await service.rows("""
        INSERT INTO contact_way (municipality, contact_ref, way_no, position, kind, address_sealed, verified_at)
        SELECT municipality, contact_ref, 2, 2, 'email', address_sealed, verified_at FROM contact_way RETURNING 1""")
    await library.accepted(recipient={"number": booked.number})
    await service.settle()
    await hear_receipt(service, "failed")
    await tell_all(loop)
    assert told(receiver) == [("notice.sent", 1)]


async def test_what_was_told_is_told_again_with_the_same_id(
    library: Library, service: Notifications, receiver: Receiver, loop: WebhookLoop
) -> None:
    await library.told_at(receiver.url)
    await library.accepted("k1")
    await service.settle()
    await tell_all(loop)
    between = service.now = service.now + timedelta(hours=1)
    await library.accepted("k2")
    await service.settle()
    await tell_all(loop)
    assert len(receiver.got) == 2
    answer = await library.client.post(REPLAY, json={"since": between.isoformat()}, headers=library.headers())
    assert (answer.status_code, answer.json()) == (200, {"messages": 1, "more_since": None})
    await tell_all(loop)
    first, second, again = receiver.got
    assert (again.headers["webhook-id"], again.body) == (second.headers["webhook-id"], second.body)
    assert first.headers["webhook-id"] != second.headers["webhook-id"]
    # Staff: everything, or one message.
    async with service.db.begin(TOWN) as session:
        await tell_again(session, MANAGER, library.system_id, since=between - timedelta(days=400), now=service.now)
    await tell_all(loop)
    assert len(receiver.got) == 5
    [row, _other] = await service.rows("SELECT delivery_id FROM webhook_delivery ORDER BY told_at")
    async with service.db.begin(TOWN) as session:
        since = service.now - MESSAGES_KEPT
        await tell_again(session, MANAGER, library.system_id, since=since, only=row.delivery_id, now=service.now)
    await tell_all(loop)
    assert [got.headers["webhook-id"] for got in receiver.got[5:]] == [first.headers["webhook-id"]]
    # Another system's are its own.
    other = await register(service, library.client, pressed="two")
    answer = await other.client.post(REPLAY, json={"since": between.isoformat()}, headers=other.headers())
    assert (answer.status_code, answer.json()["code"]) == (404, "webhook_unknown")


async def test_who_was_away_for_days_asks_for_it_again_and_is_told(
    library: Library, service: Notifications, receiver: Receiver, loop: WebhookLoop
) -> None:
    await library.told_at(receiver.url)
    receiver.mode = "503"
    begun = service.now
    await library.accepted()
    await service.settle()
    while service.now <= begun + GIVE_UP_AFTER + LONGEST_PAUSE * 2:
        await tell_all(loop)
        service.now += LONGEST_PAUSE * 2
    [row] = await service.rows("SELECT state FROM webhook_endpoint")
    assert row.state == "stopped"
    receiver.mode = "200"
    tried = len(receiver.got)
    await library.client.post(REPLAY, json={"since": begun.isoformat()}, headers=library.headers())
    await tell_all(loop)
    assert len(receiver.got) == tried + 1
    [row] = await service.rows("SELECT state FROM webhook_endpoint")
    assert row.state == "active"
    await service.pass_time(days=MESSAGES_KEPT.days, hours=2)
    assert await service.rows("SELECT 1 FROM webhook_delivery") == []


async def test_a_paused_address_keeps_what_happens_and_a_deleted_one_nothing(
    library: Library, service: Notifications, receiver: Receiver, loop: WebhookLoop
) -> None:
    await library.told_at(receiver.url)
    for action in ("pause", "test"):
        async with service.db.begin(TOWN) as session:
            await change_telling(session, MANAGER, library.system_id, action, now=service.now)
    await library.accepted()
    await service.settle()
    await tell_all(loop)
    assert [got.told["type"] for got in receiver.got] == ["test"]
    async with service.db.begin(TOWN) as session:
        await change_telling(session, MANAGER, library.system_id, "resume", now=service.now)
    await tell_all(loop)
    assert [got.told["type"] for got in receiver.got] == ["test", "notice.sent"]
    async with service.db.begin(TOWN) as session:
        await change_telling(session, MANAGER, library.system_id, "delete", now=service.now)
    await library.accepted()
    await service.settle()
    assert await service.rows("SELECT 1 FROM webhook_delivery") == []


async def test_two_systems_are_told_of_their_own_alone(
    library: Library, service: Notifications, receiver: Receiver, loop: WebhookLoop
) -> None:
    other = await register(service, library.client, pressed="two")
    await library.told_at(f"{receiver.url}/one")
    await other.told_at(f"{receiver.url}/two")
    mine, theirs = await library.accepted(), await other.accepted()
    await service.settle()
    await tell_all(loop)
    assert {got.path: got.told["data"]["id"] for got in receiver.got} == {"/hook/one": mine, "/hook/two": theirs}


async def test_of_an_erased_person_no_message_is_left(
    library: Library, service: Notifications, receiver: Receiver
) -> None:
    await library.told_at(receiver.url)
    contact = service.contact()
    booked = service.booked(contact, number=make_number(lambda signs: signs[1]))
    await service.hear(contact, booked)
    await library.accepted(recipient={"number": booked.number})
    await service.settle()
    assert len(await service.rows("SELECT 1 FROM webhook_delivery")) == 1
    erased = SubjectErased(
        event_id=uuid4(),
        municipality=TOWN,
        aggregate_id=str(uuid4()),
        aggregate_version=1,
        occurred_at=service.now,
        subject_ref=contact.subject_ref,
        erasure_id=UUID(int=7),
        reason="resident",
    )
    await service.hear(erased)
    assert await service.rows("SELECT 1 FROM webhook_delivery") == []


async def test_what_a_receipt_said_before_its_sender_died_is_told(
    library: Library, service: Notifications, receiver: Receiver, loop: WebhookLoop
) -> None:
    """Seen to fail with only those told that the turn itself ended: it was settled, and its system heard nothing."""
    await library.told_at(receiver.url)
    await library.accepted(recipient={"phone": MOBILE})
    [row] = await service.rows("SELECT notice_id FROM notice")
    async with service.db.begin(TOWN) as session:
        await begin_attempts(session, service.keys, TOWN, [row.notice_id], service.providers, now=service.now)
    await hear_receipt(service, "delivered")
    await service.pass_time(seconds=LEASE.total_seconds() + 1)
    await tell_all(loop)
    assert told(receiver) == [("notice.delivered", 1)]


async def test_what_is_taken_back_from_the_printer_is_told(
    library: Library, service: Notifications, receiver: Receiver, loop: WebhookLoop
) -> None:
    """Seen to fail without it: the letter was not printed, and its system believed it sent."""
    await library.told_at(receiver.url)
    await library.accepted()
    await service.settle()
    [row] = await service.rows("SELECT notice_id FROM notice")
    async with service.db.begin(TOWN) as session:
        await take_back(session, TOWN, [row.notice_id], "stopped", now=service.now)
    await tell_all(loop)
    assert sorted(told(receiver), key=lambda each: each[1]) == [("notice.sent", 1), ("notice.stopped", 2)]


async def test_what_staff_take_back_of_a_call_is_told(
    library: Library, service: Notifications, signed_in: httpx.AsyncClient, receiver: Receiver, loop: WebhookLoop
) -> None:
    """Reached, and then not. Seen to fail without it: what was told last was `delivered`."""
    await library.told_at(receiver.url)
    number = make_number(lambda signs: signs[2])
    await book(service, CALL, number=number)
    await library.accepted(recipient={"number": number})
    await service.settle()
    query = (
        "SELECT t.task_id FROM staff_task t JOIN notice n USING (municipality, notice_id) WHERE n.kind = 'town_notice'"
    )
    [task] = await service.rows(query)
    for button in ("done", "undo"):
        assert (await signed_in.post(f"/notices/tasks/{task.task_id}/{button}")).status_code == 303
    await tell_all(loop)
    heard = sorted(told(receiver), key=lambda each: each[1])
    assert heard == [("notice.sent", 1), ("notice.delivered", 2), ("notice.sent", 3)]
