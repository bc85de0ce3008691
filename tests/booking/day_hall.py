"""A simulated day: some hundred people at nine counters, through the product's own commands, beside a plain model.

The same seed is the same day. Who comes when, how long everything takes and what goes wrong is drawn beforehand.
"""

import asyncio
import heapq
import random
from collections.abc import Awaitable, Callable
from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import text

from services.booking.commands.calling_next import CallNext, call_next
from services.booking.commands.kiosk import BookAtKiosk, book_at_kiosk, take_ticket_at_kiosk
from services.booking.commands.line import MoveAlong, check_in_by_number, move_along
from services.booking.commands.opening import load_opening_rules
from services.booking.commands.steps import Moved, standing_of, take_step
from services.booking.commands.walk_ins import TakeWalkIn, take_walk_in
from services.booking.consumers import on_catalogue_published
from services.booking.domain.line import Action
from services.booking.domain.rules import Policy
from services.booking.flow import Rush
from services.booking.keys import Keys
from services.booking.queries.kiosk import list_kiosk_times
from services.booking.queries.waits import ToldError, measure_told
from shared.clock import JST
from shared.db import Database
from shared.errors import Refusal
from shared.events.routing import CataloguePublished, CounterEntry, ProcedureEntry
from shared.tokens import Identity
from shared.town_pack import BookingRules, Counter, NoticeRules, Opening, QueueRules, TownFacts, TownPack
from tests.booking.day_model import Model, Person

DAY = date(2026, 6, 1)
COUNTERS = "123456789"
# What the catalogue says that it takes at each, and how many serve there.
MINUTES = {"1": 5, "2": 10, "3": 20, "4": 15, "5": 10, "6": 15, "7": 20, "8": 10, "9": 20}
STAFF = {"1": 1, "2": 1, "3": 3, "4": 2, "5": 2, "6": 2, "7": 3, "8": 2, "9": 4}
OPENS, LUNCH, AFTER_LUNCH, CLOSES = time(8, 30), time(12), time(13), time(17, 15)
NO_LUNCH = "123"
PEOPLE = 400
BOOKED_PART = 0.4
# What goes otherwise than planned, per person.
NOT_COMING, WALKED_OFF, SET_ASIDE, SENT_ON, MISTAKEN, PREFERRED, COME_BACK = 0.07, 0.03, 0.03, 0.05, 0.06, 0.03, 0.5

