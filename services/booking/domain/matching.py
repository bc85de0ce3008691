"""Who helps whom, where and when: as many requests as can be met, and of all such ways the best one.

A network gives it (`domain/cheapest.py`): request → helper's times of one kind → helper's week → helper. A helper's
times at a venue on a day are of one kind as long as every request may have all of them or none: nothing is lost by
taking them together, and the network stays small. Every step is in a fixed order: the same is matched the same way.

Whoever may be met in another way, in a class (`domain/class_seats.py`), has one more edge: request → way, as often as
it has seats. It costs more than any helper does, and less than not to be met.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Literal, NamedTuple, Protocol

import msgspec

from services.booking.domain.cheapest import Network
from services.booking.domain.shifts import Shift, WeekTime, week_time

Need = Literal["none", "wished", "needed"]
InClass = Literal["no", "too", "only"]
Reason = Literal["skill", "language", "sign", "venue", "known", "least_load"]
REASONS: tuple[Reason, ...] = ("skill", "language", "sign", "venue", "known", "least_load")

# What each is worth. Together less than a request that is met.
WORTH: Mapping[Reason, int] = {"skill": 40, "language": 30, "sign": 30, "venue": 20, "known": 15}
WORTH_MOST = sum(WORTH.values())
# Each visit that somebody had lately, or gets now, counts against them: so much, if they take one a week; who offers
# more, gets more. What is rare is spared for who asks for it.
LOAD, SPARED = 12, 6
# Each day that somebody waits; and what nobody uses of an early day is lost.
DAY_WAITED = 3
UNMET = 1_000_000
# Of two who cannot both be met, the one with less time left.
DAY_LEFT, DAYS_LEFT_MAX = 2, 14
LANGUAGE_OF_ALL = "ja"


class HelpWindow(msgspec.Struct, frozen=True, kw_only=True):
    """When somebody can come: days, ISO weekdays, and from which minute to which of the day it begins (Japan)."""

    first_day: date
    last_day: date
    weekdays: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7)
    from_min: int = 0
    to_min: int = 1_440

    def admits(self, time: WeekTime) -> bool:
        """Whether they can come then."""
        return (
            self.first_day <= time.day <= self.last_day
            and self.from_min <= time.from_min < self.to_min
            and time.day.isoweekday() in self.weekdays
        )


class HelpWanted(msgspec.Struct, frozen=True, kw_only=True):
    """An open request. `skill` is a topic or procedure; `tried` were asked for it already, `met` knows the person.

    Without `venues`, anywhere is as good; with `only_there`, nowhere else. `in_class`: whether a class would do as
    well, or it is a class that they wish; `known_classes`: they were offered, or are in, already.
    """

    request_id: str
    skill: str
    window: HelpWindow
    venues: frozenset[str] = frozenset()
    only_there: bool = False
    language: str = LANGUAGE_OF_ALL
    language_need: Need = "wished"
    sign_need: Need = "none"
    tried: frozenset[str] = frozenset()
    met: frozenset[str] = frozenset()
    days_left: int = DAYS_LEFT_MAX
    in_class: InClass = "no"
    known_classes: frozenset[str] = frozenset()


class Presence(Shift, frozen=True, kw_only=True):
    """A shift, and where it is."""

    venue: str


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A helper who can be asked. `away` are days, `busy` times, `taken` how many visits a week (its Monday) has.

    `lately`: how many visits they had in the last weeks, and have ahead.
    """

    helper_ref: str
    languages: frozenset[str]
    topics: frozenset[str] = frozenset()
    signs: bool = False
    visits_per_week: int = 5
    shifts: tuple[Presence, ...] = ()
    away: tuple[tuple[date, date], ...] = ()
    busy: tuple[tuple[datetime, datetime], ...] = ()
    taken: Mapping[date, int] = msgspec.field(default_factory=dict)
    lately: int = 0


