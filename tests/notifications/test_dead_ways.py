"""Ways that lead nowhere: shown, told by what is left, never in a loop, and good again once they are proved."""

import asyncio
from typing import Any
from uuid import UUID

import httpx

from services.notifications.commands.dead_ways import WAY_OF_CONTACT
from services.notifications.commands.way_changes import move_way
from services.notifications.commands.way_codes import ask_code, try_code
from services.notifications.commands.ways import NewWay, add_way
from shared.errors import Refusal
from tests.conftest import TestDatabase
from tests.notifications.harness import TOWN, Notifications
from tests.notifications.test_told import told
from tests.notifications.wishing import WISHES, newest, open_wishes

MAIL, PHONE = "taro.kakushi@example.jp", "+819087654321"
STATES = "SELECT way_no, state, state_no FROM contact_way ORDER BY way_no"


async def with_ways(service: Notifications, *others: NewWay, reach: Any = "email") -> Any:
    """A contact, and the numbers of its other ways."""
    contact = service.contact(reach)
    await service.hear(contact)
    async with service.db.begin(TOWN) as session:
        for other in others:
            await add_way(session, service.keys.vault, TOWN, contact.contact_ref, other, now=service.now)
    return contact


async def told_of_ways(service: Notifications) -> list[tuple[str, str, int]]:
    """What routing hears of ways: which kind, how it stands, and the version."""
    events = [event for event in await told(service) if event.kind == WAY_OF_CONTACT]
    return [(each.way, each.state, each.aggregate_version) for each in events]


async def test_a_dead_way_is_shown_told_of_once_and_good_again_when_proved(
    service: Notifications, client: httpx.AsyncClient, database: TestDatabase
) -> None:
    service.sink.behave("smtp", "reject_permanent")
    contact = await with_ways(service, NewWay(kind="sms", address=PHONE))
    await service.hear(service.booked(contact))
    await service.settle()
    await service.hear(service.booked(contact, number="NNN2077"))
    await service.settle()
    texts = [sent.text for sent in service.sink.messages(channel="sms")]
    [asked] = [text for text in texts if "ほかの連絡先に、お知らせが届きませんでした" in text]
    assert "/notices/w/" in asked
    assert len(texts) == 3
    assert await told_of_ways(service) == [("email", "not_delivered", 1)]
    wisher = await open_wishes(service, client, database, contact)
    assert "この連絡先には届きませんでした" in await wisher.get()
    service.sink.behave("smtp", "ok")
    await wisher.post("/ways/1/code", again="yes")
    await wisher.prove(1, "email")
    assert "この連絡先には届きませんでした" not in await wisher.get()
    assert await told_of_ways(service) == [("email", "not_delivered", 1), ("email", "sent", 2)]
    await service.hear(service.booked(contact, number="NNN3077"))
    await service.settle()
    assert "NNN-3077" in newest(service, "email").text
    # That it is used again is no new approval.
    entries = await service.rows("SELECT entry_type FROM ledger_entry")
    assert "approved" not in [row.entry_type for row in entries]


async def test_one_dead_way_after_the_other_is_no_loop(service: Notifications) -> None:
    service.sink.behave("smtp", "reject_permanent", times=1_000)
    others = [NewWay(kind="email", address=f"p{number}@example.jp") for number in range(4)]
    await service.hear(service.booked(await with_ways(service, *others)))
    await service.settle()
    notices = [row.kind for row in await service.rows("SELECT kind FROM notice")]
    # Told of those that the confirmation found, as long as something was left; not of those that such a word found.
    assert 1 <= notices.count("contact_dead") <= len(others)
    assert {row.state for row in await service.rows(STATES)} == {"dead"}
    assert await service.open_tasks() == ["rejected"]
    assert service.sink.messages(channel="email") == []
    settled = await service.rows("SELECT 1 FROM notice WHERE state IN ('pending', 'sending')")
    assert settled == []