_STATES = text("SELECT * FROM appointment WHERE municipality = :town AND day = :day LIMIT 5000")
_LOCK = text("""
    SELECT * FROM appointment WHERE (municipality, appointment_id) = (:town, :appointment_id) FOR UPDATE
""")
_DONE = text("""
    SELECT appointment_id, count(*) AS times FROM line_step
    WHERE municipality = :town AND action = 'done' AND NOT is_undone GROUP BY appointment_id LIMIT 5000
""")


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a day went."""

    came: int
    done: int
    missed: int
    sent_away: int
    told: ToldError
    waited_min: float


def make_town(code: str, rules: QueueRules) -> tuple[TownPack, CataloguePublished]:
    """Nine counters, three of them without a break at noon, each with one procedure."""
    pack = TownPack(
        town=TownFacts(code, "二宮町", "ニノミヤマチ", "Ninomiya", "0463-71-3311", "二宮961", ("day.localhost",)),
        counters=tuple(Counter(each, each, "届出", "戸籍", "町役場", 30, STAFF[each], 0) for each in COUNTERS),
        opening=(
            Opening(tuple(NO_LUNCH), (1,), OPENS, CLOSES),
            Opening(tuple(each for each in COUNTERS if each not in NO_LUNCH), (1,), OPENS, LUNCH),
            Opening(tuple(each for each in COUNTERS if each not in NO_LUNCH), (1,), AFTER_LUNCH, CLOSES),
        ),
        closures=(),
        booking=BookingRules(horizon_days=1, notice_min=30),
        notices=NoticeRules(),
        procedures=(),
        queue=rules,
    )
    catalogue = CataloguePublished(
        event_id=uuid4(),
        municipality=code,
        aggregate_id=code,
        aggregate_version=1,
        occurred_at=moment(7),
        town_name_ja="二宮町",
        town_phone="0463-71-3311",
        town_host="https://day.localhost",
        town_address_ja="二宮961",
        procedures=tuple(
            ProcedureEntry(
                code=f"P{each}", name_ja="届出", office="戸籍", counters=(each,), minutes=MINUTES[each], name_kana="ア"
            )
            for each in COUNTERS
        ),
        counters=tuple(
            CounterEntry(code=each, number=each, name_ja="届出", office="戸籍", place_ja="町役場") for each in COUNTERS
        ),
    )
    return pack, catalogue


def moment(hour: float) -> datetime:
    return datetime.combine(DAY, time(0), JST) + timedelta(hours=hour)


class Hall:
    """A day at work: what happens next, and what must be true then."""

    def __init__(self, db: Database, keys: Keys, town: str, *, seed: int, rules: QueueRules, people: int) -> None:
        self.db, self.keys, self.town, self.people = db, keys, town, people
        self.random = random.Random(seed)
        self.rules = rules
        self.model = Model(rules)
        self.rush = Rush()
        self.now = moment(7)
        self.staff = Identity(municipality=town, kind="staff", ref="staff", session_id="s", roles=("counter",))
        self.numbers: dict[UUID, str] = {}
        self.sent_away = 0
        self.idle = {each: STAFF[each] for each in COUNTERS}
        self.waits: list[float] = []
        self._plans: list[tuple[datetime, int, Callable[[], Awaitable[None]]]] = []
        self._count = 0

    async def run(self) -> Outcome:
        """The whole day; it raises where something is not as it must be."""
        await self._open()
        await self._book()
        self._plan_arrivals()
        while self._plans:
            at, _, happen = heapq.heappop(self._plans)
            self.now = max(self.now, at)
            await happen()
            await self._call_where_free()
        return await self._close()

    # --- the morning ---

    async def _open(self) -> None:
        pack, catalogue = make_town(self.town, self.rules)
        async with self.db.begin(self.town) as session:
            await load_opening_rules(session, pack, now=self.now)
            await on_catalogue_published(session, catalogue, now=self.now)

    async def _book(self) -> None:
        wanted = int(self.people * BOOKED_PART)
        async with self.db.begin(self.town) as session:
            found = await list_kiosk_times(session, self.town, list(COUNTERS), Policy(), now=self.now)
            every = {each: await list_kiosk_times(session, self.town, [each], Policy(), now=self.now)
                     for each in COUNTERS}  # fmt: skip
        assert found
        places = [slot for slots in every.values() for slot in slots for _ in range(slot.free)]
        for number, slot in enumerate(self.random.sample(places, min(wanted, len(places)))):
            machine = self._machine(number // 30)
            order = BookAtKiosk(procedure=f"P{slot.counter}", slot_id=slot.slot_id, key=f"b{number}")
            async with self.db.begin(self.town) as session:
                booked = await book_at_kiosk(session, machine, order, self.keys, now=self.now)
            person = Person(booked.appointment_id, slot.counter, slot.starts_at)
            self.model.people[person.ref] = person
            self.numbers[person.ref] = booked.number

    def _plan_arrivals(self) -> None:
        for person in list(self.model.people.values()):
            assert person.starts_at is not None
            if self.random.random() >= NOT_COMING:
                at = person.starts_at + timedelta(minutes=self.random.triangular(-20, 25, -5))
                self._plan(max(at, moment(8)), lambda person=person: self._check_in(person))  # type: ignore[misc]
        for number in range(self.people - len(self.model.people)):
            hour = self.random.choice((self.random.uniform(8.1, 12.3), self.random.uniform(12, 17.2)))
            counter = self.random.choice(COUNTERS)
            self._plan(moment(hour), lambda counter=counter, number=number: self._walk_in(counter, number))  # type: ignore[misc]
        # At these moments whoever is free looks up.
        for hour in (OPENS.hour + OPENS.minute / 60, AFTER_LUNCH.hour):
            self._plan(moment(hour), self._nothing)

    def _plan(self, at: datetime, happen: Callable[[], Awaitable[None]]) -> None:
        self._count += 1
        # No two steps are at the same moment.
        heapq.heappush(self._plans, (at + timedelta(microseconds=self._count), self._count, happen))

    async def _nothing(self) -> None:
        return

    # --- the public ---

    async def _check_in(self, person: Person) -> None:
        number = self.numbers[person.ref]
        self._came(
            person, await self._do(lambda session: check_in_by_number(session, self.staff, number, now=self.now))
        )
        await self._maybe_prefer(person)

    async def _walk_in(self, counter: str, number: int) -> None:
        order = TakeWalkIn(procedure=f"P{counter}", key=f"w{number}")
        machine = self._machine(100 + number)
        try:
            moved = await self._do(
                lambda session: (
                    take_ticket_at_kiosk(session, machine, order, now=self.now)
                    if number % 2
                    else take_walk_in(session, self.staff, order, now=self.now)
                )
            )
        except Refusal as refusal:
            if refusal.code not in ("tickets_over", "tickets_not_yet"):
                raise
            self.sent_away += 1
            return
        assert number % 2 == 0 or self._tickets_from() <= self.now < self._tickets_until()
        person = Person(moved.appointment_id, counter, None)
        self.model.people[person.ref] = person
        self._came(person, moved)
        await self._maybe_prefer(person)

    def _came(self, person: Person, moved: Moved) -> None:
        assert (moved.appointment_id, moved.state, moved.counter) == (person.ref, "checked_in", person.counter)
        assert moved.ticket_counter is not None
        assert moved.ticket_no is not None
        ticket = (moved.ticket_counter, moved.ticket_no)
        others = {each.ticket for each in self.model.people.values() if each is not person}
        assert ticket not in others, f"{ticket} is in two hands"
        assert person.ticket in (None, ticket), "another number than the one in their hand"
        person.ticket, person.since, person.state, person.is_parked = ticket, self.now, "waits", False

    async def _maybe_prefer(self, person: Person) -> None:
        if self.random.random() < PREFERRED:
            await self._step(person, "prefer")
            person.is_preferred = True

    # --- the staff ---

    async def _call_where_free(self) -> None:
        for counter in COUNTERS:
            while self.idle[counter] and self._serves(counter) and self.model.waiting(counter):
                both = self.idle[counter] > 1 and len(self.model.waiting(counter)) > 1
                await self._call(counter, desks=2 if both else 1)

    async def _call(self, counter: str, *, desks: int) -> None:
        """Whoever is free calls the next, all of them at once."""
        expected: list[UUID] = []
        for _ in range(desks):
            turn = self.model.whose_turn(counter, self.now, besides=tuple(expected))
            assert turn is not None
            expected.append(turn.ref)
        moments = [self.now + timedelta(microseconds=number) for number in range(desks)]
        called = await asyncio.gather(*(self._call_next(counter, at) for at in moments))
        self.now = moments[-1] + timedelta(microseconds=1)
        refs = {each.appointment_id for each in called}
        assert len(refs) == desks, "two desks called the same person"
        assert refs == set(expected), f"counter {counter} at {self.now}: not whose turn it was"
        for moved, at in zip(called, moments, strict=True):
            person = self.model.people[moved.appointment_id]
            assert person.since is not None
            self.waits.append((at - person.since).total_seconds() / 60)
            self.model.note_call(person, at)
            self.idle[counter] -= 1
            self._plan_after_call(person)

    async def _call_next(self, counter: str, at: datetime) -> Moved:
        order = CallNext(counter=counter, key=f"{counter}-{at.isoformat()}")
        return await self.rush.run(self.db, self.town, lambda session: call_next(session, self.staff, order, now=at))

    def _plan_after_call(self, person: Person) -> None:
        fate = self.random.random()
        if fate < MISTAKEN / 2:
            self._plan(self._in(0.2), lambda: self._take_back(person))
        elif fate < MISTAKEN / 2 + WALKED_OFF:
            self._plan(self._in(3), lambda: self._miss(person))
        elif fate < MISTAKEN / 2 + WALKED_OFF + SET_ASIDE:
            self._plan(self._in(1), lambda: self._set_aside(person))
        else:
            self._plan(self._in(self.random.uniform(0.5, 1.5)), lambda: self._serve(person))

    async def _take_back(self, person: Person) -> None:
        await self._step(person, "undo")
        self.model.take_back_call(person)
        self.idle[person.counter] += 1

    async def _miss(self, person: Person) -> None:
        await self._step(person, "no-show")
        person.state = "missed"
        self.idle[person.counter] += 1
        if self.random.random() < COME_BACK:
            self._plan(self._in(self.random.uniform(2, 40)), lambda: self._come_back(person))

    async def _come_back(self, person: Person) -> None:
        self._came(person, await self._step(person, "check-in"))

    async def _set_aside(self, person: Person) -> None:
        await self._step(person, "park")
        person.state, person.is_parked = "waits", True
        self.idle[person.counter] += 1
        self._plan(self._in(self.random.uniform(3, 30)), lambda: self._resume(person))

    async def _resume(self, person: Person) -> None:
        await self._step(person, "resume")
        person.is_parked = False

    async def _serve(self, person: Person) -> None:
        await self._step(person, "start")
        person.state = "served"
        # Each counter is as much slower or faster than the catalogue as it is.
        pace = 0.7 + 0.08 * COUNTERS.index(person.counter)
        minutes = MINUTES[person.counter] * pace * self.random.triangular(0.4, 2.0, 0.8)
        self._plan(self._in(minutes), lambda: self._finish(person))

    async def _finish(self, person: Person) -> None:
        if self.random.random() < SENT_ON and self.now < moment(16.5):
            await self._send_on(person)
            return
        await self._step(person, "done")
        if self.random.random() < MISTAKEN / 2:
            await self._step(person, "undo")
            await self._step(person, "done")
        person.state = "done"
        person.times_done += 1
        self.idle[person.counter] += 1

    async def _send_on(self, person: Person) -> None:
        """To another counter, with the number that they have."""
        target = self.random.choice([each for each in COUNTERS if each != person.counter])
        self.idle[person.counter] += 1

        async def send(session: Any) -> Moved:
            row = (await session.execute(_LOCK, {"town": self.town, "appointment_id": person.ref})).one()
            standing = msgspec.structs.replace(
                standing_of(row), state="checked_in", counter=target, queued_at=self.now, called_at=None,
                serving_at=None,
            )  # fmt: skip
            return await take_step(session, self.staff, row, "transfer", standing, now=self.now)

        moved = await self._do(send)
        person.counter = target
        self._came(person, moved)

    # --- the evening ---

    async def _close(self) -> Outcome:
        async with self.db.begin(self.town) as session:
            rows = (await session.execute(_STATES, {"town": self.town, "day": DAY})).all()
            done = {row.appointment_id: row.times for row in await session.execute(_DONE, {"town": self.town})}
            told = await measure_told(session, self.town, DAY, DAY)
        people = self.model.people
        assert {row.appointment_id for row in rows} == set(people), "somebody was lost, or came from nowhere"
        names = {"away": "booked", "done": "done", "missed": "no_show"}
        for row in rows:
            person = people[row.appointment_id]
            assert row.state == names.get(person.state), (row.state, person)
            assert done.get(person.ref, 0) == person.times_done == (person.state == "done"), person
        assert self.idle == STAFF
        states = [person.state for person in people.values()]
        return Outcome(
            came=len(people) - states.count("away"),
            done=states.count("done"),
            missed=states.count("missed"),
            sent_away=self.sent_away,
            told=told,
            waited_min=sum(self.waits) / len(self.waits),
        )

    # --- small things ---

    def _serves(self, counter: str) -> bool:
        if self.now < moment(8.5):
            return False
        # Whoever waits at closing time is served.
        return counter in NO_LUNCH or not moment(12) <= self.now < moment(13)

    def _tickets_from(self) -> datetime:
        return moment(8)

    def _tickets_until(self) -> datetime:
        return moment(17.25) - timedelta(minutes=self.rules.last_ticket_min)

    def _in(self, minutes: float) -> datetime:
        return self.now + timedelta(minutes=minutes)

    def _machine(self, number: int) -> Identity:
        ref = f"machine-{number}"
        return Identity(municipality=self.town, kind="staff", ref=ref, session_id=ref, roles=("kiosk",))

    async def _step(self, person: Person, action: Action) -> Moved:
        async def step(session: Any) -> Moved:
            row = (await session.execute(_LOCK, {"town": self.town, "appointment_id": person.ref})).one()
            order = MoveAlong(appointment_id=person.ref, action=action, version=row.version)
            return await move_along(session, self.staff, order, now=self.now)

        return await self._do(step)

    async def _do(self, work: Callable[[Any], Awaitable[Moved]]) -> Moved:
        self.now += timedelta(microseconds=1)
        return await self.rush.run(self.db, self.town, work)
