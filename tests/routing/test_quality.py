"""What a case comes to is counted once, without its person; erasing them changes nothing of it."""

import asyncio
import csv
import io
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import text

from services.routing.commands.quality import add_up
from services.routing.domain.quality import GIVEN_UP_AFTER
from shared.clock import JST
from shared.db import Database
from shared.events.booking import AppointmentBooked, AppointmentProgressed
from tests.routing.applying import SEE_OTHER, apply, fill_in, office_path, press, send, sign_in
from tests.routing.conftest import TestClock, Visitor
from tests.routing.makers import NOW, OTHER_TOWN, TOWN
from tests.routing.test_consumers import hear, make_appointment, make_reuse

NewVisitor = Callable[..., Visitor]
# By then November is over.
LATER = datetime(2026, 12, 1, 9, 0, tzinfo=JST)


async def counted(db: Database, town: str = TOWN) -> dict[tuple[str, ...], int]:
    """How many of each kind and channel, added up or not; of switches with where to and from which step."""
    query = """SELECT kind, channel, to_channel, step, sum(people) AS people FROM (
        SELECT kind, channel, to_channel, step, people FROM quality_fact
        UNION ALL SELECT kind, channel, to_channel, step, people FROM quality_count) AS all_of_them
        GROUP BY kind, channel, to_channel, step HAVING sum(people) > 0"""
    async with db.begin(town) as session:
        rows = await session.execute(text(query))
        return {(row.kind, row.channel, *filter(None, (row.to_channel, row.step))): row.people for row in rows}


async def close_day(db: Database, *, now: datetime = NOW, town: str = TOWN) -> None:
    async with db.begin(town) as session:
        await add_up(session, town, now=now)


async def count_many(db: Database, people: int, **changes: Any) -> None:
    """So many cases of November, as they are kept."""
    values: dict[str, Any] = {"procedure": "CHI02", "channel": "online", "kind": "finished", "took_min": 1_440}
    async with db.begin(TOWN) as session:
        await session.execute(
            text("""INSERT INTO quality_count (municipality, month, procedure, channel, kind, took_min, people)
                VALUES (:town, '2026-11-01', :procedure, :channel, :kind, :took_min, :people)"""),
            values | changes | {"town": TOWN, "people": people},
        )


def case_of(path: str) -> UUID:
    return UUID(path.split("/")[2])


async def test_an_application_is_counted_at_each_of_its_steps_once(
    db: Database, visitor: Visitor, new_visitor: NewVisitor, clock: TestClock
) -> None:
    case = await fill_in(visitor)
    assert await counted(db) == {("started", "online"): 1}
    clock.move(timedelta(minutes=9))
    number = (await send(visitor, case)).headers["location"].removeprefix("/applications/")
    clock.move(timedelta(days=2))
    staff = await sign_in(db, new_visitor())
    path = await office_path(db, number)
    assert (await press(staff, path, "accept")).status_code == SEE_OTHER
    assert (await press(staff, path, "complete")).status_code == SEE_OTHER
    expected = {("started", "online"): 1, ("sent", "online"): 1, ("finished", "online"): 1}
    assert await counted(db) == expected
    for _ in range(2):
        await close_day(db, now=LATER)
        assert await counted(db) == expected, "added up, and no more than once"
    async with db.begin(TOWN) as session:
        took = await session.execute(text("SELECT kind, took_min FROM quality_count WHERE took_min > 0 ORDER BY kind"))
        assert [tuple(row) for row in took] == [("finished", 4_320), ("sent", 10)]
        assert (await session.execute(text("SELECT count(*) FROM quality_fact"))).scalar_one() == 0


async def test_an_appointment_is_sent_and_done_once_whatever_comes_when(db: Database, visitor: Visitor) -> None:
    case = case_of(await visitor.open_case("CHI02"))
    booked = make_appointment(AppointmentBooked, 1, "booked", case_id=case)
    done = make_appointment(AppointmentProgressed, 3, "done", case_id=case, occurred_at=NOW + timedelta(hours=1))
    await hear(db, done, booked, done, booked)
    assert await counted(db) == {("started", "counter"): 1, ("sent", "counter"): 1, ("finished", "counter"): 1}
    await hear(db, make_appointment(AppointmentProgressed, 4, "done", case_id=uuid4()))
    assert (await counted(db))["finished", "counter"] == 1, "of no case here"


