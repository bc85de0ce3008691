"""The broker loses what it had, dies, comes back, and stands still: PostgreSQL has everything."""

import signal
import time

import pytest

from tests.faults.servers import frozen
from tests.faults.trial import Trial

FROZEN_S = 12.0


@pytest.mark.long
def test_flushed(trial: Trial) -> None:
    """FLUSHALL, with messages and receipts on their way."""
    with trial.fault("broker: FLUSHALL"):
        trial.machines.flush_broker()


def test_killed_and_back_with_nothing(trial: Trial) -> None:
    """kill -9, and what it had written down is gone. People book on meanwhile."""
    machines = trial.machines
    with trial.fault("broker: kill -9, restarted empty") as flow, machines.away(machines.broker, signal.SIGKILL):
        flow.wait_for_more(3)
        machines.forget_broker()


@pytest.mark.long
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_restarted_with_what_it_had(trial: Trial, how: signal.Signals) -> None:
    """It comes back with messages from before, some of which were published again meanwhile."""
    machines = trial.machines
    with trial.fault(f"broker: {how.name}, restarted with its file") as flow, machines.away(machines.broker, how):
        flow.wait_for_more(3)


@pytest.mark.long
def test_restarted_in_order_with_nothing(trial: Trial) -> None:
    """As an operator might who moves it to another machine."""
    machines = trial.machines
    with trial.fault("broker: stopped, restarted empty") as flow, machines.away(machines.broker):
        flow.wait_for_more(3)
        machines.forget_broker()


@pytest.mark.long
def test_frozen(trial: Trial) -> None:
    """It takes connections and answers nobody, longer than every time limit of its clients."""
    with trial.fault(f"broker: frozen for {FROZEN_S:g} s"), frozen(trial.machines.broker):
        time.sleep(FROZEN_S)
