"""Reads that are shared: a rush reads twice, and nobody gets an answer that was begun before they asked."""

import asyncio

import pytest

from shared.shared_reads import SharedReads


class Shelf:
    """What is read: `value` at the moment a read begins; it ends when it is let go: one, or by `let` all."""

    def __init__(self) -> None:
        self.value = 0
        self.reads = 0
        self.let = asyncio.Event()
        self._gone = asyncio.Semaphore(0)

    async def read(self) -> int:
        self.reads += 1
        found = self.value
        ways = [asyncio.create_task(self.let.wait()), asyncio.create_task(self._gone.acquire())]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        return found

    def let_one_go(self) -> None:
        self._gone.release()


async def until_all_wait() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_hundred_who_ask_at_once_cost_two_reads() -> None:
    shelf, reads = Shelf(), SharedReads()
    asked = [asyncio.create_task(reads.read("key", shelf.read)) for _ in range(100)]
    await until_all_wait()
    shelf.let.set()
    assert await asyncio.gather(*asked) == [0] * 100
    assert shelf.reads == 2


async def test_nobody_gets_an_answer_that_was_begun_before_they_asked() -> None:
    """Seen to fail where whoever comes joins what is running."""
    shelf, reads = Shelf(), SharedReads()
    first = asyncio.create_task(reads.read("key", shelf.read))
    await until_all_wait()
    shelf.value = 1
    second = asyncio.create_task(reads.read("key", shelf.read))
    await until_all_wait()
    shelf.value = 2
    third = asyncio.create_task(reads.read("key", shelf.read))
    await until_all_wait()
    shelf.let.set()
    assert list(await asyncio.gather(first, second, third)) == [0, 2, 2]
    shelf.value = 3
    assert await reads.read("key", shelf.read) == 3


async def test_the_third_round_is_not_served_by_the_second() -> None:
    """Seen to fail where what waits is not put in the place of what has run."""
    shelf, reads = Shelf(), SharedReads()
    first = asyncio.create_task(reads.read("key", shelf.read))
    await until_all_wait()
    second = asyncio.create_task(reads.read("key", shelf.read))
    await until_all_wait()
    shelf.let_one_go()
    await until_all_wait()
    assert (await first, shelf.reads) == (0, 2)
    shelf.value = 1
    third = asyncio.create_task(reads.read("key", shelf.read))
    await until_all_wait()
    assert shelf.reads == 2
    shelf.let.set()
    assert list(await asyncio.gather(second, third)) == [0, 1]
    assert shelf.reads == 3


async def test_other_questions_do_not_wait() -> None:
    shelf, other, reads = Shelf(), Shelf(), SharedReads()
    waiting = asyncio.create_task(reads.read("key", shelf.read))
    await until_all_wait()
    other.let.set()
    assert await reads.read("other", other.read) == 0
    shelf.let.set()
    await waiting


async def test_an_error_is_raised_for_all_and_the_next_read_is_a_new_one() -> None:
    shelf, reads = Shelf(), SharedReads()

    async def fail() -> int:
        await shelf.read()
        raise LookupError

    asked = [asyncio.create_task(reads.read("key", fail)) for _ in range(3)]
    await until_all_wait()
    shelf.let.set()
    found = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(each) for each in found] == [LookupError] * 3
    with pytest.raises(LookupError):
        await reads.read("key", fail)
    assert await reads.read("key", shelf.read) == 0


async def test_a_reader_who_leaves_takes_it_from_nobody() -> None:
    """Seen to fail without the shield."""
    shelf, reads = Shelf(), SharedReads()
    first = asyncio.create_task(reads.read("key", shelf.read))
    await until_all_wait()
    leaving, staying = (asyncio.create_task(reads.read("key", shelf.read)) for _ in range(2))
    await until_all_wait()
    first.cancel()
    leaving.cancel()
    await until_all_wait()
    shelf.let.set()
    assert await staying == 0
    assert shelf.reads == 2
    assert first.cancelled()
    assert leaving.cancelled()
