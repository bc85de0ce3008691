"""The sink of `make run`: real servers that keep what is sent, and misbehave when told to."""

import asyncio
import smtplib
from collections.abc import AsyncIterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.local.gateways.receipts import ReceiptsTo
from deploy.local.sink import Sink

TOKEN = "gateway-token"
# A ceiling and no wait.
PATIENCE_S = 60.0
SMS = {"id": "143421:1", "to": "09012345678", "text": "【二宮町】予約できました http://ninomiya.localhost/booking/a/x"}


@pytest.fixture
async def sink(tmp_path: Path) -> AsyncIterator[Sink]:
    async with Sink(token=TOKEN, folder=tmp_path / "sink") as running:
        yield running


@pytest.fixture
async def client(sink: Sink) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(base_url=sink.url, headers=headers, timeout=PATIENCE_S) as made:
        yield made


def make_mail(message_id: str = "<1@ninomiya.localhost>") -> EmailMessage:
    mail = EmailMessage()
    mail["Subject"] = "【二宮町】予約ができました"
    mail["From"] = "no-reply@ninomiya.localhost"
    mail["To"] = "hanako@example.jp"
    mail["Message-ID"] = message_id
    mail.set_content("予約番号　N-1\nhttp://ninomiya.localhost/booking/a/x\n")
    mail.add_alternative("BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n", subtype="calendar", params={"method": "REQUEST"})
    return mail


async def send_mail(sink: Sink, mail: EmailMessage) -> None:
    def send() -> None:
        with smtplib.SMTP("127.0.0.1", sink.smtp_port, timeout=PATIENCE_S) as server:
            server.send_message(mail)

    await asyncio.to_thread(send)


async def post_sms(client: httpx.AsyncClient, **changes: str) -> httpx.Response:
    return await client.post("/sms", json=SMS | changes)


async def test_a_mail_is_kept_with_its_text_and_its_calendar(sink: Sink, client: httpx.AsyncClient) -> None:
    await send_mail(sink, make_mail())
    [sent] = (await client.get("/messages.json", params={"to": "Hanako@example.jp"})).json()
    assert sent["subject"] == "【二宮町】予約ができました"
    assert "予約番号" in sent["text"]
    calendar = await client.get(f"/messages/{sent['number']}/yoyaku.ics")
    assert calendar.text.startswith("BEGIN:VCALENDAR")
    assert calendar.headers["content-type"].startswith("text/calendar")
    assert (await client.get("/messages/99/yoyaku.ics")).status_code == 404


async def test_the_same_mail_again_is_the_same_mail(sink: Sink) -> None:
    await send_mail(sink, make_mail())
    await send_mail(sink, make_mail())
    await send_mail(sink, make_mail("<2@ninomiya.localhost>"))
    assert [sent.times for sent in sink.messages(channel="email")] == [1, 2]


async def test_an_sms_is_accepted_once_for_each_id(sink: Sink, client: httpx.AsyncClient) -> None:
    first, second = await post_sms(client), await post_sms(client)
    assert first.json()["status"] == "accepted"
    assert first.json() == second.json()
    [sent] = sink.messages(to="+819012345678", channel="sms")
    assert sent.times == 2


@pytest.mark.parametrize(
    "body", [b"{}", b"\xff", b"", b'{"id": "1", "to": "hanako", "text": "x"}', b'{"id":"1","to":"09012345678"}']
)
async def test_a_request_that_is_none_is_refused(sink: Sink, client: httpx.AsyncClient, body: bytes) -> None:
    assert (await client.post("/sms", content=body)).status_code == 400
    assert sink.messages() == []


async def test_the_gateway_wants_its_token(sink: Sink, client: httpx.AsyncClient) -> None:
    answer = await client.post("/sms", json=SMS, headers={"authorization": "Bearer other"})
    assert answer.status_code == 401
    assert (await client.get("/sms")).status_code == 405
    assert sink.messages() == []


