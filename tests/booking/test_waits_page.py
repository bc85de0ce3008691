"""How long people wait, for everybody: open until when, a lamp and about how long; and nothing of single persons."""

import csv
import io
import json
import re
from datetime import datetime, timedelta

import httpx
import pytest
from sqlalchemy import text

from services.booking.domain.hours import OpenNow, Span, band_of, open_at
from services.booking.queries.waits import CounterWait
from shared.clock import JST, jst_day
from tests.booking.closing_town import close
from tests.booking.conftest import CHILD, FAMILY, TOWN, BookingTown
from tests.booking.test_board import called

DAY = datetime(2026, 6, 1, tzinfo=JST)
TIMES = [
    Span(DAY.replace(hour=8, minute=30), DAY.replace(hour=10)),
    Span(DAY.replace(hour=10), DAY.replace(hour=12)),
    Span(DAY.replace(hour=13), DAY.replace(hour=17, minute=15)),
]
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("at", "state", "opens"),
    [
        (DAY, "before", "08:30"),
        (DAY.replace(hour=8, minute=30) - SECOND, "before", "08:30"),
        (DAY.replace(hour=8, minute=30), "open", None),
        (DAY.replace(hour=10), "open", None),
        (DAY.replace(hour=12) - SECOND, "open", None),
        (DAY.replace(hour=12), "break", "13:00"),
        (DAY.replace(hour=13) - SECOND, "break", "13:00"),
        (DAY.replace(hour=13), "open", None),
        (DAY.replace(hour=17, minute=15) - SECOND, "open", None),
        (DAY.replace(hour=17, minute=15), "over", None),
        (DAY.replace(hour=23, minute=59), "over", None),
    ],
)
def test_a_counter_is_open_to_the_second(at: datetime, state: str, opens: str | None) -> None:
    found = open_at(TIMES, now=at)
    assert found.state == state
    assert (f"{found.opens_at:%H:%M}" if found.opens_at else None) == opens
    assert found.closes_at == DAY.replace(hour=17, minute=15)


def test_a_day_without_times_is_closed() -> None:
    assert open_at([], now=DAY) == OpenNow(state="closed")


@pytest.mark.parametrize(("before_min", "gives"), [(16, True), (15, False), (1, False)])
def test_tickets_end_before_the_counter_closes(before_min: int, gives: bool) -> None:
    at = DAY.replace(hour=17, minute=15) - timedelta(minutes=before_min)
    assert open_at(TIMES, now=at).gives_tickets(last_ticket_min=15, now=at) is gives


@pytest.mark.parametrize(
    ("waiting", "band"), [(0, "0"), (1, "1-4"), (4, "1-4"), (5, "5-9"), (9, "5-9"), (10, "10-"), (300, "10-")]
)
def test_how_many_wait_is_published_in_bands(waiting: int, band: str) -> None:
    """Seen to fail where the number itself is told."""
    assert band_of(waiting) == band


async def test_everybody_sees_how_long_people_wait(town: BookingTown) -> None:
    # One more than are served there at once.
    for key in ("k", "l", "m"):
        await called(town, key, "CHI01", "prefer")
    async with town.browser(None) as anybody:
        shown = (await anybody.get("/booking/now")).text
    assert "7番窓口（子育て）" in shown
    assert "今日は午後5時15分までです" in shown
    assert "およそ" in shown
    # Nothing but what is discreet is done at counter 3.
    assert "3番窓口" not in shown


async def test_a_closed_counter_says_so_and_has_no_wait(town: BookingTown) -> None:
    await close(town, counter="7", day=jst_day(town.now))
    async with town.browser(None) as anybody:
        shown = (await anybody.get("/booking/now")).text
        told = (await anybody.get("/booking/api/waits")).json()
    assert "今は、お休みです" in shown
    assert "空いています" not in shown
    assert [each["state"] for each in told["counters"]] == ["closed"]
    assert told["counters"][0]["waiting"] is None


