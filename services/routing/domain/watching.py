"""Unusual reading of residents' data by staff and helpers: named rules over who looked at whom, and when.

The limits are the town's. They find what is worth a question, and prove nothing: whoever has much to do looks often.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Container, Hashable, Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import Literal, get_args
from uuid import NAMESPACE_URL, UUID, uuid5

import msgspec

from services.routing.domain.town_days import JST, is_working_time

Rule = Literal["one_person", "many_people", "out_of_hours"]
RULES: tuple[Rule, ...] = get_args(Rule)

# How far back the officer looks.
WATCHED = timedelta(days=30)
# One person looked up so often by the same member of staff.
ONE_PERSON_LOOKS, ONE_PERSON_WITHIN = 15, timedelta(days=7)
# So many people looked up by the same member of staff.
MANY_PEOPLE, MANY_PEOPLE_WITHIN = 20, timedelta(minutes=10)


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody of the town's people read items of a person. What was read at one moment is one look."""

    occurred_at: datetime
    actor_ref: str
    actor_kind: str
    subject_ref: UUID
    office: str | None
    procedure: str | None
    # The counter's line, which shows everybody who comes today to whoever calls them.
    is_line: bool = False


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule found: whose looks, how many, of how many people, when, and for which offices and procedures.

    Its id stays while nothing is added: a later look makes it another finding, which nobody has checked yet.
    """

    finding_id: UUID
    rule: Rule
    actor_ref: str
    actor_kind: str
    looks: int
    people: int
    first_at: datetime
    last_at: datetime
    offices: tuple[str, ...]
    procedures: tuple[str, ...]


def find_unusual(looks: Sequence[Look], holidays: Container[date]) -> list[Finding]:
    """What the rules find in these looks, the newest first."""
    in_order = sorted(looks, key=lambda look: look.occurred_at)
    found = [
        *_one_person(in_order),
        *_many_people(in_order),
        *_out_of_hours(in_order, holidays),
    ]
    return sorted(found, key=lambda finding: (finding.last_at, finding.finding_id.hex), reverse=True)


def _one_person(looks: Sequence[Look]) -> Iterator[Finding]:
    """The same person, again and again."""
    for theirs in _grouped(looks, lambda look: (look.actor_ref, look.subject_ref)):
        for burst in _bursts(theirs, ONE_PERSON_WITHIN, ONE_PERSON_LOOKS, lambda look: look.occurred_at):
            yield _finding("one_person", burst, about=str(burst[0].subject_ref))


def _many_people(looks: Sequence[Look]) -> Iterator[Finding]:
    """One after the other, faster than anybody works. The line of the day is everybody's at once: it does not count."""
    for theirs in _grouped([look for look in looks if not look.is_line], lambda look: look.actor_ref):
        for burst in _bursts(theirs, MANY_PEOPLE_WITHIN, MANY_PEOPLE, lambda look: look.subject_ref):
            yield _finding("many_people", burst)


def _out_of_hours(looks: Sequence[Look], holidays: Container[date]) -> Iterator[Finding]:
    """When the town hall is closed: all of a day together. Helpers have no hours."""
    late = [look for look in looks if look.actor_kind == "staff" and not is_working_time(look.occurred_at, holidays)]
    for theirs in _grouped(late, lambda look: (look.actor_ref, look.occurred_at.astimezone(JST).date())):
        yield _finding("out_of_hours", theirs)


def _grouped(looks: Sequence[Look], key: Callable[[Look], Hashable]) -> Iterator[list[Look]]:
    groups: defaultdict[Hashable, list[Look]] = defaultdict(list)
    for look in looks:
        groups[key(look)].append(look)
    yield from groups.values()


def _bursts(
    looks: Sequence[Look], within: timedelta, limit: int, what: Callable[[Look], Hashable]
) -> Iterator[list[Look]]:
    """The looks (in order) of every stretch no longer than `within` that has `limit` different ones; what meets is one.

    At most one step for each look: a machine that reads everybody must not keep the officer's page busy.
    """
    window: Counter[Hashable] = Counter()
    burst: list[Look] = []
    start = taken = 0
    for end, look in enumerate(looks):
        window[what(look)] += 1
        while look.occurred_at - looks[start].occurred_at > within:
            gone = what(looks[start])
            window[gone] -= 1
            if not window[gone]:
                del window[gone]
            start += 1
        if len(window) < limit:
            continue
        if burst and start >= taken:
            yield burst
            burst = []
        burst += looks[taken if burst else start : end + 1]
        taken = end + 1
    if burst:
        yield burst


def _finding(rule: Rule, looks: Sequence[Look], about: str = "") -> Finding:
    actor, last_at = looks[0].actor_ref, looks[-1].occurred_at
    return Finding(
        finding_id=uuid5(NAMESPACE_URL, f"watch:{rule}/{actor}/{about}/{last_at.isoformat()}"),
        rule=rule,
        actor_ref=actor,
        actor_kind=looks[0].actor_kind,
        looks=len({(look.occurred_at, look.subject_ref) for look in looks}),
        people=len({look.subject_ref for look in looks}),
        first_at=looks[0].occurred_at,
        last_at=last_at,
        offices=tuple(sorted({look.office for look in looks if look.office})),
        procedures=tuple(sorted({look.procedure for look in looks if look.procedure})),
    )
