"""``make run``: servers, database, sample town, the three services and a sink for mail and SMS, in one command.

This process only supervises. Ctrl-C or SIGTERM stops everything in order; when this process is killed, the kernel ends
the rest (see ``servers``). All data is in ``.choudo/`` (or ``CHOUDO_DATA_DIR``), and the next start finds it again.
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_urlsafe
from typing import Final
from urllib.parse import urlsplit

from deploy.local.sample_procedure import CODE as SAMPLE_PROCEDURE
from deploy.local.sample_procedure import PROVIDER, with_sample
from deploy.local.servers import ServerError, die_with_parent, embedded_servers, end_with_parent, free_port
from deploy.secrets import load_environment, sample_staff_password
from shared.events.subscriptions import SERVICES
from shared.stopping import STOP_WITHIN_S

ROOT: Final = Path(__file__).resolve().parent.parent.parent
DEFAULT_PORT: Final = 8000
PORTS_TRIED: Final = 100
# As deploy/local/identity_provider.py knows us, which the supervisor does not load.
CLIENT_ID: Final = "choudo-sample"
SAMPLE_TOWN: Final = "deploy/towns/ninomiya"
SAMPLE_MUNICIPALITY: Final = "143421"
SAMPLE_LOGIN: Final = "counter"
SAMPLE_ROLES: Final = ("counter", "back_office", "manager", "operator", "kiosk")
SAMPLE_HELPER: Final = "helper"
SAMPLE_PROFILE: Final = ("--role", "helper", "--name", "田中", "--language", "ja", "--language", "en")

READY_TIMEOUT_S: Final = 60.0
READY_POLL_S: Final = 0.05
# They end by themselves before that.
GRACE_S: Final = STOP_WITHIN_S + 2
KILL_WAIT_S: Final = 5.0
# A child that dies is started again after 1, 2, 4 … 30 s; one that has run this long starts again from 1 s.
FIRST_BACKOFF_S: Final = 1.0
MAX_BACKOFF_S: Final = 30.0
STEADY_AFTER_S: Final = 60.0
LOG_LINE_BYTES: Final = 1 << 20
LOG_MAX_BYTES: Final = 50 << 20
SHOWN_LINE_CHARS: Final = 300
ERROR_CHARS: Final = 2_000
SIGTERM_EXIT: Final = 143
SIGINT_EXIT: Final = 130
SHOWN_LEVELS: Final = ("warning", "error", "critical")


class StartError(RuntimeError):
    """Something could not be started; the message says what, and where its log is."""


@dataclass
class Child:
    """One process that is kept running."""

    name: str
    arguments: Sequence[str]
    environ: Mapping[str, str]
    log: Path
    process: asyncio.subprocess.Process | None = None
    restarts: int = 0
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=15))

    async def keep_running(self, stopping: asyncio.Event) -> None:
        """Start it, and start it again when it ends, until ``stopping`` is set."""
        backoff_s = FIRST_BACKOFF_S
        while not stopping.is_set():
            started = time.monotonic()
            await self._run_once()
            if stopping.is_set():
                return
            assert self.process is not None
            if time.monotonic() - started > STEADY_AFTER_S:
                backoff_s = FIRST_BACKOFF_S
            say(f"{self.name} {_ending(self.process.returncode)}; starting it again in {backoff_s:.0f} s ({self.log})")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), backoff_s)
            backoff_s = min(backoff_s * 2, MAX_BACKOFF_S)
            self.restarts += 1

    async def _run_once(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, *self.arguments,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            cwd=ROOT, env=dict(self.environ), limit=LOG_LINE_BYTES,
            start_new_session=True,  # Ctrl-C in the terminal reaches only the supervisor.
            # SIGKILL: nobody is left to wait for a graceful end, and the services are made to survive it.
            preexec_fn=die_with_parent(signal.SIGKILL),
        )  # fmt: skip
        assert self.process.stdout is not None
        _roll(self.log)
        with self.log.open("ab") as log:
            async for line in _lines(self.process.stdout):
                if log.tell() < LOG_MAX_BYTES:
                    log.write(line)
                    log.flush()
                text = line.decode(errors="replace").rstrip()
                self.tail.append(text)
                if shown := worth_showing(text):
                    say(f"{self.name}: {shown}")
        await self.process.wait()

    def send(self, signal_number: signal.Signals) -> None:
        """Signal this process alone: some frameworks hang when their whole group is signalled."""
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(signal_number)

    def kill_group(self) -> None:
        """End what is left of it, and what it may have started itself."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)


