"""Of the plain model (`life_model.py`): a counter's places. Rules count from a day on, closings take times out, and
whoever is in a slot stays in it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import NamedTuple
from uuid import UUID

from shared.clock import JST, jst_day

HORIZON_DAYS = 2
NIGHT = time(0, 5)

Codes = frozenset[str]
YES: Codes = frozenset()


class RuleModel(NamedTuple):
    """Open every day from one time to another, in slots of so many minutes and places; some of them are the staff's."""

    opens_at: time
    closes_at: time
    slot_min: int
    places: int
    staff: int = 0


class Published(NamedTuple):
    """A rule, the day from which it counts, and its number."""

    valid_from: date
    rule: RuleModel
    version: int


class Key(NamedTuple):
    """A slot: its counter, and when it begins."""

    starts_at: datetime
    counter: str


class Kept(NamedTuple):
    """A place that is kept for somebody: a hold, or an offer. It is lost where it has closed since.

    `number` says which one it is, of the offers of earlier times.
    """

    key: Key
    until: datetime
    cause: str = "closing"
    number: int = 0
    is_lost: bool = False


@dataclass
class Slot:
    """How many places of which audience."""

    ends_at: datetime
    public: int
    staff: int
    closed: int = 0
    # What a draw gives out, or has given.
    drawn: int = 0
    withdrawn: bool = False

    @property
    def capacity(self) -> int:
        return self.public + self.staff + self.closed + self.drawn


@dataclass
class Appointment:
    """An appointment as its owner and the counter see it."""

    number: str
    owner: str
    procedure: str
    key: Key
    ends_at: datetime
    state: str = "booked"
    version: int = 1
    sequence: int = 0
    closure: str = "none"
    closing_id: UUID | None = None
    ticket_no: int | None = None
    reached: set[str] = field(default_factory=set)
    is_parked: bool = False
    is_preferred: bool = False
    # Where they stood before each step that was not taken back.
    before: list[tuple[str, set[str], bool, bool]] = field(default_factory=list)
    # Sits in a place that a draw gave out.
    is_drawn: bool = False


@dataclass
class Closed:
    """A time in which a counter (None: every one) serves nobody."""

    counter: str | None
    starts_at: datetime
    ends_at: datetime
    closed_at: datetime
    reopened: bool = False

    def meets(self, counter: str, starts_at: datetime, ends_at: datetime) -> bool:
        return self.counter in (None, counter) and self.starts_at < ends_at and starts_at < self.ends_at


def rule_on(versions: Sequence[Published], day: date) -> RuleModel:
    """The newest that has come."""
    return max((found for found in versions if found.valid_from <= day), key=lambda found: found.valid_from).rule


def plan(rule: RuleModel, counter: str, day: date, closed: Sequence[Closed]) -> list[tuple[datetime, datetime]]:
    """The slots of a day: whole ones that no closing meets."""
    times, start = [], datetime.combine(day, rule.opens_at, JST)
    while (end := start + timedelta(minutes=rule.slot_min)) <= datetime.combine(day, rule.closes_at, JST):
        if not any(each.meets(counter, start, end) for each in closed):
            times.append((start, end))
        start = end
    return times


class Opening:
    """The counters' slots, and who is in them. `now` is moved by whoever asks."""

    def __init__(self, now: datetime, rules: dict[str, RuleModel]) -> None:
        self.now = now
        self.versions = {counter: [Published(jst_day(now), rule, 1)] for counter, rule in rules.items()}
        self.published = dict.fromkeys(rules, 1)
        self.slots: dict[Key, Slot] = {}
        self.holds: dict[UUID, Kept] = {}
        self.offers: dict[UUID, Kept] = {}
        self.appointments: dict[UUID, Appointment] = {}
        self.closings: dict[UUID, Closed] = {}
        self.due: dict[tuple[str, str], datetime] = {}
        self.open_horizon()

    def takers(self, key: Key) -> int:
        """How many public places of a slot are somebody's now."""
        kept = [*self.holds.values(), *self.offers.values()]
        return sum(each.key == key and each.until > self.now and not each.is_lost for each in kept) + sum(
            each.key == key and each.state != "cancelled" and not each.is_drawn for each in self.appointments.values()
        )

    def free(self, key: Key) -> int:
        return self.slots[key].public - self.takers(key)

    def refuse_publish(self, valid_from: date) -> Codes:
        return YES if valid_from > jst_day(self.now) else frozenset({"rule_start_unfit"})

    def publish(self, counter: str, valid_from: date, rule: RuleModel) -> int:
        """The version's number: a new one, or the one that says the same already."""
        for found in self.versions[counter]:
            if (found.valid_from, found.rule) == (valid_from, rule):
                return found.version
        self.published[counter] += 1
        kept = [found for found in self.versions[counter] if found.valid_from != valid_from]
        self.versions[counter] = [*kept, Published(valid_from, rule, self.published[counter])]
        self.open_horizon([counter])
        return self.published[counter]

    def open_horizon(self, only: Iterable[str] | None = None) -> None:
        for counter in only or self.versions:
            for offset in range(HORIZON_DAYS + 1):
                self._bring_day(counter, jst_day(self.now) + timedelta(days=offset))
        if only is None:
            tomorrow = jst_day(self.now) + timedelta(days=1)
            self.due["extend_horizon", "town"] = datetime.combine(tomorrow, NIGHT, JST)

    def _bring_day(self, counter: str, day: date) -> None:
        """What nobody is in is made anew; who is in a slot stays, and is joined by nobody if it is not planned."""
        rule = rule_on(self.versions[counter], day)
        closed = [each for each in self.closings.values() if not each.reopened and each.ends_at > self.now]
        times = plan(rule, counter, day, closed)
        planned = {Key(start, counter): end for start, end in times if start > self.now}
        in_the_way = False
        for key in [key for key in self.slots if key.counter == counter and jst_day(key.starts_at) == day]:
            slot = self.slots[key]
            is_planned = planned.get(key) == slot.ends_at
            fits = (slot.capacity, slot.staff, slot.closed) == (rule.places, rule.staff, 0)
            was_withdrawn = slot.withdrawn
            if key.starts_at <= self.now or (is_planned and fits):
                slot.withdrawn = slot.withdrawn and not is_planned
            elif self.takers(key) or slot.drawn or any(each.key == key for each in self.appointments.values()):
                in_the_way, slot.withdrawn = True, not is_planned
            else:
                del self.slots[key]
            if was_withdrawn and not slot.withdrawn and key in self.slots:
                self.renew(key)
        for key, end in planned.items():
            if not any(
                other.counter == counter and other.starts_at < end and key.starts_at < slot.ends_at
                for other, slot in self.slots.items()
            ):
                self.slots[key] = Slot(end, rule.places - rule.staff, rule.staff)
            if in_the_way and key in self.slots and not self.slots[key].withdrawn:
                self._fit(key, rule)

    def _fit(self, key: Key, rule: RuleModel) -> None:
        """Who is in comes first, and a draw; of what is left of the plan, staff have theirs, and the rest is closed."""
        slot, taken = self.slots[key], self.takers(key)
        capacity = max(slot.capacity, rule.places)
        free = max(rule.places - taken - slot.drawn, 0)
        slot.staff = min(rule.staff, free)
        slot.public = taken + free - slot.staff
        slot.closed = capacity - slot.public - slot.staff - slot.drawn

    def renew(self, key: Key) -> None:
        """A slot that was withdrawn is planned again."""
