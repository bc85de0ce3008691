"""What providers tell later: in different words, again and again, in any order, before we know of what, and as mail."""

import base64
import hmac
import json
import mailbox
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import msgspec
import pytest

from deploy.local.gateways.behaviour import Mode
from deploy.local.gateways.mail import report
from deploy.local.gateways.receipts import Caller, ReceiptsTo
from services.notifications.app import create_app
from services.notifications.bounces import read_maildir
from services.notifications.commands.receipts import DUE_MATCH, UNMATCHED_FOR
from services.notifications.domain.bounces import bounce_address, is_passing
from services.notifications.domain.outcomes import is_dead
from services.notifications.domain.receipts import SIGNED_WITHIN_S, sign
from services.notifications.domain.ways import FIRST_WAY
from tests.notifications.harness import OTHER_TOWN, TOKEN, TOWN, Notifications

JSON, FORM = "/notifications/api/receipts/sms_gateway", "/notifications/api/receipts/sms_form"
BOUNCES, LINE_EVENTS = "/notifications/api/bounces", f"/notifications/api/line/{TOWN}"
BOUNCE_TOKEN, LINE_SECRET = "bounce-token", "line-secret"
BEARER = {"authorization": f"Bearer {BOUNCE_TOKEN}"}
USER = "U0123456789abcdef0123456789abcdef"
FORM_TYPE = {"content-type": "application/x-www-form-urlencoded"}


@pytest.fixture
async def client(service: Notifications) -> AsyncIterator[httpx.AsyncClient]:
    """The doors, open for JSON receipts, bounces and LINE."""
    async with make_client(service) as made:
        yield made


def make_client(service: Notifications, **settings: Any) -> httpx.AsyncClient:
    channels = f'[{TOWN}]\ntoken = "t"\nsecret = "{LINE_SECRET}"\n'
    chosen = {"bounce_token": BOUNCE_TOKEN, "line_channels": channels} | settings
    app = create_app(msgspec.structs.replace(service.settings, **chosen), clock=lambda: service.now, db=service.db)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://ninomiya.example.jp")


async def send_by_form(service: Notifications) -> None:
    """Send SMS by the gateway that speaks in forms."""
    url = service.sink.sms_form_url
    await service.restart_sending(sms_gateway_dialect="form", sms_gateway_url=url, sms_gateway_user="town")


