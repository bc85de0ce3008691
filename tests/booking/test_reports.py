"""Reports: against what people really did, reckoned by hand; what was taken back does not count; pages and files."""

import csv
import io
import random
import zipfile
from datetime import UTC, date, datetime, timedelta
from statistics import mean

import httpx
import pytest
import pytest_asyncio
from sqlalchemy import text

from services.booking.commands.counter_days import move_waiting
from services.booking.commands.steps import standing_of, take_step
from services.booking.pages.reports import read_asked
from services.booking.queries.reports import DAYS_MAX, By, Report, read_history, read_report, steps_statement
from shared.clock import jst_day
from tests.booking.conftest import CHILD, FAMILY, TOWN, BookingTown
from tests.booking.hall import CLERK, KIOSK, MANAGER, close, open_hall, step, walk_in

DAY = date(2026, 6, 1)
PROMISE = 30


@pytest_asyncio.fixture
async def hall(bare_town: BookingTown) -> BookingTown:
    await open_hall(bare_town, promise_min=PROMISE)
    return bare_town


async def report(town: BookingTown, by: By = "day", *, first: date = DAY, last: date = DAY) -> Report:
    async with town.db.begin(TOWN) as session:
        today = max(last, DAY)
        return await read_report(session, TOWN, first, last, by, promise_min=PROMISE, today=today)


def percentile(values: list[int], part: float) -> float:
    """As PostgreSQL's `percentile_cont`, reckoned anew: between the two neighbours, by how near each is."""
    ordered = sorted(values)
    place = part * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


async def test_the_times_are_those_that_people_had(hall: BookingTown) -> None:
    """A morning of people one after the other, each with times of their own, against a plain computation."""
    chance = random.Random(7)
    waited: list[int] = []
    walked: list[int] = []
    served: list[int] = []
    for number in range(23):
        who = await walk_in(hall, FAMILY if number % 4 == 0 else CHILD)
        for times, action, most in ((waited, "call", 3_000), (walked, "start", 90), (served, "done", 1_200)):
            took = chance.randrange(1, most)
            times.append(took)
            hall.now += timedelta(seconds=took)
            who = await step(hall, who, action)
        hall.now = datetime(2026, 6, 1, 0, number, tzinfo=UTC)
    found = (await report(hall)).lines["2026-06-01"]
    assert (found.waits, found.handled, found.people, found.no_show) == (23, 23, 23, 0)
    assert found.wait_p50_s == pytest.approx(percentile(waited, 0.5))
    assert found.wait_p90_s == pytest.approx(percentile(waited, 0.9))
    assert found.walk_p50_s == pytest.approx(percentile(walked, 0.5))
    assert found.serve_p50_s == pytest.approx(percentile(served, 0.5))
    assert found.late == sum(each > PROMISE * 60 for each in waited)
    by_procedure = await report(hall, "procedure")
    of_family = [each for number, each in enumerate(waited) if number % 4 == 0]
    assert by_procedure.lines[FAMILY].wait_p50_s == pytest.approx(percentile(of_family, 0.5))
    assert {key: line.waits for key, line in by_procedure.lines.items()} == {FAMILY: 6, CHILD: 17}
    assert by_procedure.whole.wait_p90_s == pytest.approx(percentile(waited, 0.9))


async def test_steps_that_were_taken_back_do_not_count(hall: BookingTown) -> None:
    """Seen to fail without `NOT is_undone` in the statement."""
    who = await walk_in(hall)
    hall.now += timedelta(minutes=1)
    who = await step(hall, who, "call", "start", "done", "undo", "undo", "undo")
    assert (await report(hall)).whole.waits == 0
    hall.now += timedelta(minutes=4)
    who = await step(hall, who, "call")
    hall.now += timedelta(seconds=30)
    who = await step(hall, who, "start")
    hall.now += timedelta(minutes=2)
    await step(hall, who, "done")
    found = (await report(hall)).whole
    assert (found.waits, found.wait_p50_s, found.walk_p50_s, found.serve_p50_s) == (1, 300, 30, 120)
    assert (found.handled, found.people) == (1, 1)


