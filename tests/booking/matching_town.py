"""Helpers, free places and requests as the matcher sees them: small ones, random ones, and every way there is."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import count
from random import Random

import msgspec

from services.booking.domain.class_seats import OpenClass, SeatOffer, cost_of_class, fits
from services.booking.domain.matching import (
    Candidate,
    FreePlace,
    HelpWanted,
    HelpWindow,
    Match,
    Need,
    Presence,
    can_be_there,
    cost_of,
    cost_of_load,
    cost_of_wait,
    cost_unmet,
    monday_of,
    suits,
    why,
)
from services.booking.domain.shifts import week_time

MONDAY = date(2026, 6, 1)
VENUES, TOPICS, LANGUAGES = ("HALL", "SHED", "LIBRARY"), ("line", "photo", "mynumber", "DIG01"), ("en", "zh", "pt")
HOUR = timedelta(hours=1)
EVERY_DAY = (1, 2, 3, 4, 5, 6, 7)


def at(day: date, hour: int) -> datetime:
    """An hour of a day in Japan."""
    return datetime(day.year, day.month, day.day, hour, tzinfo=UTC) - timedelta(hours=9)


def place(day: date = MONDAY, hour: int = 10, *, venue: str = "HALL", free: int = 9) -> FreePlace:
    starts_at = at(day, hour)
    return FreePlace(
        slot_id=f"{venue}/{day}/{hour:02}", venue=venue, starts_at=starts_at, ends_at=starts_at + HOUR, free=free
    )


def shift(ref: str, *, venue: str = "HALL", weekday: int = 1, hours: tuple[int, int] = (9, 17)) -> Presence:
    return Presence(helper_ref=ref, venue=venue, weekday=weekday, from_min=hours[0] * 60, to_min=hours[1] * 60)


def helper(ref: str = "tanaka", *, languages: Sequence[str] = ("ja",), **changes: object) -> Candidate:
    values = {"shifts": (shift(ref),), "languages": frozenset(languages)} | changes
    return Candidate(helper_ref=ref, **values)  # type: ignore[arg-type]


def wanted(request_id: str = "a", *, days: int = 7, **changes: object) -> HelpWanted:
    window = HelpWindow(first_day=MONDAY, last_day=MONDAY + timedelta(days=days - 1))
    values: dict[str, object] = {"skill": "line", "window": window}
    return HelpWanted(request_id=request_id, **{**values, **changes})  # type: ignore[arg-type]


def course(course_id: str = "class", *, day: date = MONDAY, hour: int = 10, **changes: object) -> OpenClass:
    values: dict[str, object] = {
        "venue": "HALL",
        "teaches": frozenset({"line"}),
        "language": "ja",
        "signs": False,
        "times": ((at(day, hour), at(day, hour) + HOUR),),
        "seats": 1,
    }
    return OpenClass(course_id=course_id, **{**values, **changes})  # type: ignore[arg-type]


def random_class(random: Random, number: int) -> OpenClass:
    """About something, somewhere this week, with a seat or two."""
    day, hour = MONDAY + timedelta(days=random.randrange(7)), random.randint(9, 15)
    begins = [at(day + timedelta(days=7 * week), hour) for week in range(random.choice((1, 1, 2)))]
    return OpenClass(
        course_id=f"class-{number}",
        venue=random.choice(VENUES),
        teaches=frozenset(random.sample(TOPICS, random.randint(2, 4))),
        language=random.choice(("ja", "ja", "ja", "ja", *LANGUAGES)),
        signs=random.random() < 0.3,
        times=tuple((each, each + HOUR) for each in begins),
        seats=random.randint(1, 2),
    )


def random_helper(random: Random, number: int, *, days: int = 7) -> Candidate:
    """Shifts that do not overlap, some abilities, days away, visits they have."""
    ref = f"helper-{number:02}"
    weekdays = random.sample(range(1, 6), random.randint(1, 3))
    shifts = tuple(
        shift(ref, venue=random.choice(VENUES), weekday=weekday, hours=random.choice(((9, 12), (13, 16), (10, 15))))
        for weekday in weekdays
    )
    first = MONDAY + timedelta(days=random.randrange(days))
    return Candidate(
        helper_ref=ref,
        languages=frozenset({"ja", *random.sample(LANGUAGES, random.choice((0, 0, 0, 1)))}),
        topics=frozenset(random.sample(TOPICS, random.randint(1, 3))),
        signs=random.random() < 0.15,
        visits_per_week=random.choice((1, 2, 2, 3, 5)),
        shifts=shifts,
        away=((first, first + timedelta(days=random.randint(0, 4))),) if random.random() < 0.2 else (),
        lately=random.randint(0, 6),
    )


def random_need(random: Random) -> Need:
    return random.choice(("none", "wished", "needed"))


def random_wanted(random: Random, request_id: str, today: date, *, most_days: int = 14) -> HelpWanted:
    """Somebody who asks today: for a day, this week, or some days, perhaps in a language, or somewhere."""
    first = today + timedelta(days=random.randint(0, 3))
    last = first + timedelta(days=random.choice((0, 0, 2, 6, 6, most_days - 4)))
    from_min, to_min = random.choice(((0, 1_440), (0, 1_440), (0, 720), (720, 1_440), (600, 660)))
    foreign, signs = random.random() < 0.1, random.random() < 0.06
    return HelpWanted(
        request_id=request_id,
        skill=random.choice(TOPICS),
        window=HelpWindow(
            first_day=first,
            last_day=last,
            weekdays=EVERY_DAY if random.random() < 0.7 else tuple(sorted(random.sample(range(1, 6), 3))),
            from_min=from_min,
            to_min=to_min,
        ),
        venues=frozenset(random.sample(VENUES, 1)) if random.random() < 0.5 else frozenset(),
        only_there=random.random() < 0.5,
        language=random.choice(LANGUAGES) if foreign else "ja",
        language_need=random_need(random) if foreign else "wished",
        sign_need=random_need(random) if signs else "none",
        days_left=(last - today).days,
    )


def places_of(helpers: Sequence[Candidate], first: date, days: int) -> list[FreePlace]:
    """The venues' slots of an hour: in each as many places as helpers who can be there, as booking makes them."""
    found = []
    for venue in VENUES:
        for day in (first + timedelta(days=number) for number in range(days)):
            for hour in range(9, 17):
                one = place(day, hour, venue=venue)
                time = week_time(one.starts_at, one.ends_at)
                if free := sum(can_be_there(each, one, time) for each in helpers):
                    found.append(place(day, hour, venue=venue, free=free))
    return found


