"""The broker loses what it had, dies, comes back, and stands still: PostgreSQL has everything."""

import signal
import time

import pytest

from shared.messaging.broker import events_queue
from tests.faults.queues import Queue
from tests.faults.servers import frozen
from tests.faults.trial import Trial

FROZEN_S = 12.0


@pytest.mark.long
def test_flushed(trial: Trial) -> None:
    """FLUSHALL, with messages on two queues whose consumers are away.

    Seen to fail without publishing again what was published once, and (a second tap is another change) without the
    answer that a key has.
    """
    consumers = ("routing", "notifications")
    queues = [Queue(trial.stack.environ["CHOUDO_REDIS_URL"], events_queue(consumer)) for consumer in consumers]
    with trial.fault("broker: FLUSHALL") as flow:
        for consumer in consumers:
            trial.stack.stop(f"{consumer}-worker")
        flow.wait_for_more(5)
        trial.wait_for(lambda: all(map(len, queues)), "nothing is published")
        trial.machines.flush_broker()
        for consumer in consumers:
            trial.stack.start(f"{consumer}-worker")


def test_killed_and_back_with_nothing(trial: Trial) -> None:
    """kill -9, and what it had written down is gone. People book on meanwhile.

    Seen to fail with a delivery that counts as done once it is published.
    """
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
