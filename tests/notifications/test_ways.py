"""Several ways to reach a person: the next one when the first fails, and nobody called who was reached."""

import asyncio
import re
from datetime import timedelta
from typing import Any, get_args
from uuid import UUID

import httpx
import pytest
from sqlalchemy import text

from deploy.local.gateways.kept import Sent
from services.notifications.commands.attempts import Result, begin_attempts, end_attempts
from services.notifications.commands.ways import NewWay, add_way
from services.notifications.domain.notices import Kind, due_kind
from services.notifications.domain.outcomes import Outcome, OutcomeKind
from services.notifications.domain.ways import WAYS_MAX, Way, ways_left
from services.notifications.orders import Order
from shared.errors import Refusal
from tests.notifications.harness import START, TOKEN, TOWN, Notifications

RECEIPTS = "/notifications/api/receipts/sms_gateway"
ATTEMPTS = """
    SELECT way_no, outcome, attempt.delivery, provider FROM attempt JOIN notice USING (municipality, notice_id)
    WHERE kind = 'confirmation' ORDER BY attempt_no
"""
MAIL, OTHER_PHONE = "taro.kakushi@example.jp", "+819087654321"


async def book(service: Notifications, *others: NewWay, reach: Any = "sms") -> UUID:
    """Somebody who booked, with these ways beside the one that they gave with it."""
    contact = service.contact(reach)
    await service.hear(contact)
    async with service.db.begin(TOWN) as session:
        for other in others:
            await add_way(session, service.keys.vault, TOWN, contact.contact_ref, other, now=service.now)
    await service.hear(service.booked(contact))
    return contact.contact_ref


def confirmations(service: Notifications, channel: Any) -> list[Sent]:
    """The messages that say that it is booked."""
    return [sent for sent in service.sink.messages(channel=channel) if "NNN-1042" in sent.text]


async def receipt(service: Notifications, client: httpx.AsyncClient, status: str, *, way_no: int = 1) -> None:
    """What the gateway says later of the newest notice, by that way."""
    [row] = await service.rows("SELECT notice_id FROM notice ORDER BY created_at DESC LIMIT 1")
    key = f"{TOWN}:{row.notice_id}" + (f":{way_no}" if way_no > 1 else "")
    headers = {"authorization": f"Bearer {TOKEN}"}
    answer = await client.post(RECEIPTS, json={"id": key, "status": status}, headers=headers)
    assert answer.status_code == 204


def test_the_first_way_that_neither_is_dead_nor_failed_is_taken() -> None:
    ways = [Way(way_no=2, kind="sms", state="dead"), Way(way_no=1, kind="email"), Way(way_no=3, kind="line")]
    assert [way.way_no for way in ways_left(ways, ())] == [1, 3]
    assert [way.way_no for way in ways_left(ways, {1})] == [3]
    assert ways_left(ways, {1, 3}) == []


async def test_what_one_way_refuses_goes_by_the_next_at_once(service: Notifications) -> None:
    service.sink.behave("sms", "reject_permanent")
    await book(service, NewWay(kind="email", address=MAIL))
    await service.settle()
    # And they are asked for a number that works: that is another message.
    [sent] = confirmations(service, "email")
    assert sent.to == MAIL
    assert [(row.way_no, row.outcome, row.provider) for row in await service.rows(ATTEMPTS)] == [
        (1, "permanent", "sms_gateway"), (2, "accepted", "smtp"),
    ]  # fmt: skip
    states = {"confirmation": "sent", "contact_dead": "sent"}
    assert (await service.states(), await service.open_tasks()) == (states, [])


async def test_two_ways_of_one_gateway_are_two_messages(service: Notifications) -> None:
    """The gateway knows a repetition by our key: with one key for both it would say that it has it already."""
    service.sink.behave("sms", "reject_permanent")
    await book(service, NewWay(kind="sms", address=OTHER_PHONE, is_relay=True))
    await service.settle()
    assert [sent.to for sent in confirmations(service, "sms")] == ["09087654321"]


async def test_when_every_way_refuses_staff_are_asked_once(service: Notifications) -> None:
    service.sink.behave("sms", "reject_permanent")
    service.sink.behave("smtp", "reject_permanent", times=2)
    await book(service, NewWay(kind="email", address=MAIL))
    await service.settle()
    assert (await service.states(), await service.open_tasks()) == (
        {"confirmation": "failed", "contact_dead": "failed"}, ["rejected"],
    )  # fmt: skip


