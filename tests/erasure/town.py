"""Three services on one database, and a person who uses all of them; events are carried by hand, in any order."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from services.booking.commands.appointments import BookAppointment, Booked, book_appointment
from services.booking.commands.holds import HoldPlace, hold_place
from services.booking.commands.visits import arrive
from services.booking.queries.rules import get_rules
from services.booking.queries.slots import list_slots
from services.routing.commands.about_you import AboutYou, tell_about_you
from services.routing.commands.cases import open_case
from services.routing.commands.erasure import erase_subject
from services.routing.commands.handover import Decided, decide_handover, preview_handover
from services.routing.commands.passes import make_pass
from services.routing.commands.sessions import start_guest_session
from shared.clock import JST
from shared.events.base import event_type
from shared.events.subscriptions import SERVICES
from shared.messaging.broker import Envelope, Receipt
from shared.messaging.consumer import Consumer
from shared.messaging.receipts import settle
from shared.passes import Pass, open_pass
from shared.tokens import Identity
from tests.routing.makers import EMAIL, KANA, NAME, NOW, TOWN
from tests.simulation.machines import Service

_WAITING = """
    SELECT d.consumer, d.bulk, d.municipality, d.event_id, o.type, o.payload,
           CASE WHEN o.sealed_for = d.consumer THEN o.sealed END AS sealed
    FROM {service}.delivery d JOIN {service}.outbox o USING (municipality, event_id)
    WHERE d.acked_at IS NULL ORDER BY o.occurred_at, o.event_id