async def _lines(stream: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Lines of any length: one that is too long for the buffer comes in pieces."""
    while True:
        try:
            line = await stream.readuntil()
        except asyncio.LimitOverrunError as error:
            line = await stream.readexactly(error.consumed)
        except asyncio.IncompleteReadError as error:
            if error.partial:
                yield error.partial
            return
        yield line


def _ending(returncode: int | None) -> str:
    if returncode is not None and returncode < 0:
        return f"was ended by {signal.Signals(-returncode).name}"
    return f"ended with code {returncode}"


def _roll(log: Path) -> None:
    if log.exists() and log.stat().st_size > 0:
        log.replace(log.with_name(log.name + ".1"))


def worth_showing(line: str) -> str | None:
    """The part of a log line that belongs on the terminal: warnings and worse, on one line. None for the rest."""
    if line.startswith("{"):
        try:
            record = json.loads(line)
        except ValueError:
            return None
        level = str(record.get("level", "")).lower()
        if level not in SHOWN_LEVELS:
            return None
        rest = {key: value for key, value in record.items() if key not in ("event", "level", "timestamp", "exception")}
        details = " ".join(f"{key}={value}" for key, value in rest.items())
        return f"{level}: {record.get('event', '')} {details}".strip()[:SHOWN_LINE_CHARS]
    if any(word in line[:80].lower() for word in ("warning", "error", "critical", "traceback")):
        return line[:SHOWN_LINE_CHARS]
    return None


def say(text: str) -> None:
    """One line on the terminal."""
    print(text, flush=True)


def choose_port(wanted: int) -> int:
    """The wanted port, or the next one that is free. Raises StartError."""
    for port in range(wanted, min(wanted + PORTS_TRIED, 65536)):
        if _is_free(port):
            return port
    raise StartError(f"no free port between {wanted} and {wanted + PORTS_TRIED - 1}")


def _is_free(port: int) -> bool:
    """Bind as a server would: what is merely in TIME_WAIT is free."""
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "0.0.0.0")):  # noqa: S104
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                return False
    return True


def children(environ: Mapping[str, str], log_dir: Path) -> list[Child]:
    """Everything that runs beside the two servers. A worker gets its own service's secrets and no other's."""
    modules: dict[str, tuple[str, Sequence[str]]] = {
        "front": ("deploy.front", SERVICES),
        **{service: (f"services.{service}.worker", [service]) for service in SERVICES},
        "sink": ("deploy.local.sink", []),
        "identity": ("deploy.local.identity_provider", []),
    }
    return [
        Child(
            name,
            ["-m", module],
            only_for(services, environ) | {"CHOUDO_METRICS_ADDRESS": f"127.0.0.1:{free_port()}"},
            log_dir / f"{name}.log",
        )
        for name, (module, services) in modules.items()
    ]


def publisher(environ: Mapping[str, str], admin_url: str, log_dir: Path) -> Child:
    """What loads the catalogue that managers want published. The administrator's URL is its, and no service's."""
    arguments = ["-m", "deploy.cli", "town", "publish", "--follow"]
    return Child("publisher", arguments, {**environ, "DATABASE_URL": admin_url}, log_dir / "publisher.log")


def only_for(services: Sequence[str], environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without what belongs to other services, and without the roles that own the schemas."""
    foreign = tuple(f"CHOUDO_{service.upper()}_" for service in SERVICES if service not in services)
    kept = {name: value for name, value in environ.items() if not name.startswith(foreign)} if foreign else environ
    hidden = {"CHOUDO_TOKEN_PRIVATE_KEY"} if "routing" not in services else set()
    return {
        name: value for name, value in kept.items() if not name.endswith("_OWNER_DATABASE_URL") and name not in hidden
    }


async def provision(environ: Mapping[str, str], admin_url: str, log: Path) -> None:
    """Make roles, schemas and tables, or bring them up to date. Raises StartError.

    In a process of its own: this one stays as long as the product runs, without the 35 MiB of what migrates.
    """
    await _command("deploy.provision", [], {**environ, "DATABASE_URL": admin_url}, log)


async def load_town(environ: Mapping[str, str], data_dir: Path) -> str:
    """Load the sample town, and return what the command says. Raises StartError.

    Again: what is there already stays, and so does what was made of it on pages.
    """
    pack = with_sample(ROOT / SAMPLE_TOWN, data_dir / "town")
    arguments = ["town", "load", str(pack), "--unless-known"]
    return await _command("deploy.cli", arguments, environ, data_dir / "logs" / "town.log")


async def open_account(environ: Mapping[str, str], data_dir: Path, admin_url: str) -> str:
    """Open the sample town's accounts, once for each database, and return the lines that tell them."""
    password = sample_staff_password(data_dir)
    mark, key = data_dir / "account-opened", f"{_database_in_use()} with a helper"
    if not mark.exists() or mark.read_text() != key:
        roles = [part for role in SAMPLE_ROLES for part in ("--role", role)]
        environ = {**environ, "CHOUDO_NEW_PASSWORD": password, "DATABASE_URL": admin_url}
        arguments = ["account", "open", SAMPLE_LOGIN, "--town", SAMPLE_MUNICIPALITY, *roles]
        helper = ["account", "open", SAMPLE_HELPER, "--town", SAMPLE_MUNICIPALITY, *SAMPLE_PROFILE]
        await asyncio.gather(
            _command("deploy.cli", arguments, environ, data_dir / "logs" / "account.log"),
            _command("deploy.cli", helper, environ, data_dir / "logs" / "helper-account.log"),
        )
        mark.write_text(key)
    return f"sign in as           {SAMPLE_LOGIN} or {SAMPLE_HELPER}, password {password}"


async def add_shifts(environ: Mapping[str, str], data_dir: Path) -> None:
    """Let the sample helper have shifts, once for each database. Without them, everything else still runs."""
    mark, key = data_dir / "shifts-added", _database_in_use()
    if mark.exists() and mark.read_text() == key:
        return
    arguments = [SAMPLE_MUNICIPALITY, SAMPLE_HELPER]
    try:
        await _command("deploy.local.sample_shifts", arguments, environ, data_dir / "logs" / "sample-shifts.log")
    except StartError as error:
        say(f"the sample helper has no times yet: {error}")
    else:
        mark.write_text(key)


async def open_practice(environ: Mapping[str, str], data_dir: Path, admin_url: str) -> None:
    """Let the sample town's staff have a practice town, once for each database. Without it, everything else still runs.

    It takes seconds, and nobody waits for it.
    """
    mark, key = data_dir / "practice-opened", _database_in_use()
    if mark.exists() and mark.read_text() == key:
        return
    password = sample_staff_password(data_dir)
    environ = {**environ, "CHOUDO_NEW_PASSWORD": password, "DATABASE_URL": admin_url}
    arguments = ["practice", "open", SAMPLE_MUNICIPALITY]
    try:
        said = await _command("deploy.cli", arguments, environ, data_dir / "logs" / "practice.log")
    except StartError as error:
        say(f"there is no practice town yet: {error}")
    else:
        mark.write_text(key)
        say(said.replace("(as given)", password))


def _database_in_use() -> str:
    if "DATABASE_URL" not in os.environ:
        return "embedded"
    place = urlsplit(os.environ["DATABASE_URL"])
    return f"{place.hostname}:{place.port}{place.path}"


async def _command(module: str, arguments: Sequence[str], environ: Mapping[str, str], log: Path) -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *arguments,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        cwd=ROOT, env=dict(environ), start_new_session=True, preexec_fn=die_with_parent(signal.SIGKILL),
    )  # fmt: skip
    output, _ = await process.communicate()
    log.write_bytes(output)  # noqa: ASYNC240  a few hundred bytes, before anything else runs
    text = output.decode(errors="replace").strip()
    if process.returncode != 0:
        command = " ".join([module, *arguments])
        raise StartError(f"{command} {_ending(process.returncode)} ({log}):\n{text[-ERROR_CHARS:]}")
    return text


