"""kill -9 of every kind of process, at every step between a transaction and its effects that it passes."""

import signal

import pytest

from shared.events.subscriptions import SERVICES
from shared.faults import STEPS, Step
from tests.faults.trial import Trial
from tests.stack import run_cli

# So often is a step passed before the process dies: not at its start, and not always by the same request.
PASSES: dict[str, int] = {"transaction.written": 25, "transaction.committed": 25}
WEB_PASSES = (5, 12, 19)
# Nobody has registered another system here: tests/booking/test_webhooks.py dies there. And receipts come to the web
# process: test_sender.py.
_COMMON = frozenset(STEPS) - {"webhook.answered", "receipt.noted"}
_SENDING: frozenset[Step] = frozenset(step for step in STEPS if step.startswith("sending."))
WORKER_STEPS: dict[str, frozenset[Step]] = {
    # Nothing of routing's is due within a trial: drafts, offers and tidying take hours.
    "routing": _COMMON - _SENDING - {"due.claimed"},
    # These residents give booking no name: it uses nothing of theirs, and enters nothing in its ledger.
    "booking": _COMMON - _SENDING - {"sealer.linked"},
    "notifications": _COMMON,
}
_WAITING_NOTICES = "SELECT 1 FROM notifications.notice WHERE state IN ('pending', 'sending')"


def test_killed_at_the_worst_moments(trial: Trial) -> None:
    """A provider has answered and nobody wrote it down; applied, and no receipt; published, and not counted; booked,
    and no answer.

    Seen to fail with attempts whose lease never runs out: what became of one is written down by nobody.
    """
    with trial.fault("workers and web: kill -9, one after the other"):
        trial.kill_at("notifications-worker", "sending.reported")
        trial.kill_at("booking-worker", "relay.published")
        trial.kill_at("routing-worker", "consumer.committed")
        trial.kill_at("booking-web", "transaction.committed", 12)


@pytest.mark.long
@pytest.mark.parametrize(
    ("service", "step"), [(service, step) for service in SERVICES for step in STEPS if step in WORKER_STEPS[service]]
)
def test_a_worker_is_killed(trial: Trial, service: str, step: Step) -> None:
    """At this step; the supervisor starts it again."""

    def prepare() -> None:
        if service == "booking" and step.startswith(("consumer.", "receipts.collected", "receipts.sent")):
            open_account(trial, step)
        if step == "consumer.counted":
            lose_messages_to(trial, service)

    with trial.fault(f"{service}-worker: kill -9 at {step}"):
        trial.kill_at(f"{service}-worker", step, PASSES.get(step, 1), prepare)


@pytest.mark.long
@pytest.mark.parametrize("passes", WEB_PASSES)
@pytest.mark.parametrize("step", ["transaction.written", "transaction.committed"])
@pytest.mark.parametrize("service", SERVICES)
def test_a_web_process_is_killed(trial: Trial, service: str, step: Step, passes: int) -> None:
    """In the middle of requests: what was committed and not answered is asked for again, under the same key."""
    with trial.fault(f"{service}-web: kill -9 at {step}, {passes}th time"):
        trial.kill_at(f"{service}-web", step, passes)


@pytest.mark.long
@pytest.mark.parametrize("service", SERVICES)
def test_a_service_is_away(trial: Trial, service: str) -> None:
    """Web and worker are stopped in order; the others work on. They come back."""
    with trial.fault(f"{service}: stopped and started") as flow, trial.stack.without(service):
        if service == "notifications":
            flow.wait_for_more(5)
        else:
            # Nobody can book without them; messages of before go out.
            trial.wait_for(lambda: not trial.ask(_WAITING_NOTICES), "notices wait for others")


@pytest.mark.long
def test_all_workers_are_killed_at_once(trial: Trial) -> None:
    """As when a machine goes down; the web processes work on."""
    with trial.fault("all workers: kill -9") as flow:
        for service in SERVICES:
            trial.stack.stop(f"{service}-worker", signal.SIGKILL)
        flow.wait_for_more(5)
        for service in SERVICES:
            trial.stack.start(f"{service}-worker")


def open_account(trial: Trial, login: str) -> None:
    """What booking hears of in the middle of a day."""
    login = login.replace(".", "-")
    run_cli(trial.stack.environ, "account", "open", login, "--town", "143421", "--role", "helper", "--name", "田中")


def lose_messages_to(trial: Trial, consumer: str) -> None:
    """Publish something to a consumer that is away, and lose it: it comes a second time."""
    published = " UNION ALL ".join(
        f"SELECT 1 FROM {service}.delivery WHERE consumer = $1 AND acked_at IS NULL AND attempts > 0"
        for service in SERVICES
    )
    trial.wait_for(lambda: bool(trial.ask(published, consumer)), f"nothing is published to {consumer}")
    trial.machines.flush_broker()
