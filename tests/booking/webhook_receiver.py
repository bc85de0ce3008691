"""Another system of the town, over real HTTP, which behaves as badly as it is told to; and an endpoint for it."""

import asyncio
import base64
import contextlib
import hashlib
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import msgspec

from services.booking.commands.webhooks import RegisterWebhook, SecretShown, register_webhook
from services.booking.domain.webhooks import KINDS, about_of
from shared.tokens import Identity
from shared.webhooks.destinations import Destinations, read_networks
from shared.webhooks.sending import WebhookLoop
from shared.webhooks.signing import read_secret
from tests.booking.conftest import TOWN, BookingTown

MANAGER = Identity(municipality=TOWN, kind="staff", ref="manager", session_id="s-manager", roles=("manager",))
HERE = Destinations(https_only=False, allowed=read_networks("127.0.0.0/8"))
TOLERANCE_S = 300


@dataclass
class Got:
    """A request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def told(self) -> Any:
        return msgspec.json.decode(self.body)

    def is_signed_by(self, secret: str) -> bool:
        """As the specification tells a receiver to look at it, written down once more."""
        signed = f"{self.headers['webhook-id']}.{self.headers['webhook-timestamp']}.".encode() + self.body
        expected = base64.b64encode(hmac.new(read_secret(secret), signed, hashlib.sha256).digest()).decode()
        return f"v1,{expected}" in self.headers["webhook-signature"].split(" ")


@dataclass
class Receiver:
    """`mode` says what it does next: a status, or `slow` (no answer), `hang_up`."""

    mode: str = "200"
    got: list[Got] = field(default_factory=list)
    # What it answers to messages of a kind, whatever the mode.
    of_kind: dict[str, str] = field(default_factory=dict)
    port: int = 0
    free: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
                body = await reader.readexactly(int(headers["content-length"]))
                got = Got(head[0].split(" ")[1], headers, body)
                self.got.append(got)
                if not await self.answer(self.of_kind.get(got.told["type"], self.mode), writer):
                    break
        writer.close()

    async def answer(self, mode: str, writer: asyncio.StreamWriter) -> bool:
        if mode == "slow":
            await self.free.wait()
        if mode in ("slow", "hang_up"):
            return False
        away = f"Location: http://127.0.0.1:{self.port}/elsewhere\r\n" if mode.startswith("3") else ""
        writer.write(f"HTTP/1.1 {mode} Said\r\n{away}Content-Length: 2\r\n\r\nok".encode())
        await writer.drain()
        return True


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver that listens."""
    receiver = Receiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        receiver.free.set()
        server.close()
        await server.wait_closed()


@asynccontextmanager
async def sending(town: BookingTown, destinations: Destinations = HERE) -> AsyncIterator[WebhookLoop]:
    """The worker's loop."""
    loop = WebhookLoop(town.db, town.keys.vault, destinations, town.clock, about_of=about_of)
    try:
        yield loop
    finally:
        await loop.close()


async def register(
    town: BookingTown, url: str, *kinds: str, key: str = "key", actor: Identity = MANAGER
) -> SecretShown:
    order = RegisterWebhook(name_ja="案内表示", url=url, kinds=kinds or KINDS, key=key)
    async with town.db.begin(actor.municipality) as session:
        return await register_webhook(session, actor, order, town.keys, HERE, now=town.now)


async def deliveries(town: BookingTown, endpoint_id: UUID | None = None) -> list[Any]:
    return await town.rows(
        "SELECT kind, state, tries, answer, about, next_try_at FROM booking.webhook_delivery"
        " WHERE endpoint_id = :endpoint_id OR CAST(:endpoint_id AS uuid) IS NULL ORDER BY told_at, kind",
        endpoint_id=endpoint_id,
    )
