"""How many files are held at once: none is read for whoever may not send it, and none is held beyond the turn."""

import asyncio
from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from services.routing.attachments.cleaning import Cleaned
from services.routing.attachments.receiving import READ_AT_ONCE, READ_AT_ONCE_PER_ADDRESS, Receiving
from services.routing.attachments.scanning import NoScanner
from services.routing.pages.wording import REFUSALS
from shared.db import Database
from shared.errors import Refusal
from tests.routing.applying import SEE_OTHER
from tests.routing.attaching import attach, begin, error_of, publish
from tests.routing.conftest import Visitor

NewVisitor = Callable[..., Visitor]
# Long enough for whoever does not wait.
WAITS_S = 1.0


async def test_one_address_takes_no_more_than_its_part_of_the_turns() -> None:
    """Seen to fail without the count of an address, and without the look at how many are read."""
    receiving = Receiving(NoScanner())
    go_on = asyncio.Event()

    async def send(address: str) -> None:
        async with receiving.receiving(address):
            await go_on.wait()

    slow = [asyncio.create_task(send("a")) for _ in range(READ_AT_ONCE_PER_ADDRESS)]
    await asyncio.sleep(0)
    with pytest.raises(Refusal, match="attachment_busy"):
        await asyncio.wait_for(send("a"), WAITS_S)
    others = [asyncio.create_task(send(f"b{n}")) for n in range(READ_AT_ONCE - READ_AT_ONCE_PER_ADDRESS)]
    await asyncio.sleep(0)
    with pytest.raises(Refusal, match="attachment_busy"):
        await asyncio.wait_for(send("c"), WAITS_S)
    go_on.set()
    await asyncio.gather(*slow, *others)
    await send("a")


async def test_a_file_keeps_its_turn_until_it_was_looked_at(
    db: Database, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen to fail where the turn ended with the last byte: any number of files waited in memory."""
    await publish(db)
    case = await begin(visitor)
    take, held, go_on = Receiving.take, asyncio.Event(), asyncio.Event()

    async def take_slowly(receiving: Receiving, data: bytes) -> Cleaned:
        if len(waiting) == READ_AT_ONCE_PER_ADDRESS:
            held.set()
        await go_on.wait()
        return await take(receiving, data)

    monkeypatch.setattr(Receiving, "take", take_slowly)
    waiting = [asyncio.create_task(attach(visitor, case)) for _ in range(READ_AT_ONCE_PER_ADDRESS)]
    await held.wait()
    await asyncio.sleep(1)
    answer = await asyncio.wait_for(attach(visitor, case), timeout=10)
    assert error_of(answer).startswith(REFUSALS["attachment_busy"].title)
    go_on.set()
    assert {each.status_code for each in await asyncio.gather(*waiting)} == {SEE_OTHER}


async def test_nothing_is_read_of_a_file_for_a_case_that_is_somebody_elses(
    db: Database, new_visitor: NewVisitor, visitor: Visitor
) -> None:
    """Seen to fail without the look at whose case it is before the turn."""
    await publish(db)
    case = await begin(visitor)
    stranger = new_visitor()
    await stranger.open_case()
    read = []

    async def body() -> AsyncIterator[bytes]:
        read.append(True)
        yield b"--b"

    kind = {"content-type": "multipart/form-data; boundary=b"}
    answer = await stranger.http.post(f"{case}/attachments", content=body(), headers=kind)
    assert (answer.status_code, read) == (httpx.codes.NOT_FOUND, [])
