"""Mail server and SMS gateway are down, slow, talk nonsense, and break off after they have accepted."""

from collections.abc import Sequence

import pytest

from tests.faults.trial import Trial

# Longer than a sender waits for an answer.
SLOW_S = 15.0
PROVIDERS = {"smtp": "smtp", "sms": "sms_gateway"}
_FAILED = """
    SELECT count(*) AS n FROM notifications.attempt
    WHERE provider = $1 AND outcome IN ('temporary', 'unknown') AND error_code IS DISTINCT FROM 'lease_expired'
"""


def failed(trial: Trial, channel: str) -> int:
    """How many attempts have failed at a provider so far."""
    return int(trial.ask(_FAILED, PROVIDERS[channel])[0]["n"])


def wait_until_felt(trial: Trial, before: dict[str, int]) -> None:
    """Wait until each provider has failed somebody."""
    trial.wait_for(
        lambda: all(failed(trial, channel) > count for channel, count in before.items()), "nobody has felt it"
    )


def misbehave(trial: Trial, mode: str, channels: Sequence[str]) -> None:
    """For as long as it takes until somebody has felt it."""
    before = {channel: failed(trial, channel) for channel in channels}
    for channel in channels:
        trial.misbehave(channel, mode, slow_s=SLOW_S)
    wait_until_felt(trial, before)
    for channel in channels:
        trial.misbehave(channel, mode, times=0)


def test_they_accept_and_break_off(trial: Trial) -> None:
    """Nobody knows whether they have the message: they get it again, under the same id.

    Seen to fail with a Message-ID of the attempt instead of the notice.
    """
    with trial.fault("mail server and SMS gateway: accept, then break off", limit_s=None):
        misbehave(trial, "drop_after_accept", ["smtp", "sms"])


@pytest.mark.long
@pytest.mark.parametrize("mode", ["fail_5xx", "slow", "garbage"])
@pytest.mark.parametrize("channel", ["smtp", "sms"])
def test_one_misbehaves(trial: Trial, channel: str, mode: str) -> None:
    """The other one's messages go out meanwhile."""
    with trial.fault(f"{channel}: {mode}", limit_s=None):
        misbehave(trial, mode, [channel])


@pytest.mark.long
def test_both_are_down(trial: Trial) -> None:
    """Nobody listens."""
    with trial.fault("mail server and SMS gateway: down", limit_s=None):
        before = {channel: failed(trial, channel) for channel in PROVIDERS}
        trial.stack.stop("sink")
        wait_until_felt(trial, before)
        trial.stack.start("sink")
        trial.stack.wait_until_ready()
