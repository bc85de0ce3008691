"""Who may run beside whom when several processes share the tests: what is marked `alone` has the machine to itself.

Two locks of the system, which a process that dies gives back. Everybody enters by the gate; whoever wants to be alone
keeps it shut while waiting for the room to empty, so that nobody is put off for ever.
"""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def turn(folder: Path, *, alone: bool) -> Iterator[None]:
    """Wait for a turn; it lasts as long as this does."""
    with (folder / "gate").open("w") as gate, (folder / "room").open("w") as room:
        fcntl.flock(gate, fcntl.LOCK_EX)
        fcntl.flock(room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        if not alone:
            fcntl.flock(gate, fcntl.LOCK_UN)
        yield
