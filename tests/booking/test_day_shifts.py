"""A helper is at a venue on one day beyond their rhythm: places, requests, the database's guards, taking it back."""

from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import icalendar
import msgspec
import pytest
import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from services.booking.commands.shifts import AddShift, add_shift, remove_shift
from services.booking.commands.tidying import tidy_up
from services.booking.domain.shifts import Shift, meet
from services.booking.queries.help_candidates import list_candidates
from shared.clock import JST, jst_day
from shared.errors import Refusal
from tests.booking.conftest import TOWN, TownAfter
from tests.booking.helpers_town import HALL, SATO, SHED, SUZUKI, TANAKA, HelperTown, open_with_venues
from tests.booking.test_helpers import COORDINATOR

# It is Monday, the first of June, nine.
WEDNESDAY = date(2026, 6, 3)
NO_SHIFT = "the helper has no shift there then"
OTHER_TIME = "the helper has another time on that day"


@pytest_asyncio.fixture
async def helpers(town_after: TownAfter) -> HelperTown:
    """Sato is at the hall on Mondays from 10 to 12; Suzuki and Tanaka have no time yet."""
    town = HelperTown(await town_after(open_with_venues))
    await town.helper(SATO)
    for ref in (SUZUKI, TANAKA):
        await town.hear(town.account(ref))
    return town


async def come(helpers: HelperTown, ref: str = SATO, day: date = WEDNESDAY, **changes: Any) -> UUID:
    return await helpers.shift(ref, weekday=day.isoweekday(), only_on=day, **changes)


async def take_back(helpers: HelperTown, shift_id: UUID, ref: str = SATO, *, by_coordinator: bool = False) -> None:
    actor = COORDINATOR if by_coordinator else helpers.identity(ref)
    async with helpers.town.db.begin(TOWN) as session:
        await remove_shift(session, actor, shift_id, helper_ref=ref if by_coordinator else None, now=helpers.town.now)


async def days_of(helpers: HelperTown, venue: str = HALL) -> list[date]:
    return sorted({jst_day(slot.starts_at) for slot in await helpers.town.slots(venue)})


async def book_on(helpers: HelperTown, day: date, guest: str = "guest") -> Any:
    [slot, *_] = [each for each in await helpers.town.slots(HALL, day=day) if each.free]
    visit_id = await helpers.town.visit(guest, procedure="DIG01", channel="helper")
    await helpers.town.hold(visit_id, guest, slot.slot_id)
    return await helpers.town.book(visit_id, guest)


async def run(helpers: HelperTown, sql: str, **values: Any) -> None:
    async with helpers.town.db.begin(TOWN) as session:
        await session.execute(text(sql), values)


async def told(helpers: HelperTown, matter: str) -> list[str]:
    rows = await helpers.town.rows("SELECT payload FROM booking.outbox WHERE type LIKE '%helper_told%'")
    found = [msgspec.json.decode(bytes(row.payload)) for row in rows]  # type: ignore[attr-defined]
    return [each["helper_ref"] for each in found if each["matter"] == matter]


def phone(helpers: HelperTown, ref: str = SATO) -> httpx.AsyncClient:
    return helpers.town.browser(ref, kind="helper", roles=("helper",))


def desk(helpers: HelperTown) -> httpx.AsyncClient:
    return helpers.town.browser("boss", kind="staff", roles=("coordinator",))


async def test_places_are_there_on_that_day_alone_and_the_helper_is_asked(helpers: HelperTown) -> None:
    mondays = await days_of(helpers)
    await come(helpers, TANAKA)
    assert await days_of(helpers) == sorted([*mondays, WEDNESDAY])
    booked = await book_on(helpers, WEDNESDAY)
    assert await helpers.states() == {TANAKA: "asked"}
    await helpers.answer(TANAKA, "accept")
    assert await helpers.appointment(booked) == ("booked", "accepted")
    async with helpers.town.db.begin(TOWN) as session:
        found = await list_candidates(session, TOWN, now=helpers.town.now)
    # The matching of requests for help knows it, too.
    [shift] = next(each for each in found if each.helper_ref == TANAKA).shifts
    assert [shift.is_on(WEDNESDAY + timedelta(weeks=number)) for number in range(2)] == [True, False]


