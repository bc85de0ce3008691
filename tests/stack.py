"""The whole product as real processes, for journeys, browser tests and benchmarks: front, workers, and the sink."""

import contextlib
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from deploy.local.servers import die_with_parent, free_port
from shared.events.subscriptions import SERVICES

ROOT = Path(__file__).resolve().parent.parent
SAMPLE_TOWN = ROOT / "deploy" / "towns" / "ninomiya"
STAFF_LOGIN = "madoguchi"
STAFF_PASSWORD = "staff-password-for-tests"
# Login, name and languages of the helpers, who sign in with the same password.
HELPERS = (("tanaka", "田中", ("ja", "en")), ("suzuki", "鈴木", ("ja",)))
COORDINATOR_LOGIN = "seikatsu"
START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 60.0
POLL_S = 0.05
CLI_AT_ONCE = """
import json, sys
from deploy.cli import main
sys.exit(next(filter(None, map(main, json.loads(sys.argv[1]))), 0))
"""

PROCESSES = {
    "sink": "deploy.local.sink",
    "routing-worker": "services.routing.worker",
    "booking-worker": "services.booking.worker",
    "notifications-worker": "services.notifications.worker",
    "front": "deploy.front",
}
# Instead of the front, as in production: behind a proxy.
WEBS = {f"{service}-web": f"deploy.front --only {service}" for service in SERVICES}


@dataclass
class Stack:
    """A running product. `url` is the residents' site; `sink_url` shows what was sent."""

    environ: dict[str, str]
    logs: Path
    url: str
    sink_url: str
    ready_urls: list[str]
    own_environ: dict[str, dict[str, str]] = field(default_factory=dict)
    """What only one process is told, by its name."""
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str) -> None:
        """Start one process (again); a second of a kind is "kind+1"."""
        with (self.logs / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", *(PROCESSES | WEBS)[name.partition("+")[0]].split()],
                cwd=ROOT,
                env=self.environ | self.own_environ.get(name, {}),
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent(signal.SIGKILL),
            )

    def stop(self, name: str, how: signal.Signals = signal.SIGTERM) -> int:
        """Signal one process and wait for its end; return its exit status."""
        process = self.processes.pop(name)
        process.send_signal(how)
        try:
            return process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise

    @property
    def web_ports(self) -> dict[str, str]:
        """Where web processes listen that are apart, by name."""
        return {name: own["CHOUDO_PORT"] for name, own in self.own_environ.items() if name in WEBS}

    @contextlib.contextmanager
    def without(self, service: str) -> Iterator[None]:
        """Stop a service, web and worker, for as long as this lasts. Only where the web processes are apart."""
        names = (f"{service}-web", f"{service}-worker")
        for name in names:
            self.stop(name)
        try:
            yield
        finally:
            for name in names:
                self.start(name)
            self.wait_until_ready()

    def wait_until_ready(self) -> None:
        """Wait for the web processes and the sink. Raises RuntimeError with the logs' ends."""
        deadline = time.monotonic() + START_TIMEOUT_S
        for url in self.ready_urls:
            while True:
                with contextlib.suppress(httpx.TransportError):
                    if httpx.get(url, timeout=10).status_code == httpx.codes.OK:
                        break
                if time.monotonic() > deadline:
                    raise RuntimeError(f"{url} did not answer\n{self.log_tails()}")
                time.sleep(POLL_S)

    def log_tails(self) -> str:
        """The last lines of every log, for a failure's message."""
        return "\n".join(
            f"== {path.name}\n{path.read_text('utf-8', errors='replace')[-1500:]}"
            for path in sorted(self.logs.glob("*.log"))
        )

    def messages(self, **filters: str) -> list[dict[str, Any]]:
        """What the sink received so far, newest first."""
        found: list[dict[str, Any]] = httpx.get(f"{self.sink_url}/messages.json", params=filters, timeout=30).json()
        return found

    def wait_for_messages(self, count: int, *, timeout_s: float = 60.0, **filters: str) -> list[dict[str, Any]]:
        """Wait until at least so many messages arrived. Raises AssertionError with the logs' ends."""
        deadline = time.monotonic() + timeout_s
        while len(found := self.messages(**filters)) < count:
            assert time.monotonic() < deadline, f"{len(found)} of {count} messages {filters}\n{self.log_tails()}"
            time.sleep(POLL_S)
        return found

    def wait_for_message(self, subject: str, *, timeout_s: float = 60.0, **filters: str) -> dict[str, Any]:
        """Wait for the message whose subject holds these words; others may come before it. Raises AssertionError."""
        deadline = time.monotonic() + timeout_s
        while True:
            found = self.messages(**filters)
            for message in found:
                if subject in (message["subject"] or ""):
                    return message
            subjects = [message["subject"] for message in found]
            assert time.monotonic() < deadline, f"no {subject!r} in {subjects}\n{self.log_tails()}"
            time.sleep(POLL_S)


