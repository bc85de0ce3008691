"""LINE as a way: a code that is sent to the town's account proves whose account at LINE it is."""

import asyncio
import base64
import hmac
import json
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import msgspec
import pytest
from sqlalchemy import text

from deploy.local.gateways.line import LineEvent, event_body, line_signature
from services.notifications.app import create_app
from services.notifications.commands.tidying import tidy_up
from services.notifications.domain.line_codes import LINE_TRIES_MAX, read_line_code
from services.notifications.domain.proofs import ASKINGS_MAX, CODE_LIFETIME
from services.notifications.domain.retention import CODES_KEPT
from shared.crypto import token_hash
from shared.db import again_after_deadlock
from shared.events.routing import ContactGiven, SubjectErased
from tests.conftest import TestDatabase
from tests.notifications.harness import OTHER_TOWN, TOKEN, TOWN, Notifications, until
from tests.notifications.wishing import WISHES, Wisher, open_wishes

SECRET = "line-secret"
USER, OTHER_USER = "U" + "1" * 32, "U" + "2" * 32
CHANNEL = f'[{TOWN}]\ntoken = "{TOKEN}"\nsecret = "{SECRET}"\naccount = "@ninomiya"\n'
WAYS = "SELECT way_no, kind, state, verified_at IS NOT NULL AS proved FROM contact_way ORDER BY position"


@pytest.fixture
async def client(service: Notifications) -> AsyncIterator[httpx.AsyncClient]:
    await service.restart_sending(line_channels=CHANNEL, line_url=service.sink.url)
    async with make_client(service) as made:
        yield made


def make_client(service: Notifications, **settings: Any) -> httpx.AsyncClient:
    chosen = msgspec.structs.replace(service.settings, **settings)
    app = create_app(chosen, clock=lambda: service.now, db=service.db)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://ninomiya.example.jp")


@pytest.fixture
async def contact(service: Notifications) -> ContactGiven:
    given = service.contact("sms")
    await service.hear(given)
    return given


@pytest.fixture
async def wisher(
    service: Notifications, client: httpx.AsyncClient, database: TestDatabase, contact: ContactGiven
) -> Wisher:
    return await open_wishes(service, client, database, contact)


async def ask(wisher: Wisher) -> str:
    """The code that the page shows."""
    await wisher.post("/line")
    found = re.search(r"(\d{4}) (\d{4})</strong>", await wisher.get(f"{WISHES}/line"))
    assert found
    return found[1] + found[2]


class Line:
    """Somebody at LINE."""

    def __init__(self, service: Notifications, client: httpx.AsyncClient, user_id: str = USER) -> None:
        self._service, self._client, self._user_id = service, client, user_id

    async def does(self, kind: Any, text: str = "", *, token: str = "", later: timedelta = timedelta()) -> list[str]:
        """Do something at the account; what its account answers."""
        self._service.now += timedelta(seconds=1)
        token = token or f"reply-{self._service.now.timestamp()}"
        at_ms = int((self._service.now + later).timestamp() * 1000)
        body = event_body(LineEvent(kind=kind, user_id=self._user_id, text=text), token, at_ms=at_ms)
        headers = {"x-line-signature": line_signature(body, SECRET)}
        self._service.sink.caller.reply_tokens[token] = self._user_id
        before = len(self._service.sink.messages())
        answer = await self._client.post(f"/notifications/api/line/{TOWN}", content=body, headers=headers)
        assert answer.status_code == 200
        sent = self._service.sink.messages()
        assert all(message.to == self._user_id for message in sent[: len(sent) - before])
        return [message.text for message in sent[: len(sent) - before]]

    async def says(self, text: str, **how: Any) -> list[str]:
        return await self.does("message", text, **how)


@pytest.fixture
def line(service: Notifications, client: httpx.AsyncClient) -> Line:
    return Line(service, client)


async def ways(service: Notifications) -> list[tuple[str, str, bool]]:
    return [(row.kind, row.state, row.proved) for row in await service.rows(WAYS)]


async def test_who_sends_the_code_is_told_by_line_from_now_on(
    service: Notifications, wisher: Wisher, line: Line, contact: ContactGiven
) -> None:
    assert "/notices/mine/line" in await wisher.get(f"{WISHES}/ways/new")
    code = await ask(wisher)
    page = await wisher.get(f"{WISHES}/line")
    assert f"https://line.me/R/oaMessage/%40ninomiya/?{code}" in page
    assert "@ninomiya" in page
    [answer] = await line.says(f"{code[:4]} {code[4:]}")
    assert "LINEをつなぎました" in answer
    assert await ways(service) == [("sms", "good", True), ("line", "good", True)]
    assert "LINEをつなぎました" in await wisher.get(f"{WISHES}/line")
    await wisher.post("/ways/2/move", to="up")
    await service.hear(service.booked(contact))
    await service.settle()
    [told] = [sent for sent in service.sink.messages(channel="line") if "NNN-1042" in sent.text]
    assert told.to == USER
    # Sealed, never in full, and in the ledger.
    [way] = await service.rows("SELECT CAST(contact_way AS text) AS shown FROM contact_way WHERE kind = 'line'")
    assert USER not in way.shown
    assert USER not in await wisher.get()
    entries = await service.rows("SELECT entry_type, target_step FROM ledger_entry WHERE target_step = 'way_line'")
    assert [row.entry_type for row in entries] == ["approved"]