async def test_an_appointment_stands_within_the_day_and_not_once_it_is_taken_back(helpers: HelperTown) -> None:
    shift_id = await come(helpers)
    await book_on(helpers, WEDNESDAY)
    [request] = await helpers.requests(SATO)
    one = {"id": request.assignment_id}
    next_week = "UPDATE assignment SET during = tstzrange(lower(during) + interval '7 days', upper(during) + interval"
    with pytest.raises(IntegrityError, match=NO_SHIFT):
        await run(helpers, f"{next_week} '7 days') WHERE assignment_id = :id", **one)
    await take_back(helpers, shift_id)
    again = "UPDATE assignment SET state = 'asked' WHERE assignment_id = :id"
    with pytest.raises(IntegrityError, match=NO_SHIFT):
        await run(helpers, again, **one)
    await run(helpers, again.replace("SET", "SET overrides_shift = true,"), **one)


async def test_nobody_is_at_two_places_on_a_day(helpers: HelperTown) -> None:
    """The last ones stand with the trigger `guard_shift_days` dropped: seen at the end."""
    second = date(2026, 6, 8)
    every_second: dict[str, Any] = {"every_weeks": 2, "first_week": date(2026, 6, 1)}
    for refused in ({"day": second}, {"day": second, "venue": SHED, "hours": (11, 13)}):
        with pytest.raises(Refusal, match="shift_overlaps"):
            await come(helpers, **refused)
    # Beside it, and in the week in which the rhythm rests.
    await come(helpers, day=second, venue=SHED, hours=(9, 10))
    await helpers.shift(TANAKA, **every_second)
    await come(helpers, TANAKA, second, venue=SHED)
    with pytest.raises(Refusal, match="shift_overlaps"):
        await helpers.shift(TANAKA, weekday=1, venue=SHED, hours=(11, 13))
    with pytest.raises(Refusal, match="shift_overlaps"):
        await come(helpers, TANAKA, second, hours=(11, 12))
    keep = """INSERT INTO helper_shift (municipality, shift_id, helper_ref, venue, weekday, from_min, to_min, only_on)
              VALUES (:town, :id, :ref, 'SHED', 1, 600, 660, :day)"""
    wrong: tuple[tuple[str, date | None], ...] = ((SATO, second), (TANAKA, None))
    for ref, day in wrong:
        with pytest.raises(IntegrityError, match=OTHER_TIME):
            await run(helpers, keep, town=TOWN, id=uuid4(), ref=ref, day=day)
    with pytest.raises(IntegrityError, match="no_overlap_excl"):
        await run(helpers, keep, town=TOWN, id=uuid4(), ref=TANAKA, day=second)
    # 2026-06-10 is a Wednesday.
    with pytest.raises(IntegrityError, match="helper_shift_only_on_check"):
        await run(helpers, keep, town=TOWN, id=uuid4(), ref=SUZUKI, day=date(2026, 6, 10))
    async with helpers.town.database.owner_engine("booking").begin() as connection:
        await connection.execute(text("DROP TRIGGER guard_shift_days ON booking.helper_shift"))
    await run(helpers, keep, town=TOWN, id=uuid4(), ref=SATO, day=second)


async def test_a_town_has_more_times_than_a_page_of_the_index(helpers: HelperTown) -> None:
    """Seen to fail with -infinity for a rhythm: the index subtracts days once it has pages, and refuses everybody."""
    people = """INSERT INTO helper (municipality, helper_ref, languages, is_open, version)
                SELECT :town, 'h' || n, '{ja}', true, 1 FROM generate_series(1, 300) AS n"""
    times = """INSERT INTO helper_shift (municipality, shift_id, helper_ref, venue, weekday, from_min, to_min, only_on)
               SELECT :town, gen_random_uuid(), 'h' || n, 'SHED', 3, 600, 660, day
               FROM generate_series(1, 300) AS n, (VALUES (CAST(NULL AS date)), ('2026-07-01')) AS each(day)
               WHERE (day IS NULL) = (n % 2 = 0)"""
    await run(helpers, people, town=TOWN)
    await run(helpers, times, town=TOWN)
    await come(helpers)


