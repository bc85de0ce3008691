"""Whoever waits for an earlier time is offered what comes free: one person after the other, in the order of joining."""

from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import text

from services.booking.commands.availability import LOOK_AGAIN
from services.booking.commands.waitlist_offers import on_waiting_answer_due
from services.booking.domain.waitlist import OFFER_LIFETIME, OFFERS_A_DAY
from shared.errors import Refusal
from tests.booking.closing_town import close, closure_of, offers_of, open_again, told
from tests.booking.conftest import TOWN, BookingTown, TownAfter
from tests.booking.waiting_town import (
    FRIDAY,
    NOTICE,
    THURSDAY,
    TUESDAY,
    WEDNESDAY,
    book_at,
    cancel,
    decline,
    is_free,
    look,
    move,
    on_list,
    open_small,
    settle,
    slot_at,
    states_of,
    stop,
    wait,
    waiters,
)


@pytest_asyncio.fixture
async def small(town_after: TownAfter) -> BookingTown:
    return await town_after(open_small)


async def full_tuesday(town: BookingTown) -> list[Any]:
    """Its morning and its afternoon are taken."""
    return [await book_at(town, guest, TUESDAY, part) for guest, part in (("x", "morning"), ("y", "afternoon"))]


async def test_what_comes_free_is_kept_for_the_first_in_line_who_is_told_once(small: BookingTown) -> None:
    morning, _ = await full_tuesday(small)
    first, second = await waiters(small, "a", "b")
    await settle(small)
    assert [await states_of(small, each) for each in (first, second)] == [[], []]
    await cancel(small, morning)
    await settle(small)
    [offer] = await offers_of(small, first)
    assert (offer.starts_at, offer.state, offer.is_kept) == ((await slot_at(small, TUESDAY)).starts_at, "open", True)
    assert timedelta(0) < offer.until - small.now <= OFFER_LIFETIME
    assert await states_of(small, second) == []
    assert not await is_free(small, TUESDAY)
    await settle(small)
    assert await told(small, first) == [
        ("booked", "none", None, False),
        ("progressed", "none", offer.starts_at, False),
    ]
    assert len(await told(small, second)) == 1


async def test_who_does_not_answer_is_followed_by_the_next_and_at_the_end_it_is_free_for_all(
    small: BookingTown,
) -> None:
    """Seen to fail (the first is asked for ever) without the look at what was offered before."""
    morning, _ = await full_tuesday(small)
    first, second = await waiters(small, "a", "b")
    await cancel(small, morning)
    await settle(small)
    await settle(small, minutes=30)
    assert [await states_of(small, each) for each in (first, second)] == [["lapsed"], ["open"]]
    # Nothing is kept for the first one any more, and notifications knows.
    assert [kept for _, _, kept, _ in await told(small, first)][1:] == [(await slot_at(small, TUESDAY)).starts_at, None]
    await settle(small, minutes=30)
    await settle(small, minutes=30)
    assert [await states_of(small, each) for each in (first, second)] == [["lapsed"], ["lapsed"]]
    assert await is_free(small, TUESDAY)
    assert await on_list(small) == [first.appointment_id, second.appointment_id]


async def test_who_let_one_go_by_is_offered_another_one(small: BookingTown) -> None:
    morning, afternoon = await full_tuesday(small)
    [first] = await waiters(small, "a")
    await cancel(small, morning)
    await settle(small)
    await settle(small, minutes=30)
    await cancel(small, afternoon)
    await settle(small)
    assert await states_of(small, first) == ["lapsed", "open"]


async def test_who_joined_at_the_same_moment_is_asked_in_one_order_always(small: BookingTown) -> None:
    morning, _ = await full_tuesday(small)
    both = [await book_at(small, guest, THURSDAY, part) for guest, part in (("a", "morning"), ("b", "afternoon"))]
    moment = small.now
    for each in both:
        small.now = moment
        await wait(small, each)
    await cancel(small, morning)
    await settle(small)
    winner, other = sorted(both, key=lambda each: each.appointment_id)
    assert [await states_of(small, each) for each in (winner, other)] == [["open"], []]


@pytest.mark.parametrize(
    ("window", "is_offered"),
    [
        ({}, True),
        ({"first": WEDNESDAY, "last": WEDNESDAY}, False),
        ({"weekdays": (1, 3, 4, 5)}, False),
        ({"weekdays": (2,)}, True),
        ({"part": "morning"}, True),
        ({"part": "afternoon"}, False),
        ({"counter": "7"}, True),
        ({"counter": "3"}, False),
    ],
)
async def test_only_what_they_wait_for_is_offered(small: BookingTown, window: dict[str, Any], is_offered: bool) -> None:
    morning, _ = await full_tuesday(small)
    for part in ("morning", "afternoon"):
        await book_at(small, f"w-{part}", WEDNESDAY, part)
    [first] = await waiters(small, "a", **window)
    await cancel(small, morning)
    await settle(small)
    assert await states_of(small, first) == (["open"] if is_offered else [])
    assert await is_free(small, TUESDAY) is not is_offered