"""


class Town:
    """The services of a town, its time, and what lies between them."""

    def __init__(self, services: Mapping[str, Service], admin: asyncpg.Connection, environ: Mapping[str, str]) -> None:
        self.services = services
        self.admin = admin
        self.environ = environ
        self.now = NOW

    def clock(self) -> datetime:
        return self.now

    def at(self, service: str, town: str = TOWN) -> Any:
        """A transaction of this town in a service."""
        return self.services[service].db.begin(town)

    async def rows(self, sql: str, *values: object) -> list[Any]:
        """What the database holds, as its administrator sees it."""
        return list(await self.admin.fetch(sql, *values))

    # --- events ---

    async def waiting(self, kind: Any = None) -> list[Envelope]:
        """What no receipt has come for."""
        return [
            _envelope(publisher, row)
            for publisher in SERVICES
            for row in await self.rows(_WAITING.format(service=publisher))
            if kind is None or row["type"] == event_type(kind)
        ]

    async def hear(self, envelope: Envelope) -> list[Receipt]:
        """One message reaches its consumer; its receipt does not travel yet."""
        receipts: list[Receipt] = []

        async def note(_: str, receipt: Receipt) -> None:
            receipts.append(receipt)

        service = self.services[envelope.consumer]
        await Consumer(service.db, service.handlers, note, self.clock).consume(envelope)
        return receipts

    async def deliver(self, wanted: Callable[[Envelope], bool] = lambda _: True) -> None:
        """Everything that is wanted reaches its consumers and is settled, until nothing new comes."""
        while True:
            envelopes = [envelope for envelope in await self.waiting() if wanted(envelope)]
            if not envelopes:
                return
            for envelope in envelopes:
                receipts = await self.hear(envelope)
                assert receipts, f"{envelope.consumer} could not apply {envelope.type}"
                await settle(self.services[envelope.publisher].db, receipts, self.clock)

    # --- a person ---

    async def guest(self) -> Identity:
        async with self.at("routing") as session:
            return (await start_guest_session(session, municipality=TOWN, now=self.now)).identity

    async def subject_of(self, guest: Identity) -> UUID:
        found = await self.rows("SELECT subject_ref FROM routing.session WHERE session_id = $1", guest.session_id)
        subject_ref: UUID = found[0]["subject_ref"]
        return subject_ref

    async def hand_over(self, guest: Identity, *, reach: str = "email", contact: str | None = EMAIL) -> Pass:
        """A case of 児童手当 at the counter, up to its pass."""
        keys = self.services["routing"].keys
        async with self.at("routing") as session:
            case_id = await open_case(
                session,
                identity=guest,
                procedure_code="CHI02",
                channel="counter",
                idempotency_key=uuid4(),
                now=self.now,
            )
            told = AboutYou(items={"name": NAME, "kana": KANA}, reach=reach, contact=contact)  # type: ignore[arg-type]
            await tell_about_you(session, keys.vault, identity=guest, case_id=case_id, told=told, now=self.now)
        async with self.at("routing") as session:
            shown = await preview_handover(session, keys.vault, identity=guest, case_id=case_id, now=self.now)
        assert shown is not None
        async with self.at("routing") as session:
            decided = await decide_handover(
                session,
                keys,
                identity=guest,
                case_id=case_id,
                answers={offer.item: "yes" for offer in shown.offers},
                shown={offer.item: offer.offer_id for offer in shown.offers},
                language="ja",
                now=self.now,
            )
            assert isinstance(decided, Decided)
        async with self.at("routing") as session:
            handed = await make_pass(
                session,
                keys,
                identity=guest,
                case_id=case_id,
                titles={},
                language="ja",
                now=self.now + timedelta(seconds=1),
            )
        assert handed is not None
        box = self.services["booking"].keys.box
        return open_pass(box, "routing", "book", handed.sealed_pass, municipality=TOWN, now=self.now)

    async def arrive(self, guest: Identity, ticket: Pass) -> UUID:
        async with self.at("booking") as session:
            return await arrive(session, ticket, guest.ref, self.services["booking"].keys, now=self.now)

    async def book(self, guest: Identity, ticket: Pass) -> Booked:
        """With a pass, the first free time from tomorrow on."""
        visit_id = await self.arrive(guest, ticket)
        async with self.at("booking") as session:
            tomorrow = self.now.astimezone(JST).date() + timedelta(days=1)
            policy = (await get_rules(session, TOWN)).policy
            slots = await list_slots(
                session, TOWN, ["7"], policy, first=tomorrow, last=tomorrow + timedelta(days=7), now=self.now
            )
            slot = next(slot for slot in slots if slot.free)
        async with self.at("booking") as session:
            order = HoldPlace(
                municipality=TOWN, visit_id=visit_id, visitor=guest.ref, slot_id=slot.slot_id, key=str(uuid4())
            )
            await hold_place(session, order, now=self.now)
        async with self.at("booking") as session:
            booking = BookAppointment(municipality=TOWN, visit_id=visit_id, visitor=guest.ref, key=str(uuid4()))
            return await book_appointment(session, booking, self.services["booking"].keys, now=self.now)

    async def erase(self, subject_ref: UUID, *, even_if_open: bool = False) -> str:
        async with self.at("routing") as session:
            return await erase_subject(session, TOWN, subject_ref, "resident", even_if_open=even_if_open, now=self.now)

    # --- what is left ---

    async def places_of(self, needle: str) -> set[str]:
        """The tables of all services in which a row says this, in any column: as text, or in bytes."""
        found = set()
        for table in await self.tables():
            hits = await self.admin.fetchval(
                f"SELECT count(*) FROM {table} t WHERE position($1 IN t::text) > 0 OR position($2 IN t::text) > 0",
                needle,
                needle.encode().hex(),
            )
            if hits:
                found.add(table)
        return found

    async def tables(self) -> list[str]:
        rows = await self.rows(
            "SELECT schemaname || '.' || tablename AS name FROM pg_tables WHERE schemaname = ANY ($1) ORDER BY 1",
            list(SERVICES),
        )
        return [row["name"] for row in rows]


async def open_towns(admin: asyncpg.Connection) -> None:
    """The towns' rows, which only the administrator writes."""
    await admin.execute(
        "INSERT INTO town.municipality (code, name_ja, name_kana, name_en) VALUES ($1, '町', 'マチ', 'T')", TOWN
    )
    await admin.execute("INSERT INTO town.host (host, municipality) VALUES ('ninomiya.test', $1)", TOWN)


def _envelope(publisher: str, row: Any) -> Envelope:
    return Envelope(
        publisher=publisher,
        consumer=row["consumer"],
        municipality=row["municipality"],
        event_id=str(row["event_id"]),
        type=row["type"],
        payload=row["payload"].decode(),
        sealed=row["sealed"],
        attempt=1,
    )