async def test_ends_that_come_at_once_are_one(db: Database, visitor: Visitor) -> None:
    """Seen to fail without the mark of the case (`WHERE known.ended_at IS NULL`)."""
    case = case_of(await visitor.open_case("CHI02"))
    done = [make_appointment(AppointmentProgressed, 3, "done", case_id=case, appointment_id=uuid4()) for _ in range(5)]
    await asyncio.gather(*(hear(db, each) for each in done))
    assert (await counted(db))["finished", "counter"] == 1


async def test_a_switch_says_from_where_to_where_and_at_which_step(db: Database, visitor: Visitor) -> None:
    case = await fill_in(visitor)
    for channel in ("counter", "counter", "online"):
        await visitor.post(f"{case}/channel", {"channel": channel})
    assert await counted(db) == {
        ("started", "online"): 1,
        ("switched", "online", "counter", "told"): 1,
        ("switched", "counter", "online", "told"): 1,
    }


async def test_what_went_on_online_is_not_done_by_its_appointment(db: Database, visitor: Visitor) -> None:
    case = await visitor.open_case("CHI02")
    await visitor.post(f"{case}/channel", {"channel": "online"})
    await hear(db, make_appointment(AppointmentProgressed, 3, "done", case_id=case_of(case)))
    assert ("finished", "online") not in await counted(db)


async def test_items_that_were_not_asked_again_are_counted_beside_their_cases(db: Database, visitor: Visitor) -> None:
    case = case_of(await visitor.open_case("CHI02", channel="online"))
    used = make_reuse(uuid4(), case_id=case, items=("name", "kana"))
    await hear(db, used, used, make_reuse(uuid4(), case_id=case, items=("phone",)))
    await hear(db, make_reuse(uuid4(), case_id=case, visibility="internal"), make_reuse(uuid4(), case_id=uuid4()))
    assert (await counted(db))["spared", "online"] == 1
    await close_day(db)
    async with db.begin(TOWN) as session:
        found = await session.execute(text("SELECT people, amount FROM quality_count WHERE kind = 'spared'"))
        assert [tuple(row) for row in found] == [(1, 3)]


async def test_a_case_is_given_up_when_nothing_was_done_in_it_for_thirty_days(
    db: Database, visitor: Visitor, new_visitor: NewVisitor
) -> None:
    await visitor.open_case("CHI02")
    await apply(new_visitor())
    booked = case_of(await new_visitor().open_case("CHI02"))
    far = NOW + timedelta(days=40)
    await hear(db, make_appointment(AppointmentBooked, 1, "booked", case_id=booked, starts_at=far, ends_at=far))
    await close_day(db, now=NOW + GIVEN_UP_AFTER)
    assert ("given_up", "counter", "opened") not in await counted(db)
    await close_day(db, now=NOW + GIVEN_UP_AFTER + timedelta(microseconds=1))
    await close_day(db, now=NOW + GIVEN_UP_AFTER + timedelta(days=1))
    assert (await counted(db))["given_up", "counter", "opened"] == 1, "neither what was sent, nor what is ahead"


async def test_erasing_a_person_changes_no_count_of_before(db: Database, visitor: Visitor, clock: TestClock) -> None:
    await fill_in(visitor)
    await close_day(db)
    before = await counted(db)
    page = await visitor.get("/my/erase")
    key = page.text.split('name="idempotency_key" value="')[1].split('"')[0]
    answer = await visitor.post("/my/erase", {"idempotency_key": key, "understood": "yes"})
    assert answer.status_code == SEE_OTHER, answer.text
    async with db.begin(TOWN) as session:
        assert (await session.execute(text("SELECT count(*) FROM case_file"))).scalar_one() == 0
        assert (await session.execute(text("SELECT count(*) FROM case_course"))).scalar_one() == 0
    assert await counted(db) == before | {("given_up", "online", "told"): 1}, "it will not come to an end"


async def test_a_count_says_nothing_of_whose_it_was(db: Database, visitor: Visitor) -> None:
    await apply(visitor)
    async with db.begin(TOWN) as session:
        facts = (await session.execute(text("SELECT * FROM quality_fact"))).mappings().all()
    assert facts
    for fact in facts:
        assert set(fact) == {
            "municipality", "fact_id", "month", "procedure", "channel", "kind", "to_channel", "step", "took_min",
            "people", "amount",
        }  # fmt: skip
        assert fact["month"].day == 1


async def test_towns_are_counted_apart(db: Database, visitor: Visitor) -> None:
    await visitor.open_case("CHI02")
    assert await counted(db, OTHER_TOWN) == {}


# --- for everybody ---