class FreePlace(msgspec.Struct, frozen=True, kw_only=True):
    """A slot of a venue in which somebody can still be met."""

    slot_id: str
    venue: str
    starts_at: datetime
    ends_at: datetime
    free: int


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """Who is to be asked for a request, when and where, and why they."""

    request_id: str
    helper_ref: str
    slot_id: str
    reasons: tuple[Reason, ...]


class OtherWay(msgspec.Struct, frozen=True, kw_only=True):
    """Another way than a helper's time: so many can have it, and what it costs those who may (`request_id`)."""

    code: str
    seats: int
    costs: Mapping[str, int]


class _Kind(NamedTuple):
    """A helper's times that are as good as each other for everybody."""

    helper: int
    venue: str
    day: date
    admitted: frozenset[int]


def monday_of(day: date) -> date:
    """The first day of its week."""
    return day - timedelta(days=day.weekday())


def match_help(
    requests: Sequence[HelpWanted], helpers: Sequence[Candidate], places: Sequence[FreePlace]
) -> list[Match]:
    """As many requests as helpers can meet, at the best: who is asked for each, when and where."""
    matched, _other = match_all(requests, helpers, places, ())
    return matched


def match_all(
    requests: Sequence[HelpWanted],
    helpers: Sequence[Candidate],
    places: Sequence[FreePlace],
    ways: Sequence[OtherWay],
) -> tuple[list[Match], dict[str, str]]:
    """As many requests as can be met, at the best: by whom, when and where; and who in another way, and in which.

    A slot may have fewer places than helpers, for as long as somebody holds one: whoever finds none there is matched
    again, with what is left.
    """
    matched: list[Match] = []
    other: dict[str, str] = {}
    waiting, free = list(requests), {place.slot_id: place.free for place in places}
    team = {helper.helper_ref: helper for helper in helpers}
    known = {place.slot_id: place for place in places}
    while waiting:
        open_places = [place for place in places if free[place.slot_id] > 0]
        taken = Counter(other.values())
        left = [msgspec.structs.replace(way, seats=way.seats - taken[way.code]) for way in ways]
        found, elsewhere = _match_once(waiting, list(team.values()), open_places, left, free)
        if not found and not elsewhere:
            break
        for each in found:
            team[each.helper_ref] = _with_visit(team[each.helper_ref], known[each.slot_id])
        matched += found
        other |= elsewhere
        met = {each.request_id for each in found} | elsewhere.keys()
        waiting = [each for each in waiting if each.request_id not in met]
    return matched, other


class PlaceTime(Protocol):
    """Where and when: a free place, or a row of one."""

    @property
    def venue(self) -> str: ...
    @property
    def starts_at(self) -> datetime: ...
    @property
    def ends_at(self) -> datetime: ...


def can_be_there(helper: Candidate, place: PlaceTime, time: WeekTime) -> bool:
    """Whether a helper is there then, and not elsewhere; how many visits they have is another question."""
    return (
        any(
            shift.venue == place.venue
            and shift.from_min <= time.from_min
            and time.to_min <= shift.to_min
            and shift.is_on(time.day)
            for shift in helper.shifts
        )
        and not any(first <= time.day <= last for first, last in helper.away)
        and not any(start < place.ends_at and place.starts_at < end for start, end in helper.busy)
    )


def suits(request: HelpWanted, helper: Candidate) -> bool:
    """Whether somebody may be asked for a request at all."""
    return (
        request.in_class != "only"
        and helper.helper_ref not in request.tried
        and (request.language_need != "needed" or request.language in helper.languages)
        and (request.sign_need != "needed" or helper.signs)
    )


def why(request: HelpWanted, helper: Candidate, venue: str) -> tuple[Reason, ...]:
    """What speaks for asking somebody for a request, at a venue."""
    speaks: dict[Reason, bool] = {
        "skill": request.skill in helper.topics,
        "language": request.language_need != "none" and request.language in helper.languages,
        "sign": request.sign_need != "none" and helper.signs,
        "venue": venue in request.venues,
        "known": helper.helper_ref in request.met,
    }
    return tuple(reason for reason in REASONS if speaks.get(reason))


