"""One seed: open its town, let things happen, ask every invariant after each, then let everything come to rest."""

import asyncio
import hashlib
import random
from collections.abc import Mapping, Sequence
from datetime import timedelta
from random import Random

import asyncpg

from services.booking.commands.opening import load_opening_rules
from services.notifications.commands.rules import load_notice_rules
from services.routing.commands.catalogue import publish_catalogue
from services.routing.commands.sessions import start_guest_session
from shared.errors import Refusal
from shared.events.subscriptions import SERVICES
from shared.faults import Fault, armed
from shared.tokens import Identity
from tests.simulation import helpers, remembered, residents, town_hall, weather  # noqa: F401  their actions
from tests.simulation.clock import SimulatedClock
from tests.simulation.invariants import all_at_once
from tests.simulation.machines import Service, Worker
from tests.simulation.provider import SimulatedSender
from tests.simulation.town import MORNINGS, PUBLIC_URL, make_pack, quick_passwords
from tests.simulation.transport import Transport
from tests.simulation.world import ACTIONS, Action, Broken, Resident, World

STEPS = 40
RESIDENTS = 4
HELPERS = 2
# One action in so many dies, if it comes as far as the fault point that was drawn.
DEATHS = 0.15
ROUNDS_TO_REST = 60
SHOWN_STEPS = 25
ALL_AT_ONCE = all_at_once()
_WEIGHTS = [known.weight for known in ACTIONS]

_SETUP = """
    CREATE SCHEMA IF NOT EXISTS simulation;
    GRANT USAGE ON SCHEMA simulation TO PUBLIC;
    CREATE TABLE IF NOT EXISTS simulation.effect (municipality text, consumer text, event_id uuid);
    CREATE INDEX IF NOT EXISTS effect_idx ON simulation.effect (municipality, event_id, consumer);
    GRANT INSERT ON simulation.effect TO PUBLIC;
"""
# By index even in tables that look empty, and planned once: the question is the same after every step.
_HABITS = "SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan"
_OPEN_TOWN = """
    WITH town AS (INSERT INTO town.municipality (code, name_ja, name_kana, name_en) VALUES ($1, '模型町', 'モ', 'Model'))
    INSERT INTO town.host (host, municipality) VALUES (lower($1) || '.localhost', $1)
"""
_UNFINISHED = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL AND $1::text IS NOT NULL
      AND backend_type = 'client backend'
