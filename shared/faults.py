"""Fault points: named steps between a transaction and its effects at which a trial kills this process, as kill -9 does.

`CHOUDO_FAULT=relay.published:2` dies when that step is passed for the second time. Without it, and always in
production, a step does nothing. A trial in one process arms a death of its own (`armed`).
"""

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
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
    "sending.claimed",  # notices that are due are leased, none looked at
    "sending.decided",  # attempts are written, nothing committed
    "sending.begun",  # attempts are committed, no provider called
    "sending.calling",  # a provider is about to be called, and not connected to for it
    "sending.reported",  # a provider has answered, and nothing is written down
    "sending.written",  # what became of it is written, nothing committed
    "sending.ended",  # what became of it is committed
    "receipt.noted",  # what a provider told later is written, nothing committed, and the provider has no answer
    "webhook.answered",  # another system has answered, and nothing is written down
]
STEPS: tuple[Step, ...] = get_args(Step)


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Fault:
    """Dies when a step is passed for the so-manieth time, and whoever is left of it then at any later pass."""

    def __init__(self, step: str, passes: int = 1, *, die: Callable[[], None] = _kill) -> None:
        if step not in STEPS:
            raise ValueError(f"{VARIABLE}: there is no step {step}")
        self._step = step
        self._left = passes
        self._die = die

    def pass_step(self, step: Step) -> None:
        """One more step is passed."""
        if step == self._step:
            self._left -= 1
        if self._left <= 0:
            self._die()


def _asked_for(environ: Mapping[str, str]) -> Fault | None:
    wanted = environ.get(VARIABLE)
    if not wanted or environ.get("CHOUDO_ENVIRONMENT") != "local":
        return None
    step, _, passes = wanted.partition(":")
    return Fault(step, int(passes or 1))


_fault = _asked_for(os.environ)


@contextmanager
def armed(fault: Fault) -> Iterator[None]:
    """In this block, and by this program alone, a process is simulated that dies so."""
    global _fault
    before, _fault = _fault, fault
    try:
        yield
    finally:
        _fault = before


def pass_step(step: Step) -> None:
    """Die here, if that was asked for."""
    if _fault is not None:
        _fault.pass_step(step)
