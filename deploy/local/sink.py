"""Where mail, SMS and LINE end up in `make run` and in tests: real servers of all of them, and a page to read it.

    python -m deploy.local.sink

It misbehaves on demand (`deploy/local/gateways`: over `POST /behaviour` and `POST /limit`, by a recipient's ending, or
by a seed), so that tests see what the product does about it. In production it is for trials only: `docker-compose.yml`
starts it in the profile `trial`.
"""

import asyncio
import contextlib
import hmac
import logging
import os
import signal
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Callable, Generator
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self
from weakref import WeakSet

import uvicorn
from aiosmtpd import smtp

from deploy.local.gateways.asgi import BODY_MAX_BYTES
from deploy.local.gateways.behaviour import SLOW_S, Behaviour, Channel, Manners, Mode
from deploy.local.gateways.kept import Kept, Sent
from deploy.local.gateways.mail import MailHandler, read_mail
from deploy.local.gateways.page import make_app
from deploy.local.gateways.receipts import Caller, ReceiptsTo
from deploy.local.gateways.sms import SmsRequest
from deploy.secrets import MissingVariable, required
from shared.clock import utc_now

STOP_TIMEOUT_S = 5.0
SINK_HOST = "127.0.0.1"


class Sink:
    """All servers on one event loop: `async with Sink(token="…") as sink: …`. Port 0 means any free port.

    With `tls`, the mail server offers STARTTLS.
    """

    def __init__(
        self,
        *,
        token: str,
        smtp_port: int = 0,
        http_port: int = 0,
        host: str = SINK_HOST,
        folder: Path | None = None,
        receipts_to: ReceiptsTo | None = None,
        clock: Callable[[], datetime] = utc_now,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._token = token
        self._host = host
        self._wanted_ports = (smtp_port, http_port)
        self._tls = tls
        self.now = clock
        self.kept = Kept(folder, clock)
        self.manners = Manners()
        self.caller = Caller(receipts_to or ReceiptsTo(), token, clock)
        self.smtp_port = 0
        self.http_port = 0
        self.connections_made = 0
        """How many connections the mail server has taken so far."""

    @property
    def smtp_url(self) -> str:
        """For `CHOUDO_SMTP_URL`."""
        return f"smtp://{SINK_HOST}:{self.smtp_port}"

    @property
    def sms_url(self) -> str:
        """For `CHOUDO_SMS_GATEWAY_URL`."""
        return f"{self.url}/sms"

    @property
    def sms_form_url(self) -> str:
        """For `CHOUDO_SMS_GATEWAY_URL` in the other dialect."""
        return f"{self.url}/sms-form"

    @property
    def url(self) -> str:
        """The page; and for `CHOUDO_NOTIFICATIONS_LINE_URL`."""
        return f"http://{SINK_HOST}:{self.http_port}"

    @property
    def in_hand(self) -> int:
        """How many slow messages have come and are not answered yet."""
        return self.manners.slow_in_hand

    @property
    def connections(self) -> int:
        """How many connections are open, of all servers."""
        mail = sum(connection.transport is not None for connection in self._smtp_connections)
        return mail + len(self._http.server_state.connections)

    def messages(self, *, to: str | None = None, channel: str | None = None, lost: bool = False) -> list[Sent]:
        """What arrived, newest first; or what was accepted and lost."""
        return self.kept.messages(to=to, channel=channel, lost=lost)

    def behave(self, channel: Channel, mode: Mode, *, times: int = 1, slow_s: float = SLOW_S) -> None:
        """Treat the next `times` messages of a channel in this way."""
        self.manners.behave(Behaviour(channel=channel, mode=mode, times=times, slow_s=slow_s))

    def release(self) -> None:
        """Be slow no longer: whoever waits for an answer gets it now."""
        self.manners.release()

    def clear(self) -> None:
        """Forget all messages, on disk too."""
        self.kept.clear()

    async def __aenter__(self) -> Self:
        # aiosmtpd writes every command, with its addresses.
        logging.getLogger("mail.log").setLevel(logging.WARNING)
        self.kept.read_store()
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
        await self.caller.stop()
        await asyncio.wait_for(self._serving, STOP_TIMEOUT_S)

    # --- what the servers use -------------------------------------------------------------------------------------

    def is_token(self, shown: str) -> bool:
        """Whether a request may use the gateway."""
        return hmac.compare_digest(shown.encode(), f"Bearer {self._token}".encode())

    def accept_sms(self, request: SmsRequest, *, is_lost: bool = False) -> Sent:
        """Keep an SMS; one with an id that is known is the same one again."""
        return self.kept.keep("sms", request.id, lambda: {"to": request.to, "text": request.text}, is_lost=is_lost)

    def accept_mail(self, to: str, content: bytes, *, is_lost: bool = False) -> Sent:
        """Keep a mail; one with a Message-ID that is known is the same one again, as a mailbox would show it."""
        key, fields = read_mail(to, content)
        return self.kept.keep("email", key, lambda: fields, is_lost=is_lost)

    def _make_smtp(self) -> smtp.SMTP:
        protocol = smtp.SMTP(
            MailHandler(self), hostname="sink.localhost", enable_SMTPUTF8=True, data_size_limit=BODY_MAX_BYTES,
            loop=asyncio.get_running_loop(), tls_context=self._tls,
        )  # fmt: skip
        self._smtp_connections.add(protocol)
        self.connections_made += 1
        return protocol


class _Server(uvicorn.Server):
    """Leaves signals to whoever runs it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


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
        receipts_to=ReceiptsTo(
            by_json=os.environ.get("CHOUDO_SINK_RECEIPT_URL") or None,
            by_form=os.environ.get("CHOUDO_SINK_FORM_RECEIPT_URL") or None,
            bounces=os.environ.get("CHOUDO_SINK_BOUNCE_URL") or None,
            line=os.environ.get("CHOUDO_SINK_LINE_URL") or None,
            line_secret=os.environ.get("CHOUDO_SINK_LINE_SECRET", ""),
            bounce_token=os.environ.get("CHOUDO_NOTIFICATIONS_BOUNCE_TOKEN", ""),
        ),
    )
    async with _until_signalled() as done, sink:
        print(f"sink: mail on port {sink.smtp_port}, SMS, LINE and page on {sink.url}", flush=True)
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
