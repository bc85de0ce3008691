"""The one-stop visit (まとめて予約): which counter when, so that several procedures are done in one arrival."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby, pairwise
from typing import Any, NamedTuple, Protocol
from uuid import UUID

import msgspec

from services.booking.domain.rules import JST

# Up to so many errands of one person the best chain is found; beyond, so many ways are followed at a time.
EXACT_MAX = 6
BEAM = 300
# With companions there are many more ways: they are followed as far as this.
BEAM_TOGETHER = 100
PEOPLE_MAX = 3
CHAINS_MAX = 3
# Between counters of which the town said nothing: as far as another building.
UNKNOWN_WALK_MIN = 10
MINUTE_S = 60
DAY_S = 24 * 60 * MINUTE_S

Walks = Mapping[tuple[str, str], int]


class Errand(msgspec.Struct, frozen=True, kw_only=True):
    """A procedure to be done: at one of these counters, in so many minutes, after those of `after` that come along.

    With `persons`, one of these (1 …) has to be there for it. `own` are times that only this errand may have.
    """

    procedure: str
    counters: tuple[str, ...]
    minutes: int
    after: tuple[str, ...] = ()
    persons: tuple[int, ...] = ()
    own: tuple[Any, ...] = ()


class SlotAt(Protocol):
    """A time at a counter."""

    @property
    def slot_id(self) -> UUID: ...
    @property
    def counter(self) -> str: ...
    @property
    def starts_at(self) -> datetime: ...
    @property
    def ends_at(self) -> datetime: ...


class FreeSlot(SlotAt, Protocol):
    """A time at a counter with `free` places."""

    @property
    def free(self) -> int: ...


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One errand of a chain. At `done_at` its person (1 …) can go on, which may be before the slot's end."""

    procedure: str
    slot_id: UUID
    counter: str
    starts_at: datetime
    ends_at: datetime
    done_at: datetime
    person: int = 1


class Chain(msgspec.Struct, frozen=True, kw_only=True):
    """All errands of one arrival, in the order of their times."""

    parts: tuple[Part, ...]

    @property
    def arrives_at(self) -> datetime:
        """When the first begins."""
        return self.parts[0].starts_at

    @property
    def done_at(self) -> datetime:
        """When everything is done."""
        return max(part.done_at for part in self.parts)

    @property
    def minutes(self) -> int:
        """The time in the house."""
        return int((self.done_at - self.arrives_at).total_seconds()) // MINUTE_S

    @property
    def people(self) -> int:
        """How many go to counters at the same time."""
        return max(part.person for part in self.parts)


class _At(NamedTuple):
    """The times of a day at one counter, for one errand: seconds, rising, and the slots that they are of."""

    counter: str
    starts: list[int]
    slots: list[Any]


class _Problem(NamedTuple):
    """A day: what can be had where. `before` are bits of the errands that come first, `persons` (0 …) who may go."""

    seconds: list[int]
    before: list[int]
    persons: list[tuple[int, ...]]
    options: list[list[_At]]
    walks: Walks


class _Step(NamedTuple):
    """The last errand of a way, and the way before it."""

    done: int
    errand: int
    counter: str
    slot: Any
    person: int
    start: int
    earlier: "_Step | None"


def walk_min(walks: Walks, here: str, there: str) -> int:
    """Minutes on foot from one counter to another, the same in both directions."""
    if here == there:
        return 0
    known = walks.get((here, there))
    return walks.get((there, here), UNKNOWN_WALK_MIN) if known is None else known


def plan_chains(
    errands: Sequence[Errand],
    free: Sequence[FreeSlot],
    walks: Walks,
    *,
    earliest: datetime,
    until: datetime,
    people: int = 1,
    most: int = CHAINS_MAX,
    near: datetime | None = None,
) -> list[Chain]:
    """The best chain of each of the first days that have one: it ends first, and then keeps people least in the house.

    `earliest` and `until` bound when a slot may begin (notice and horizon); with `near`, the days nearest to that one
    come first. Up to `EXACT_MAX` errands of one person it is the best there is; the same input gives the same chains.
    """
    # One offset all year, for every time that can be booked: asking for each slot would take longest of all.
    offset_s = int((earliest.astimezone(JST).utcoffset() or timedelta()).total_seconds())
    by_day: dict[int, list[FreeSlot]] = {}
    for slot in free:
        if slot.free > 0 and earliest <= slot.starts_at < until:
            by_day.setdefault(_day_of(slot.starts_at, offset_s), []).append(slot)
    wanted = 0 if near is None else _day_of(near, offset_s)
    chains = []
    for day in sorted(by_day, key=lambda day: (abs(day - wanted), day)):
        own = [[slot for slot in errand.own if _day_of(slot.starts_at, offset_s) == day] for errand in errands]
        problem = _problem(errands, by_day[day], own, walks)
        chain = _best_of_day(errands, problem, people) if all(problem.options) else None
        if chain is not None:
            chains.append(chain)
            if len(chains) == most:
                break
    return chains


