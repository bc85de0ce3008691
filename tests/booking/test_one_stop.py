"""The best chain of errands: against brute force where that is possible, by an independent check everywhere."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import product
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.booking.domain.one_stop import (
    EXACT_MAX,
    UNKNOWN_WALK_MIN,
    Chain,
    Errand,
    Part,
    apart_min,
    find_fault,
    make_chain,
    make_part,
    plan_chains,
    walk_min,
)

# A Monday, 9:00 in Japan.
NINE = datetime(2026, 6, 1, 0, 0, tzinfo=UTC)
DAY = timedelta(days=1)
COUNTERS = "234"
WALKS = {("2", "3"): 1, ("2", "4"): 3, ("3", "4"): 3}


class Slot(msgspec.Struct, frozen=True, kw_only=True):
    slot_id: UUID
    counter: str
    starts_at: datetime
    ends_at: datetime
    free: int = 1


def make_slot(number: int, counter: str, minute: int, *, day: int = 0, free: int = 1, length: int = 30) -> Slot:
    starts_at = NINE + day * DAY + timedelta(minutes=minute)
    return Slot(
        slot_id=UUID(int=number),
        counter=counter,
        starts_at=starts_at,
        ends_at=starts_at + timedelta(minutes=length),
        free=free,
    )


def make_slots(*times: tuple[str, int], day: int = 0, free: int = 1) -> list[Slot]:
    return [make_slot(number, counter, minute, day=day, free=free) for number, (counter, minute) in enumerate(times)]


def plan(errands: Sequence[Errand], slots: Sequence[Slot], **changes: object) -> list[Chain]:
    wanted: dict[str, object] = {"earliest": NINE, "until": NINE + 60 * DAY}
    return plan_chains(errands, slots, WALKS, **(wanted | changes))  # type: ignore[arg-type]


def is_sound(  # noqa: C901  every rule, one after the other
    errands: Sequence[Errand],
    slots: Sequence[Slot],
    parts: Sequence[Part],
    walks: dict[tuple[str, str], int],
    people: int,
) -> bool:
    """Every rule once more, written without a look at the planner's."""
    by_code = {part.procedure: part for part in parts}
    if sorted(by_code) != sorted(errand.procedure for errand in errands) or len(parts) != len(errands):
        return False
    taken = Counter(part.slot_id for part in parts)
    known = {slot.slot_id: slot for slot in slots}
    if any(count > known[slot_id].free for slot_id, count in taken.items()):
        return False
    if len({(part.starts_at + timedelta(hours=9)).date() for part in parts}) > 1:
        return False
    if {part.person for part in parts} - set(range(1, people + 1)):
        return False
    if any(errand.persons and by_code[errand.procedure].person not in errand.persons for errand in errands):
        return False
    for errand in errands:
        part = by_code[errand.procedure]
        slot = known[part.slot_id]
        if slot.counter not in errand.counters or (slot.counter, slot.starts_at) != (part.counter, part.starts_at):
            return False
        if part.done_at != part.starts_at + timedelta(minutes=errand.minutes):
            return False
    for one, other in product(parts, parts):
        if one is other:
            continue
        way = timedelta(minutes=0 if one.counter == other.counter else walks.get(
            (one.counter, other.counter), walks.get((other.counter, one.counter), UNKNOWN_WALK_MIN)))  # fmt: skip
        is_after = one.procedure in next(e.after for e in errands if e.procedure == other.procedure)
        if one.person != other.person:
            if is_after and one.done_at + way > other.starts_at:
                return False
            continue
        # The same person is at one place at a time, and has walked from the one to the next.
        if (one.starts_at, one.procedure) < (other.starts_at, other.procedure):
            between = [p for p in parts if p.person == one.person and one.starts_at < p.starts_at < other.starts_at]
            if not between and one.done_at + way > other.starts_at:
                return False
        elif is_after:
            return False
    return True


