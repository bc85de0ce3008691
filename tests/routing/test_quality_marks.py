"""What marks cases as counted: only what their persons did and came to, in any order, and never beyond the case."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from services.routing.commands import quality
from services.routing.commands.erasure import forget_cases
from services.routing.commands.quality import count_given_up, count_sent
from services.routing.domain.quality import GIVEN_UP_AFTER
from services.routing.worker import DUE_HANDLERS
from shared.db import Database
from shared.events.booking import AppointmentBooked, AppointmentCancelled, AppointmentProgressed
from shared.messaging.due import DueLoop
from tests.routing.applying import SEE_OTHER, apply, fill_in, office_path, press, send, sign_in
from tests.routing.conftest import Visitor
from tests.routing.makers import NOW, TOWN
from tests.routing.test_consumers import HANDLERS, hear, make_appointment
from tests.routing.test_helpers import open_venue
from tests.routing.test_office import REASON
from tests.routing.test_quality import case_of, close_day, counted
from tests.routing.test_visits import VISIT

NewVisitor = Callable[..., Visitor]
# So long the other one is given to reach what it has to wait at.
MEANWHILE_S = 0.5
LONG_AFTER = NOW + GIVEN_UP_AFTER + timedelta(days=1)


async def marks(db: Database) -> list[UUID]:
    async with db.begin(TOWN) as session:
        return list((await session.execute(text("SELECT case_id FROM case_course"))).scalars())


async def asked_to_come(db: Database, visitor: Visitor, new_visitor: NewVisitor) -> tuple[str, Visitor, str]:
    """A case whose person came because the office asked them to, the office, and its page of the application."""
    case = await fill_in(visitor)
    number = (await send(visitor, case)).headers["location"].removeprefix("/applications/")
    staff = await sign_in(db, new_visitor())
    path = await office_path(db, number)
    assert (await press(staff, path, "ask-visit", visit=VISIT)).status_code == SEE_OTHER
    assert (await visitor.post(f"{case}/visit")).status_code == SEE_OTHER
    return case, staff, path


async def test_a_visit_ends_no_application(db: Database, visitor: Visitor, new_visitor: NewVisitor) -> None:
    """Seen to fail without the application in `_ENDED`."""
    case, staff, path = await asked_to_come(db, visitor, new_visitor)
    await hear(db, make_appointment(AppointmentProgressed, 3, "done", case_id=case_of(case)))
    assert not [key for key in await counted(db) if key[0] == "finished"]
    early = await visitor.get(f"{case}/feedback")
    assert "ご意見は、手続きが終わってからうかがいます" in early.text
    for action in ("accept", "complete"):
        assert (await press(staff, path, action)).status_code == SEE_OTHER
    # It was sent online, and coming was the office's wish.
    assert (await counted(db))["finished", "online"] == 1
    assert "手続きは、いかがでしたか" in (await visitor.get(f"{case}/feedback")).text


async def test_a_visit_after_an_application_that_was_taken_back_is_an_end(db: Database, visitor: Visitor) -> None:
    number = await apply(visitor)
    assert (await visitor.post(f"/applications/{number}/withdraw")).status_code == SEE_OTHER
    async with db.begin(TOWN) as session:
        await session.execute(text("UPDATE case_file SET channel = 'counter'"))
        [case_id] = (await session.execute(text("SELECT case_id FROM case_file"))).scalars().all()
    await hear(db, make_appointment(AppointmentProgressed, 3, "done", case_id=case_id))
    assert (await counted(db))["finished", "counter"] == 1


async def test_a_helpers_visit_ends_no_case_that_goes_on_at_the_counter(db: Database, visitor: Visitor) -> None:
    """Seen to fail without the look at whose visit was done, and without the one at visits that are open."""
    await open_venue(db)
    case = await visitor.open_case("CHI02", channel="helper")
    case_id, counter = case_of(case), uuid4()
    met = make_appointment(AppointmentProgressed, 3, "done", case_id=case_id, helper="accepted")
    await visitor.post(f"{case}/channel", {"channel": "counter"})
    await hear(db, met)
    assert ("finished", "counter") not in await counted(db), "the helper's visit is not what it goes on by"
    await hear(db, make_appointment(AppointmentBooked, 1, "booked", case_id=case_id, appointment_id=counter))
    await hear(db, make_appointment(AppointmentProgressed, 4, "done", case_id=case_id, helper="accepted"))
    assert ("finished", "counter") not in await counted(db)
    await hear(db, make_appointment(AppointmentProgressed, 3, "done", case_id=case_id, appointment_id=counter))
    assert (await counted(db))["finished", "counter"] == 1
    assert [key for key in await counted(db) if key[0] == "finished"] == [("finished", "counter")]


@pytest.mark.parametrize("last", ["done", "no_show", "cancelled"])
async def test_the_last_of_several_visits_ends_the_case_however_it_ends(
    db: Database, visitor: Visitor, last: str
) -> None:
    """Seen to fail when only what is `done` is looked at."""
    await open_venue(db)
    case_id, other = case_of(await visitor.open_case("CHI02", channel="helper")), uuid4()
    kind = AppointmentCancelled if last == "cancelled" else AppointmentProgressed
    await hear(
        db,
        make_appointment(
            AppointmentBooked, 1, "booked", case_id=case_id, appointment_id=other, number="9", helper="accepted"
        ),
        make_appointment(AppointmentProgressed, 3, "done", case_id=case_id, helper="accepted"),
    )
    assert ("finished", "helper") not in await counted(db)
    await hear(
        db,
        make_appointment(kind, 2, last, case_id=case_id, appointment_id=other, number="9", helper="accepted"),
    )
    assert (await counted(db))["finished", "helper"] == 1


async def test_nobody_came_and_nothing_is_finished(db: Database, visitor: Visitor) -> None:
    case_id = case_of(await visitor.open_case("CHI02"))
    await hear(db, make_appointment(AppointmentProgressed, 3, "no_show", case_id=case_id))
    assert ("finished", "counter") not in await counted(db)


async def test_visits_that_are_over_at_once_end_the_case(db: Database, visitor: Visitor) -> None:
    """Seen to fail without `_ALONE`: each saw another as still open, and the case never ended."""
    await open_venue(db)
    case_id = case_of(await visitor.open_case("CHI02", channel="helper"))
    visits = [
        {"case_id": case_id, "appointment_id": uuid4(), "number": number, "helper": "accepted"} for number in ("1", "2")
    ]
    await hear(db, *(make_appointment(AppointmentBooked, 1, "booked", **each) for each in visits))
    one, other = (make_appointment(AppointmentProgressed, 3, "done", **each) for each in visits)
    async with db.begin(TOWN) as session:
        await HANDLERS[AppointmentProgressed](session, one, now=NOW)
        meanwhile = asyncio.create_task(hear(db, other))
        await asyncio.sleep(MEANWHILE_S)
    await meanwhile
    assert (await counted(db))["finished", "helper"] == 1


async def test_what_the_office_asks_for_is_no_switch_of_the_person(
    db: Database, visitor: Visitor, new_visitor: NewVisitor
) -> None:
    """Seen to fail with the trigger of before (migration 0023)."""
    _, staff, path = await asked_to_come(db, visitor, new_visitor)
    assert (await press(staff, path, "accept")).status_code == SEE_OTHER
    assert (await press(staff, path, "ask-correction", reason=REASON)).status_code == SEE_OTHER
    async with db.begin(TOWN) as session:
        [channel] = (await session.execute(text("SELECT channel FROM case_file"))).scalars().all()
    assert channel == "online", "there and back"
    assert not [key for key in await counted(db) if key[0] == "switched"]


@pytest.mark.parametrize("kind", [AppointmentBooked, AppointmentProgressed])
async def test_no_mark_outlives_its_case(
    db: Database, visitor: Visitor, kind: type[AppointmentBooked | AppointmentProgressed]
) -> None:
    """Seen to fail without `FOR KEY SHARE`."""
    case_id = case_of(await visitor.open_case("CHI02"))
    state = "booked" if kind is AppointmentBooked else "done"
    async with db.begin(TOWN) as session:
        await forget_cases(session, TOWN, [case_id], now=NOW)
        heard = asyncio.create_task(hear(db, make_appointment(kind, 3, state, case_id=case_id)))
        await asyncio.sleep(MEANWHILE_S)
        assert not heard.done()
    await heard
    assert await marks(db) == []


@pytest.mark.parametrize("is_erased", [True, False])
async def test_cases_are_marked_in_one_order(db: Database, visitor: Visitor, is_erased: bool) -> None:
    """Whoever holds the first may have the second. Erased ones seen to fail (a deadlock) without `ORDER BY`."""
    cases = [case_of(await visitor.open_case("CHI02")) for _ in range(8)]
    # Whose order is not the one in which they were opened: by chance all are in order once in 40,320 times.
    second, first = next(pair for pair in pairwise(cases) if pair[0] > pair[1])

    async def mark_all() -> None:
        if not is_erased:
            await close_day(db, now=LONG_AFTER)
            return
        async with db.begin(TOWN) as session:
            # An index would give them in order by itself.
            await session.execute(text("SET LOCAL enable_indexscan = off"))
            await session.execute(text("SET LOCAL enable_bitmapscan = off"))
            await count_given_up(session, TOWN, cases, now=LONG_AFTER)

    async with db.begin(TOWN) as session:
        await count_sent(session, TOWN, first, by_application=False, at=NOW, now=NOW)
        marking = asyncio.create_task(mark_all())
        await asyncio.sleep(MEANWHILE_S)
        await count_sent(session, TOWN, second, by_application=False, at=NOW, now=NOW)
    await marking
    assert sorted(await marks(db)) == sorted(cases)


async def test_what_did_not_fit_into_a_batch_is_added_up_soon(
    db: Database, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen to fail with the next day's round."""
    monkeypatch.setattr(quality, "FACTS_MAX", 2)
    monkeypatch.setattr(quality, "_ADD_UP", text(quality._ADD_UP.text.replace("LIMIT 50000", "LIMIT 2")))
    for _ in range(3):
        await visitor.open_case("CHI02")

    async def run(after: timedelta) -> int:
        await DueLoop(db, DUE_HANDLERS, lambda: NOW + after).run_once()
        async with db.begin(TOWN) as session:
            return int((await session.execute(text("SELECT count(*) FROM quality_fact"))).scalar_one())

    assert await run(quality.EVERY - timedelta(seconds=1)) == 3
    assert await run(quality.EVERY) == 1
    assert await run(quality.EVERY + quality.AGAIN_SOON) == 0
    async with db.begin(TOWN) as session:
        due = (
            await session.execute(text(f"SELECT due_at FROM due WHERE kind = 'add_up' AND municipality = '{TOWN}'"))
        ).scalar_one()
    assert due == NOW + quality.EVERY * 2 + quality.AGAIN_SOON
