"""Sending again (もう一度送る): as it is now, once for two taps, only while it is of use, and not too often."""

import asyncio
import re
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy.exc import IntegrityError

from services.notifications.commands.again import send_again
from services.notifications.commands.ways import NewWay, add_way
from services.notifications.domain.again import AGAIN_MAX_A_DAY, again_until
from services.notifications.domain.notices import Kind
from shared.errors import Refusal
from shared.events.booking import AppointmentBooked
from shared.events.routing import ContactGiven
from shared.tokens import Identity
from tests.conftest import TestDatabase
from tests.notifications.harness import EMAIL, NOW, START, TOWN, Notifications, sign_in, until
from tests.notifications.test_delivery_log import newest, told_by_town
from tests.notifications.test_ways import receipt

STAFF = Identity(municipality=TOWN, kind="staff", ref="staff-1", session_id="s1", roles=("counter",))


async def book(service: Notifications, reach: Any = "sms", **changes: Any) -> tuple[ContactGiven, AppointmentBooked]:
    """Somebody who booked, and was told."""
    contact = service.contact(reach)
    booked = service.booked(contact, **changes)
    await service.hear(contact, booked)
    await service.settle()
    return contact, booked


async def again(
    service: Notifications, *, number: int = 0, way_no: int | None = None, kind: Kind = "confirmation"
) -> UUID:
    """Have the first of a kind sent again."""
    query = "SELECT notice_id FROM notice WHERE kind = :kind ORDER BY created_at LIMIT 1"
    [row] = await service.rows(query, kind=kind)
    async with service.db.begin(TOWN) as session:
        return await send_again(session, STAFF, row.notice_id, number=number, way_no=way_no, now=service.now)


async def refused(service: Notifications, **asked: Any) -> str:
    """Why it is not sent again."""
    with pytest.raises(Refusal) as caught:
        await again(service, **asked)
    return caught.value.code


async def is_waiting_or_done(service: Notifications, other: asyncio.Task[str]) -> bool:
    """Whether whoever came second waits for the first, or did not."""
    return other.done() or bool(await service.rows("SELECT 1 FROM pg_locks WHERE NOT granted"))


async def open_connections(service: Notifications) -> None:
    """So that those who come at once do."""
    async with AsyncExitStack() as stack:
        for _ in range(4):
            await stack.enter_async_context(service.db.begin(TOWN))


def confirmations(service: Notifications, channel: Any = "sms") -> list[str]:
    return [sent.text for sent in service.sink.messages(channel=channel) if "NNN-1042" in sent.text]


async def test_what_never_came_is_sent_again_by_a_button_and_the_log_says_so(
    service: Notifications, signed_in: httpx.AsyncClient
) -> None:
    await book(service)
    first = await newest(service)
    page = (await signed_in.get(f"/notices/n/{first}")).text
    assert f'action="/notices/n/{first}/again"' in page
    answers = [await signed_in.post(f"/notices/n/{first}/again", data={"number": "0"}) for _ in range(2)]
    [href] = {answer.headers["location"] for answer in answers}
    await service.settle()
    assert [sent.times for sent in service.sink.messages(channel="sms")] == [1, 1]
    page = (await signed_in.get(href)).text
    assert "職員が送りなおしたもの" in page
    assert f"/notices/n/{first}" in page
    assert "もう一度" in (await signed_in.get("/notices")).text
    [deed] = await service.rows("SELECT action, ref FROM audit")
    assert (deed.action, f"/notices/n/{deed.ref}") == ("notice_sent_again", href)
    # Opened as a page it leads to the notice.
    assert (await signed_in.get(f"/notices/n/{first}/again")).headers["location"] == f"/notices/n/{first}"
    uses = await service.rows("SELECT 1 FROM ledger_entry WHERE target_step = 'notice_confirmation'")
    assert len(uses) == 2


async def test_of_two_who_tap_at_once_one_sends(service: Notifications) -> None:
    """Seen to fail without `_KNOWN` in `commands/again.py`: whoever tapped second was refused."""
    await book(service)
    await open_connections(service)
    made = await asyncio.gather(*(again(service) for _ in range(4)))
    assert len(set(made)) == 1
    await service.settle()
    assert len(confirmations(service)) == 2


async def test_of_two_kinds_at_once_none_is_one_too_many(service: Notifications) -> None:
    """Seen to fail without the lock of the matter: four a day."""
    await book(service)
    await service.rows("""
        INSERT INTO notice (municipality, notice_id, kind, appointment_id, occasion, sequence, appointment_version,
                            contact_ref, state, reach, keeps_quiet, created_at, useful_until, settled_at)
        SELECT municipality, gen_random_uuid(), 'reminder', appointment_id, 'x:0', sequence, appointment_version,
               contact_ref, state, reach, keeps_quiet, created_at, useful_until, settled_at FROM notice RETURNING 1
    """)
    kinds: tuple[Kind, ...] = ("confirmation", "reminder")
    for kind in kinds:
        await again(service, kind=kind)
        await service.settle()
    [reminder] = await service.rows("SELECT notice_id FROM notice WHERE kind = 'reminder' AND again_of IS NULL")
    async with service.db.begin(TOWN) as session:
        await send_again(session, STAFF, reminder.notice_id, number=1, way_no=None, now=service.now)
        other = asyncio.create_task(refused(service, number=1))
        await until(lambda: is_waiting_or_done(service, other))
    assert await other == "again_often"


