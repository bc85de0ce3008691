"""Clocks are set wrong by an hour, and set right again: nothing is lost, nothing doubled."""

import signal
from datetime import datetime, timedelta

import pytest

from shared.events.subscriptions import SERVICES
from tests.faults.trial import Trial
from tests.stack import WEBS

HOUR = timedelta(hours=1)
WORKERS = tuple(f"{service}-worker" for service in SERVICES)


@pytest.mark.long
@pytest.mark.parametrize("step", [HOUR, -HOUR])
@pytest.mark.parametrize("process", WORKERS)
def test_a_workers_clock_is_wrong(trial: Trial, process: str, step: timedelta) -> None:
    """For a while, among others whose clocks are right."""
    sign = "+" if step > timedelta() else "-"
    with trial.fault(f"{process}: its clock {sign}1 h, and right again") as flow:
        set_clock(trial, step, process)
        flow.wait_for_more(5)
        set_clock(trial, timedelta(), process)


@pytest.mark.long
@pytest.mark.parametrize("step", [HOUR, -HOUR])
def test_all_clocks_step(trial: Trial, step: timedelta) -> None:
    """As after a summer time that nobody has here."""
    everyone = [*WORKERS, *WEBS]
    with trial.fault(f"all clocks {step}") as flow:
        set_clock(trial, step, *everyone)
        flow.wait_for_more(5)
        set_clock(trial, timedelta(), *everyone)


def set_clock(trial: Trial, step: timedelta, *processes: str) -> None:
    """Processes die, and come back with their clocks so far from right."""
    starts_at = datetime.fromisoformat(trial.stack.environ["CHOUDO_CLOCK_STARTS_AT"]) + step
    for process in processes:
        trial.stack.stop(process, signal.SIGKILL)
        own = trial.stack.own_environ.get(process, {})
        trial.stack.own_environ[process] = own | {"CHOUDO_CLOCK_STARTS_AT": starts_at.isoformat()}
        trial.stack.start(process)
    trial.stack.wait_until_ready()
