"""Notifications by itself: its worker, its web process and the gateways are real processes, its notices the test's.

Of every message it is known by which way it goes and what befell its sender, so each can be counted at its gateway.
"""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import httpx
from sqlalchemy import text

from deploy.local.gateways.behaviour import MAGIC, Channel, Mode
from deploy.local.servers import free_port
from deploy.local.sink import Sink
from services.notifications.commands.ways import NewWay, add_way
from services.notifications.domain.retries import RECEIPT_WAIT
from services.notifications.settings import load_settings
from services.notifications.tables import SERVICE
from shared.clock import utc_now
from shared.db import Database
from shared.faults import VARIABLE, Step
from tests.conftest import TestDatabase
from tests.faults.trial import MORNING
from tests.notifications.harness import TOKEN, TOWN, Notifications
from tests.stack import Stack

WORKER, WEB, SINK, SECOND_SINK = "notifications-worker", "notifications-web", "sink", "sink+1"
# Ceilings of waits, no waits. A worker that has just begun takes over from the dead after 43 seconds.
DEATH_CEILING_S, ARRIVAL_CEILING_S, REST_CEILING_S = 60.0, 60.0, 240.0
POLL_S = 0.05
HELD_S = 120.0
# By then a receipt that was waited for has not come.
LATER = RECEIPT_WAIT + timedelta(minutes=1)
LINE_SECRET = "line-secret"
SECOND = "second"

_WAITING = "SELECT 1 FROM notice WHERE state IN ('pending', 'sending', 'unknown') LIMIT 1"
_ATTEMPTS = "SELECT provider, outcome, error_code FROM attempt WHERE notice_id = :notice_id ORDER BY attempt_no"
_STATE = "SELECT state FROM notice WHERE notice_id = :notice_id"
_MADE = "SELECT notice_id FROM notice WHERE contact_ref = :contact_ref"


@dataclass(frozen=True)
class Way:
    """By which gateway, and whether that knows a repetition by our key and tells later what became of a message."""

    channel: Channel
    takes_key: bool = True
    tells: bool = False

    @property
    def dialect(self) -> Literal["json", "form"]:
        """Of the SMS gateway, where it is one."""
        return "form" if self.channel == "form" else "json"


WAYS = {
    "mail": Way("smtp"),
    "SMS, JSON": Way("sms"),
    "SMS, JSON, with receipts": Way("sms", tells=True),
    "SMS, form": Way("form", takes_key=False),
    "SMS, form, with receipts": Way("form", takes_key=False, tells=True),
    "LINE": Way("line"),
}


@dataclass(frozen=True)
class Told:
    """One notice, and where it goes."""

    notice_id: UUID
    address: str


@dataclass(frozen=True)
class Counted:
    """What became of one notice. `arrived`: messages that a person has; `calls`: how often the gateway accepted one."""

    arrived: int
    calls: int
    outcomes: tuple[str, ...]
    state: str = "sent"


