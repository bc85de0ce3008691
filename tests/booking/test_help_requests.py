"""Asking for help without a time: matched, asked, met and told; or the next one, the deadline, and leaving it."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

from services.booking import flow
from services.booking.commands import help_requests
from services.booking.commands.appointments import BookAppointment
from services.booking.commands.assignments import on_helper_answer_due, reassign
from services.booking.commands.changes import (
    CancelAppointment,
    ChangeAppointment,
    cancel_appointment,
    change_appointment,
)
from services.booking.commands.covers import start_cover
from services.booking.commands.erasure import erase_subject, on_case_erased
from services.booking.commands.help_matching import ask_for_matching, assign_request
from services.booking.commands.switching import follow_switch
from services.booking.commands.tidying import tidy_up
from services.booking.domain.help_requests import UNMET_KEPT, deadline_of
from services.booking.domain.matching import HelpWindow
from services.booking.domain.rules import Policy
from services.booking.flow import Rush
from services.booking.queries.place import list_numbers_of_guest
from services.booking.queries.slots import start_of_day
from shared.clock import JST
from shared.errors import Refusal
from shared.events.routing import CaseErased, CaseSwitched
from tests.booking.closing_town import close, run_due
from tests.booking.conftest import TOWN, TownAfter
from tests.booking.help_town import NEXT_MONDAY, SOON, TODAY, HelpTown, open_for_help, wish
from tests.booking.helpers_town import HALL, PHONE_HELP, SATO, SUZUKI, TANAKA
from tests.booking.test_helpers import COORDINATOR


@pytest_asyncio.fixture
async def helps(town_after: TownAfter) -> HelpTown:
    """A town that is open, with venues and no helper yet."""
    return HelpTown(await town_after(open_for_help))


async def test_asked_matched_accepted_and_only_then_told(helps: HelpTown) -> None:
    await helps.helper()
    request_id = await helps.ask()
    assert await helps.state(request_id) == ("open", False)
    await helps.match()
    assert await helps.state(request_id) == ("open", True)
    assert await helps.states() == {TANAKA: "asked"}
    assert await helps.facts("appointment_booked") == [], "nobody was told of a time that may still change"
    await helps.answer(TANAKA, "accept")
    assert await helps.state(request_id) == ("met", True)
    (told,) = await helps.facts("appointment_booked")
    assert (told["helper"], told["state"], bool(told["sealed"])) == ("accepted", "booked", True)
    progressed = await helps.facts("help_request_progressed")
    assert [(each["state"], bool(each["sealed"])) for each in progressed] == [("open", True)]
    entries = await helps.town.rows("SELECT entry_type FROM booking.ledger_entry")
    assert [row.entry_type for row in entries] == ["applied"] * len(entries)  # type: ignore[attr-defined]


async def test_who_declines_or_does_not_answer_is_followed_by_the_next_and_never_asked_again(helps: HelpTown) -> None:
    for ref in (SATO, SUZUKI, TANAKA):
        await helps.helper(ref)
    request_id = await helps.ask()
    await helps.match()
    await helps.answer(SATO, "decline")
    assert await helps.state(request_id) == ("open", False)
    await helps.match()
    assert await helps.states() == {SATO: "declined", SUZUKI: "asked"}
    asked = (await helps.requests(SUZUKI))[0].assignment_id
    helps.at(helps.town.now + timedelta(hours=2))
    async with helps.town.db.begin(TOWN) as session:
        await on_helper_answer_due(session, TOWN, str(asked), helps.town.now)
    await helps.match()
    await helps.answer(TANAKA, "accept")
    assert await helps.state(request_id) == ("met", True)
    assert await helps.facts("appointment_cancelled") == [], "its owner heard of one appointment only"
    assert len(await helps.facts("appointment_booked")) == 1
    entries = await helps.town.rows("SELECT count(*) AS n FROM booking.ledger_entry WHERE entry_type = 'applied'")
    assert entries[0].n == 2, "name and kana were used once"  # type: ignore[attr-defined]
    with pytest.raises(IntegrityError, match="help_match_never_again_idx"):
        async with helps.town.db.begin(TOWN) as session:
            await session.execute(text("UPDATE help_match SET helper_ref = 'sato' WHERE helper_ref = 'suzuki'"))


async def test_nobody_is_found_in_time_and_that_is_told(helps: HelpTown) -> None:
    await helps.helper()
    await helps.change_helper(signs=False)
    request_id = await helps.ask(wanted=wish(sign_need="needed"))
    await helps.match()
    assert await helps.requests() == []
    await helps.deadline(request_id)
    assert await helps.state(request_id) == ("unmet", False)
    assert [each["state"] for each in await helps.facts("help_request_progressed")] == ["open", "unmet"]
    # A coordinator may still find somebody; then what they brought is forgotten.
    for passed, is_kept in ((UNMET_KEPT, True), (timedelta(seconds=1), False)):
        helps.at(helps.town.now + passed)
        async with helps.town.db.begin(TOWN) as session:
            await tidy_up(session, TOWN, now=helps.town.now)
        assert ((await helps.request(request_id)).draft_sealed is not None) == is_kept


async def test_a_coordinator_still_finds_somebody_for_who_was_not_met(helps: HelpTown) -> None:
    await helps.helper()
    case_id = uuid4()
    request_id = await helps.ask(wanted=wish(sign_need="needed"), case_id=case_id)
    slot = (await helps.town.slots(HALL))[0]
    start = helps.town.now
    await helps.deadline(request_id)
    helps.at(start)

    async def assign() -> None:
        async with helps.town.db.begin(TOWN) as session:
            await assign_request(
                session, COORDINATOR, request_id, TANAKA, slot.slot_id, helps.town.keys, now=helps.town.now
            )

    again = await helps.ask(case_id=case_id)
    with pytest.raises(Refusal, match="help_over"):
        await assign()
    await helps.withdraw(again)
    await assign()
    assert await helps.state(request_id) == ("open", True)
    await helps.answer(TANAKA, "accept")
    assert await helps.state(request_id) == ("met", True)


async def test_nobody_finds_a_helper_for_who_went_another_way_or_whose_case_is_forgotten(helps: HelpTown) -> None:
    switched, forgotten = uuid4(), uuid4()
    start, states = helps.town.now, []
    for case_id in (switched, forgotten):
        helps.at(start)
        request_id = await helps.ask(case_id=case_id)
        await helps.deadline(request_id)
        about: dict[str, Any] = {
            "event_id": uuid4(), "municipality": TOWN, "aggregate_id": str(case_id), "aggregate_version": 2,
            "occurred_at": helps.town.now, "case_id": case_id,
        }  # fmt: skip
        async with helps.town.db.begin(TOWN) as session:
            if case_id == switched:
                event = CaseSwitched(**about, channel="online", is_settled=False)
                await follow_switch(session, event, now=helps.town.now)
            else:
                erased = CaseErased(**about, subject_ref=uuid4(), procedure=PHONE_HELP, contact_ref=None)
                await on_case_erased(session, erased, now=helps.town.now)
        row = await helps.request(request_id)
        states.append((row.state, row.draft_sealed, row.case_id))
    assert states == [("withdrawn", None, switched), ("unmet", None, None)]


async def test_who_asked_again_meanwhile_is_looked_for_once(helps: HelpTown) -> None:
    await helps.helper()
    case_id = uuid4()
    first = await helps.ask(case_id=case_id)
    await helps.match()
    await helps.answer(TANAKA, "accept")
    second = await helps.ask(case_id=case_id)
    await helps.answer(TANAKA, "decline")
    assert await helps.state(first) == ("unmet", False)
    assert (await helps.state(second))[0] == "open"


async def untold(helps: HelpTown, **changes: object) -> tuple[UUID, Any]:
    """A request for which SATO is asked, and its appointment."""
    await helps.helper(SATO)
    request_id = await helps.ask(**changes)  # type: ignore[arg-type]
    await helps.match()
    (row,) = await helps.town.rows("SELECT * FROM booking.appointment")
    return request_id, row


async def change(helps: HelpTown, sql: str) -> None:
    async with helps.town.db.begin(TOWN) as session:
        await session.execute(text(sql))


async def told_of_appointments(helps: HelpTown) -> list[dict[str, Any]]:
    return await helps.facts("appointment_%")


async def test_staff_cancel_what_its_owner_knows_nothing_of(helps: HelpTown) -> None:
    request_id, row = await untold(helps)
    order = CancelAppointment(
        municipality=TOWN, appointment_id=row.appointment_id, version=row.version, key="c", staff=COORDINATOR
    )
    async with helps.town.db.begin(TOWN) as session:
        await cancel_appointment(session, order, now=helps.town.now)
    assert await helps.state(request_id) == ("open", False)
    assert await told_of_appointments(helps) == []
    await helps.helper(TANAKA)
    await helps.match()
    await helps.answer(TANAKA, "accept")
    assert await helps.state(request_id) == ("met", True)


async def test_staff_move_what_its_owner_knows_nothing_of(helps: HelpTown) -> None:
    request_id, row = await untold(helps)
    slot_id = next(slot.slot_id for slot in await helps.town.slots(HALL) if slot.free and slot.slot_id != row.slot_id)
    order = ChangeAppointment(
        municipality=TOWN, appointment_id=row.appointment_id, slot_id=slot_id, version=row.version, key="m",
        staff=COORDINATOR,
    )  # fmt: skip
    async with helps.town.db.begin(TOWN) as session:
        await change_appointment(session, order, now=helps.town.now)
    assert await told_of_appointments(helps) == []
    (asked,) = [each for each in await helps.requests() if each.state == "asked"]
    await helps.answer(SATO, "accept", asked.assignment_id)
    assert await helps.state(request_id) == ("met", True)
    assert len(await told_of_appointments(helps)) == 1


async def test_a_venue_closes_before_anybody_was_told(helps: HelpTown) -> None:
    request_id, row = await untold(helps)
    await close(helps.town, counter=HALL, day=row.day)
    await run_due(helps.town)
    assert await told_of_appointments(helps) == []
    (ended,) = await helps.town.rows(
        "SELECT state, closure FROM booking.appointment WHERE appointment_id = :id", id=row.appointment_id
    )
    assert (ended.state, ended.closure) == ("cancelled", "none")  # type: ignore[attr-defined]
    assert (await helps.request(request_id)).appointment_id != row.appointment_id


async def test_a_case_that_is_settled_another_way_ends_what_nobody_was_told_of(helps: HelpTown) -> None:
    case_id = uuid4()
    request_id, _row = await untold(helps, case_id=case_id)
    event = CaseSwitched(
        event_id=uuid4(), municipality=TOWN, aggregate_id=str(case_id), aggregate_version=2,
        occurred_at=helps.town.now, case_id=case_id, channel="online", is_settled=True,
    )  # fmt: skip
    async with helps.town.db.begin(TOWN) as session:
        await follow_switch(session, event, now=helps.town.now)
    assert await helps.state(request_id) == ("withdrawn", False)
    assert await helps.states() == {SATO: "released"}
    assert await told_of_appointments(helps) == []


async def test_nobody_covers_what_its_owner_knows_nothing_of(helps: HelpTown) -> None:
    await untold(helps)
    await helps.hear(helps.account(TANAKA))
    assignment_id = (await helps.requests())[0].assignment_id
    boss = helps.town.browser("boss", kind="staff", roles=("coordinator",))
    ask_all = f"/helpers/roster/{assignment_id}/cover"
    assert ask_all not in (await boss.get("/helpers/roster")).text
    with pytest.raises(Refusal, match="request_over"):
        async with helps.town.db.begin(TOWN) as session:
            await start_cover(session, COORDINATOR, assignment_id, now=helps.town.now)
    await helps.answer(SATO, "accept")
    assert ask_all in (await boss.get("/helpers/roster")).text


async def test_only_who_has_what_a_request_needs_is_asked_to_come_instead(helps: HelpTown) -> None:
    await helps.helper(SATO)
    await helps.change_helper(SATO, signs=True)
    await helps.ask(wanted=wish(sign_need="needed"))
    await helps.match()
    await helps.answer(SATO, "accept")
    for ref in (SUZUKI, TANAKA):
        await helps.hear(helps.account(ref))
    await helps.change_helper(TANAKA, signs=True)
    async with helps.town.db.begin(TOWN) as session:
        assert await start_cover(session, COORDINATOR, (await helps.requests())[0].assignment_id, now=helps.town.now)
    rows = await helps.town.rows("SELECT helper_ref FROM booking.cover_ask")
    assert [row.helper_ref for row in rows] == [TANAKA]  # type: ignore[attr-defined]


async def test_what_nobody_was_told_of_counts_for_nothing(helps: HelpTown) -> None:
    await untold(helps)
    await change(helps, "UPDATE booking_rules SET max_open_appointments = 1")
    async with helps.town.db.begin(TOWN) as session:
        day = (await session.execute(text("SELECT min(day) FROM appointment"))).scalar_one()
        assert await list_numbers_of_guest(session, TOWN, "guest", now=start_of_day(day)) == []
    visit_id = await helps.town.visit("guest")
    await helps.town.hold(visit_id, "guest", (await helps.town.slots("7"))[0].slot_id)
    await helps.town.book(visit_id, "guest")


async def test_who_is_asked_at_the_deadline_may_still_answer(helps: HelpTown) -> None:
    await helps.helper(SATO)
    await helps.helper(TANAKA)
    request_id = await helps.ask()
    await helps.match()
    await helps.deadline(request_id)
    assert await helps.state(request_id) == ("open", True)
    await helps.answer(SATO, "decline")
    assert await helps.state(request_id) == ("unmet", False)


async def test_a_helper_who_cannot_come_after_all_is_followed_and_then_it_is_looked_again(helps: HelpTown) -> None:
    await helps.helper(SATO)
    request_id = await helps.ask()
    await helps.match()
    await helps.answer(SATO, "accept")
    await helps.answer(SATO, "decline")
    assert await helps.state(request_id) == ("open", False)
    assert len(await helps.facts("appointment_cancelled")) == 1, "they were told of it, so they are told"
    assert [each["state"] for each in await helps.facts("help_request_progressed")] == ["open", "open"]
    await helps.helper(TANAKA)
    await helps.match()
    await helps.answer(TANAKA, "accept")
    assert await helps.state(request_id) == ("met", True)


async def test_withdrawn_at_any_time(helps: HelpTown) -> None:
    await helps.helper()
    free = await helps.free()
    early, planned, asked = [await helps.ask(f"guest-{number}") for number in range(3)]
    await helps.withdraw(early)
    await helps.withdraw(early)
    plans = await helps.plan()
    await helps.withdraw(planned)
    for plan in plans:
        await helps.carry_out(plan)
    assert await helps.state(asked) == ("open", True)
    await helps.withdraw(asked)
    assert [await helps.state(each) for each in (early, planned, asked)] == [("withdrawn", False)] * 3
    assert await helps.states() == {TANAKA: "released"}
    assert await helps.free() == free
    assert await helps.facts("appointment_cancelled") == []
    with pytest.raises(Refusal, match="help_unknown"):
        await helps.withdraw(uuid4())


async def test_who_finds_it_changing_all_the_time_is_told_so(helps: HelpTown, monkeypatch: pytest.MonkeyPatch) -> None:
    request_id = await helps.ask()
    monkeypatch.setattr(help_requests, "LOCK_TRIES", 0)
    with pytest.raises(Refusal, match="help_busy"):
        await helps.withdraw(request_id)


async def test_who_is_met_cancels_the_appointment_instead(helps: HelpTown) -> None:
    await helps.helper()
    request_id = await helps.ask()
    await helps.match()
    await helps.answer(TANAKA, "accept")
    with pytest.raises(Refusal, match="help_met"):
        await helps.withdraw(request_id)


async def test_withdrawn_stays_withdrawn(helps: HelpTown) -> None:
    """Seen to fail without the trigger `guard_help_request`: the update stands."""
    request_id = await helps.ask()
    await helps.withdraw(request_id)
    with pytest.raises(DBAPIError, match="was withdrawn"):
        async with helps.town.db.begin(TOWN) as session:
            await session.execute(text("UPDATE help_request SET state = 'open'"))


async def test_help_is_looked_for_once_for_a_case(helps: HelpTown) -> None:
    case_id = uuid4()
    first = await helps.ask(case_id=case_id)
    assert await helps.ask(case_id=case_id) == first
    with pytest.raises(Refusal, match="help_asked"):
        await helps.ask("somebody-else", case_id=case_id)
    await helps.withdraw(first)
    assert await helps.ask(case_id=case_id) != first


async def test_who_books_a_time_themselves_is_not_looked_for_any_more(helps: HelpTown) -> None:
    await helps.helper()
    town, case_id = helps.town, uuid4()
    request_id = await helps.ask(case_id=case_id)
    await helps.match()
    visit_id = await town.visit("guest", procedure=PHONE_HELP, channel="helper", case_id=case_id)
    slot = next(slot for slot in await town.slots(HALL) if slot.free)
    await town.hold(visit_id, "guest", slot.slot_id)
    order = BookAppointment(municipality=TOWN, visit_id=visit_id, visitor="guest", key="book")
    await flow.book(town.db, Rush(), order, town.keys, now=town.now)
    assert await helps.state(request_id) == ("withdrawn", False)
    assert sorted(row.state for row in await helps.requests()) == ["asked", "released"]


async def test_a_case_that_goes_another_way_is_not_looked_for(helps: HelpTown) -> None:
    case_id = uuid4()
    request_id = await helps.ask(case_id=case_id)
    event = CaseSwitched(
        event_id=uuid4(), municipality=TOWN, aggregate_id=str(case_id), aggregate_version=2,
        occurred_at=helps.town.now, case_id=case_id, channel="online", is_settled=False,
    )  # fmt: skip
    async with helps.town.db.begin(TOWN) as session:
        await follow_switch(session, event, now=helps.town.now)
    assert await helps.state(request_id) == ("withdrawn", False)


async def test_who_is_erased_asks_for_nothing_and_is_in_no_request(helps: HelpTown) -> None:
    await helps.helper()
    subject = uuid4()
    request_id = await helps.ask(subject_ref=subject)
    await helps.match()
    async with helps.town.db.begin(TOWN) as session:
        await erase_subject(session, TOWN, subject, "resident", now=helps.town.now)
    row = await helps.request(request_id)
    assert (row.state, row.appointment_id) == ("withdrawn", None)
    for name in ("subject_ref", "case_id", "contact_ref", "guest_ref", "draft_sealed", "code_hash", "code_sealed"):
        assert getattr(row, name) is None, name
    assert await helps.states() == {TANAKA: "released"}


async def test_what_was_planned_for_a_place_that_is_taken_is_planned_again(helps: HelpTown) -> None:
    await helps.helper()
    request_id = await helps.ask()
    (plan,) = await helps.plan()
    await helps.book("faster")
    await helps.carry_out(plan)
    assert await helps.state(request_id) == ("open", False)
    assert await helps.matched_at() == helps.town.now + timedelta(minutes=1)
    assert (await helps.town.rows("SELECT count(*) AS n FROM booking.visit"))[0].n == 2  # type: ignore[attr-defined]
    assert await helps.plan() == [], "not at once: what was in the way may be there still"
    helps.at(helps.town.now + timedelta(minutes=1))
    await helps.match()
    assert await helps.state(request_id) == ("open", True)
    assert len(await helps.requests(TANAKA)) == 2


async def test_days_away_and_the_weekly_maximum_are_kept(helps: HelpTown) -> None:
    await helps.helper()
    await helps.change_helper(visits_per_week=1)
    async with helps.town.db.begin(TOWN) as session:
        await session.execute(
            text("""INSERT INTO helper_away (municipality, away_id, helper_ref, first_day, last_day)
                    VALUES (:town, :id, 'tanaka', :day, :day)"""),
            {"town": TOWN, "id": uuid4(), "day": TODAY},
        )
    both = await helps.ask("a"), await helps.ask("b")
    await helps.match()
    asked = [await helps.state(each) for each in both]
    assert sorted(asked) == [("open", False), ("open", True)]
    slot = await helps.town.rows("SELECT day FROM booking.appointment")
    assert slot[0].day == NEXT_MONDAY  # type: ignore[attr-defined]
    await helps.change_helper(standing="suspended", visits_per_week=5)
    await helps.match()
    assert [await helps.state(each) for each in both] == asked


async def test_who_was_met_before_is_asked_again_and_why_is_kept(helps: HelpTown) -> None:
    subject = uuid4()
    await helps.helper(TANAKA)
    await helps.ask("guest", subject_ref=subject)
    await helps.match()
    await helps.answer(TANAKA, "accept")
    starts_at = (await helps.town.rows("SELECT starts_at FROM booking.appointment"))[0].starts_at  # type: ignore[attr-defined]
    helps.at(starts_at + timedelta(minutes=1))
    await helps.answer(TANAKA, "came")
    await helps.helper(SATO)
    await helps.change_helper(topics=["line"], signs=True)
    await helps.ask("guest", wish(topic="line", sign_need="wished", venues=(HALL,)), subject_ref=subject)
    await helps.match()
    rows = await helps.town.rows("SELECT helper_ref, reasons FROM booking.help_match ORDER BY matched_at DESC LIMIT 1")
    assert (rows[0].helper_ref, list(rows[0].reasons)) == (  # type: ignore[attr-defined]
        TANAKA, ["skill", "language", "sign", "venue", "known"],
    )  # fmt: skip


async def test_a_coordinator_chooses_whom_and_when(helps: HelpTown) -> None:
    await helps.helper(SATO)
    await helps.helper(TANAKA)
    await helps.change_helper(visits_per_week=1)
    request_id = await helps.ask(wanted=wish(sign_need="needed"))
    await helps.deadline(request_id)
    helps.at(helps.town.now - timedelta(days=6))
    slot = (await helps.town.slots(HALL))[2]
    request_id = await helps.ask("second", wish(sign_need="needed"))
    async with helps.town.db.begin(TOWN) as session:
        await assign_request(
            session, COORDINATOR, request_id, TANAKA, slot.slot_id, helps.town.keys, now=helps.town.now
        )
    assert await helps.states() == {TANAKA: "asked"}
    deeds = await helps.town.rows("SELECT action, actor_ref FROM booking.audit WHERE action = 'help-assign'")
    assert [tuple(row) for row in deeds] == [("help-assign", "boss")]  # type: ignore[arg-type]
    # Another one, after all: nobody was told of the first.
    async with helps.town.db.begin(TOWN) as session:
        await assign_request(session, COORDINATOR, request_id, SATO, slot.slot_id, helps.town.keys, now=helps.town.now)
    assert await helps.states() == {SATO: "asked", TANAKA: "released"}
    assert await helps.facts("appointment_cancelled") == []
    for helper_ref, slot_id, code in (
        ("nobody", slot.slot_id, "helper_unknown"),
        (SATO, uuid4(), "slot_unknown"),
    ):
        with pytest.raises(Refusal, match=code):
            async with helps.town.db.begin(TOWN) as session:
                await assign_request(
                    session, COORDINATOR, request_id, helper_ref, slot_id, helps.town.keys, now=helps.town.now
                )
    await helps.book("other", 0)
    await helps.answer(SATO, "accept")
    with pytest.raises(Refusal, match="help_over"):
        async with helps.town.db.begin(TOWN) as session:
            await assign_request(
                session, COORDINATOR, request_id, TANAKA, slot.slot_id, helps.town.keys, now=helps.town.now
            )


async def test_a_coordinator_passes_an_asked_request_on_and_its_owner_hears_of_the_last(helps: HelpTown) -> None:
    await helps.helper(SATO)
    await helps.helper(TANAKA)
    request_id = await helps.ask()
    await helps.match()
    asked = (await helps.requests(SATO))[0].assignment_id
    async with helps.town.db.begin(TOWN) as session:
        await reassign(session, COORDINATOR, asked, TANAKA, now=helps.town.now)
    assert await helps.facts("appointment_progressed") == []
    await helps.answer(TANAKA, "accept")
    assert await helps.state(request_id) == ("met", True)


async def test_a_freed_place_at_a_venue_is_looked_at_while_somebody_waits(helps: HelpTown) -> None:
    async def asked(counter: str) -> int:
        async with helps.town.db.begin(TOWN) as session:
            await session.execute(text("DELETE FROM due WHERE kind = 'match_help'"))
            await ask_for_matching(session, TOWN, counter, now=helps.town.now)
        rows = await helps.town.rows("SELECT count(*) AS n FROM booking.due WHERE kind = 'match_help'")
        return rows[0].n  # type: ignore[attr-defined, no-any-return]

    assert await asked(HALL) == 0
    await helps.ask()
    assert (await asked(HALL), await asked("7")) == (1, 0)


@pytest.mark.parametrize(
    ("changes", "visit", "code"),
    [
        ({"topic": "no-such"}, {}, "help_wish"),
        ({"venues": ("7",)}, {}, "help_wish"),
        ({"window": HelpWindow(first_day=TODAY, last_day=TODAY + timedelta(days=90))}, {}, "help_window"),
        ({"window": HelpWindow(first_day=NEXT_MONDAY, last_day=TODAY)}, {}, "help_window"),
        ({"window": HelpWindow(first_day=TODAY, last_day=NEXT_MONDAY, weekdays=())}, {}, "help_window"),
        ({"window": HelpWindow(first_day=TODAY, last_day=TODAY, weekdays=(2,))}, {}, "help_window"),
        ({"window": HelpWindow(first_day=TODAY, last_day=TODAY, to_min=540)}, {}, "help_window"),
        ({}, {"channel": "counter", "procedure": "CHI01"}, "help_unfit"),
        ({}, {"procedure": "RES02"}, "help_unfit"),
    ],
)
async def test_what_cannot_be_asked_for_is_refused(helps: HelpTown, changes: dict, visit: dict, code: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(Refusal, match=code):
        await helps.ask("guest", wish(**changes), **visit)


async def test_a_visit_that_is_over_or_somebody_elses_asks_for_nothing(helps: HelpTown) -> None:
    await helps.helper()
    visit_id = await helps.town.visit("guest", procedure=PHONE_HELP, channel="helper")
    with pytest.raises(Refusal, match="visit_unknown"):
        await helps.ask_with(visit_id, "other")
    helps.at(helps.town.now + timedelta(hours=2))
    with pytest.raises(Refusal, match="visit_over"):
        await helps.ask_with(visit_id)


def test_the_deadline_leaves_time_to_choose_something_else() -> None:
    def at(hour: int) -> datetime:
        return datetime(2026, 6, 1, hour, tzinfo=JST)

    policy, now = Policy(notice_min=30), at(9)
    assert deadline_of(SOON, policy, now=now) == at(18) + timedelta(days=6)
    today = HelpWindow(first_day=TODAY, last_day=TODAY)
    assert deadline_of(today, policy, now=now) == now + timedelta(hours=3)
    ten = HelpWindow(first_day=TODAY, last_day=TODAY, from_min=600, to_min=660)
    assert deadline_of(ten, policy, now=now) == at(10) + timedelta(minutes=30)
