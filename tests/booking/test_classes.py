"""Classes (教室): seats, the list of who waits, the draw, other times, calling off, and who may read a name."""

from collections.abc import Awaitable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import msgspec
import pytest
import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from services.booking.commands.class_attendance import mark_roll
from services.booking.commands.class_entries import open_class_link, try_class_code
from services.booking.commands.class_times import remove_session, set_session
from services.booking.commands.classes import change_class, close_class, make_class
from services.booking.commands.erasure import erase_subject
from services.booking.commands.names import forget_names
from services.booking.commands.standing import set_standing
from services.booking.domain.classes import OFFER_FOR, SESSIONS_MAX, STAFF_MAX, offer_until
from services.booking.domain.draw_record import find_difference
from services.booking.queries.classes import are_classes_open, list_classes, list_own_sessions, make_class_record
from shared.clock import jst_day
from shared.errors import Refusal
from shared.events.routing import NameWithdrawn
from shared.reference_number import show_number
from tests.booking.classes_town import BEGINS, CLOSES, COORDINATOR, LASTS, TITLE, ClassTown, make_order, make_session
from tests.booking.conftest import MORNING, OTHER_TOWN, TOWN, TownAfter
from tests.booking.helpers_town import HALL, PHONE_HELP, SATO, SHED, SUZUKI, TANAKA, open_with_venues

DAY = timedelta(days=1)


@pytest_asyncio.fixture
async def classes(town_after: TownAfter) -> ClassTown:
    return ClassTown(await town_after(open_with_venues))


async def refused(deed: Awaitable[object]) -> str:
    with pytest.raises(Refusal) as caught:
        await deed
    return caught.value.code


async def test_a_seat_a_place_on_the_list_and_nothing_more_than_there_is(classes: ClassTown) -> None:
    course_id = await classes.opened(seats=2)
    numbers = [await classes.enter(course_id, f"guest-{number}") for number in range(4)]
    assert list((await classes.states()).values()) == ["entered", "entered", "waiting", "waiting"]
    found = await classes.view(course_id)
    assert (found.free, found.waiting, found.stage(classes.town.now)) == (0, 2, "full")
    told = [(event["number"], event["state"], event["title_ja"], event["venue"]) for event in await classes.told()]
    assert sorted(told) == sorted(
        (number, state, TITLE, HALL)
        for number, state in zip(numbers, ["entered", "entered", "waiting", "waiting"], strict=True)
    )


async def test_whoever_enters_again_gets_the_same_number(classes: ClassTown) -> None:
    course_id = await classes.opened()
    number = await classes.enter(course_id, "guest")
    assert await classes.enter(course_id, "guest") == number
    assert await classes.seated() == 1
    subject_ref = uuid4()
    own = await classes.enter_with_pass(course_id, "somebody", subject_ref=subject_ref)
    assert await classes.enter_with_pass(course_id, "somebody", subject_ref=subject_ref) == own
    entered = classes.enter_with_pass(course_id, "another browser", subject_ref=subject_ref)
    assert await refused(entered) == "class_entered"