class Bench:
    """`service` puts notices in; everything else are processes (`stack`)."""

    def __init__(self, stack: Stack, service: Notifications) -> None:
        self.stack = stack
        self.service = service
        self._number = 0

    # --- notices ----------------------------------------------------------------------------------------------------

    async def tell(self, channel: Channel, *, mode: Mode | None = None, then: str | None = None) -> Told:
        """Owe somebody a message by this gateway. `mode`: how theirs is treated, whenever it comes; `then`: a mail
        address that is their next way."""
        self._number += 1
        self.service.now = now(self.stack)
        address = _address(channel, self._number, mode)
        contact = self.service.contact("email" if channel == "smtp" else "sms", address)
        await self.service.hear(contact)
        ref = contact.contact_ref
        if channel == "line":
            change = "UPDATE contact_way SET kind = 'line' WHERE contact_ref = :ref RETURNING 1"
            assert await self.service.rows(change, ref=ref)
        if then is not None:
            async with self.service.db.begin(TOWN) as session:
                new = NewWay(kind="email", address=then)
                await add_way(session, self.service.keys.vault, TOWN, ref, new, now=self.service.now)
        starts_at = self.service.now + timedelta(days=3)
        await self.service.hear(self.service.booked(contact, starts_at=starts_at, number=f"NNN{self._number:04}"))
        [made] = await self.service.rows(_MADE, contact_ref=ref)
        return Told(made.notice_id, address)

    async def count(self, told: Told) -> Counted:
        """What the gateway has of it, and what the database says."""
        arrived = self.messages(told.address)
        attempts = await self.attempts(told)
        [notice] = await self.service.rows(_STATE, notice_id=told.notice_id)
        calls = sum(message["times"] for message in arrived)
        return Counted(len(arrived), calls, tuple(row.outcome or "open" for row in attempts), notice.state)

    async def attempts(self, told: Told) -> Sequence[Any]:
        """All attempts at it, in their order."""
        return await self.service.rows(_ATTEMPTS, notice_id=told.notice_id)

    def messages(self, address: str, *, sink: str = SINK) -> list[dict[str, Any]]:
        """What a gateway has for somebody."""
        url = self.stack.sink_url if sink == SINK else second_url(self.stack)
        found: list[dict[str, Any]] = httpx.get(f"{url}/messages.json", params={"to": address}, timeout=30).json()
        return found

    # --- gateways and processes -------------------------------------------------------------------------------------

    def misbehave(self, channel: Channel, mode: Mode, *, times: int = 10_000, slow_s: float = HELD_S) -> None:
        """Treat the next messages so; `times=0` ends it."""
        behaviour = {"channel": channel, "mode": mode, "times": times, "slow_s": slow_s}
        httpx.post(f"{self.stack.sink_url}/behaviour", json=behaviour, timeout=30).raise_for_status()

    def start_second(self) -> str:
        """Start another SMS gateway, which a worker asks after the first from then on; return its table."""
        self.stack.start(SECOND_SINK)
        self.stack.ready_urls.append(f"{second_url(self.stack)}/messages.json")
        self.stack.wait_until_ready()
        table = f'[{SECOND}]\nway = "sms"\nurl = "{second_url(self.stack)}/sms"\ntoken = "{TOKEN}"\n'
        self.stack.environ["CHOUDO_NOTIFICATIONS_PROVIDERS"] = table
        return table

    def die_at(self, process: str, step: Step, passes: int = 1) -> subprocess.Popen[bytes]:
        """Start a process that dies at a step."""
        own = self.stack.own_environ.get(process, {})
        self.stack.own_environ[process] = own | {VARIABLE: f"{step}:{passes}"}
        self.stack.start(process)
        self.stack.own_environ[process] = own
        return self.stack.processes[process]

    async def kill_worker_at(self, step: Step, passes: int = 1) -> None:
        """Start a worker, and let it come to a step and die there."""
        dying = self.die_at(WORKER, step, passes)
        await self.until(lambda: dying.poll() is not None, f"the worker never came to {step}", DEATH_CEILING_S)
        assert self.stack.processes.pop(WORKER).returncode == -signal.SIGKILL, self.stack.log_tails()

    async def kill_worker_when(self, has_come: Callable[[], bool]) -> None:
        """Start a worker, and kill it -9 as soon as this is so."""
        self.stack.start(WORKER)
        await self.until(has_come, "it never came so far", ARRIVAL_CEILING_S)
        self.stack.stop(WORKER, signal.SIGKILL)

    async def rest(self, *, later: timedelta = LATER, **environ: str) -> None:
        """Start a worker that lives, by a clock that is so much later, and wait until every notice has its end."""
        if not await self.service.rows(_WAITING):
            return
        starts_at = (MORNING + later).isoformat()
        self.stack.own_environ[WORKER] = {"CHOUDO_CLOCK_STARTS_AT": starts_at} | environ
        self.stack.start(WORKER)
        deadline = time.monotonic() + REST_CEILING_S
        while await self.service.rows(_WAITING):
            assert time.monotonic() < deadline, f"not at rest\n{self.stack.log_tails()}"
            await asyncio.sleep(POLL_S)
        assert self.stack.stop(WORKER) == 0

    async def until(self, is_so: Callable[[], bool], otherwise: str, ceiling_s: float) -> None:
        """Poll until it is so. Raises AssertionError with the logs' ends."""
        deadline = time.monotonic() + ceiling_s
        while not is_so():
            assert time.monotonic() < deadline, f"{otherwise}\n{self.stack.log_tails()}"
            await asyncio.sleep(POLL_S)


def now(stack: Stack) -> datetime:
    """The time by which all processes go, but for one that is later."""
    return MORNING + (
        utc_now() - datetime.fromtimestamp(float(stack.environ["CHOUDO_CLOCK_STARTED"]), utc_now().tzinfo)
    )


