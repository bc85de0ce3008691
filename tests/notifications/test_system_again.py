"""What a system asked for, sent again by staff: it is one notice still, and the newest says what became of it."""

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import httpx
import pytest_asyncio

from services.notifications.commands.again import send_again
from services.notifications.commands.receipts import record_receipt
from shared.webhooks.sending import WebhookLoop
from tests.booking.webhook_receiver import Receiver, receiving
from tests.notifications.harness import TOWN, Notifications
from tests.notifications.systems import ROOT, Library, register, tell_all
from tests.notifications.test_again import STAFF
from tests.notifications.test_system_webhooks import MOBILE, told


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


async def first_of(service: Notifications, told_id: str) -> UUID:
    query = "SELECT notice_id FROM notice WHERE told_id = :told_id AND again_of IS NULL"
    [row] = await service.rows(query, told_id=UUID(told_id))
    return UUID(str(row.notice_id))


async def have_sent_again(service: Notifications, told_id: str, number: int = 0, way_no: int | None = None) -> UUID:
    first = await first_of(service, told_id)
    service.now += timedelta(minutes=1)
    async with service.db.begin(TOWN) as session:
        return await send_again(session, STAFF, first, number=number, way_no=way_no, now=service.now)


async def hear(service: Notifications, notice_id: UUID, status: str) -> None:
    async with service.db.begin(TOWN) as session:
        await record_receipt(session, TOWN, notice_id, status, now=service.now)  # type: ignore[arg-type]


async def test_it_is_one_notice_that_is_as_its_newest_is(library: Library, service: Notifications) -> None:
    """Seen to fail with every notice of what was told joined: it was as any of them."""
    mine = await library.accepted(recipient={"phone": MOBILE})
    await service.settle()
    await hear(service, await first_of(service, mine), "failed")
    assert (await library.look(mine))["state"] == "not_delivered"
    for number in range(3):
        await have_sent_again(service, mine, number)
        assert (await library.look(mine))["state"] == "waiting"
        if number < 2:
            await service.settle()
            assert (await library.look(mine))["state"] == "sent"
    listed = (await library.client.get(ROOT, headers=library.headers())).json()["notices"]
    assert [(each["id"], each["state"]) for each in listed] == [(mine, "waiting")]
    # What waits is taken back, whatever was sent before.
    assert (await library.client.delete(f"{ROOT}/{mine}", headers=library.headers())).status_code == 204
    await service.settle()
    found = await library.look(mine)
    assert (found["state"], found["reason"]) == ("stopped", "taken_back")
    assert len(service.sink.messages(channel="sms")) == 3


async def test_what_is_heard_of_the_first_is_no_news_once_it_was_sent_again(
    library: Library, service: Notifications, receiver: Receiver, loop: WebhookLoop
) -> None:
    """Seen to fail with the news of any notice told: a late `not_delivered` came after `delivered`."""
    await library.told_at(receiver.url)
    mine = await library.accepted(recipient={"phone": MOBILE})
    await service.settle()
    newest = await have_sent_again(service, mine)
    await service.settle()
    await hear(service, newest, "delivered")
    await hear(service, await first_of(service, mine), "failed")
    await tell_all(loop)
    assert sorted(told(receiver), key=lambda each: each[1]) == [("notice.sent", 1), ("notice.delivered", 2)]
    assert (await library.look(mine))["state"] == "delivered"


async def test_what_nobody_knows_of_and_is_sent_again_has_not_stopped(
    library: Library, service: Notifications, receiver: Receiver, loop: WebhookLoop
) -> None:
    """The first is waited for no longer; its system is told what becomes of the second, and of nothing before."""
    await library.told_at(receiver.url)
    mine = await library.accepted(recipient={"phone": MOBILE})
    await service.rows("UPDATE notice SET state = 'unknown' RETURNING 1")
    await have_sent_again(service, mine)
    await tell_all(loop)
    assert (told(receiver), (await library.look(mine))["state"]) == ([], "waiting")
    await service.settle()
    await tell_all(loop)
    assert told(receiver) == [("notice.sent", 1)]