def test_two_times_meet_on_a_day_that_both_have() -> None:
    weekly = Shift(helper_ref="x", weekday=1, from_min=600, to_min=720)
    third = msgspec.structs.replace(weekly, nth=(3,))
    day = msgspec.structs.replace(weekly, only_on=date(2026, 6, 8))
    other_day = msgspec.structs.replace(weekly, only_on=date(2026, 6, 15))
    beside = msgspec.structs.replace(weekly, from_min=720, to_min=780)
    expected = {
        (weekly, third): True,
        (weekly, day): True,
        (third, day): False,
        (third, other_day): True,
        (day, other_day): False,
        (day, day): True,
        (weekly, beside): False,
    }
    assert {pair: meet(*pair) for pair in expected} == expected
    assert {pair: meet(pair[1], pair[0]) for pair in expected} == expected


@pytest.mark.parametrize(
    "changes",
    [
        {"weekday": 4},
        {"only_on": date(2026, 5, 27)},
        {"only_on": date(2027, 6, 9)},
        {"nth": (1,)},
        {"every_weeks": 2, "first_week": WEDNESDAY},
    ],
)
async def test_what_is_no_day_to_come_is_refused(helpers: HelperTown, changes: dict[str, Any]) -> None:
    values: dict[str, Any] = {
        "venue": HALL,
        "weekday": 3,
        "from_min": 600,
        "to_min": 720,
        "only_on": WEDNESDAY,
    } | changes
    async with helpers.town.db.begin(TOWN) as session:
        with pytest.raises(Refusal, match="shift_unfit"):
            await add_shift(session, helpers.identity(SATO), AddShift(**values), now=helpers.town.now)


async def test_taken_back_its_visits_go_to_who_is_there_or_the_town_cancels(helpers: HelperTown) -> None:
    """Those of the rhythm stay: for them, there is "cannot come"."""
    shift_id = await come(helpers)
    monday = await helpers.book("monday")
    await helpers.answer(SATO, "accept")
    booked = [await book_on(helpers, WEDNESDAY, guest) for guest in ("first", "second")]
    for row in await helpers.requests(SATO):
        if row.state == "asked":
            await helpers.answer(SATO, "accept", row.assignment_id)
    # Another is there for the first of the two hours.
    await come(helpers, TANAKA, hours=(10, 11))
    await take_back(helpers, shift_id)
    await take_back(helpers, shift_id)
    assert await helpers.appointment(booked[0]) == ("booked", "asked")
    assert await helpers.appointment(booked[1]) == ("cancelled", "nobody")
    assert await helpers.appointment(monday) == ("booked", "accepted")
    assert {row.helper_ref for row in await helpers.requests() if row.state == "asked"} == {TANAKA}
    assert await told(helpers, "cancelled") == [], "who said so themselves need not be told"


async def test_a_coordinator_enters_it_and_takes_it_back_and_the_helper_is_told(helpers: HelperTown) -> None:
    async with desk(helpers) as boss:
        page = (await boss.get(f"/helpers/people/{TANAKA}")).text
        assert "この日だけ来てもらう" in page
        typed = {"day_year": "2026", "day_month": "6", "day_day": "3", "from": "600", "to": "720", "venue": HALL}
        url = f"/helpers/people/{TANAKA}/days"
        for wrong, shown in (
            ({"day_day": ""}, "年・月・日"),
            ({"from": "720"}, "この時間は登録できません"),
            ({"venue": "X"}, "この場所は見つかりません"),
        ):
            refused = await boss.post(url, data=typed | wrong)
            assert refused.status_code >= 400, wrong
            assert shown in refused.text
        assert (await boss.post(url, data=typed)).headers["location"] == f"/helpers/people/{TANAKA}?told=day"
        page = (await boss.get(f"/helpers/people/{TANAKA}")).text
        assert '2026年6月3日（水）</span> <span class="nowrap">10:00〜12:00' in page
        assert "この日だけ" in (await boss.get("/helpers/roster")).text
        await book_on(helpers, WEDNESDAY)
        await helpers.answer(TANAKA, "accept")
        [way] = [each for each in page.split('"') if each.endswith("/remove")]
        asked = (await boss.get(way)).text
        assert "約束やお願いが1件あります" in asked
        assert "Tanaka" in asked
        assert (await boss.post(way)).headers["location"] == f"/helpers/people/{TANAKA}?told=day_removed"
        assert (await boss.get(way)).headers["location"] == f"/helpers/people/{TANAKA}"
        assert (await boss.get(url)).headers["location"] == f"/helpers/people/{TANAKA}"
        assert (await boss.post("/helpers/people/nobody/days", data=typed)).status_code == httpx.codes.NOT_FOUND
        # A rhythm is the helper's own to say.
        [monday] = await helpers.town.rows("SELECT shift_id FROM booking.helper_shift")
        base = f"/helpers/people/{SATO}/days/{monday.shift_id}/remove"  # type: ignore[attr-defined]
        assert (await boss.get(base)).headers["location"] == f"/helpers/people/{SATO}"
        await boss.post(base)
    assert len(await helpers.town.rows("SELECT 1 FROM booking.helper_shift")) == 1
    assert await told(helpers, "cancelled") == [TANAKA]
    deeds = await helpers.town.rows(
        "SELECT actor_ref, action FROM booking.audit WHERE action LIKE '%-shift' ORDER BY occurred_at"
    )
    assert [(row.actor_ref, row.action) for row in deeds][-2:] == [  # type: ignore[attr-defined]
        ("boss", "add-shift"),
        ("boss", "remove-shift"),
    ]