async def test_calling_again_and_setting_aside_is_one_wait(hall: BookingTown) -> None:
    who = await walk_in(hall)
    hall.now += timedelta(minutes=2)
    who = await step(hall, who, "call")
    hall.now += timedelta(minutes=3)
    who = await step(hall, who, "call", "park")
    hall.now += timedelta(minutes=5)
    who = await step(hall, who, "resume", "call")
    hall.now += timedelta(seconds=20)
    await step(hall, who, "start")
    found = (await report(hall)).whole
    assert (found.waits, found.wait_p50_s, found.walk_p50_s) == (1, 120, 20)


async def test_who_is_sent_on_counts_at_each_counter(hall: BookingTown) -> None:
    who = await walk_in(hall)
    hall.now += timedelta(minutes=3)
    who = await step(hall, who, "call", "start")
    hall.now += timedelta(minutes=10)
    async with hall.db.begin(TOWN) as session:
        row = (await session.execute(text("SELECT * FROM appointment"))).one()
        standing = standing_of(row)
        values = {"state": "checked_in", "counter": "3", "office": "戸籍", "queued_at": hall.now,
                  "called_at": None, "serving_at": None}  # fmt: skip
        there = type(standing)(**({name: getattr(standing, name) for name in standing.__struct_fields__} | values))
        who = await take_step(session, CLERK, row, "transfer", there, now=hall.now)
    hall.now += timedelta(minutes=7)
    who = await step(hall, who, "call", "start")
    hall.now += timedelta(minutes=1)
    await step(hall, who, "done")
    found = (await report(hall, "counter")).lines
    first, second = found["7"], found["3"]
    assert (first.waits, first.wait_p50_s, first.serve_p50_s, first.handled) == (1, 180, 600, 1)
    assert (second.waits, second.wait_p50_s, second.serve_p50_s, second.handled) == (1, 420, 60, 1)
    # A person is one, where they were last.
    assert (first.people, second.people) == (0, 1)


async def test_who_is_moved_from_a_closed_counter_has_waited_all_along(hall: BookingTown) -> None:
    who = await walk_in(hall)
    hall.now += timedelta(minutes=10)
    await close(hall, "7")
    async with hall.db.begin(TOWN) as session:
        await move_waiting(session, MANAGER, "7", "8", now=hall.now)
    hall.now += timedelta(minutes=5)
    async with hall.db.begin(TOWN) as session:
        row = (await session.execute(text("SELECT version FROM appointment"))).one()
    await step(
        hall, type(who)(**{**{n: getattr(who, n) for n in who.__struct_fields__}, "version": row.version}), "call"
    )
    found = (await report(hall, "counter")).lines
    assert found["8"].wait_p50_s == 900
    assert found["7"].waits == 0


async def test_how_people_came_and_who_did_not(hall: BookingTown) -> None:
    web = await hall.booked("web")
    phone = await hall.booked("phone", slot=1, behalf="phone")
    desk = await hall.booked("desk", slot=2, behalf="desk")
    await hall.booked("later", slot=3)
    await walk_in(hall)
    await walk_in(hall, actor=KIOSK)
    # A visit is forgotten long before its appointment is over.
    async with hall.db.begin(TOWN) as session:
        await session.execute(text("UPDATE appointment SET visit_id = NULL"))
        await session.execute(text("UPDATE appointment SET state = 'no_show' WHERE number = :n"), {"n": phone.number})
        await session.execute(text("UPDATE appointment SET state = 'cancelled' WHERE number = :n"), {"n": desk.number})
        await session.execute(text("UPDATE appointment SET state = 'done' WHERE number = :n"), {"n": web.number})
    found = (await report(hall, "came_by")).lines
    assert {key: (line.people, line.no_show) for key, line in found.items()} == {
        "web": (1, 0), "phone": (1, 1), "walk_in": (1, 0), "kiosk": (1, 0),
    }  # fmt: skip
    # Who booked for a day that is over and was never seen did not come.
    async with hall.db.begin(TOWN) as session:
        next_day = await read_report(session, TOWN, DAY, DAY, "came_by", promise_min=PROMISE, today=date(2026, 6, 2))
    assert (next_day.lines["web"].people, next_day.lines["web"].no_show) == (2, 1)