async def wait_ready(url: str, front: Child) -> None:
    """Wait until the front says that it is ready. Raises StartError."""
    deadline = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < deadline:
        if front.restarts:
            break
        if await asyncio.to_thread(_answers, url):
            return
        await asyncio.sleep(READY_POLL_S)
    raise StartError(f"{url} does not answer; the end of {front.log}:\n" + "\n".join(front.tail))


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:  # noqa: S310
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


async def stop_all(running: Sequence[Child], tasks: Sequence["asyncio.Task[None]"]) -> None:
    """Ask all to end, wait, and end those that did not. The sink goes last: the others may still be sending."""
    last = [child for child in running if child.name == "sink"]
    for group in ([child for child in running if child not in last], last):
        waiting = [task for child, task in zip(running, tasks, strict=True) if child in group]
        for child in group:
            child.send(signal.SIGTERM)
        if not waiting:
            continue
        _, late = await asyncio.wait(waiting, timeout=GRACE_S)
        for child, task in zip(running, tasks, strict=True):
            if child in group:
                if task in late:
                    say(f"{child.name} does not end, killing it")
                child.kill_group()
        if late:
            await asyncio.wait(late, timeout=KILL_WAIT_S)


async def supervise(environ: Mapping[str, str], admin_url: str, port: int, data_dir: Path, began: float) -> None:
    """Provision, load the town, run the children until a signal comes."""
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    for signal_number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(signal_number, stopping.set)

    log_dir = data_dir / "logs"
    signalled = asyncio.create_task(stopping.wait())
    running: list[Child] = []
    tasks: list[asyncio.Task[None]] = []
    practising: asyncio.Task[None] | None = None

    def run(chosen: Sequence[Child]) -> None:
        running.extend(chosen)
        tasks.extend(asyncio.create_task(child.keep_running(stopping), name=child.name) for child in chosen)

    async def start() -> str:
        # What takes longest, each by itself: the front's imports, the schemas, and the town. The front says that it is
        # not ready until the schemas are there; a worker would only complain, and comes when they are.
        front, *others = children(environ, log_dir)
        run([front])
        await provision(environ, admin_url, log_dir / "provision.log")
        town_says = await _prepare(environ, admin_url, data_dir)
        run([*others, publisher(environ, admin_url, log_dir)])
        await wait_ready(f"http://127.0.0.1:{port}/readyz", front)
        await add_shifts(environ, data_dir)
        return town_says

    starting = asyncio.create_task(start())
    try:
        await asyncio.wait((starting, signalled), return_when=asyncio.FIRST_COMPLETED)
        if stopping.is_set():
            starting.cancel()
        else:
            town_says = starting.result()
            say(banner(f"http://localhost:{port}", environ, running, data_dir, town_says, time.monotonic() - began))
            practising = asyncio.create_task(open_practice(environ, data_dir, admin_url))
        await signalled
    finally:
        stopping.set()
        if practising is not None:
            practising.cancel()
        say("stopping …")
        await stop_all(running, tasks)