def cost_of(request: HelpWanted, helper: Candidate, reasons: Iterable[Reason]) -> int:
    """What is missing for the best that can be, and what is rare in a helper and not asked for."""
    spared = helper.signs and request.sign_need == "none"
    others = len(helper.languages - {LANGUAGE_OF_ALL, request.language})
    return WORTH_MOST - sum(WORTH[reason] for reason in reasons) + SPARED * (spared + others)


def cost_of_wait(request: HelpWanted, day: date) -> int:
    """What the days count until then."""
    return DAY_WAITED * max(0, (day - request.window.first_day).days)


def cost_of_load(helper: Candidate, more: int) -> int:
    """What the next visit counts against a helper who gets so many more already."""
    return LOAD * (helper.lately + more) // helper.visits_per_week


def cost_unmet(request: HelpWanted) -> int:
    """What it costs not to meet a request: more than all else, and the more, the less time is left."""
    return UNMET + DAY_LEFT * (DAYS_LEFT_MAX - max(0, min(request.days_left, DAYS_LEFT_MAX)))


def _match_once(
    requests: Sequence[HelpWanted],
    helpers: Sequence[Candidate],
    places: Sequence[FreePlace],
    ways: Sequence[OtherWay],
    free: dict[str, int],
) -> tuple[list[Match], dict[str, str]]:
    wishes = list(dict.fromkeys(map(_wish_of, requests)))
    kinds = _sort_times(helpers, places, wishes)
    open_to: dict[int, list[_Kind]] = defaultdict(list)
    for kind in kinds:
        for number in kind.admitted:
            open_to[number].append(kind)
    network = Network()
    sink = network.add()
    node_of = _join_helpers(network, sink, helpers, kinds)
    node_of_way = {way.code: network.add() for way in ways}
    for way in ways:
        network.join(node_of_way[way.code], sink, capacity=way.seats, cost=0)
    aside: list[tuple[int, str, str]] = []
    numbers = {wish: number for number, wish in enumerate(wishes)}
    edges: list[list[tuple[int, _Kind]]] = []
    for request in requests:
        node = network.add()
        network.join(node, sink, capacity=1, cost=cost_unmet(request))
        joined = []
        costs: dict[tuple[int, str], int | None] = {}
        for kind in open_to[numbers[_wish_of(request)]]:
            there = kind.helper, kind.venue
            if there not in costs:
                costs[there] = _cost_there(request, helpers[kind.helper], kind.venue)
            cost = costs[there]
            if cost is not None:
                price = cost + cost_of_wait(request, kind.day)
                joined.append((network.join(node, node_of[kind], capacity=1, cost=price), kind))
        edges.append(joined)
        for way in ways:
            if request.request_id in way.costs:
                price = way.costs[request.request_id]
                edge = network.join(node, node_of_way[way.code], capacity=1, cost=price)
                aside.append((edge, request.request_id, way.code))
        network.send(node, sink)
    elsewhere = {request_id: code for edge, request_id, code in aside if network.is_used(edge)}
    return _give_places(requests, helpers, edges, network, kinds, free), elsewhere


def _cost_there(request: HelpWanted, helper: Candidate, venue: str) -> int | None:
    return cost_of(request, helper, why(request, helper, venue)) if suits(request, helper) else None


def _wish_of(request: HelpWanted) -> tuple[HelpWindow, frozenset[str]]:
    return request.window, request.venues if request.only_there else frozenset()


