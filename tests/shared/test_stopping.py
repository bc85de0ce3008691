"""Whatever a process waits for when it is asked to end, it ends within the bound; what it had in hand comes again."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from deploy.local.servers import die_with_parent, free_port
from shared.clock import utc_now
from shared.messaging.broker import ChoudoBroker, events_queue
from shared.stopping import CUT_SHORT, MARGIN_S, STOP_WITHIN_S
from tests.conftest import TestDatabase
from tests.shared.conftest import MakeDb
from tests.shared.makers import make_availability, publish, rows_of
from tests.shared.stalling import stalling
from tests.shared.test_messaging_crashes import EFFECTS, Workers, wait_until, workers

__all__ = ["workers"]

pytestmark = pytest.mark.alone

PATIENCE_S = 60
ENDLESS = "import time, shared.stopping as s; s.STOP_WITHIN_S = 2; s.end_in_time(); time.sleep(3_600)"


async def seconds_to_end(process: "subprocess.Popen[bytes]") -> float:
    """Ask for an orderly end; how long it took."""
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    await asyncio.to_thread(process.wait, PATIENCE_S)
    return time.monotonic() - began


async def test_every_kind_of_process_ends_in_time_whatever_it_waits_for(
    database: TestDatabase, make_db: MakeDb, broker: ChoudoBroker, root_dir: Path, tmp_path: Path, workers: Workers
) -> None:
    """All at once, since each takes its time: a handler that hangs, a database and a broker that do not answer, to a
    worker, and a database that does not answer to a web process with a request in hand.

    Seen to fail with the closing of connections unbounded (database), and with dramatiq's own limit (handler): both are
    cut short.
    """
    booking, routing = make_db("booking"), make_db("routing")
    environ = database.environ
    way = environ["CHOUDO_BOOKING_DATABASE_URL"]
    async with stalling(way) as database_way, stalling(environ["CHOUDO_REDIS_URL"]) as broker_way:
        without_database = Workers(
            environ | {"CHOUDO_BOOKING_DATABASE_URL": database_way.url}, root_dir, _folder(tmp_path, "database")
        )
        without_broker = Workers(environ | {"CHOUDO_REDIS_URL": broker_way.url}, root_dir, _folder(tmp_path, "broker"))
        port = free_port()
        web = subprocess.Popen(
            [sys.executable, "-m", "deploy.front", "--only", "booking"],
            cwd=root_dir,
            env={**os.environ, **environ, "CHOUDO_BOOKING_DATABASE_URL": database_way.url, "CHOUDO_PORT": str(port)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=die_with_parent(signal.SIGKILL),
        )
        started = {"web": web}
        try:
            workers.start("routing", holds_after=1)
            without_database.start("booking")
            without_broker.start("notifications")
            started |= {"handler": workers.running["routing"], "database": without_database.running["booking"]}
            started |= {"broker": without_broker.running["notifications"]}
            await publish(booking, *(make_availability(at=utc_now()) for _ in range(3)))

            async def one_hangs() -> bool:
                done = int((await rows_of(routing, EFFECTS))[0].events)
                return done == 1 and broker.queue_length(events_queue("routing")) == 0

            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_S) as client:

                async def web_answers() -> bool:
                    try:
                        return (await client.get("/booking/readyz")).status_code < 500
                    except httpx.HTTPError:
                        return False

                await wait_until(one_hangs)
                await wait_until(web_answers)
                database_way.stall()
                broker_way.stall()
                in_hand = asyncio.create_task(client.get("/booking/readyz"))
                await asyncio.sleep(1)
                took = dict(zip(started, await asyncio.gather(*map(seconds_to_end, started.values())), strict=True))
                await asyncio.gather(in_hand, return_exceptions=True)
        finally:
            for process in started.values():
                process.kill()
                process.wait()
    assert max(took.values()) <= STOP_WITHIN_S, took
    assert {name: process.returncode for name, process in started.items()} == {
        "web": 0, "handler": 0, "database": 0, "broker": 0
    }  # fmt: skip
    # The two that hung were rolled back, and nobody has to wait for the missing heartbeat.
    assert [row.events for row in await rows_of(routing, EFFECTS)] == [1]
    assert broker.queue_length(events_queue("routing")) == 2


async def test_what_cannot_end_is_cut_short(root_dir: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", ENDLESS], cwd=root_dir, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    assert await asyncio.to_thread(process.wait, PATIENCE_S) == CUT_SHORT
    assert MARGIN_S < STOP_WITHIN_S


def _folder(parent: Path, name: str) -> Path:
    (parent / name).mkdir()
    return parent / name
