"""What seeds share, and how a seed's town is opened in it and ended."""

import random
from collections.abc import Mapping, Sequence
from datetime import timedelta
from random import Random

import asyncpg

from services.booking.commands.opening import load_opening_rules
from services.notifications.commands.rules import load_notice_rules
from services.routing.commands.catalogue import publish_catalogue
from services.routing.commands.sessions import start_guest_session
from shared.events.subscriptions import SERVICES
from shared.tokens import Identity
from tests.simulation.clock import SimulatedClock
from tests.simulation.helpers import come_on_every_day, open_helper
from tests.simulation.machines import WAYS, Service, Worker
from tests.simulation.provider import SimulatedSender
from tests.simulation.town import MORNINGS, MOST_AHEAD, PUBLIC_URL, make_pack
from tests.simulation.transport import Transport
from tests.simulation.world import Resident, World

RESIDENTS = 3
# In so many seeds of a hundred, helpers are there from the start, and most who come want one.
FOR_HELPERS = 0.3
# The histories of the first are as they were before there were closings.
LAST_THAT_NEVER_CLOSES = 200
HELPERS = 2
# A provider may take that long; an attempt counts as dead only later.
SLOW = timedelta(seconds=20)

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
    WITH town AS (
        INSERT INTO town.municipality (code, name_ja, name_kana, name_en) VALUES ($1, '模型町', 'モ', 'Model'))
    INSERT INTO town.host (host, municipality) VALUES (lower($1) || '.localhost', $1)
"""
_TABLES_OF_TOWNS = """
    SELECT table_schema || '.' || table_name FROM information_schema.columns
    WHERE column_name = 'municipality' AND table_schema = ANY ($1) ORDER BY 1
"""


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

    async def fingerprint(self) -> dict[tuple[str, str], tuple[int, int]]:
        """How many rows each town has in each table of the services, and what they come to."""
        tables = await self.admin.fetch(_TABLES_OF_TOWNS, list(SERVICES))
        found: dict[tuple[str, str], tuple[int, int]] = {}
        for (table,) in tables:
            sums = f"SELECT municipality, count(*), sum(hashtext(t::text)) FROM {table} t GROUP BY municipality"
            found |= {(table, row[0]): (row[1], row[2]) for row in await self.admin.fetch(sums)}
        return found

    def new_world(self, seed: int) -> World:
        """A seed's world, its town not opened yet."""
        rng = Random(seed)
        # The product draws the jitter of its retries from here.
        random.seed(seed)
        clock, transport = SimulatedClock(rng.choice(MORNINGS)), Transport()
        # Another run of a seed is another town: nothing is left of it that could be in the way.
        code = f"S{seed}-{self.admin.get_server_pid()}-{random.SystemRandom().randrange(10**6)}"

        async def name_notices(keys: Sequence[str]) -> dict[str, str]:
            return await _name_notices(world, keys)

        async def send_with_another() -> None:
            clock.move(SLOW)
            await world.workers["notifications"].send()

        sender = SimulatedSender(rng, name_notices, send_with_another)
        senders = dict.fromkeys(WAYS, sender)
        workers = {name: Worker(service, transport, clock, senders) for name, service in self.services.items()}
        world = World(
            seed=seed, code=code, rng=rng, clock=clock, transport=transport, admin=self.admin, services=self.services,
            sender=sender, workers=workers, is_for_helpers=rng.random() < FOR_HELPERS,
            most_ahead=rng.choice(MOST_AHEAD), closes=seed > LAST_THAT_NEVER_CLOSES,
        )  # fmt: skip
        return world


async def open_town(world: World) -> None:
    """Its catalogue, rules, residents and helpers; and booking and notifications have heard of it."""
    await world.admin.execute(_OPEN_TOWN, world.code)
    pack = make_pack(world.code, world.most_ahead)
    async with world.at("routing") as session:
        await publish_catalogue(session, pack, public_url=PUBLIC_URL, now=world.clock.now)
        for number in range(RESIDENTS):
            guest = await start_guest_session(session, municipality=world.code, now=world.clock.now)
            name, kana = f"模擬 {number}郎", "モギ タロウ"
            world.residents.append(Resident(label=f"resident {number}", identity=guest.identity, name=name, kana=kana))
        # One of them is at two things at once.
        first = world.residents[0]
        tab = Resident(label="resident 0 in another tab", identity=first.identity, name=first.name, kana=first.kana)
        world.residents.append(tab)
    async with world.at("booking") as session:
        await load_opening_rules(session, pack, now=world.clock.now)
    async with world.at("notifications") as session:
        await load_notice_rules(session, pack, now=world.clock.now)
    for number in range(HELPERS):
        ref = (await open_helper(world, f"helper{number}")).hex
        world.helpers.append(
            Identity(municipality=world.code, kind="helper", ref=ref, session_id=f"s-{ref}", roles=("helper",))
        )
    # Whoever is asked first among equals is so by this.
    world.helpers.sort(key=lambda helper: helper.ref)
    await world.workers["routing"].publish()
    for worker in world.workers.values():
        await worker.take_all_events()
    if world.is_for_helpers:
        await come_on_every_day(world)


async def end_town(world: World) -> None:
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
