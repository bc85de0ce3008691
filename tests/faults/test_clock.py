"""Clocks are set wrong by an hour, and set right again: nothing is lost, nothing doubled."""

import signal
from datetime import datetime, timedelta

import pytest

from shared.events.subscriptions import SERVICES
from tests.faults.trial import Trial

HOUR = timedelta(hours=1)
AND_A_BIT = timedelta(minutes=1)
WORKERS = tuple(f"{service}-worker" for service in SERVICES)


@pytest.mark.long
@pytest.mark.parametrize("process", WORKERS)
def test_a_workers_clock_is_ahead(trial: Trial, process: str) -> None:
    """It dies and comes back with the right time. Deliveries go out at once, whatever the time on them says.

    What it had leased, or planned for a moment later, comes when it is that time: an hour later, and not never.
    """
    with trial.fault(
        f"{process}: its clock 1 h ahead, then right again",
        before_rest=lambda: set_clock(trial, HOUR + AND_A_BIT, process),
    ) as flow:
        set_clock(trial, HOUR, process)
        flow.wait_for_more(5)
        set_clock(trial, timedelta(), process)
    set_clock(trial, timedelta(), process)


@pytest.mark.long
@pytest.mark.parametrize("process", WORKERS)
def test_a_workers_clock_is_behind(trial: Trial, process: str) -> None:
    """The others' times are an hour ahead of it."""
    with trial.fault(f"{process}: its clock 1 h behind, then right again") as flow:
        set_clock(trial, -HOUR, process)
        flow.wait_for_more(5)
        set_clock(trial, timedelta(), process)


def set_clock(trial: Trial, step: timedelta, *processes: str) -> None:
    """Processes die, and come back with their clocks so far from right."""
    starts_at = datetime.fromisoformat(trial.stack.environ["CHOUDO_CLOCK_STARTS_AT"]) + step
    for process in processes:
        trial.stack.stop(process, signal.SIGKILL)
        own = trial.stack.own_environ.get(process, {})
        trial.stack.own_environ[process] = own | {"CHOUDO_CLOCK_STARTS_AT": starts_at.isoformat()}
        trial.stack.start(process)
    trial.stack.wait_until_ready()