async def test_who_could_not_come_as_it_was_closed_is_not_missing(hall: BookingTown) -> None:
    """Seen to fail where each who booked and did not come counts."""
    await hall.booked("b")
    async with hall.database.owner_engine("booking").begin() as connection:
        await connection.execute(
            text("UPDATE booking.appointment SET closure = 'staff', closing_id = gen_random_uuid()")
        )
    day = jst_day(hall.now)
    async with hall.db.begin(TOWN) as session:
        tomorrow = day + timedelta(days=1)
        found = await read_report(session, TOWN, day, day, "day", promise_min=30, today=tomorrow)
    assert (found.whole.people, found.whole.no_show) == (0, 0)


async def test_places_are_used_by_who_booked(hall: BookingTown) -> None:
    await hall.booked("a")
    await hall.booked("b")
    found = await report(hall, "counter")
    # Opened at 9:00 on the day itself: five half hours until 12:00 and eight until 17:15, with two places each.
    assert (found.lines["7"].places, found.lines["7"].taken) == (26, 2)
    assert found.lines["7"].used_percent == pytest.approx(7.69, abs=0.01)
    assert found.whole.places == sum(line.places or 0 for line in found.lines.values())
    assert (await report(hall, "procedure")).whole.places is None


async def test_how_many_are_done_in_an_hour_of_a_counter(hall: BookingTown) -> None:
    for minutes, procedure in ((5, CHILD), (20, CHILD), (30, CHILD), (61, CHILD), (61, FAMILY)):
        hall.now = datetime(2026, 6, 1, 0, 0, tzinfo=UTC) + timedelta(minutes=minutes)
        await step(hall, await walk_in(hall, procedure), "call", "start", "done")
    found = await report(hall, "counter")
    assert (found.lines["7"].handled, found.lines["7"].counter_hours, found.lines["7"].per_hour) == (4, 2, 2)
    assert (found.lines["3"].per_hour, found.whole.counter_hours) == (1, 3)


async def test_a_day_ends_at_midnight_in_japan(hall: BookingTown) -> None:
    for at in ("2026-06-02T23:59:59", "2026-06-03T00:00:00"):
        hall.now = datetime.fromisoformat(at + "+09:00").astimezone(UTC)
        await step(hall, await walk_in(hall), "call")
    found = await report(hall, last=date(2026, 6, 3))
    assert {key: line.waits for key, line in found.lines.items() if line.waits} == {"2026-06-02": 1, "2026-06-03": 1}
    # Places are of the days on which they begin.
    assert found.lines["2026-06-02"].places == found.lines["2026-06-03"].places


async def test_how_wrong_the_told_wait_was(hall: BookingTown) -> None:
    """What was told is another part's: the trigger reads it by its name, if there is such a column."""
    async with hall.database.owner_engine("booking").begin() as connection:
        await connection.execute(text("ALTER TABLE booking.line_step ADD COLUMN IF NOT EXISTS told_min integer"))
        await connection.execute(text("ALTER TABLE booking.line_step DISABLE TRIGGER guard_line_step"))
    errors = []
    for number, (told, minutes) in enumerate(((10, 12), (10, 7), (5, 5))):
        booked = await hall.booked(f"g{number}", slot=number)
        async with hall.db.begin(TOWN) as session:
            row = (
                await session.execute(text("SELECT * FROM appointment WHERE number = :n"), {"n": booked.number})
            ).one()
        who = await step(hall, row, "check-in")  # type: ignore[arg-type]
        async with hall.db.begin(TOWN) as session:
            await session.execute(
                text("UPDATE line_step SET told_min = :told WHERE appointment_id = :id"),
                {"told": told, "id": who.appointment_id},
            )
        hall.now += timedelta(minutes=minutes)
        await step(hall, who, "call")
        errors.append(abs(minutes - told) * 60)
    found = (await report(hall)).whole
    assert found.told == 3
    assert found.told_off_s == pytest.approx(mean(errors))


