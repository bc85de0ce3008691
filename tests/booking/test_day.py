"""A day of four hundred people at nine counters: nobody is lost, nobody is served twice, each is called in their turn.

Whatever the town's rules are; with people who come late or not at all, walk off, are set aside, sent on, preferred, and
staff who press the wrong button; through lunch, until the last who waits at closing time is served.
"""

import pytest

from shared.town_pack import QueueRules
from tests.booking.conftest import TOWN, BookingTown
from tests.booking.day_hall import PEOPLE, Hall, Outcome

# The longest that the wait may be told wrong on average; what it is stands in docs/benchmarks.md.
MEAN_ERROR_MIN = 8


async def live(town: BookingTown, *, seed: int, people: int, rules: QueueRules) -> Outcome:
    return await Hall(town.db, town.keys, TOWN, seed=seed, rules=rules, people=people).run()


async def test_a_day_of_four_hundred_people(bare_town: BookingTown) -> None:
    outcome = await live(bare_town, seed=1, people=PEOPLE, rules=QueueRules(booked_in_a_row=3))
    print(outcome)
    assert outcome.came + outcome.sent_away > PEOPLE * 0.9
    assert outcome.done > outcome.came * 0.95
    assert outcome.told.people > outcome.done * 0.9
    assert outcome.told.mean_error_min <= MEAN_ERROR_MIN


@pytest.mark.parametrize(
    ("seed", "rules"),
    [
        (2, QueueRules(late="last", preferred="walk_in", booked_in_a_row=1)),
        (3, QueueRules(late_min=0, booked_in_a_row=0, last_ticket_min=60)),
    ],
)
async def test_other_towns_have_other_rules(bare_town: BookingTown, seed: int, rules: QueueRules) -> None:
    outcome = await live(bare_town, seed=seed, people=PEOPLE // 4, rules=rules)
    assert outcome.done > outcome.came * 0.9