async def test_the_database_takes_no_second_one_of_a_number(service: Notifications) -> None:
    await book(service)
    await again(service)
    copy = """
        INSERT INTO notice (municipality, notice_id, kind, appointment_id, occasion, sequence, appointment_version,
                            state, keeps_quiet, created_at, useful_until, again_of)
        SELECT municipality, gen_random_uuid(), kind, appointment_id, {occasion}, sequence, appointment_version, state,
               keeps_quiet, created_at, useful_until, again_of FROM notice WHERE again_of IS NOT NULL RETURNING 1
    """
    for occasion in ("occasion", "'once more'"):
        with pytest.raises(IntegrityError):
            await service.rows(copy.format(occasion=occasion))


async def test_it_is_told_as_it_is_now_and_not_what_has_changed(service: Notifications) -> None:
    _, booked = await book(service)
    await service.hear(service.changed(booked, START + timedelta(days=1)))
    await service.settle()
    assert await refused(service) == "again_over"
    await again(service, kind="change")
    await service.settle()
    texts = [sent.text for sent in service.sink.messages(channel="sms")]
    assert len(texts) == 3
    assert "11月28日" in texts[0]


async def test_what_overtakes_it_while_it_waits_is_told_instead(service: Notifications) -> None:
    _, booked = await book(service)
    made = await again(service)
    await service.hear(service.changed(booked, START + timedelta(days=1)))
    await service.settle()
    [row] = await service.rows("SELECT state FROM notice WHERE notice_id = :made", made=made)
    assert row.state == "superseded"


async def test_not_while_one_is_on_its_way(service: Notifications) -> None:
    service.sink.behave("sms", "fail_5xx")
    await book(service)
    assert (await service.states())["confirmation"] == "pending"
    assert await refused(service) == "again_going"
    await service.pass_time(minutes=1)
    await again(service)
    assert await refused(service, number=1) == "again_going"


async def test_of_what_nobody_knows_the_old_one_is_waited_for_no_longer(
    service: Notifications, signed_in: httpx.AsyncClient, client: httpx.AsyncClient
) -> None:
    service.sink.behave("sms", "drop_after_accept")
    await book(service)
    assert (await service.states())["confirmation"] == "unknown"
    first = await newest(service)
    await service.pass_time(seconds=1)
    await again(service)
    await service.pass_time(minutes=5)
    [old] = await service.rows("SELECT state, reason FROM notice WHERE again_of IS NULL")
    assert (old.state, old.reason) == ("superseded", "sent_again")
    assert "もう一度送ったので" in (await signed_in.get(f"/notices/n/{first}")).text
    # It had arrived, and its receipt says so.
    body = {"id": f"{TOWN}:{first}", "status": "delivered"}
    await client.post(
        "/notifications/api/receipts/sms_gateway", json=body, headers={"authorization": "Bearer gateway-token"}
    )
    assert "届きました" in (await signed_in.get(f"/notices/n/{first}")).text
    assert await service.open_tasks() == []


async def test_at_most_so_often_a_day(service: Notifications) -> None:
    await book(service)
    for number in range(AGAIN_MAX_A_DAY):
        await service.pass_time(seconds=1)
        await again(service, number=number)
        await service.settle()
    assert await refused(service, number=AGAIN_MAX_A_DAY) == "again_often"
    await service.pass_time(days=1)
    await again(service, number=AGAIN_MAX_A_DAY)


async def test_by_one_of_the_ways_that_are_alive_and_by_no_other(
    service: Notifications, signed_in: httpx.AsyncClient
) -> None:
    contact, _ = await book(service)
    async with service.db.begin(TOWN) as session:
        for way in (
            NewWay(kind="email", address=EMAIL, is_relay=True),
            NewWay(kind="sms", address="+818011112222", needs_proof=True),
        ):
            await add_way(session, service.keys.vault, TOWN, contact.contact_ref, way, now=service.now)
    page = (await signed_in.get(f"/notices/n/{await newest(service)}")).text
    options = re.search(r'<select[^>]*name="way".*?</select>', page, re.DOTALL)
    assert options
    assert re.findall(r'value="(\d*)"', options[0]) == ["", "1", "2"]
    assert await refused(service, way_no=3) == "again_no_way"
    service.sink.behave("smtp", "reject_permanent")
    await again(service, way_no=2)
    await service.settle()
    # Refused, it goes by no other: that is what was chosen.
    assert (len(confirmations(service)), await service.open_tasks()) == (1, ["rejected"])
    assert await refused(service, number=1, way_no=2) == "again_no_way"


