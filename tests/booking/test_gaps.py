"""Opening hours with nobody there: all who are free are asked at once, and the first who accepts has a shift then."""

import asyncio
from collections.abc import AsyncIterator
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest
import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from services.booking.commands.assignments import reassign
from services.booking.commands.cover_asking import COVER, Gap, list_free_for
from services.booking.commands.covers import accept_cover, decline_cover, on_cover_due
from services.booking.commands.gaps import start_gap_cover
from services.booking.commands.off_days import pause
from services.booking.commands.shifts import AddShift, add_shift
from services.booking.commands.standing import set_standing
from services.booking.domain.shifts import day_span
from shared.clock import jst_day, utc_now
from shared.errors import Refusal
from tests.booking.conftest import TOWN, TownAfter
from tests.booking.helpers_town import HALL, SATO, SHED, SUZUKI, TANAKA, HelperTown, open_with_venues
from tests.booking.test_cover import headers
from tests.booking.test_helpers import COORDINATOR
from tests.booking.test_race import serving
from tests.journeys.resident import read_forms

MORI = "mori"
# It is Monday, the first of June, nine. The hall is open from 9 to 12.
WEDNESDAY = date(2026, 6, 3)
OPEN_MIN, CLOSE_MIN = 9 * 60, 12 * 60


@pytest_asyncio.fixture
async def helpers(town_after: TownAfter) -> HelperTown:
    """Sato is at the hall on Mondays from 10 to 12; Suzuki, Tanaka and Mori have no times, and could come."""
    town = HelperTown(await town_after(open_with_venues))
    await town.helper(SATO)
    for ref in (SUZUKI, TANAKA, MORI):
        await town.hear(town.account(ref))
    return town


def gap(day: date = WEDNESDAY, from_min: int = OPEN_MIN, to_min: int = CLOSE_MIN, venue: str = HALL) -> Gap:
    starts_at, ends_at = day_span(day, from_min, to_min)
    return Gap(venue=venue, starts_at=starts_at, ends_at=ends_at)


async def start(helpers: HelperTown, wanted: Gap | None = None) -> int:
    async with helpers.town.db.begin(TOWN) as session:
        return await start_gap_cover(session, COORDINATOR, wanted or gap(), now=helpers.town.now)


async def covers(helpers: HelperTown) -> list[str]:
    return [row.state for row in await helpers.town.rows("SELECT state FROM booking.cover ORDER BY asked_at, venue")]  # type: ignore[attr-defined]


async def cover_of(helpers: HelperTown, venue: str = HALL) -> UUID:
    [row] = await helpers.town.rows("SELECT cover_id FROM booking.cover WHERE venue = :venue", venue=venue)
    return UUID(str(row.cover_id))  # type: ignore[attr-defined]


async def asked(helpers: HelperTown) -> dict[str, str]:
    rows = await helpers.town.rows("SELECT helper_ref, state FROM booking.cover_ask")
    return {row.helper_ref: row.state for row in rows}  # type: ignore[attr-defined]


async def answer(helpers: HelperTown, ref: str, what: str = "accept", cover_id: UUID | None = None) -> None:
    command = {"accept": accept_cover, "decline": decline_cover}[what]
    cover_id = cover_id or await cover_of(helpers)
    async with helpers.town.db.begin(TOWN) as session:
        await command(session, helpers.identity(ref), cover_id, now=helpers.town.now)


async def there(helpers: HelperTown) -> list[Any]:
    rows = await helpers.town.rows(
        "SELECT helper_ref, venue, only_on, from_min, to_min FROM booking.helper_shift WHERE only_on IS NOT NULL"
    )
    return [tuple(row) for row in rows]  # type: ignore[arg-type]


async def told(helpers: HelperTown, matter: str) -> set[str]:
    rows = await helpers.town.rows("SELECT payload FROM booking.outbox WHERE type LIKE '%helper_told%'")
    found = [msgspec.json.decode(bytes(row.payload)) for row in rows]  # type: ignore[attr-defined]
    return {each["helper_ref"] for each in found if each["matter"] == matter}


def phone(helpers: HelperTown, ref: str) -> httpx.AsyncClient:
    return helpers.town.browser(ref, kind="helper", roles=("helper",))


def desk(helpers: HelperTown) -> httpx.AsyncClient:
    return helpers.town.browser("boss", kind="staff", roles=("coordinator",))