async def test_a_later_one_in_line_is_asked_when_it_does_not_fit_the_first(small: BookingTown) -> None:
    morning, _ = await full_tuesday(small)
    first = await book_at(small, "a", THURSDAY)
    second = await book_at(small, "b", THURSDAY, "afternoon")
    await wait(small, first, part="afternoon")
    await wait(small, second)
    await cancel(small, morning)
    await settle(small)
    assert [await states_of(small, each) for each in (first, second)] == [[], ["open"]]


async def test_on_their_own_day_only_what_is_earlier(small: BookingTown) -> None:
    """Seen to fail (whoever comes first in line stops the others) where a look finds what is later."""
    early = await book_at(small, "x", THURSDAY)
    own = await book_at(small, "a", THURSDAY, "afternoon")
    mornings = await book_at(small, "b", FRIDAY)
    await wait(small, mornings, first=FRIDAY, last=FRIDAY)
    await wait(small, own, first=THURSDAY, last=THURSDAY)
    await cancel(small, early)
    await settle(small)
    [offer] = await offers_of(small, own)
    assert offer.starts_at < (await slot_at(small, THURSDAY, "afternoon")).starts_at
    # Friday's afternoon is free all the time, and later than theirs. Nobody behind them waits for that.
    assert await states_of(small, mornings) == []


async def test_what_is_free_when_somebody_joins_is_offered_at_once(small: BookingTown) -> None:
    [first] = await waiters(small, "a")
    await settle(small)
    [offer] = await offers_of(small, first)
    assert offer.starts_at == (await slot_at(small, TUESDAY)).starts_at


async def test_an_offer_ends_before_the_notice_or_is_not_made(small: BookingTown) -> None:
    """Exact to the microsecond, at the domain's own end of it."""
    _, afternoon = await full_tuesday(small)
    [first] = await waiters(small, "a")
    starts_at = (await slot_at(small, TUESDAY, "afternoon")).starts_at
    await cancel(small, afternoon)
    latest = starts_at - NOTICE - OFFER_LIFETIME
    small.now = latest + timedelta(microseconds=1)
    await look(small)
    assert await states_of(small, first) == []
    small.now = latest
    await look(small)
    [offer] = await offers_of(small, first)
    assert offer.until == starts_at - NOTICE


async def test_an_offer_lapses_at_its_moment(small: BookingTown) -> None:
    morning, _ = await full_tuesday(small)
    [first] = await waiters(small, "a")
    await cancel(small, morning)
    await look(small)
    [offer] = await offers_of(small, first)
    visit_id = await small.visit("z")
    small.now = offer.until - timedelta(microseconds=1)
    with pytest.raises(Refusal, match="slot_taken"):
        await small.hold(visit_id, "z", offer.slot_id)
    small.now = offer.until
    await settle(small)
    assert await states_of(small, first) == ["lapsed"]
    await small.hold(visit_id, "z", offer.slot_id)


async def test_at_night_it_is_kept_until_an_hour_of_the_morning_has_passed(small: BookingTown) -> None:
    full = [await book_at(small, f"w-{part}", WEDNESDAY, part) for part in ("morning", "afternoon")]
    [first] = await waiters(small, "a", first=WEDNESDAY, last=WEDNESDAY)
    # Tuesday, 22:00 in Japan.
    await settle(small, hours=37)
    for each in full:
        await cancel(small, each)
    await settle(small)
    [offer] = await offers_of(small, first)
    # Wednesday 8:30 could not be booked any more when people have read it.
    assert offer.starts_at == (await slot_at(small, WEDNESDAY, "afternoon")).starts_at
    assert offer.until.isoformat() == "2026-06-03T00:00:00+00:00"


async def test_no_thank_you_gives_it_to_the_next_and_they_wait_on(small: BookingTown) -> None:
    morning, afternoon = await full_tuesday(small)
    first, second = await waiters(small, "a", "b")
    await cancel(small, morning)
    await settle(small)
    await decline(small, first)
    await settle(small)
    assert [await states_of(small, each) for each in (first, second)] == [["declined"], ["open"]]
    await cancel(small, afternoon)
    await settle(small)
    assert [await states_of(small, each) for each in (first, second)] == [["declined", "open"], ["open"]]