async def tell_by_door(service: Notifications, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the simulator's calls come in through the application, without a socket."""

    async def post(self: Caller, url: str, bodies: Any, media_type: str, token: str) -> None:
        for body in bodies:
            answer = await client.post(url, content=body, headers={"content-type": media_type})
            assert answer.status_code == 204, answer.text

    monkeypatch.setattr(Caller, "_post", post)
    service.sink.caller = Caller(ReceiptsTo(by_form=FORM), TOKEN, lambda: service.now)


async def book(service: Notifications, reach: Any = "sms") -> None:
    contact = service.contact(reach)
    await service.hear(contact, service.booked(contact))
    await service.settle()


async def delivery(service: Notifications) -> str | None:
    [row] = await service.rows("SELECT delivery FROM notice")
    found: str | None = row.delivery
    return found


async def unmatched(service: Notifications) -> list[str]:
    return sorted(row.status for row in await service.rows("SELECT status FROM receipt_unmatched"))


@pytest.mark.parametrize("mode", ["ok", "receipts_repeated", "receipts_backwards", "receipts_early"])
async def test_several_receipts_in_any_manner_say_one_thing(
    service: Notifications, mode: Mode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Early ones come before the gateway's id is written down: they are known by our tag."""
    await send_by_form(service)
    async with make_client(service) as client:
        await tell_by_door(service, client, monkeypatch)
        service.sink.behave("form", mode)
        await book(service)
        await service.sink.caller.settle()
        await service.pass_time(seconds=6)
    assert await delivery(service) == "delivered"
    assert await service.states() == {"confirmation": "sent"}
    assert await unmatched(service) == []
    assert await service.rows("SELECT 1 FROM due WHERE kind = :kind", kind=DUE_MATCH) == []
    [row] = await service.rows("SELECT provider FROM attempt")
    assert row.provider == "sms_form"


async def test_what_did_not_arrive_is_told_in_its_gateways_words(
    service: Notifications, monkeypatch: pytest.MonkeyPatch
) -> None:
    await send_by_form(service)
    async with make_client(service) as client:
        await tell_by_door(service, client, monkeypatch)
        service.sink.behave("form", "undelivered")
        await book(service)
        await service.sink.caller.settle()
        await service.pass_time(seconds=6)
    assert await delivery(service) == "not_delivered"
    assert await service.open_tasks() == ["not_delivered"]


async def test_a_receipt_without_our_tag_is_kept_until_its_message_is_known(service: Notifications) -> None:
    """A gateway that gives back less than it was given; or one that was told of by an older worker."""
    await send_by_form(service)
    async with make_client(service) as client:
        form = {"id": "x" * 32, "tag": TOWN, "status": "1", "pass": TOKEN}
        assert (await client.post(FORM, data=form)).status_code == 204
    assert await unmatched(service) == ["delivered"]
    await book(service)
    await service.rows("UPDATE attempt SET provider_ref = :ref RETURNING 1", ref="x" * 32)
    await service.pass_time(seconds=6)
    assert (await delivery(service), await unmatched(service)) == ("delivered", [])


async def test_a_lost_answer_is_made_good_by_the_receipt(
    service: Notifications, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gateway knows no repetition: sent again, it would be two messages. Seen to fail without the tag: it was."""
    await send_by_form(service)
    async with make_client(service) as client:
        await tell_by_door(service, client, monkeypatch)
        service.sink.behave("form", "drop_after_accept")
        await book(service)
        await service.sink.caller.settle()
    await service.pass_time(hours=1)
    assert await service.states() == {"confirmation": "sent"}
    assert await delivery(service) == "delivered"
    assert len(service.sink.messages(channel="sms")) == 1


async def test_an_id_that_nobody_ever_knows_is_forgotten(service: Notifications) -> None:
    async with make_client(service, sms_gateway_dialect="form") as client:
        for _ in range(3):
            form = {"id": "x" * 32, "tag": TOWN, "status": "1", "pass": TOKEN}
            assert (await client.post(FORM, data=form)).status_code == 204
    assert await unmatched(service) == ["delivered"]
    await service.pass_time(days=UNMATCHED_FOR.days - 1)
    assert await unmatched(service) == ["delivered"]
    for _ in range(5):
        await service.pass_time(days=2)
    assert await unmatched(service) == []
    assert await service.rows("SELECT 1 FROM due WHERE kind = :kind", kind=DUE_MATCH) == []


async def test_a_receipt_in_a_form_needs_the_secret_and_sense(service: Notifications) -> None:
    good = {"id": "a1", "tag": TOWN, "status": "1", "pass": TOKEN}
    async with make_client(service, sms_gateway_dialect="form") as client:
        for secret in ("", "x", "ほ"):
            assert (await client.post(FORM, data=good | {"pass": secret})).status_code == 401
        assert (await client.post(JSON, json={})).status_code == 404
        for bad in ({"id": ""}, {"tag": "'; DROP"}, {"id": "a b"}, {"id": "x" * 201}, {"tag": "\0"}):
            assert (await client.post(FORM, data=good | bad)).status_code == 400, bad
        for body in (b"", b"&&&", b"pass", b"\xff=\xff"):
            assert (await client.post(FORM, content=body, headers=FORM_TYPE)).status_code in (400, 401)
        # A word that is new to us: no error, and nothing is noted.
        assert (await client.post(FORM, data=good | {"status": "謎"})).status_code == 204
    assert await unmatched(service) == []


async def test_a_receipt_is_of_its_own_town(service: Notifications) -> None:
    await send_by_form(service)
    await book(service)
    [sent] = service.sink.messages()
    async with make_client(service, sms_gateway_dialect="form") as client:
        form = {"id": sent.message_id, "tag": OTHER_TOWN, "status": "1", "pass": TOKEN}
        assert (await client.post(FORM, data=form)).status_code == 204
    await service.pass_time(hours=1)
    assert await delivery(service) == "accepted"


async def test_a_signed_receipt_needs_no_token_and_is_not_played_again_later(
    service: Notifications, client: httpx.AsyncClient
) -> None:
    await book(service)
    [sent] = service.sink.messages()
    body = json.dumps({"id": sent.key, "status": "delivered"}).encode()
    at_s = int(service.now.timestamp())
    for signature in (
        sign(body, "other", at_s=at_s), sign(b"x", TOKEN, at_s=at_s), "", "t=1,v1=0",
        sign(body, TOKEN, at_s=at_s - SIGNED_WITHIN_S - 1), sign(body, TOKEN, at_s=at_s + SIGNED_WITHIN_S + 1),
    ):  # fmt: skip
        assert (await client.post(JSON, content=body, headers={"x-signature": signature})).status_code == 401
    headers = {"x-signature": sign(body, TOKEN, at_s=at_s - 60)}
    assert (await client.post(JSON, content=body, headers=headers)).status_code == 204
    assert await delivery(service) == "delivered"


# --- mail that comes back -----------------------------------------------------------------------------------------


POSTFIX = """\
Return-Path: <>
To: {to}
From: MAILER-DAEMON@mx.example.jp (Mail Delivery System)
Subject: Undelivered Mail Returned to Sender
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain; charset=us-ascii

I'm sorry to have to inform you that your message could not be delivered.

--b
Content-Description: Delivery report
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.jp
Arrival-Date: Tue, 24 Nov 2026 10:00:00 +0900 (JST)

Final-Recipient: rfc822; hanako@example.jp
Original-Recipient: rfc822;hanako@example.jp
Action: {action}
Status: {status}
Remote-MTA: dns; mail.example.jp
Diagnostic-Code: smtp; 550 5.1.1 <hanako@example.jp>: Recipient address rejected

--b--
"""


async def bounced(service: Notifications) -> str:
    """A mail that was sent; where it comes back to."""
    await book(service, "email")
    [row] = await service.rows("SELECT notice_id FROM notice")
    return bounce_address(TOWN, UUID(str(row.notice_id)), FIRST_WAY, "bounce.example.jp")


@pytest.mark.parametrize(
    ("action", "status", "told", "reason"),
    [
        ("failed", "5.1.1", "not_delivered", "bounced"),
        ("failed", "5.0.0", "not_delivered", "bounced"),
        ("failed", "5.2.2 (mailbox full)", "not_delivered", "bounced_soft"),
        ("failed", "5.7.1", "not_delivered", "bounced_soft"),
        ("failed", "4.4.7", "not_delivered", "bounced_soft"),
        ("Failed (permanently)", "", "not_delivered", "bounced_soft"),
        ("delayed", "4.4.1", "accepted", None),
        ("relayed", "2.0.0", "accepted", None),
        ("nonsense", "5.1.1", "accepted", None),
    ],
)
async def test_a_bounce_is_a_receipt(
    service: Notifications, client: httpx.AsyncClient, action: str, status: str, told: str, reason: str | None
) -> None:
    raw = POSTFIX.format(to=await bounced(service), action=action, status=status).encode()
    for _ in range(2):
        assert (await client.post(BOUNCES, content=raw, headers=BEARER)).status_code == 204
    [row] = await service.rows("SELECT delivery, reason FROM notice")
    assert (row.delivery, row.reason) == (told, reason)
    assert await service.open_tasks() == (["not_delivered"] if told == "not_delivered" else [])
    assert is_dead(row.reason) == (reason == "bounced")


async def test_a_bounce_of_nothing_of_ours_changes_nothing(service: Notifications, client: httpx.AsyncClient) -> None:
    await bounced(service)
    notice = bounce_address(TOWN, uuid4(), FIRST_WAY, "bounce.example.jp")
    for raw in (
        POSTFIX.format(to="someone@example.jp", action="failed", status="5.1.1").encode(),
        POSTFIX.format(to=notice, action="failed", status="5.1.1").encode(),
        POSTFIX.format(to=bounce_address("zz", uuid4(), FIRST_WAY, "x.jp"), action="failed", status="5.1.1").encode(),
        b"To: " + notice.encode() + b"\r\nAuto-Submitted: auto-replied\r\n\r\nI am away.\r\n",
        b"", b"\xff\xfe\0", b"Content-Type: ;;;\r\n\r\nx",
        b"To: =?x?q?=FF?=\r\nContent-Type: multipart/report\r\n\r\n--\r\n",
    ):  # fmt: skip
        assert (await client.post(BOUNCES, content=raw, headers=BEARER)).status_code in (204, 400)
    assert await delivery(service) == "accepted"
    assert await service.open_tasks() == []


async def test_bounces_need_the_token(service: Notifications, client: httpx.AsyncClient) -> None:
    for headers in ({}, {"authorization": "Bearer x"}):
        assert (await client.post(BOUNCES, content=b"x", headers=headers)).status_code == 401
    async with make_client(service, bounce_token="") as closed:
        assert (await closed.post(BOUNCES, content=b"x", headers={"authorization": "Bearer "})).status_code == 404


async def test_a_mail_comes_back_to_an_address_that_names_the_notice_and_nobody(service: Notifications) -> None:
    service.sending = service.make_sending()
    service.sending._render.keywords["bounce_domain"] = "bounce.example.jp"
    to = await bounced(service)
    [sent] = service.sink.messages()
    assert sent.headers["From"] == "二宮町 <no-reply@ninomiya.example.jp>"
    assert sent.mail_from == to
    assert "hanako" not in to


async def test_the_simulators_report_is_understood(service: Notifications, client: httpx.AsyncClient) -> None:
    to = await bounced(service)
    raw = report(to, "hanako@example.jp", "bounce_hard", service.now)
    assert (await client.post(BOUNCES, content=raw, headers=BEARER)).status_code == 204
    [row] = await service.rows("SELECT delivery, reason FROM notice")
    assert (row.delivery, row.reason) == ("not_delivered", "bounced")


async def test_a_maildir_is_read_once(service: Notifications, tmp_path: Path) -> None:
    box = mailbox.Maildir(tmp_path / "bounces")
    to = await bounced(service)
    box.add(POSTFIX.format(to=to, action="failed", status="5.1.1").encode())
    box.add(b"Subject: hello\r\n\r\nnothing\r\n")
    found = [await read_maildir(str(tmp_path / "bounces"), service.db, lambda: service.now) for _ in range(2)]
    assert found == [1, 0]
    assert await delivery(service) == "not_delivered"
    assert len(list((tmp_path / "bounces" / "cur").iterdir())) == 2
    assert list((tmp_path / "bounces" / "new").iterdir()) == []


# --- LINE ---------------------------------------------------------------------------------------------------------


async def tell_line(
    client: httpx.AsyncClient, service: Notifications, kind: str, *, at: timedelta = timedelta()
) -> int:
    timestamp = int((service.now + at).timestamp() * 1000)
    event = {"type": kind, "timestamp": timestamp, "source": {"type": "user", "userId": USER}, "replyToken": "x"}
    body = json.dumps(
        {"destination": "U1", "events": [event, {"type": "message", "source": {"type": "group"}}]}
    ).encode()
    signature = base64.b64encode(hmac.digest(LINE_SECRET.encode(), body, "sha256")).decode()
    answer = await client.post(LINE_EVENTS, content=body, headers={"x-line-signature": signature})
    return answer.status_code


async def by_line(service: Notifications) -> list[tuple[str, str | None, str]]:
    """Send somebody something by LINE; what became of it."""
    contact = service.contact("sms", USER)
    await service.hear(contact)
    await service.rows("UPDATE contact_way SET kind = 'line' RETURNING 1")
    await service.hear(service.booked(contact))
    await service.settle()
    rows = await service.rows("SELECT outcome, error_code, provider FROM attempt ORDER BY started_at DESC, outcome")
    return [(row.outcome, row.error_code, row.provider) for row in rows]


async def test_who_has_left_the_account_is_sent_nothing_until_they_come_back(
    service: Notifications, client: httpx.AsyncClient
) -> None:
    """LINE answers 200 and delivers nothing: without our own book nobody would ever know."""
    channels = f'[{TOWN}]\ntoken = "{TOKEN}"\nsecret = "{LINE_SECRET}"\n'
    await service.restart_sending(line_channels=channels, line_url=service.sink.url)
    assert await by_line(service) == [("accepted", None, "line")]
    assert await tell_line(client, service, "unfollow") == 200
    service.now += timedelta(minutes=1)
    assert (await by_line(service))[0] == ("permanent", "line_unfollowed", "line")
    assert is_dead("line_unfollowed")
    assert await service.open_tasks() == ["rejected"]
    assert len(service.sink.messages(channel="line")) == 1
    # What is older says nothing, whenever it comes.
    await tell_line(client, service, "follow", at=timedelta(days=-1))
    service.now += timedelta(minutes=1)
    assert (await by_line(service))[0][0] == "permanent"
    await tell_line(client, service, "follow")
    service.now += timedelta(minutes=1)
    assert (await by_line(service))[0] == ("accepted", None, "line")
    # Who follows is not kept for ever, and nobody's id ever was.
    [row] = await service.rows("SELECT CAST(line_follow AS text) AS shown, follows FROM line_follow")
    assert row.follows
    assert USER not in row.shown
    await service.pass_time(days=8)
    assert await service.rows("SELECT 1 FROM line_follow") == []


async def test_line_signs_what_it_tells(service: Notifications, client: httpx.AsyncClient) -> None:
    for headers in ({}, {"x-line-signature": "x"}, {"x-line-signature": base64.b64encode(b"0" * 32).decode()}):
        assert (await client.post(LINE_EVENTS, content=b"{}", headers=headers)).status_code == 401
    assert (await client.post(f"/notifications/api/line/{OTHER_TOWN}", content=b"{}")).status_code == 404
    huge = b'{"events":[{"type":"follow","timestamp":99999999999999999999,"source":{"userId":"x"}}]}'
    for body in (b"", b"[]", b'{"events":[{}]}', huge):
        signature = base64.b64encode(hmac.digest(LINE_SECRET.encode(), body, "sha256")).decode()
        answer = await client.post(LINE_EVENTS, content=body, headers={"x-line-signature": signature})
        assert answer.status_code == 400, body


@pytest.mark.parametrize(("said", "passing"), [("5.7.1 relaying denied", True), ("5.2.2 full", True), ("5.1.1", False)])
def test_a_server_that_does_not_want_us_says_nothing_of_the_mailbox(said: str, passing: bool) -> None:
    assert is_passing(said) is passing
    assert not is_dead("smtp_policy_550")
    assert is_dead("smtp_550")
