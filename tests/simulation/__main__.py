"""`python -m tests.simulation`: new seeds until the time or the count is over; `--seed N` repeats one, and those after
it if there is a count."""

import argparse
import os
import random
import sys
import tempfile
import time
from pathlib import Path

import uvloop

from deploy.local.servers import embedded_servers
from deploy.provision import provision
from deploy.secrets import load_environment
from shared.log import configure_logging
from tests.conftest import in_database
from tests.simulation.driver import STEPS, digest_of, run
from tests.simulation.house import House
from tests.simulation.world import Broken

DATABASE = "choudo_simulation"


def main() -> int:
    """Run seeds; return 1 at the first that breaks something."""
    parser = argparse.ArgumentParser(prog="tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="this one only, or with a count from this one on")
    parser.add_argument("--count", type=int, help="so many")
    parser.add_argument("--seconds", type=float, default=60.0, help="new ones for so long (default 60)")
    parser.add_argument("--steps", type=int, default=STEPS, help=f"of each seed (default {STEPS})")
    parser.add_argument("--history", action="store_true", help="print what happened")
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        embedded_servers(Path(folder), durable=False, environ=os.environ) as servers,
    ):
        environ = load_environment(
            Path(folder) / "secrets",
            database_url=servers.database_url,
            redis_url=servers.redis_url,
            environ={},
            database=DATABASE,
        )
        environ |= {"CHOUDO_ENVIRONMENT": "local", "CHOUDO_SMTP_URL": "smtp://127.0.0.1:9"}
        return uvloop.run(_run(in_database(servers.database_url, DATABASE), environ, servers.database_url, given))


async def _run(admin_url: str, environ: dict[str, str], server_url: str, given: argparse.Namespace) -> int:
    await provision(server_url, environ)
    house = await House.open(admin_url, environ)
    ends_at = time.monotonic() + given.seconds
    done = 0
    try:
        while True:
            seed = given.seed + done if given.seed is not None else random.SystemRandom().randrange(2**31)
            began = time.monotonic()
            history = await run(house, seed, given.steps)
            done += 1
            if given.history:
                print("\n".join(history))
            print(f"seed {seed}: {digest_of(history)}, {time.monotonic() - began:.2f} s", flush=True)
            is_last = given.seed is not None if given.count is None else done == given.count
            if is_last or (given.count is None and time.monotonic() >= ends_at):
                return 0
    except Broken as broken:
        print(broken, file=sys.stderr)
        return 1
    finally:
        await house.close()


if __name__ == "__main__":
    # What a dying process logs is what we made it die of.
    configure_logging("simulation", level="CRITICAL")
    sys.exit(main())