async def test_a_code_that_finds_a_dead_address_tells_nobody(
    service: Notifications, client: httpx.AsyncClient, database: TestDatabase
) -> None:
    contact = await with_ways(service, reach="sms")
    wisher = await open_wishes(service, client, database, contact)
    service.sink.behave("smtp", "reject_permanent")
    way_no = await wisher.add("email", email=MAIL)
    await service.settle()
    assert [row.kind for row in await service.rows("SELECT kind FROM notice")] == ["contact_code"]
    assert await service.open_tasks() == []
    assert "この連絡先には届きませんでした" in await wisher.get(WISHES)
    await wisher.post(f"/ways/{way_no}/remove")
    assert await told_of_ways(service) == [("email", "not_delivered", 1), ("email", "sent", 2)]


async def test_who_wants_paper_is_not_told_of_dead_ways(
    service: Notifications, client: httpx.AsyncClient, database: TestDatabase
) -> None:
    service.sink.behave("smtp", "reject_permanent")
    contact = await with_ways(service, NewWay(kind="sms", address=PHONE))
    wisher = await open_wishes(service, client, database, contact)
    await service.hear(service.booked(contact))
    await service.sending.run_once()
    await wisher.post("/paper", by="paper")
    await service.settle()
    assert [row.kind for row in await service.rows("SELECT kind FROM notice")].count("contact_dead") <= 1
    assert all("届きませんでした" not in sent.text for sent in service.sink.messages(channel="sms"))


# --- two at once --------------------------------------------------------------------------------------------------


async def two_at_once(service: Notifications, does: Any, times: int = 2) -> list[Any]:
    """The same in several transactions at once; errors among the answers."""

    async def once() -> Any:
        async with service.db.begin(TOWN) as session:
            return await does(session)

    return await asyncio.gather(*(once() for _ in range(times)), return_exceptions=True)


async def test_of_two_codes_asked_for_at_once_one_opens(service: Notifications) -> None:
    """Seen to fail without the lock on the contact: the database took the second for a bug."""
    contact = await with_ways(service, NewWay(kind="sms", address=PHONE, needs_proof=True))
    ref: UUID = contact.contact_ref

    async def ask(session: Any) -> None:
        await ask_code(session, service.keys, TOWN, ref, 2, now=service.now)

    answers = await two_at_once(service, ask, 8)
    assert {type(each) for each in answers} == {type(None), Refusal}
    assert len(await service.rows("SELECT 1 FROM way_code WHERE ended_at IS NULL")) == 1
    assert len(await service.rows("SELECT 1 FROM way_code")) == 5


async def test_of_many_tries_at_once_no_more_count_than_may(service: Notifications) -> None:
    """Seen to fail without the count in the update: the database refused the sixth as a bug."""
    contact = await with_ways(service, NewWay(kind="sms", address=PHONE, needs_proof=True))
    async with service.db.begin(TOWN) as session:
        await ask_code(session, service.keys, TOWN, contact.contact_ref, 2, now=service.now)

    async def type_wrong(session: Any) -> str:
        return await try_code(session, service.keys, TOWN, contact.contact_ref, 2, "x", now=service.now)

    answers = await two_at_once(service, type_wrong, 12)
    assert sorted(answers) == ["over"] * 8 + ["wrong"] * 4
    [row] = await service.rows("SELECT tries FROM way_code")
    assert row.tries == 5


async def test_of_two_that_reorder_at_once_both_see_what_the_other_did(service: Notifications) -> None:
    """Twice down from the top is the end. Seen to fail without the lock on the contact: one of them did nothing."""
    contact = await with_ways(
        service, NewWay(kind="sms", address=PHONE), NewWay(kind="email", address=MAIL), reach="email"
    )

    async def down(session: Any) -> None:
        await move_way(session, TOWN, contact.contact_ref, 1, up=False)

    for _ in range(5):
        answers = await two_at_once(service, down)
        assert answers == [None, None]
        order = [row.way_no for row in await service.rows("SELECT way_no FROM contact_way ORDER BY position")]
        assert order == [2, 3, 1]
        async with service.db.begin(TOWN) as session:
            for _again in range(2):
                await move_way(session, TOWN, contact.contact_ref, 1, up=True)
