"""The pages of finding: what helps when nothing was found, short addresses, and the catalogue kept in memory."""

import asyncio
import re
import threading

import httpx
import msgspec
import pytest
from prometheus_client import REGISTRY

from services.routing.commands.catalogue import publish_catalogue
from services.routing.domain.catalogue import Procedure
from services.routing.domain.search import SearchIndex
from services.routing.pages import finding
from services.routing.queries.catalogues import Catalogues, TownCatalogue
from shared.db import Database
from tests.routing.conftest import Visitor
from tests.routing.makers import NOW, OTHER_TOWN, TOWN, make_pack

NOT_FOUND, SEE_OTHER = 404, 303
WAIT_S = 20.0


def procedures_of(answer: httpx.Response) -> list[str]:
    return re.findall(r'href="/procedures/(\w+)"', answer.text)


async def test_what_is_found_stands_in_order_with_the_word_by_which(visitor: Visitor) -> None:
    answer = await visitor.get("/search", params={"q": "引っ越しました"})
    assert procedures_of(answer)[0] == "RES02"
    assert "「引っ越し」という言葉から" in answer.text
    assert "ならび順" in answer.text
    # The whole of it is one event.
    assert answer.text.index("/life-events/move-in") < answer.text.index("/procedures/RES02")
    alike = await visitor.get("/search", params={"q": "じどうてやて"})
    assert procedures_of(alike) == ["CHI02"]
    assert "おなじ言葉はありませんでした" in alike.text


async def test_where_nothing_is_found_near_things_events_categories_and_the_phone_help(visitor: Visitor) -> None:
    before = [REGISTRY.get_sample_value(f"choudo_searches{name}_total") for name in ("", "_without_result")]
    answer = await visitor.get("/search", params={"q": "住民標"})
    assert "みつかりませんでした" in answer.text
    assert procedures_of(answer)[0] == "RES01"
    for part in ("もしかして", "/life-events/move-in", "0463-71-3311", "/search?category=", 'href="/search"'):
        assert part in answer.text
    await visitor.get("/search", params={"q": "児童手当"})
    await visitor.get("/search")
    after = [REGISTRY.get_sample_value(f"choudo_searches{name}_total") for name in ("", "_without_result")]
    assert [now - then for now, then in zip(after, before, strict=True) if now is not None and then is not None] == [
        2,
        1,
    ]


async def test_nothing_asked_for_lists_what_most_need_and_everything_by_category(visitor: Visitor) -> None:
    await visitor.open_case("ENV02")
    answer = await visitor.get("/search")
    listed = procedures_of(answer)
    assert listed[0] == "ENV02"
    assert set(listed) == {"RES01", "RES02", "TAX01", "CHI02", "CHI03", "FAM05", "ENV02", "DIG01"}
    order = [answer.text.index(part) for part in ("おもな手続き", "/life-events/", "/search?category=", 'id="list-1"')]
    assert order == sorted(order)


async def test_a_large_town_is_listed_by_category_only_and_a_wide_word_shows_the_first(
    visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finding, "WHOLE_LIST_MAX", 7)
    monkeypatch.setattr(finding, "FOUND_MAX", 1)
    assert procedures_of(await visitor.get("/search")) == []
    answer = await visitor.get("/search", params={"q": "子ども"})
    assert len(procedures_of(answer)) == 1
    assert "2件みつかりました" in answer.text
    assert "はじめの1件です" in answer.text


async def test_short_addresses_lead_on_in_capitals_or_not(visitor: Visitor) -> None:
    for path, onward in (
        ("/p/RES02", "/procedures/RES02"),
        ("/p/res02", "/procedures/RES02"),
        ("/e/move-in", "/life-events/move-in"),
        ("/e/MOVE-IN", "/life-events/move-in"),
    ):
        answer = await visitor.get(path)
        assert (answer.status_code, answer.headers["location"]) == (SEE_OTHER, onward)


async def test_an_address_that_leads_nowhere_helps(visitor: Visitor, db: Database) -> None:
    for path in ("/p/RES2", "/procedures/RES2"):
        answer = await visitor.get(path)
        assert answer.status_code == NOT_FOUND
        for part in ("この手続きは見つかりません", 'action="/search"', "/life-events/move-in", "0463-71-3311"):
            assert part in answer.text
        assert "RES02" in procedures_of(answer)
    for path in ("/e/none", "/life-events/none", "/e/%00", "/p/%00", "/p/%F0%9F%99%82"):
        answer = await visitor.get(path)
        assert answer.status_code == NOT_FOUND
        assert "/life-events/move-in" in answer.text
    # A program is told so in its own words.
    answer = await visitor.get("/p/RES2", headers={"accept": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (NOT_FOUND, "procedure_unknown")
    # What was given up leads to what it is now.
    pack = make_pack()
    left = tuple(
        msgspec.structs.replace(line, code="CHI12") if line.code == "CHI02" else line for line in pack.procedures
    )
    async with db.begin(TOWN) as session:
        await publish_catalogue(
            session, msgspec.structs.replace(pack, procedures=left, life_events=()), public_url="http://x", now=NOW
        )
    answer = await visitor.get("/p/CHI02")
    assert answer.status_code == NOT_FOUND
    assert procedures_of(answer)[0] == "CHI12"


async def test_while_a_catalogue_is_read_anew_the_one_before_serves_and_no_other_town_waits(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen to fail while everybody waited for one lock."""
    catalogues = Catalogues()
    async with db.begin(TOWN) as session:
        before = await catalogues.read(session, TOWN)
        await publish_catalogue(session, make_pack(), public_url="http://elsewhere.test", now=NOW)
    is_making, may_end = threading.Event(), threading.Event()

    def make_slowly(procedures: list[Procedure]) -> SearchIndex:
        if not is_making.is_set():
            is_making.set()
            may_end.wait(WAIT_S)
        return SearchIndex(procedures)

    async def read(town: str) -> TownCatalogue:
        async with db.begin(town) as session:
            return await catalogues.read(session, town)

    monkeypatch.setattr("services.routing.queries.catalogues.SearchIndex", make_slowly)
    maker = asyncio.create_task(read(TOWN))
    try:
        assert await asyncio.to_thread(is_making.wait, WAIT_S)
        assert await asyncio.wait_for(read(TOWN), WAIT_S / 2) is before
        await asyncio.wait_for(read(OTHER_TOWN), WAIT_S / 2)
    finally:
        may_end.set()
    made = await maker
    assert made is not before
    assert await read(TOWN) is made


async def test_a_catalogue_is_read_once_for_each_version_and_few_are_kept(db: Database) -> None:
    catalogues = Catalogues(kept_max=8)
    async with db.begin(TOWN) as session:
        first = await catalogues.read(session, TOWN)
        assert await catalogues.read(session, TOWN) is first
    pack = make_pack()
    async with db.begin(TOWN) as session:
        town = msgspec.structs.replace(pack.town, phone="0463-00-0000")
        await publish_catalogue(
            session, msgspec.structs.replace(pack, town=town), public_url="http://ninomiya.test", now=NOW
        )
    async with db.begin(TOWN) as session:
        second = await catalogues.read(session, TOWN)
    assert second is not first
    async with db.begin(OTHER_TOWN) as session:
        await catalogues.read(session, OTHER_TOWN)
    async with db.begin(TOWN) as session:
        # There was no room for both.
        assert await catalogues.read(session, TOWN) is not second