async def test_the_first_who_accepts_is_there_and_the_others_read_it(helpers: HelperTown) -> None:
    assert await start(helpers) == 4
    assert await start(helpers) == 0
    assert await told(helpers, "cover") == {SATO, SUZUKI, TANAKA, MORI}
    page = (await phone(helpers, TANAKA).get("/helpers")).text
    for shown in (
        "行ける方をさがしています（1件）",
        "会場にまだだれもいません",
        "公民館（町民センター）",
        "この時間に行く",
    ):
        assert shown in page, shown
    await answer(helpers, SUZUKI, "decline")
    await answer(helpers, TANAKA)
    await answer(helpers, TANAKA)
    assert await there(helpers) == [(TANAKA, HALL, WEDNESDAY, OPEN_MIN, CLOSE_MIN)]
    slots = await helpers.town.slots(HALL, day=WEDNESDAY)
    assert [slot.free for slot in slots] == [1, 1, 1]
    assert (await covers(helpers), await asked(helpers)) == (
        ["taken"], {SATO: "asked", SUZUKI: "declined", TANAKA: "accepted", MORI: "asked"},
    )  # fmt: skip
    with pytest.raises(Refusal, match="cover_taken"):
        await answer(helpers, MORI)
    # What waits for the morning is not sent; who had not answered reads that it is settled, whoever had does not.
    assert await told(helpers, "over") == {SATO, SUZUKI, TANAKA, MORI}
    found = {ref: (await phone(helpers, ref).get("/helpers")).text for ref in (SATO, SUZUKI, TANAKA)}
    assert [ref for ref, page in found.items() if "ほかの方に決まりました" in page] == [SATO]
    assert all("この時間に行く" not in page for page in found.values())


async def test_only_who_is_free_and_may_be_asked_is_asked(helpers: HelperTown) -> None:
    """Away, pausing, suspended, at another venue, in a visit, with visits enough: none of these."""
    for ref in ("away", "paused", "suspended", "elsewhere", "busy", "full"):
        await helpers.hear(helpers.account(ref))
    await helpers.shift("full", venue=SHED, weekday=2, hours=(10, 11))
    await helpers.shift("elsewhere", venue=SHED, weekday=3, hours=(11, 12))
    async with helpers.town.db.begin(TOWN) as session:
        for sql in (
            "INSERT INTO helper_away VALUES (:town, gen_random_uuid(), 'away', :day, :day)",
            "UPDATE helper SET visits_per_week = 1 WHERE helper_ref = 'full'",
        ):
            await session.execute(text(sql), {"town": TOWN, "day": WEDNESDAY})
        await pause(session, helpers.identity("paused"), now=helpers.town.now)
        await set_standing(session, COORDINATOR, "suspended", "suspended", "own_wish", now=helpers.town.now)
    await helpers.book("tuesday", venue=SHED)
    await helpers.book("wednesday", venue=SHED)
    [visit] = await helpers.requests("elsewhere")
    async with helpers.town.db.begin(TOWN) as session:
        await reassign(session, COORDINATOR, visit.assignment_id, "busy", now=helpers.town.now)
    async with helpers.town.db.begin(TOWN) as session:
        assert await list_free_for(session, TOWN, gap()) == [MORI, SATO, SUZUKI, TANAKA]
        # Before their other time, and before their visit, they could.
        early = gap(to_min=OPEN_MIN + 60)
        assert await list_free_for(session, TOWN, early) == ["busy", "elsewhere", MORI, SATO, SUZUKI, TANAKA]
    assert await start(helpers) == 4


async def test_nobody_found_is_what_the_coordinator_reads(helpers: HelperTown) -> None:
    await start(helpers)
    assert "4人に聞いています" in (await desk(helpers).get("/helpers/roster")).text
    [due] = await helpers.town.rows("SELECT due_at FROM booking.due WHERE kind = :kind", kind=COVER)
    helpers.at(due.due_at)  # type: ignore[attr-defined]
    cover_id = await cover_of(helpers)
    async with helpers.town.db.begin(TOWN) as session:
        for _ in range(2):
            await on_cover_due(session, TOWN, str(cover_id), helpers.town.now)
    assert await covers(helpers) == ["lapsed"]
    nobody_found = "来られる方が、見つかりませんでした"
    assert nobody_found in (await desk(helpers).get("/helpers/roster")).text
    with pytest.raises(Refusal, match="cover_over"):
        await answer(helpers, MORI)
    # And may be looked for again.
    assert await start(helpers) == 4
    assert nobody_found not in (await desk(helpers).get("/helpers/roster")).text