async def test_history_is_who_came(hall: BookingTown) -> None:
    await walk_in(hall)
    await walk_in(hall, FAMILY)
    await hall.booked("b")
    async with hall.db.begin(TOWN) as session:
        found = await read_history(session, TOWN, DAY, DAY)
    assert found == {"7": {DAY: 1}, "3": {DAY: 1}}


def test_the_span_is_of_past_days_and_no_longer_than_a_year() -> None:
    year_ago = DAY - timedelta(days=DAYS_MAX - 1)
    assert not read_asked(year_ago.isoformat(), DAY.isoformat(), "counter", today=DAY).is_refused
    for first, last in (
        (year_ago - timedelta(days=1), DAY),
        (DAY, DAY + timedelta(days=1)),
        (DAY, DAY - timedelta(days=1)),
    ):
        asked = read_asked(first.isoformat(), last.isoformat(), "x", today=DAY)
        assert (asked.is_refused, asked.by, asked.last) == (True, "day", DAY)
    assert read_asked("x", "", "", today=DAY).is_refused
    assert not read_asked("", "", "", today=DAY).is_refused


async def test_pages_and_files_say_the_same_and_nothing_of_persons(hall: BookingTown) -> None:
    who = await walk_in(hall)
    hall.now += timedelta(minutes=12)
    who = await step(hall, who, "call", "start")
    hall.now += timedelta(minutes=8)
    await step(hall, who, "done")
    async with hall.browser("boss", kind="staff", roles=("manager",)) as boss:
        for by in ("day", "counter", "procedure", "came_by"):
            page = await boss.get(f"/counter/reports?first=2026-05-30&last=2026-06-01&by={by}")
            assert page.status_code == httpx.codes.OK
            for secret in ("花子", "ハナコ", "clerk", who.number):
                assert secret not in page.text
            assert "12分" in page.text
        days = (await boss.get("/counter/reports?first=2026-05-30&last=2026-06-01&by=day")).text
        assert days.count("記録なし") == 4  # two days, in two tables
        months = (await boss.get("/counter/reports?first=2026-01-01&last=2026-06-01&by=day")).text
        assert "2026年6月" in months
        assert "2026年2月" in months
        refused = await boss.get("/counter/reports?first=2026-06-01&last=2026-05-01")
        assert refused.status_code == httpx.codes.UNPROCESSABLE_ENTITY
        assert "期間を確かめてください" in refused.text
        file = await boss.get("/counter/reports/report.csv?first=2026-06-01&last=2026-06-01&by=counter")
        rows = list(csv.reader(io.StringIO(file.content.decode("utf-8-sig"))))
        assert rows[1][:3] == ["3番窓口（届出）", "0", ""]
        assert rows[2][:4] == ["7番窓口（子育て）", "1", "720", "720"]
        book = await boss.get("/counter/reports/report.xlsx?first=2026-05-30&last=2026-06-01")
        with zipfile.ZipFile(io.BytesIO(book.content)) as parts:
            names = parts.read("xl/workbook.xml").decode()
            words = parts.read("xl/sharedStrings.xml").decode()
            assert not [each for each in parts.namelist() if b"<f>" in parts.read(each)]
    for name in ("日", "窓口", "手続き", "来かた", "来週の見込み"):
        assert f'name="{name}"' in names
    assert "児童手当の申請" in words
    async with hall.staff() as clerk:
        for path in ("", "/report.csv", "/report.xlsx"):
            assert (await clerk.get(f"/counter/reports{path}")).status_code == httpx.codes.FORBIDDEN


async def test_the_index_of_reports_has_all_that_their_statement_reads(hall: BookingTown) -> None:
    """With a year of steps nothing else is read."""
    asked = {"municipality": TOWN, "first": DAY, "last": DAY, "promise_s": 60}
    for by in ("day", "counter", "procedure", "came_by"):
        async with hall.db.begin(TOWN) as session:
            for other in ("seqscan", "bitmapscan", "sort"):
                await session.execute(text(f"SET LOCAL enable_{other} = off"))
            plan = "\n".join((await session.execute(text("EXPLAIN " + steps_statement(by)), asked)).scalars())
        assert "Index Only Scan using line_step_report_idx" in plan, plan
