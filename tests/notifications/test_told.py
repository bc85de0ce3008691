"""What became of each notice is told to routing, for the thread of its case: by which way, never where to."""

from typing import Any

import httpx
import msgspec
import pytest

from shared.events.base import event_type
from shared.events.notifications import NoticeProgressed
from tests.notifications.harness import CODE, EMAIL, LINK_TOKEN, PHONE, Notifications
from tests.notifications.test_web import BEARER, RECEIPTS


async def told(service: Notifications) -> list[NoticeProgressed]:
    """What was published, in its order; nothing in it is a person's."""
    query = "SELECT payload FROM outbox WHERE type = :type ORDER BY occurred_at, aggregate_version"
    payloads = [bytes(row.payload) for row in await service.rows(query, type=event_type(NoticeProgressed))]
    for secret in (EMAIL, PHONE, PHONE.removeprefix("+81"), LINK_TOKEN, CODE):
        assert not [payload for payload in payloads if secret.encode() in payload]
    return [msgspec.json.decode(payload, type=NoticeProgressed) for payload in payloads]


@pytest.mark.parametrize("reach", ["email", "sms"])
async def test_what_was_sent_is_told_once_with_its_way_and_case(service: Notifications, reach: Any) -> None:
    contact = service.contact(reach)
    booked = service.booked(contact)
    await service.hear(contact, booked, booked)
    await service.settle()
    [event] = await told(service)
    assert (event.kind, event.way, event.state, event.case_id) == ("confirmation", reach, "sent", contact.case_id)
    assert event.aggregate_version == 1


async def test_a_retry_is_told_at_its_end_only(service: Notifications) -> None:
    service.sink.behave("smtp", "fail_5xx")
    contact = service.contact()
    await service.hear(contact, service.booked(contact))
    await service.settle()
    assert await told(service) == []
    service.sink.behave("smtp", "ok")
    await service.pass_time(seconds=40)
    assert [event.state for event in await told(service)] == ["sent"]


async def test_a_refused_address_is_told_as_failed_and_an_application_s_notice_has_its_case(
    service: Notifications,
) -> None:
    service.sink.behave("smtp", "reject_permanent")
    contact = service.contact()
    await service.hear(contact, service.applied(contact))
    await service.settle()
    # The mailbox is no more, which the thread shows too.
    assert {(event.kind, event.state, event.case_id) for event in await told(service)} == {
        ("application_received", "failed", contact.case_id),
        ("contact_way", "not_delivered", contact.case_id),
    }


async def test_who_has_it_on_paper_and_what_was_overtaken_are_in_no_thread(service: Notifications) -> None:
    contact = service.contact("none")
    await service.hear(contact, service.booked(contact))
    await service.settle()
    late = service.contact()
    first = service.applied(late)
    await service.hear(first, service.progressed(first, "accepted"), late)
    await service.settle()
    assert [(event.kind, event.state) for event in await told(service)] == [("application_accepted", "sent")]


async def test_what_did_not_arrive_is_told_as_the_next_version(
    service: Notifications, client: httpx.AsyncClient
) -> None:
    contact = service.contact("sms")
    await service.hear(contact, service.booked(contact))
    await service.settle()
    [sent] = await told(service)
    for _ in range(2):
        lost = {"id": f"{sent.municipality}:{sent.notice_id}", "status": "failed"}
        assert (await client.post(RECEIPTS, json=lost, headers=BEARER)).is_success
    assert [(event.aggregate_version, event.state) for event in await told(service)] == [
        (1, "sent"), (2, "not_delivered"),
    ]  # fmt: skip


async def test_a_receipt_settles_what_nobody_knew(service: Notifications, client: httpx.AsyncClient) -> None:
    service.sink.behave("sms", "drop_after_accept")
    contact = service.contact("sms")
    await service.hear(contact, service.booked(contact))
    await service.settle()
    assert await told(service) == []
    [sent] = service.sink.messages()
    await client.post(RECEIPTS, json={"id": sent.key, "status": "delivered"}, headers=BEARER)
    await service.pass_time(minutes=5)
    assert [(event.aggregate_version, event.state, event.way) for event in await told(service)] == [(1, "sent", "sms")]
