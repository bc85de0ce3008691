"""Where mail and SMS end up in `make run` and in tests: a real SMTP server and SMS gateway, and a page to read them.

    python -m deploy.local.sink

It misbehaves on demand (`POST /behaviour`), so that tests see what the product does about it. In production it is for
trials only: `docker-compose.yml` starts it in the profile `trial`.
"""

import asyncio
import contextlib
import hmac
import json
import logging
import os
import signal
import socket
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable, Generator
from datetime import datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, Literal, Self
from uuid import uuid4
from weakref import WeakSet

import httpx
import jinja2
import msgspec
import uvicorn
from aiosmtpd import smtp
from litestar import Litestar, MediaType, Response, asgi, delete, get, post
from litestar.params import FromPath, FromQuery, JSONBody
from litestar.types import Receive, Scope, Send

from deploy.secrets import MissingVariable, required
from shared.clock import utc_now
from shared.web.templating import TOKYO

KEPT = 500
BODY_MAX_BYTES = 1_000_000
SLOW_S = 30.0
CALLBACK_TIMEOUT_S = 5.0
STOP_TIMEOUT_S = 5.0
SINK_HOST = "127.0.0.1"
STORE_FILE = "messages.jsonl"
GARBAGE = b"<html>proxy says hello</html>"
# What a mail server may say, and what makes no sense from one.
SMTP_BUSY, SMTP_REJECTED, SMTP_GARBAGE = "451 4.3.0 Try again later", "550 5.1.1 No such user", "hello there"
SMTP_DONE = "250 2.0.0 Accepted"

Channel = Literal["email", "sms"]
Mode = Literal["ok", "fail_5xx", "slow", "garbage", "drop_after_accept", "reject_permanent"]


class Sent(msgspec.Struct, kw_only=True):
    """One message that arrived. `key` is the gateway's id of ours, or the Message-ID; `times` how often it came."""

    number: int
    at: datetime
    channel: Channel
    to: str
    text: str
    key: str
    times: int = 1
    subject: str | None = None
    calendar: str | None = None
    # The headers of a mail, for tests; empty for SMS.
    headers: dict[str, str] = {}
    message_id: str = ""


class Behaviour(msgspec.Struct, frozen=True, kw_only=True):
    """How the next messages of a channel are treated: `times` of them, then all is well again."""

    channel: Literal["sms", "smtp"]
    mode: Mode
    times: Annotated[int, msgspec.Meta(ge=0, le=10_000)] = 1
    slow_s: Annotated[float, msgspec.Meta(ge=0, le=600)] = SLOW_S


class SmsRequest(msgspec.Struct, frozen=True):
    """The gateway's dialect."""

    id: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    to: Annotated[str, msgspec.Meta(pattern=r"^[0-9+]{8,16}$")]
    text: Annotated[str, msgspec.Meta(min_length=1, max_length=660)]


