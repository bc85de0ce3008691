"""Connections to the mail server: so many at a time, kept between batches, and none of them for long."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self
from urllib.parse import unquote, urlsplit

from aiosmtplib import SMTP, SMTPException

CONNECTIONS = 4
# A connection is kept so long after a batch, and no longer than the second: servers close what is idle or old.
IDLE_MAX_S = 20.0
AGE_MAX_S = 120.0
CONNECT_TIMEOUT_S = 5.0
QUIT_TIMEOUT_S = 2.0
INSISTING = "smtp+starttls"
PORTS = {"smtp": 25, INSISTING: 587, "smtps": 465}


@dataclass(frozen=True, slots=True, repr=False)
class SmtpServer:
    """Where it is, and how it is spoken to. `start_tls` None: when it is offered. Its password is never shown."""

    hostname: str
    port: int
    use_tls: bool
    start_tls: bool | None
    username: str | None
    password: str | None
    trusted: ssl.SSLContext | None

    @classmethod
    def from_url(cls, url: str, trusted: ssl.SSLContext | None) -> Self:
        """Raises ValueError if it is none."""
        parts = urlsplit(url)
        if parts.scheme not in PORTS or not parts.hostname:
            raise ValueError("CHOUDO_SMTP_URL must be smtp://, smtp+starttls:// or smtps:// and host[:port]")
        return cls(
            hostname=parts.hostname,
            port=parts.port or PORTS[parts.scheme],
            use_tls=parts.scheme == "smtps",
            start_tls=True if parts.scheme == INSISTING else None,
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
            trusted=trusted,
        )

    def make_client(self) -> SMTP:
        """A connection that is not open yet."""
        return SMTP(
            hostname=self.hostname,
            port=self.port,
            use_tls=self.use_tls,
            start_tls=None if self.use_tls else self.start_tls,
            username=self.username,
            password=self.password,
            tls_context=self.trusted,
            timeout=CONNECT_TIMEOUT_S,
        )


@dataclass(slots=True)
class Lent:
    """An open connection in somebody's hands. Its times are the loop's."""

    client: SMTP
    opened_at: float
    kept_at: float = 0.0
    was_kept: bool = False
    was_used: bool = False

    @property
    def is_from_pool(self) -> bool:
        """Whether the server may have closed it while it was kept."""
        return self.was_kept and not self.was_used


class SmtpPool:
    """The connections of one sender. At most `CONNECTIONS` are open, whoever waits for one and whoever has it."""

    def __init__(self, server: SmtpServer) -> None:
        self._server = server
        self._places = asyncio.Semaphore(CONNECTIONS)
        self._kept: list[Lent] = []

    @asynccontextmanager
    async def place(self, until: float) -> AsyncIterator[bool]:
        """A place for one connection at a time; false if none was free until then (the loop's time)."""
        try:
            async with asyncio.timeout_at(until):
                await self._places.acquire()
        except TimeoutError:
            yield False
            return
        try:
            yield True
        finally:
            self._places.release()

    async def take(self) -> Lent | None:
        """A kept connection or a new one; None when the server is away."""
        now = asyncio.get_running_loop().time()
        while self._kept:
            # The one that was used last: the others grow too old, and their number falls to what is needed.
            kept = self._kept.pop()
            if kept.client.is_connected and now - kept.kept_at < IDLE_MAX_S and now - kept.opened_at < AGE_MAX_S:
                kept.was_used = False
                return kept
            await _quit(kept.client)
        client = await self._connect()
        return Lent(client, asyncio.get_running_loop().time()) if client else None

    async def give_back(self, connection: Lent) -> None:
        """Keep it for the next batch, if it is young; and let go of those that nobody wanted for long."""
        now = asyncio.get_running_loop().time()
        if not connection.client.is_connected or now - connection.opened_at >= AGE_MAX_S:
            await _quit(connection.client)
            return
        connection.kept_at, connection.was_kept = now, True
        old = [kept for kept in self._kept if now - kept.kept_at >= IDLE_MAX_S]
        self._kept = [kept for kept in self._kept if kept not in old] + [connection]
        for kept in old:
            await _quit(kept.client)

    async def close(self) -> None:
        """Close what is kept."""
        while self._kept:
            await _quit(self._kept.pop().client)

    async def _connect(self) -> SMTP | None:
        client = self._server.make_client()
        try:
            # The client's own limit is for each step: greeting, EHLO, TLS and login together have no more.
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await client.connect()
        except (SMTPException, OSError, TimeoutError):
            client.close()
            return None
        return client


async def _quit(client: SMTP) -> None:
    if not client.is_connected:
        client.close()
        return
    try:
        async with asyncio.timeout(QUIT_TIMEOUT_S):
            await client.quit(timeout=QUIT_TIMEOUT_S)
    except (SMTPException, OSError, TimeoutError):
        client.close()
