"""Everything that one seed has: its town, its people, its machines, and what has happened."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from typing import Any
from uuid import UUID, uuid4

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession

from shared.tokens import Identity
from tests.simulation.clock import SimulatedClock
from tests.simulation.machines import Service, Worker
from tests.simulation.provider import SimulatedSender
from tests.simulation.transport import Transport

# One action in so many dies, if it comes as far as the fault point that was drawn.
DEATHS = 0.15
# It dies the first time that it comes there, or a later one up to this.
PASSES = 3
WEB = ("transaction.written", "transaction.committed")
Outcome = Awaitable[str | None]
# What a page's transaction of this task waits for before it commits (see `overlap`).
BEFORE_COMMIT: ContextVar[Callable[[], Awaitable[None]] | None] = ContextVar("BEFORE_COMMIT", default=None)


@dataclass(frozen=True)
class Action:
    """Something that can happen, how often, at which fault points it may die, and in how many of its turns.

    What `closes` happens only in towns that do: the seeds of the others keep their histories.
    """

    name: str
    weight: float
    dies_at: tuple[str, ...]
    deaths: float
    passes: int
    closes: bool
    do: Callable[["World"], Outcome]


ACTIONS: list[Action] = []


def action(
    weight: float,
    *,
    dies_at: tuple[str, ...] = WEB,
    deaths: float = DEATHS,
    passes: int = PASSES,
    closes: bool = False,
) -> Callable[[Callable[["World"], Outcome]], Callable[["World"], Outcome]]:
    """Register what can happen: see this package's docstring."""

    def register(do: Callable[["World"], Outcome]) -> Callable[["World"], Outcome]:
        ACTIONS.append(Action(do.__name__, weight, dies_at, deaths, passes, closes, do))
        return do

    return register


class Broken(AssertionError):
    """An invariant does not hold."""


@dataclass
class Booked:
    """An appointment as its owner knows it."""

    appointment_id: UUID
    label: str
    version: int = 1


@dataclass
class Resident:
    """Somebody, what they are at, and what they know. `keys` are of orders whose answer they have not got."""

    label: str
    identity: Identity
    name: str
    kana: str
    procedure: str = ""
    channel: str = ""
    phase: str = "idle"
    case_id: UUID | None = None
    visit_id: UUID | None = None
    approved: frozenset[str] = frozenset()
    # Until when the place of their visit is theirs, as they were told.
    held_until: datetime | None = None
    booked: list[Booked] = field(default_factory=list)
    keys: dict[str, UUID] = field(default_factory=dict)
    # What they last arrived in booking with.
    sealed_pass: str = ""
    # The last order that was answered: what repeats it, what must come of it again, and until when.
    again: tuple[Callable[[], Awaitable[Any]], Any, datetime] | None = None
    # A move or cancellation whose answer never came.
    unanswered: "tuple[Booked, Callable[[], Awaitable[Any]], str] | None" = None

    def key(self, order: str) -> UUID:
        """The key of an order: the same one until it is answered."""
        return self.keys.setdefault(order, uuid4())

    def answered(self, order: str) -> None:
        """The next order of this kind is another one."""
        self.keys.pop(order, None)


@dataclass
class World:
    """What actions act on. Ids, keys and rows may be used, but must not decide anything."""

    seed: int
    code: str
    rng: Random
    clock: SimulatedClock
    transport: Transport
    admin: asyncpg.Connection
    services: Mapping[str, Service]
    sender: SimulatedSender
    workers: dict[str, Worker]
    residents: list[Resident] = field(default_factory=list)
    helpers: list[Identity] = field(default_factory=list)
    # Whether most who come here want a helper.
    is_for_helpers: bool = False
    most_ahead: int = 2
    # Whether its town hall closes now and then, and opens again.
    closes: bool = False
    history: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    versions: dict[tuple[str, str], int] = field(default_factory=dict)
    # The next transaction, when the invariants were last asked.
    checked: int = 0

    def now(self, service: str) -> datetime:
        """The time by a service's clock."""
        return self.clock.of(service)()

    @asynccontextmanager
    async def at(self, service: str) -> AsyncIterator[AsyncSession]:
        """A transaction of a page of this service, in this town."""
        async with self.services[service].db.begin(self.code) as session:
            yield session
            wait = BEFORE_COMMIT.get()
            if wait is not None:
                await wait()

    async def ask(self, sql: str, *values: object) -> Sequence[Any]:
        """Look at all schemas, as nobody in the product can. The town is `$1`."""
        rows: Sequence[Any] = await self.admin.fetch(sql, self.code, *values)
        return rows

    def expect(self, holds: bool, what: str) -> None:
        """Note what an action saw that must not be."""
        if not holds:
            self.broken.append(what)

    def staff(self, *, office: str | None = None) -> Identity:
        """Somebody at a counter."""
        roles = ("counter", "back_office", "coordinator", "manager")
        return Identity(
            municipality=self.code, kind="staff", ref="staff", session_id="s-staff", roles=roles, office=office
        )
