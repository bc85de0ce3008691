"""The three applications on a real database, asked in this process as somebody: any route, any bytes."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

import msgspec
from sqlalchemy import text

from shared.clock import Clock
from shared.db import Database
from shared.events.subscriptions import SERVICES
from shared.messaging.broker import Envelope, Receipt
from shared.messaging.consumer import Consumer
from shared.tokens import Identity, sign_token
from shared.town_pack import read_town_pack
from shared.web.identity import SESSION_COOKIE
from shared.web.middleware import AroundRequest
from tests.conftest import TestDatabase
from tests.in_process import load_pack, make_apps
from tests.simulation.machines import Service
from tests.stack import SAMPLE_TOWN

TOWN, OTHER_TOWN = "143421", "999999"
HOST, OTHER_HOST = "ninomiya.test", "other.test"
# A Tuesday morning in Japan.
NOW = datetime(2026, 11, 24, 0, 10, tzinfo=UTC)
SESSION, GUEST_SESSION = "session-of-a-test", "guest-session-of-a-test"
# The guest's; the others are asked whether they have one nowhere.
_SESSION = """
    INSERT INTO session (municipality, session_id, refresh_hash, kind, ref, created_at, expires_at)
    VALUES (:town, :session_id, '', 'guest', 'ref-of-guest', :now, CAST(:now AS timestamptz) + interval '30 days')
"""
GATEWAY_TOKEN = "the-gateway's-own"
# An answer takes milliseconds; a page that never ends is told at once that its visitor left.
ANSWER_TIMEOUT_S = 20.0
FORM = "application/x-www-form-urlencoded"

_UNHEARD = """
    SELECT o.municipality, o.event_id, o.type, o.payload, o.sealed, d.consumer
    FROM {0}.delivery d JOIN {0}.outbox o USING (municipality, event_id)
    WHERE d.acked_at IS NULL ORDER BY o.occurred_at, o.aggregate_version
"""
_HEARD = """
    UPDATE {0}.delivery SET acked_at = :now, outcome = :outcome
    WHERE municipality = :municipality AND event_id = CAST(:event_id AS uuid) AND consumer = :consumer
"""


class Answer(msgspec.Struct, frozen=True):
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def location(self) -> str:
        """Where it leads, or nothing."""
        return self.headers.get("location", "")

    @property
    def text(self) -> str:
        """The page."""
        return self.body.decode("utf-8")


class Product(msgspec.Struct):
    """The applications, their databases and their keys."""

    apps: dict[str, AroundRequest]
    dbs: dict[str, Database]
    consumers: dict[str, Consumer]
    environ: dict[str, str]
    asked: int = 0

    def identity(self, role: str, *, municipality: str = TOWN, ref: str | None = None) -> Identity:
        """Somebody with this role, or a guest ("guest")."""
        return Identity(
            municipality=municipality,
            kind=role if role in ("guest", "helper") else "staff",  # type: ignore[arg-type]
            ref=ref or f"ref-of-{role}",
            session_id=GUEST_SESSION if role == "guest" else SESSION,
            roles=() if role == "guest" else (role,),
        )

    def cookie(self, role: str | None, *, now: datetime = NOW, municipality: str = TOWN, ref: str | None = None) -> str:
        """The cookie of their token; None: of nobody."""
        if role is None:
            return ""
        token = sign_token(
            self.identity(role, municipality=municipality, ref=ref), self.environ["CHOUDO_TOKEN_PRIVATE_KEY"], now=now
        )
        return f"{SESSION_COOKIE}={token}"

    async def deliver(self) -> None:
        """Every event that was published so far arrives, as the relay would bring it, and what follows from it too."""
        while True:
            waiting = [item for db in self.dbs.values() for item in await _unheard(db)]
            if not waiting:
                return
            for envelope in waiting:
                await self.consumers[envelope.consumer].consume(envelope)

    async def receive(self, service: str, receipt: Receipt) -> None:
        """A consumer's answer ends the delivery."""
        assert receipt.outcome == "applied", receipt
        async with self.dbs[service].begin(receipt.municipality) as session:
            await session.execute(text(_HEARD.format(service)), msgspec.structs.asdict(receipt) | {"now": NOW})

    async def ask(
        self,
        service: str,
        method: str,
        path: str,
        *,
        cookie: str = "",
        body: bytes = b"",
        content_type: str = FORM,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request. `path` as it stands in the request line, already quoted."""
        self.asked += 1
        raw_path, _, query = path.partition("?")
        given = {"host": HOST, "sec-fetch-site": "same-origin", "cookie": cookie, **(headers or {})}
        if method == "POST":
            given |= {"content-type": content_type, "content-length": str(len(body))}
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(raw_path),
            "raw_path": raw_path.encode("ascii"),
            "root_path": "",
            "query_string": query.encode("ascii"),
            "headers": [(name.encode(), value.encode("utf-8")) for name, value in given.items() if value],
            # Somebody else each time, for those who count tries.
            "client": (f"10.{self.asked >> 16 & 255}.{self.asked >> 8 & 255}.{self.asked & 255}", 1),
            "server": (HOST, 80),
            "state": {},
        }
        sent: list[dict[str, Any]] = []
        waiting = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> dict[str, Any]:
            return waiting.pop() if waiting else {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            await self.apps[service](scope, receive, send)
        start = sent[0]
        return Answer(
            start["status"],
            {name.decode().lower(): value.decode("latin-1") for name, value in start["headers"]},
            b"".join(message.get("body", b"") for message in sent[1:]),
        )


@asynccontextmanager
async def running_product(database: TestDatabase, clock: Clock = lambda: NOW) -> AsyncIterator[Product]:
    """The applications on a test's database with the sample town, and another that has nothing yet."""
    async with database.admin_engine().begin() as connection:
        for code, host in ((TOWN, HOST), (OTHER_TOWN, OTHER_HOST)):
            await connection.execute(
                text("INSERT INTO town.municipality VALUES (:code, '町', 'マチ', 'Town', '0463-71-3311')"),
                {"code": code},
            )
            await connection.execute(text("INSERT INTO town.host VALUES (:host, :code)"), {"host": host, "code": code})
    product = Product({}, {}, {}, database.environ | {"CHOUDO_SMS_GATEWAY_TOKEN": GATEWAY_TOKEN})
    for name in SERVICES:
        service = Service(name, product.environ)
        product.dbs[name] = service.db
        product.consumers[name] = Consumer(service.db, service.handlers, product.receive, clock)
    product.apps = make_apps(product.environ, product.dbs, clock)
    try:
        pack = read_town_pack(SAMPLE_TOWN)
        await load_pack(lambda service: product.dbs[service].begin(TOWN), pack, public_url=f"http://{HOST}", now=NOW)
        async with product.dbs["routing"].begin(TOWN) as session:
            await session.execute(text(_SESSION), {"town": TOWN, "session_id": GUEST_SESSION, "now": NOW})
        await product.deliver()
        yield product
    finally:
        for db in product.dbs.values():
            await db.dispose()


async def _unheard(db: Database) -> list[Envelope]:
    async with db.begin_across_towns() as session:
        rows = (await session.execute(text(_UNHEARD.format(db.service)))).all()
    return [
        Envelope(
            publisher=db.service,
            consumer=row.consumer,
            municipality=row.municipality,
            event_id=str(row.event_id),
            type=row.type,
            payload=bytes(row.payload).decode("utf-8"),
            sealed=row.sealed,
            attempt=1,
        )
        for row in rows
    ]
