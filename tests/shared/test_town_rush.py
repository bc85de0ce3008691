"""The list of hosts is read once, however many requests find it old: in a rush they would take every connection."""

import asyncio
import time
from types import SimpleNamespace
from typing import Self, cast

import pytest

from shared.db import Database
from shared.web import town as town_module
from shared.web.town import TownDirectory


class SlowDatabase:
    """Counts how often it is asked; takes its time."""

    def __init__(self) -> None:
        self.asked = 0

    def begin_across_towns(self) -> "SlowDatabase":
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def execute(self, _: object) -> object:
        self.asked += 1
        await asyncio.sleep(0.05)
        row = SimpleNamespace(host="ninomiya.localhost", code="143421", name_ja="二宮町")
        return SimpleNamespace(all=lambda: [row])


async def test_the_first_rush_reads_once_and_a_later_one_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    db = SlowDatabase()
    towns = TownDirectory(cast("Database", db))
    found = await asyncio.gather(*(towns.find("ninomiya.localhost") for _ in range(100)))
    assert {town.code for town in found if town} == {"143421"}
    assert db.asked == 1

    monkeypatch.setattr(town_module, "REFRESH_INTERVAL_S", -1)
    refreshing = asyncio.create_task(towns.find("ninomiya.localhost"))
    await asyncio.sleep(0.01)
    began = time.perf_counter()
    await asyncio.gather(*(towns.find("ninomiya.localhost") for _ in range(100)))
    assert time.perf_counter() - began < 0.04
    await refreshing
    assert db.asked == 2