async def test_when_all_have_declined_nobody_waits_and_is_asked_for_it_again(helpers: HelperTown) -> None:
    await start(helpers)
    for ref in (SATO, SUZUKI, TANAKA, MORI):
        await answer(helpers, ref, "decline")
    assert await covers(helpers) == ["lapsed"]
    with pytest.raises(Refusal, match="cover_nobody"):
        await start(helpers, gap(to_min=OPEN_MIN + 60))
    assert await start(helpers, gap(date(2026, 6, 4))) == 4


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        (gap(date(2026, 6, 8), 600, 660), "gap_over"),
        (gap(date(2026, 6, 8), 540, 630), "gap_over"),
        (gap(date(2026, 6, 6)), "gap_unfit"),
        (gap(to_min=CLOSE_MIN + 30), "gap_unfit"),
        (gap(venue="7"), "gap_unfit"),
        (gap(date(2026, 6, 1), 540, 600), "cover_too_late"),
    ],
)
async def test_what_is_no_gap_to_come_is_refused(helpers: HelperTown, wanted: Gap, code: str) -> None:
    with pytest.raises(Refusal, match=code):
        await start(helpers, wanted)


async def test_who_could_come_when_asked_may_not_any_more(helpers: HelperTown) -> None:
    await start(helpers)
    async with helpers.town.db.begin(TOWN) as session:
        sql = "INSERT INTO helper_away VALUES (:town, gen_random_uuid(), :ref, :day, :day)"
        await session.execute(text(sql), {"town": TOWN, "ref": MORI, "day": WEDNESDAY})
        await set_standing(session, COORDINATOR, SUZUKI, "suspended", "own_wish", now=helpers.town.now)
    await helpers.shift(TANAKA, venue=SHED, weekday=3)
    for ref, code in ((MORI, "cover_away"), (SUZUKI, "cover_over"), (TANAKA, "cover_busy")):
        with pytest.raises(Refusal, match=code):
            await answer(helpers, ref)
    assert (await covers(helpers), set((await asked(helpers)).values())) == (["open"], {"asked"})
    refused = await phone(helpers, MORI).post(f"/helpers/covers/{await cover_of(helpers)}/accept")
    assert 'href="/helpers/away"' in refused.text


async def test_whoever_is_entered_for_all_of_it_ends_the_search(helpers: HelperTown) -> None:
    await start(helpers)
    order = AddShift(venue=HALL, weekday=3, from_min=OPEN_MIN, to_min=CLOSE_MIN - 60, only_on=WEDNESDAY)
    for changes, expected in ({"venue": HALL}, ["open"]), ({"to_min": CLOSE_MIN}, ["withdrawn"]):
        ref = SUZUKI if "venue" in changes else TANAKA
        async with helpers.town.db.begin(TOWN) as session:
            changed = msgspec.structs.replace(order, **changes)
            await add_shift(session, COORDINATOR, changed, helper_ref=ref, now=helpers.town.now)
        assert await covers(helpers) == expected
    with pytest.raises(Refusal, match="cover_over"):
        await answer(helpers, MORI)


async def test_on_the_roster_a_coordinator_chooses_a_part_of_the_gap(helpers: HelperTown) -> None:
    async with desk(helpers) as boss:
        page = (await boss.get("/helpers/roster")).text
        assert "この時間に来られる人をさがす" in page
        way = "/helpers/roster/gap?venue=HALL&day=2026-06-03&from_min=540&to_min=720"
        assert way.replace("&", "&amp;") in page
        page = (await boss.get(way)).text
        for shown in ("9:00〜12:00", "4人", "2026年6月3日"):
            assert shown in page, shown
        form = next(each for each in read_forms(page) if each.action == "/helpers/roster/gap")
        wrong = await boss.post(form.action, data=form.fields | {"from": "720", "to": "600"})
        assert wrong.status_code == httpx.codes.UNPROCESSABLE_ENTITY
        assert "この時間ではさがせません" in wrong.text
        done = await boss.post(form.action, data=form.fields | {"from": "540", "to": "630"})
        assert done.headers["location"] == "/helpers/roster?told=gap&week=2026-06-03"
        await answer(helpers, MORI)
        page = (await boss.get(done.headers["location"])).text
        for shown in ("来られる方みんなに聞きました", "10:30〜12:00", "この日だけ"):
            assert shown in page, shown
        taken = await boss.post(form.action, data=form.fields | {"from": "540", "to": "630"})
        assert (taken.status_code, "もう来る方がいます" in taken.text) == (httpx.codes.CONFLICT, True)
        # What was no gap by hand leads to the roster; of today, only what can still be asked for is offered.
        for nothing in ("", "?venue=HALL&day=x&from_min=1&to_min=2", way.partition("gap")[2].replace("HALL", "7")):
            assert (await boss.get(f"/helpers/roster/gap{nothing}")).headers["location"] == "/helpers/roster", nothing
        today = (await boss.get("/helpers/roster/gap?venue=SHED&day=2026-06-01&from_min=540&to_min=720")).text
        assert ('value="570"' in today.split('id="f-to"')[0], 'value="600"' in today) == (False, True)
    assert await there(helpers) == [(MORI, HALL, WEDNESDAY, 540, 630)]


