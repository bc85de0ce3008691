"""Whatever happens in whatever order: places and appointments are as a plain model (`life_model.py`) has them.

Residents, staff, managers, the worker and the clock take turns; people wait for an earlier time, and enter draws. After
every step all that can be seen is compared: the free times of every procedure, what is kept for whom and until when,
who waits for what, what draws give out and to whom, every appointment, and what was told of it. A refusal must be the
one that the model expects. More of it: `CHOUDO_LIFE_EXAMPLES=1000`.

Seen to fail when an offer stays although its owner has moved, or has not answered; when what is not planned is not
withdrawn; when offers stay where it closes; when cancelled appointments are counted as ahead; when a hold outlives its
visit; when a lapsed hold is missing from the list; when an earlier time stays although nobody has answered; when
whoever has taken one still waits. Not seen: a change refused at the very last moment (test_refusals), an earlier time
that is offered to the same person again (test_waitlist_guards).
"""

import asyncio
import os
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule, run_state_machine_as_test

from services.booking import flow
from services.booking.commands import appointments, draw_entries, draws
from services.booking.commands.appointments import BookAppointment
from services.booking.commands.changes import (
    CancelAppointment,
    ChangeAppointment,
    cancel_appointment,
    change_appointment,
)
from services.booking.commands.closings import CloseTime, close_time, reopen
from services.booking.commands.holds import HoldPlace
from services.booking.commands.line import MoveAlong, move_along
from services.booking.commands.visits import release_hold
from services.booking.commands.waitlist import JoinWaitlist, decline_earlier, join_waitlist, leave_waitlist
from services.booking.commands.waitlist_offers import on_waiting_due
from services.booking.domain.line import ACTIONS, Action
from services.booking.domain.opening import Hours
from services.booking.domain.waitlist import WEEKDAYS, Window
from services.booking.queries.slots import start_of_day
from shared.clock import jst_day
from tests.booking.closing_town import MANAGER
from tests.booking.conftest import TOWN, BookingTown
from tests.booking.life_deeds import DEEDS, STAFF, WHO, Dice, behind, deed, indexes, moments_beside, slots
from tests.booking.life_draws import Draws
from tests.booking.life_model import CANCEL_UNTIL_MIN, HOLD_MIN
from tests.booking.life_opening import HORIZON_DAYS, YES, Appointment, Closed, Codes, Key, RuleModel
from tests.booking.life_town import EVERY_DAY, OTHER_RULES, PROCEDURES, RULES, Seen, expect, id_of, look
from tests.booking.life_waiting import NOTICE_MIN
from tests.booking.opening_town import make_rule, publish

EXAMPLES = int(os.environ.get("CHOUDO_LIFE_EXAMPLES", "0"))
MANY = settings(
    max_examples=EXAMPLES or 30,
    stateful_step_count=50,
    deadline=None,
    derandomize=not EXAMPLES,
    suppress_health_check=list(HealthCheck),
)
# More often a little than much: nobody is there any more on the day after tomorrow.
WAITS_MIN = (1, 1, 9, HOLD_MIN, HOLD_MIN, NOTICE_MIN, 61, 24 * 60)