@pytest.mark.parametrize(
    "typed", ["12345678", "1234 5678", "１２３４　５６７８", "1234-5678", "12345678\n", "1234ー5678"]
)
def test_a_code_is_read_in_any_notation(typed: str) -> None:
    assert read_line_code(typed) == "12345678"


@pytest.mark.parametrize(
    "typed", ["", "1234567", "123456789", "12345678です", "こんにちは", "1" * 5_000, "1234 5678 " * 9]
)
def test_what_else_somebody_writes_is_not_read(typed: str) -> None:
    assert read_line_code(typed) is None


async def test_a_code_opens_once_not_long_and_not_after_another(
    service: Notifications, wisher: Wisher, line: Line, client: httpx.AsyncClient
) -> None:
    first = await ask(wisher)
    second = await ask(wisher)
    other = Line(service, client, OTHER_USER)
    for code in (first, "00000000"):
        assert "この番号は使えません" in (await line.says(code))[0]
    service.now += CODE_LIFETIME
    assert "この番号は使えません" in (await line.says(second))[0]
    assert "番号を出す" in await wisher.get(f"{WISHES}/line")
    third = await ask(wisher)
    assert "つなぎました" in (await line.says(third))[0]
    assert "この番号は使えません" in (await other.says(third))[0]
    assert await ways(service) == [("sms", "good", True), ("line", "good", True)]
    stored = await service.rows("SELECT CAST(line_code AS text) AS shown FROM line_code")
    assert not any(code in row.shown for row in stored for code in (first, second, third))


async def test_nobody_guesses_for_long(service: Notifications, wisher: Wisher, line: Line) -> None:
    """Seen to fail without the count: the right one opens after any number of wrong ones."""
    code = await ask(wisher)
    for number in range(LINE_TRIES_MAX):
        assert "この番号は使えません" in (await line.says(f"0000000{number}"))[0]
    assert "1時間ほど待って" in (await line.says(code))[0]
    assert await ways(service) == [("sms", "good", True)]
    await service.rows("UPDATE line_try SET tried_at = tried_at - interval '1 hour' RETURNING 1")
    assert "つなぎました" in (await line.says(code))[0]


async def test_an_event_that_comes_again_is_answered_once(service: Notifications, wisher: Wisher, line: Line) -> None:
    code = await ask(wisher)
    assert len(await line.says(code, token="t")) == 1
    assert await line.says(code, token="t") == []
    assert [kind for kind, _, _ in await ways(service)] == ["sms", "line"]


async def test_linked_twice_it_is_one_way(service: Notifications, wisher: Wisher, line: Line) -> None:
    for _ in range(2):
        assert "つなぎました" in (await line.says(await ask(wisher)))[0]
    assert [kind for kind, _, _ in await ways(service)] == ["sms", "line"]
    assert len(await service.rows("SELECT 1 FROM ledger_entry WHERE target_step = 'way_line'")) == 1


async def test_who_leaves_is_dead_and_asked_anew_and_who_comes_back_is_alive(
    service: Notifications, wisher: Wisher, line: Line
) -> None:
    await line.says(await ask(wisher))
    await line.does("unfollow")
    assert await ways(service) == [("sms", "good", True), ("line", "dead", True)]
    await service.settle()
    [asked] = service.sink.messages(channel="sms")
    assert "届" in asked.text
    page = await wisher.get()
    assert "ブロックをやめて" in page
    # What is older says nothing; what is remembered of it is forgotten, and the way stays dead.
    await line.does("follow", later=timedelta(days=-1))
    await service.pass_time(days=8)
    assert await service.rows("SELECT 1 FROM line_follow") == []
    assert (await ways(service))[1] == ("line", "dead", True)
    await line.does("follow")
    assert (await ways(service))[1] == ("line", "good", True)
    told = await service.rows("SELECT 1 FROM outbox WHERE type = 'notifications.notice_progressed.v1'")
    assert len(told) >= 2


async def test_who_leaves_while_their_contact_is_changed_is_noted_all_the_same(
    service: Notifications, wisher: Wisher, line: Line, contact: ContactGiven
) -> None:
    """Whoever links locks the contact and then who follows, whoever leaves the other way round.

    Seen to fail without `again_after_deadlock`: PostgreSQL undid it, and LINE heard of an error.
    """
    await line.says(await ask(wisher))
    leaving: list[asyncio.Task[list[str]]] = []

    async def change() -> None:
        async with service.db.begin(TOWN) as session:
            lock = text("SELECT 1 FROM contact_point WHERE contact_ref = :ref FOR UPDATE")
            await session.execute(lock, {"ref": contact.contact_ref})
            if not leaving:
                leaving.append(asyncio.create_task(line.does("unfollow")))
                await until(lambda: _is_waiting(service))
            about = {"town": TOWN, "user_hash": token_hash(USER), "long_ago": service.now - timedelta(days=1)}
            followed = "INSERT INTO line_follow VALUES (:town, :user_hash, true, :long_ago) ON CONFLICT DO NOTHING"
            await session.execute(text(followed), about)

    # Of two who wait for each other PostgreSQL undoes one: nearly always whoever has waited longer, who leaves.
    await again_after_deadlock(change)
    await leaving[0]
    assert await ways(service) == [("sms", "good", True), ("line", "dead", True)]