async def test_what_did_not_arrive_goes_by_the_next_way(service: Notifications, client: httpx.AsyncClient) -> None:
    await book(service, NewWay(kind="email", address=MAIL))
    await service.settle()
    await receipt(service, client, "failed")
    await receipt(service, client, "failed")
    assert await service.open_tasks() == []
    await service.settle()
    assert [sent.to for sent in service.sink.messages(channel="email")] == [MAIL]
    assert (await service.states(), await service.open_tasks()) == ({"confirmation": "sent"}, [])
    assert [(row.way_no, row.delivery) for row in await service.rows(ATTEMPTS)] == [(1, "not_delivered"), (2, None)]


async def test_what_arrived_after_all_is_not_sent_again(service: Notifications, client: httpx.AsyncClient) -> None:
    """Gateways say that it failed, and then that it arrived."""
    await book(service, NewWay(kind="sms", address=OTHER_PHONE))
    await service.settle()
    await receipt(service, client, "failed")
    await receipt(service, client, "delivered")
    await service.settle()
    assert [sent.to for sent in service.sink.messages(channel="sms")] == ["09012345678"]
    [row] = await service.rows("SELECT state, delivery FROM notice")
    assert (row.state, row.delivery) == ("sent", "delivered")
    assert await service.rows("SELECT 1 FROM due WHERE kind = :kind", kind=due_kind(bulk=False)) == []


async def test_a_late_word_of_the_first_way_changes_nothing_of_the_next(
    service: Notifications, client: httpx.AsyncClient
) -> None:
    await book(service, NewWay(kind="sms", address=OTHER_PHONE))
    await service.settle()
    await receipt(service, client, "failed")
    await service.settle()
    await receipt(service, client, "failed")
    await receipt(service, client, "delivered", way_no=2)
    assert [sent.to for sent in service.sink.messages(channel="sms")] == ["09087654321", "09012345678"]
    [row] = await service.rows("SELECT state, delivery FROM notice")
    assert (row.state, row.delivery, await service.open_tasks()) == ("sent", "delivered", [])


async def test_what_is_of_no_use_any_more_is_no_other_ways_either(
    service: Notifications, client: httpx.AsyncClient
) -> None:
    await book(service, NewWay(kind="email", address=MAIL))
    await service.settle()
    service.now = START + timedelta(days=1)
    await receipt(service, client, "failed")
    await service.settle()
    assert service.sink.messages(channel="email") == []
    assert await service.open_tasks() == ["not_delivered"]


async def test_a_mailbox_that_is_no_more_is_not_asked_again(service: Notifications) -> None:
    """Seen to fail before: each notice was refused by it first."""
    service.sink.behave("smtp", "reject_permanent")
    contact_ref = await book(service, NewWay(kind="sms", address=OTHER_PHONE), reach="email")
    await service.settle()
    states = await service.rows("SELECT way_no, state FROM contact_way ORDER BY way_no")
    assert [tuple(row) for row in states] == [(1, "dead"), (2, "good")]
    again = service.booked(service.contact("email", contact_ref=contact_ref, version=2), number="NNN2077")
    await service.hear(again)
    await service.settle()
    # Each of the two notices; and, once, that the mailbox is no more.
    assert [sent.to for sent in service.sink.messages(channel="sms")] == ["09087654321"] * 3
    assert len(await service.rows("SELECT 1 FROM attempt WHERE way_no = 1")) == 1


async def test_a_text_that_is_refused_ends_no_way(service: Notifications) -> None:
    """It goes by the next one, and the number stays good. Seen to fail while every 422 meant the number."""
    service.sink.behave("sms", "reject_text")
    await book(service, NewWay(kind="email", address=MAIL))
    await service.settle()
    assert [sent.to for sent in service.sink.messages()] == [MAIL]
    assert {row.state for row in await service.rows("SELECT state FROM contact_way")} == {"good"}


async def test_every_use_of_another_way_is_in_the_ledger(service: Notifications) -> None:
    service.sink.behave("sms", "reject_permanent")
    await book(service, NewWay(kind="email", address=MAIL))
    await service.settle()
    entries = await service.rows("SELECT target_step FROM ledger_entry WHERE entry_type = 'applied'")
    assert sorted(row.target_step for row in entries) == ["notice_confirmation"] * 2 + ["notice_contact_dead"]