def _sort_times(
    helpers: Sequence[Candidate],
    places: Sequence[FreePlace],
    wishes: Sequence[tuple[HelpWindow, frozenset[str]]],
) -> dict[_Kind, list[FreePlace]]:
    """Every helper's times by their kind, the earliest first; those that nobody wishes are left out."""
    admitted: dict[tuple[str, date], list[tuple[FreePlace, WeekTime, frozenset[int]]]] = defaultdict(list)
    for place in sorted(places, key=lambda each: (each.starts_at, each.venue, each.slot_id)):
        time = week_time(place.starts_at, place.ends_at)
        wished = frozenset(
            number
            for number, (window, venues) in enumerate(wishes)
            if (not venues or place.venue in venues) and window.admits(time)
        )
        if wished:
            admitted[place.venue, time.day].append((place, time, wished))
    kinds: dict[_Kind, list[FreePlace]] = {}
    for number, helper in enumerate(helpers):
        days = {(shift.venue, day) for shift in helper.shifts for day in _days_at(admitted, shift)}
        for venue, day in sorted(days, key=lambda each: (each[1], each[0])):
            for place, time, wished in admitted[venue, day]:
                if can_be_there(helper, place, time):
                    kinds.setdefault(_Kind(number, venue, day, wished), []).append(place)
    return kinds


def _days_at(admitted: Iterable[tuple[str, date]], shift: Presence) -> Iterator[date]:
    return (day for venue, day in admitted if venue == shift.venue and shift.is_on(day))


def _join_helpers(
    network: Network, sink: int, helpers: Sequence[Candidate], kinds: Mapping[_Kind, Sequence[FreePlace]]
) -> dict[_Kind, int]:
    """A node for each kind of time, behind it the helper's week, and the helper: each visit more costs more."""
    node_of: dict[_Kind, int] = {}
    weeks: dict[tuple[int, date], int] = {}
    most: dict[int, int] = defaultdict(int)
    for kind, times in kinds.items():
        node_of[kind] = network.add()
        key = kind.helper, monday_of(kind.day)
        if key not in weeks:
            weeks[key] = network.add()
        network.join(node_of[kind], weeks[key], capacity=len(times), cost=0)
        most[kind.helper] += len(times)
    people: dict[int, int] = {}
    for number, at_most in most.items():
        people[number] = network.add()
        for more in range(min(at_most, _left_in_all(helpers[number], number, weeks))):
            network.join(people[number], sink, capacity=1, cost=cost_of_load(helpers[number], more))
    for (number, week), node in weeks.items():
        network.join(node, people[number], capacity=_left_in(helpers[number], week), cost=0)
    return node_of


def _left_in(helper: Candidate, week: date) -> int:
    return max(0, helper.visits_per_week - helper.taken.get(week, 0))


def _left_in_all(helper: Candidate, number: int, weeks: Iterable[tuple[int, date]]) -> int:
    return sum(_left_in(helper, week) for each, week in weeks if each == number)


def _give_places(
    requests: Sequence[HelpWanted],
    helpers: Sequence[Candidate],
    edges: Sequence[Sequence[tuple[int, _Kind]]],
    network: Network,
    kinds: Mapping[_Kind, Sequence[FreePlace]],
    free: dict[str, int],
) -> list[Match]:
    """Of each kind of time, the earliest that has a place left to who asked first."""
    left = {kind: list(times) for kind, times in kinds.items()}
    matched = []
    for request, joined in zip(requests, edges, strict=True):
        kind = next((kind for edge, kind in joined if network.is_used(edge)), None)
        if kind is None:
            continue
        place = next((each for each in left[kind] if free[each.slot_id] > 0), None)
        if place is None:
            continue
        left[kind].remove(place)
        free[place.slot_id] -= 1
        helper = helpers[kind.helper]
        reasons = why(request, helper, kind.venue)
        others = {each.helper for _, each in joined}
        if len(others) > 1 and helper.lately == min(helpers[each].lately for each in others):
            reasons = (*reasons, "least_load")
        matched.append(
            Match(
                request_id=request.request_id,
                helper_ref=helper.helper_ref,
                slot_id=place.slot_id,
                reasons=reasons,
            )
        )
    return matched


def _with_visit(helper: Candidate, place: FreePlace) -> Candidate:
    week = monday_of(week_time(place.starts_at, place.ends_at).day)
    return msgspec.structs.replace(
        helper,
        busy=(*helper.busy, (place.starts_at, place.ends_at)),
        taken={**helper.taken, week: helper.taken.get(week, 0) + 1},
        lately=helper.lately + 1,
    )