async def test_the_open_data_say_the_same_and_no_small_number(town: BookingTown) -> None:
    """Seen to fail where the number itself is told."""
    for key in ("a", "b"):
        await called(town, key, "CHI01", "prefer")
    async with town.browser(None) as anybody:
        told = (await anybody.get("/booking/api/waits")).json()
        table = await anybody.get("/booking/now/waits.csv")
    assert [(each["counter"], each["state"], each["waiting"]) for each in told["counters"]] == [("7", "open", "1-4")]
    rows = list(csv.DictReader(io.StringIO(table.content.decode("utf-8-sig"))))
    assert [(row["全国地方公共団体コード"], row["窓口コード"], row["状態"], row["待ち人数（幅）"]) for row in rows] == [
        (TOWN, "7", "受付中", "1-4")
    ]
    assert table.status_code == httpx.codes.OK
    assert table.headers["cache-control"] == "public, max-age=15"


async def test_the_page_is_as_old_as_it_says(town: BookingTown) -> None:
    async with town.browser(None) as anybody:
        assert "午前9時の様子です" in (await anybody.get("/booking/now")).text
        town.now += timedelta(minutes=7)
        assert "午前9時7分の様子です" in (await anybody.get("/booking/now")).text
        assert (
            '<noscript><meta http-equiv="refresh" content="60"></noscript>' in (await anybody.get("/booking/now")).text
        )


def test_a_wait_has_the_agreed_shape() -> None:
    assert CounterWait(waiting=1, wait_min=5, lamp="quiet").waiting == 1


async def test_nobody_learns_that_somebody_waits_for_what_is_discreet(town: BookingTown) -> None:
    """Neither at the door nor at the machine. Seen to fail where only the board and the waits leave it out."""
    for key in ("a", "b", "c"):
        await called(town, key, FAMILY, "prefer")
    async with town.browser(None) as anybody, town.browser("lobby", kind="staff", roles=("kiosk",)) as machine:
        pages = {
            procedure: [
                (await anybody.get(f"/booking/door/{procedure}")).text,
                (await machine.get(f"/kiosk/procedures/{procedure}")).text,
            ]
            for procedure in (CHILD, FAMILY)
        }
        told = (await machine.get(f"/booking/api/kiosk/procedures/{FAMILY}")).json()
    for shown in pages[FAMILY]:
        assert "転入届" in shown
        for secret in ("待っている人", "お待ちの時間", "およそ", "すぐにご案内", "空いて", "混んで"):
            assert secret not in shown
    assert all("すぐにご案内" in shown for shown in pages[CHILD])
    assert (told["ahead"]["waiting"], told["ahead"]["wait_min"]) == (None, None)


async def test_small_numbers_are_told_nowhere_and_whoever_is_here_discreetly_is_not_counted(
    town: BookingTown,
) -> None:
    """Seen to fail where pages tell the number itself; and where everybody who waits is counted."""
    for key in ("a", "b", "c", "d", "e"):
        await called(town, key, CHILD, "prefer")
    paths = (
        "/board/now",
        "/booking/api/line",
        "/booking/api/waits",
        "/booking/now/waits.csv",
        f"/booking/door/{CHILD}",
    )
    for people, band, ja in ((5, "5-9", "5〜9人"), (4, "1-4", "1〜4人"), (0, "0", "")):
        # The others are here for something discreet, which is done at the same counter.
        async with town.db.begin(TOWN) as session:
            await session.execute(
                text("""UPDATE appointment SET procedure = :other WHERE appointment_id IN (
                            SELECT appointment_id FROM appointment ORDER BY ticket_no OFFSET :people)"""),
                {"other": FAMILY, "people": people},
            )
        async with town.browser(None) as anybody:
            board, line, waits, table, door = [(await anybody.get(path)).text for path in paths]
        if people:
            assert ja in board
            assert f"待っている人 {ja}" in re.sub(r"</?\w+[^>]*>", "", door)
            assert [each["waiting"] for each in json.loads(line)["counters"]] == [band]
        else:
            assert "待ち" not in board
            assert json.loads(line)["counters"] == []
            assert "待っている人" not in door
        assert [each["waiting"] for each in json.loads(waits)["counters"]] == [band]
        assert f",{band}," in table
        assert not re.search("(?<!〜)[0-9]人(?!以上)", board + door)
