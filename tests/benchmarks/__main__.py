"""`python -m tests.benchmarks [part …]`: measure all parts, or these, and write `docs/benchmarks.md` and `.json`.

It ends with 1 when a race had other than one winner for each place, or any error of the server.
"""

import argparse
import asyncio
import contextlib
import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path

import uvloop

from deploy.local.servers import embedded_servers
from deploy.provision import provision
from deploy.secrets import load_environment
from tests.benchmarks import (
    beside_bulk,
    compare,
    day,
    history,
    ledger,
    live,
    matching,
    notices,
    offer,
    one_stop,
    opening,
    pickup,
    race,
    rate,
    relay,
    reports,
    search,
    sending,
    slots,
    soak,
    start,
)
from tests.benchmarks.figures import ON_DEMAND, PARTS, Figure, line_of, write
from tests.benchmarks.house import House
from tests.benchmarks.unguarded_front import DROP_TRIGGER
from tests.conftest import in_database
from tests.stack import PROCESSES, ROOT, running_stack

DATABASE = "choudo_bench"
# Nobody's trial reminder falls into a measurement.
REMINDER_AFTER_S = 3_600
# Each racer has a connection of its own, and so has the server.
OPEN_FILES = 8_192
MEASURES: dict[str, Callable[[House], Awaitable[list[Figure]]]] = {
    "pickup": pickup.measure,
    "relay": relay.measure,
    "slots": slots.measure,
    "opening": opening.measure,
    "one_stop": one_stop.measure,
    "notices": notices.measure,
    "bulk": beside_bulk.measure,
    "sending": sending.measure,
    "offer": offer.measure,
    "rate": rate.measure,
    "ledger": ledger.measure,
    "history": history.measure,
    "compare": compare.measure,
    "search": search.measure,
    "day": day.measure,
    "live": live.measure,
    "line": live.measure_line,
    "reports": reports.measure,
    "matching": matching.measure,
}


def main() -> int:
    """Measure and write. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="tests.benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="part", help=f"one or more of {', '.join(PARTS)}")
    parser.add_argument("--without-guard", action="store_true", help="see the race fail; writes no file")
    parser.add_argument("--minutes", type=float, default=soak.MINUTES, help="of the soak")
    given = parser.parse_args()
    if unknown := set(given.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    parts = ["race"] if given.without_guard else _chosen(given.parts)
    _allow_open_files()
    MEASURES["soak"] = partial(soak.measure, minutes=given.minutes)
    began = time.monotonic()
    figures, fair = _measure(parts, guarded=not given.without_guard)
    if not given.without_guard:
        write(figures, parts=parts)
    print(f"{time.monotonic() - began:.0f} s; load average {os.getloadavg()[0]:.1f}")
    if not fair:
        print("a race was not fair: see winners and errors above", file=sys.stderr)
    return 0 if fair else 1


def _chosen(parts: list[str]) -> list[str]:
    return [part for part in PARTS if (part in parts if parts else part not in ON_DEMAND)]


def _measure(parts: list[str], *, guarded: bool) -> tuple[list[Figure], bool]:
    figures: list[Figure] = []
    fair = True
    with _folder() as folder:
        if set(parts) - {"start"}:
            with _house(folder, guarded=guarded) as house, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                for part in parts:
                    if part == "start":
                        continue
                    print(f"{part} …", flush=True)
                    if part == "race":
                        found, fair = runner.run(race.measure(house, race.RUSHES if guarded else race.UNGUARDED_RUSHES))
                    else:
                        found = list(runner.run(_await(MEASURES[part](house))))
                    figures += _told(found)
        if "start" in parts:
            print("start …", flush=True)
            figures += _told(start.measure(folder))
    return figures, fair


async def _await(measuring: Awaitable[list[Figure]]) -> list[Figure]:
    return await measuring


def _told(figures: list[Figure]) -> list[Figure]:
    for figure in figures:
        print(line_of(figure), flush=True)
    return figures


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """On the disk of the checkout: a temporary folder may be memory, where durable writes cost nothing."""
    base = ROOT / ".choudo"
    base.mkdir(exist_ok=True, mode=0o700)
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=base))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _house(folder: Path, *, guarded: bool) -> Iterator[House]:
    """Durable servers of our own (or those of DATABASE_URL and REDIS_URL), a fresh database, the running product."""
    with embedded_servers(folder / "servers", durable=True) as servers:
        environ = load_environment(
            folder, database_url=servers.database_url, redis_url=servers.redis_url, environ={}, database=DATABASE
        )
        asyncio.run(provision(servers.database_url, environ))
        admin_url = in_database(servers.database_url, DATABASE)
        if not guarded:
            PROCESSES["front"] = "tests.benchmarks.unguarded_front"
        with running_stack(environ, admin_url, folder / "stack", trial_reminder_after_s=REMINDER_AFTER_S) as stack:
            house = House(stack, admin_url, servers.redis_url)
            if not guarded:
                asyncio.run(house.execute(DROP_TRIGGER))
            yield house


def _allow_open_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


if __name__ == "__main__":
    sys.exit(main())
