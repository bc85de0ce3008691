"""Times at their edges: other zones, months' ends, the leap day, 元日, midnight, and everything's last moment."""

import time as clock
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import uuid4

import pytest

from services.booking.commands.horizon import on_extend_horizon_due
from services.booking.commands.line import check_in_by_number
from services.booking.domain.opening import Hours
from services.booking.queries.slots import OpenSlot
from shared.clock import JST
from shared.errors import Refusal
from shared.tokens import Identity
from tests.booking.conftest import CHILD, FAMILY, TOWN, BookingTown, make_pack
from tests.booking.opening_town import make_rule, publish
from tests.booking.test_free_times import cells_of, link, offer
from tests.booking.test_pages import go

A_MOMENT = timedelta(microseconds=1)
STAFF = Identity(municipality=TOWN, kind="staff", ref="staff", session_id="s", roles=("counter",))


@pytest.fixture(params=["UTC", "Asia/Tokyo", "America/New_York"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The process believes to be there."""
    monkeypatch.setenv("TZ", request.param)
    clock.tzset()
    yield request.param
    monkeypatch.undo()
    clock.tzset()


# In New York the clocks go forward, an hour is missing; and back, an hour comes twice.
@pytest.mark.parametrize(
    ("moment", "day", "said"),
    [
        (datetime(2026, 3, 8, 6, 59, 59, tzinfo=UTC), date(2026, 3, 9), "3月9日（月）"),
        (datetime(2026, 3, 8, 7, 0, tzinfo=UTC), date(2026, 3, 9), "3月9日（月）"),
        (datetime(2026, 11, 1, 5, 59, 59, tzinfo=UTC), date(2026, 11, 2), "11月2日（月）"),
        (datetime(2026, 11, 1, 6, 0, tzinfo=UTC), date(2026, 11, 2), "11月2日（月）"),
    ],
    ids=["before it is gone", "after it was gone", "the first of two", "the second of two"],
)
async def test_wherever_the_process_believes_to_be_it_shows_and_stores_the_same(
    zone: str, bare_town: BookingTown, moment: datetime, day: date, said: str
) -> None:
    town = bare_town
    town.now = moment
    await town.open()
    starts_at = datetime.combine(day, time(8, 30), JST)
    slots = await town.slots(day=day)
    assert (slots[0].starts_at, slots[-1].starts_at, len(slots)) == (
        starts_at, starts_at + timedelta(hours=8), 17
    )  # fmt: skip
    async with town.browser() as browser:
        page = await go(
            browser, await browser.post("/booking/arrive", data={"pass": town.seal(town.make_pass("guest"))})
        )
        assert f"{said}の時間" in page.text
        api = await browser.get("/booking/api/slots", params={"procedure": CHILD, "days": 2})
        assert datetime.fromisoformat(api.json()[0]["starts_at"]) == starts_at
        booked = await town.booked()
        page = await browser.get(f"/booking/appointments/{booked.number}")
        assert said in page.text
        assert "8時30分" in page.text
        file = await browser.get(f"/booking/appointments/{booked.number}/calendar.ics")
        assert f"DTSTART;TZID=Asia/Tokyo:{day:%Y%m%d}T083000" in file.text
    rows: list[Any] = await town.rows("SELECT starts_at, day, booked_at FROM booking.appointment")
    assert tuple(rows[0]) == (starts_at, day, moment)


async def month_of(town: BookingTown, *turns: str) -> dict[int, str]:
    """The days of the month that is reached by these links."""
    async with town.browser() as browser:
        page = (await browser.get(f"/booking/visits/{await town.visit('guest')}")).text
        for words in turns:
            way = link(page, words)
            assert way, words
            page = (await browser.get(way)).text
    return cells_of(page)


@pytest.mark.parametrize(("year", "last"), [(2028, 29), (2029, 28)])
async def test_after_the_31st_of_january_comes_february_and_then_march(
    bare_town: BookingTown, year: int, last: int
) -> None:
    town = bare_town
    town.now = datetime(year, 1, 31, 7, 0, tzinfo=JST)
    await town.open(make_pack(horizon_days=45))
    assert list(await month_of(town)) == list(range(1, 32))
    february = await month_of(town, "次の月")
    assert list(february) == list(range(1, last + 1))
    assert february[last].startswith(f"2/ {last} ")
    march = await month_of(town, "次の月", "次の月")
    assert list(march) == list(range(1, 32))
    assert "のこり" in march[1]


async def test_the_leap_day_is_a_day_like_others_and_may_be_the_last_one(bare_town: BookingTown) -> None:
    town, leap_day = bare_town, date(2028, 2, 29)
    town.now = datetime(2028, 2, 9, 9, 0, tzinfo=JST)
    await town.open(make_pack(horizon_days=20))
    slots = await town.slots()
    assert slots[-1].starts_at.astimezone(JST).date() == leap_day
    visit_id = await town.visit("guest")
    await town.hold(visit_id, "guest", slots[-1].slot_id)
    booked = await town.book(visit_id, "guest")
    rows: list[Any] = await town.rows("SELECT day FROM booking.appointment")
    assert rows[0].day == leap_day
    async with town.browser() as browser:
        assert "2月29日（火）" in (await browser.get(f"/booking/appointments/{booked.number}")).text
    town.now += timedelta(days=1)
    async with town.db.begin(TOWN) as session:
        await on_extend_horizon_due(session, TOWN, "town", town.now)
    assert (await town.slots())[-1].starts_at.astimezone(JST).date() == date(2028, 3, 1)


async def test_from_the_29th_of_december_to_the_3rd_of_january_nobody_is_served(bare_town: BookingTown) -> None:
    town = bare_town
    town.now = datetime(2026, 12, 21, 9, 0, tzinfo=JST)
    await town.open(make_pack(horizon_days=25))
    december, january = await month_of(town), await month_of(town, "次の月")
    assert "のこり" in december[28]
    assert [december[day].split(maxsplit=3)[3] for day in (29, 30, 31)] == ["年末年始"] * 3
    assert [january[day].split(maxsplit=3)[3] for day in (1, 2, 3)] == ["元日", "年末年始", "年末年始"]
    assert "のこり" in january[4]


async def test_around_midnight_a_time_belongs_to_its_day_in_japan(bare_town: BookingTown) -> None:
    """In UTC, all of them are on one day: 15:00 to 14:59."""
    town = bare_town
    await town.open()
    night = (Hours(time(0, 0), time(1, 0)), Hours(time(23, 0), time(0, 0)))
    await publish(town, make_rule(hours=night), date(2026, 6, 2))
    starts = [datetime(2026, 6, 2, hour, minute, tzinfo=JST) for hour, minute in ((0, 0), (0, 30), (23, 0), (23, 30))]
    slots = await town.slots(day=date(2026, 6, 2))
    assert [slot.starts_at for slot in slots] == starts
    booked = {}
    for number, slot in enumerate((slots[0], slots[-1])):
        guest = f"guest-{number}"
        visit_id = await town.visit(guest)
        await town.hold(visit_id, guest, slot.slot_id)
        booked[number] = await town.book(visit_id, guest)
    rows: list[Any] = await town.rows("SELECT DISTINCT day FROM booking.appointment")
    assert [row.day for row in rows] == [date(2026, 6, 2)]

    async def arrive(number: int, moment: datetime) -> int | None:
        async with town.db.begin(TOWN) as session:
            return (await check_in_by_number(session, STAFF, booked[number].number, now=moment)).ticket_no

    midnight = datetime(2026, 6, 2, tzinfo=JST)
    for number, moment in ((0, midnight - A_MOMENT), (1, midnight + timedelta(days=1))):
        with pytest.raises(Refusal, match="not_today"):
            await arrive(number, moment)
    assert await arrive(0, midnight) == 1
    assert await arrive(1, midnight + timedelta(days=1) - A_MOMENT) == 2


async def hold_at(town: BookingTown, slot: OpenSlot, moment: datetime) -> None:
    town.now = moment
    guest = uuid4().hex
    await town.hold(await town.visit(guest), guest, slot.slot_id)


async def test_the_last_day_of_the_horizon_begins_at_midnight_in_japan(town: BookingTown) -> None:
    await offer(town, horizon_days=1)
    slot = (await town.slots(day=date(2026, 6, 3)))[0]
    midnight = datetime(2026, 6, 2, tzinfo=JST)
    with pytest.raises(Refusal, match="slot_too_far"):
        await hold_at(town, slot, midnight - A_MOMENT)
    async with town.browser() as browser:
        assert slot.slot_id.hex not in (await browser.get("/booking/api/slots?procedure=CHI01")).text.replace("-", "")
        await hold_at(town, slot, midnight)
        assert slot.slot_id.hex in (await browser.get("/booking/api/slots?procedure=CHI01")).text.replace("-", "")


async def test_a_time_can_be_had_until_the_very_minute_of_its_notice(town: BookingTown) -> None:
    slot = (await town.slots("7"))[4]
    until = slot.starts_at - timedelta(minutes=30)
    with pytest.raises(Refusal, match="slot_too_soon"):
        await hold_at(town, slot, until + A_MOMENT)
    assert slot.slot_id not in {each.slot_id for each in await town.slots()}
    await hold_at(town, slot, until)
    assert slot.slot_id in {each.slot_id for each in await town.slots()}


async def test_a_hold_is_ones_own_until_its_last_moment_and_somebody_else_s_from_then_on(town: BookingTown) -> None:
    slot = (await town.slots("3"))[3]
    visits = {guest: await town.visit(guest, procedure=FAMILY) for guest in ("a", "b", "c")}
    held = await town.hold(visits["a"], "a", slot.slot_id)
    town.now = held.held_until - A_MOMENT
    with pytest.raises(Refusal, match="slot_taken"):
        await town.hold(visits["b"], "b", slot.slot_id)
    town.now = held.held_until
    with pytest.raises(Refusal, match="hold_expired"):
        await town.book(visits["a"], "a")
    other = await town.hold(visits["b"], "b", slot.slot_id)
    town.now = other.held_until - A_MOMENT
    assert (await town.book(visits["b"], "b")).starts_at == slot.starts_at