async def test_who_stops_is_asked_no_more_and_what_was_kept_goes_on(small: BookingTown) -> None:
    morning, afternoon = await full_tuesday(small)
    first, second = await waiters(small, "a", "b")
    await cancel(small, morning)
    await settle(small)
    await stop(small, first)
    await stop(small, first)
    await settle(small)
    await cancel(small, afternoon)
    await settle(small)
    assert [await states_of(small, each) for each in (first, second)] == [["declined"], ["open"]]
    assert await on_list(small) == [second.appointment_id]


async def test_taken_it_is_theirs_and_their_old_place_goes_to_the_next(small: BookingTown) -> None:
    morning, _ = await full_tuesday(small)
    first = await book_at(small, "a", THURSDAY)
    second = await book_at(small, "b", FRIDAY)
    await wait(small, first)
    await wait(small, second, first=THURSDAY, last=THURSDAY, part="morning")
    await cancel(small, morning)
    await settle(small)
    [offer] = await offers_of(small, first)
    await move(small, first, offer.slot_id)
    await settle(small)
    assert await states_of(small, first) == ["taken"]
    assert [name for name, *_ in await told(small, first)] == ["booked", "progressed", "changed"]
    assert await on_list(small) == [second.appointment_id]
    [passed_on] = await offers_of(small, second)
    assert (passed_on.starts_at, passed_on.state) == ((await slot_at(small, THURSDAY)).starts_at, "open")
    # What was to happen if they had not answered does not.
    await settle(small, minutes=31)
    assert [name for name, *_ in await told(small, first)] == ["booked", "progressed", "changed"]


async def test_who_moves_by_themselves_waits_for_what_is_earlier_still(small: BookingTown) -> None:
    await full_tuesday(small)
    first, second = await book_at(small, "a", FRIDAY), await book_at(small, "b", FRIDAY, "afternoon")
    await wait(small, first, last=FRIDAY, weekdays=(2, 5))
    await wait(small, second, first=THURSDAY, last=FRIDAY, weekdays=(5,))
    await move(small, first, (await slot_at(small, THURSDAY)).slot_id)
    await move(small, second, (await slot_at(small, WEDNESDAY)).slot_id)
    rows = await small.rows("SELECT appointment_id, last_day FROM booking.waiting")
    assert [tuple(row) for row in rows] == [(first.appointment_id, THURSDAY)]  # type: ignore[arg-type]


async def test_whose_appointment_is_over_or_cancelled_is_asked_no_more(small: BookingTown) -> None:
    morning, _ = await full_tuesday(small)
    gone, here = await waiters(small, "a", "b")
    await cancel(small, gone)
    await cancel(small, morning)
    await settle(small)
    assert [await states_of(small, each) for each in (gone, here)] == [[], ["open"]]
    assert await on_list(small) == [here.appointment_id]
    await settle(small, days=2)
    assert await on_list(small) == []


async def test_one_person_has_one_offer_whatever_comes_free(small: BookingTown) -> None:
    full = await full_tuesday(small)
    [first] = await waiters(small, "a")
    for each in full:
        await cancel(small, each)
    await settle(small)
    assert await states_of(small, first) == ["open"]
    assert await is_free(small, TUESDAY, "afternoon")


async def test_many_that_come_free_at_once_go_to_many(small: BookingTown) -> None:
    full = await full_tuesday(small)
    first, second, third = await waiters(small, "a", "b", "c")
    for each in full:
        await cancel(small, each)
    await settle(small)
    assert [await states_of(small, each) for each in (first, second, third)] == [["open"], ["open"], []]
    assert (await offers_of(small, first))[0].starts_at < (await offers_of(small, second))[0].starts_at


async def test_nobody_is_written_to_all_day(small: BookingTown) -> None:
    [first] = await waiters(small, "a", last=THURSDAY)
    for _ in range(OFFERS_A_DAY + 2):
        await settle(small, minutes=31)
    assert await states_of(small, first) == ["lapsed"] * OFFERS_A_DAY
    await settle(small, days=1)
    assert (await states_of(small, first))[OFFERS_A_DAY:] == ["open"]


async def test_at_any_counter_or_only_at_this_one(bare_town: BookingTown) -> None:
    town = await open_small(bare_town, counters=("7", "3"))
    taken = []
    for number, slot in enumerate(await town.slots("3", day=TUESDAY)):
        visit_id = await town.visit(f"t{number}")
        await town.hold(visit_id, f"t{number}", slot.slot_id)
        taken.append(await town.book(visit_id, f"t{number}"))
    await full_tuesday(town)
    here, anywhere = await book_at(town, "a", THURSDAY), await book_at(town, "b", THURSDAY, "afternoon")
    await wait(town, here, counter="7")
    await wait(town, anywhere)
    await cancel(town, taken[0])
    await settle(town)
    assert [await states_of(town, each) for each in (here, anywhere)] == [[], ["open"]]