@contextlib.contextmanager
def running_stack(
    environ: Mapping[str, str],
    admin_url: str,
    folder: Path,
    *,
    starts_at: datetime | None = None,
    trial_reminder_after_s: int = 3,
    staffed: bool = True,
    only: tuple[str, ...] = tuple(PROCESSES),
    apart: bool = False,
    proxied_at: str | None = None,
) -> Iterator[Stack]:
    """Load the town, open the accounts of its staff, start the processes; stop them afterwards.

    With `apart`, every web process has its own port (`Stack.web_ports`), and nobody listens at `Stack.url`. With
    `proxied_at`, the address of a proxy that somebody else starts, it is so too, and the settings are production's.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port, smtp_port, http_port = free_port(), free_port(), free_port()
    url = f"http://127.0.0.1:{port}"
    token, line_secret = secrets.token_urlsafe(16), secrets.token_urlsafe(16)
    full = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("CHOUDO_", "DATABASE_URL"))},
        **environ,
        "DATABASE_URL": admin_url,
        "CHOUDO_ENVIRONMENT": "local",
        "CHOUDO_DEFAULT_MUNICIPALITY": "143421",
        "CHOUDO_PORT": str(port),
        "CHOUDO_PUBLIC_URL": url,
        "CHOUDO_SINK_SMTP_PORT": str(smtp_port),
        "CHOUDO_SINK_HTTP_PORT": str(http_port),
        "CHOUDO_SMTP_URL": f"smtp://127.0.0.1:{smtp_port}",
        "CHOUDO_SMS_GATEWAY_URL": f"http://127.0.0.1:{http_port}/sms",
        "CHOUDO_SMS_GATEWAY_TOKEN": token,
        "CHOUDO_NOTIFICATIONS_LINE_URL": f"http://127.0.0.1:{http_port}",
        "CHOUDO_NOTIFICATIONS_LINE_CHANNELS": (
            f'[143421]\ntoken = "{token}"\nsecret = "{line_secret}"\naccount = "@ninomiya"\n'
        ),
        "CHOUDO_SINK_LINE_URL": f"{url}/notifications/api/line/143421",
        "CHOUDO_SINK_LINE_SECRET": line_secret,
        "CHOUDO_NEW_PASSWORD": STAFF_PASSWORD,
        "PYTHONWARNINGS": "default",
    }
    sink_url = f"http://127.0.0.1:{http_port}"
    stack = Stack(full, folder, url, sink_url, [f"{url}/readyz", f"{url}/booking/readyz", f"{sink_url}/messages.json"])
    if proxied_at is not None:
        _be_production(stack, proxied_at)
    if apart or proxied_at is not None:
        _set_apart(stack)
        only = tuple(name for name in (*only, *WEBS) if name != "front")
    if starts_at is not None:
        full |= {"CHOUDO_CLOCK_STARTS_AT": starts_at.isoformat(), "CHOUDO_CLOCK_STARTED": str(time.time())}
    load_town = ["town", "load", str(_town_with_quick_reminder(folder / "town", trial_reminder_after_s))]
    _run_cli_at_once(full, [load_town, *(_accounts() if staffed else ())])
    try:
        for name in only:
            stack.start(name)
        stack.wait_until_ready()
        yield stack
    finally:
        for process in stack.processes.values():
            process.terminate()
        for process in stack.processes.values():
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()


def _accounts() -> Iterator[list[str]]:
    """The commands that open them."""
    start = ["account", "open", "--town", "143421"]
    yield [*start, STAFF_LOGIN, "--role", "counter", "--role", "back_office", "--role", "manager"]
    yield [*start, COORDINATOR_LOGIN, "--role", "coordinator"]
    for login, name, languages in HELPERS:
        spoken = [part for code in languages for part in ("--language", code)]
        yield [*start, login, "--role", "helper", "--name", name, *spoken]


def _set_apart(stack: Stack) -> None:
    """Give every web process a port of its own."""
    ports = {name: free_port() for name in WEBS}
    stack.ready_urls = [f"http://127.0.0.1:{port}/readyz" for port in ports.values()] + stack.ready_urls[-1:]
    stack.own_environ = {name: {"CHOUDO_PORT": str(port)} for name, port in ports.items()}


def _be_production(stack: Stack, proxied_at: str) -> None:
    """Give all processes the settings of production."""
    stack.url = proxied_at
    del stack.environ["CHOUDO_DEFAULT_MUNICIPALITY"]
    stack.environ |= {
        "CHOUDO_ENVIRONMENT": "production",
        "CHOUDO_PROXY_ADDRESS": "127.0.0.1",
        "CHOUDO_PUBLIC_URL": proxied_at,
    }


def _town_with_quick_reminder(folder: Path, trial_reminder_after_s: int) -> Path:
    """The sample town, whose trial reminder comes sooner so that a test can wait for it."""
    shutil.copytree(SAMPLE_TOWN, folder)
    path = folder / "town.toml"
    text, count = re.subn(r"(?m)^trial_reminder_after_s = \d+$", f"trial_reminder_after_s = {trial_reminder_after_s}",
                          path.read_text("utf-8"))  # fmt: skip
    assert count == 1, "the sample town has no trial reminder"
    path.write_text(text, "utf-8")
    return folder


def run_cli(environ: Mapping[str, str], *arguments: str) -> str:
    """Run the operator's command line; return what it prints. Raises AssertionError with its complaint."""
    return _run(environ, "-m", "deploy.cli", *arguments)


def _run_cli_at_once(environ: Mapping[str, str], commands: list[list[str]]) -> None:
    """Run several in one process: to start takes longer than to do. Raises AssertionError with the complaint."""
    _run(environ, "-c", CLI_AT_ONCE, json.dumps(commands))


def _run(environ: Mapping[str, str], *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=dict(environ),
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(arguments)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout
