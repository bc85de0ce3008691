"""Free times at a glance: a month and a list, at all places or at one, by address alone; for changing, too."""

import re
from datetime import date, time, timedelta
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest
from sqlalchemy import text

from services.booking.consumers import on_catalogue_published
from services.booking.pages.days import LISTED_MAX
from services.booking.queries.slots import OpenSlot
from tests.booking.conftest import CHILD, TOWN, BookingTown, make_catalogue, make_pack
from tests.booking.test_pages import fields_of, go

GARBAGE = (
    "",
    "x",
    "2026-13",
    "0001-01",
    "9999-12",
    "00010101T000000.7",
    "99991231T235959.7",
    "' OR 1=1",
    "🙂",
    "9" * 300,
)


async def offer(town: BookingTown, *, version: int = 2, **changes: Any) -> None:
    """A newer catalogue, in which 児童手当 is otherwise."""
    catalogue = make_catalogue(version=version)
    procedures = tuple(
        msgspec.structs.replace(entry, **changes) if entry.code == CHILD else entry for entry in catalogue.procedures
    )
    async with town.db.begin(TOWN) as session:
        await on_catalogue_published(session, msgspec.structs.replace(catalogue, procedures=procedures), now=town.now)


async def close(town: BookingTown, condition: str) -> None:
    async with town.database.owner_engine("booking").begin() as connection:
        await connection.execute(text(f"UPDATE booking.slot SET withdrawn = true WHERE {condition}"))


def cells_of(page: str) -> dict[int, str]:
    """Each day of the month's table, as it is read aloud."""
    cells = re.findall(r'<td role="cell"[^>]*>\s*<(?:a|span) class="day .*?</td>', page, re.DOTALL)
    words = [" ".join(re.sub(r'<span aria-hidden="true">[^<]*</span>|<[^>]+>', " ", cell).split()) for cell in cells]
    return {int(re.sub(r"^\d+/ *", "", said).split()[0]): said for said in words}


def slots_of(page: str) -> list[str]:
    """The times that can be taken on a page, apart from the earliest of all."""
    return re.findall(r'<button class="slot" type="submit" name="slot" value="([^"]+)"', page)


def link(page: str, words: str) -> str | None:
    found = re.search(rf'<a [^>]*href="([^"#]*)[^"]*"[^>]*>(?:<svg (?:(?!</svg>).)*</svg>)?(?:<span>)?{words}<', page)
    return found[1].replace("&amp;", "&") if found else None


async def test_a_month_is_a_table_whose_days_say_how_much_is_free(town: BookingTown) -> None:
    visit = f"/booking/visits/{await town.visit('guest')}"
    await close(town, "counter = '7' AND starts_at BETWEEN '2026-06-03 00:31Z' AND '2026-06-03 12:00Z'")
    await close(town, "counter = '7' AND starts_at BETWEEN '2026-06-03 23:31Z' AND '2026-06-04 12:00Z'")
    full = next(slot for slot in await town.slots(day=date(2026, 6, 4)))
    for guest in ("one", "two"):
        await town.hold(await town.visit(guest), guest, full.slot_id)
    async with town.browser() as browser:
        page = (await browser.get(visit)).text
    assert page.count('<th role="columnheader" scope="col">') == 7
    cells = cells_of(page)
    assert list(cells) == list(range(1, 31))
    # Two places in each of 15 slots that are not too near.
    assert cells[1] == "6/ 1 月 のこり30"
    assert cells[3] == "6/ 3 水 のこり6"
    assert cells[4] == "6/ 4 木 いっぱい"
    assert cells[6] == "6/ 6 土 お休み"
    assert cells[10] == "6/ 10 水 庁舎点検"
    assert cells[22] == "6/ 22 月 予約できません"
    assert f'href="{visit}?day=2026-06-01#times" aria-current="date"' in page
    assert f'href="{visit}?day=2026-06-04#times"' not in page
    assert "6月10日（水） 庁舎点検" in page
    assert "6月21日（日）までの日を予約できます。" in page
    assert link(page, "次の月") is None
    assert link(page, "前の月") is None