async def test_of_ways_that_are_added_at_once_none_is_one_too_many(service: Notifications) -> None:
    """Seen to fail without the lock on the contact: two get one number, or there are too many."""
    contact = service.contact("sms")
    await service.hear(contact)

    async def add(number: int) -> None:
        async with service.db.begin(TOWN) as session:
            way = NewWay(kind="email", address=f"p{number}@example.jp")
            await add_way(session, service.keys.vault, TOWN, contact.contact_ref, way, now=service.now)

    done = await asyncio.gather(*(add(number) for number in range(2 * WAYS_MAX)), return_exceptions=True)
    refused = [each for each in done if isinstance(each, Refusal)]
    assert {each.code for each in refused} == {"ways_full"}
    assert [each for each in done if each is not None and each not in refused] == []
    rows = await service.rows("SELECT way_no, position FROM contact_way ORDER BY way_no")
    assert [tuple(row) for row in rows] == [(number, number) for number in range(1, WAYS_MAX + 1)]


async def test_whoever_wants_paper_has_no_ways(service: Notifications) -> None:
    contact = service.contact("none")
    await service.hear(contact)
    way = NewWay(kind="email", address=MAIL)
    async with service.db.begin(TOWN) as session:
        with pytest.raises(Refusal, match="not_found"):
            await add_way(session, service.keys.vault, TOWN, contact.contact_ref, way, now=service.now)


async def begun(service: Notifications) -> Order:
    """An attempt by the first way that is under way: its provider has it, and has not answered."""
    async with service.db.begin(TOWN) as session:
        ids = [row.notice_id for row in (await session.execute(text("SELECT notice_id FROM notice"))).all()]
        [order] = await begin_attempts(session, service.keys, TOWN, ids, service.providers, now=service.now)
    return order


async def end(service: Notifications, order: Order, kind: OutcomeKind) -> None:
    result = Result(order, Outcome(kind=kind))
    async with service.db.begin(TOWN) as session:
        await end_attempts(session, TOWN, [result], service.providers, now=service.now, chance=lambda: 0.5)


async def test_a_receipt_that_is_quicker_than_the_answer_is_not_lost(
    service: Notifications, client: httpx.AsyncClient
) -> None:
    """Seen to fail before: the notice was `sent`, nobody was told, and the receipt's repetition said nothing new."""
    await book(service, NewWay(kind="email", address=MAIL))
    order = await begun(service)
    await receipt(service, client, "failed")
    await end(service, order, "accepted")
    await service.settle()
    assert [sent.to for sent in service.sink.messages(channel="email")] == [MAIL]
    assert (await service.states(), await service.open_tasks()) == ({"confirmation": "sent"}, [])


async def test_of_what_has_arrived_it_does_not_matter_that_the_answer_was_lost(
    service: Notifications, client: httpx.AsyncClient
) -> None:
    """Seen to fail before: it was sent again."""
    await book(service)
    order = await begun(service)
    await receipt(service, client, "delivered")
    await end(service, order, "unknown")
    await service.pass_time(hours=1)
    assert service.sink.messages(channel="sms") == []
    [row] = await service.rows("SELECT state, delivery FROM notice")
    assert (row.state, row.delivery) == ("sent", "delivered")


async def test_whoever_wants_paper_by_now_is_called_and_not_written_to(
    service: Notifications, client: httpx.AsyncClient
) -> None:
    """Seen to fail before: the other way was waited for, and then it was paper, without a task."""
    await book(service, NewWay(kind="email", address=MAIL))
    await service.settle()
    await service.rows("UPDATE contact_point SET wants_paper = true RETURNING 1")
    await receipt(service, client, "failed")
    await service.settle()
    assert service.sink.messages(channel="email") == []
    assert await service.open_tasks() == ["not_delivered"]


@pytest.mark.parametrize("table", ["notice", "template_version"])
async def test_the_database_takes_every_kind(service: Notifications, table: str) -> None:
    """Seen to fail: a kind was added by one migration, and the other table did not know it."""
    query = "SELECT pg_get_constraintdef(oid) AS said FROM pg_constraint WHERE conname = :name"
    [row] = await service.rows(query, name=f"{table}_kind_check")
    assert set(re.findall(r"'([a-z_]+)'", row.said)) == set(get_args(Kind))