async def _prepare(environ: Mapping[str, str], admin_url: str, data_dir: Path) -> str:
    # Only this step may look after the table of hosts: the services never get the administrator's URL.
    town = {**environ, "DATABASE_URL": admin_url}
    said, account = await asyncio.gather(load_town(town, data_dir), open_account(environ, data_dir, admin_url))
    return f"{account}\n\n{said}"


def banner(
    url: str, environ: Mapping[str, str], running: Sequence[Child], data_dir: Path, town_says: str, took_s: float
) -> str:
    """What is printed once everything is up."""
    sink = f"http://localhost:{environ['CHOUDO_SINK_HTTP_PORT']}/"
    lines = [
        "",
        f"Choudo is up after {took_s:.1f} s",
        "",
        f"  residents            {url}/",
        f"  counter staff        {url}/counter",
        f"  helpers              {url}/helpers",
        f"  call display         {url}/board",
        f"  delivery log         {url}/notices",
        f"  sent mail and SMS    {sink}",
        f"  identity step (見本) {url}/procedures/{SAMPLE_PROCEDURE}",
        "",
        *(f"  {line}" for line in town_says.splitlines()),
        "",
        *(
            f"  metrics of {child.name:<13} http://{child.environ['CHOUDO_METRICS_ADDRESS']}/metrics"
            for child in running
            if child.name not in ("sink", "identity", "publisher")
        ),
        f"  data and logs        {data_dir}",
        "  stop                 Ctrl-C",
        "",
    ]
    return "\n".join(lines)