async def test_plenty_some_and_few_differ_by_more_than_their_colour(town: BookingTown) -> None:
    visit = f"/booking/visits/{await town.visit('guest')}"
    day = date(2026, 6, 2)
    await close(town, "counter = '7' AND starts_at BETWEEN '2026-06-02 01:01Z' AND '2026-06-02 12:00Z'")
    open_slots = await town.slots(day=day)
    seen = []
    async with town.browser() as browser:
        for taken in range(sum(slot.free for slot in open_slots)):
            page = (await browser.get(visit)).text
            cell = re.search(r'day--(\w+)" href="[^"]*day=2026-06-02.*?</a>', page, re.DOTALL)
            assert cell
            seen.append((cell[1], next((sign for sign in ("◎", "○", "残り2", "残り1") if sign in cell[0]), "")))
            guest = f"guest-{taken}"
            slot = next(slot for slot in await town.slots(day=day) if slot.free)
            await town.hold(await town.visit(guest), guest, slot.slot_id)
    assert seen == [("plenty", "◎")] * 5 + [("open", "○"), ("few", "残り2"), ("few", "残り1")]


async def test_months_are_turned_within_the_horizon(bare_town: BookingTown) -> None:
    town = bare_town
    await town.open(make_pack(horizon_days=45))
    visit = f"/booking/visits/{await town.visit('guest')}"
    async with town.browser() as browser:
        june = (await browser.get(visit)).text
        following = link(june, "次の月")
        assert following == f"{visit}?month=2026-07"
        july = (await browser.get(following)).text
        assert list(cells_of(july)) == list(range(1, 32))
        assert "7月1日（水）の時間" in july
        assert link(july, "次の月") is None
        assert link(july, "前の月") == f"{visit}?month=2026-06"
        # What lies outside is the nearest month that does not.
        for month, shown in (("2026-12", "7月"), ("2026-01", "6月")):
            assert f"2026年{shown}" in (await browser.get(visit, params={"month": month})).text
        await close(town, "starts_at >= '2026-06-30 15:00Z'")
        assert "この月に、空いている時間はありません" in (await browser.get(following)).text
        await close(town, "starts_at < '2026-06-16'")
        assert "6月16日（火）の時間" in (await browser.get(visit)).text


async def walk(browser: httpx.AsyncClient, path: str) -> list[str]:
    """All times of a list, page by page."""
    found: list[str] = []
    for _ in range(60):
        page = (await browser.get(path)).text
        found += slots_of(page)
        following = link(page, "もっと見る")
        if following is None:
            return found
        assert len(slots_of(page)) == LISTED_MAX
        path = following
    raise AssertionError("the list has no end")


async def test_the_list_tells_every_free_time_once_at_all_places_or_at_one(town: BookingTown) -> None:
    await offer(town, counters=("7", "3"))
    visit = f"/booking/visits/{await town.visit('guest')}"
    free = [slot for slot in await town.slots("7") + await town.slots("3") if slot.free]

    def in_order(slots: list[OpenSlot]) -> list[str]:
        return [str(slot.slot_id) for slot in sorted(slots, key=lambda slot: (slot.starts_at, slot.counter))]

    async with town.browser() as browser:
        assert await walk(browser, f"{visit}?view=list") == in_order(free)
        at_three = await walk(browser, f"{visit}?view=list&at=3")
        assert at_three == in_order([slot for slot in free if slot.counter == "3"])
        page = (await browser.get(f"{visit}?view=list&at=3")).text
        # The earliest is that of all places, and says where.
        earliest = re.search(r'earliest" type="submit" name="slot" value="([^"]+)".*?</button>', page, re.DOTALL)
        assert earliest
        assert earliest[1] == in_order(free)[0]
        assert "7番窓口（子育て）" in earliest[0]
        assert re.search(r'at=3[^>]*aria-current="true">3番窓口（届出）', page)
        assert re.search(r'href="[^"]*at=3#days">カレンダーで見る', page)
        month = (await browser.get(f"{visit}?at=3")).text
        assert cells_of(month)[2] == "6/ 2 火 のこり11"
        assert {str(slot.slot_id) for slot in free if slot.counter == "7"}.isdisjoint(slots_of(month))
        both = (await browser.get(f"{visit}?day=2026-06-02")).text
        assert cells_of(both)[2] == "6/ 2 火 のこり45"
        assert "3番窓口（届出）</h3>" in both
        # A place where it is not done is no choice.
        assert cells_of((await browser.get(f"{visit}?at=9")).text)[2] == "6/ 2 火 のこり45"