def price(
    requests: Sequence[HelpWanted],
    helpers: Sequence[Candidate],
    places: Sequence[FreePlace],
    matched: Sequence[Match],
    classes: Sequence[OpenClass] = (),
    offers: Sequence[SeatOffer] = (),
) -> int:
    """What a way to match costs in all, not to meet somebody included."""
    courses = {each.course_id: each for each in classes}
    offered = {each.request_id: courses[each.course_id] for each in offers}
    team = {each.helper_ref: each for each in helpers}
    slots = {each.slot_id: each for each in places}
    by_request = {each.request_id: each for each in matched}
    total, visits = 0, dict.fromkeys(team, 0)
    for request in requests:
        match = by_request.get(request.request_id)
        if request.request_id in offered:
            total += cost_of_class(request, offered[request.request_id])
            continue
        if match is None:
            total += cost_unmet(request)
            continue
        one = team[match.helper_ref]
        slot = slots[match.slot_id]
        total += cost_of(request, one, why(request, one, slot.venue))
        total += cost_of_wait(request, week_time(slot.starts_at, slot.ends_at).day)
        total += cost_of_load(one, visits[one.helper_ref])
        visits[one.helper_ref] += 1
    return total


def refuse_broken(
    requests: Sequence[HelpWanted],
    helpers: Sequence[Candidate],
    places: Sequence[FreePlace],
    matched: Sequence[Match],
) -> None:
    """What must never be, whoever matches."""
    team = {each.helper_ref: each for each in helpers}
    slots = {each.slot_id: each for each in places}
    asked = {each.request_id: each for each in requests}
    assert len({each.request_id for each in matched}) == len(matched)
    assert all(asked[each.request_id].in_class != "only" for each in matched)
    weeks: dict[tuple[str, date], int] = {}
    times: set[tuple[str, datetime]] = set()
    taken: dict[str, int] = {}
    for match in matched:
        request, one, slot = asked[match.request_id], team[match.helper_ref], slots[match.slot_id]
        time = week_time(slot.starts_at, slot.ends_at)
        assert can_be_there(one, slot, time), "on shift, not away, not busy"
        assert suits(request, one)
        assert request.window.admits(time)
        assert not request.only_there or not request.venues or slot.venue in request.venues
        assert (one.helper_ref, slot.starts_at) not in times, "no two visits at once"
        times.add((one.helper_ref, slot.starts_at))
        taken[slot.slot_id] = taken.get(slot.slot_id, 0) + 1
        assert taken[slot.slot_id] <= slot.free
        week = one.helper_ref, monday_of(time.day)
        weeks[week] = weeks.get(week, 0) + 1
        assert weeks[week] + one.taken.get(week[1], 0) <= one.visits_per_week