def find_fault(errands: Sequence[Errand], chain: Chain, walks: Walks, *, one_day: bool = True) -> str | None:
    """Why a chain cannot be walked, or None. Whether its slots are free is not asked.

    `errands`: not each of them once; `counter`: done elsewhere; `person`: by somebody who cannot; `day`: not in one
    arrival (`one_day`); `walk`: somebody would be late; `order`: something that comes first does not.
    """
    known = {errand.procedure: errand for errand in errands}
    parts = {part.procedure: part for part in chain.parts}
    if len(known) != len(errands) or len(parts) != len(chain.parts) or parts.keys() != known.keys():
        return "errands"
    if any(part.counter not in known[part.procedure].counters for part in chain.parts):
        return "counter"
    if any(part.person not in (known[part.procedure].persons or (part.person,)) for part in chain.parts):
        return "person"
    if one_day and len({part.starts_at.astimezone(JST).date() for part in chain.parts}) != 1:
        return "day"
    ordered = sorted(chain.parts, key=lambda part: (part.person, part.starts_at, part.procedure))
    for _person, mine in groupby(ordered, key=lambda part: part.person):
        way = list(mine)
        if any(not _in_time(here, there, walks) for here, there in pairwise(way)):
            return "walk"
    for part in chain.parts:
        for first in (parts[code] for code in known[part.procedure].after if code in parts):
            # By somebody else, it has to be carried over; one's own way was looked at above.
            if first.done_at > part.starts_at or (first.person != part.person and not _in_time(first, part, walks)):
                return "order"
    return None


def make_part(errand: Errand, slot: SlotAt, person: int = 1) -> Part:
    """An errand at this time."""
    return Part(
        procedure=errand.procedure,
        slot_id=slot.slot_id,
        counter=slot.counter,
        starts_at=slot.starts_at,
        ends_at=slot.ends_at,
        done_at=slot.starts_at + timedelta(minutes=max(errand.minutes, 1)),
        person=person,
    )


def make_chain(parts: Sequence[Part]) -> Chain:
    """The parts in the order of their times."""
    return Chain(parts=tuple(sorted(parts, key=lambda part: (part.starts_at, part.counter, part.procedure))))


def apart_min(errands: Sequence[Errand]) -> int:
    """The minutes at the counters when each errand is a visit of its own; the journeys come on top."""
    return sum(max(errand.minutes, 1) for errand in errands)


def _in_time(here: Part, there: Part, walks: Walks) -> bool:
    walk = timedelta(minutes=walk_min(walks, here.counter, there.counter))
    return here.done_at + walk <= there.starts_at


def _day_of(moment: datetime, offset_s: int) -> int:
    """The number of a moment's day in Japan."""
    return (int(moment.timestamp()) + offset_s) // DAY_S


def _problem(
    errands: Sequence[Errand], slots: Sequence[FreeSlot], own: Sequence[Sequence[FreeSlot]], walks: Walks
) -> _Problem:
    wanted = {counter for errand in errands for counter in errand.counters}
    common = _times(slot for slot in slots if slot.counter in wanted)
    options = []
    for errand, mine in zip(errands, own, strict=True):
        known = {slot.slot_id for slot in mine}
        at = _times([*mine, *(slot for slot in slots if slot.slot_id not in known)]) if mine else common
        options.append([at[counter] for counter in sorted(set(errand.counters)) if counter in at])
    number = {errand.procedure: index for index, errand in enumerate(errands)}
    return _Problem(
        seconds=[max(errand.minutes, 1) * MINUTE_S for errand in errands],
        before=[sum(1 << number[code] for code in set(errand.after) if code in number) for errand in errands],
        persons=[tuple(person - 1 for person in errand.persons) for errand in errands],
        options=options,
        walks=walks,
    )