async def test_who_pauses_leaves_a_gap(helpers: HelperTown) -> None:
    """As the rule has it: whoever is on shift and cannot be asked."""
    async with helpers.town.db.begin(TOWN) as session:
        await pause(session, helpers.identity(SATO), now=helpers.town.now)
    async with desk(helpers) as boss:
        page = (await boss.get("/helpers/roster?week=2026-06-08")).text
        assert "しばらくお休み" in page
        assert "day=2026-06-08&amp;from_min=540&amp;to_min=720" in page
    assert await start(helpers, gap(date(2026, 6, 8))) == 3


async def test_the_database_keeps_one_search_for_a_gap_of_one_thing(helpers: HelperTown) -> None:
    await start(helpers)
    await helpers.book()
    again = """INSERT INTO cover (municipality, cover_id, venue, starts_at, ends_at, state, asked_at, answer_by)
               SELECT municipality, gen_random_uuid(), venue, starts_at + interval '1 hour', ends_at, state, asked_at,
                      answer_by FROM cover"""
    mixed = "UPDATE cover SET appointment_id = (SELECT appointment_id FROM appointment), former_ref = 'sato'"
    for sql, guard in ((again, "cover_one_open_gap_excl"), (mixed, "cover_of_one_thing_check")):
        with pytest.raises(IntegrityError, match=guard):
            async with helpers.town.db.begin(TOWN) as session:
                await session.execute(text(sql))


# --- races, over HTTP, with two server processes ---

RACERS = tuple(f"racer-{number}" for number in range(8))


@pytest_asyncio.fixture
async def arena(helpers: HelperTown) -> AsyncIterator[tuple[HelperTown, list[httpx.AsyncClient]]]:
    """Two server processes with a clock of their own: the gap is on a weekday some days from now."""
    for ref in RACERS:
        await helpers.hear(helpers.account(ref))
    helpers.at(utc_now())
    async with (
        serving(helpers.town) as one,
        serving(helpers.town) as two,
        httpx.AsyncClient(base_url=one, timeout=60, trust_env=False) as first,
        httpx.AsyncClient(base_url=two, timeout=60, trust_env=False) as second,
    ):
        yield helpers, [first, second]


def soon(venue: str = HALL) -> Gap:
    """A weekday from now on that is no holiday, as the town counts them: it keeps none here."""
    days = (jst_day(utc_now()) + timedelta(days=number) for number in range(3, 8))
    return gap(next(day for day in days if day.weekday() < 5), venue=venue)


def accepting(helpers: HelperTown, clients: list[httpx.AsyncClient], cover_id: UUID) -> list[Any]:
    """All racers press at once, on both servers."""
    return [
        clients[turn % 2].post(f"/helpers/covers/{cover_id}/accept", headers=headers(helpers, ref))
        for turn, ref in enumerate(RACERS)
    ]


async def test_of_many_who_accept_at_once_one_is_there(arena: tuple[HelperTown, list[httpx.AsyncClient]]) -> None:
    """The index alone decides the same; seen to fail without index and lock: all eight were told that they come."""
    helpers, clients = arena
    await start(helpers, soon())
    answers = await asyncio.gather(*accepting(helpers, clients, await cover_of(helpers)))
    assert sorted(each.status_code for each in answers) == [303] + [409] * (len(RACERS) - 1)
    [shift] = await there(helpers)
    assert [ref for ref, state in (await asked(helpers)).items() if state == "accepted"] == [shift[0]]


async def test_who_accepts_two_venues_at_once_is_at_one(arena: tuple[HelperTown, list[httpx.AsyncClient]]) -> None:
    """The exclusion of two times of a day alone decides the same; seen to fail without it and the helper's lock."""
    helpers, clients = arena
    for venue in (HALL, SHED):
        await start(helpers, soon(venue))
    ids = [await cover_of(helpers, venue) for venue in (HALL, SHED)]
    posts = [
        clients[turn % 2].post(f"/helpers/covers/{cover_id}/accept", headers=headers(helpers, RACERS[0]))
        for turn, cover_id in enumerate(ids)
    ]
    answers = await asyncio.gather(*posts)
    assert sorted(each.status_code for each in answers) == [303, 409]
    assert (len(await there(helpers)), sorted(await covers(helpers))) == (1, ["open", "taken"])
