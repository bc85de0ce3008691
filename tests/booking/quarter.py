"""A quarter of a town that helps: 13 weeks, 80 helpers, 1,500 requests. Matched as we do, and first come, first served.

Both meet the same people with the same days, and whether somebody says yes depends on who is asked for what, not on by
whom. Once a day whoever asks, or was declined, is matched; who is not met when their last day begins is unmet.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from random import Random
from statistics import median

import msgspec

from services.booking.domain.matching import (
    Candidate,
    FreePlace,
    HelpWanted,
    Match,
    can_be_there,
    match_help,
    monday_of,
    suits,
)
from services.booking.domain.shifts import week_time
from tests.booking.matching_town import MONDAY, places_of, random_helper, random_wanted, refuse_broken

WEEKS, HELPERS, REQUESTS = 13, 80, 1_500
DAYS = WEEKS * 7
AHEAD_DAYS, LATELY_DAYS = 14, 28
SAYS_YES, PEOPLE = 0.85, 900

Matcher = Callable[[Sequence[HelpWanted], Sequence[Candidate], Sequence[FreePlace]], list[Match]]


class Visit(msgspec.Struct, frozen=True):
    """Somebody is met, by whom and when; or was going to be."""

    helper_ref: str
    person: int
    place: FreePlace

    @property
    def day(self) -> date:
        """In Japan."""
        return week_time(self.place.starts_at, self.place.ends_at).day


class Quarter(msgspec.Struct, frozen=True):
    """What came of it."""

    asked: int
    # For which there was anybody at all when they asked, had nobody else asked for anything.
    possible: int
    met: int
    loads: tuple[int, ...]
    # Met by somebody who knows the topic, or whom the person had met before.
    skilled: int
    known: int

    @property
    def share_of_possible(self) -> float:
        """Of those that could be met at all."""
        return self.met / self.possible

    @property
    def share_met(self) -> float:
        """Of all requests."""
        return self.met / self.asked

    @property
    def percent_met(self) -> float:
        """Of all requests."""
        return 100 * self.share_met

    @property
    def percent_of_possible(self) -> float:
        """Of those that could be met at all."""
        return 100 * self.share_of_possible

    @property
    def percent_skilled(self) -> float:
        """Of the visits, by somebody who knows the topic."""
        return 100 * self.skilled / self.met

    @property
    def gini(self) -> float:
        """How unequally visits are shared: 0, all the same."""
        loads, total = sorted(self.loads), sum(self.loads)
        ranked = sum(rank * load for rank, load in enumerate(loads, start=1))
        return 2 * ranked / (len(loads) * total) - (len(loads) + 1) / len(loads)

    @property
    def max_to_median(self) -> float:
        """How many times the visits of the middle one the busiest has."""
        return max(self.loads) / median(self.loads)


def first_come(
    requests: Sequence[HelpWanted], helpers: Sequence[Candidate], places: Sequence[FreePlace]
) -> list[Match]:
    """The baseline: whoever asked first gets the first time at which anybody can, and the first who can."""
    team, free = {each.helper_ref: each for each in helpers}, {each.slot_id: each.free for each in places}
    matched = []
    for request in requests:
        found = next(
            (
                (place, one)
                for place in sorted(places, key=lambda each: (each.starts_at, each.slot_id))
                if free[place.slot_id]
                and request.window.admits(week_time(place.starts_at, place.ends_at))
                and not (request.only_there and request.venues and place.venue not in request.venues)
                for one in team.values()
                if suits(request, one) and _can_take(one, place)
            ),
            None,
        )
        if found is not None:
            place, one = found
            free[place.slot_id] -= 1
            monday = monday_of(week_time(place.starts_at, place.ends_at).day)
            team[one.helper_ref] = msgspec.structs.replace(
                one,
                busy=(*one.busy, (place.starts_at, place.ends_at)),
                taken={**one.taken, monday: one.taken.get(monday, 0) + 1},
            )
            matched.append(
                Match(request_id=request.request_id, helper_ref=one.helper_ref, slot_id=place.slot_id, reasons=())
            )
    return matched


def _can_take(one: Candidate, place: FreePlace) -> bool:
    time = week_time(place.starts_at, place.ends_at)
    return one.taken.get(monday_of(time.day), 0) < one.visits_per_week and can_be_there(one, place, time)


def live_through(seed: int, matcher: Matcher, *, requests: int = REQUESTS, helpers: int = HELPERS) -> Quarter:
    """The quarter of this seed, with this matcher."""
    random = Random(seed)
    team = [random_helper(random, number, days=DAYS) for number in range(helpers)]
    team = [msgspec.structs.replace(each, lately=0) for each in team]
    arrivals = sorted(random.randrange(DAYS - 7) for _ in range(requests))
    asked: dict[date, list[tuple[int, HelpWanted]]] = {}
    for number, day in enumerate(arrivals):
        today = MONDAY + timedelta(days=day)
        person = random.randrange(PEOPLE)
        asked.setdefault(today, []).append((person, random_wanted(random, f"r{number:04}", today + timedelta(days=1))))
    visits: list[Visit] = []
    waiting: list[tuple[int, HelpWanted]] = []
    met = skilled = known = possible = 0
    for today in (MONDAY + timedelta(days=number) for number in range(DAYS)):
        waiting = [
            (person, msgspec.structs.replace(each, days_left=(each.window.last_day - today).days))
            for person, each in (*waiting, *asked.get(today, ()))
            if each.window.last_day > today
        ]
        idle = [_as_of_today(each, (), today) for each in team]
        possible += _count_possible([each for _, each in asked.get(today, ())], idle, today)
        now = [_as_of_today(each, visits, today) for each in team]
        places = places_of(now, today + timedelta(days=1), AHEAD_DAYS)
        people = {each.request_id: person for person, each in waiting}
        wishes = [
            msgspec.structs.replace(each, met=frozenset(v.helper_ref for v in visits if v.person == person))
            for person, each in waiting
        ]
        matched = matcher(wishes, now, places)
        refuse_broken(wishes, now, places, matched)
        slots, wants = {each.slot_id: each for each in places}, {each.request_id: each for each in wishes}
        left = dict(wants)
        for match in matched:
            if Random(f"{seed}/{match.request_id}/{match.helper_ref}").random() < SAYS_YES:
                visits.append(Visit(match.helper_ref, people[match.request_id], slots[match.slot_id]))
                want, one = left.pop(match.request_id), next(e for e in team if e.helper_ref == match.helper_ref)
                met += 1
                skilled += want.skill in one.topics
                known += one.helper_ref in want.met
            else:
                want = left[match.request_id]
                left[match.request_id] = msgspec.structs.replace(want, tried=want.tried | {match.helper_ref})
        waiting = [(people[each.request_id], msgspec.structs.replace(each, met=frozenset())) for each in left.values()]
    loads = Counter(each.helper_ref for each in visits)
    return Quarter(requests, possible, met, tuple(loads[each.helper_ref] for each in team), skilled, known)


def _count_possible(requests: Sequence[HelpWanted], idle: Sequence[Candidate], today: date) -> int:
    places = places_of(idle, today + timedelta(days=1), AHEAD_DAYS)
    return sum(len(first_come([each], idle, places)) for each in requests)


def _as_of_today(one: Candidate, visits: Sequence[Visit], today: date) -> Candidate:
    mine = [each for each in visits if each.helper_ref == one.helper_ref and each.day > today - timedelta(LATELY_DAYS)]
    return msgspec.structs.replace(
        one,
        busy=tuple((each.place.starts_at, each.place.ends_at) for each in mine if each.day > today),
        taken=Counter(monday_of(each.day) for each in mine),
        lately=len(mine),
    )


def say_quarters(seed: int, *, helpers: int = HELPERS) -> str:
    """Both, side by side."""
    lines = []
    for name, matcher in (("matched", match_help), ("first come, first served", first_come)):
        lived = live_through(seed, matcher, helpers=helpers)
        lines.append(
            f"{name}: {lived.met:,} of {lived.asked:,} met ({lived.share_met:.1%}; "
            f"of {lived.possible:,} possible ones {lived.share_of_possible:.1%}); "
            f"Gini of visits {lived.gini:.2f}, "
            f"most to median {lived.max_to_median:.1f}; by who knows the topic {lived.skilled / lived.met:.0%}, "
            f"by who was met before {lived.known}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    for each in range(1, 4):
        for team in (HELPERS, HELPERS // 2):
            print(f"seed {each}, {team} helpers\n{say_quarters(each, helpers=team)}")
