"""A town whose notifications service a test drives by hand: events in, loops step by step, a real sink at the end."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeVar
from uuid import UUID, uuid4

import httpx
import msgspec
from sqlalchemy import Row, text

from deploy.local.sink import Sink
from services.notifications.consumers import make_handlers
from services.notifications.keys import make_keys
from services.notifications.providers.chosen import make_providers, make_senders
from services.notifications.senders.by_hand import senders_by_hand
from services.notifications.senders.sender import Sender
from services.notifications.sending import SendingLoop
from services.notifications.settings import Settings, load_settings
from services.notifications.tables import SERVICE
from services.notifications.worker import DUE_HANDLERS
from shared.clock import Clock
from shared.crypto import ServiceBox
from shared.db import Database
from shared.events.base import Event, event_type
from shared.events.booking import (
    AppointmentBooked,
    AppointmentCancelled,
    AppointmentChanged,
    AppointmentProgressed,
    HelperMatter,
    HelperTold,
    SealedAccess,
    SealedMessage,
    SealedTicket,
)
from shared.events.routing import (
    AccountContactChanged,
    ApplicationProgressed,
    ApplicationState,
    CataloguePublished,
    ContactGiven,
    CounterEntry,
    ProcedureEntry,
    Reach,
    SealedApplicationAccess,
    SealedContact,
    SealedSignIn,
    SignInAsked,
)
from shared.messaging.broker import Envelope, Receipt
from shared.messaging.consumer import Consumer
from shared.messaging.due import DueLoop
from shared.tokens import Identity, sign_token
from tests.conftest import TestDatabase

TOWN = "143421"
OTHER_TOWN = "999999"
PUBLIC_URL = "https://ninomiya.example.jp"
TOKEN = "gateway-token"
EMAIL = "hanako.kakushi@example.jp"
PHONE = "+819012345678"
LINK_TOKEN = "l" * 43
CODE = "482913"
# A Tuesday morning in Japan.
NOW = datetime(2026, 11, 24, 1, 0, tzinfo=UTC)
START = NOW + timedelta(days=3)
# A ceiling and no wait: what takes so long does not happen at all.
PATIENCE_S = 60.0

Appointment = TypeVar(
    "Appointment",
    AppointmentBooked,
    AppointmentChanged,
    AppointmentCancelled,
    AppointmentProgressed,
    ApplicationProgressed,
)


async def until(is_so: Callable[[], bool | Awaitable[bool]]) -> None:
    """Wait for what must come to be. Raises TimeoutError when it does not."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            answer = is_so()
            if answer if isinstance(answer, bool) else await answer:
                return
            await asyncio.sleep(0.005)


class LoopTime:
    """The running event loop's own time, which a test moves on: a limit of ten seconds is over at once, and no sooner.

    Without it a test would wait for a limit, or shorten it until a busy machine breaks it.
    """

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        real = loop.time
        self._ahead_s = 0.0
        # Never undone: it is this test's loop, and time that went back would leave its timers late.
        loop.time = lambda: real() + self._ahead_s  # type: ignore[method-assign]

    def pass_time(self, seconds: float) -> None:
        """Every timer of the loop that ends within these seconds ends now."""
        self._ahead_s += seconds