class Life(Draws):
    """Everything that people, the worker and the clock do."""

    def __init__(self) -> None:
        super().__init__()
        self.known: set[Key] = set()
        self.last: tuple[Callable[[Any], Coroutine[Any, Any, Any]], Any, Any, datetime] | None = None

    def slot(self, procedure: str, index: int) -> Key:
        shown = [key for key, _ in self.model.listed(procedure)]
        keys = shown[:6] if index < 6 and shown else sorted(self.known)
        return keys[index % len(keys)]

    def appointment(self, index: int) -> UUID:
        """Those of today first, and those that are over last."""

        def is_far(item: tuple[UUID, Appointment]) -> tuple[bool, bool]:
            return item[1].state in ("cancelled", "done"), jst_day(item[1].key.starts_at) != jst_day(self.model.now)

        found = sorted(self.model.appointments.items(), key=is_far)
        return found[index % len(found)][0]

    def some_appointment(self) -> bool:
        return bool(self.model.appointments)

    @initialize(first=indexes, second=indexes)
    def some_have_booked(self, first: int, second: int) -> None:
        self.book_at_once("a", "CHI01", first)
        self.book_at_once("b", "RES02", second)

    @rule(data=st.data())
    def go_on(self, data: st.DataObject) -> None:
        able = [each for each in DEEDS for _ in range(each.often) if each.when(self)]
        chosen = data.draw(st.sampled_from(able))
        getattr(self, chosen.name)(**{name: data.draw(drawn, name) for name, drawn in chosen.drawn.items()})

    # --- residents, and staff for them

    @deed(often=3, when=Draws.some_visit, visit=indexes, slot=slots)
    def hold(self, visit: int, slot: int) -> None:
        visit_id = self.visits[-1 - visit % len(self.visits)]
        known = self.model.visits.get(visit_id)
        self.hold_place(visit_id, self.slot(known.procedure if known else "CHI01", slot))

    def hold_place(self, visit_id: UUID, key: Key) -> None:
        known = self.model.visits.get(visit_id)
        order = HoldPlace(
            municipality=TOWN, visit_id=visit_id, visitor=known.owner if known else "a", slot_id=id_of(key),
            key=str(uuid4()), staff=STAFF if known and known.is_staff else None,
        )  # fmt: skip
        refused = self.model.refuse_hold(visit_id, key)
        if held := self.ask(refused, flow.hold(self.town.db, self.rush, order, now=self.town.now)):
            self.model.hold(visit_id, key)
            assert held.held_until == self.model.holds[visit_id].until

    @deed(often=1, when=Draws.some_visit, visit=indexes)
    def release(self, visit: int) -> None:
        visit_id = self.visits[-1 - visit % len(self.visits)]
        known = self.model.visits.get(visit_id)
        refused: Codes = YES if known else frozenset({"visit_unknown"})
        self.ask(refused, self.run(release_hold, TOWN, visit_id, known.owner if known else "a"))
        self.model.holds.pop(visit_id, None)

    @deed(often=3, when=Draws.some_visit, visit=indexes)
    def book(self, visit: int) -> None:
        self.book_held(self.visits[-1 - visit % len(self.visits)])

    def book_held(self, visit_id: UUID) -> None:
        known = self.model.visits.get(visit_id)
        order = BookAppointment(
            municipality=TOWN, visit_id=visit_id, visitor=known.owner if known else "a", key="book",
            staff=STAFF if known and known.is_staff else None,
        )  # fmt: skip
        refused = self.model.refuse_book(visit_id)
        work = flow.book(self.town.db, self.rush, order, self.town.keys, now=self.town.now)
        if booked := self.ask(refused, work):
            self.model.book(visit_id, booked.appointment_id, booked.number)

    @deed(who=st.sampled_from(WHO), procedure=st.sampled_from(sorted(PROCEDURES)), slot=indexes)
    def book_at_once(self, who: str, procedure: str, slot: int) -> None:
        if self.model.listed(procedure):
            self.arrive(who, procedure)
            self.hold_place(self.visits[-1], self.slot(procedure, slot))
            self.book_held(self.visits[-1])

    @deed(often=4, when=some_appointment, appointment=indexes, slot=slots, behind=behind)
    def change(self, appointment: int, slot: int, behind: int) -> None:
        appointment_id = self.appointment(appointment)
        self.change_to(appointment_id, self.slot(self.model.appointments[appointment_id].procedure, slot), behind)

    @deed(often=3, when=lambda self: self.model.offers, offer=indexes)
    def take_an_offer(self, offer: int) -> None:
        offers = list(self.model.offers.items())
        appointment_id, kept = offers[offer % len(offers)]
        self.change_to(appointment_id, kept.key, 0)

    @deed(when=some_appointment, appointment=indexes, after=st.integers(0, HORIZON_DAYS), here=st.booleans())
    def wait_for_earlier(self, appointment: int, after: int, here: bool) -> None:
        """From today or some days later on, up to their own."""
        appointment_id = self.appointment(appointment)
        self.wait_for(appointment_id, after, self.model.appointments[appointment_id].key.counter if here else None)

    @deed(when=some_appointment, answer=st.sampled_from(("take", "decline", "none")))
    def be_offered_an_earlier_time(self, answer: str) -> None:
        """Whose time is last of all waits, the worker looks, and they answer, or not yet."""
        appointment_id, found = max(
            self.model.appointments.items(), key=lambda item: (item[1].state == "booked", item[1].key, item[0])
        )
        self.wait_for(appointment_id, 0, None)
        for counter in PROCEDURES[found.procedure].counters:
            self.look(counter)
        if appointment_id in self.model.offers and answer == "take":
            self.change_to(appointment_id, self.model.offers[appointment_id].key, 0)
        elif appointment_id in self.model.offers and answer == "decline":
            self.say_no(appointment_id)

    def wait_for(self, appointment_id: UUID, after: int, counter: str | None) -> None:
        own_day = jst_day(self.model.appointments[appointment_id].key.starts_at)
        first = jst_day(self.model.now) + timedelta(days=after)
        window = Window(first_day=first, last_day=own_day, weekdays=WEEKDAYS, part="any", counter=counter)
        order = JoinWaitlist(municipality=TOWN, appointment_id=appointment_id, window=window, key=str(uuid4()))
        refused = self.model.refuse_wait(appointment_id, first, self.model.refuse_late(appointment_id))
        if self.ask(refused, self.run(join_waitlist, order)):
            self.model.wait(appointment_id, first, counter)

    @deed(often=1, when=lambda self: self.model.waiting, counter=st.sampled_from(sorted(RULES)))
    def look(self, counter: str) -> None:
        self.do(self.run(on_waiting_due, TOWN, counter))
        self.model.look(counter)

    @deed(often=1, when=lambda self: self.model.waiting, who=indexes)
    def wait_no_more(self, who: int) -> None:
        appointment_id = list(self.model.waiting)[-1 - who % len(self.model.waiting)]
        self.do(self.run(leave_waitlist, TOWN, appointment_id))
        self.model.wait_no_more(appointment_id)

    @deed(when=lambda self: self.model.offers, offer=indexes)
    def decline(self, offer: int) -> None:
        self.say_no(list(self.model.offers)[-1 - offer % len(self.model.offers)])

    def say_no(self, appointment_id: UUID) -> None:
        rows = self.do(
            self.town.rows("SELECT appointment_id, offer_id FROM booking.offered_place WHERE state = 'open'")
        )
        offer_id = dict(tuple(row) for row in rows)[appointment_id]
        self.do(self.run(decline_earlier, TOWN, appointment_id, offer_id))
        self.model.decline(appointment_id)

    def change_to(self, appointment_id: UUID, key: Key, behind: int) -> None:
        version = self.model.appointments[appointment_id].version - behind
        order = ChangeAppointment(
            municipality=TOWN, appointment_id=appointment_id, slot_id=id_of(key), version=version, key=str(uuid4())
        )
        refused = self.model.refuse_change(appointment_id, key, version)
        if changed := self.ask(refused, self.run(change_appointment, order)):
            self.model.change(appointment_id, key)
            self.last = (lambda order: self.run(change_appointment, order), order, changed, self.model.now)

    @deed(when=some_appointment, appointment=indexes, behind=behind)
    def cancel(self, appointment: int, behind: int) -> None:
        self.cancel_it(self.appointment(appointment), behind)

    @deed(often=3, when=lambda self: self.model.winners(), which=indexes, cancels=st.booleans(), works=st.booleans())
    def give_a_seat_back(self, which: int, cancels: bool, works: bool) -> None:
        winners = self.model.winners()
        appointment_id = winners[which % len(winners)]
        others = self.model.listed(self.model.appointments[appointment_id].procedure)
        if cancels or not others:
            self.cancel_it(appointment_id, 0)
        else:
            self.change_to(appointment_id, others[-1 - which % len(others)][0], 0)
        if works:
            self.work()

    @deed(when=lambda self: self.model.winners(), which=indexes, works=st.booleans())
    def give_a_seat_back_where_it_is_closed(self, which: int, works: bool) -> None:
        """And then it is opened again."""
        winners = self.model.winners()
        found = self.model.appointments[winners[which % len(winners)]]
        self.close_from(found.key.counter, found.key.starts_at, found.ends_at, works=False)
        self.cancel_it(winners[which % len(winners)], 0)
        self.work()
        self.reopen(0)
        if works:
            self.work()

    def cancel_it(self, appointment_id: UUID, behind: int) -> None:
        version = self.model.appointments[appointment_id].version - behind
        order = CancelAppointment(municipality=TOWN, appointment_id=appointment_id, version=version, key=str(uuid4()))
        refused = self.model.refuse_old(appointment_id, version)
        if cancelled := self.ask(refused, self.run(cancel_appointment, order)):
            self.model.cancel(appointment_id)
            self.last = (lambda order: self.run(cancel_appointment, order), order, cancelled, self.model.now)

    @deed(often=1, when=lambda self: self.last is not None and self.model.now - self.last[3] < timedelta(days=1))
    def send_it_again(self) -> None:
        """The same answer, whatever has happened since; and the same key is not for anything else."""
        assert self.last is not None
        send, order, answer, _ = self.last
        assert self.do(send(order)) == answer
        self.ask(frozenset({"key_reused"}), send(msgspec.structs.replace(order, version=order.version + 1)))

    # --- the counter, and those who run the town hall

    @deed(often=5, when=some_appointment, appointment=indexes, action=st.sampled_from(ACTIONS), behind=behind)
    def step(self, appointment: int, action: Action, behind: int) -> None:
        appointment_id = self.appointment(appointment)
        version = self.model.appointments[appointment_id].version - behind
        order = MoveAlong(appointment_id=appointment_id, action=action, version=version)
        refused = self.model.refuse_step(appointment_id, action, version)
        if moved := self.ask(refused, self.run(move_along, STAFF, order)):
            self.model.step(appointment_id, action)
            assert moved.state == self.model.appointments[appointment_id].state

    @deed(
        often=1,
        counter=st.sampled_from((None, "7", "8", "3", "9")),
        ahead=st.integers(0, HORIZON_DAYS),
        times=st.sampled_from(((0, 24 * 60), (9 * 60 + 20, 9 * 60 + 40), (10 * 60, 12 * 60))),
        works=st.booleans(),
    )
    def close(self, counter: str | None, ahead: int, times: tuple[int, int], works: bool) -> None:
        midnight = start_of_day(jst_day(self.model.now) + timedelta(days=ahead))
        self.close_from(counter, *(midnight + timedelta(minutes=minute) for minute in times), works=works)

    @deed(when=some_appointment, appointment=indexes, works=st.booleans())
    def close_on_somebody(self, appointment: int, works: bool) -> None:
        found = self.model.appointments[self.appointment(appointment)]
        self.close_from(found.key.counter, found.key.starts_at, found.ends_at, works=works)

    def close_from(self, counter: str | None, starts_at: datetime, ends_at: datetime, *, works: bool) -> None:
        order = CloseTime(
            counter=counter, starts_at=starts_at, ends_at=ends_at, reason="weather", note="", key=str(uuid4())
        )
        is_fit = ends_at > self.model.now and counter != "9"
        if made := self.ask(YES if is_fit else frozenset({"closing_unfit"}), self.run(close_time, MANAGER, order)):
            self.model.close(made.closing_id, Closed(counter, starts_at, ends_at, self.model.now))
        if works:
            self.work()

    @deed(when=lambda self: self.model.closings, closing=indexes)
    def reopen(self, closing: int) -> None:
        closing_id = list(self.model.closings)[-1 - closing % len(self.model.closings)]
        self.ask(YES, self.run(reopen, MANAGER, closing_id))
        self.model.reopen(closing_id)

    @deed(
        counter=st.sampled_from(sorted(RULES)),
        rule=st.sampled_from(OTHER_RULES),
        ahead=st.integers(0, HORIZON_DAYS),
        behind=behind,
    )
    def publish(self, counter: str, rule: RuleModel, ahead: int, behind: int) -> None:
        valid_from = jst_day(self.model.now) + timedelta(days=ahead)
        refused = self.model.refuse_publish(valid_from)
        is_known = any((each.valid_from, each.rule) == (valid_from, rule) for each in self.model.versions[counter])
        if behind and not refused and not is_known:
            refused = frozenset({"rules_moved"})
        new = make_rule(
            slot_min=rule.slot_min, places=rule.places, staff_only=rule.staff,
            hours=(Hours(rule.opens_at, rule.closes_at),), weekdays=EVERY_DAY,
        )  # fmt: skip
        seen = self.model.published[counter] - behind
        if version := self.ask(refused, publish(self.town, new, valid_from, counter=counter, seen=seen)):
            assert version == self.model.publish(counter, valid_from, rule)

    # --- the worker, and the clock

    @deed(often=1, minutes=st.sampled_from(WAITS_MIN))
    def wait(self, minutes: int) -> None:
        self.town.now = self.model.now = self.model.now + timedelta(minutes=minutes)

    @deed(which=st.integers(0, 4), beside=moments_beside)
    def wait_until(self, which: int, beside: timedelta) -> None:
        """A moment before or after something ends or begins, or the very moment."""
        moments = sorted(each for each in self.moments() if each > self.model.now)
        self.town.now = self.model.now = moments[which % len(moments)] + beside

    @deed(when=some_appointment, appointment=indexes, cancels=st.booleans(), slot=slots, beside=moments_beside)
    def move_at_the_last_moment(self, appointment: int, cancels: bool, slot: int, beside: timedelta) -> None:
        found = self.model.appointments[self.appointment(appointment)]
        last = found.key.starts_at - timedelta(minutes=CANCEL_UNTIL_MIN) + beside
        self.town.now = self.model.now = max(self.model.now, last)
        if cancels:
            self.cancel(appointment, 0)
        else:
            self.change(appointment, slot, 0)

    @deed(often=1, when=Draws.some_visit, slot=indexes)
    def hold_at_the_end_of_the_visit(self, slot: int) -> None:
        if known := self.model.visits.get(self.visits[-1]):
            late = known.expires_at - timedelta(minutes=HOLD_MIN) / 2
            self.town.now = self.model.now = max(self.model.now, late)
            self.hold(0, slot)

    @deed(when=lambda self: self.model.holds, hold=indexes, beside=moments_beside, books=st.booleans())
    def let_a_hold_lapse(self, hold: int, beside: timedelta, books: bool) -> None:
        visit_id, kept = list(self.model.holds.items())[-1 - hold % len(self.model.holds)]
        self.town.now = self.model.now = max(self.model.now, kept.until + beside)
        if books:
            self.book_held(visit_id)

    @deed(often=3, when=lambda self: self.model.offers)
    def nobody_answers(self) -> None:
        self.town.now = self.model.now = max(self.model.now, *(each.until for each in self.model.offers.values()))
        self.work()

    def moments(self) -> set[datetime]:
        model = self.model
        found = {kept.until for kept in [*model.holds.values(), *model.offers.values()]}
        found |= {moment for each in model.draws.values() for moment in (each.opens_at, each.closes_at)}
        found |= {visit.expires_at for visit in model.visits.values()} | set(model.due.values())
        for each in model.appointments.values():
            found |= {each.key.starts_at, each.key.starts_at - timedelta(minutes=CANCEL_UNTIL_MIN)}
        for code, procedure in PROCEDURES.items():
            found |= {key.starts_at - procedure.notice for key, _ in model.listed(code)}
        return found | {start_of_day(jst_day(model.now) + timedelta(days=1))}

    @invariant()
    def all_is_as_it_should_be(self) -> None:
        self.known |= self.model.slots.keys()
        seen, expected = self.do(look(self.town)), expect(self.model)
        for what in Seen.__struct_fields__:
            assert getattr(seen, what) == getattr(expected, what), what


async def test_places_and_appointments_live_as_the_rules_say(
    bare_town: BookingTown, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hypothesis is not asynchronous: it has a thread of its own, and every step runs here."""
    dice = Dice()
    for module in (appointments, draws, draw_entries):
        monkeypatch.setattr(module, "secrets", dice)
    here = {"town": bare_town, "loop": asyncio.get_running_loop(), "dice": dice}
    await asyncio.to_thread(run_state_machine_as_test, type("Here", (Life,), here), settings=MANY)
