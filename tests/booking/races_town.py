"""The town of `test_races_in_pairs.py`: for every race a counter of its own, where all of it is about one time.

The *wanted* slot begins at noon, three days from now, and in the one after it sits somebody who would like to have it.
Whoever needs two in a row wants the one before it, too. In later ones sit people who wait for an earlier time, and
somebody whose appointment takes two. What a race needs is made beforehand, in the order of `MAKERS`; both deeds get the
same things.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

import httpx
import msgspec
from sqlalchemy import text

from services.booking.commands.closings import CLOSING_OFFER, REOPENING, CloseTime, close_time
from services.booking.commands.draw_entries import EnterDraw, enter_draw
from services.booking.commands.draws import PASS_ON, AnnounceDraw, announce_draw, draw_handlers
from services.booking.commands.offers import offer_place
from services.booking.commands.services import ChooseServices, choose_services
from services.booking.commands.slots import slot_id_of
from services.booking.commands.waitlist import JoinWaitlist, join_waitlist
from services.booking.commands.waitlist_offers import on_waiting_due
from services.booking.consumers import on_catalogue_published
from services.booking.domain.closings import CLOSING
from services.booking.domain.services import Service
from services.booking.domain.waitlist import WEEKDAYS, Window
from services.booking.worker import DUE_HANDLERS
from shared.clock import JST, jst_day, utc_now
from shared.events.routing import CounterEntry, ProcedureEntry
from shared.messaging.due import DueLoop
from shared.tokens import Identity
from shared.town_pack import BookingRules, Counter, Opening
from shared.web.identity import SESSION_COOKIE
from tests.booking.conftest import HOST, TOWN, BookingTown, make_catalogue, make_pack
from tests.booking.long_town import TORN
from tests.booking.test_race import serving

MANAGER = Identity(municipality=TOWN, kind="staff", ref="boss", session_id="s-boss", roles=("manager",))
SERVERS = 2
TIMEOUT_S = 60
AHEAD_DAYS, HORIZON_DAYS = 3, 4
# So soon after the race begins, the window of its draw is over. The worker is ahead by that.
WINDOW_ENDS = timedelta(seconds=30)
OPENS, NOON, CLOSES, SLOT_MIN = time(11, 30), time(12, 0), time(15, 0), 30
EVERY_DAY = (1, 2, 3, 4, 5, 6, 7)
# One of a thing takes one slot, two take two in a row.
MINUTES, MORE_MIN, TWO = 20, 20, 2
# How many places of the wanted time each of these takes, or leaves to whoever comes.
PLACES = {
    "seated": 1, "held": 1, "offer": 1, "room": 1, "draw": 2, "earlier": 1, "long seated": 1, "long held": 1,
}  # fmt: skip
# What a worker would do at once. Visits and draws end by and by, and not here.
AT_ONCE = {kind: DUE_HANDLERS[kind] for kind in (CLOSING, REOPENING, CLOSING_OFFER)}


@dataclass
class World:
    """One race: its counter, and what was made for it. A guest's name is that of the thing, and of the race."""

    town: BookingTown
    counter: str
    day: date
    clients: list[httpx.AsyncClient]
    made: dict[str, Any] = field(default_factory=dict)
    told: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def starts_at(self, number: int) -> datetime:
        """Of the so-manieth slot after the wanted one."""
        return datetime.combine(self.day, NOON, JST) + number * timedelta(minutes=SLOT_MIN)

    def slot(self, number: int) -> UUID:
        return slot_id_of(TOWN, self.counter, self.starts_at(number))

    @property
    def wanted(self) -> UUID:
        return self.slot(0)

    def guest(self, thing: str) -> str:
        return f"{thing} {self.counter}"

    async def visit(self, thing: str) -> UUID:
        return await self.town.visit(self.guest(thing), procedure=self.counter)

    async def long_visit(self, thing: str) -> UUID:
        visit_id, services = await self.visit(thing), (Service(self.counter, TWO),)
        order = ChooseServices(municipality=TOWN, visit_id=visit_id, visitor=self.guest(thing), services=services)
        async with self.town.db.begin(TOWN) as session:
            await choose_services(session, order, now=self.town.now)
        return visit_id

    async def held(self, thing: str, slot: int, *, is_long: bool = False) -> UUID:
        visit_id = await (self.long_visit(thing) if is_long else self.visit(thing))
        await self.town.hold(visit_id, self.guest(thing), self.slot(slot))
        return visit_id

    async def booked(self, thing: str, slot: int, *, is_long: bool = False) -> Any:
        return await self.town.book(await self.held(thing, slot, is_long=is_long), self.guest(thing))

    async def waiting(self, thing: str, slot: int) -> Any:
        """Somebody sits there and waits for the afternoon of the same day, which begins with the wanted time."""
        booked = await self.booked(thing, slot)
        window = Window(first_day=self.day, last_day=self.day, weekdays=WEEKDAYS, part="afternoon", counter=None)
        order = JoinWaitlist(municipality=TOWN, appointment_id=booked.appointment_id, window=window, key=str(uuid4()))
        async with self.town.db.begin(TOWN) as session:
            await join_waitlist(session, order, now=self.town.now)
        return booked

    async def version(self, thing: str) -> int:
        rows: list[Any] = await self.town.rows(
            "SELECT version FROM booking.appointment WHERE appointment_id = :id", id=self.made[thing].appointment_id
        )
        return int(rows[0].version)

    async def post(
        self, turn: int, path: str, who: str, *, kind: str = "guest", roles: tuple[str, ...] = (), **body: Any
    ) -> httpx.Response:
        """As a browser does it; each turn has a server process of its own."""
        token = self.town.token(who, kind=kind, roles=roles)
        headers = {"host": HOST, "cookie": f"{SESSION_COOKIE}={token}", "sec-fetch-site": "same-origin"}
        return await self.clients[turn].post(path, headers=headers, **body)


