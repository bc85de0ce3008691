"""Help in a class: a seat is offered, taken or not, and a request is met once; never against anybody's wish."""

import re
from datetime import date, timedelta

import pytest
import pytest_asyncio
from sqlalchemy.exc import DBAPIError

from services.booking.domain.classes import OFFER_FOR
from services.booking.domain.matching import HelpWindow
from services.booking.queries.helper_figures import read_month
from shared.errors import Refusal
from tests.booking.classes_town import COORDINATOR
from tests.booking.conftest import TOWN, TownAfter
from tests.booking.help_class_town import InClassTown
from tests.booking.help_town import TODAY, open_for_help
from tests.booking.helpers_town import HALL, TANAKA


@pytest_asyncio.fixture
async def town(town_after: TownAfter) -> InClassTown:
    return InClassTown(await town_after(open_for_help))


async def test_no_helper_a_seat_is_kept_and_taken_and_that_meets_the_request(town: InClassTown) -> None:
    course_id = await town.line_class()
    request_id = await town.ask_in_class()
    await town.offer_what_is_planned()
    (seat,) = await town.seats()
    assert (seat.course_id, seat.request_id, seat.state) == (course_id, request_id, "offered")
    assert seat.reasons == ["skill", "language"]
    assert seat.offer_until == town.town.now + OFFER_FOR
    assert seat.name_sealed is None
    assert await town.applied() == 0, "until they take it, nothing of theirs is used"
    assert await town.state(request_id) == ("open", False), "a helper is looked for all the same"
    (told,) = await town.classes.told(seat.number)
    assert (told["state"], told["is_asked"], bool(told["sealed"])) == ("offered", True, True)
    await town.take(seat.entry_id)
    row = await town.request(request_id)
    assert (row.state, row.entry_id, row.appointment_id) == ("met", seat.entry_id, None)
    (seat,) = await town.seats()
    assert (seat.state, seat.name_sealed is not None) == ("entered", True)
    assert await town.applied() > 0, "now the name for calling is"
    assert (await town.facts("help_request_progressed"))[-1]["state"] == "met"
    await town.take(seat.entry_id)
    assert len(await town.seats()) == 1, "pressed again, nothing more happens"


async def test_while_a_helper_is_there_no_seat_is_taken_from_others(town: InClassTown) -> None:
    await town.helper()
    await town.line_class()
    request_id = await town.ask_in_class()
    await town.offer_what_is_planned()
    assert await town.state(request_id) == ("open", True)
    assert await town.seats() == []


async def test_whoever_wishes_a_class_is_asked_into_one_and_no_helper_is_asked(town: InClassTown) -> None:
    await town.helper()
    await town.line_class()
    await town.ask_in_class(in_class="only")
    await town.offer_what_is_planned()
    assert [seat.state for seat in await town.seats()] == ["offered"]
    assert await town.states() == {}
    await town.offer_what_is_planned()
    assert len(await town.seats()) == 1


async def test_whoever_wants_to_be_alone_is_left_alone(town: InClassTown) -> None:
    await town.line_class()
    await town.ask_in_class(in_class="no")
    await town.offer_what_is_planned()
    assert await town.seats() == []


async def test_a_class_that_is_published_later_is_found(town: InClassTown) -> None:
    await town.ask_in_class(in_class="only")
    await town.offer_what_is_planned()
    assert await town.seats() == []
    await town.line_class()
    due = await town.town.rows("SELECT 1 FROM booking.due WHERE kind = 'match_help'")
    assert due, "publishing asks for the matching"
    await town.offer_what_is_planned()
    assert [seat.state for seat in await town.seats()] == ["offered"]


async def test_who_says_no_or_nothing_loses_nothing_and_is_not_asked_twice(town: InClassTown) -> None:
    first = await town.line_class()
    request_id = await town.ask_in_class()
    await town.offer_what_is_planned()
    (seat,) = await town.seats()
    await town.classes.leave(seat.number)
    assert [each.state for each in await town.seats()] == ["withdrawn"]
    assert await town.state(request_id) == ("open", False)
    await town.offer_what_is_planned()
    assert len(await town.seats()) == 1, "the same class is not offered again"
    second = await town.line_class()
    await town.offer_what_is_planned()
    assert {each.course_id: each.state for each in await town.seats()} == {first: "withdrawn", second: "offered"}
    assert await town.classes.seated() == 1
    await town.helper()
    await town.match()
    assert await town.state(request_id) == ("open", True)


async def test_a_helper_who_accepts_first_gives_the_seat_to_the_next(town: InClassTown) -> None:
    course_id = await town.line_class(seats=1)
    request_id = await town.ask_in_class()
    await town.offer_what_is_planned()
    await town.classes.enter(course_id, "next")
    await town.helper()
    await town.match()
    await town.answer(TANAKA, "accept")
    assert await town.state(request_id) == ("met", True)
    (seat,) = await town.seats()
    with pytest.raises(Refusal, match="help_over"):
        await town.take(seat.entry_id)
    await town.settle()
    assert sorted((await town.classes.states()).values()) == ["offered", "withdrawn"]


async def test_whoever_takes_the_seat_needs_no_helper_any_more(town: InClassTown) -> None:
    await town.line_class()
    request_id = await town.ask_in_class()
    await town.offer_what_is_planned()
    await town.helper()
    await town.match()
    assert await town.state(request_id) == ("open", True)
    (seat,) = await town.seats()
    await town.take(seat.entry_id)
    assert await town.state(request_id) == ("met", False)
    assert await town.states() == {TANAKA: "released"}
    assert not await town.town.rows("SELECT 1 FROM booking.appointment WHERE state = 'booked'")
    assert await town.facts("appointment_booked") == []


async def test_from_the_page_of_the_request_a_seat_in_any_class_that_fits(town: InClassTown) -> None:
    one, other = await town.line_class(), await town.line_class()
    request_id = await town.ask_in_class()
    await town.offer_what_is_planned()
    (seat,) = await town.seats()
    wanted = other if seat.course_id == one else one
    number = await town.enter(request_id, wanted)
    assert await town.enter(request_id, wanted) == number
    states = {each.course_id: each.state for each in await town.seats()}
    assert states == {seat.course_id: "withdrawn", wanted: "entered"}
    assert (await town.state(request_id))[0] == "met"
    with pytest.raises(Refusal, match="help_over"):
        await town.enter(request_id, seat.course_id)


async def test_a_seat_for_which_somebody_waits_is_not_theirs(town: InClassTown) -> None:
    course_id = await town.line_class(seats=1)
    await town.classes.enter_in_turn(course_id, "a", "b")
    request_id = await town.ask_in_class()
    await town.offer_what_is_planned()
    assert await town.seats() == []
    for deed in (town.enter, town.choose):
        with pytest.raises(Refusal, match="class_taken"):
            await deed(request_id, course_id)


async def test_whoever_is_in_the_class_already_is_not_asked_into_it(town: InClassTown) -> None:
    course_id = await town.line_class()
    request_id = await town.ask_in_class()
    await town.classes.enter(course_id, "guest")
    await town.offer_what_is_planned()
    assert await town.seats() == []
    with pytest.raises(Refusal, match="class_entered"):
        await town.choose(request_id, course_id)


async def test_nobody_found_in_time_the_seat_is_still_theirs_to_take(town: InClassTown) -> None:
    await town.line_class(closes_at=town.town.now + timedelta(days=6, hours=20))
    window = HelpWindow(first_day=date(2026, 6, 8), last_day=date(2026, 6, 8))
    request_id = await town.ask_in_class(window=window)
    town.at((await town.request(request_id)).until - timedelta(hours=2))
    await town.offer_what_is_planned()
    await town.deadline(request_id)
    assert await town.state(request_id) == ("unmet", False)
    (seat,) = await town.seats()
    assert seat.state == "offered"
    await town.take(seat.entry_id)
    assert (await town.state(request_id))[0] == "met"


async def test_whoever_withdraws_gives_the_seat_back(town: InClassTown) -> None:
    await town.line_class()
    request_id = await town.ask_in_class()
    await town.offer_what_is_planned()
    await town.withdraw(request_id)
    (seat,) = await town.seats()
    with pytest.raises(Refusal, match="help_over"):
        await town.take(seat.entry_id)
    await town.settle()
    assert [each.state for each in await town.seats()] == ["withdrawn"]
    assert await town.classes.seated() == 0


async def test_a_class_that_is_called_off_is_looked_for_again_and_never_silence(town: InClassTown) -> None:
    course_id = await town.line_class()
    request_id = await town.ask_in_class()
    await town.enter(request_id, course_id)
    await town.classes.call_off(course_id)
    await town.settle()
    assert await town.state(request_id) == ("open", False)
    assert [each["state"] for each in await town.facts("help_request_progressed")] == ["open", "met", "open"]
    await town.helper()
    await town.match()
    await town.answer(TANAKA, "accept")
    assert await town.state(request_id) == ("met", True)