async def test_on_their_phone_a_helper_enters_a_day_and_takes_it_back(helpers: HelperTown) -> None:
    async with phone(helpers) as browser:
        typed = {"day_year": "2026", "day_month": "6", "day_day": "3", "from": "600", "to": "720", "venue": HALL}
        refused = await browser.post("/helpers/away/come", data=typed | {"day_month": "5"})
        assert refused.status_code == httpx.codes.UNPROCESSABLE_ENTITY
        assert 'value="5"' in refused.text, "what was typed stands there"
        answer = await browser.post("/helpers/away/come", data=typed)
        assert answer.headers["location"] == "/helpers/away?told=comes"
        again = await browser.post("/helpers/away/come", data=typed)
        assert again.status_code == httpx.codes.CONFLICT
        page = (await browser.get("/helpers/away")).text
        assert '2026年6月3日（水）</span> <span class="nowrap">10:00〜12:00' in page
        # A rhythm and a day are two lists.
        assert "6月3日" not in (await browser.get("/helpers/shifts")).text
        week = (await browser.get("/helpers/week")).text
        assert week.count("来られる時間：10:00〜12:00") == 2
        assert (await browser.get("/helpers/week?day=2026-06-08")).text.count("来られる時間：10:00〜12:00") == 1
        [way] = [each for each in page.split('"') if each.endswith("/remove")]
        assert "この時間に、約束はありません" in (await browser.get(way)).text
        assert (await browser.post(way)).headers["location"] == "/helpers/away?told=comes_not"
        assert (await browser.get("/helpers/away/come")).headers["location"] == "/helpers/away"
    assert WEDNESDAY not in await days_of(helpers)


async def test_the_day_is_in_their_calendar_and_a_program_can_enter_it(helpers: HelperTown) -> None:
    async with phone(helpers) as browser:
        order = {"venue": HALL, "weekday": 3, "from_min": 600, "to_min": 720, "only_on": WEDNESDAY.isoformat()}
        headers = {"idempotency-key": "a"}
        added = await browser.post("/booking/api/helpers/shifts", json=order, headers=headers)
        assert added.status_code == httpx.codes.CREATED
        shown = (await browser.get("/booking/api/helpers/shifts")).json()
        assert [each["only_on"] for each in shown] == [None, "2026-06-03"]
        made = (await browser.post("/booking/api/helpers/calendar", headers={"idempotency-key": "b"})).json()
        feed = await browser.get("/helpers/calendar/" + made["address"].rsplit("/", 1)[-1])
    [event] = icalendar.Calendar.from_ical(feed.content).walk("VEVENT")
    assert event.decoded("dtstart") == datetime(2026, 6, 3, 10, tzinfo=JST)
    assert str(event["location"]) == "公民館"


async def test_a_day_that_is_past_is_forgotten(helpers: HelperTown) -> None:
    await come(helpers)
    for later, left in ((2, 2), (3, 1)):
        async with helpers.town.db.begin(TOWN) as session:
            await tidy_up(session, TOWN, now=helpers.town.now + timedelta(days=later))
        assert len(await helpers.town.rows("SELECT 1 FROM booking.helper_shift")) == left


async def test_a_past_day_is_in_the_way_of_no_rhythm(helpers: HelperTown) -> None:
    await come(helpers)
    helpers.at(helpers.town.now + timedelta(days=3))
    await helpers.shift(SATO, weekday=3)
    assert len(await helpers.town.rows("SELECT 1 FROM booking.helper_shift")) == 2