async def _offer(world: World) -> UUID:
    async with world.town.db.begin(TOWN) as session:
        until, now = world.town.now + timedelta(hours=1), world.town.now
        moving = world.made["moving"].appointment_id
        offer = await offer_place(session, TOWN, moving, world.wanted, until=until, now=now)
    assert offer is not None
    return offer.offer_id


async def _earlier(world: World) -> UUID:
    """The wanted time is kept for whoever waits for it."""
    await look_for_waiting(world)
    rows: list[Any] = await world.town.rows(
        """SELECT offer_id FROM booking.offered_place
           WHERE (appointment_id, slot_id) = (:id, :wanted) AND state = 'open'""",
        id=world.made["waiter"].appointment_id,
        wanted=world.wanted,
    )
    return UUID(str(rows[0].offer_id))


async def look_for_waiting(world: World) -> None:
    """The worker looks for whom what is free at the counter is."""
    async with world.town.db.begin(TOWN) as session:
        await on_waiting_due(session, TOWN, world.counter, world.town.now)


async def _draw(world: World) -> UUID:
    """Announced for whatever is free of the wanted time, and one person has entered."""
    now = world.town.now
    announced_at, closes_at = now - timedelta(hours=1), now + WINDOW_ENDS
    order = AnnounceDraw(
        title_ja="抽選", procedure=world.counter, counter=world.counter, first=world.starts_at(0),
        until=world.starts_at(1), opens_at=announced_at, closes_at=closes_at,
        key=str(uuid4()),
    )  # fmt: skip
    visit_id = await world.visit("first")
    async with world.town.db.begin(TOWN) as session:
        draw_id = await announce_draw(session, MANAGER, order, world.town.keys, now=announced_at)
        entry = EnterDraw(
            municipality=TOWN, draw_id=draw_id, visit_id=visit_id, visitor=world.guest("first"),
            preferences=(world.wanted,),
        )  # fmt: skip
        await enter_draw(session, entry, world.town.keys, now=now)
    return draw_id


async def _closing(world: World) -> UUID:
    order = CloseTime(
        counter=world.counter, starts_at=world.starts_at(0), ends_at=world.starts_at(1), reason="weather", note="",
        key=str(uuid4()),
    )  # fmt: skip
    async with world.town.db.begin(TOWN) as session:
        closed = await close_time(session, MANAGER, order, now=world.town.now)
    await work_at_once(world.town)
    return closed.closing_id


MAKERS: dict[str, Callable[[World], Awaitable[Any]]] = {
    "seated": lambda world: world.booked("seated", 0),
    "held": lambda world: world.held("held", 0),
    "moving": lambda world: world.booked("moving", 1),
    "offer": _offer,
    "long seated": lambda world: world.booked("long seated", -1, is_long=True),
    "long held": lambda world: world.held("long held", -1, is_long=True),
    "long moving": lambda world: world.booked("long moving", 4, is_long=True),
    "waiter": lambda world: world.waiting("waiter", 2),
    "earlier": _earlier,
    "next waiter": lambda world: world.waiting("next waiter", 3),
    "draw": _draw,
    "entrant": lambda world: world.visit("entrant"),
    "closing": _closing,
}


