"""Production as `docker-compose.yml` says it: the very commands, environment and secrets, as processes here.

What an engine brings comes otherwise: PostgreSQL and Valkey are the embedded servers, Caddy is this machine's, and no
image is built. Names of hosts become addresses, and each process has a port of its own: all share one machine.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from deploy.compose_secrets import write_secrets
from deploy.local.servers import Servers, die_with_parent, embedded_servers, free_port
from shared.events.subscriptions import SERVICES
from shared.reference_number import show_number
from tests.compose import Compose, environ_of, read_compose
from tests.journeys.proxy import Proxy, needs_caddy, new_proxy, running
from tests.journeys.resident import Resident
from tests.stack import POLL_S, ROOT, START_TIMEOUT_S, STOP_TIMEOUT_S

pytestmark = needs_caddy

JOB_TIMEOUT_S = 180
ADDRESS = "an.address@example.jp"


class Host:
    """One machine that runs what compose would."""

    def __init__(self, folder: Path, servers: Servers, proxy: Proxy) -> None:
        self._folder = folder
        self._compose = read_compose()
        self._secrets = folder / "secrets"
        write_secrets(self._secrets)
        self._reach_servers(servers)
        # In the words of deploy/environment.example, for a trial.
        self._given = {
            "CHOUDO_SMTP_URL": "smtp://sink:2525",
            "CHOUDO_SMS_GATEWAY_URL": "http://sink:8025/sms",
            "CHOUDO_PUBLIC_URL": proxy.url,
        }
        self._sink_ports = {"2525": str(free_port()), "8025": str(free_port())}
        self.web_ports = {f"{service}-web": str(free_port()) for service in SERVICES}
        self.metrics_ports = {name: str(free_port()) for name in self.services if name.startswith(SERVICES)}

    @property
    def services(self) -> Compose:
        """What compose starts, by name."""
        found: Compose = self._compose["services"]
        return found

    @property
    def sink_url(self) -> str:
        """The page of what was sent."""
        return f"http://127.0.0.1:{self._sink_ports['8025']}"

    def environ(self, name: str) -> dict[str, str]:
        """The environment of a service as compose gives it, on this machine; and the port that it has here."""
        here = {"172.31.254.10": "127.0.0.1", "//sink:": "//127.0.0.1:", **self._sink_ports}
        if name in self.metrics_ports:
            here["0.0.0.0:9100"] = f"127.0.0.1:{self.metrics_ports[name]}"
        given = {}
        for variable, value in environ_of(self.services[name], self._secrets, self._given).items():
            is_path = variable.endswith("_FILE")
            given[variable] = value if is_path else _replaced(value, here)
        port = {"CHOUDO_PORT": self.web_ports[name]} if name in self.web_ports else {}
        return {"PATH": os.environ["PATH"]} | given | port

    def command(self, name: str, *arguments: str) -> list[str]:
        """Its command, by this machine's Python."""
        program, *rest = self.services[name].get("entrypoint") or self.services[name]["command"]
        assert program == "python"
        return [sys.executable, *rest, *arguments]

    def run(self, name: str, *arguments: str) -> str:
        """A job, to its end; what it prints. Raises AssertionError with its complaint."""
        done = subprocess.run(
            self.command(name, *arguments),
            cwd=ROOT,
            env=self.environ(name),
            capture_output=True,
            text=True,
            timeout=JOB_TIMEOUT_S,
            check=False,
        )
        assert done.returncode == 0, f"{name}: {done.stdout}\n{done.stderr}"
        return done.stdout

    @contextlib.contextmanager
    def up(self) -> Iterator[None]:
        """Everything of ours that stays: webs, workers, and the sink of the trial."""
        processes: list[subprocess.Popen[bytes]] = []
        try:
            for name in (*self.metrics_ports, "sink"):
                with (self._folder / f"{name}.log").open("wb") as log:
                    started = subprocess.Popen(
                        self.command(name),
                        cwd=ROOT,
                        env=self.environ(name),
                        stdout=log,
                        stderr=log,
                        preexec_fn=die_with_parent(signal.SIGKILL),
                    )
                processes.append(started)
            yield
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait(STOP_TIMEOUT_S)

    def wait_for(self, url: str) -> None:
        """Until it answers. Raises AssertionError with the logs' ends."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(url, timeout=10).status_code == httpx.codes.OK:
                    return
            logs = "\n".join(path.read_text("utf-8")[-800:] for path in self._folder.glob("*.log"))
            assert time.monotonic() < deadline, f"{url} did not answer\n{logs}"
            time.sleep(POLL_S)

    def _reach_servers(self, servers: Servers) -> None:
        """The services' own roles and passwords stay as they were drawn; the administrator's are the servers'."""
        place = urlsplit(servers.database_url).netloc.rpartition("@")[2]
        for path in self._secrets.glob("CHOUDO_*DATABASE_URL"):
            path.write_text(path.read_text("utf-8").replace("@postgres:5432/", f"@{place}/"), "utf-8")
        (self._secrets / "DATABASE_URL").write_text(servers.database_url, "utf-8")
        (self._secrets / "CHOUDO_REDIS_URL").write_text(servers.redis_url, "utf-8")


def _replaced(value: str, here: Mapping[str, str]) -> str:
    for word, meaning in here.items():
        value = value.replace(word, meaning)
    return value


@pytest.fixture
def host_and_proxy(tmp_path: Path) -> Iterator[tuple[Host, Proxy]]:
    """A host with servers of its own: roles and their passwords belong to a whole server."""
    with embedded_servers(tmp_path / "servers", durable=False, environ={}) as servers:
        proxy = new_proxy(tmp_path / "proxy")
        yield Host(tmp_path, servers, proxy), proxy


def test_what_compose_starts_takes_a_booking_to_a_mail(host_and_proxy: tuple[Host, Proxy]) -> None:
    host, proxy = host_and_proxy
    host.run("provision")
    host.run("operator", "town", "load", "deploy/towns/ninomiya")
    with host.up():
        for name, port in host.web_ports.items():
            host.wait_for(f"http://127.0.0.1:{port}/healthz")
            host.wait_for(f"http://127.0.0.1:{port}/readyz")
            assert f"--only={name.removesuffix('-web')}" in host.command(name)
        for port in host.metrics_ports.values():
            host.wait_for(f"http://127.0.0.1:{port}/metrics")
        host.wait_for(f"{host.sink_url}/messages.json")
        with running(proxy, host.web_ports), Resident(proxy.local_url, proxy.transport()) as resident:
            number = resident.book(name="二宮 花子", reach="email", contact=ADDRESS)
            mail = _wait_for_mail(host)
        assert show_number(number) in mail["text"]
        assert re.search(rf"{re.escape(proxy.url)}/booking/a/\S+", mail["text"])
    assert host.run("operator", "ledger", "verify").count("intact") == len(SERVICES)


def _wait_for_mail(host: Host) -> dict[str, Any]:
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        found: list[dict[str, Any]] = httpx.get(f"{host.sink_url}/messages.json", params={"to": ADDRESS}).json()
        if found:
            return found[-1]
        assert time.monotonic() < deadline, "no mail"
        time.sleep(POLL_S)
