"""A small town on a real database, and makers of visits, appointments and visitors."""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import cache, cached_property
from uuid import UUID, uuid4

import httpx
import pytest_asyncio
from sqlalchemy import text

from deploy.local.servers import Servers
from services.booking.app import create_app
from services.booking.commands.appointments import BookAppointment, Booked, book_appointment
from services.booking.commands.holds import Hold, HoldPlace, hold_place
from services.booking.commands.opening import load_opening_rules
from services.booking.commands.visits import arrive
from services.booking.consumers import on_catalogue_published
from services.booking.keys import Keys
from services.booking.queries.rules import get_rules
from services.booking.queries.slots import OpenSlot, list_slots
from services.booking.settings import Settings, load_settings
from shared.clock import JST
from shared.crypto import ServiceBox
from shared.db import Database
from shared.events.routing import CataloguePublished, CounterEntry, ProcedureEntry
from shared.passes import PASS_LIFETIME, Pass, PassedItem, seal_pass
from shared.tokens import Identity, sign_token
from shared.town_pack import BookingRules, Closure, Counter, NoticeRules, Opening, TownFacts, TownPack
from shared.web.identity import SESSION_COOKIE
from tests.conftest import Beginnings, Happening, TestDatabase, own_database

TOWN, OTHER_TOWN = "143421", "143618"
HOST, OTHER_HOST = "ninomiya.localhost", "nakai.localhost"
# A Monday, 9:00 in Japan.
MORNING = datetime(2026, 6, 1, 0, 0, tzinfo=UTC)
CHILD, FAMILY = "CHI01", "RES02"


def make_pack(
    code: str = TOWN, *, places: int = 2, staff_only: int = 0, kiosk: int = 0, slot_min: int = 30, **rules: object
) -> TownPack:
    """Counter 7 (children) and counter 3 (residents), open on weekdays from 8:30 to 17:15."""
    return TownPack(
        town=TownFacts(code, "二宮町", "ニノミヤマチ", "Ninomiya", "0463-71-3311", "二宮961", (HOST,)),
        counters=(
            Counter("7", "7", "子育て", "子育て", "町役場 2階 7番", slot_min, places, staff_only, kiosk),
            Counter("3", "3", "届出", "戸籍", "町役場 1階 3番", 45, 1, 0),
        ),
        opening=(Opening(("7", "3"), (1, 2, 3, 4, 5), time(8, 30), time(17, 15)),),
        closures=(Closure(date(2026, 6, 10), date(2026, 6, 10), "庁舎点検"),),
        booking=BookingRules(**{"horizon_days": 20, "notice_min": 30, **rules}),  # type: ignore[arg-type]
        notices=NoticeRules(),
        procedures=(),
    )


def make_catalogue(code: str = TOWN, version: int = 1) -> CataloguePublished:
    """Two procedures, one of them discreet."""
    return CataloguePublished(
        event_id=uuid4(),
        municipality=code,
        aggregate_id=code,
        aggregate_version=version,
        occurred_at=MORNING,
        town_name_ja="二宮町",
        town_phone="0463-71-3311",
        town_host=f"https://{HOST}:8443",
        town_address_ja="二宮961",
        procedures=(
            ProcedureEntry(
                code=CHILD,
                name_ja="児童手当の申請",
                office="子育て",
                counters=("7",),
                minutes=30,
                bring=("預金通帳",),
                fee_yen=1_500,
                name_kana="ジドウテアテノシンセイ",
            ),
            ProcedureEntry(
                code=FAMILY,
                name_ja="転入届",
                office="戸籍",
                counters=("3",),
                minutes=40,
                discreet=True,
                bring=("転出証明書",),
                name_kana="テンニュウトドケ",
            ),
        ),
        counters=(
            CounterEntry(code="7", number="7", name_ja="子育て", office="子育て", place_ja="町役場 2階"),
            CounterEntry(code="3", number="3", name_ja="届出", office="戸籍", place_ja="町役場 1階"),
        ),
    )


