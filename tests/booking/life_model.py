"""A plain model of places and appointments: what the rules say, in dictionaries, without a database and without care
for speed.

It knows nothing of how the product does it: a place has no row, a slot counts its places. What `refuse_…` returns are
the refusals of which the product must give one; empty: it must do it.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from shared.clock import jst_day
from tests.booking.life_drawing import Drawing, Entry
from tests.booking.life_opening import YES, Appointment, Closed, Codes, Kept, Key, RuleModel
from tests.booking.life_waiting import Procedure

CANCEL_UNTIL_MIN, HOLD_MIN, MOST_AHEAD = 60, 10, 2
VISIT_LIVES, VISIT_KEPT = timedelta(minutes=60), timedelta(days=2)
OFFER_LIVES, OFFER_AT_LEAST = timedelta(hours=24), timedelta(minutes=240)
STEPS = {
    "check-in": ({"booked", "no_show"}, "checked_in"),
    "call": ({"checked_in", "called", "no_show"}, "called"),
    "start": ({"checked_in", "called"}, "serving"),
    "done": ({"called", "serving"}, "done"),
    "no-show": ({"booked", "checked_in", "called"}, "no_show"),
    "park": ({"checked_in", "called"}, "checked_in"),
    "resume": ({"checked_in"}, "checked_in"),
    "prefer": ({"checked_in"}, "checked_in"),
    "unprefer": ({"checked_in"}, "checked_in"),
    # Only the ticket of somebody who walked in; here everybody booked.
    "withdraw": (set(), "cancelled"),
}
LINE = ("checked_in", "called", "serving", "done")


@dataclass
class Visit:
    """Somebody on the way to an appointment."""

    owner: str
    procedure: str
    is_staff: bool
    expires_at: datetime
    appointment_id: UUID | None = None


class Model(Drawing):
    """The town, as it should be."""

    def __init__(self, now: datetime, procedures: dict[str, Procedure], rules: dict[str, RuleModel]) -> None:
        super().__init__(now, procedures, rules)
        self.visits: dict[UUID, Visit] = {}
        self.rolls: Counter[tuple[str, date]] = Counter()

    def listed(self, procedure: str) -> list[tuple[Key, int]]:
        """What somebody who wants to book is shown."""
        wanted = self.procedures[procedure]
        return [
            (key, self.free(key))
            for key, slot in sorted(self.slots.items())
            if key.counter in wanted.counters and slot.public and not self.refuse_unbookable(procedure, key)
        ]

    def refuse_unbookable(self, procedure: str, key: Key) -> Codes:
        wanted = self.procedures[procedure]
        if key.starts_at < self.now + wanted.notice:
            return frozenset({"slot_too_soon"})
        if jst_day(key.starts_at) > jst_day(self.now) + timedelta(days=wanted.horizon_days):
            return frozenset({"slot_too_far"})
        return frozenset({"slot_closed"}) if self.slots[key].withdrawn else YES

    def live_hold(self, visit_id: UUID) -> Kept | None:
        kept = self.holds.get(visit_id)
        return kept if kept and kept.until > self.now else None

    # --- from the visit to the appointment

    def arrive(self, visit_id: UUID, owner: str, procedure: str, *, is_staff: bool) -> None:
        self.visits[visit_id] = Visit(owner, procedure, is_staff, self.now + VISIT_LIVES)

    def refuse_hold(self, visit_id: UUID, key: Key) -> Codes:
        visit = self.visits.get(visit_id)
        if visit is None:
            return frozenset({"visit_unknown"})
        if visit.appointment_id:
            return frozenset({"visit_booked"})
        if visit.expires_at <= self.now:
            return frozenset({"visit_over"})
        if key not in self.slots:
            return frozenset({"slot_unknown"})
        if key.counter not in self.procedures[visit.procedure].counters:
            return frozenset({"slot_unfit"})
        if codes := self.refuse_unbookable(visit.procedure, key):
            return codes
        mine = self.live_hold(visit_id)
        return YES if (mine and mine.key == key) or self.free(key) > 0 else frozenset({"slot_taken"})

    def hold(self, visit_id: UUID, key: Key) -> None:
        """A visit holds one place; holding the same again is the same hold."""
        mine = self.live_hold(visit_id)
        if mine is None or mine.key != key:
            until = min(self.now + timedelta(minutes=HOLD_MIN), self.visits[visit_id].expires_at)
            self.holds[visit_id] = Kept(key, until)

    def refuse_book(self, visit_id: UUID) -> Codes:
        visit = self.visits.get(visit_id)
        if visit is None:
            return frozenset({"visit_unknown"})
        if visit.appointment_id:
            return YES
        if visit.expires_at <= self.now:
            return frozenset({"visit_over"})
        if visit_id not in self.holds:
            return frozenset({"hold_missing"})
        if self.live_hold(visit_id) is None:
            # Whether somebody else has taken the place since is nothing that anybody would care for.
            return frozenset({"hold_expired", "hold_missing"})
        ahead = [
            each
            for each in self.appointments.values()
            if each.owner == visit.owner and each.state == "booked" and each.key.starts_at > self.now
        ]
        if not visit.is_staff and len(ahead) >= MOST_AHEAD:
            return frozenset({"too_many_appointments"})
        return YES

    def book(self, visit_id: UUID, appointment_id: UUID, number: str) -> None:
        """Turn a hold into an appointment, once."""
        visit = self.visits[visit_id]
        if visit.appointment_id:
            assert visit.appointment_id == appointment_id
            return
        assert appointment_id not in self.appointments
        key = self.holds.pop(visit_id).key
        visit.appointment_id = appointment_id
        self.appointments[appointment_id] = Appointment(
            number, visit.owner, visit.procedure, key, self.slots[key].ends_at
        )

    def refuse_enter(self, visit_id: UUID, draw_id: UUID, wishes: Sequence[Key]) -> Codes:
        visit, found = self.visits.get(visit_id), self.draws[draw_id]
        if visit is None:
            return frozenset({"visit_unknown"})
        if visit.appointment_id:
            return frozenset({"visit_booked"})
        if visit.expires_at <= self.now:
            return frozenset({"visit_over"})
        if visit.procedure != found.procedure:
            return frozenset({"draw_other"})
        return self.refuse_wishes(found, wishes)

    def enter(self, visit_id: UUID, draw_id: UUID, wishes: tuple[Key, ...], ticket: str) -> None:
        """Who has entered already has the same ticket again, and other wishes change nothing."""
        visit, found = self.visits[visit_id], self.draws[draw_id]
        known = self.known_entry(draw_id, visit.owner, visit_id, is_staff=visit.is_staff)
        if known is None:
            assert ticket not in found.entries
            found.entries[ticket] = Entry(visit.owner, visit.is_staff, visit_id, wishes)
        else:
            assert ticket == known

    # --- the appointment's owner

    def refuse_late(self, appointment_id: UUID, *, is_closed: bool = False) -> Codes:
        found = self.appointments[appointment_id]
        if found.state == "cancelled":
            return frozenset({"appointment_cancelled"})
        if not (is_closed and found.state == "booked"):
            if found.state != "booked" or self.now >= found.key.starts_at:
                return frozenset({"appointment_started"})
            if self.now > found.key.starts_at - timedelta(minutes=CANCEL_UNTIL_MIN):
                return frozenset({"change_too_late"})
        return YES

    def refuse_old(self, appointment_id: UUID, version: int) -> Codes:
        found = self.appointments[appointment_id]
        if codes := self.refuse_late(appointment_id, is_closed=found.closure != "none"):
            return codes
        return YES if found.version == version else frozenset({"appointment_moved"})

    def refuse_change(self, appointment_id: UUID, key: Key, version: int) -> Codes:
        if codes := self.refuse_old(appointment_id, version):
            return codes
        found = self.appointments[appointment_id]
        if key not in self.slots:
            return frozenset({"slot_unknown"})
        if key == found.key:
            return frozenset({"same_slot"})
        if key.counter not in self.procedures[found.procedure].counters:
            return frozenset({"slot_unfit"})
        if codes := self.refuse_unbookable(found.procedure, key):
            return codes
        offer = self.live_offer(appointment_id)
        return YES if (offer and offer.key == key) or self.free(key) > 0 else frozenset({"slot_taken"})

    def change(self, appointment_id: UUID, key: Key) -> None:
        found = self.appointments[appointment_id]
        if (key.counter, jst_day(key.starts_at)) != (found.key.counter, jst_day(found.key.starts_at)):
            found.ticket_no = None
        self.leave_seat(found)
        found.key, found.ends_at = key, self.slots[key].ends_at
        offer = self.live_offer(appointment_id)
        self.follow_move(appointment_id, took_earlier=bool(offer and (offer.key, offer.cause) == (key, "waiting")))
        self._end(appointment_id)

    def cancel(self, appointment_id: UUID) -> None:
        self.leave_seat(self.appointments[appointment_id])
        self.appointments[appointment_id].state = "cancelled"
        self._end(appointment_id)

    def _end(self, appointment_id: UUID) -> None:
        found = self.appointments[appointment_id]
        found.version, found.sequence = found.version + 1, found.sequence + 1
        found.closure, found.closing_id = "none", None
        self.offers.pop(appointment_id, None)

    # --- the counter

    def refuse_step(self, appointment_id: UUID, action: str, version: int) -> Codes:
        found = self.appointments[appointment_id]
        if found.version != version:
            return frozenset({"line_moved"})
        if jst_day(found.key.starts_at) != jst_day(self.now):
            return frozenset({"not_today"})
        if action == "undo":
            return YES if found.before else frozenset({"step_impossible"})
        already = {
            "park": found.is_parked, "resume": not found.is_parked,
            "prefer": found.is_preferred, "unprefer": not found.is_preferred,
        }.get(action)  # fmt: skip
        if found.state not in STEPS[action][0] or already:
            return frozenset({"step_impossible"})
        if action == "no-show" and "called" not in found.reached and found.key.starts_at > self.now:
            return frozenset({"no_show_too_early"})
        return YES

    def step(self, appointment_id: UUID, action: str) -> None:
        found = self.appointments[appointment_id]
        if action == "undo":
            found.state, found.reached, found.is_parked, found.is_preferred = found.before.pop()
        else:
            found.before.append((found.state, set(found.reached), found.is_parked, found.is_preferred))
            found.state = STEPS[action][1]
            if action in ("prefer", "unprefer"):
                found.is_preferred = action == "prefer"
            else:
                found.is_parked = action == "park"
            if found.state != "no_show":
                upto = LINE[: LINE.index(found.state) + 1]
                found.reached = (found.reached & set(upto)) | set(upto[-1:])
        if found.ticket_no is None and found.state in LINE[:3]:
            roll = (found.key.counter, jst_day(found.key.starts_at))
            self.rolls[roll] += 1
            found.ticket_no = self.rolls[roll]
        found.version += 1

    # --- closings, and what is due

    def close(self, closing_id: UUID, closed: Closed) -> None:
        self.closings[closing_id] = closed
        for appointment_id in self._met(self.offers, closed):
            self.offers[appointment_id] = self.offers[appointment_id]._replace(is_lost=True)
            self.due["closing_offer", str(appointment_id)] = self.now
        for visit_id in self._met(self.holds, closed):
            if self.slots[self.holds[visit_id].key].ends_at > self.now:
                del self.holds[visit_id]
        self.open_horizon()
        self.due["closing", str(closing_id)] = self.now

    def _met(self, kept: dict[UUID, Kept], closed: Closed) -> list[UUID]:
        return [
            ref
            for ref, each in kept.items()
            if each.key in self.slots
            and closed.meets(each.key.counter, each.key.starts_at, self.slots[each.key].ends_at)
        ]

    def reopen(self, closing_id: UUID) -> None:
        if not self.closings[closing_id].reopened:
            self.closings[closing_id].reopened = True
            self.open_horizon()
            self.due["reopening", str(closing_id)] = self.now

    def work(self) -> None:
        """Everything that is due by now, in its order; what it brings about comes after it."""
        doing = {
            "closing": self._ask_all, "reopening": self._give_back, "closing_answer": self._leave_to_staff,
            "closing_offer": self._ask_again, "extend_horizon": self._extend,
            "waiting_answer": self.lapse, "draw": self.draw_lots, "draw_pass_on": self.pass_on,
            "draw_forget": self.forget,
        }  # fmt: skip
        while batch := sorted((at, *ref) for ref, at in self.due.items() if at <= self.now):
            for at, kind, ref in batch:
                if self.due.get((kind, ref)) == at:
                    del self.due[kind, ref]
                    doing[kind](ref)
        self.refuse_left_over()

    def _extend(self, _ref: str) -> None:
        self.open_horizon()
        gone = [ref for ref, visit in self.visits.items() if visit.expires_at < self.now - VISIT_KEPT]
        for visit_id in gone:
            del self.visits[visit_id]

    def _in_order(self) -> Iterator[tuple[UUID, Appointment]]:
        yield from sorted(self.appointments.items(), key=lambda item: (item[1].key.starts_at, item[1].number))

    def _ask_all(self, ref: str) -> None:
        closed = self.closings[UUID(ref)]
        if closed.reopened:
            return
        for appointment_id, found in self._in_order():
            is_met = closed.meets(found.key.counter, found.key.starts_at, found.ends_at)
            if is_met and found.state == "booked" and not found.closing_id and found.key.starts_at > closed.closed_at:
                found.closing_id = UUID(ref)
                self._ask(appointment_id)

    def _ask(self, appointment_id: UUID) -> None:
        found = self.appointments[appointment_id]
        found.closure, found.version = "asked", found.version + 1
        self.offers.pop(appointment_id, None)
        until = self.now + OFFER_LIVES
        if near := self._nearest(found):
            until = min(until, near.starts_at - self.procedures[found.procedure].notice)
            self.offers[appointment_id] = Kept(near, until)
        self.due["closing_answer", str(appointment_id)] = until

    def _nearest(self, found: Appointment) -> Key | None:
        def distance(key: Key) -> tuple[timedelta, bool, Key]:
            return abs(key.starts_at - found.key.starts_at), key.counter != found.key.counter, key

        earliest = self.now + self.procedures[found.procedure].notice + OFFER_AT_LEAST
        near = [key for key, free in self.listed(found.procedure) if free and key.starts_at >= earliest]
        return min((key for key in near if key != found.key), key=distance, default=None)

    def _ask_again(self, ref: str) -> None:
        """What was kept is closed, too."""
        found, kept = self.appointments[UUID(ref)], self.offers.get(UUID(ref))
        if kept and kept.is_lost and found.closure == "asked" and found.state == "booked":
            self._ask(UUID(ref))
        elif kept and kept.is_lost:
            self.end_earlier(UUID(ref))

    def _leave_to_staff(self, ref: str) -> None:
        found = self.appointments[UUID(ref)]
        if found.closure == "asked":
            self.offers.pop(UUID(ref), None)
            if found.state == "booked":
                found.closure, found.version = "staff", found.version + 1

    def _give_back(self, ref: str) -> None:
        for appointment_id, found in self._in_order():
            if found.closing_id != UUID(ref) or found.state != "booked" or found.key.starts_at <= self.now:
                continue
            other = [
                (closed.closed_at, closing_id)
                for closing_id, closed in self.closings.items()
                if not closed.reopened and closed.meets(found.key.counter, found.key.starts_at, found.ends_at)
            ]
            if other:
                found.closing_id = min(other)[1]
            else:
                self.offers.pop(appointment_id, None)
                found.closure, found.closing_id, found.version = "none", None, found.version + 1
