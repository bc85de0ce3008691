"""Whether the fault tests can fail: each guard is taken out of a copy of the checkout, and its test must fail there.

python -m tests.faults.guards [GUARD …]
"""

import subprocess
import sys
from dataclasses import dataclass

from tests.copies import Change, copy_with

TIMEOUT_S = 900


@dataclass(frozen=True)
class Guard:
    """A line of the product that a test stands on: `has` becomes `instead`, once, and the test fails."""

    test: str
    path: str
    has: str
    instead: str


GUARDS = {
    "a published delivery is not done yet": Guard(
        "test_broker.py::test_killed_and_back_with_nothing",
        "shared/messaging/relay.py",
        "SET attempts = d.attempts + 1,",
        "SET attempts = d.attempts + 1, acked_at = :now, outcome = 'applied',",
    ),
    "what was published once is published again": Guard(
        "test_broker.py::test_flushed",
        "shared/messaging/relay.py",
        "run, is_new, self._drained = await asyncio.to_thread(self._ask_broker)",
        "run, is_new, self._drained = b'', False, []",
    ),
    "an attempt's lease runs out": Guard(
        "test_processes.py::test_killed_at_the_worst_moments",
        "services/notifications/commands/attempts.py",
        "return known is not None and known.open_until is not None and known.open_until <= lapsed",
        "return False",
    ),
    "a repeated message has the same id": Guard(
        "test_providers.py::test_they_accept_and_break_off",
        "services/notifications/rendering.py",
        'return f"<{order.notice_id}@{order.host}>"',
        'return f"<{order.notice_id}.{order.attempt_no}@{order.host}>"',
    ),
    "one key for all attempts": Guard(
        "test_sender.py::test_killed_while_gateways_hold_their_answers",
        "services/notifications/orders.py",
        'return f"{self.municipality}:{self.notice_id}{by_other}"',
        'return f"{self.municipality}:{self.notice_id}{by_other}:{self.attempt_no}"',
    ),
    "a receipt of a dead attempt counts": Guard(
        "test_sender.py::test_killed_while_gateways_hold_their_answers",
        "services/notifications/commands/dead_attempts.py",
        "{row.notice_id: row.delivery for row in closed if row.delivery is not None}",
        "{}",
    ),
    "an attempt is committed before its provider is called": Guard(
        "test_sender.py::test_killed_while_gateways_hold_their_answers",
        "services/notifications/sending.py",
        """                pass_step("sending.decided")
                return orders
""",
        """                pass_step("sending.decided")
                dispatch = _Dispatch(self._db, self._senders, self._providers, self._clock, self._render)
                called = asyncio.create_task(dispatch.send(orders))
                await asyncio.sleep(1)
                return [] if called else orders
""",
    ),
    "what one may have accepted goes to no other": Guard(
        "test_sender.py::test_killed_on_the_way_to_the_next_provider",
        "services/notifications/domain/providers.py",
        "return next((each.provider for each in tried if each.unknown), None)",
        "return None",
    ),
    "a projection takes higher versions only": Guard(
        "test_deliveries.py::test_repeated_and_mixed",
        "services/notifications/commands/appointments.py",
        "    WHERE known.version < excluded.version\n",
        "",
    ),
    "a key gets its answer": Guard(
        "test_broker.py::test_flushed",
        "services/booking/commands/keyed.py",
        "if taken.one_or_none() is not None:",
        "if True:",
    ),
    "one time for all": Guard(
        "test_clock.py::test_two_senders_whose_clocks_differ",
        "shared/clock.py",
        "        if self._told is None:\n            return utc_now() + self._shift",
        "        if True:\n            return utc_now() + self._shift",
    ),
    "a step of the clock is noticed": Guard(
        "test_clock.py::test_the_databases_clock_is_set",
        "shared/clock.py",
        "return self._stepped_at is not None and self._pace() - self._stepped_at < seconds",
        "return False",
    ),
}


def fails_without(guard: Guard) -> bool:
    """Run the guard's test without it, in a copy. Raises ValueError if the guard is not where it was."""
    with copy_with([Change(guard.path, guard.has, guard.instead)]) as copy:
        test = [
            sys.executable,
            "-m",
            "pytest",
            f"tests/faults/{guard.test}",
            "-m",
            "long or not long",
            "-q",
            "--tb=line",
        ]
        done = subprocess.run(test, cwd=copy, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        failed = done.returncode == 1 and "FAILED" in done.stdout
        said = [line for line in done.stdout.splitlines() if "Error" in line and '"level"' not in line]
        print("\n".join(line[:300] for line in said[:2]) if failed else done.stdout[-3000:] + done.stderr[-3000:])
        return failed


def main(names: list[str]) -> int:
    """Try the named guards, or all; return how many tests did not fail."""
    still = 0
    for name in names or GUARDS:
        failed = fails_without(GUARDS[name])
        print(f"{'fails' if failed else 'STILL PASSES'} without: {name} ({GUARDS[name].test})", flush=True)
        still += not failed
    return still


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
