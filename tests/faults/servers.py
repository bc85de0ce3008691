"""What befalls the servers: PostgreSQL and the broker die, freeze, lose what they had, and come back."""

import asyncio
import contextlib
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import redis

from deploy.local.servers import Server, Servers

STOP_TIMEOUT_S = 30.0
START_TIMEOUT_S = 60.0


class Machines:
    """Both servers of a trial. Each comes back on its port and folder."""

    def __init__(self, servers: Servers, folder: Path) -> None:
        assert servers.postgres is not None
        assert servers.redis is not None
        self.postgres = servers.postgres
        self.broker = servers.redis
        self._servers = servers
        self._folder = folder

    @contextlib.contextmanager
    def away(self, server: Server, *how: signal.Signals) -> Iterator[None]:
        """End a server by this signal, or in order, and start it again afterwards."""
        server.stop(*how)
        try:
            yield
        finally:
            start_again(server)

    def forget_broker(self) -> None:
        """Delete what the broker wrote down; it must not be running."""
        shutil.rmtree(self._folder / "redis" / "appendonlydir")

    def flush_broker(self) -> None:
        """FLUSHALL."""
        with redis.Redis.from_url(self._servers.redis_url) as client:
            client.flushall()

    def cut_connections(self) -> int:
        """End every connection to PostgreSQL but this one; return how many."""

        async def cut() -> int:
            connection = await asyncpg.connect(self._servers.database_url)
            try:
                cut: int = await connection.fetchval(
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                    " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
                )
                return cut
            finally:
                await connection.close()

        return asyncio.run(cut())


@contextlib.contextmanager
def frozen(server: Server) -> Iterator[None]:
    """Stop a server's clock: it keeps its connections and answers nobody."""
    # PostgreSQL's processes are in groups of their own. The first stops first, so that none is added.
    main = psutil.Process(server.process.pid)
    main.suspend()
    everyone = [main, *main.children(recursive=True)]
    for process in everyone[1:]:
        process.suspend()
    try:
        yield
    finally:
        for process in reversed(everyone):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()


def start_again(server: Server) -> None:
    """Start a server that has ended; after a kill, its last processes may take a moment to go."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while not server.start():
        assert time.monotonic() < deadline, f"it does not start: {server.log}"
