"""A closing over several days, whole or the same part of each; and where else people read that a time is closed."""

import re
from datetime import date, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest

from services.booking.domain.closings import DAYS_MAX, on_each_day
from services.booking.queries.slots import start_of_day
from shared.clock import JST
from shared.errors import Refusal
from tests.booking.closing_town import TUESDAY, book_on, close, closure_of, open_again, run_due
from tests.booking.conftest import BookingTown
from tests.booking.test_closing_pages import CHOICE, form_of, manager

WEDNESDAY, THURSDAY, FRIDAY = (TUESDAY + timedelta(days=number) for number in (1, 2, 3))
ONE_PM, THREE_PM = 13 * 60, 15 * 60


async def hours_of(town: BookingTown, day: date) -> list[str]:
    """When times of counter 7 begin on a day."""
    return [slot.starts_at.astimezone(JST).strftime("%H:%M") for slot in await town.slots(day=day)]


def test_the_same_part_of_each_day_of_a_month_that_ends() -> None:
    start = start_of_day(date(2028, 2, 28)) + timedelta(minutes=ONE_PM)
    spans = on_each_day(start, start + timedelta(hours=2), 3)
    assert [span.starts_at.astimezone(JST).strftime("%m-%d %H:%M") for span in spans] == [
        "02-28 13:00", "02-29 13:00", "03-01 13:00",
    ]  # fmt: skip
    assert {span.ends_at - span.starts_at for span in spans} == {timedelta(hours=2)}


async def test_the_same_part_of_each_day_is_closed_and_nothing_between(town: BookingTown) -> None:
    """Seen to fail with the whole stretch from the first day's beginning to the last day's end."""
    asked = [await book_on(town, f"a{day}", day=day, slot=9) for day in (TUESDAY, WEDNESDAY, THURSDAY)]
    left = [await book_on(town, f"b{day}", day=day, slot=slot) for day, slot in ((WEDNESDAY, 0), (FRIDAY, 9))]
    usual = await hours_of(town, FRIDAY)
    closing_id = await close(town, from_min=ONE_PM, to_min=THREE_PM, days=3)
    await run_due(town)
    assert {await closure_of(town, booked) for booked in asked} == {("booked", "asked")}
    assert {await closure_of(town, booked) for booked in left} == {("booked", "none")}
    for day in (TUESDAY, WEDNESDAY, THURSDAY):
        assert set(usual) - set(await hours_of(town, day)) == {"13:00", "13:30", "14:00", "14:30"}, day
    assert await hours_of(town, FRIDAY) == usual
    await open_again(town, closing_id)
    await run_due(town)
    assert {await closure_of(town, booked) for booked in asked} == {("booked", "none")}
    assert await hours_of(town, WEDNESDAY) == usual


async def test_whole_days_are_one_stretch(town: BookingTown) -> None:
    asked = [await book_on(town, f"a{day}", day=day) for day in (TUESDAY, THURSDAY)]
    left = await book_on(town, "b", day=FRIDAY)
    await close(town, days=3)
    await run_due(town)
    assert {await closure_of(town, booked) for booked in asked} == {("booked", "asked")}
    assert await closure_of(town, left) == ("booked", "none")
    rows = await town.rows("SELECT (SELECT count(*) FROM unnest(during)) AS spans FROM booking.closing")
    assert [row.spans for row in rows] == [1]  # type: ignore[attr-defined]


async def test_nobody_takes_a_place_in_any_of_its_days(town: BookingTown) -> None:
    visit_id = await town.visit("late")
    slot = next(slot for slot in await town.slots(day=THURSDAY) if slot.starts_at.astimezone(JST).hour == 13)
    await close(town, from_min=ONE_PM, to_min=THREE_PM, days=3)
    with pytest.raises(Refusal, match="slot_unknown"):
        await town.hold(visit_id, "late", slot.slot_id)


@pytest.mark.parametrize("days", [0, -1, DAYS_MAX + 1])
async def test_no_day_and_too_many_are_refused(town: BookingTown, days: int) -> None:
    with pytest.raises(Refusal, match="closing_unfit"):
        await close(town, days=days)


async def test_begun_days_ago_it_may_still_go_on(town: BookingTown) -> None:
    """The first of its days are over; the last is not."""
    town.now += timedelta(days=2)
    await close(town, days=2)
    with pytest.raises(Refusal, match="closing_unfit"):
        await close(town, days=1)


@pytest.mark.parametrize(
    ("changes", "when", "booked", "free"),
    [
        ({"until": THURSDAY.isoformat()}, "6月2日（火）から 6月4日（木）まで 一日中", 3, 99),
        (
            {"until": THURSDAY.isoformat(), "from": str(ONE_PM), "to": str(THREE_PM)},
            "6月2日（火）から 6月4日（木）まで、毎日 13:00〜15:00",
            2,
            22,
        ),
        ({"until": THURSDAY.isoformat(), "from": str(ONE_PM)}, "毎日 13:00〜24:00", 2, 46),
        ({"until": TUESDAY.isoformat()}, "6月2日（火） 一日中", 1, 33),
        ({"from": str(ONE_PM), "to": str(THREE_PM)}, "15:00まで", 1, 7),
    ],
)
async def test_the_preview_counts_over_all_days_and_says_which(
    town: BookingTown, changes: dict[str, str], when: str, booked: int, free: int
) -> None:
    for guest, day, slot in (("a", TUESDAY, 9), ("b", WEDNESDAY, 0), ("c", THURSDAY, 9)):
        await book_on(town, guest, day=day, slot=slot)
    async with manager(town) as browser:
        preview = await browser.get(f"/counter/close/preview?{urlencode(CHOICE | changes)}")
        shown = re.sub(r"<[^>]+>", "", preview.text)
        for text in (when, f"{booked}件", f"{free}人分"):
            assert text in shown, text
        closed = await browser.post("/counter/close", data=form_of(preview, "/counter/close"))
        assert when in re.sub(r"<[^>]+>", "", (await browser.get(closed.headers["location"])).text)


async def test_days_that_do_not_follow_are_refused_on_the_page(town: BookingTown) -> None:
    async with manager(town) as browser:
        for until in ("2026-06-01", "2026-07-03", "2026-02-30", "9999-12-31"):
            answer = await browser.get(f"/counter/close/preview?{urlencode(CHOICE | {'until': until})}")
            assert answer.headers["location"].startswith("/counter/close?refused=closing_unfit&"), until


async def test_today_s_line_marks_whose_time_is_closed(town: BookingTown) -> None:
    """Seen to fail without `closure` in the line."""
    booked: Any = await book_on(town, "a", day=date(2026, 6, 1), slot=9)
    async with town.staff() as browser:
        assert "臨時の休みの時間" not in (await browser.get("/counter")).text
        closing_id = await close(town, day=date(2026, 6, 1), from_min=ONE_PM, to_min=THREE_PM)
        await run_due(town)
        assert await closure_of(town, booked) == ("booked", "asked")
        for path in ("/counter", "/counter/line"):
            assert "臨時の休みの時間" in (await browser.get(path)).text
        await open_again(town, closing_id)
        await run_due(town)
        assert "臨時の休みの時間" not in (await browser.get("/counter/line")).text
