"""Racers over HTTP for the only place of a slot: how many win, what the others get, and how long the rush takes.

To see the race fail, take the guards away: `python -m tests.benchmarks race --without-guard` serves the same product
with the predicate of the holding statement always true (`unguarded_front.py`) and without the database's trigger.
Several racers win then, and the command ends with 1. `tests/booking/test_race.py` does the same to the bare statement.
"""

from collections import Counter
from collections.abc import Sequence
from uuid import UUID, uuid4

import msgspec

from shared.clock import utc_now
from tests.benchmarks.client import Answer, ask_at_once, make_request
from tests.benchmarks.crowd import bring_visitors
from tests.benchmarks.figures import Figure, make_figure, percentile
from tests.benchmarks.house import TOWN, House

RUSHES = (20, 100, 500, 2_000)
UNGUARDED_RUSHES = (20, 100)
# 生活環境: one place a slot, and it is public.
COUNTER, PROCEDURE = "9", "ENV02"
WARM_UP = 30


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a rush came to."""

    racers: int
    winners: int
    with_alternatives: int
    server_errors: int
    others: int
    p95_s: float

    @property
    def is_fair(self) -> bool:
        """One winner, everybody else told where else there is room, no error."""
        return self.winners == 1 and self.with_alternatives == self.racers - 1 and self.server_errors == 0


async def race(house: House, slot_id: UUID, racers: int) -> Outcome:
    """So many visitors ask for the same slot at the same moment."""
    visitors = await bring_visitors(house.environ, racers, procedure=PROCEDURE, municipality=TOWN, now=utc_now())
    answers = await ask_at_once(
        house.url,
        [
            make_request(
                house.url,
                "POST",
                "/booking/api/holds",
                headers=visitor.headers | {"Idempotency-Key": uuid4().hex},
                body={"slot_id": slot_id, "visit_id": visitor.visit_id},
            )
            for visitor in visitors
        ],
    )
    return _outcome(answers)


async def measure(house: House, rushes: Sequence[int] = RUSHES) -> tuple[list[Figure], bool]:
    """The figures of all rushes, and whether every one of them was fair."""
    slots = await house.free_slots(COUNTER)
    await race(house, slots.pop(), WARM_UP)
    figures, fair = [], True
    for racers in rushes:
        outcome = await race(house, slots.pop(), racers)
        health = make_request(house.url, "GET", "/booking/healthz")
        bare = await ask_at_once(house.url, [health] * racers)
        fair = fair and outcome.is_fair
        figures += _figures(outcome, percentile([answer.seconds for answer in bare], 0.95))
    return figures, fair


def _outcome(answers: list[Answer]) -> Outcome:
    statuses = Counter(answer.status for answer in answers)
    lost = [msgspec.json.decode(answer.body) for answer in answers if answer.status == 409]
    return Outcome(
        racers=len(answers),
        winners=statuses[201],
        with_alternatives=sum(1 for problem in lost if problem.get("alternatives")),
        server_errors=sum(count for status, count in statuses.items() if status >= 500),
        others=sum(count for status, count in statuses.items() if status not in (201, 409) and status < 500),
        p95_s=percentile([answer.seconds for answer in answers], 0.95),
    )


def _figures(outcome: Outcome, bare_p95_s: float) -> list[Figure]:
    racers = outcome.racers
    return [
        make_figure("race", f"{racers} racers: winners", outcome.winners, "winners", "1", met=outcome.winners == 1),
        make_figure(
            "race", f"{racers} racers: losers told of alternatives", outcome.with_alternatives, "racers",
            str(racers - 1), met=outcome.with_alternatives == racers - 1,
        ),
        make_figure(
            "race", f"{racers} racers: errors, or no answer", outcome.server_errors + outcome.others, "answers", "0",
            met=outcome.server_errors + outcome.others == 0,
        ),
        make_figure(
            "race", f"{racers} racers: p95 of an answer", outcome.p95_s * 1_000, "ms", "",
            reference=bare_p95_s * 1_000, reference_name=f"{racers} × GET /booking/healthz at once",
        ),
    ]  # fmt: skip