async def test_whoever_wants_paper_or_stopped_it_by_now_is_not_written_to(service: Notifications) -> None:
    await book(service)
    await service.rows("UPDATE contact_point SET wants_paper = true RETURNING 1")
    assert await refused(service) == "again_paper"
    await service.rows("UPDATE contact_point SET wants_paper = false RETURNING 1")
    await again(service, way_no=1)
    await service.rows("UPDATE contact_point SET wants_paper = true RETURNING 1")
    await service.settle()
    assert len(confirmations(service)) == 1


async def test_what_somebody_stopped_stays_so(service: Notifications) -> None:
    await book(service)
    await service.pass_time(days=2)
    await service.rows("UPDATE notice SET kind = 'reminder', occasion = 'x:0' RETURNING 1")
    await service.rows("UPDATE contact_point SET stopped = ARRAY['reminder'] RETURNING 1")
    assert await refused(service, kind="reminder") == "again_stopped"


async def test_with_no_way_left_nothing_is_sent(service: Notifications) -> None:
    service.sink.behave("sms", "reject_permanent")
    await book(service)
    assert await refused(service) == "again_no_way"
    await service.hear(service.booked(None, number="NNN3001"))
    async with service.db.begin(TOWN) as session:
        [slip] = await service.rows("SELECT notice_id FROM notice WHERE state = 'printed_slip'")
        with pytest.raises(Refusal) as caught:
            await send_again(session, STAFF, slip.notice_id, number=0, way_no=None, now=service.now)
    assert caught.value.code == "again_paper"


async def test_what_is_over_is_not_sent_again(service: Notifications) -> None:
    await book(service, starts_at=NOW + timedelta(hours=2))
    await service.pass_time(hours=2)
    assert await refused(service) == "again_late"


async def test_a_code_is_never_sent_again(service: Notifications, signed_in: httpx.AsyncClient) -> None:
    await service.hear(service.account(), service.sign_in_asked())
    await service.settle()
    code = await newest(service, "sign_in")
    page = (await signed_in.get(f"/notices/n/{code}")).text
    assert "番号のお知らせは、もう一度送れません" in page
    answer = await signed_in.post(f"/notices/n/{code}/again", data={"number": "0"})
    assert answer.status_code == 409
    assert (
        "again_never"
        in (
            await signed_in.post(
                f"/notices/n/{code}/again", data={"number": "0"}, headers={"accept": "application/json"}
            )
        ).text
    )


async def test_a_helper_is_told_again_by_a_coordinator(
    service: Notifications, database: TestDatabase, client: httpx.AsyncClient
) -> None:
    await service.hear(service.account(), service.helper_told())
    await service.settle()
    coordinator = sign_in(service, database, client, roles=("coordinator",))
    offer = await newest(service, "helper_offer")
    answer = await coordinator.post(f"/notices/n/{offer}/again", data={"number": "0"})
    assert answer.status_code == 303
    await service.settle()
    assert len(service.sink.messages(channel="sms")) == 2


@pytest.mark.parametrize("to_contact", [True, False])
async def test_what_the_town_wrote_is_sent_again_as_long_as_it_is_kept(
    service: Notifications, to_contact: bool
) -> None:
    contact = service.contact("sms")
    await service.hear(contact)
    await told_by_town(service, contact if to_contact else None)
    await service.settle()
    await again(service, kind="town_notice")
    await service.settle()
    assert len([sent for sent in service.sink.messages(channel="sms") if "断水" in sent.text]) == 2
    await service.pass_time(days=1)
    assert await refused(service, kind="town_notice", number=1) == "again_late"


async def test_of_what_fails_again_staff_are_asked_once(service: Notifications, client: httpx.AsyncClient) -> None:
    """Seen to fail without `_is_asked_already`: two tasks for one appointment."""
    await book(service)
    await receipt(service, client, "failed")
    assert await service.open_tasks() == ["not_delivered"]
    await service.pass_time(seconds=1)
    await again(service)
    await service.settle()
    await receipt(service, client, "failed")
    assert await service.open_tasks() == ["not_delivered"]
    # Called meanwhile, they are asked anew.
    await service.rows("UPDATE staff_task SET done_at = now() RETURNING 1")
    await service.pass_time(seconds=1)
    await again(service, number=1)
    await service.settle()
    await receipt(service, client, "failed")
    assert await service.open_tasks() == ["not_delivered"]


async def test_nobody_s_notice_is_not_found(service: Notifications, signed_in: httpx.AsyncClient) -> None:
    for notice_id in (uuid4(), "x"):
        answer = await signed_in.post(f"/notices/n/{notice_id}/again", data={"number": "0"})
        assert answer.status_code == 404


def test_until_when_it_is_of_use() -> None:
    first = NOW + timedelta(minutes=5)
    usual: dict[str, Any] = {"is_told": False, "starts_at": START, "offer_until": None, "now": NOW}
    assert again_until("reminder", first, **usual) == START
    assert again_until("confirmation", first, **usual) == NOW + timedelta(hours=24)
    assert again_until("turn_near", first, **usual) == first
    assert again_until("town_notice", first, **usual | {"is_told": True, "starts_at": None}) == first
    assert again_until("earlier_offer", first, **usual | {"offer_until": NOW}) is None
    assert again_until("cancellation", first, **usual | {"starts_at": NOW}) is None
