"""Machines' clocks that are wrong, and are set while processes run: libfaketime stands before their C library."""

import contextlib
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from deploy.local.servers import Server
from tests.faults.servers import start_again

LIBRARY = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")
# How long a process believes what it read of the file.
READ_AGAIN_S = 1
# What makes a process see a machine's clock.
MACHINE = ("LD_PRELOAD", "FAKETIME_TIMESTAMP_FILE", "FAKETIME_CACHE_DURATION", "FAKETIME_DONT_FAKE_MONOTONIC")


class MachineClock:
    """The clock of one machine: whoever runs with `environ` sees it, and only it."""

    def __init__(self, folder: Path, off: timedelta) -> None:
        self._file = Path(tempfile.mkstemp(dir=folder)[1])
        self._file.chmod(0o644)
        self.set(off)
        # As in life, what counts seconds since the start is not set.
        self.environ = dict(zip(MACHINE, (str(LIBRARY), str(self._file), str(READ_AGAIN_S), "1"), strict=True))

    def set(self, off: timedelta) -> None:
        """Set it so far from right. Processes see it within `READ_AGAIN_S`."""
        self._file.write_text(f"{off.total_seconds():+.0f}")

    @contextlib.contextmanager
    def under(self, server: Server) -> Iterator[None]:
        """A server on this machine, started anew; afterwards on one whose clock is right."""
        command = server.command
        server.stop()
        server.command = ["env", *(f"{name}={value}" for name, value in self.environ.items()), *command]
        start_again(server)
        try:
            yield
        finally:
            server.stop()
            server.command = command
            start_again(server)