@dataclass
class BookingTown:
    """The service's database with a town in it, its keys, and a clock that tests move."""

    db: Database
    keys: Keys
    settings: Settings
    environ: dict[str, str]
    database: TestDatabase
    now: datetime = MORNING
    tokens: dict[str, str] = field(default_factory=dict)

    def clock(self) -> datetime:
        return self.now

    @cached_property
    def app(self) -> object:
        """One for all browsers: to make it takes as long as many a test."""
        return create_app(self.settings, clock=self.clock, db=self.db)

    async def open(self, pack: TownPack | None = None, *, catalogue: bool = True) -> None:
        pack = pack or make_pack()
        async with self.db.begin(pack.town.code) as session:
            await load_opening_rules(session, pack, now=self.now)
            if catalogue:
                await on_catalogue_published(session, make_catalogue(pack.town.code), now=self.now)

    async def slots(self, counter: str = "7", *, town: str = TOWN, day: date | None = None) -> list[OpenSlot]:
        async with self.db.begin(town) as session:
            policy = (await get_rules(session, town)).policy
            first = day or self.now.astimezone(JST).date()
            last = day or first + timedelta(days=60)
            return await list_slots(session, town, [counter], policy, first=first, last=last, now=self.now)

    def make_pass(self, guest: str, **changes: object) -> Pass:
        values: dict[str, object] = {
            "pass_id": uuid4(),
            "municipality": TOWN,
            "guest_ref": guest,
            "subject_ref": uuid4(),
            "case_id": uuid4(),
            "procedure": CHILD,
            "items": (
                PassedItem(key="name", value="𠮷﨑 花子", approval_id=uuid4()),
                PassedItem(key="kana", value="ヨシザキ ハナコ", approval_id=uuid4()),
            ),
            "contact_ref": uuid4(),
            "reach": "email",
            "issued_at": self.now,
            "expires_at": self.now + PASS_LIFETIME,
        }
        return Pass(**{**values, **changes})  # type: ignore[arg-type]

    def seal(self, ticket: Pass) -> str:
        box = ServiceBox.from_settings(self.environ["CHOUDO_ROUTING_BOX_KEY"], self.environ["CHOUDO_BOX_PUBLIC_KEYS"])
        return seal_pass(box, "booking", "book", ticket)

    async def visit(self, guest: str, **changes: object) -> UUID:
        ticket = self.make_pass(guest, **changes)
        async with self.db.begin(ticket.municipality) as session:
            return await arrive(session, ticket, guest, self.keys, now=self.now)

    async def hold(self, visit_id: UUID, guest: str, slot_id: UUID, key: str | None = None) -> Hold:
        order = HoldPlace(
            municipality=TOWN, visit_id=visit_id, visitor=guest, slot_id=slot_id, key=key or secrets.token_hex(4)
        )
        async with self.db.begin(TOWN) as session:
            return await hold_place(session, order, now=self.now)

    async def book(self, visit_id: UUID, guest: str, key: str | None = None) -> Booked:
        order = BookAppointment(municipality=TOWN, visit_id=visit_id, visitor=guest, key=key or secrets.token_hex(4))
        async with self.db.begin(TOWN) as session:
            return await book_appointment(session, order, self.keys, now=self.now)

    async def booked(self, guest: str = "guest", slot: int = 0, **changes: object) -> Booked:
        visit_id = await self.visit(guest, **changes)
        counter = "3" if changes.get("procedure") == FAMILY else "7"
        slots = [item for item in await self.slots(counter) if item.free]
        await self.hold(visit_id, guest, slots[slot].slot_id)
        return await self.book(visit_id, guest)

    def token(self, ref: str = "guest", kind: str = "guest", roles: tuple[str, ...] = (), office: str | None = None,
              town: str = TOWN) -> str:  # fmt: skip
        identity = Identity(
            municipality=town, kind=kind, ref=ref, session_id=f"s-{ref}", roles=roles, office=office  # type: ignore[arg-type]
        )  # fmt: skip
        return sign_token(identity, self.environ["CHOUDO_TOKEN_PRIVATE_KEY"], now=self.now)

    def browser(self, ref: str | None = "guest", *, host: str = HOST, **who: object) -> httpx.AsyncClient:
        """A browser of this visitor, on the application in this process."""
        cookies = {} if ref is None else {SESSION_COOKIE: self.token(ref, **who)}  # type: ignore[arg-type]
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(app=self.app),  # type: ignore[arg-type]
            base_url=f"http://{host}",
            cookies=cookies,
            headers={"sec-fetch-site": "same-origin"},
        )

    def staff(self, ref: str = "staff", office: str | None = "子育て") -> httpx.AsyncClient:
        return self.browser(ref, kind="staff", roles=("counter",), office=office)

    async def rows(self, sql: str, **values: object) -> list[object]:
        async with self.database.owner_engine("booking").connect() as connection:
            return list((await connection.execute(text(sql), values)).all())


@asynccontextmanager
async def two_towns(database: TestDatabase) -> AsyncIterator[BookingTown]:
    """Two towns are known by their hosts; nothing is open yet."""
    async with database.admin_engine().begin() as connection:
        for code, host in ((TOWN, HOST), (OTHER_TOWN, OTHER_HOST)):
            await connection.execute(
                text("INSERT INTO town.municipality VALUES (:code, '町', 'マチ', 'x')"),
                {"code": code},
            )
            await connection.execute(
                text("INSERT INTO town.host (host, municipality) VALUES (:host, :code)"), {"host": host, "code": code}
            )
    async with known_towns(database) as towns:
        yield towns


@asynccontextmanager
async def known_towns(database: TestDatabase) -> AsyncIterator[BookingTown]:
    """What works on a database in which the towns are known."""
    settings = load_settings(database.environ)
    db = Database(settings.database_url, service="booking")
    try:
        yield BookingTown(db, Keys.from_settings(settings), settings, dict(database.environ), database)
    finally:
        await db.dispose()


Opener = Callable[[BookingTown], Awaitable[object]]
TownAfter = Callable[[Opener], Awaitable[BookingTown]]


@cache
def opened_by(opener: Opener) -> Happening:
    """A town is known and opened so."""

    async def happening(database: TestDatabase) -> None:
        async with two_towns(database) as town:
            await opener(town)

    return happening


@pytest_asyncio.fixture
async def bare_town(database: TestDatabase) -> AsyncIterator[BookingTown]:
    """Two towns in a database of this test's own."""
    async with two_towns(database) as towns:
        yield towns


@pytest_asyncio.fixture
async def town_after(
    servers: Servers, template_environ: dict[str, str], beginnings: Beginnings, redis_url: str
) -> AsyncIterator[TownAfter]:
    """Makes the town of this test, in a database of its own in which an opener's work is done already.

    What the opener does is the same for every test: it changes nothing but the database.
    """
    async with AsyncExitStack() as stack:

        async def make(opener: Opener) -> BookingTown:
            clones = await beginnings.after(opened_by(opener))
            database = await stack.enter_async_context(own_database(servers, template_environ, clones))
            return await stack.enter_async_context(known_towns(database))

        yield make


@pytest_asyncio.fixture
async def town(town_after: TownAfter) -> BookingTown:
    """A town that is open."""
    return await town_after(BookingTown.open)