def _times(slots: Iterable[FreeSlot]) -> dict[str, _At]:
    at: dict[str, _At] = {}
    for slot in sorted(slots, key=lambda slot: slot.starts_at):
        here = at.setdefault(slot.counter, _At(slot.counter, [], []))
        here.starts.append(int(slot.starts_at.timestamp()))
        here.slots.append(slot)
    return at


def _mirrored(problem: _Problem) -> _Problem:
    """The same day seen from its end: what came first comes last, and the earliest there is the latest here."""
    count = len(problem.before)
    return _Problem(
        seconds=problem.seconds,
        before=[
            sum(1 << later for later in range(count) if problem.before[later] >> errand & 1) for errand in range(count)
        ],
        persons=problem.persons,
        options=[
            [_At(at.counter, [-start - seconds for start in reversed(at.starts)], at.slots[::-1]) for at in options]
            for options, seconds in zip(problem.options, problem.seconds, strict=True)
        ],
        walks=problem.walks,
    )


def _best_of_day(errands: Sequence[Errand], problem: _Problem, people: int) -> Chain | None:
    """First the earliest end, then, seen from that end, the latest arrival that still reaches it."""
    begin = min(at.starts[0] for options in problem.options for at in options)
    found = _earliest(problem, begin, people)
    if found is None:
        return None
    end = max(step.done for step in found)
    # From the end there may be none where only some ways are followed: then it is the one that was found.
    latest = _earliest(_mirrored(problem), -end, people) or found
    chain = make_chain([make_part(errands[step.errand], step.slot, step.person + 1) for step in latest])
    return chain if any(problem.persons) else _numbered(chain)


def _numbered(chain: Chain) -> Chain:
    """Where it does not matter who goes, people are numbered as they begin."""
    numbers: dict[int, int] = {}
    for part in chain.parts:
        numbers.setdefault(part.person, len(numbers) + 1)
    return Chain(parts=tuple(msgspec.structs.replace(part, person=numbers[part.person]) for part in chain.parts))


def _earliest(problem: _Problem, not_before: int, people: int) -> list[_Step] | None:
    """The steps of the way whose last errand is done first, or None."""
    if people == 1:
        return _way(_ways_alone(problem, not_before, 0).get(_all_of(problem)))
    apart = _apart(problem, not_before, people)
    if apart is not None and not any(problem.before):
        return apart
    # Where one waits for what another does, or for another place, there may be a better one.
    limit = max(step.done for step in apart) if apart else None
    return _together(problem, not_before, people, limit) or apart


def _all_of(problem: _Problem) -> int:
    return (1 << len(problem.before)) - 1


def _ways_alone(problem: _Problem, not_before: int, person: int) -> dict[int, _Step | None]:
    """By bits of errands: how one person does these, and nothing else, first.

    Of all ways through the same errands that end at the same counter, the one done first is enough.
    """
    count = len(problem.before)
    mine = [errand for errand in range(count) if person in (problem.persons[errand] or (person,))]
    best: dict[int, _Step | None] = {0: None}
    ways: dict[tuple[int, str], _Step | None] = {(0, ""): None}
    walks: dict[tuple[str, str], int] = {}
    for _errand in range(count):
        longer: dict[tuple[int, str], _Step] = {}
        for (done, here), step in ways.items():
            since = not_before if step is None else step.done
            for errand in mine:
                if done >> errand & 1 or problem.before[errand] & ~done:
                    continue
                for at in problem.options[errand]:
                    pair = (here, at.counter)
                    walk = walks.get(pair)
                    if walk is None:
                        walk = walks[pair] = walk_min(problem.walks, here, at.counter) * MINUTE_S if here else 0
                    index = bisect_left(at.starts, since + walk)
                    if index == len(at.starts):
                        continue
                    start = at.starts[index]
                    ends = start + problem.seconds[errand]
                    key = (done | 1 << errand, at.counter)
                    known = longer.get(key)
                    if known is None or ends < known.done:
                        longer[key] = _Step(ends, errand, at.counter, at.slots[index], person, start, step)
        if count > EXACT_MAX and len(longer) > BEAM:
            longer = {key: longer[key] for key in sorted(longer, key=lambda key: (longer[key].done, key))[:BEAM]}
        for (done, _), step in longer.items():
            known = best.get(done)
            if known is None or step.done < known.done:
                best[done] = step
        ways = dict(longer)
    return best