class Sink:
    """Both servers on one event loop: `async with Sink(token="…") as sink: …`. Port 0 means any free port."""

    def __init__(
        self,
        *,
        token: str,
        smtp_port: int = 0,
        http_port: int = 0,
        host: str = SINK_HOST,
        folder: Path | None = None,
        receipt_url: str | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._token = token
        self._host = host
        self._wanted_ports = (smtp_port, http_port)
        self._folder = folder
        self._receipt_url = receipt_url
        self._clock = clock
        self._messages: deque[Sent] = deque(maxlen=KEPT)
        self._behaviours: dict[str, Behaviour] = {}
        self._left: dict[str, int] = {}
        self._released = asyncio.Event()
        self.in_hand = 0
        """How many slow messages have come and are not answered yet."""
        self._next_number = 1
        self._callbacks: set[asyncio.Task[None]] = set()
        self.smtp_port = 0
        self.http_port = 0

    @property
    def smtp_url(self) -> str:
        """For `CHOUDO_SMTP_URL`."""
        return f"smtp://{SINK_HOST}:{self.smtp_port}"

    @property
    def sms_url(self) -> str:
        """For `CHOUDO_SMS_GATEWAY_URL`."""
        return f"http://{SINK_HOST}:{self.http_port}/sms"

    @property
    def url(self) -> str:
        """The page."""
        return f"http://{SINK_HOST}:{self.http_port}"

    def messages(self, *, to: str | None = None, channel: str | None = None) -> list[Sent]:
        """What arrived, newest first. A phone number is found in either notation."""
        return [
            sent
            for sent in reversed(self._messages)
            if (channel is None or sent.channel == channel) and (to is None or _same_address(sent.to, to))
        ]

    def behave(self, channel: Literal["sms", "smtp"], mode: Mode, *, times: int = 1, slow_s: float = SLOW_S) -> None:
        """Treat the next `times` messages of a channel in this way."""
        self._behaviours[channel] = Behaviour(channel=channel, mode=mode, times=times, slow_s=slow_s)
        self._left[channel] = times
        self._released.clear()

    def release(self) -> None:
        """Be slow no longer: whoever waits for an answer gets it now."""
        self._released.set()

    def clear(self) -> None:
        """Forget all messages, on disk too."""
        self._messages.clear()
        if self._folder is not None:
            (self._folder / STORE_FILE).unlink(missing_ok=True)

    async def __aenter__(self) -> Self:
        # aiosmtpd writes every command, with its addresses.
        logging.getLogger("mail.log").setLevel(logging.WARNING)
        self._read_store()
        loop = asyncio.get_running_loop()
        smtp_socket, http_socket = (_listen(self._host, port) for port in self._wanted_ports)
        self.smtp_port, self.http_port = smtp_socket.getsockname()[1], http_socket.getsockname()[1]
        self._smtp = await loop.create_server(self._make_smtp, sock=smtp_socket)
        self._smtp_connections: WeakSet[smtp.SMTP] = WeakSet()
        config = uvicorn.Config(
            make_app(self), lifespan="off", ws="none", log_config=None, access_log=False, timeout_graceful_shutdown=1
        )
        self._http = _Server(config)
        self._serving = asyncio.create_task(self._http.serve(sockets=[http_socket]))
        while not self._http.started:
            if self._serving.done():
                self._serving.result()
                raise RuntimeError("the sink's page did not start")
            await asyncio.sleep(0.005)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
        self._http.should_exit = True
        self._smtp.close()
        for connection in self._smtp_connections:
            if isinstance(connection.transport, asyncio.Transport):
                connection.transport.abort()
        for task in self._callbacks:
            task.cancel()
        await asyncio.gather(*self._callbacks, return_exceptions=True)
        await asyncio.wait_for(self._serving, STOP_TIMEOUT_S)

    # --- what the servers use -------------------------------------------------------------------------------------

    def next_behaviour(self, channel: Literal["sms", "smtp"]) -> Behaviour:
        """How to treat a message that has just come; counts it."""
        if self._left.get(channel, 0) <= 0:
            return Behaviour(channel=channel, mode="ok")
        self._left[channel] -= 1
        return self._behaviours[channel]

    async def be_slow(self, behaviour: Behaviour) -> None:
        """Take the time that was asked for, or until `release`."""
        self.in_hand += 1
        try:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._released.wait(), behaviour.slow_s)
        finally:
            self.in_hand -= 1

    def is_token(self, shown: str) -> bool:
        """Whether a request may use the gateway."""
        return hmac.compare_digest(shown.encode(), f"Bearer {self._token}".encode())

    def accept_sms(self, request: SmsRequest) -> Sent:
        """Keep an SMS; one with an id that is known is the same one again."""
        return self._keep(request.id, "sms", lambda: {"to": request.to, "text": request.text})

    def accept_mail(self, to: str, content: bytes) -> Sent:
        """Keep a mail; one with a Message-ID that is known is the same one again, as a mailbox would show it."""
        mail = message_from_bytes(content, policy=policy.default)
        key = f"{mail.get('Message-ID', uuid4().hex)} {to}"

        def read() -> dict[str, Any]:
            return {
                "to": to,
                "text": _text_of(mail, "text/plain"),
                "subject": str(mail.get("Subject", "")),
                "calendar": _text_of(mail, "text/calendar") or None,
                "headers": {name: str(value) for name, value in mail.items()},
            }

        return self._keep(key, "email", read)

    def tell_delivered(self, sent: Sent) -> None:
        """Call back, as a gateway does once the phone has it, if anybody asked for it."""
        if self._receipt_url is None:
            return
        task = asyncio.create_task(self._call_back(self._receipt_url, sent))
        self._callbacks.add(task)
        task.add_done_callback(self._callbacks.discard)

    def _keep(self, key: str, channel: Channel, read: Callable[[], dict[str, Any]]) -> Sent:
        for known in self._messages:
            if (known.key, known.channel) == (key, channel):
                known.times += 1
                self._store(known)
                return known
        sent = Sent(
            number=self._next_number, at=self._clock(), channel=channel, key=key, message_id=uuid4().hex, **read()
        )
        self._next_number += 1
        self._messages.append(sent)
        self._store(sent)
        return sent

    async def _call_back(self, url: str, sent: Sent) -> None:
        receipt = {"id": sent.key, "message_id": sent.message_id, "status": "delivered"}
        headers = {"authorization": f"Bearer {self._token}"}
        async with httpx.AsyncClient(timeout=CALLBACK_TIMEOUT_S, trust_env=False) as client:
            with contextlib.suppress(httpx.HTTPError):
                await client.post(url, json=receipt, headers=headers)

    def _make_smtp(self) -> smtp.SMTP:
        protocol = smtp.SMTP(
            _MailHandler(self), hostname="sink.localhost", enable_SMTPUTF8=True, data_size_limit=BODY_MAX_BYTES,
            loop=asyncio.get_running_loop(),
        )  # fmt: skip
        self._smtp_connections.add(protocol)
        return protocol

    def _read_store(self) -> None:
        if self._folder is None:
            return
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._folder / STORE_FILE
        if not path.exists():
            return
        # A message that came again is there again: the last line of each says how often.
        known: dict[int, Sent] = {}
        for line in path.read_bytes().splitlines():
            # The last line may be half written.
            with contextlib.suppress(msgspec.DecodeError):
                sent = msgspec.json.decode(line, type=Sent)
                known[sent.number] = sent
        self._messages.extend(known.values())
        self._next_number = max((sent.number for sent in self._messages), default=0) + 1
        path.unlink()
        for sent in self._messages:
            self._store(sent)

    def _store(self, sent: Sent) -> None:
        if self._folder is None:
            return
        # Only for its owner: it holds what residents were sent.
        file = os.open(self._folder / STORE_FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(file, "ab") as output:
            output.write(msgspec.json.encode(sent) + b"\n")


class _MailHandler:
    """What aiosmtpd calls, by these names."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self,
        server: Any,  # noqa: ARG002
        session: Any,  # noqa: ARG002
        envelope: Any,
        address: str,
        rcpt_options: list[str],  # noqa: ARG002
    ) -> str:
        # Decided once for a mail, here: a mail of ours has one recipient.
        envelope.behaviour = self._sink.next_behaviour("smtp")
        match envelope.behaviour.mode:
            case "fail_5xx":
                return SMTP_BUSY
            case "reject_permanent":
                return SMTP_REJECTED
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802, ARG002
        behaviour: Behaviour = envelope.behaviour
        if behaviour.mode == "slow":
            await self._sink.be_slow(behaviour)
        if behaviour.mode == "garbage":
            return SMTP_GARBAGE
        for address in envelope.rcpt_tos:
            self._sink.accept_mail(address, envelope.content)
        if behaviour.mode == "drop_after_accept":
            server.transport.abort()
        return SMTP_DONE


class _Server(uvicorn.Server):
    """Leaves signals to whoever runs it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def make_app(sink: Sink) -> Litestar:
    """The page, the gateway and what tests steer it by."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).with_name("sink_templates")), autoescape=True,
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip

    @get("/", media_type=MediaType.HTML)
    async def get_page(to: FromQuery[str] = "", channel: FromQuery[str] = "") -> str:
        found = sink.messages(to=to or None, channel=channel or None)
        return environment.get_template("sink.html").render(messages=found, tokyo=TOKYO, to=to, channel=channel)

    @get("/messages.json")
    async def get_messages(to: FromQuery[str] = "", channel: FromQuery[str] = "") -> Response[bytes]:
        found = sink.messages(to=to or None, channel=channel or None)
        return Response(msgspec.json.encode(found), media_type=MediaType.JSON)

    @get("/messages/{number:int}/yoyaku.ics")
    async def get_calendar(number: FromPath[int]) -> Response[str]:
        for sent in sink.messages():
            if sent.number == number and sent.calendar:
                return Response(sent.calendar, media_type="text/calendar; charset=utf-8")
        return Response("", status_code=HTTPStatus.NOT_FOUND, media_type=MediaType.TEXT)

    @delete("/messages")
    async def delete_messages() -> None:
        sink.clear()

    @post("/behaviour", status_code=HTTPStatus.NO_CONTENT)
    async def post_behaviour(data: JSONBody[Behaviour]) -> None:
        sink.behave(data.channel, data.mode, times=data.times, slow_s=data.slow_s)

    @asgi("/sms", copy_scope=True)
    async def sms_gateway(scope: Scope, receive: Receive, send: Send) -> None:
        await _serve_sms(sink, scope, receive, send)

    return Litestar(
        [get_page, get_messages, get_calendar, delete_messages, post_behaviour, sms_gateway],
        openapi_config=None,
        logging_config=None,
    )


async def _serve_sms(sink: Sink, scope: Scope, receive: Receive, send: Send) -> None:
    """`POST /sms`, without a framework between us and the connection: it has to be able to break off."""
    body = b""
    while True:
        message: Any = await receive()
        body += message.get("body", b"")
        if not message.get("more_body") or len(body) > BODY_MAX_BYTES:
            break
    headers = dict(scope["headers"])
    if scope["method"] != "POST":  # type: ignore[typeddict-item]
        await _answer(send, HTTPStatus.METHOD_NOT_ALLOWED, {"error": "post"})
        return
    if not sink.is_token(headers.get(b"authorization", b"").decode("latin-1")):
        await _answer(send, HTTPStatus.UNAUTHORIZED, {"error": "token"})
        return
    try:
        request = msgspec.json.decode(body, type=SmsRequest)
    except msgspec.DecodeError:
        await _answer(send, HTTPStatus.BAD_REQUEST, {"error": "request"})
        return
    behaviour = sink.next_behaviour("sms")
    match behaviour.mode:
        case "fail_5xx":
            await _answer(send, HTTPStatus.SERVICE_UNAVAILABLE, {"error": "busy"})
            return
        case "reject_permanent":
            await _answer(send, HTTPStatus.UNPROCESSABLE_ENTITY, {"error": "number"})
            return
        case "garbage":
            await _answer_raw(send, HTTPStatus.OK, GARBAGE, "text/html")
            return
        case "slow":
            await sink.be_slow(behaviour)
    sent = sink.accept_sms(request)
    sink.tell_delivered(sent)
    if behaviour.mode == "drop_after_accept":
        # A promised body that never comes: the server closes the connection.
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"100")]})
        return
    await _answer(send, HTTPStatus.OK, {"message_id": sent.message_id, "status": "accepted"})


async def _answer(send: Send, status: HTTPStatus, body: dict[str, str]) -> None:
    await _answer_raw(send, status, json.dumps(body).encode(), "application/json")


async def _answer_raw(send: Send, status: HTTPStatus, body: bytes, media_type: str) -> None:
    headers = [(b"content-type", media_type.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": int(status), "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _text_of(mail: EmailMessage, content_type: str) -> str:
    for part in mail.walk():
        if part.get_content_type() == content_type:
            text: str = part.get_content()
            return text
    return ""


def _same_address(known: str, asked: str) -> bool:
    return _plain(known) == _plain(asked)


def _plain(address: str) -> str:
    return "0" + address.removeprefix("+81") if address.startswith("+81") else address.strip().lower()


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.setblocking(False)
    return listener


@contextlib.asynccontextmanager
async def _until_signalled() -> AsyncIterator[asyncio.Event]:
    done = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, done.set)
    yield done


async def _run() -> None:
    folder = os.environ.get("CHOUDO_SINK_DIR")
    if not folder and os.environ.get("CHOUDO_DATA_DIR"):
        folder = str(Path(os.environ["CHOUDO_DATA_DIR"]) / "sink")
    sink = Sink(
        token=required(os.environ, "CHOUDO_SMS_GATEWAY_TOKEN"),
        smtp_port=int(required(os.environ, "CHOUDO_SINK_SMTP_PORT")),
        http_port=int(required(os.environ, "CHOUDO_SINK_HTTP_PORT")),
        host=os.environ.get("CHOUDO_SINK_HOST", SINK_HOST),
        folder=Path(folder) if folder else None,
        receipt_url=os.environ.get("CHOUDO_SINK_RECEIPT_URL") or None,
    )
    async with _until_signalled() as done, sink:
        print(f"sink: mail on port {sink.smtp_port}, SMS and page on {sink.url}", flush=True)
        await done.wait()


def main() -> int:
    """Run until SIGTERM or SIGINT. Returns the exit status."""
    try:
        asyncio.run(_run())
    except MissingVariable as error:
        print(f"missing in the environment: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
