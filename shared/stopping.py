"""The end of a process: in order whenever it can be, and within a bound always.

Whoever stops us (systemd, Docker, `make run`) kills what takes too long. What is in hand is safe all the same:
messages, leases and transactions come back by themselves. So what hangs (a database, a broker, a provider that does not
answer) must not keep the rest from ending in order.
"""

import os
import threading

from shared.log import get_logger

log = get_logger(__name__)

# From the signal to the end of the process, whatever it waits for. Whoever kills waits longer.
STOP_WITHIN_S = 20.0
# For the end itself, when it has come to that.
MARGIN_S = 1.0
CUT_SHORT = 75


def end_in_time() -> None:
    """From now on this process has `STOP_WITHIN_S`: if it has not ended by then, it ends where it stands."""
    timer = threading.Timer(STOP_WITHIN_S - MARGIN_S, _cut_short)
    timer.daemon = True
    timer.start()


def _cut_short() -> None:
    log.error("stop_cut_short")
    os._exit(CUT_SHORT)