async def test_a_hold_that_lapses_and_a_place_that_is_opened_again_are_offered_too(small: BookingTown) -> None:
    morning, _ = await full_tuesday(small)
    [first] = await waiters(small, "a")
    visit_id = await small.visit("z")
    await cancel(small, morning)
    await small.hold(visit_id, "z", (await slot_at(small, TUESDAY)).slot_id)
    await settle(small)
    assert await states_of(small, first) == []
    await settle(small, minutes=10)
    assert await states_of(small, first) == ["open"]


async def test_a_day_that_is_opened_again_is_offered(small: BookingTown) -> None:
    closing_id = await close(small)
    [first] = await waiters(small, "a")
    await settle(small)
    assert await states_of(small, first) == []
    await open_again(small, closing_id)
    await settle(small)
    assert await states_of(small, first) == ["open"]


async def test_what_nobody_marked_is_found_within_a_minute(small: BookingTown) -> None:
    """As after a crash: the look at a counter every minute asks, too."""
    await full_tuesday(small)
    [first] = await waiters(small, "a")
    await settle(small)
    async with small.database.owner_engine("booking").begin() as connection:
        for statement in (
            "UPDATE booking.appointment SET state = 'cancelled' WHERE guest_ref = 'x'",
            """UPDATE booking.place SET appointment_id = NULL, visit_id = NULL WHERE appointment_id IN
               (SELECT appointment_id FROM booking.appointment WHERE guest_ref = 'x')""",
        ):
            await connection.execute(text(statement))
    await settle(small, seconds=LOOK_AGAIN.total_seconds())
    assert await states_of(small, first) == ["open"]


async def test_a_closing_takes_back_what_was_offered_and_offers_instead(small: BookingTown) -> None:
    morning, _ = await full_tuesday(small)
    first, second = await waiters(small, "a", "b")
    await cancel(small, morning)
    await settle(small)
    await close(small)
    await settle(small)
    assert await states_of(small, first) == ["withdrawn"]
    assert [kept for _, _, kept, _ in await told(small, first)][-1] is None
    assert await closure_of(small, first) == ("booked", "none")
    await close(small, day=THURSDAY)
    await settle(small)
    # Both have to move: what is kept for them now is the closing's.
    assert [await closure_of(small, each) for each in (first, second)] == [("booked", "asked")] * 2
    assert [(await states_of(small, each))[-1] for each in (first, second)] == ["open", "open"]


async def test_closed_with_an_offer_in_hand_they_get_the_closings_instead(small: BookingTown) -> None:
    morning, _ = await full_tuesday(small)
    [first] = await waiters(small, "a")
    await cancel(small, morning)
    await settle(small)
    await close(small, day=THURSDAY)
    await settle(small)
    assert await states_of(small, first) == ["withdrawn", "open"]
    assert await closure_of(small, first) == ("booked", "asked")


async def test_an_answer_that_is_due_for_what_is_over_does_nothing(small: BookingTown) -> None:
    """Seen to fail (it ends the next one) without the question whether this one is open."""
    [first] = await waiters(small, "a")
    await settle(small)
    rows = await small.rows("SELECT offer_id FROM booking.offered_place")
    await decline(small, first)
    await settle(small)
    assert await states_of(small, first) == ["declined", "open"]
    before = await told(small, first)
    async with small.db.begin(TOWN) as session:
        await on_waiting_answer_due(session, TOWN, str(rows[0].offer_id), small.now)  # type: ignore[attr-defined]
    assert await told(small, first) == before
    assert await states_of(small, first) == ["declined", "open"]


async def test_who_cannot_be_told_cannot_wait(small: BookingTown) -> None:
    unreached = await book_at(small, "a", THURSDAY, reach="none", contact_ref=None)
    with pytest.raises(Refusal, match="waiting_unfit"):
        await wait(small, unreached)


async def test_asked_twice_it_is_once_and_asked_otherwise_they_keep_their_place(small: BookingTown) -> None:
    await full_tuesday(small)
    first, second = await waiters(small, "a", "b")
    await wait(small, first, key="again")
    await wait(small, first, key="again")
    with pytest.raises(Refusal, match="key_reused"):
        await wait(small, first, last=WEDNESDAY, key="again")
    await wait(small, first, part="afternoon")
    assert await on_list(small) == [first.appointment_id, second.appointment_id]