def all_chains(errands: Sequence[Errand], slots: Sequence[Slot], walks: dict[tuple[str, str], int],
               people: int) -> Iterator[Chain]:  # fmt: skip
    fitting = [[slot for slot in slots if slot.counter in errand.counters] for errand in errands]
    for chosen in product(*fitting):
        for persons in product(range(1, people + 1), repeat=len(errands)):
            parts = [make_part(*each) for each in zip(errands, chosen, persons, strict=True)]
            if is_sound(errands, slots, parts, walks, people):
                yield make_chain(parts)


@st.composite
def towns(
    draw: st.DrawFn, *, errands: int, slots: int, days: int = 1, persons: tuple[tuple[int, ...], ...] = ((),)
) -> tuple[list[Errand], list[Slot]]:
    """A few errands, each perhaps after some of those before it, and a few slots on a grid of five minutes."""
    wanted = []
    for number in range(draw(st.integers(1, errands))):
        before = [f"P{other}" for other in range(number)]
        wanted.append(
            Errand(
                procedure=f"P{number}",
                counters=tuple(draw(st.lists(st.sampled_from(COUNTERS), min_size=1, max_size=2, unique=True))),
                minutes=draw(st.sampled_from((5, 10, 15, 25))),
                after=tuple(draw(st.lists(st.sampled_from(before), unique=True, max_size=2))) if before else (),
                persons=draw(st.sampled_from(persons)),
            )
        )
    times = draw(
        st.lists(
            st.tuples(st.integers(0, days - 1), st.sampled_from(COUNTERS), st.integers(0, 20), st.integers(1, 2)),
            max_size=slots,
            unique_by=lambda each: each[:3],
        )
    )
    return draw(st.permutations(wanted)), [
        make_slot(number, counter, five * 5, day=day, free=free, length=5)
        for number, (day, counter, five, free) in enumerate(times)
    ]


def worth(chain: Chain) -> tuple[datetime, timedelta]:
    return chain.done_at, chain.done_at - chain.arrives_at


@settings(max_examples=400, deadline=None)
@given(towns(errands=4, slots=9, days=2))
def test_of_one_person_it_is_the_best_there_is(town: tuple[list[Errand], list[Slot]]) -> None:
    """Seen to fail without the second look from the end: people waited in the house for nothing."""
    errands, slots = town
    best = min((worth(chain) for chain in all_chains(errands, slots, WALKS, 1)), default=None)
    chains = plan(errands, slots)
    assert (worth(chains[0]) if chains else None) == best


@settings(max_examples=100, deadline=None)
@given(towns(errands=4, slots=6))
def test_with_a_companion_it_is_the_best_there_is(town: tuple[list[Errand], list[Slot]]) -> None:
    errands, slots = town
    best = min((worth(chain) for chain in all_chains(errands, slots, WALKS, 2)), default=None)
    chains = plan(errands, slots, people=2)
    assert (worth(chains[0]) if chains else None) == best


@settings(max_examples=150, deadline=None)
@given(towns(errands=3, slots=6, persons=((), (1,), (2,))))
def test_where_it_matters_who_goes_it_is_the_best_there_is(town: tuple[list[Errand], list[Slot]]) -> None:
    """Seen to fail where whoever has not begun is like any other, and where people are numbered as they begin."""
    errands, slots = town
    best = min((worth(chain) for chain in all_chains(errands, slots, WALKS, 2)), default=None)
    chains = plan(errands, slots, people=2)
    assert (worth(chains[0]) if chains else None) == best
    assert all(find_fault(errands, chain, WALKS) is None for chain in chains)