"""


class Crashed(BaseException):
    """A process died here."""


class House:
    """What seeds share: the services, and a connection that sees everything."""

    def __init__(self, admin: asyncpg.Connection, services: Mapping[str, Service]) -> None:
        self.admin = admin
        self.services = services

    @classmethod
    async def open(cls, admin_url: str, environ: Mapping[str, str]) -> "House":
        """Connect to a migrated database."""
        admin = await asyncpg.connect(admin_url)
        await admin.execute(_SETUP)
        await admin.execute(_HABITS)
        return cls(admin, {name: Service(name, environ) for name in SERVICES})

    async def close(self) -> None:
        """Close every connection."""
        for service in self.services.values():
            await service.db.dispose()
        await self.admin.close()

    async def run(self, seed: int, steps: int = STEPS) -> list[str]:
        """Run a seed; return its history, a line for each step.

        Raises:
            Broken: an invariant did not hold.
        """
        world = _make_world(self, seed)
        step = 0
        try:
            with quick_passwords():
                await _open_town(world)
                for step in range(1, steps + 1):
                    world.clock.move(timedelta(milliseconds=world.rng.randint(500, 20_000)))
                    await _take_step(world, step)
                    await _check(world)
                step = steps + 1
                await _come_to_rest(world)
        except Exception as error:
            raise Broken(_report(world, step, error)) from error
        finally:
            await _end_town(world)
        return world.history


def digest_of(history: list[str]) -> str:
    """The same for two histories that are the same."""
    return hashlib.sha256("\n".join(history).encode()).hexdigest()[:16]


def _make_world(house: House, seed: int) -> World:
    rng = Random(seed)
    # The product draws the jitter of its retries from here.
    random.seed(seed)
    clock, transport = SimulatedClock(rng.choice(MORNINGS)), Transport()
    # Another run of a seed is another town: nothing is left of it that could be in the way.
    code = f"S{seed}-{house.admin.get_server_pid()}-{random.SystemRandom().randrange(10**6)}"

    async def name_notices(keys: Sequence[str]) -> dict[str, str]:
        return await _name_notices(world, keys)

    sender = SimulatedSender(rng, name_notices)
    senders = {"email": sender, "sms": sender}
    workers = {name: Worker(service, transport, clock, senders) for name, service in house.services.items()}
    world = World(
        seed=seed, code=code, rng=rng, clock=clock, transport=transport, admin=house.admin, services=house.services,
        sender=sender, workers=workers,
    )  # fmt: skip
    return world


async def _open_town(world: World) -> None:
    await world.admin.execute(_OPEN_TOWN, world.code)
    pack = make_pack(world.code)
    async with world.at("routing") as session:
        await publish_catalogue(session, pack, public_url=PUBLIC_URL, now=world.clock.now)
        for number in range(RESIDENTS):
            guest = await start_guest_session(session, municipality=world.code, now=world.clock.now)
            name, kana = f"模擬 {number}郎", "モギ タロウ"
            world.residents.append(Resident(label=f"resident {number}", identity=guest.identity, name=name, kana=kana))
    async with world.at("booking") as session:
        await load_opening_rules(session, pack, now=world.clock.now)
    async with world.at("notifications") as session:
        await load_notice_rules(session, pack, now=world.clock.now)
    for number in range(HELPERS):
        ref = (await helpers.open_helper(world, f"helper{number}")).hex
        world.helpers.append(
            Identity(municipality=world.code, kind="helper", ref=ref, session_id=f"s-{ref}", roles=("helper",))
        )
    # Whoever is asked first among equals is so by this.
    world.helpers.sort(key=lambda helper: helper.ref)
    await world.workers["routing"].publish()
    for worker in world.workers.values():
        await _take_all(world, worker)


async def _take_step(world: World, step: int) -> None:
    said = None
    while said is None:
        action = world.rng.choices(ACTIONS, weights=_WEIGHTS)[0]
        said = await _do(world, action)
    world.history.append(f"{step:3} {world.clock} {action.name}: {said}")


async def _do(world: World, action: Action) -> str | None:
    """What came of it; None when there was nothing to do."""
    fault = _draw_fault(world, action)
    others = asyncio.all_tasks()
    try:
        if fault is None:
            return await action.do(world)
        with armed(Fault(*fault, die=_die)):
            return await action.do(world)
    except Refusal as refusal:
        return f"no: {refusal.code}"
    except Crashed:
        await _bury(world, others)
        return f"dies at {fault}"


def _draw_fault(world: World, action: Action) -> tuple[str, int] | None:
    if not action.dies_at or world.rng.random() >= DEATHS:
        return None
    return world.rng.choice(action.dies_at), world.rng.randint(1, 3)


def _die() -> None:
    raise Crashed


async def _bury(world: World, before: set[asyncio.Task[None]]) -> None:
    """Nothing of a dead process goes on, and PostgreSQL has noticed that it is gone."""
    left = asyncio.all_tasks() - before
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    for worker in world.workers.values():
        worker.start()
    while (await world.ask(_UNFINISHED))[0][0]:
        await asyncio.sleep(0.001)


async def _check(world: World) -> None:
    await remembered.versions_never_go_back(world)
    world.broken += [f"{row['name']}: {row['detail']}" for row in await world.ask(ALL_AT_ONCE)]
    world.broken += world.sender.complaints
    if world.broken:
        raise Broken("; ".join(world.broken))


async def _come_to_rest(world: World) -> None:
    """No more faults; time passes to whatever comes next, until nothing does."""
    world.transport.is_away = False
    world.sender.is_well = True
    for service in SERVICES:
        world.clock.step(service, timedelta())
    for worker in world.workers.values():
        await worker.look_at_broker(was_away=True)
    for _ in range(ROUNDS_TO_REST):
        await _turn_everything(world)
        await _check(world)
        rows = await world.ask(_NEXT)
        if rows[0][0] is None:
            break
        world.clock.move(max(rows[0][0] - world.clock.now, timedelta(seconds=1)))
    for worker in world.workers.values():
        await worker.seal(everywhere=True)
    await _turn_everything(world)
    await remembered.everything_has_arrived(world)
    await remembered.ledgers_are_intact(world)
    await _check(world)


async def _turn_everything(world: World) -> None:
    for worker in world.workers.values():
        await worker.do_what_is_due()
        await worker.look_at_broker(was_away=False)
        await worker.publish()
    for worker in world.workers.values():
        await _take_all(world, worker)
    await world.workers["notifications"].send()
    for worker in world.workers.values():
        await worker.send_receipts()
    for worker in world.workers.values():
        while waiting := world.transport.queues[worker.queues[1]]:
            await worker.take_receipts(waiting.pop(0))


async def _take_all(world: World, worker: Worker) -> None:
    while waiting := world.transport.queues[worker.queues[0]]:
        await worker.take_event(waiting.pop(0))


_NEXT = f"""
    SELECT least({
    ", ".join(
        f"(SELECT min(next_publish_at) FROM {name}.delivery WHERE municipality = $1 AND acked_at IS NULL)"
        for name in SERVICES
    )
}, (SELECT min(greatest(due_at, leased_until)) FROM notifications.due
         WHERE municipality = $1 AND kind = 'send'))
"""


async def _end_town(world: World) -> None:
    """Nobody serves this town any more; its rows stay, and no other town may touch them."""
    for name in SERVICES:
        await world.admin.execute(f"DELETE FROM {name}.due WHERE municipality = $1", world.code)
        await world.admin.execute(
            f"UPDATE {name}.delivery SET acked_at = now() WHERE municipality = $1 AND acked_at IS NULL", world.code
        )
    await world.admin.execute("DELETE FROM town.host WHERE municipality = $1", world.code)
    await world.admin.execute("DELETE FROM town.municipality WHERE code = $1", world.code)


async def _name_notices(world: World, keys: Sequence[str]) -> dict[str, str]:
    rows = await world.ask(
        """SELECT n.notice_id, n.kind, n.created_at, n.occasion, n.kind <> 'cancellation'
                  AND (a.state <> 'booked' OR a.sequence > n.sequence) AS is_over
           FROM notifications.notice n LEFT JOIN notifications.appointment a USING (municipality, appointment_id)
           WHERE n.municipality = $1 AND n.notice_id = ANY ($2)""",
        [key.rpartition(":")[2] for key in keys],
    )  # fmt: skip
    for row in rows:
        world.expect(not row["is_over"], f"nothing_is_sent_of_what_is_over: {row['kind']}")
    return {
        f"{world.code}:{row['notice_id']}": f"{row['created_at']:%d %H:%M:%S.%f} {row['kind']} {row['occasion']}"
        for row in rows
    }


def _report(world: World, step: int, error: Exception) -> str:
    shown = "\n".join(world.history[-SHOWN_STEPS:])
    what = str(error) if isinstance(error, Broken) else f"{type(error).__name__}: {error}"
    return (
        f"seed {world.seed} step {step}: {what}\n{shown}\n"
        f'Again: make simulate ARGS="--seed {world.seed}"'
    )  # fmt: skip