async def test_the_public_page_is_empty_until_a_month_is_over(db: Database, visitor: Visitor, clock: TestClock) -> None:
    await count_many(db, 12)
    page = await visitor.get("/quality")
    assert page.status_code == httpx.codes.OK
    assert "まだ、お知らせできる数はありません" in page.text
    assert "12人" not in page.text
    clock.now = LATER
    page = await visitor.get("/quality")
    assert "2026年11月" in page.text
    assert "12人" in page.text
    assert "半分の人は、はじめてから1日以内に、手続きが終わりました" in page.text
    assert "年度が終わってから、お知らせします" in page.text


async def test_small_numbers_are_on_no_page_and_in_no_file(db: Database, visitor: Visitor, clock: TestClock) -> None:
    """Seen to fail with `FEWEST` at 1."""
    clock.now = LATER
    await count_many(db, 4)
    await count_many(db, 17, channel="counter", took_min=2_880)
    page = await visitor.get("/quality")
    assert "17人" in page.text
    assert "4人" not in page.text
    assert "少ない" in page.text
    copied = await visitor.get("/open-data/quality/figures.csv")
    assert copied.content.startswith(b"\xef\xbb\xbf")
    lines = list(csv.DictReader(io.StringIO(copied.content.decode("utf-8-sig"))))
    assert [(line["年月"], line["やり方コード"], line["件数"], line["備考"]) for line in lines] == [
        ("2026-11", "online", "", "5件未満など"), ("", "online", "", "5件未満など"),
        ("2026-11", "counter", "17", ""), ("", "counter", "", "5件未満など"),
    ]  # fmt: skip
    told = json.loads((await visitor.get("/open-data/quality/figures.json")).content)
    assert [row["people"] for row in told["rows"]] == [None, None, 17, None]
    assert told["fewest"] == 5


async def test_a_year_that_is_over_shows_its_procedures(db: Database, visitor: Visitor, clock: TestClock) -> None:
    clock.now = datetime(2027, 4, 2, 9, 0, tzinfo=JST)
    await count_many(db, 12)
    await count_many(db, 9, procedure="CHI03")
    page = await visitor.get("/quality", params={"year": "2026"})
    assert "児童手当の申請" in page.text
    assert "21人" in page.text
    lines = (await visitor.get("/open-data/quality/figures.csv")).content.decode("utf-8-sig")
    assert ",CHI02,児童手当の申請,online," in lines
    assert "手続きの数のオープンデータ" in (await visitor.get("/open-data/quality")).text


@pytest.mark.parametrize("year", ["", "1999", "20x6", "9" * 99, "\x00"])
async def test_a_year_that_is_not_shown_is_this_one(db: Database, visitor: Visitor, year: str) -> None:
    assert "2026年度" in (await visitor.get("/quality", params={"year": year})).text


# --- for managers ---


async def test_managers_see_small_numbers_of_now_and_write_what_was_made_better(
    db: Database, visitor: Visitor, new_visitor: NewVisitor
) -> None:
    case = await visitor.open_case("CHI02")
    await visitor.post(f"{case}/channel", {"channel": "online"})
    manager = await sign_in(db, new_visitor(), roles=("manager",), office=None)
    page = await manager.get("/office/quality", params={"year": "2026", "month": "2026-11"})
    assert "児童手当の申請" in page.text
    assert "役場の窓口 → オンライン" in page.text
    assert (await manager.post("/office/quality", {"said": ""})).status_code == httpx.codes.UNPROCESSABLE_ENTITY
    assert (await manager.post("/office/quality", {"said": "用紙の項目をへらしました。"})).status_code == SEE_OTHER
    assert "用紙の項目をへらしました。" in (await visitor.get("/quality")).text
    shown = await manager.get("/office/quality")
    gone = shown.text.split('name="remove" value="')[1].split('"')[0]
    assert (await manager.post("/office/quality", {"remove": gone})).status_code == SEE_OTHER
    again = await manager.post("/office/quality", {"remove": gone})
    assert again.status_code == httpx.codes.NOT_FOUND, "improvement_unknown"
    assert "用紙の項目をへらしました。" not in (await visitor.get("/quality")).text
    async with db.begin(TOWN) as session:
        deeds = await session.execute(text("SELECT action FROM audit WHERE action LIKE '%improvement' ORDER BY action"))
        assert list(deeds.scalars()) == ["add_improvement", "remove_improvement"]


@pytest.mark.parametrize("role", ["back_office", "counter", "operator"])
async def test_numbers_of_now_are_the_managers(db: Database, visitor: Visitor, role: str) -> None:
    staff = await sign_in(db, visitor, roles=(role,))
    assert (await staff.get("/office/quality")).status_code == httpx.codes.FORBIDDEN
    assert (await staff.post("/office/quality", {"said": "x"})).status_code == httpx.codes.FORBIDDEN