def places_for(needs: Iterable[str]) -> int:
    """How many places the wanted time has in a race that needs these things."""
    return max(1, sum(PLACES.get(each, 0) for each in needs))


@dataclass
class Arena:
    """The town with its server processes."""

    town: BookingTown
    clients: list[httpx.AsyncClient]
    opened: int = 0

    async def open(self, counters: Sequence[str], places: int) -> None:
        """These counters, each with one procedure of the same name, and no others any more: a small town is quick."""
        self.town.now, self.opened = utc_now(), self.opened + 1
        pack = msgspec.structs.replace(
            make_pack(),
            counters=tuple(Counter(code, code, code, "子育て", "町役場", SLOT_MIN, places) for code in counters),
            opening=(Opening(tuple(counters), EVERY_DAY, OPENS, CLOSES),),
            closures=(),
            booking=BookingRules(horizon_days=HORIZON_DAYS, notice_min=0, holidays=False, year_end=False),
        )
        catalogue = msgspec.structs.replace(
            make_catalogue(version=self.opened),
            procedures=tuple(
                ProcedureEntry(
                    code=code,
                    name_ja=code,
                    office="子育て",
                    counters=(code,),
                    minutes=MINUTES,
                    quantity_max=TWO,
                    more_min=MORE_MIN,
                )
                for code in counters
            ),
            counters=tuple(
                CounterEntry(code=code, number=code, name_ja=code, office="子育て", place_ja="町役場")
                for code in counters
            ),
        )
        await self.town.open(pack, catalogue=False)
        async with self.town.db.begin(TOWN) as session:
            await on_catalogue_published(session, catalogue, now=self.town.now)

    async def world(self, counter: str, needs: Iterable[str]) -> World:
        """A race's counter, with what it needs made; tokens are ten minutes old at most."""
        self.town.now = utc_now()
        world = World(self.town, counter, jst_day(self.town.now) + timedelta(days=AHEAD_DAYS), self.clients)
        for name, make in MAKERS.items():
            if name in needs:
                world.made[name] = await make(world)
        return world


@asynccontextmanager
async def arena_of(town: BookingTown) -> AsyncIterator[Arena]:
    """The town on its server processes, with nothing open yet."""
    async with AsyncExitStack() as stack:
        urls = [await stack.enter_async_context(serving(town)) for _ in range(SERVERS)]
        clients = [
            await stack.enter_async_context(httpx.AsyncClient(base_url=url, timeout=TIMEOUT_S, trust_env=False))
            for url in urls
        ]
        yield Arena(town, clients)


async def work_at_once(town: BookingTown) -> None:
    """What the worker does of closings, as soon as they are made."""
    handlers = AT_ONCE | {PASS_ON: draw_handlers(town.keys)[PASS_ON]}
    loop = DueLoop(town.db, handlers, lambda: utc_now() + WINDOW_ENDS)
    while await loop.run_once():
        pass


def outcome_of(answer: httpx.Response) -> str:
    """`done`, the refusal's code, or else the status of a page that refuses."""
    assert answer.status_code < 500, (answer.status_code, answer.text)
    if answer.status_code == 303:
        location = urlsplit(answer.headers["location"])
        assert location.path != "/booking/find", "who asked is not who may"
        return parse_qs(location.query).get("refused", ["done"])[0]
    if answer.is_success:
        return "done"
    if "json" in answer.headers["content-type"]:
        return str(answer.json()["code"])
    return str(answer.status_code)