async def test_an_address_that_our_pages_never_wrote_shows_what_can_be_booked(town: BookingTown) -> None:
    visit = f"/booking/visits/{await town.visit('guest')}"
    async with town.browser() as browser:
        for view in ("month", "list", "x"):
            for garbage in GARBAGE:
                asked = dict.fromkeys(("month", "day", "at", "after"), garbage) | {"view": view}
                page = await browser.get(visit, params=asked)
                assert page.status_code == 200, (view, garbage)
                ends = view == "list" and garbage.startswith("9999123")
                assert ("このあとに、空いている時間はありません" in page.text) == ends
                assert bool(slots_of(page.text)) != ends


async def test_whoever_loses_a_time_of_the_list_is_back_at_the_list(town: BookingTown) -> None:
    await offer(town, counters=("7", "3"))
    loser = await town.visit("loser")
    slot = (await town.slots("3"))[0]
    await town.hold(await town.visit("winner", procedure="RES02"), "winner", slot.slot_id)
    async with town.browser("loser") as browser:
        visit = f"/booking/visits/{loser}"
        page = (await browser.get(f"{visit}?view=list&at=3")).text
        form = fields_of(page, f"{visit}/hold")
        assert {"view": "list", "at": "3"}.items() <= form.items()
        told = await go(browser, await browser.post(f"{visit}/hold", data=form | {"slot": str(slot.slot_id)}))
        assert told.url.params["view"] == "list"
        assert told.url.params["at"] == "3"
        near = told.text.split("近い時間で空いている", 1)[1].split("</ol>", 1)[0]
        # 10:00 at the other counter of the house, then 9:30 and 10:30 there.
        shown = re.findall(r">(6月[^<]+)</a>\s*<span class=\"nowrap\">([^<]+)<", near)
        assert shown[0] == ("6月1日（月）午前10時", "7番窓口（子育て）・同じ建物")
        answer = await browser.post("/booking/api/holds", json={"slot_id": str(slot.slot_id), "visit_id": str(loser)})
        first = answer.json()["alternatives"][0]
        assert (first["counter"], first["where"]) == ("7", "same_building")


async def test_an_appointment_is_moved_from_the_list_too(town: BookingTown) -> None:
    await offer(town, counters=("7", "3"))
    booked = await town.booked()
    path = f"/booking/appointments/{booked.number}/change"
    async with town.browser() as browser:
        page = (await browser.get(f"{path}?view=list&at=3")).text
        slot = slots_of(page)[2]
        chosen = (await browser.get(path, params={"view": "list", "at": "3", "slot": slot})).text
        assert "この日時に変えますか" in chosen
        assert "町役場 1階 3番窓口（届出）" in chosen
        moved = await browser.post(path, data=fields_of(chosen, path))
        assert moved.headers["location"].endswith("?changed=1")
    rows = await town.rows("SELECT slot_id FROM booking.appointment")
    assert [row.slot_id for row in rows] == [UUID(slot)]  # type: ignore[attr-defined]


