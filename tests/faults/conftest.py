"""The whole product as real processes, on servers of its own that may be killed, frozen and wiped."""

import asyncio
import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.servers import embedded_servers
from deploy.provision import provision
from deploy.secrets import load_environment
from tests.faults.bench import Counted
from tests.faults.clocks import LIBRARY
from tests.faults.servers import Machines
from tests.faults.trial import MORNING, RECOVERY_LIMIT_S, Recovery, Trial
from tests.stack import Stack, running_stack

REPORT_VARIABLE = "CHOUDO_FAULTS_REPORT"
REPORT_HEAD = f"""# Faults

Made by `make faults`. While residents book, change and cancel through the pages of all three services, something bad
happens. Afterwards all that was answered as done is there, in every service, told once, with no place sold twice, no
dead letter and every ledger whole: otherwise the test fails, and so it does for recoveries over {RECOVERY_LIMIT_S:g} s.

*Deliveries waiting*: without a receipt when the fault was over. *Recovered after*: from then until each of them had
its receipt, while people went on booking. *All at rest after*: from when nobody came any more until the last message
to a resident was out and the last ledger entry chained; a provider's or a dead worker's message has its own pauses.
"""

DEATHS_HEAD = """
## kill -9 of the sender

Notifications alone (`test_sender.py`): its process is killed at the step, and each message counted at its gateway when
another has taken over: *messages that arrived* / *times the gateway accepted it* / *attempts of which nobody knows*.
Only that arrived twice of which nobody could know: accepted by a gateway that takes no key and tells nothing later.
"""

FIGURES_HEAD = """
## Gateways that are away

Two gateways of one way, one message after the other, each from its making (`test_gateways.py`):
"""

_recoveries = pytest.StashKey[list[Recovery]]()
_deaths = pytest.StashKey["Deaths"]()


class Deaths:
    """What was counted, by the step at which somebody died and by the way the message went, for the report."""

    def __init__(self) -> None:
        self._counted: dict[str, dict[str, str]] = {}
        self._took: dict[str, float] = {}

    def note(self, step: str, name: str, counted: Counted) -> None:
        """One message's."""
        unknown = counted.outcomes.count("unknown")
        self._counted.setdefault(step, {})[name] = f"{counted.arrived} / {counted.calls} / {unknown}"

    def measure(self, name: str, took_s: float) -> None:
        """How long something took."""
        self._took[name] = took_s

    def figures(self) -> list[str]:
        """What was measured, a line each."""
        return [f"- {name}: {took_s:.1f} s" for name, took_s in self._took.items()]

    def table(self) -> list[str]:
        """Steps down, ways across; below them what was tried by one way alone."""
        several = {step: row for step, row in self._counted.items() if len(row) > 1}
        names = list(dict.fromkeys(name for row in several.values() for name in row))
        wide = [["step", *names], ["---"] * (len(names) + 1)]
        wide += [[step, *(row.get(name, "") for name in names)] for step, row in several.items()]
        alone = [[step, *pair] for step, row in self._counted.items() for pair in row.items() if step not in several]
        lines = [f"| {' | '.join(row)} |" for row in wide] if several else []
        return [
            *lines,
            *([""] if lines and alone else []),
            *(f"- {step} ({name}): {each}" for step, name, each in alone),
        ]


class Trials:
    """The product that all tests share, until one of them fails: the next one gets a fresh one."""

    def __init__(self, folders: pytest.TempPathFactory, recoveries: list[Recovery], *, insists: bool) -> None:
        self._folders = folders
        self._insists = insists
        self._recoveries = recoveries
        self._running = contextlib.ExitStack()
        self._trial: Trial | None = None

    def current(self) -> Trial:
        """The running one, or the next."""
        if self._trial is None or self._trial.is_spoiled:
            self.close()
            running = running_product(self._folders.mktemp("faults"))
            self._trial = Trial(*self._running.enter_context(running), self._recoveries, insists=self._insists)
        return self._trial

    def close(self) -> None:
        """Stop what runs."""
        self._running.close()
        self._trial = None


@contextlib.contextmanager
def running_product(folder: Path) -> Iterator[tuple[Stack, Machines]]:
    """Durable servers, a fresh database, every process by itself."""
    with embedded_servers(folder, durable=True, environ={}) as servers:
        environ = load_environment(
            folder, database_url=servers.database_url, redis_url=servers.redis_url, environ={}, database="choudo"
        )
        asyncio.run(provision(servers.database_url, environ))
        admin_url = servers.database_url.removesuffix("/postgres") + "/choudo"
        # Its messages outlive the sink itself.
        environ |= {"CHOUDO_SINK_DIR": str(folder / "sink")}
        with running_stack(environ, admin_url, folder / "stack", starts_at=MORNING, staffed=False, apart=True) as stack:
            web = f"http://127.0.0.1:{stack.web_ports['notifications-web']}"
            stack.own_environ["sink"] = {"CHOUDO_SINK_RECEIPT_URL": f"{web}/notifications/api/receipts/sms_gateway"}
            stack.stop("sink")
            stack.start("sink")
            stack.wait_until_ready()
            yield stack, Machines(servers, folder)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Recoveries are timed."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.alone)


@pytest.fixture(scope="session")
def trials(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trials]:
    """Where the tests get their product from."""
    recoveries = request.config.stash.setdefault(_recoveries, [])
    made = Trials(tmp_path_factory, recoveries, insists=REPORT_VARIABLE in os.environ)
    yield made
    made.close()


@pytest.fixture(scope="session")
def deaths(request: pytest.FixtureRequest) -> Deaths:
    """Where what was counted is noted."""
    return request.config.stash.setdefault(_deaths, Deaths())


@pytest.fixture
def trial(trials: Trials) -> Trial:
    """The running product."""
    return trials.current()


@pytest.fixture
def clocks() -> Iterator[Path]:
    """Where the machines' clocks are, for everybody to read."""
    if not LIBRARY.exists():
        pytest.skip("needs the package faketime")
    with tempfile.TemporaryDirectory(prefix="choudo-clocks-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)
    # Who is killed leaves these behind.
    for left in Path("/dev/shm").glob("*faketime_s*"):
        left.unlink(missing_ok=True)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say how long each recovery took, and write it down if asked for."""
    recoveries, deaths = config.stash.get(_recoveries, []), config.stash.get(_deaths, Deaths())
    lines = [REPORT_HEAD, *_table(recoveries)] if recoveries else []
    lines += [DEATHS_HEAD, *table] if (table := deaths.table()) else []
    lines += [FIGURES_HEAD, *figures] if (figures := deaths.figures()) else []
    if not lines:
        return
    terminalreporter.section("recovery")
    for line in lines:
        terminalreporter.write_line(line)
    if path := os.environ.get(REPORT_VARIABLE):
        Path(path).write_text("\n".join([*lines, ""]), "utf-8")


def _table(recoveries: list[Recovery]) -> list[str]:
    heads = ("fault", "bookings made", "deliveries waiting", "recovered after", "all at rest after")
    rows = [
        (one.fault, one.bookings, one.waiting, f"{one.recovered_s:.1f} s", f"{one.rested_s:.1f} s")
        for one in recoveries
    ]
    return [f"| {' | '.join(map(str, row))} |" for row in (heads, ("---", *["--:"] * 4), *rows)]