@pytest.mark.parametrize("is_late", [False, True], ids=["met before the deadline", "met after it"])
async def test_called_off_when_their_time_is_over_is_the_coordinators(town: InClassTown, is_late: bool) -> None:
    """What was brought is kept until the class begins: a coordinator can still find somebody."""
    boss = town.town.browser("boss", kind="staff", roles=("coordinator",))
    course_id = await town.line_class()
    request_id = await town.ask_in_class()
    if not is_late:
        await town.enter(request_id, course_id)
    await town.reach_deadline(request_id)
    if is_late:
        assert await town.state(request_id) == ("unmet", False)
        await town.enter(request_id, course_id)
    await town.classes.call_off(course_id)
    await town.settle()
    assert await town.state(request_id) == ("unmet", False)
    assert (await town.facts("help_request_progressed"))[-1]["state"] == "unmet"
    await town.helper()
    base = f"/helpers/requests/{request_id}"
    choice = re.search(rf'value="([0-9a-f-]+/{TANAKA})"', (await boss.get(base)).text)
    assert choice
    await boss.post(base, data={"choice": choice[1]})
    assert await town.states() == {TANAKA: "asked"}


@pytest.mark.parametrize("is_late", [False, True], ids=["met before the deadline", "met after it"])
async def test_what_was_brought_is_forgotten_when_the_class_begins(town: InClassTown, is_late: bool) -> None:
    course_id = await town.line_class()
    request_id = await town.ask_in_class()
    if not is_late:
        await town.enter(request_id, course_id)
    await town.reach_deadline(request_id)
    if is_late:
        await town.enter(request_id, course_id)
    assert (await town.request(request_id)).draft_sealed is not None
    begins_at = (await town.classes.view(course_id)).begins_at
    assert begins_at is not None
    town.at(begins_at)
    await town.do_deadlines()
    assert (await town.request(request_id)).draft_sealed is None


async def test_a_coordinator_has_a_seat_kept_also_where_nobody_asked_for_one(town: InClassTown) -> None:
    first, second = await town.line_class(), await town.line_class(venue=HALL)
    request_id = await town.ask_in_class(in_class="no")
    await town.choose(request_id, first)
    await town.choose(request_id, first)
    await town.choose(request_id, second)
    seats = await town.seats()
    assert {each.course_id: each.state for each in seats} == {first: "withdrawn", second: "offered"}
    assert {each.decided_by for each in seats} == {COORDINATOR.ref}
    assert await town.state(request_id) == ("open", False), "they decide"
    (told,) = await town.town.rows("SELECT count(*) AS n FROM booking.audit WHERE action = 'help-offer-class'")
    assert told.n == 2  # type: ignore[attr-defined]


async def test_figures_tell_who_was_met_in_a_class(town: InClassTown) -> None:
    course_id = await town.line_class()
    one, _other = await town.ask_in_class("one"), await town.ask_in_class("other")
    await town.enter(one, course_id)
    async with town.town.db.begin(TOWN) as session:
        month = await read_month(session, TOWN, TODAY.replace(day=1))
    assert (month.asked_openly, month.met_in_class) == (2, 1)


async def test_who_is_erased_leaves_no_way_from_the_request_to_the_seat(town: InClassTown) -> None:
    course_id = await town.line_class()
    request_id = await town.ask_in_class()
    await town.enter(request_id, course_id)
    await town.erase_owner(request_id)
    row = await town.request(request_id)
    assert (row.subject_ref, row.entry_id) == (None, None)
    (seat,) = await town.seats()
    assert (seat.state, seat.name_sealed) == ("withdrawn", None)


@pytest.mark.parametrize(
    ("wrong", "guard"),
    [
        # Met by a helper, and in a class.
        ("UPDATE help_request SET appointment_id = gen_random_uuid()", "met already"),
        ("UPDATE help_request SET state = 'open'", "help_request_met_whole_check"),
        # What was met by one is met by the other.
        (
            "UPDATE help_request SET entry_id = (SELECT entry_id FROM course_entry WHERE request_id IS NULL LIMIT 1)",
            "met already",
        ),
        # In a class by a request that is not met by it.
        (
            "UPDATE help_request SET state = 'unmet', entry_id = NULL; UPDATE course_entry SET state = state",
            "met by that",
        ),
        # Two seats for one request.
        ("UPDATE course_entry SET request_id = (SELECT request_id FROM help_request)", "one_per_request_idx"),
        # A reason without a request.
        ("UPDATE course_entry SET reasons = '{skill}' WHERE request_id IS NULL", "course_entry_request_whole_check"),
    ],
)
async def test_the_database_refuses_to_meet_a_request_twice(town: InClassTown, wrong: str, guard: str) -> None:
    course_id = await town.line_class()
    request_id = await town.ask_in_class()
    await town.enter(request_id, course_id)
    await town.classes.enter(course_id, "other")
    with pytest.raises(DBAPIError, match=guard):
        await town.write(*wrong.split(";"))
