"""A scanner of viruses: a small server that speaks as clamd does, and says what it is told to, or nothing."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
import msgspec
import pytest

from services.routing.app import create_app
from services.routing.attachments.scanning import BadScanner, Clamd, NoScanner, make_scanner
from services.routing.pages.wording import REFUSALS
from services.routing.settings import Settings
from shared.db import Database
from shared.errors import Refusal
from tests.routing.applying import SEE_OTHER
from tests.routing.attaching import attach, begin, count, error_of, publish
from tests.routing.conftest import TestClock, Visitor
from tests.routing.files import MAKER, make_photo

EICAR = b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"


class Daemon:
    """clamd, for the tests: `say` is what it does with what it was sent."""

    def __init__(self) -> None:
        self.say: Callable[[bytes], bytes | None] = lambda _body: b"stream: OK\0"
        self.seen: list[bytes] = []
        self.slow_s = 0.0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            assert await reader.readexactly(10) == b"zINSTREAM\0"
            body = b""
            while length := int.from_bytes(await reader.readexactly(4), "big"):
                body += await reader.readexactly(length)
            self.seen.append(body)
            await asyncio.sleep(self.slow_s)
            answer = self.say(body)
            if answer is not None:
                writer.write(answer)
                await writer.drain()
        finally:
            writer.close()


@asynccontextmanager
async def running() -> AsyncIterator[tuple[Daemon, int]]:
    daemon = Daemon()
    server = await asyncio.start_server(daemon.serve, "127.0.0.1", 0)
    async with server:
        yield daemon, server.sockets[0].getsockname()[1]


async def test_only_a_clear_ok_lets_a_file_in(settings: Settings, clock: TestClock, db: Database) -> None:
    """Found, unsure, broken off, gone: nothing is stored. What is stored was looked at itself."""
    await publish(db)
    async with running() as (daemon, port):
        told = msgspec.structs.replace(settings, scanner=f"clamd://127.0.0.1:{port}")
        visitor = Visitor(create_app(told, clock=clock, db=db))
        case = await begin(visitor)
        for answer, code in (
            (b"stream: Eicar-Test-Signature FOUND\0", "attachment_infected"),
            (b"INSTREAM size limit exceeded. ERROR\0", "attachment_unscanned"),
            (b"stream: OK", "attachment_unscanned"),
            (b"", "attachment_unscanned"),
            (None, "attachment_unscanned"),
            (b"x" * 5_000 + b"\0", "attachment_unscanned"),
        ):
            daemon.say = lambda _body, answer=answer: answer  # type: ignore[misc]
            page = await attach(visitor, case)
            assert error_of(page).startswith(REFUSALS[code].title), (answer, error_of(page))
        # Clean as it came, and not as it would be kept.
        daemon.say = lambda body: b"stream: OK\0" if MAKER in body else b"stream: X FOUND\0"
        assert (await attach(visitor, case)).status_code == httpx.codes.UNPROCESSABLE_ENTITY
        assert await count(db, "attachment") == 0
        daemon.seen.clear()
        daemon.say = lambda _body: b"stream: OK\0"
        photo = make_photo()
        assert (await attach(visitor, case, photo)).status_code == SEE_OTHER
        assert daemon.seen[0] == photo
        assert len(daemon.seen) == 2
    # Away.
    page = await attach(visitor, case)
    assert page.status_code == httpx.codes.SERVICE_UNAVAILABLE
    assert "あとでもう一度" in error_of(page)
    assert await count(db, "attachment") == 1
    await visitor.http.aclose()


async def test_a_slow_scanner_is_not_waited_for_without_end() -> None:
    async with running() as (daemon, port):
        daemon.slow_s = 0.5
        with pytest.raises(Refusal, match="attachment_unscanned"):
            await Clamd("127.0.0.1", port, max_s=0.05).scan(b"x")
        await Clamd("127.0.0.1", port, max_s=20).scan(bytes(300_000))
        assert len(daemon.seen[-1]) == 300_000
        daemon.say = lambda body: b"stream: Eicar FOUND\0" if EICAR in body else b"stream: OK\0"
        with pytest.raises(Refusal, match="attachment_infected"):
            await Clamd("127.0.0.1", port).scan(EICAR)


def test_a_setting_that_names_no_scanner_ends_the_start() -> None:
    assert isinstance(make_scanner(None), NoScanner)
    assert isinstance(make_scanner(""), NoScanner)
    for setting in ("clamd://", "http://scanner:80", "scanner", "clamd://host:port"):
        with pytest.raises(BadScanner):
            make_scanner(setting)
