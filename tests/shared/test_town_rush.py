"""The list of hosts is read once, however many requests find it old: in a rush they would take every connection."""

import asyncio
from types import SimpleNamespace
from typing import Self, cast

import pytest

from shared.db import Database
from shared.web import town as town_module
from shared.web.town import TownDirectory


class SlowDatabase:
    """Counts how often it is asked; answers once it may."""

    def __init__(self) -> None:
        self.asked = 0
        self.may_answer = asyncio.Event()

    def begin_across_towns(self) -> "SlowDatabase":
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def execute(self, _: object) -> object:
        self.asked += 1
        await self.may_answer.wait()
        row = SimpleNamespace(host="ninomiya.localhost", code="143421", name_ja="二宮町", phone="0463-71-3311")
        return SimpleNamespace(all=lambda: [row])


async def until_asked(db: SlowDatabase, times: int) -> None:
    """Until the database has been asked so often."""
    while db.asked < times:
        await asyncio.sleep(0)


async def test_the_first_rush_reads_once_and_a_later_one_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    db = SlowDatabase()
    towns = TownDirectory(cast("Database", db))
    rush = asyncio.gather(*(towns.find("ninomiya.localhost") for _ in range(100)))
    await until_asked(db, 1)
    db.may_answer.set()
    found = await rush
    assert {town.code for town in found if town} == {"143421"}
    assert db.asked == 1

    monkeypatch.setattr(town_module, "REFRESH_INTERVAL_S", -1)
    db.may_answer.clear()
    refreshing = asyncio.create_task(towns.find("ninomiya.localhost"))
    await until_asked(db, 2)
    # All of them are answered while the list is still being read.
    await asyncio.gather(*(towns.find("ninomiya.localhost") for _ in range(100)))
    assert not refreshing.done()
    db.may_answer.set()
    await refreshing
    assert db.asked == 2
