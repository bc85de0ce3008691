"""PostgreSQL dies, cuts its connections and stands still: what was answered as done is there."""

import signal
import time

import pytest

from tests.faults.servers import frozen
from tests.faults.trial import Trial

# Longer than a statement may take.
FROZEN_S = 8.0


def test_crash_recovery(trial: Trial) -> None:
    """Immediate shutdown: nothing is written any more, and the next start recovers from the log."""
    machines = trial.machines
    with trial.fault("PostgreSQL: immediate shutdown"), machines.away(machines.postgres, signal.SIGQUIT):
        pass


@pytest.mark.long
def test_killed(trial: Trial) -> None:
    """kill -9 of its first process."""
    machines = trial.machines
    with trial.fault("PostgreSQL: kill -9"), machines.away(machines.postgres, signal.SIGKILL):
        pass


@pytest.mark.long
def test_restarted(trial: Trial) -> None:
    """Fast shutdown, as in an upgrade."""
    machines = trial.machines
    with trial.fault("PostgreSQL: restarted"), machines.away(machines.postgres, signal.SIGINT):
        pass


@pytest.mark.long
def test_connections_are_cut(trial: Trial) -> None:
    """All of them, as a firewall or an operator does, three times in a row."""
    with trial.fault("PostgreSQL: all connections cut, three times") as flow:
        for _ in range(3):
            assert trial.machines.cut_connections() > 0
            flow.wait_for_more(1)


@pytest.mark.long
def test_frozen(trial: Trial) -> None:
    """It keeps its connections and answers nobody."""
    with trial.fault(f"PostgreSQL: frozen for {FROZEN_S:g} s"), frozen(trial.machines.postgres):
        time.sleep(FROZEN_S)