class Notifications:
    """The service in a test. `now` is its clock; `receipts` are the consumer's answers."""

    def __init__(self, settings: Settings, environ: dict[str, str], db: Database, sink: Sink) -> None:
        self.settings = settings
        self.db = db
        self.sink = sink
        self.now = NOW
        self.receipts: list[Receipt] = []
        public = environ["CHOUDO_BOX_PUBLIC_KEYS"]
        self._routing = ServiceBox.from_settings(environ["CHOUDO_ROUTING_BOX_KEY"], public)
        self._booking = ServiceBox.from_settings(environ["CHOUDO_BOOKING_BOX_KEY"], public)
        self.keys = make_keys(settings)
        self._consumer = Consumer(db, make_handlers(self.keys), self._note_receipt, lambda: self.now)
        self._due = DueLoop(db, DUE_HANDLERS, lambda: self.now)
        self._start_sending()

    async def restart_sending(self, **settings: Any) -> None:
        """As a new worker process, which remembers nothing; with other settings, where they are given."""
        await self.close_senders()
        self.settings = msgspec.structs.replace(self.settings, **settings)
        self._start_sending()

    async def close_senders(self) -> None:
        """Give back their connections."""
        for sender in (*self.senders.values(), *self.bulk_senders.values()):
            await sender.close()

    def _start_sending(self) -> None:
        self.senders, self.bulk_senders = (self._make_senders() for _ in range(2))
        self.providers = make_providers(self.settings, pace=lambda: self.now.timestamp())
        self.sending = self.make_sending()
        self.sending_bulk = self.make_sending(bulk=True)

    def _make_senders(self) -> dict[str, Sender]:
        return make_senders(self.settings) | senders_by_hand(self.db, self.keys.vault, lambda: self.now)

    def make_sending(self, *, bulk: bool = False, clock: Clock | None = None) -> SendingLoop:
        """A sending loop of its own, as a second worker has."""
        senders = self.bulk_senders if bulk else self.senders
        return SendingLoop(self.db, self.keys, senders, self.providers, clock or (lambda: self.now), bulk=bulk)

    async def _note_receipt(self, _: str, receipt: Receipt) -> None:
        self.receipts.append(receipt)

    async def hear(self, *events: Event, bulk: bool = False) -> None:
        """Let the consumer take events in this order, each exactly as the relay would bring it."""
        for event in events:
            envelope = Envelope(
                publisher=event_type(type(event)).split(".")[0],
                consumer=SERVICE,
                municipality=event.municipality,
                event_id=str(event.event_id),
                type=event_type(type(event)),
                payload=msgspec.json.encode(msgspec.structs.replace(event, sealed=None)).decode(),
                sealed=event.sealed,
                attempt=1,
            )
            await self._consumer.consume(envelope, bulk=bulk)

    async def pass_time(self, **amount: float) -> None:
        """Let time go by, and what is due happen: reminders, then sending."""
        self.now += timedelta(**amount)
        await self.settle()

    async def settle(self) -> None:
        """Let everything that is due at this moment happen."""
        while await self._due.run_once():
            pass
        while await self.sending.run_once() or await self.sending_bulk.run_once():
            pass

    async def rows(self, query: str, municipality: str = TOWN, **values: Any) -> Sequence[Row[Any]]:
        """Ask the database, as the service's role in a town's transaction."""
        async with self.db.begin(municipality) as session:
            return (await session.execute(text(query), values)).all()

    async def states(self) -> dict[str, str]:
        """The newest notice's state of each kind."""
        rows = await self.rows("SELECT kind, state FROM notice ORDER BY created_at, sequence")
        return {row.kind: row.state for row in rows}

    async def open_tasks(self) -> list[str]:
        """The reasons of the open staff tasks."""
        return [row.reason for row in await self.rows("SELECT reason FROM staff_task WHERE done_at IS NULL")]

    # --- events ---------------------------------------------------------------------------------------------------

    def catalogue(self, *, municipality: str = TOWN, version: int = 1, name: str = "二宮町") -> CataloguePublished:
        return CataloguePublished(
            event_id=uuid4(),
            municipality=municipality,
            aggregate_id=municipality,
            aggregate_version=version,
            occurred_at=self.now,
            town_name_ja=name,
            town_phone="0463-71-3311",
            town_host=PUBLIC_URL,
            procedures=(
                ProcedureEntry(
                    code="CHI01",
                    name_ja="児童手当",
                    office="子育て",
                    counters=("7",),
                    minutes=20,
                    bring=("預金通帳",),
                    fee_yen=300,
                ),
                ProcedureEntry(
                    code="OKU01",
                    name_ja="おくやみ",
                    office="総合",
                    counters=("0",),
                    minutes=60,
                    discreet=True,
                    bring=("死亡診断書",),
                ),
            ),
            counters=(
                CounterEntry(code="7", number="7", name_ja="子育て", office="子育て", place_ja="町役場 2階 7番"),
                CounterEntry(code="0", number="相談室", name_ja="おくやみ窓口", office="総合", place_ja="町役場 1階"),
                CounterEntry(
                    code="HALL", number="", name_ja="公民館", office="公民館", place_ja="町民センター", kind="venue"
                ),
            ),
            town_address_ja="二宮961",
        )

    def contact(
        self,
        reach: Reach = "email",
        address: str | None = None,
        *,
        contact_ref: UUID | None = None,
        subject_ref: UUID | None = None,
        municipality: str = TOWN,
        language: str = "ja",
        version: int = 1,
    ) -> ContactGiven:
        contact_ref = contact_ref or uuid4()
        address = address or {"email": EMAIL, "sms": PHONE, "none": ""}[reach]
        sealed = None
        if reach != "none":
            body = msgspec.msgpack.encode(SealedContact(address=address))
            sealed = self._routing.seal_for(SERVICE, "contact", body)
        return ContactGiven(
            event_id=uuid4(),
            municipality=municipality,
            aggregate_id=str(contact_ref),
            aggregate_version=version,
            occurred_at=self.now,
            sealed=sealed,
            contact_ref=contact_ref,
            subject_ref=subject_ref or uuid4(),
            reach=reach,
            language=language,
            approval_id=uuid4(),
            case_id=uuid4(),
        )

    def booked(
        self,
        contact: ContactGiven | None,
        *,
        procedure: str = "CHI01",
        counter: str = "7",
        starts_at: datetime = START,
        number: str = "NNN1042",
    ) -> AppointmentBooked:
        appointment_id = uuid4()
        body = msgspec.msgpack.encode(SealedAccess(link_token=LINK_TOKEN, code=CODE))
        return AppointmentBooked(
            event_id=uuid4(),
            municipality=contact.municipality if contact else TOWN,
            aggregate_id=str(appointment_id),
            aggregate_version=1,
            occurred_at=self.now,
            sealed=self._booking.seal_for(SERVICE, "access", body),
            appointment_id=appointment_id,
            number=number,
            subject_ref=contact.subject_ref if contact else None,
            contact_ref=contact.contact_ref if contact else None,
            case_id=contact.case_id if contact else None,
            procedure=procedure,
            office="子育て",
            counter=counter,
            starts_at=starts_at,
            ends_at=starts_at + timedelta(minutes=45),
            state="booked",
            sequence=0,
        )

    def account(
        self,
        reach: Reach = "sms",
        address: str | None = None,
        *,
        account_ref: str = "tanaka",
        language: str = "ja",
        version: int = 1,
    ) -> AccountContactChanged:
        """By which way a helper is told things, from now on."""
        address = address or {"email": EMAIL, "sms": PHONE, "none": ""}[reach]
        body = msgspec.msgpack.encode(SealedContact(address=address))
        return AccountContactChanged(
            event_id=uuid4(),
            municipality=TOWN,
            aggregate_id=account_ref,
            aggregate_version=version,
            occurred_at=self.now,
            sealed=self._routing.seal_for(SERVICE, "account_contact", body) if reach != "none" else None,
            account_ref=account_ref,
            reach=reach,
            language=language,
        )

    def helper_told(self, matter: HelperMatter = "offer", *, helper_ref: str = "tanaka", **changes: Any) -> HelperTold:
        """What booking tells a helper: of a visit at the hall, or what a coordinator wrote (`subject`, `body`)."""
        told_id, sealed = changes.pop("told_id", None) or uuid4(), None
        visit: dict[str, Any] = {
            "assignment_id": uuid4(),
            "about": uuid4(),
            "venue": "HALL",
            "starts_at": START,
            "ends_at": START + timedelta(hours=1),
            "answer_by": START - timedelta(days=2) if matter in ("offer", "cover", "changed") else None,
        }
        if matter == "over":
            visit = {}
        if matter == "message":
            body = SealedMessage(
                subject=changes.pop("subject", "集まり"), body=changes.pop("body", "金曜に集まります。")
            )
            visit, sealed = {}, self._booking.seal_for(SERVICE, "helper_message", msgspec.msgpack.encode(body))
        return HelperTold(
            event_id=uuid4(),
            municipality=TOWN,
            aggregate_id=str(told_id),
            aggregate_version=1,
            occurred_at=changes.pop("occurred_at", self.now),
            sealed=sealed,
            told_id=told_id,
            helper_ref=helper_ref,
            matter=matter,
            **(visit | changes),
        )

    def sign_in_asked(
        self, *, account_ref: str = "tanaka", minutes: int = 15, purpose: Literal["sign_in", "prove"] = "sign_in"
    ) -> SignInAsked:
        asked_id = uuid4()
        body = msgspec.msgpack.encode(SealedSignIn(link_token=LINK_TOKEN, code=CODE))
        return SignInAsked(
            event_id=uuid4(),
            municipality=TOWN,
            aggregate_id=str(asked_id),
            aggregate_version=1,
            occurred_at=self.now,
            sealed=self._routing.seal_for(SERVICE, "sign_in", body),
            asked_id=asked_id,
            account_ref=account_ref,
            expires_at=self.now + timedelta(minutes=minutes),
            purpose=purpose,
        )

    def seal_access(self) -> str:
        body = msgspec.msgpack.encode(SealedAccess(link_token=LINK_TOKEN, code=CODE))
        return self._booking.seal_for(SERVICE, "access", body)

    def seal_ticket(self, ticket: str) -> str:
        body = msgspec.msgpack.encode(SealedTicket(ticket=ticket))
        return self._booking.seal_for(SERVICE, "ticket", body)

    def applied(
        self, contact: ContactGiven | None, *, procedure: str = "CHI01", number: str = "K4M7RXAC"
    ) -> ApplicationProgressed:
        application_id = uuid4()
        body = msgspec.msgpack.encode(SealedApplicationAccess(link_token=LINK_TOKEN, code=CODE))
        return ApplicationProgressed(
            event_id=uuid4(),
            municipality=contact.municipality if contact else TOWN,
            aggregate_id=str(application_id),
            aggregate_version=1,
            occurred_at=self.now,
            sealed=self._routing.seal_for(SERVICE, "application", body) if contact else None,
            application_id=application_id,
            number=number,
            subject_ref=contact.subject_ref if contact else uuid4(),
            contact_ref=contact.contact_ref if contact else None,
            case_id=contact.case_id if contact else uuid4(),
            procedure=procedure,
            office="子育て",
            state="submitted",
        )

    def progressed(self, before: ApplicationProgressed, state: ApplicationState) -> ApplicationProgressed:
        """The next state of the same application."""
        return self.followed(ApplicationProgressed, before, state=state)

    def followed(self, kind: type[Appointment], before: Event, **changes: Any) -> Appointment:
        """The next event of the same appointment or application."""
        fields = {name: getattr(before, name) for name in kind.__struct_fields__ if hasattr(before, name)}
        fields |= {
            "event_id": uuid4(),
            "aggregate_version": before.aggregate_version + 1,
            "occurred_at": self.now,
            "sealed": None,
        }
        return kind(**(fields | changes))

    def changed(self, before: Event, starts_at: datetime) -> AppointmentChanged:
        sequence = before.sequence + 1  # type: ignore[attr-defined]
        ends_at = starts_at + timedelta(minutes=45)
        return self.followed(AppointmentChanged, before, starts_at=starts_at, ends_at=ends_at, sequence=sequence)

    def cancelled(self, before: Event) -> AppointmentCancelled:
        sequence = before.sequence + 1  # type: ignore[attr-defined]
        return self.followed(AppointmentCancelled, before, state="cancelled", sequence=sequence)