async def test_of_one_s_own_time_nothing_is_offered_when_changing(town: BookingTown) -> None:
    booked = await town.booked()
    own = (await town.slots())[0]
    assert own.free == 1
    path = f"/booking/appointments/{booked.number}/change"
    async with town.browser() as browser:
        for view in ("month", "list"):
            assert str(own.slot_id) not in slots_of((await browser.get(f"{path}?view={view}")).text)
        page = (await browser.get(f"{path}?slot={own.slot_id}")).text
        assert "新しい日時を選んでください" in page
        assert cells_of(page)[1] == "6/ 1 月 のこり28"


@pytest.mark.parametrize(("opens_at", "closes_at", "slots"), [(time(0), time(23), 23), (time(22), time(0), 2)])
async def test_a_time_around_midnight_is_of_its_day_in_japan(
    bare_town: BookingTown, opens_at: time, closes_at: time, slots: int
) -> None:
    town = bare_town
    pack = make_pack(slot_min=60)
    hours = msgspec.structs.replace(pack.opening[0], opens_at=opens_at, closes_at=closes_at)
    await town.open(msgspec.structs.replace(pack, opening=(hours,)))
    async with town.browser() as browser:
        cells = cells_of((await browser.get(f"/booking/visits/{await town.visit('guest')}")).text)
    assert cells[2] == f"6/ 2 火 のこり{2 * slots}"
    assert cells[5] == f"6/ 5 金 のこり{2 * slots}"
    assert cells[6] == "6/ 6 土 お休み"


async def test_today_is_over_when_its_last_time_is_too_near(town: BookingTown) -> None:
    last = max(slot.starts_at for slot in await town.slots(day=date(2026, 6, 1)))
    for before, said in ((timedelta(minutes=30), "残り2"), (timedelta(minutes=29, seconds=59), "受付終了")):
        town.now = last - before
        visit = f"/booking/visits/{await town.visit('guest')}"
        async with town.browser() as browser:
            assert cells_of((await browser.get(visit)).text)[1] == f"6/ 1 月 {said}"


async def test_of_many_counters_at_the_same_time_the_one_in_the_house_is_told_first(bare_town: BookingTown) -> None:
    """Seen to fail without `WITH TIES`: of those as near in time, the database keeps any six."""
    town = bare_town
    pack = make_pack()
    far = [msgspec.structs.replace(pack.counters[0], code=f"A{number}", number=f"A{number}") for number in range(8)]
    near = msgspec.structs.replace(pack.counters[0], code="Z", number="Z")
    counters = (pack.counters[0], *far, near)
    hours = msgspec.structs.replace(pack.opening[0], counters=tuple(counter.code for counter in counters))
    await town.open(msgspec.structs.replace(pack, counters=counters, opening=(hours,)), catalogue=False)
    catalogue = make_catalogue()
    entries = [
        msgspec.structs.replace(
            catalogue.counters[0], code=counter.code, place_ja="町役場" if counter.code in ("7", "Z") else "別館"
        )
        for counter in counters
    ]
    procedure = msgspec.structs.replace(catalogue.procedures[0], counters=hours.counters)
    event = msgspec.structs.replace(catalogue, procedures=(procedure,), counters=tuple(entries))
    async with town.db.begin(TOWN) as session:
        await on_catalogue_published(session, event, now=town.now)
    lost = (await town.slots())[4]
    for guest in ("one", "two"):
        await town.hold(await town.visit(guest), guest, lost.slot_id)
    loser = await town.visit("loser")
    async with town.browser("loser") as browser:
        answer = await browser.post("/booking/api/holds", json={"slot_id": str(lost.slot_id), "visit_id": str(loser)})
    told = answer.json()["alternatives"]
    assert [(item["counter"], item["where"]) for item in told[:2]] == [("Z", "same_building"), ("A0", "elsewhere")]
    assert len(told) == 6