def refuse_broken_offers(
    requests: Sequence[HelpWanted],
    classes: Sequence[OpenClass],
    matched: Sequence[Match],
    offers: Sequence[SeatOffer],
) -> None:
    """What must never be of seats in classes."""
    asked, courses = {each.request_id: each for each in requests}, {each.course_id: each for each in classes}
    met = [*(each.request_id for each in matched), *(each.request_id for each in offers)]
    assert len(set(met)) == len(met), "by a helper, or in a class"
    for course_id, seats in Counter(each.course_id for each in offers).items():
        assert seats <= courses[course_id].seats
    for each in offers:
        request = asked[each.request_id]
        assert request.in_class != "no"
        assert each.course_id not in request.known_classes
        assert fits(request, courses[each.course_id])


def every_way(
    requests: Sequence[HelpWanted],
    helpers: Sequence[Candidate],
    places: Sequence[FreePlace],
    classes: Sequence[OpenClass] = (),
) -> tuple[int, int]:
    """How many can be met at most, and the least that it costs: by trying everything."""
    seats = {each.course_id: each.seats for each in classes}
    free = {each.slot_id: each.free for each in places}
    weeks = {each.helper_ref: dict(each.taken) for each in helpers}
    visits = {each.helper_ref: 0 for each in helpers}
    at_once: set[tuple[str, datetime]] = set()
    best = [-1, 0]

    def go_on(number: int, met: int, cost: int) -> None:
        if number == len(requests):
            if (-met, cost) < (-best[0], best[1]):
                best[:] = [met, cost]
            return
        request = requests[number]
        go_on(number + 1, met, cost + cost_unmet(request))
        for each in classes:
            may_be_there = request.in_class != "no" and each.course_id not in request.known_classes
            if may_be_there and seats[each.course_id] and fits(request, each):
                seats[each.course_id] -= 1
                go_on(number + 1, met + 1, cost + cost_of_class(request, each))
                seats[each.course_id] += 1
        for one in helpers:
            if not suits(request, one):
                continue
            for slot in places:
                time = week_time(slot.starts_at, slot.ends_at)
                monday, busy = monday_of(time.day), (one.helper_ref, slot.starts_at)
                mine = weeks[one.helper_ref]
                if (
                    not free[slot.slot_id]
                    or busy in at_once
                    or mine.get(monday, 0) >= one.visits_per_week
                    or not request.window.admits(time)
                    or (request.only_there and request.venues and slot.venue not in request.venues)
                    or not can_be_there(one, slot, time)
                ):  # fmt: skip
                    continue
                more = cost_of_wait(request, time.day) + cost_of(request, one, why(request, one, slot.venue))
                more += cost_of_load(one, visits[one.helper_ref])
                free[slot.slot_id] -= 1
                at_once.add(busy)
                mine[monday] = mine.get(monday, 0) + 1
                visits[one.helper_ref] += 1
                go_on(number + 1, met + 1, cost + more)
                free[slot.slot_id] += 1
                at_once.discard(busy)
                mine[monday] -= 1
                visits[one.helper_ref] -= 1

    go_on(0, 0, 0)
    return best[0], best[1]


def small_town(seed: int) -> tuple[list[HelpWanted], list[Candidate], list[FreePlace]]:
    """Up to four requests, three helpers and four slots: small enough to try every way."""
    random, number = Random(seed), count()
    helpers = [random_helper(random, next(number)) for _ in range(random.randint(1, 3))]
    places = places_of(helpers, MONDAY, 7)
    places = random.sample(places, min(len(places), 4))
    requests = [random_wanted(random, f"r{index}", MONDAY) for index in range(random.randint(1, 4))]
    return requests, helpers, places


def small_town_with_classes(
    seed: int,
) -> tuple[list[HelpWanted], list[Candidate], list[FreePlace], list[OpenClass]]:
    """The same, with up to two classes, and people of whom some would come to one, or wish to."""
    random = Random(f"classes/{seed}")
    requests, helpers, places = small_town(seed)
    classes = [random_class(random, number) for number in range(random.randint(1, 2))]
    asked = [
        msgspec.structs.replace(
            each,
            in_class=random.choice(("no", "too", "too", "only")),
            known_classes=frozenset({"class-0"}) if random.random() < 0.1 else frozenset(),
        )
        for each in requests
    ]
    return asked, helpers, places, classes


def large_town(
    seed: int, *, requests: int = 200, helpers: int = 80, days: int = 14
) -> tuple[list[HelpWanted], list[Candidate], list[FreePlace]]:
    """A town that has let requests pile up."""
    random = Random(seed)
    team = [random_helper(random, number, days=days) for number in range(helpers)]
    asked = [random_wanted(random, f"r{index:03}", MONDAY, most_days=days) for index in range(requests)]
    return asked, team, places_of(team, MONDAY, days)
