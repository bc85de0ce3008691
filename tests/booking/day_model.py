"""A day at the counters in plain lists: who is where, and whom the rule calls next. It knows nothing of the product."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from shared.town_pack import QueueRules


@dataclass
class Person:
    """Somebody who came, or is to come. `since`: in the line of this counter."""

    ref: UUID
    counter: str
    starts_at: datetime | None
    since: datetime | None = None
    state: str = "away"
    is_preferred: bool = False
    is_parked: bool = False
    ticket: tuple[str, int] | None = None
    times_done: int = 0


@dataclass
class Call:
    """Somebody was called from the line, as the last of those at this counter."""

    at: datetime
    ref: UUID
    counter: str
    has_time: bool


@dataclass
class Model:
    """What must be true of the day, whatever happens in it."""

    rules: QueueRules
    people: dict[UUID, Person] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)

    def waiting(self, counter: str) -> list[Person]:
        """Who can be called at a counter, in no order."""
        return [
            each for each in self.people.values()
            if each.counter == counter and each.state == "waits" and not each.is_parked
        ]  # fmt: skip

    def whose_turn(self, counter: str, now: datetime, *, besides: tuple[UUID, ...] = ()) -> Person | None:
        """Whom the rule calls next; as if those `besides` had just been called."""
        here = [each for each in self.waiting(counter) if each.ref not in besides]
        if not here:
            return None
        if self.rules.preferred == "first" and (first := _longest([each for each in here if each.is_preferred])):
            return first
        has_come = [each for each in here if self._has_time(each) and each.starts_at and each.starts_at <= now]
        in_time = [each for each in has_come if not self._is_late(each)]
        late = [each for each in has_come if self._is_late(each)]
        timeless = [each for each in here if not self._has_time(each)]
        early = [each for each in here if each not in has_come and each not in timeless]
        if self.rules.preferred == "walk_in":
            timeless += [each for each in early if each.is_preferred]
            early = [each for each in early if not each.is_preferred]
            someone = _longest([each for each in timeless if each.is_preferred]) or _longest(timeless)
            late_one = _longest([each for each in late if each.is_preferred]) or _longest(late)
        else:
            someone, late_one = _longest(timeless), _longest(late)
        booked = min(in_time, key=_by_time) if in_time else late_one
        limit = self.rules.booked_in_a_row
        if someone and (booked is None or 0 < limit <= self._in_a_row(counter, besides)):
            return someone
        return booked or (min(early, key=_by_time) if early else None)

    def note_call(self, person: Person, at: datetime) -> None:
        """They were called from the line."""
        self.calls.append(Call(at, person.ref, person.counter, has_time=self._has_time(person)))
        person.state = "called"

    def take_back_call(self, person: Person) -> None:
        """Their last call was a mistake: it is as if nobody had called."""
        last = max((call for call in self.calls if call.ref == person.ref), key=lambda call: call.at)
        self.calls.remove(last)
        person.state = "waits"

    def _in_a_row(self, counter: str, besides: tuple[UUID, ...]) -> int:
        flags = [call.has_time for call in sorted(self.calls, key=lambda call: call.at) if call.counter == counter]
        flags += [self._has_time(self.people[ref]) for ref in besides]
        count = 0
        for has_time in reversed(flags):
            if not has_time:
                break
            count += 1
        return count

    def _has_time(self, person: Person) -> bool:
        """Whether they are called by a time that they booked: not if they lost it by being late."""
        return person.starts_at is not None and not (self.rules.late == "last" and self._is_late(person))

    def _is_late(self, person: Person) -> bool:
        if person.starts_at is None or person.since is None:
            return False
        return person.since > person.starts_at + timedelta(minutes=self.rules.late_min)


def _longest(people: list[Person]) -> Person | None:
    return min(people, key=lambda each: (each.since, each.ref)) if people else None


def _by_time(person: Person) -> tuple[datetime | None, datetime | None]:
    return person.starts_at, person.since
