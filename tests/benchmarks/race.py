"""Racers over HTTP for the only place of a slot: how many win, what the others get, and how long the rush takes.

And for a hundred places, of two times: nobody is turned away while one of them is left.

To see the race fail, take the guards away: `python -m tests.benchmarks race --without-guard` serves the same product
with the predicate of the holding statement always true (`unguarded_front.py`) and without the database's trigger.
Several racers win then, and the command ends with 1. `tests/booking/test_race.py` does the same to the bare statement.
"""

from collections import Counter
from collections.abc import Sequence
from uuid import UUID, uuid4

import msgspec

from services.booking.domain.opening import PLACES_MAX
from shared.clock import utc_now
from tests.benchmarks.client import Answer, ask_at_once, make_request
from tests.benchmarks.crowd import bring_visitors
from tests.benchmarks.figures import Figure, make_figure, percentile
from tests.benchmarks.house import TOWN, House

# So many racers, for so many places: of as many times as that takes, each as large as a time can be.
Rush = tuple[int, int]
RUSHES: tuple[Rush, ...] = ((20, 1), (100, 1), (500, 1), (2_000, 1), (2_000, 100))
UNGUARDED_RUSHES: tuple[Rush, ...] = ((20, 1), (100, 1), (500, 100))
# 生活環境: one place a slot, and it is public.
COUNTER, PROCEDURE = "9", "ENV02"
WARM_UP = 30

_ENLARGE = """
    WITH larger AS (UPDATE booking.slot SET capacity = {places} WHERE slot_id = '{slot_id}' RETURNING *)
    INSERT INTO booking.place (municipality, slot_id, place_no, capacity, audience, changed_at)
    SELECT municipality, slot_id, generate_series(2, {places}), {places}, 'public', now() FROM larger
"""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a rush came to."""

    racers: int
    places: int
    winners: int
    with_alternatives: int
    server_errors: int
    others: int
    p95_s: float
    p99_s: float

    @property
    def losers(self) -> int:
        """How many must go without."""
        return self.racers - self.places

    @property
    def is_fair(self) -> bool:
        """A winner for each place, everybody else told where else there is room, no error."""
        return (self.winners, self.with_alternatives, self.server_errors) == (self.places, self.losers, 0)


async def race(house: House, slots: Sequence[UUID], racers: int, *, places: int = 1) -> Outcome:
    """So many visitors ask at the same moment, each for one of these slots, which have so many places together."""
    visitors = await bring_visitors(house.environ, racers, procedure=PROCEDURE, municipality=TOWN, now=utc_now())
    answers = await ask_at_once(
        house.url,
        [
            make_request(
                house.url,
                "POST",
                "/booking/api/holds",
                headers=visitor.headers | {"Idempotency-Key": uuid4().hex},
                body={"slot_id": slots[number % len(slots)], "visit_id": visitor.visit_id},
            )
            for number, visitor in enumerate(visitors)
        ],
    )
    return _outcome(answers, places)


async def measure(house: House, rushes: Sequence[Rush] = RUSHES) -> tuple[list[Figure], bool]:
    """The figures of all rushes, and whether every one of them was fair."""
    slots = await house.free_slots(COUNTER)
    await race(house, [slots.pop()], WARM_UP)
    figures, fair = [], True
    for racers, places in rushes:
        wanted = [slots.pop() for _ in range(-(-places // PLACES_MAX))]
        for slot_id in wanted:
            await house.execute(_ENLARGE.format(slot_id=slot_id, places=places // len(wanted)))
        outcome = await race(house, wanted, racers, places=places)
        health = make_request(house.url, "GET", "/booking/healthz")
        bare = await ask_at_once(house.url, [health] * racers)
        fair = fair and outcome.is_fair
        figures += _figures(outcome, [answer.seconds for answer in bare])
    return figures, fair


def _outcome(answers: list[Answer], places: int) -> Outcome:
    statuses = Counter(answer.status for answer in answers)
    lost = [msgspec.json.decode(answer.body) for answer in answers if answer.status == 409]
    return Outcome(
        racers=len(answers),
        places=places,
        winners=statuses[201],
        with_alternatives=sum(1 for problem in lost if problem.get("alternatives")),
        server_errors=sum(count for status, count in statuses.items() if status >= 500),
        others=sum(count for status, count in statuses.items() if status not in (201, 409) and status < 500),
        p95_s=percentile([answer.seconds for answer in answers], 0.95),
        p99_s=percentile([answer.seconds for answer in answers], 0.99),
    )


def _figures(outcome: Outcome, bare_s: Sequence[float]) -> list[Figure]:
    racers, places, losers = outcome.racers, outcome.places, outcome.losers
    who = f"{racers} racers" if places == 1 else f"{racers} racers for {places} places"
    errors = outcome.server_errors + outcome.others
    return [
        make_figure("race", f"{who}: winners", outcome.winners, "winners", str(places), met=outcome.winners == places),
        make_figure(
            "race", f"{who}: losers told of alternatives", outcome.with_alternatives, "racers", str(losers),
            met=outcome.with_alternatives == losers,
        ),
        make_figure("race", f"{who}: errors, or no answer", errors, "answers", "0", met=errors == 0),
        *(
            make_figure(
                "race", f"{who}: {name} of an answer", seconds * 1_000, "ms", "",
                reference=percentile(bare_s, share) * 1_000,
                reference_name=f"{racers} × GET /booking/healthz at once",
            )
            for name, share, seconds in (("p95", 0.95, outcome.p95_s), ("p99", 0.99, outcome.p99_s))
        ),
    ]  # fmt: skip
