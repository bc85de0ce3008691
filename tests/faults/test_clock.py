"""Machines' clocks are wrong by an hour, or are set while everything runs: nothing is lost, nothing doubled."""

import signal
import time
from datetime import timedelta
from pathlib import Path

import pytest

from shared.events.subscriptions import SERVICES
from shared.timekeeping import ASK_EVERY_S
from tests.faults.clocks import MACHINE, MachineClock
from tests.faults.trial import Trial
from tests.stack import WEBS

HOUR = timedelta(hours=1)
RIGHT = timedelta()
WORKERS = tuple(f"{service}-worker" for service in SERVICES)
# So long a message is on its way, that a worker could take another's for dead.
SLOW_S = 3.0
# When an hour passes in a moment, visits under way are over, and so are sessions.
SITTINGS_END = frozenset({405, 410})


@pytest.mark.parametrize("ahead", [HOUR, -HOUR], ids=["ahead", "behind"])
def test_two_senders_whose_clocks_differ(trial: Trial, clocks: Path, ahead: timedelta) -> None:
    """Neither takes the other for dead: both go by the database's time.

    Without that (the guard "one time for all"), what one of them has under way is sent by the other as well.
    """
    before = taken_for_dead(trial)
    trial.misbehave("smtp", "slow", slow_s=SLOW_S)
    trial.misbehave("sms", "slow", slow_s=SLOW_S)
    try:
        with trial.fault(f"a second notifications-worker, its clock {_words(ahead)}") as flow:
            trial.stack.own_environ["notifications-worker+1"] = MachineClock(clocks, ahead).environ
            trial.stack.start("notifications-worker+1")
            flow.wait_for_more(10)
    finally:
        trial.stack.stop("notifications-worker+1")
        trial.misbehave("smtp", "slow", times=0)
        trial.misbehave("sms", "slow", times=0)
    assert taken_for_dead(trial) == before


@pytest.mark.long
@pytest.mark.parametrize("ahead", [HOUR, -HOUR], ids=["ahead", "behind"])
@pytest.mark.parametrize("process", [*WORKERS, *WEBS])
def test_a_machines_clock_is_wrong(trial: Trial, clocks: Path, process: str, ahead: timedelta) -> None:
    """One process runs where the clock is wrong, and dies, and comes back where it is right."""
    with trial.fault(f"{process}: its clock {_words(ahead)}, then right again") as flow:
        move(trial, MachineClock(clocks, ahead), process)
        flow.wait_for_more(5)
        move(trial, None, process)


@pytest.mark.long
@pytest.mark.parametrize("ahead", [HOUR, -HOUR], ids=["ahead", "behind"])
def test_machines_clocks_are_set_while_all_run(trial: Trial, clocks: Path, ahead: timedelta) -> None:
    """All but the servers run on one machine, whose clock is set, and set right."""
    clock = MachineClock(clocks, RIGHT)
    move(trial, clock, *WORKERS, *WEBS)
    with trial.fault(f"the clock of all processes set {_words(ahead)}, then right again, while they run") as flow:
        clock.set(ahead)
        flow.wait_for_more(10)
        clock.set(RIGHT)
        flow.wait_for_more(5)
    move(trial, None, *WORKERS, *WEBS)


@pytest.mark.long
def test_the_databases_clock_is_set(trial: Trial, clocks: Path) -> None:
    """All follow it, each when it next asks. Nothing is sent until all have, and nobody is taken for dead by the step.

    Back and forth, since forth and back would pass the next appointments by. Who books for before the time that it then
    is again is told too late, and staff have a task of it.
    """
    before = taken_for_dead(trial)
    clock = MachineClock(clocks, RIGHT)
    with clock.under(trial.machines.postgres):
        trial.stack.wait_until_ready()
        trial.misbehave("smtp", "slow", slow_s=SLOW_S)
        with trial.fault("the database's clock set 1 h behind, then right again, while all run") as flow:
            flow.told.expected = SITTINGS_END
            flow.wait_for_more(5)
            clock.set(-HOUR)
            flow.wait_for_more(5)
            time.sleep(ASK_EVERY_S + 1)
            clock.set(RIGHT)
            flow.wait_for_more(5)
        trial.misbehave("smtp", "slow", times=0)
    # Its time goes back by an hour: the next test is better off with another product.
    trial.is_spoiled = True
    assert taken_for_dead(trial) == before


def taken_for_dead(trial: Trial) -> int:
    """How many attempts were given up by somebody else than who made them."""
    found: int = trial.ask("SELECT count(*) FROM notifications.attempt WHERE error_code = 'lease_expired'")[0][0]
    return found


def move(trial: Trial, clock: MachineClock | None, *processes: str) -> None:
    """Processes die, and come back on a machine with this clock, or one that is right."""
    for process in processes:
        trial.stack.stop(process, signal.SIGKILL)
        own = trial.stack.own_environ.get(process, {})
        there = clock.environ if clock else {}
        trial.stack.own_environ[process] = {name: own[name] for name in own if name not in MACHINE} | there
        trial.stack.start(process)
    trial.stack.wait_until_ready()


def _words(ahead: timedelta) -> str:
    return "1 h ahead" if ahead > RIGHT else "1 h behind"