@settings(max_examples=150, deadline=None)
@given(towns(errands=4, slots=8, days=2), st.data())
def test_with_times_of_ones_own_it_is_the_best_there_is(
    town: tuple[list[Errand], list[Slot]], data: st.DataObject
) -> None:
    """What is had already counts as free, for its own errand alone."""
    errands, slots = town
    full = {slot.slot_id: errand for slot, errand in zip(slots[::2], errands, strict=False)
            if slot.counter in errand.counters}  # fmt: skip
    free = [msgspec.structs.replace(slot, free=0) if slot.slot_id in full else slot for slot in slots]
    owning = [
        msgspec.structs.replace(errand, own=tuple(slot for slot in slots if full.get(slot.slot_id) is errand))
        for errand in errands
    ]
    possible = [chain for chain in all_chains(errands, slots, WALKS, 1)
                if all(full.get(part.slot_id, errands[0]).procedure == part.procedure
                       or part.slot_id not in full for part in chain.parts)]  # fmt: skip
    # The days that have something free.
    days = {(slot.starts_at + timedelta(hours=9)).date() for slot in free if slot.free}
    possible = [chain for chain in possible if (chain.arrives_at + timedelta(hours=9)).date() in days]
    best = min((worth(chain) for chain in possible), default=None)
    chains = plan(owning, free)
    assert (worth(chains[0]) if chains else None) == best
    near = data.draw(st.integers(0, 1))
    nearest = plan(owning, free, near=NINE + near * DAY)
    wanted = sorted(
        {chain.arrives_at.date() for chain in possible}, key=lambda day: abs((day - NINE.date()).days - near)
    )
    assert [chain.arrives_at.date() for chain in nearest] == wanted


@settings(max_examples=200, deadline=None)
@given(towns(errands=9, slots=60, days=3), st.integers(1, 3))
def test_whatever_is_found_keeps_every_rule_and_comes_again(town: tuple[list[Errand], list[Slot]], people: int) -> None:
    errands, slots = town
    chains = plan(errands, slots, people=people)
    for chain in chains:
        assert is_sound(errands, slots, chain.parts, WALKS, people)
        assert find_fault(errands, chain, WALKS) is None
        assert chain.minutes * 60 == (chain.done_at - chain.arrives_at).total_seconds()
    days = [chain.arrives_at.date() for chain in chains]
    assert days == sorted(set(days))
    assert plan(errands, slots[::-1], people=people) == plan(errands, slots, people=people)


@settings(max_examples=300, deadline=None)
@given(towns(errands=4, slots=8, days=2), st.data())
def test_a_chain_that_somebody_made_up_is_judged_alike(
    town: tuple[list[Errand], list[Slot]], data: st.DataObject
) -> None:
    errands, slots = town
    if not slots:
        return
    parts = [make_part(errand, data.draw(st.sampled_from(slots)), data.draw(st.integers(1, 2))) for errand in errands]
    # Whether the slots are free is not its question.
    roomy = [msgspec.structs.replace(slot, free=9) for slot in slots]
    assert (find_fault(errands, Chain(parts=tuple(parts)), WALKS) is None) == is_sound(errands, roomy, parts, WALKS, 2)


RESIDENCE = Errand(procedure="RES02", counters=("3",), minutes=40)
ALLOWANCE = Errand(procedure="CHI02", counters=("4",), minutes=20, after=("RES02", "FAM02"))
IN_PERSON = Errand(procedure="CHI02", counters=("4",), minutes=20, after=("RES02", "FAM02"), persons=(1,))
DOG = Errand(procedure="ENV01", counters=("2",), minutes=10)


def test_what_comes_first_comes_first_and_the_wait_is_used() -> None:
    slots = make_slots(("3", 0), ("3", 45), ("4", 0), ("4", 45), ("4", 90), ("2", 0), ("2", 30), ("2", 65))
    (chain,) = plan([ALLOWANCE, RESIDENCE, DOG], slots)
    # The move at 9:00 would leave the dog for after the allowance, a walk too near: it ends as late, and begins sooner.
    assert [part.procedure for part in chain.parts] == ["ENV01", "RES02", "CHI02"]
    assert (chain.done_at, chain.minutes) == (NINE + timedelta(minutes=110), 80)


