"""Fault points: named steps between a transaction and its effects at which a trial kills this process, as kill -9 does.

`CHOUDO_FAULT=relay.published:2` dies when that step is passed for the second time. Without it, and always in
production, a step does nothing.
"""

import os
import signal
from collections.abc import Mapping
from typing import Literal, get_args

VARIABLE = "CHOUDO_FAULT"

Step = Literal[
    "transaction.written",  # any transaction, web or worker: everything is written, nothing committed
    "transaction.committed",
    "relay.claimed",  # deliveries are claimed, none published
    "relay.published",  # published, and not yet counted as an attempt
    "consumer.received",  # a message was taken off its queue
    "consumer.counted",  # a repeated message's attempt was counted
    "consumer.claimed",  # the inbox has its row, the handler has not begun
    "consumer.applied",  # the handler has done its work, nothing committed
    "consumer.committed",  # applied, and no receipt on its way
    "receipts.collected",  # receipts are put together, none sent
    "receipts.sent",
    "receipts.received",
    "receipts.settled",
    "due.claimed",  # what is due is leased, nothing done
    "sealer.linked",  # ledger entries are linked to the chain, nothing committed
    "sending.begun",  # attempts are written down, no provider called
    "sending.reported",  # a provider has answered, and nothing is written down
]
STEPS: tuple[Step, ...] = get_args(Step)


class _Fault:
    def __init__(self, step: str, passes: int) -> None:
        self.step = step
        self.left = passes


def _armed(environ: Mapping[str, str]) -> _Fault | None:
    wanted = environ.get(VARIABLE)
    if not wanted or environ.get("CHOUDO_ENVIRONMENT") != "local":
        return None
    step, _, passes = wanted.partition(":")
    if step not in STEPS:
        raise ValueError(f"{VARIABLE}: there is no step {step}")
    return _Fault(step, int(passes or 1))


_fault = _armed(os.environ)


def pass_step(step: Step) -> None:
    """Die here, if that was asked for."""
    if _fault is None or _fault.step != step:
        return
    _fault.left -= 1
    if _fault.left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
