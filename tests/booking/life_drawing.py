"""Of the plain model (`life_model.py`): draws. Their seats are nobody's until they are drawn, and who wins sits in one.

Who is lucky, only the product says (`told`); that it was drawn as the rules want is checked here.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from tests.booking.life_opening import YES, Appointment, Codes, Key, RuleModel
from tests.booking.life_waiting import Procedure, Waiting

# Between the draw and what it gives out, and until when a seat that is given back is passed on.
REST, PASSED_ON_UNTIL = timedelta(hours=24), timedelta(hours=24)
WINDOW_AT_LEAST = timedelta(hours=1)


class Told(NamedTuple):
    """What the product says of a draw: who got what, in the order drawn, and the appointment of who has a seat."""

    result: list[tuple[str, Key | None]]
    appointments: dict[str, tuple[UUID, str]]


@dataclass
class Entry:
    """Who entered, through which visit, and what they would take, the dearest first.

    `told` are the versions of what was published of it.
    """

    owner: str
    is_staff: bool
    visit_id: UUID
    wishes: tuple[Key, ...]
    state: str = "entered"
    appointment_id: UUID | None = None
    told: list[int] = field(default_factory=list)


@dataclass
class Draw:
    """What is given out, to whom, and who waits, in their order."""

    procedure: str
    counter: str
    opens_at: datetime
    closes_at: datetime
    seats: dict[Key, int]
    state: str = "announced"
    entries: dict[str, Entry] = field(default_factory=dict)
    waiting: list[str] = field(default_factory=list)


class Drawing(Waiting):
    """Draws, from what is announced to what is passed on."""

    def __init__(self, now: datetime, procedures: dict[str, Procedure], rules: dict[str, RuleModel]) -> None:
        super().__init__(now, procedures, rules)
        self.draws: dict[UUID, Draw] = {}
        self.told: dict[UUID, Told] = {}

    def draw_of(self, key: Key) -> UUID | None:
        """A slot is in one draw at most that was not called off."""
        found = [draw_id for draw_id, each in self.draws.items() if key in each.seats and each.state != "called_off"]
        assert len(found) <= 1
        return found[0] if found else None

    def empty_seats(self, key: Key) -> int:
        sitting = (each.is_drawn and each.key == key for each in self.appointments.values())
        return self.slots[key].drawn - sum(sitting)

    def winners(self) -> list[UUID]:
        return [ref for ref, each in self.appointments.items() if each.is_drawn and each.state == "booked"]

    # --- a manager

    def to_give_out(self, counter: str, first: datetime, until: datetime) -> dict[Key, int]:
        """Every free public place, but for slots that another draw has given out or will."""
        return {
            key: self.free(key)
            for key, slot in self.slots.items()
            if key.counter == counter and first <= key.starts_at < until and not slot.withdrawn
            if self.free(key) > 0 and self.draw_of(key) is None
        }

    def refuse_announce(
        self, procedure: str, counter: str, times: tuple[datetime, datetime], window: tuple[datetime, datetime]
    ) -> Codes:
        (first, until), (opens_at, closes_at) = times, window
        if closes_at - opens_at < WINDOW_AT_LEAST or first < closes_at + REST:
            return frozenset({"draw_window"})
        if counter not in self.procedures[procedure].counters:
            return frozenset({"draw_unfit"})
        return YES if self.to_give_out(counter, first, until) else frozenset({"draw_no_seats"})

    def announce(
        self, draw_id: UUID, procedure: str, counter: str, times: tuple[datetime, datetime],
        window: tuple[datetime, datetime],
    ) -> None:  # fmt: skip
        seats = self.to_give_out(counter, *times)
        for key, number in seats.items():
            self.slots[key].public -= number
            self.slots[key].drawn += number
        self.draws[draw_id] = Draw(procedure, counter, *window, seats)
        self.due["draw", str(draw_id)] = window[1]
        self.due["draw_forget", str(draw_id)] = max(seats).starts_at

    def refuse_call_off(self, draw_id: UUID) -> Codes:
        found = self.draws[draw_id]
        if found.state == "called_off" or (found.state == "announced" and self.now < found.closes_at):
            return YES
        return frozenset({"draw_decided"})

    def call_off(self, draw_id: UUID) -> None:
        found = self.draws[draw_id]
        if found.state == "called_off":
            return
        self._open_rest(found.seats)
        found.state = "called_off"
        for entry in found.entries.values():
            entry.told += [1] if entry.state == "entered" else []
        for kind in ("draw", "draw_forget"):
            del self.due[kind, str(draw_id)]

    # --- people

    def refuse_wishes(self, found: Draw, wishes: Sequence[Key]) -> Codes:
        if self.now < found.opens_at:
            return frozenset({"draw_not_open"})
        if self.now >= found.closes_at or found.state != "announced":
            return frozenset({"draw_closed"})
        is_fit = 0 < len(wishes) == len(set(wishes)) and set(wishes) <= found.seats.keys()
        return YES if is_fit else frozenset({"draw_wishes"})

    def known_entry(self, draw_id: UUID, owner: str, visit_id: UUID, *, is_staff: bool) -> str | None:
        """A person enters once. Staff enter for many: theirs are told apart by whom a visit is for."""
        for ticket, each in self.draws[draw_id].entries.items():
            is_same = each.visit_id == visit_id or (each.owner == owner and not is_staff and not each.is_staff)
            if each.state == "entered" and is_same:
                return ticket
        return None

    def refuse_change_entry(self, draw_id: UUID, ticket: str, wishes: Sequence[Key]) -> Codes:
        entry = self.draws[draw_id].entries[ticket]
        if entry.appointment_id:
            return frozenset({"draw_won"})
        if not wishes:
            return YES
        if entry.state == "withdrawn":
            return frozenset({"draw_withdrawn"})
        return self.refuse_wishes(self.draws[draw_id], wishes)

    def change_entry(self, draw_id: UUID, ticket: str, wishes: tuple[Key, ...]) -> None:
        entry = self.draws[draw_id].entries[ticket]
        if wishes:
            entry.wishes = wishes
        else:
            entry.state = "withdrawn"

    def leave_seat(self, found: Appointment) -> None:
        """Who moves or cancels gives back what they won: the next who waits shall get it."""
        if found.is_drawn:
            found.is_drawn = False
            self.due["draw_pass_on", str(self.draw_of(found.key))] = self.now

    # --- the worker

    def draw_lots(self, ref: str) -> None:
        """Each got the dearest of their wishes that was left, and nobody's dearer wish is left over."""
        found, told = self.draws[UUID(ref)], self.told[UUID(ref)]
        entered = {ticket: entry for ticket, entry in found.entries.items() if entry.state == "entered"}
        assert sorted(ticket for ticket, _ in told.result) == sorted(entered)
        given = Counter(key for _, key in told.result if key)
        assert all(given[key] <= seats for key, seats in found.seats.items())
        found.state = "drawn"
        for ticket, key in told.result:
            wishes = entered[ticket].wishes
            dearer = wishes if key is None else wishes[: wishes.index(key)]
            assert all(given[each] == found.seats[each] for each in dearer)
            if key is None:
                found.waiting.append(ticket)
                entered[ticket].told.append(1)
            else:
                self._give(found, ticket, key, told)
        self._open_rest(found.seats)
        for closing_id, closed in self.closings.items():
            met = (closed.meets(key.counter, key.starts_at, self.slots[key].ends_at) for key in found.seats)
            if not closed.reopened and any(met):
                self.due["closing", str(closing_id)] = self.now

    def _give(self, found: Draw, ticket: str, key: Key, told: Told) -> None:
        entry = found.entries[ticket]
        appointment_id, number = told.appointments[ticket]
        assert entry.appointment_id is None
        assert appointment_id not in self.appointments
        assert self.empty_seats(key) > 0
        entry.appointment_id = appointment_id
        self.appointments[appointment_id] = Appointment(
            number, entry.owner, found.procedure, key, self.slots[key].ends_at, is_drawn=True
        )

    def _open_rest(self, keys: Sequence[Key] | dict[Key, int]) -> None:
        for key in keys:
            if key in self.slots:
                rest = self.empty_seats(key)
                self.slots[key].public += rest
                self.slots[key].drawn -= rest

    def pass_on(self, ref: str) -> None:
        """The next who would take it gets it; if nobody would, or it is too near, it is everybody's."""
        found, told = self.draws[UUID(ref)], self.told[UUID(ref)]
        for key in sorted(found.seats):
            if key not in self.slots or self.slots[key].withdrawn or key.starts_at <= self.now:
                continue
            while self.empty_seats(key):
                next_one = self._next_for(found, key)
                if next_one is None:
                    self._open_rest([key])
                else:
                    self._give(found, next_one, key, told)
                    found.entries[next_one].told.append(2)

    def _next_for(self, found: Draw, key: Key) -> str | None:
        if key.starts_at < self.now + PASSED_ON_UNTIL:
            return None
        for ticket in found.waiting:
            entry = found.entries[ticket]
            if entry.state == "entered" and entry.appointment_id is None and key in entry.wishes:
                return ticket
        return None

    def forget(self, _ref: str) -> None:
        """What was kept of those who wait. Nobody sees it."""

    def renew(self, key: Key) -> None:
        """It is open again. What was given back while it was closed waits for nobody but the next."""
        if self.empty_seats(key) and (draw_id := self.draw_of(key)) and self.draws[draw_id].state == "drawn":
            self.due["draw_pass_on", str(draw_id)] = self.now

    def refuse_left_over(self) -> None:
        """When all that is due is done, no seat of a draw is kept from those who want it."""
        for draw_id, found in self.draws.items():
            for key in found.seats if found.state == "drawn" else ():
                is_open = key in self.slots and not self.slots[key].withdrawn and key.starts_at > self.now
                assert not (is_open and self.draw_of(key) == draw_id and self.empty_seats(key))