async def test_nobody_waits_in_vain_behind_thousands(classes: ClassTown, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.booking.commands.class_entries.ENTRIES_MAX", 2)
    course_id = await classes.opened(seats=1)
    await classes.enter_in_turn(course_id, "a", "b")
    assert await refused(classes.enter(course_id, "c")) == "class_full"


async def test_a_seat_given_back_is_kept_a_while_for_the_next_and_then_for_the_next(classes: ClassTown) -> None:
    course_id = await classes.opened(seats=1)
    first, second, third, fourth = await classes.enter_in_turn(course_id, "a", "b", "c", "d")
    await classes.leave(first)
    assert await classes.states() == {first: "withdrawn", second: "offered", third: "waiting", fourth: "waiting"}
    offer = (await classes.told(second))[-1]
    assert (offer["state"], offer["offer_until"]) == ("offered", "2026-06-02T00:00:04Z")
    # Whoever comes now waits behind them.
    await classes.enter_in_turn(course_id, "late")
    classes.town.now += OFFER_FOR
    assert await refused(classes.take(second)) == "class_offer_over"
    await classes.do_what_is_due()
    assert (await classes.states())[second] == "withdrawn"
    assert (await classes.states())[third] == "offered"
    await classes.take(third)
    await classes.take(third)
    assert (await classes.states())[third] == "entered"
    assert [event["state"] for event in await classes.told(third)] == ["waiting", "offered", "entered"]
    # Not wanted: at once the next one's.
    await classes.leave(third)
    await classes.leave(third)
    assert (await classes.states())[fourth] == "offered"
    await classes.do_what_is_due()
    assert await classes.seated() == 1


def test_a_seat_is_kept_a_day_but_not_until_the_class_begins() -> None:
    assert offer_until(MORNING + 7 * DAY, now=MORNING) == MORNING + DAY
    assert offer_until(MORNING + timedelta(hours=10), now=MORNING) == MORNING + timedelta(hours=8)
    assert offer_until(MORNING + timedelta(hours=3), now=MORNING) == MORNING + timedelta(hours=1)
    assert offer_until(MORNING + timedelta(hours=2, minutes=59), now=MORNING) is None


async def test_shortly_before_it_begins_a_free_seat_is_for_whoever_is_first(classes: ClassTown) -> None:
    course_id = await classes.opened(seats=1, closes_at=classes.town.now + BEGINS)
    first, waiting = await classes.enter(course_id, "a"), await classes.enter(course_id, "b")
    classes.town.now += BEGINS - timedelta(hours=2)
    await classes.leave(first)
    assert (await classes.states())[waiting] == "waiting"
    assert (await classes.view(course_id)).stage(classes.town.now) == "free"
    await classes.take(waiting)
    assert (await classes.states())[waiting] == "entered"
    assert await refused(classes.take(first)) == "class_offer_over"


async def test_number_and_code_open_an_entry_and_so_does_the_link_of_the_message(classes: ClassTown) -> None:
    town, course_id = classes.town, await classes.opened()
    number = await classes.enter_with_pass(course_id, "guest")
    code = town.keys.entry_code(await classes.entry_id(number))

    async def tried(typed: str, code: str) -> str:
        async with town.db.begin(TOWN) as session:
            return (await try_class_code(session, TOWN, typed, code, town.keys, now=town.now)).outcome

    assert await tried(show_number(number), code) == "open"
    assert await tried("nonsense", code) == "wrong"
    wrong = "000000" if code != "000000" else "111111"
    assert [await tried(number, wrong) for _ in range(5)] == ["wrong"] * 4 + ["locked"]
    assert await tried(number, code) == "locked"
    town.now += timedelta(minutes=15)
    assert await tried(number, code) == "open"
    told = await classes.told(number)
    access = classes.open(told[0]["sealed"])
    assert access.code == code
    async with town.db.begin(TOWN) as session:
        assert (await open_class_link(session, TOWN, "no link", now=town.now)).outcome == "wrong"
        assert (await open_class_link(session, TOWN, access.link_token, now=town.now)).number == number
    # Without a way to reach them there is nobody to send it to.
    assert (await classes.told(await classes.enter(course_id, "walk-in")))[0].get("sealed") is None


async def test_a_class_that_is_drawn_can_be_drawn_again_by_anybody(classes: ClassTown) -> None:
    town = classes.town
    course_id = await classes.opened(seats=2, mode="draw")
    numbers = [await classes.enter_with_pass(course_id, f"guest-{number}") for number in range(5)]
    gone = numbers.pop()
    await classes.leave(gone)
    assert set((await classes.states()).values()) == {"applied", "withdrawn"}
    before = await classes.view(course_id)
    assert (before.stage(town.now), before.applied, before.seed) == ("applying", 4, None)
    town.now += CLOSES
    assert (await classes.view(course_id)).stage(town.now) == "drawing"
    assert await refused(classes.enter(course_id, "late")) == "class_closed"
    await classes.do_what_is_due()
    states = await classes.states()
    assert sorted(states[number] for number in numbers) == ["entered", "entered", "lost", "lost"]
    async with town.db.begin(TOWN) as session:
        record = await make_class_record(session, TOWN, await classes.view(course_id))
    assert find_difference(record, before.commitment) is None
    assert len(record.entries) == 4
    # Nobody lays the lot and the person side by side: what others are told has another number.
    told = await classes.told()
    lots = {entry.ticket for entry in record.entries}
    assert not lots & {event["number"] for event in told}
    assert {event["number"]: event["state"] for event in told if event["number"] in numbers} == {
        number: states[number] for number in numbers
    }
    for event in told:
        if event["number"] in numbers:
            code = town.keys.entry_code(await classes.entry_id(event["number"]))
            assert classes.open(event["sealed"]).code == code
    # A seat that is given back goes along the order drawn.
    won = next(number for number in numbers if states[number] == "entered")
    await classes.leave(won)
    rows: list[Any] = await town.rows("SELECT number, rank FROM booking.course_entry WHERE rank IS NOT NULL")
    third = next(row.number for row in rows if row.rank == 3)
    assert (await classes.states())[third] == "offered"


async def test_what_nobody_wanted_in_the_draw_is_for_whoever_comes_after_it(classes: ClassTown) -> None:
    course_id = await classes.opened(seats=2, mode="draw")
    await classes.enter(course_id, "a")
    classes.town.now += CLOSES
    await classes.do_what_is_due()
    late = await classes.enter(course_id, "late")
    assert (await classes.states())[late] == "entered"


async def test_what_is_called_off_is_told_to_all_and_takes_nobodys_time(classes: ClassTown) -> None:
    await classes.helpers.helper(TANAKA)
    course_id = await classes.opened(seats=1)
    await classes.staff(course_id, TANAKA)
    numbers = await classes.enter_in_turn(course_id, *"abc")
    await classes.leave(numbers[2])
    await classes.call_off(course_id)
    await classes.call_off(course_id)
    assert list((await classes.states()).values()) == ["called_off", "called_off", "withdrawn"]
    assert [(await classes.told(number))[-1]["state"] for number in numbers] == ["called_off"] * 2 + ["withdrawn"]
    assert await classes.told_to_helpers() == [(TANAKA, "placed"), (TANAKA, "cancelled")]
    assert await refused(classes.enter(course_id, "late")) == "class_closed"
    assert await classes.seated() == 0
    assert await refused(classes.staff(course_id, TANAKA)) == "class_off"
    await classes.do_what_is_due()


async def test_another_time_is_told_to_who_comes_and_who_teaches(classes: ClassTown) -> None:
    await classes.helpers.helper(TANAKA)
    course_id = await classes.opened(seats=1)
    await classes.staff(course_id, TANAKA)
    number = await classes.enter(course_id, "guest")
    await classes.move(course_id, classes.town.now + BEGINS + DAY)
    assert await classes.told_to_helpers() == [(TANAKA, "placed"), (TANAKA, "changed")]
    assert [event["is_changed"] for event in await classes.told(number)] == [False, True]
    times = [event["starts_at"] for event in await classes.told(number)]
    assert times == ["2026-06-08T01:00:00Z", "2026-06-09T01:00:00Z"]


async def test_another_venue_or_room_is_told_to_who_teaches(classes: ClassTown) -> None:
    town = classes.town
    await classes.helpers.helper(TANAKA)
    course_id = await classes.opened()
    await classes.staff(course_id, TANAKA)
    [taught] = (await classes.view(course_id)).sessions
    for venue in (SHED, SHED):
        async with town.db.begin(TOWN) as session:
            await change_class(
                session, COORDINATOR, course_id, make_order(town, venue=venue), town.keys, now=town.now
            )  # fmt: skip
    assert await classes.told_to_helpers() == [(TANAKA, "placed"), (TANAKA, "changed")]
    for room_ja in ("和室", "和室"):
        async with town.db.begin(TOWN) as session:
            order = make_session(taught.starts_at, room_ja=room_ja)
            await set_session(session, COORDINATOR, course_id, taught.session_id, order, town.keys, now=town.now)
    assert await classes.told_to_helpers() == [(TANAKA, "placed"), (TANAKA, "changed"), (TANAKA, "changed")]
    abouts = {each["about"] for each in await classes.words_to_helpers()}
    assert abouts == {str(taught.session_id)}, "a later word overtakes what waits for the morning"


async def test_who_teaches_is_told_when_it_is_published_and_once(classes: ClassTown) -> None:
    """A draft is nobody's business; and who teaches instead of assisting comes as before."""
    await classes.helpers.helper(TANAKA)
    await classes.helpers.helper(SUZUKI)
    course_id = await classes.draft(BEGINS, BEGINS + 7 * DAY)
    for role in ("assistant", "teacher"):
        await classes.staff(course_id, TANAKA, role)
    await classes.staff(course_id, SUZUKI)
    await classes.staff(course_id, SUZUKI, None)
    await classes.move(course_id, classes.town.now + BEGINS + DAY)
    assert await classes.told_to_helpers() == []
    await classes.publish(course_id)
    assert await classes.told_to_helpers() == [(TANAKA, "placed")]
    await classes.staff(course_id, TANAKA, "assistant")
    await classes.staff(course_id, SUZUKI, at=1)
    assert await classes.told_to_helpers() == [(TANAKA, "placed"), (SUZUKI, "placed")]


async def test_what_is_prepared_for_a_class_is_told_to_nobody(classes: ClassTown) -> None:
    await classes.helpers.helper(TANAKA)
    course_id = await classes.opened()
    await classes.staff(course_id, TANAKA)
    number = await classes.enter(course_id, "guest")
    [taught] = (await classes.view(course_id)).sessions
    async with classes.town.db.begin(TOWN) as session:
        order = make_session(taught.starts_at, materials_ja="テキスト20部")
        await set_session(
            session, COORDINATOR, course_id, taught.session_id, order, classes.town.keys, now=classes.town.now
        )
    assert len(await classes.told(number)) == 1
    assert await classes.told_to_helpers() == [(TANAKA, "placed")]


async def test_times_that_cannot_be_are_refused(classes: ClassTown) -> None:
    now = classes.town.now
    course_id = await classes.draft(BEGINS, BEGINS + DAY)
    for starts in (now - DAY, now + BEGINS + LASTS / 2, now + timedelta(days=400)):
        assert await refused(classes.move(course_id, starts, at=1)) == "class_times"
    await classes.publish(course_id)
    assert await refused(classes.move(course_id, now + timedelta(hours=3), at=0)) == "class_window"
    assert await refused(classes.opened(closes_at=now + BEGINS + DAY)) == "class_window"
    # Whoever wins has a day to read it.
    assert await refused(classes.opened(mode="draw", closes_at=now + BEGINS - timedelta(hours=23))) == "class_window"
    assert SESSIONS_MAX > 1


async def test_a_class_without_a_time_is_not_published_and_keeps_its_last_one(classes: ClassTown) -> None:
    town = classes.town
    async with town.db.begin(TOWN) as session:
        bare = await make_class(session, COORDINATOR, make_order(town), "key", now=town.now)
        again = await make_class(session, COORDINATOR, make_order(town), "key", now=town.now)
    assert bare == again
    assert await refused(classes.publish(bare)) == "class_no_sessions"
    course_id = await classes.opened(BEGINS, BEGINS + DAY)
    first, last = [each.session_id for each in (await classes.view(course_id)).sessions]
    async with town.db.begin(TOWN) as session:
        await remove_session(session, COORDINATOR, course_id, first, town.keys, now=town.now)
        assert (
            await refused(remove_session(session, COORDINATOR, course_id, last, town.keys, now=town.now))
            == "class_no_sessions"
        )


async def test_what_people_have_read_of_seats_stays(classes: ClassTown) -> None:
    town, course_id = classes.town, await classes.opened(seats=3)
    number = await classes.enter(course_id, "guest")
    order = make_order(town, title_ja="スマホ教室（2回目）", seats=30, mode="draw", venue="SHED")
    async with town.db.begin(TOWN) as session:
        await change_class(session, COORDINATOR, course_id, order, town.keys, now=town.now)
    found = await classes.view(course_id)
    assert (found.title_ja, found.venue, found.seats, found.mode) == ("スマホ教室（2回目）", "SHED", 3, "first_come")
    assert [event["venue"] for event in await classes.told(number)] == [HALL, "SHED"]
    for unfit in ({"venue": "nowhere"}, {"topics": ("nothing",)}, {"procedures": ("RES02",)}, {"seats": 0}):
        assert await refused(classes.draft(**unfit)) == "class_unfit"


async def test_closed_entries_take_nobody_and_still_pass_seats_on(classes: ClassTown) -> None:
    town, course_id = classes.town, await classes.opened(seats=1)
    first, second = await classes.enter_in_turn(course_id, "a", "b")
    async with town.db.begin(TOWN) as session:
        await close_class(session, COORDINATOR, course_id, now=town.now)
    assert await refused(classes.enter(course_id, "c")) == "class_closed"
    await classes.leave(first)
    assert (await classes.states())[second] == "offered"
    async with town.db.begin(TOWN) as session:
        await close_class(session, COORDINATOR, course_id, is_open=True, now=town.now)
    await classes.take(second)
    town.now += 30 * DAY
    await classes.do_what_is_due()
    assert (await classes.view(course_id)).state == "over"
    assert await refused(classes.leave(second)) == "class_off"


async def test_a_teacher_is_nowhere_else_then(classes: ClassTown) -> None:
    helpers, town = classes.helpers, classes.town
    await helpers.helper(TANAKA)
    await helpers.helper(SUZUKI)
    # Next Monday from 10 to 11:30: both have their shift then, at 10 and 11.
    course_id = await classes.draft()
    before = await helpers.free()
    await classes.staff(course_id, TANAKA)
    assert [left - now for left, now in zip(before, await helpers.free(), strict=True)] == [0, 0, 1, 1, 0, 0]
    other = await classes.draft()
    assert await refused(classes.staff(other, TANAKA, "assistant")) == "helper_busy"
    assert await refused(classes.staff(other, SATO)) == "helper_unknown"
    booked = await helpers.book("guest", slot=2)
    assert (await helpers.states()) == {SUZUKI: "asked"}
    assert await refused(classes.staff(other, SUZUKI)) == "helper_busy"
    assert booked.starts_at == town.now + BEGINS
    await classes.staff(course_id, TANAKA, None)
    await classes.staff(course_id, TANAKA, None)
    assert await classes.told_to_helpers() == [(SUZUKI, "offer")], "of a draft they were not told"
    assert sum(await helpers.free()) == sum(before) - 1


async def test_who_teaches_finds_it_among_their_days_and_hours(classes: ClassTown) -> None:
    """On their page, in the week and the month, in their calendar; and in their hours once it was held."""
    town = classes.town
    await classes.helpers.helper(TANAKA)
    course_id = await classes.opened()
    await classes.staff(course_id, TANAKA, "assistant")
    title, [held] = (found := await classes.view(course_id)).title_ja, found.sessions
    async with town.browser(TANAKA, kind="helper", roles=("helper",)) as phone:
        for path in (
            "/helpers",
            f"/helpers/week?day={jst_day(held.starts_at)}",
            f"/helpers/month?day={jst_day(held.starts_at)}",
        ):
            shown = (await phone.get(path)).text
            assert (title in shown, "教室・手伝い" in shown) == (True, True), path
        made = (await phone.post("/helpers/calendar")).text
        token = made.split("/helpers/calendar/")[1].split(".ics")[0]
        assert f"教室：{title}" in (await phone.get(f"/helpers/calendar/{token}.ics")).text
        assert "まだありません" in (await phone.get("/helpers/hours")).text
    town.now = held.ends_at
    async with town.browser(TANAKA, kind="helper", roles=("helper",)) as phone:
        hours = (await phone.get("/helpers/hours")).text
        assert "全部で1回" in hours
        await classes.staff(await classes.draft(), TANAKA)
        assert hours == (await phone.get("/helpers/hours")).text, "a draft is no class that was held"


async def test_a_class_has_so_many_helpers_and_no_more(classes: ClassTown) -> None:
    course_id = await classes.draft()
    for number in range(STAFF_MAX):
        await classes.helpers.hear(classes.helpers.account(f"helper-{number}"))
        await classes.staff(course_id, f"helper-{number}", "assistant")
    await classes.helpers.hear(classes.helpers.account(SATO))
    assert await refused(classes.staff(course_id, SATO)) == "class_staff_many"


STOPS = (
    "UPDATE booking.helper SET standing = 'suspended'",
    "UPDATE booking.helper SET standing = 'registered'",
    "UPDATE booking.helper SET paused_on = '2026-06-01'",
)


@pytest.mark.parametrize("stop", STOPS)
async def test_who_is_asked_for_nothing_is_put_on_no_class(classes: ClassTown, stop: str) -> None:
    await classes.helpers.helper(TANAKA)
    course_id = await classes.draft()
    async with classes.town.database.owner_engine("booking").begin() as connection:
        await connection.execute(text(stop))
    assert await refused(classes.staff(course_id, TANAKA)) == "helper_unknown"


async def test_the_database_puts_nobody_on_a_class_who_is_suspended(classes: ClassTown) -> None:
    """Seen to fail without the trigger `guard_active_helper` of `course_staff`."""
    await classes.helpers.helper(TANAKA)
    await classes.draft()
    async with classes.town.database.owner_engine("booking").begin() as connection:
        await connection.execute(text(STOPS[0]))
    put = """INSERT INTO course_staff (municipality, session_id, helper_ref, role, starts_at, ends_at)
             SELECT municipality, session_id, :ref, 'teacher', starts_at, ends_at FROM course_session"""
    with pytest.raises(DBAPIError, match="asked for nothing now"):
        async with classes.town.db.begin(TOWN) as session:
            await session.execute(text(put), {"ref": TANAKA})


async def test_who_is_suspended_is_told_that_they_need_not_teach(classes: ClassTown) -> None:
    await classes.helpers.helper(TANAKA)
    course_id = await classes.opened(BEGINS, BEGINS + 7 * DAY)
    for at in (0, 1):
        await classes.staff(course_id, TANAKA, at=at)
    async with classes.town.db.begin(TOWN) as session:
        await set_standing(session, COORDINATOR, TANAKA, "suspended", "talk", now=classes.town.now)
    assert await classes.told_to_helpers() == [(TANAKA, "placed")] * 2 + [(TANAKA, "cancelled")] * 2
    assert [each.staff for each in (await classes.view(course_id)).sessions] == [(), ()]


async def test_a_helper_sees_their_classes_and_whose_account_ends_teaches_no_more(classes: ClassTown) -> None:
    town, helpers = classes.town, classes.helpers
    await helpers.helper(TANAKA)
    course_id = await classes.opened(BEGINS, BEGINS + 7 * DAY)
    await classes.staff(course_id, TANAKA, "assistant", at=1)
    async with town.db.begin(TOWN) as session:
        own = await list_own_sessions(session, TOWN, TANAKA, since=town.now, until=town.now + 30 * DAY)
    assert [(each.title_ja, each.role, each.venue_name, each.starts_at) for each in own] == [
        (TITLE, "assistant", "公民館", town.now + BEGINS + 7 * DAY)
    ]
    await helpers.hear(helpers.account(TANAKA, version=2, is_open=False))
    assert (await classes.view(course_id)).sessions[1].staff == ()


async def test_the_list_opens_names_for_calling_and_tells_whose_they_are(classes: ClassTown) -> None:
    town, course_id = classes.town, await classes.opened()
    subject_ref = uuid4()
    named = await classes.enter_with_pass(course_id, "named", subject_ref=subject_ref)
    nameless = await classes.enter(course_id, "walk-in")
    roll = {each.number: (each.name, each.kana) for each in await classes.roll(course_id)}
    assert roll == {named: ("𠮷﨑 花子", "ヨシザキ ハナコ"), nameless: (None, None)}
    await classes.roll(course_id)
    entries: list[Any] = await town.rows(
        "SELECT entry_type, target_step, items FROM booking.ledger_entry WHERE subject_ref = :ref ORDER BY occurred_at",
        ref=subject_ref,
    )
    told = [(row.entry_type, row.target_step) for row in entries]
    assert (
        sorted(told) == [("applied", "call"), ("applied", "call"), ("staff_viewed", "class")]
        or told.count(("staff_viewed", "class")) == 1
    )
    session_id = (await classes.view(course_id)).sessions[0].session_id
    marks = {await classes.entry_id(named): "attended", await classes.entry_id(nameless): "absent"}

    async def mark() -> None:
        async with town.db.begin(TOWN) as session:
            await mark_roll(session, COORDINATOR, course_id, session_id, marks, now=town.now)  # type: ignore[arg-type]

    assert await refused(mark()) == "not_begun"
    town.now += BEGINS
    await mark()
    assert {each.number: each.attendance for each in await classes.roll(course_id)} == {
        named: "attended",
        nameless: "absent",
    }


async def test_a_name_that_is_withdrawn_is_on_no_list(classes: ClassTown) -> None:
    town, course_id = classes.town, await classes.opened()
    case_id, subject_ref = uuid4(), uuid4()
    await classes.enter_with_pass(course_id, "guest", case_id=case_id, subject_ref=subject_ref)
    event = NameWithdrawn(
        event_id=uuid4(), municipality=TOWN, aggregate_id=str(case_id), aggregate_version=1, occurred_at=town.now,
        case_id=case_id, subject_ref=subject_ref, items=("name",),
    )  # fmt: skip
    async with town.db.begin(TOWN) as session:
        await forget_names(session, town.keys, event, now=town.now)
    assert [(each.name, each.kana) for each in await classes.roll(course_id)] == [(None, "ヨシザキ ハナコ")]


async def test_who_is_erased_gives_their_seat_back_and_leaves_nothing(classes: ClassTown) -> None:
    town, course_id = classes.town, await classes.opened(seats=1)
    subject_ref = uuid4()
    number = await classes.enter_with_pass(course_id, "guest", subject_ref=subject_ref)
    waiting = await classes.enter(course_id, "next")
    async with town.db.begin(TOWN) as session:
        await erase_subject(session, TOWN, subject_ref, "resident", now=town.now)
    town.now += timedelta(seconds=2)
    await classes.do_what_is_due()
    states = await classes.states()
    assert (number in states, states[waiting]) == (False, "offered")
    rows: list[Any] = await town.rows("SELECT to_jsonb(e) AS entry FROM booking.course_entry e WHERE came_by = 'web'")
    told = msgspec.json.encode([row.entry for row in rows]).decode()
    assert str(subject_ref) not in told
    gone = next(row.entry for row in rows if row.entry["state"] == "withdrawn")
    assert {name: gone[name] for name in ("subject_ref", "case_id", "contact_ref", "guest_ref", "name_sealed")} == (
        dict.fromkeys(("subject_ref", "case_id", "contact_ref", "guest_ref", "name_sealed"))
    )


async def test_a_draft_is_nobodys_business_and_another_towns_classes_are_not_seen(classes: ClassTown) -> None:
    town = classes.town
    draft, shown = await classes.draft(), await classes.opened(procedures=(PHONE_HELP,))
    async with town.db.begin(TOWN) as session:
        assert [each.course_id for each in await list_classes(session, TOWN, now=town.now)] == [shown]
        assert await are_classes_open(session, TOWN, PHONE_HELP, now=town.now)
        assert not await are_classes_open(session, TOWN, "CHI01", now=town.now)
    async with town.db.begin(OTHER_TOWN) as session:
        assert await list_classes(session, OTHER_TOWN, now=town.now) == []
        assert (await session.execute(text("SELECT count(*) FROM course"))).scalar_one() == 0
    assert await refused(classes.enter(draft, "guest")) == "class_closed"
    assert await refused(classes.enter(uuid4(), "guest")) == "class_unknown"


@pytest.mark.parametrize(
    ("wrong", "guard"),
    [
        ("UPDATE course_seat SET seat_no = seats + 1 WHERE seat_no = 1", "course_seat_seat_no_check"),
        ("UPDATE course SET seats = seats + 1", "what was published"),
        ("UPDATE course SET closes_at = closes_at + interval '1 day'", "what was published"),
        ("DELETE FROM course", "a class stays"),
        ("UPDATE course_seat SET entry_id = NULL WHERE entry_id IS NOT NULL", "and nobody else"),
        ("UPDATE course_entry SET state = 'entered' WHERE state = 'waiting'", "and nobody else"),
        ("UPDATE course_entry SET state = 'withdrawn' WHERE state = 'entered'", "and nobody else"),
        ("UPDATE course SET seed = '\\x00', drawn_at = closes_at, entries_digest = '\\x00'", "course_seed"),
    ],
)
async def test_the_database_refuses_what_must_never_be(classes: ClassTown, wrong: str, guard: str) -> None:
    course_id = await classes.opened(seats=1)
    await classes.enter(course_id, "a")
    await classes.enter(course_id, "b")
    with pytest.raises(DBAPIError, match=guard):
        async with classes.town.db.begin(TOWN) as session:
            await session.execute(text(wrong))