async def _is_waiting(service: Notifications) -> bool:
    return bool(await service.rows("SELECT 1 FROM pg_locks WHERE NOT granted"))


async def test_a_dead_way_is_alive_again_by_another_code(service: Notifications, wisher: Wisher, line: Line) -> None:
    await line.says(await ask(wisher))
    await line.does("unfollow")
    assert "つなぎました" in (await line.says(await ask(wisher)))[0]
    assert await ways(service) == [("sms", "good", True), ("line", "good", True)]


async def test_how_many_codes_and_ways_there_may_be(service: Notifications, wisher: Wisher, line: Line) -> None:
    codes = [await ask(wisher) for _ in range(ASKINGS_MAX)]
    await wisher.post("/line", status=429)
    for number in range(4):
        await wisher.add("call", phone=f"0463-71-331{number}")
    assert "連絡先がいっぱい" in (await line.says(codes[-1]))[0]
    service.now += timedelta(minutes=59)
    await wisher.post("/line", status=409)


async def test_it_speaks_the_persons_language(service: Notifications, wisher: Wisher, line: Line) -> None:
    await wisher.wish(language="en")
    [answer] = await line.says(await ask(wisher))
    assert "LINE" in answer
    assert "つなぎました" not in answer


async def test_a_removed_way_is_gone_and_erasing_leaves_nothing(
    service: Notifications, wisher: Wisher, line: Line, contact: ContactGiven
) -> None:
    await line.says(await ask(wisher))
    await wisher.post("/ways/2/remove")
    assert [kind for kind, _, _ in await ways(service)] == ["sms"]
    await line.says(await ask(wisher))
    erased = SubjectErased(
        event_id=contact.event_id, municipality=TOWN, aggregate_id="x", aggregate_version=1, occurred_at=service.now,
        erasure_id=contact.approval_id, subject_ref=contact.subject_ref, reason="resident",
    )  # fmt: skip
    await service.hear(msgspec.structs.replace(erased, event_id=contact.case_id))
    for table in ("contact_way", "line_code"):
        assert await service.rows(f"SELECT 1 FROM {table}") == []


async def test_codes_and_tries_go_after_a_day(service: Notifications, wisher: Wisher, line: Line) -> None:
    await ask(wisher)
    await line.says("00000000")
    for kept, left in ((CODES_KEPT - timedelta(seconds=2), 1), (CODES_KEPT, 0)):
        await tidy_up(service.db, TOWN, now=service.now + kept)
        for table in ("line_code", "line_try"):
            assert len(await service.rows(f"SELECT 1 FROM {table}")) == left


async def test_without_an_account_of_the_town_there_is_no_line(
    service: Notifications, database: TestDatabase, contact: ContactGiven
) -> None:
    async with make_client(service, line_channels="") as without:
        wisher = await open_wishes(service, without, database, contact)
        assert "/notices/mine/line" not in await wisher.get(f"{WISHES}/ways/new")
        assert (await without.get(f"{WISHES}/line")).status_code == 404
        await wisher.post("/line", status=404)


async def test_only_a_signed_event_of_the_town_links_anything(
    service: Notifications, wisher: Wisher, client: httpx.AsyncClient
) -> None:
    """A group's message is nobody's; what is signed by another secret, or for another town, is refused."""
    code = await ask(wisher)
    body = event_body(LineEvent(kind="message", user_id=USER, text=code), "t", at_ms=1)
    path = f"/notifications/api/line/{TOWN}"
    for signed in ("", line_signature(body, "other")):
        assert (await client.post(path, content=body, headers={"x-line-signature": signed})).status_code == 401
    other = await client.post(f"/notifications/api/line/{OTHER_TOWN}", content=body, headers={"x-line-signature": "x"})
    assert other.status_code == 404
    group = json.loads(body)
    group["events"][0]["source"] = {"type": "group", "groupId": "C1", "userId": USER}
    of_group = json.dumps(group).encode()
    signed = base64.b64encode(hmac.digest(SECRET.encode(), of_group, "sha256")).decode()
    assert (await client.post(path, content=of_group, headers={"x-line-signature": signed})).status_code == 200
    assert await ways(service) == [("sms", "good", True)]


async def test_an_answer_that_cannot_be_given_harms_nothing(service: Notifications, wisher: Wisher) -> None:
    code = await ask(wisher)
    async with make_client(service, line_url="http://127.0.0.1:9") as deaf:
        assert await Line(service, deaf).says(code) == []
    assert [kind for kind, _, _ in await ways(service)] == ["sms", "line"]