@asynccontextmanager
async def running_notifications(database: TestDatabase) -> AsyncIterator[Notifications]:
    """The service on a test's database, with a sink of its own and two towns."""
    async with database.admin_engine().begin() as connection:
        for code, host in ((TOWN, "ninomiya.example.jp"), (OTHER_TOWN, "other.example.jp")):
            await connection.execute(
                text("INSERT INTO town.municipality VALUES (:code, :code, :code, :code)"), {"code": code}
            )
            await connection.execute(text("INSERT INTO town.host VALUES (:host, :code)"), {"host": host, "code": code})
    async with Sink(token=TOKEN) as sink:
        environ = database.environ | {
            "CHOUDO_SMTP_URL": sink.smtp_url,
            "CHOUDO_SMS_GATEWAY_URL": sink.sms_url,
            "CHOUDO_SMS_GATEWAY_TOKEN": TOKEN,
        }
        settings = load_settings(environ)
        db = Database(settings.database_url, service=SERVICE)
        running = Notifications(settings, environ, db, sink)
        try:
            yield running
        finally:
            await running.close_senders()
            await db.dispose()


def sign_in(
    service: Notifications,
    database: TestDatabase,
    client: httpx.AsyncClient,
    *,
    roles: tuple[str, ...],
    municipality: str = TOWN,
) -> httpx.AsyncClient:
    """The client, from now on as staff in these roles."""
    identity = Identity(municipality=municipality, kind="staff", ref="staff-1", session_id="s1", roles=roles)
    token = sign_token(identity, database.environ["CHOUDO_TOKEN_PRIVATE_KEY"], now=service.now)
    client.headers["cookie"] = f"choudo_token={token}"
    client.headers["origin"] = "http://ninomiya.example.jp"
    return client