# What must never be: each of these finds nothing.
NEVER = {
    "a place is given twice": """
        SELECT slot_id, place_no FROM booking.appointment WHERE state <> 'cancelled' AND slot_id IS NOT NULL
        GROUP BY slot_id, place_no HAVING count(*) > 1""",
    "an appointment and its place disagree": """
        SELECT a.appointment_id FROM booking.appointment a
        FULL JOIN (SELECT * FROM booking.place WHERE appointment_id IS NOT NULL AND part = 1) p
          ON (p.appointment_id, p.slot_id, p.place_no) = (a.appointment_id, a.slot_id, a.place_no)
        WHERE (a.appointment_id IS NOT NULL AND a.state <> 'cancelled') <> (p.appointment_id IS NOT NULL)""",
    "somebody has half of a long time": TORN.text,
    "a visit has two appointments": """
        SELECT visit_id FROM booking.appointment GROUP BY visit_id HAVING count(*) > 1""",
    "a slot has other places than it says": """
        SELECT s.slot_id FROM booking.slot s JOIN booking.place p USING (municipality, slot_id)
        GROUP BY s.municipality, s.slot_id HAVING count(*) <> s.capacity""",
    "somebody holds a closed time": """
        SELECT p.slot_id FROM booking.place p JOIN booking.slot s USING (municipality, slot_id)
        JOIN booking.closing c ON c.reopened_at IS NULL AND c.counter = s.counter
             AND c.during && tstzrange(s.starts_at, s.ends_at)
        WHERE p.held_until > :now AND p.audience <> 'draw'""",
    "somebody sits in a closed time and was not asked": """
        SELECT a.appointment_id FROM booking.appointment a
        JOIN booking.closing c ON c.reopened_at IS NULL AND c.counter = a.counter
             AND c.during && tstzrange(a.starts_at, a.ends_at)
        WHERE a.state = 'booked' AND a.closure = 'none'""",
    "somebody was asked and it is open": """
        SELECT a.appointment_id FROM booking.appointment a JOIN booking.closing c USING (municipality, closing_id)
        WHERE a.state = 'booked' AND c.reopened_at IS NOT NULL""",
    "an offer and its place disagree": """
        SELECT o.offer_id FROM (SELECT * FROM booking.offered_place WHERE state = 'open') o
        FULL JOIN (SELECT * FROM booking.place WHERE held_by = 'offer') p ON p.hold_id = o.offer_id
        WHERE o.offer_id IS NULL OR p.hold_id IS NULL""",
    "an earlier time is kept and not told, or told and not kept": """
        SELECT a.appointment_id FROM booking.appointment a
        JOIN LATERAL (SELECT convert_from(o.payload, 'UTF8')::jsonb ->> 'offer_starts_at' AS offered
                      FROM booking.outbox o WHERE o.aggregate_id = CAST(a.appointment_id AS text)
                      ORDER BY o.aggregate_version DESC LIMIT 1) AS told ON true
        LEFT JOIN booking.offered_place o ON o.appointment_id = a.appointment_id AND o.state = 'open'
             AND o.cause = 'waiting'
        LEFT JOIN booking.slot s ON s.slot_id = o.slot_id
        WHERE a.closure = 'none' AND CAST(told.offered AS timestamptz) IS DISTINCT FROM s.starts_at""",
    "an earlier time is kept for whom it is not earlier, or who does not come": """
        SELECT o.offer_id FROM booking.offered_place o JOIN booking.appointment a USING (municipality, appointment_id)
        JOIN booking.slot s ON s.slot_id = o.slot_id
        WHERE o.state = 'open' AND o.cause = 'waiting' AND (a.state <> 'booked' OR s.starts_at >= a.starts_at)""",
    "a version was not told, or twice": """
        SELECT a.appointment_id FROM booking.appointment a
        WHERE ARRAY(SELECT o.aggregate_version FROM booking.outbox o
                    WHERE o.aggregate_id = CAST(a.appointment_id AS text) ORDER BY o.aggregate_version)
              <> ARRAY(SELECT generate_series(1, a.version))""",
    "an appointment has other ledger entries than its two": """
        SELECT a.appointment_id FROM booking.appointment a
        WHERE (SELECT count(*) FROM booking.ledger_entry e
               WHERE e.entry_type = 'applied' AND e.subject_ref = a.subject_ref) <> 2""",
    "an entry was not drawn": """
        SELECT e.entry_id FROM booking.draw_entry e JOIN booking.draw d USING (municipality, draw_id)
        LEFT JOIN booking.draw_result r USING (municipality, draw_id, ticket)
        WHERE d.state = 'drawn' AND e.state = 'entered' AND r.rank IS NULL""",
    "a winner does not sit, or sits twice": """
        SELECT r.ticket FROM booking.draw_result r
        JOIN booking.draw_entry e USING (municipality, draw_id, ticket)
        LEFT JOIN booking.appointment a ON a.visit_id = e.entry_id
        WHERE (r.slot_id IS NOT NULL) <> (a.appointment_id IS NOT NULL)""",
}


async def never(town: BookingTown) -> list[str]:
    """What of it is, as the superuser sees it."""
    async with town.database.admin_engine().connect() as connection:
        return [
            name
            for name, sql in NEVER.items()
            if (await connection.execute(text(sql), {"now": utc_now()} if ":now" in sql else {})).first()
        ]