def _apart(problem: _Problem, not_before: int, people: int) -> list[_Step] | None:
    """Several people who do not wait for one another: of all ways to share the errands, the one that is done first."""
    shares: list[tuple[int, int, int, tuple[_Step | None, ...]]] = [(not_before, 0, 0, ())]
    for person in range(people):
        alone = _ways_alone(problem, not_before, person)
        longer: dict[int, tuple[int, int, int, tuple[_Step | None, ...]]] = {}
        for until, total, done, lasts in shares:
            for mine, last in alone.items():
                if mine & done:
                    continue
                ends = last.done if last else not_before
                share = (max(until, ends), total + ends, done | mine, (*lasts, last))
                known = longer.get(share[2])
                if known is None or share[:2] < known[:2]:
                    longer[share[2]] = share
        shares = list(longer.values())
    whole = next((lasts for _, _, done, lasts in shares if done == _all_of(problem)), ())
    steps = [step for last in whole for step in _way(last) or ()]
    if not steps or any(_taken(steps, step.slot) > step.slot.free for step in steps):
        return None
    return steps


class _Ways(NamedTuple):
    """What several people have done: until when, all ends added up, bits of errands, and each step."""

    until: int
    total: int
    done: int
    steps: tuple[_Step, ...]


def _together(problem: _Problem, not_before: int, people: int, limit: int | None) -> list[_Step] | None:
    """Several people, each errand by one of them. Ways that come to the same are followed once."""
    ways = [_Ways(not_before, 0, 0, ())]
    for _errand in problem.before:
        longer: dict[object, _Ways] = {}
        for way in ways:
            for step in _next_steps(problem, way, not_before, people):
                if limit is not None and step.done > limit:
                    continue
                until, total = max(way.until, step.done), way.total + step.done
                further = _Ways(until, total, way.done | 1 << step.errand, (*way.steps, step))
                key = _comes_to(problem, further)
                known = longer.get(key)
                if known is None or total < known.total:
                    longer[key] = further
        ways = sorted(longer.values(), key=lambda way: way[:2])[:BEAM_TOGETHER]
    return list(ways[0].steps) if ways else None


def _comes_to(problem: _Problem, way: _Ways) -> object:
    """What matters for how it can go on: who is where since when, what others wait for, and places that are gone."""
    lasts = {step.person: step for step in way.steps}
    since = min(step.done for step in lasts.values())
    needed = 0
    for errand, firsts in enumerate(problem.before):
        if not way.done >> errand & 1:
            needed |= firsts
    people: dict[int, tuple[object, ...]] = {}
    for person, last in lasts.items():
        firsts_done = sorted(
            (step.errand, step.done, step.counter)
            for step in way.steps
            if step.person == person and needed >> step.errand & 1
        )
        people[person] = (last.done, last.counter, *firsts_done)
    gone = tuple(sorted(id(step.slot) for step in way.steps if step.start >= since))
    return way.done, tuple(sorted(people.items() if any(problem.persons) else people.values())), gone


def _next_steps(problem: _Problem, way: _Ways, not_before: int, people: int) -> Iterator[_Step]:
    steps = way.steps
    done = {step.errand: step for step in steps}
    free_since = {step.person: step for step in steps}  # the last one of each
    for errand, before in enumerate(problem.before):
        if way.done >> errand & 1 or before & ~way.done:
            continue
        firsts = [done[first] for first in done if before >> first & 1]
        # Whoever has not begun yet is like any other: one of them is tried. Where it matters who goes, all are.
        persons = problem.persons[errand] or range(people)
        ones = people if any(problem.persons) else len(free_since) + 1
        for person in (each for each in persons if each < min(people, ones)):
            mine = free_since.get(person)
            for at in problem.options[errand]:
                ready = not_before
                for step in (*firsts, *([mine] if mine else [])):
                    is_own_way = step.person == person and step is not mine
                    walk = 0 if is_own_way else walk_min(problem.walks, step.counter, at.counter) * MINUTE_S
                    ready = max(ready, step.done + walk)
                index = bisect_left(at.starts, ready)
                while index < len(at.starts) and _taken(steps, at.slots[index]) >= at.slots[index].free:
                    index += 1
                if index < len(at.starts):
                    start = at.starts[index]
                    ends = start + problem.seconds[errand]
                    yield _Step(ends, errand, at.counter, at.slots[index], person, start, None)


def _taken(steps: Sequence[_Step], slot: Any) -> int:
    return sum(step.slot is slot for step in steps)


def _way(last: _Step | None) -> list[_Step] | None:
    steps = []
    while last is not None:
        steps.append(last)
        last = last.earlier
    return steps[::-1] or None