async def test_it_misbehaves_as_often_as_told(sink: Sink, client: httpx.AsyncClient) -> None:
    for mode, status in [("fail_5xx", 503), ("reject_permanent", 422)]:
        behaviour = {"channel": "sms", "mode": mode, "times": 2}
        assert (await client.post("/behaviour", json=behaviour)).status_code == 204
        assert [(await post_sms(client)).status_code for _ in range(2)] == [status, status]
        assert sink.messages() == []
    sink.behave("sms", "garbage")
    assert "html" in (await post_sms(client)).text
    sink.behave("sms", "drop_after_accept")
    with pytest.raises(httpx.RemoteProtocolError):
        await post_sms(client)
    assert len(sink.messages()) == 1
    assert (await post_sms(client)).json()["status"] == "accepted"
    assert len(sink.messages()) == 1


async def test_mail_is_refused_for_now_and_for_good(sink: Sink) -> None:
    sink.behave("smtp", "fail_5xx")
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        await send_mail(sink, make_mail())
    assert next(iter(refused.value.recipients.values()))[0] == 451
    sink.behave("smtp", "reject_permanent")
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        await send_mail(sink, make_mail())
    assert next(iter(refused.value.recipients.values()))[0] == 550
    sink.behave("smtp", "drop_after_accept")
    with pytest.raises(smtplib.SMTPServerDisconnected):
        await send_mail(sink, make_mail())
    assert len(sink.messages()) == 1


async def test_a_slow_gateway_answers_late(sink: Sink, client: httpx.AsyncClient) -> None:
    sink.behave("sms", "slow", slow_s=600)
    with pytest.raises(httpx.ReadTimeout):
        await client.post("/sms", json=SMS, timeout=httpx.Timeout(PATIENCE_S, read=0.05))
    async with asyncio.timeout(PATIENCE_S):
        while not sink.in_hand:
            await asyncio.sleep(0.005)
        assert sink.messages() == []
        sink.release()
        while not sink.messages():
            await asyncio.sleep(0.005)


async def test_the_page_shows_texts_with_links_and_hides_nothing_in_markup(
    sink: Sink, client: httpx.AsyncClient
) -> None:
    await post_sms(client, text="<script>alert(1)</script> http://ninomiya.localhost:8000/booking/a/x")
    await send_mail(sink, make_mail())
    text = (await client.get("/")).text
    assert '<a href="http://ninomiya.localhost:8000/booking/a/x"' in text
    assert "<script>alert" not in text
    assert text.index("予約番号") < text.index("&lt;script&gt;")
    assert "yoyaku.ics" in text


async def test_messages_are_forgotten_on_request(sink: Sink, client: httpx.AsyncClient) -> None:
    await post_sms(client)
    assert (await client.delete("/messages")).status_code == 204
    assert (await client.get("/messages.json")).json() == []


async def test_a_restart_finds_the_messages_again(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    async with Sink(token=TOKEN, folder=folder) as sink, httpx.AsyncClient(base_url=sink.url) as client:
        for _ in range(2):
            answer = await client.post("/sms", json=SMS, headers={"authorization": f"Bearer {TOKEN}"})
            assert answer.status_code == 200
    with (folder / "messages.jsonl").open("ab") as file:
        file.write(b'{"number": 9, "half')
    async with Sink(token=TOKEN, folder=folder) as sink:
        [sent] = sink.messages()
        assert (sent.key, sent.number, sent.times) == (SMS["id"], 1, 2)


async def test_only_the_newest_are_kept(sink: Sink) -> None:
    for number in range(510):
        sink.accept_mail("a@example.jp", make_mail(f"<{number}@x>").as_bytes())
    assert len(sink.messages()) == 500
    assert sink.messages()[0].number == 510


async def test_a_receipt_is_called_back(tmp_path: Path) -> None:
    got: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.split("content-length: ")[1].split("\r\n")[0])
        body = await reader.readexactly(length)
        await got.put({"body": body.decode(), "head": head})
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/receipts"
    async with (
        Sink(token=TOKEN, receipts_to=ReceiptsTo(by_json=url)) as sink,
        httpx.AsyncClient(base_url=sink.url) as client,
    ):
        await client.post("/sms", json=SMS, headers={"authorization": f"Bearer {TOKEN}"})
        call = await asyncio.wait_for(got.get(), PATIENCE_S)
    server.close()
    assert '"delivered"' in call["body"]
    assert f"bearer {TOKEN}" in call["head"]
