"""Figures of once-only: what is counted, for which month, and what a change after a yes is."""

import csv
import io
import re
from collections.abc import Callable
from datetime import datetime
from uuid import UUID, uuid4

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.routing.domain.figures import SECONDS_AN_ITEM, Figure, minutes_saved, reused_percent, total
from shared.clock import JST
from shared.db import Database
from tests.routing.applying import apply, hidden, sign_in
from tests.routing.conftest import Visitor
from tests.routing.makers import OTHER_TOWN
from tests.routing.test_consumers import hear, make_reuse
from tests.routing.test_handover import entries

NewVisitor = Callable[..., Visitor]
SUBJECT = uuid4()
# The first and the last moment of a month in Japan: the day before, by UTC.
FIRST = datetime(2026, 11, 1, tzinfo=JST)
LAST = datetime(2026, 11, 30, 23, 59, 59, 999_999, tzinfo=JST)
BEFORE = datetime(2026, 10, 31, 23, 59, 59, 999_999, tzinfo=JST)


@pytest.mark.parametrize(("reused", "minutes"), [(0, 0), (2, 0), (3, 1), (5, 1), (6, 2), (3_000, 1_000)])
def test_minutes_are_an_estimate_rounded_down(reused: int, minutes: int) -> None:
    assert minutes_saved(reused) == minutes
    assert SECONDS_AN_ITEM == 20


def test_a_share_of_nothing_is_no_share() -> None:
    assert reused_percent(Figure(procedure="", channel="")) is None
    assert reused_percent(Figure(procedure="", channel="", collected=2, reused=1)) == 33


@given(st.lists(st.tuples(*[st.integers(0, 10**6)] * 4), max_size=20))
def test_the_whole_is_the_sum_of_its_parts(rows: list[tuple[int, int, int, int]]) -> None:
    parts = [
        Figure(procedure=str(index), channel="online", collected=a, reused=b, declined=c, stale=d)
        for index, (a, b, c, d) in enumerate(rows)
    ]
    whole = total(parts)
    assert (whole.collected, whole.reused, whole.declined, whole.stale) == tuple(
        sum(row[place] for row in rows) for place in range(4)
    )


async def copied(staff: Visitor, month: str) -> list[list[str]]:
    answer = await staff.get("/office/figures.csv", params={"month": month})
    assert answer.content.startswith(b"\xef\xbb\xbf")
    return list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))[1:]


async def test_a_month_is_counted_by_procedure_and_channel(db: Database, visitor: Visitor) -> None:
    case = await visitor.open_case("CHI02", channel="online")
    online = {"case_id": UUID(case.rsplit("/", 1)[-1]), "service": "routing", "target_service": "routing"}
    await hear(
        db,
        make_reuse(SUBJECT, occurred_at=FIRST, entry_type="collected", items=("name", "phone"), **online),
        make_reuse(SUBJECT, occurred_at=LAST, items=("name", "phone", "address"), **online),
        make_reuse(SUBJECT, occurred_at=LAST, entry_type="declined", items=("child",), **online),
        make_reuse(SUBJECT, occurred_at=LAST, entry_type="declined", outcome="expired", items=("sex",), **online),
        make_reuse(SUBJECT, occurred_at=LAST, entry_type="refused", outcome="stale", items=("name",), **online),
        make_reuse(SUBJECT, occurred_at=LAST, visibility="internal", **online),
        make_reuse(SUBJECT, occurred_at=BEFORE, **online),
        make_reuse(SUBJECT, occurred_at=FIRST, municipality=OTHER_TOWN),
        make_reuse(SUBJECT, occurred_at=FIRST),
    )
    manager = await sign_in(db, visitor, roles=("manager",), office=None)
    assert await copied(manager, "2026-11") == [
        ["143421", "2026-11", "CHI02", "児童手当の申請", "オンライン", "2", "3", "1", "1"],
        ["143421", "2026-11", "CHI02", "児童手当の申請", "", "0", "1", "0", "0"],
    ]
    assert [row[6] for row in await copied(manager, "2026-10")] == ["1"]
    page = await manager.get("/office/figures", params={"month": "2026-11"})
    assert re.search(r'figure-number">4<', page.text)
    assert "66%" in page.text
    assert "およそ1分" in page.text
    assert "1項目を書くのに20秒かかると仮定しためやすです" in page.text


@pytest.mark.parametrize("month", ["", "2026-13", "1999-01", "x" * 99, "\x00"])
async def test_a_month_that_is_not_shown_is_this_one(db: Database, visitor: Visitor, month: str) -> None:
    manager = await sign_in(db, visitor, roles=("manager",), office=None)
    page = await manager.get("/office/figures", params={"month": month})
    assert "2026年11月" in page.text
    assert "この月の記録はまだありません" in page.text


@pytest.mark.parametrize("role", ["back_office", "counter", "coordinator", "operator"])
async def test_figures_are_the_managers(db: Database, visitor: Visitor, role: str) -> None:
    staff = await sign_in(db, visitor, roles=(role,))
    assert (await staff.get("/office/figures")).status_code == httpx.codes.FORBIDDEN
    assert (await staff.get("/office/figures.csv")).status_code == httpx.codes.FORBIDDEN


async def test_a_yes_to_what_has_changed_is_written_once_and_uses_nothing(db: Database, visitor: Visitor) -> None:
    await apply(visitor)
    case = await visitor.open_case("CHI03", channel="online")
    page = await visitor.get(f"{case}/reuse")
    items = dict.fromkeys(re.findall(r'name="offer_(\w+)"', page.text))
    agreed = {f"offer_{item}": hidden(page, f"offer_{item}") for item in items} | {"all": "yes"}
    await visitor.post("/my/data/name", {"name": "別の 名前"})
    for _ in range(2):
        answer = await visitor.post(f"{case}/reuse", agreed)
        assert answer.status_code == httpx.codes.CONFLICT
        assert "別の 名前" in answer.text, "shown as it is now, to be asked again"
    refused = [items for kind, _target, items in await entries(db) if kind == "refused"]
    assert refused == [["name"]]
    assert "別の 名前" not in (await visitor.get(f"{case}/form")).text