def test_a_walk_that_is_a_minute_too_long_is_too_long() -> None:
    quick = Errand(procedure="A", counters=("2",), minutes=10)
    then = Errand(procedure="B", counters=("4",), minutes=10, after=("A",))
    (chain,) = plan([quick, then], make_slots(("2", 0), ("4", 13)))
    assert chain.minutes == 23
    assert plan([quick, then], make_slots(("2", 0), ("4", 12))) == []


def test_notice_and_horizon_bound_when_a_slot_begins() -> None:
    slots = make_slots(("2", 0), ("2", 30))
    at = NINE + timedelta(minutes=30)
    assert [chain.arrives_at for chain in plan([DOG], slots, earliest=at)] == [at]
    assert plan([DOG], slots, earliest=at + timedelta(seconds=1)) == []
    assert [chain.arrives_at for chain in plan([DOG], slots, until=at)] == [NINE]
    assert plan([DOG], slots, until=NINE) == []


def test_a_full_slot_is_none_and_one_place_is_for_one_person() -> None:
    again = msgspec.structs.replace(DOG, procedure="ENV02")
    assert plan([DOG], make_slots(("2", 0), free=0)) == []
    assert plan([DOG, again], make_slots(("2", 0), free=1), people=2) == []
    (both,) = plan([DOG, again], make_slots(("2", 0), free=2), people=2)
    assert (both.people, both.minutes) == (2, 10)


def test_the_best_of_each_of_the_first_days() -> None:
    slots = [make_slot(10 * day + number, "2", 30 * number, day=day) for day in range(5) for number in range(2)]
    chains = plan([DOG], slots)
    assert [chain.arrives_at for chain in chains] == [NINE, NINE + DAY, NINE + 2 * DAY]
    assert len(plan([DOG], slots, most=1)) == 1


def test_what_waits_for_each_other_has_no_chain() -> None:
    one = Errand(procedure="A", counters=("2",), minutes=5, after=("B",))
    other = Errand(procedure="B", counters=("3",), minutes=5, after=("A",))
    assert plan([one, other], make_slots(("2", 0), ("3", 0), ("2", 60), ("3", 60))) == []


def test_walks_are_the_same_in_both_directions_and_long_where_nobody_said() -> None:
    assert walk_min(WALKS, "4", "2") == walk_min(WALKS, "2", "4") == 3
    assert walk_min(WALKS, "2", "2") == 0
    assert walk_min(WALKS, "2", "x") == UNKNOWN_WALK_MIN


def test_apart_each_errand_is_a_visit() -> None:
    assert apart_min([RESIDENCE, ALLOWANCE, DOG]) == 70


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"counter": "2"}, "counter"),
        ({"person": 2}, "person"),
        ({"procedure": "XXX01"}, "errands"),
        ({"starts_at": NINE + DAY, "done_at": NINE + DAY}, "day"),
        ({"starts_at": NINE, "done_at": NINE + timedelta(minutes=20)}, "walk"),
        ({"starts_at": NINE, "done_at": NINE + timedelta(minutes=20), "person": 2}, "order"),
    ],
)
def test_a_fault_is_named(change: dict[str, object], fault: str) -> None:
    slots = make_slots(("3", 0), ("4", 45))
    (chain,) = plan([RESIDENCE, ALLOWANCE], slots)
    move, allowance = chain.parts
    broken = Chain(parts=(move, msgspec.structs.replace(allowance, **change)))
    asked = IN_PERSON if fault == "person" else ALLOWANCE
    assert find_fault([RESIDENCE, asked], broken, WALKS) == fault


def test_ten_errands_are_done_one_after_the_other() -> None:
    errands = [Errand(procedure=f"P{number}", counters=(COUNTERS[number % 3],), minutes=10) for number in range(10)]
    assert len(errands) > EXACT_MAX
    slots = [make_slot(100 * int(counter) + five, counter, 15 * five) for counter in COUNTERS for five in range(20)]
    (chain,) = plan(errands, slots)
    assert is_sound(errands, slots, chain.parts, WALKS, 1)
    # A quarter of an hour for each, and none is left out.
    assert chain.minutes == 9 * 15 + 10