def second_url(stack: Stack) -> str:
    """Where the second SMS gateway is."""
    return f"http://127.0.0.1:{stack.own_environ[SECOND_SINK]['CHOUDO_SINK_HTTP_PORT']}"


@asynccontextmanager
async def running_bench(
    database: TestDatabase, folder: Path, *, dialect: Literal["json", "form"] = "json", tells: bool = False
) -> AsyncIterator[Bench]:
    """Gateways and web process run; no worker does. `tells`: the SMS gateway's receipts come, and mail comes back."""
    smtp_port, http_port, web_port = free_port(), free_port(), free_port()
    sink_url, web_url = f"http://127.0.0.1:{http_port}", f"http://127.0.0.1:{web_port}"
    receipts = {
        "CHOUDO_SINK_RECEIPT_URL": f"{web_url}/notifications/api/receipts/sms_gateway",
        "CHOUDO_SINK_FORM_RECEIPT_URL": f"{web_url}/notifications/api/receipts/sms_form",
        "CHOUDO_SINK_BOUNCE_URL": f"{web_url}/notifications/api/bounces",
    }
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("CHOUDO_", "DATABASE_URL"))},
        **database.environ,
        "CHOUDO_ENVIRONMENT": "local",
        "CHOUDO_DEFAULT_MUNICIPALITY": TOWN,
        "CHOUDO_PORT": str(web_port),
        "CHOUDO_CLOCK_STARTS_AT": MORNING.isoformat(),
        "CHOUDO_CLOCK_STARTED": str(time.time()),
        "CHOUDO_SINK_SMTP_PORT": str(smtp_port),
        "CHOUDO_SINK_HTTP_PORT": str(http_port),
        "CHOUDO_SMTP_URL": f"smtp://127.0.0.1:{smtp_port}",
        "CHOUDO_SMS_GATEWAY_URL": f"{sink_url}/sms{'-form' if dialect == 'form' else ''}",
        "CHOUDO_SMS_GATEWAY_DIALECT": dialect,
        "CHOUDO_SMS_GATEWAY_USER": "town",
        "CHOUDO_SMS_GATEWAY_TOKEN": TOKEN,
        "CHOUDO_NOTIFICATIONS_LINE_URL": sink_url,
        "CHOUDO_NOTIFICATIONS_LINE_CHANNELS": f'[{TOWN}]\ntoken = "{TOKEN}"\nsecret = "{LINE_SECRET}"\n',
        "CHOUDO_NOTIFICATIONS_BOUNCE_DOMAIN": "bounce.localhost",
        "CHOUDO_NOTIFICATIONS_BOUNCE_TOKEN": TOKEN,
        "PYTHONWARNINGS": "default",
    } | (receipts if tells else {})
    stack = Stack(environ, folder, web_url, sink_url, [f"{web_url}/readyz", f"{sink_url}/messages.json"])
    # Its messages outlive a gateway that is killed.
    stack.own_environ = {
        SINK: {"CHOUDO_SINK_DIR": str(folder / "first")},
        SECOND_SINK: {"CHOUDO_SINK_SMTP_PORT": str(free_port()), "CHOUDO_SINK_HTTP_PORT": str(free_port())},
    }
    settings = load_settings(environ)
    db = Database(settings.database_url, service=SERVICE)
    # The gateways are processes of their own: this one is never started.
    service = Notifications(settings, environ, db, Sink(token=TOKEN))
    async with database.admin_engine().begin() as connection:
        town = {"code": TOWN, "host": "ninomiya.example.jp"}
        await connection.execute(text("INSERT INTO town.municipality VALUES (:code, :code, :code, :code)"), town)
        await connection.execute(text("INSERT INTO town.host VALUES (:host, :code)"), town)
    try:
        for name in (SINK, WEB):
            stack.start(name)
        stack.wait_until_ready()
        service.now = now(stack)
        await service.hear(service.catalogue())
        yield Bench(stack, service)
    finally:
        for process in stack.processes.values():
            process.kill()
            process.wait()
        await service.close_senders()
        await db.dispose()


def _address(channel: Channel, number: int, mode: Mode | None) -> str:
    """An address that is nobody else's. Its ending says how it is treated, if that was asked for."""
    ending = next((ending for ending, known in MAGIC.items() if known == mode), "000000")
    match channel:
        case "smtp":
            return f"n{number}{f'+{mode}' if mode else ''}@example.jp"
        case "line":
            return f"U{number:026}{ending}"
        case _:
            return f"+8190{number:02}{ending}"
