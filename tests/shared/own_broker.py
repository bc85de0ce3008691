"""A Redis-compatible server of a test's own, which it may freeze, kill and start again at the same address."""

import os
import signal
import subprocess
import time
from pathlib import Path

import redis

from deploy.local.servers import die_with_parent, free_port, redis_binary

START_WITHIN_S = 30.0


class OwnBroker:
    """The server. With `keeps` it writes everything down before it answers."""

    def __init__(self, folder: Path, *, keeps: bool) -> None:
        self._folder = folder
        self._port = free_port()
        self._keeps = keeps
        self.url = f"redis://127.0.0.1:{self._port}/0"
        self._process = self._start()

    def restart(self) -> None:
        """Stop in order, and start again."""
        self._process.terminate()
        self._process.wait()
        self._process = self._start()

    def kill(self) -> None:
        """As the kernel would; start it again with `restart`."""
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        """It accepts, and answers nothing."""
        os.kill(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on, with what was sent meanwhile, too."""
        os.kill(self._process.pid, signal.SIGCONT)

    def close(self) -> None:
        """Stop it, frozen or not."""
        self._process.kill()
        self._process.wait()

    def _start(self) -> subprocess.Popen[bytes]:
        keeping = ("yes", "always") if self._keeps else ("no", "no")
        options = {"port": self._port, "bind": "127.0.0.1", "dir": self._folder, "save": ""}
        options |= {"appendonly": keeping[0], "appendfsync": keeping[1], "maxmemory-policy": "noeviction"}
        command = [
            str(redis_binary()),
            *(part for name, value in options.items() for part in (f"--{name}", str(value))),
        ]
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=die_with_parent(signal.SIGKILL)
        )
        deadline = time.monotonic() + START_WITHIN_S
        with redis.Redis.from_url(self.url) as client:
            while time.monotonic() < deadline:
                try:
                    client.ping()
                except redis.RedisError:
                    time.sleep(0.02)
                else:
                    return process
        raise TimeoutError("the server did not start")