def process_environment(data_dir: Path, admin_url: str, redis_url: str, port: int) -> dict[str, str]:
    """What every child gets: this process's environment without the administrator's URL, and all CHOUDO_* variables."""
    smtp_port, http_port, identity_port = free_port(), free_port(), free_port()
    identity_secret = token_urlsafe()
    made = {
        "CHOUDO_PORT": str(port),
        "CHOUDO_PUBLIC_URL": f"http://localhost:{port}",
        "CHOUDO_DEFAULT_MUNICIPALITY": SAMPLE_MUNICIPALITY,
        "CHOUDO_ENVIRONMENT": "local",
        "CHOUDO_SINK_SMTP_PORT": str(smtp_port),
        "CHOUDO_SINK_HTTP_PORT": str(http_port),
        "CHOUDO_SMTP_URL": f"smtp://127.0.0.1:{smtp_port}",
        "CHOUDO_SMS_GATEWAY_URL": f"http://127.0.0.1:{http_port}/sms",
        "CHOUDO_SINK_RECEIPT_URL": f"http://127.0.0.1:{port}/notifications/api/receipts/sms_gateway",
        "CHOUDO_SINK_FORM_RECEIPT_URL": f"http://127.0.0.1:{port}/notifications/api/receipts/sms_form",
        "CHOUDO_SINK_BOUNCE_URL": f"http://127.0.0.1:{port}/notifications/api/bounces",
        "CHOUDO_NOTIFICATIONS_BOUNCE_DOMAIN": "bounce.localhost",
        "CHOUDO_NOTIFICATIONS_BOUNCE_TOKEN": token_urlsafe(),
        "CHOUDO_NOTIFICATIONS_LINE_URL": f"http://127.0.0.1:{http_port}",
        "CHOUDO_LOCAL_IDENTITY_PORT": str(identity_port),
        "CHOUDO_LOCAL_IDENTITY_SECRET": identity_secret,
        "CHOUDO_ROUTING_IDENTITY_PROVIDERS": f"""[{PROVIDER}]
            label = "見本の本人確認（本物ではありません）"
            issuer = "http://127.0.0.1:{identity_port}"
            client_id = "{CLIENT_ID}"
            client_secret = "{identity_secret}"
        """,
        "CHOUDO_DATA_DIR": str(data_dir),
        "PYTHONUNBUFFERED": "1",
    }
    inherited = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
    secret = load_environment(data_dir, database_url=admin_url, redis_url=redis_url, environ=os.environ)
    # The simulator of LINE takes the token that it takes for SMS.
    line = {"token": secret["CHOUDO_SMS_GATEWAY_TOKEN"], "secret": token_urlsafe(), "account": "@mihon"}
    made["CHOUDO_SINK_LINE_URL"] = f"http://127.0.0.1:{port}/notifications/api/line/{SAMPLE_MUNICIPALITY}"
    made["CHOUDO_SINK_LINE_SECRET"] = line["secret"]
    made["CHOUDO_NOTIFICATIONS_LINE_CHANNELS"] = "\n".join(
        [f"[{SAMPLE_MUNICIPALITY}]", *(f'{name} = "{value}"' for name, value in line.items())]
    )
    return {**made, **secret, **inherited, "CHOUDO_PORT": str(port), "CHOUDO_DATA_DIR": str(data_dir)}


def main() -> int:
    """Run until stopped. Returns the exit code."""
    began = time.monotonic()
    data_dir = Path(os.environ.get("CHOUDO_DATA_DIR", ROOT / ".choudo")).absolute()
    # A signal during the start-up of the servers has to unwind, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(SIGTERM_EXIT))
    if "MAKELEVEL" in os.environ:  # Whoever kills make means us, too.
        end_with_parent(signal.SIGTERM)
    try:
        wanted = int(os.environ.get("PORT", DEFAULT_PORT))
        with embedded_servers(data_dir, environ=os.environ) as servers:
            port = choose_port(wanted)
            if port != wanted:
                say(f"port {wanted} is taken, using {port}")
            (data_dir / "logs").mkdir(parents=True, exist_ok=True)
            environ = process_environment(data_dir, servers.database_url, servers.redis_url, port)
            asyncio.run(supervise(environ, servers.database_url, port, data_dir, began))
    except (ServerError, StartError) as error:
        print(error, file=sys.stderr, flush=True)
        return 1
    except KeyboardInterrupt:
        return SIGINT_EXIT
    say("stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
