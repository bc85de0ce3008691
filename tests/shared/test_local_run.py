"""The supervisor of ``make run``, with stand-ins for the processes that it keeps running."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from deploy.local.run import choose_port, only_for, worth_showing

FRONT = """
import http.server, os
assert "DATABASE_URL" not in os.environ, "the administrator's URL is not for the services"
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["CHOUDO_PORT"])), Handler).serve_forever()
"""
SLEEPER = 'import time; print(\'{"level": "warning", "event": "slow"}\', flush=True); time.sleep(1000)'
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(1000)"
DYING = "import time; time.sleep(0.2); raise SystemExit(3)"
TOWN = "import os; assert os.environ['DATABASE_URL']; print('counter staff: counter / secret')"
SHIFTS = "import sys; assert sys.argv[1:] == ['143421', 'helper']"

# The front starts beside it: with one after the other, the first page comes seconds later.
PROVISION = """
import os, time, urllib.request
assert os.environ["DATABASE_URL"]
deadline = time.monotonic() + 45
while time.monotonic() < deadline:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{os.environ['CHOUDO_PORT']}/", timeout=2).close()
        break
    except OSError:
        time.sleep(0.05)
else:
    raise SystemExit("no front beside the provisioning")
"""

# The real supervisor with the real servers; the tree that it starts processes from is a stand-in.
LAUNCH = """
import pathlib, sys
from deploy.local import run
run.ROOT, run.GRACE_S = pathlib.Path(sys.argv[1]), 1.0
sys.exit(run.main())
"""
GONE_TIMEOUT_S = 60.0


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    for path, text in {
        "deploy/provision.py": PROVISION,
        "deploy/cli.py": TOWN,
        "deploy/front.py": FRONT,
        "deploy/local/sink.py": SLEEPER,
        "deploy/local/identity_provider.py": SLEEPER,
        "deploy/local/sample_shifts.py": SHIFTS,
        "services/routing/worker.py": SLEEPER,
        "services/booking/worker.py": DYING,
        "services/notifications/worker.py": STUBBORN,
    }.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder


@contextmanager
def supervisor(tree: Path, root_dir: Path, data_dir: Path, port: int) -> "Iterator[subprocess.Popen[str]]":
    environ = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
    process = subprocess.Popen(
        [sys.executable, "-c", LAUNCH, str(tree)],
        cwd=root_dir,
        env=environ | {"CHOUDO_DATA_DIR": str(data_dir), "PORT": str(port)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def read_until(process: "subprocess.Popen[str]", pattern: str, text: str = "") -> str:
    """What it said before (`text`), and on to the line with the pattern."""
    assert process.stdout is not None
    while not re.search(pattern, text):
        line = process.stdout.readline()
        assert line, f"ended before {pattern!r}:\n{text}"
        text += line
    return text


def left_of(processes: list[psutil.Process]) -> list[psutil.Process]:
    deadline = time.monotonic() + GONE_TIMEOUT_S
    while True:
        left = [one for one in processes if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.02)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_however_it_is_stopped_no_process_stays(
    tree: Path, root_dir: Path, tmp_path: Path, how: signal.Signals
) -> None:
    """Seen to fail for SIGKILL without PR_SET_PDEATHSIG. One stand-in ignores SIGTERM, another dies again and again."""
    port = choose_port(18000)
    with supervisor(tree, root_dir, tmp_path / "data", port) as process:
        said = read_until(process, "Ctrl-C")
        assert "counter staff: counter / secret" in said
        assert "sign in as           counter or helper, password " in said
        assert "no times yet" not in said
        assert (tmp_path / "data" / "shifts-added").read_text() == "embedded"
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60) as response:
            assert response.status == 200
        if how == signal.SIGINT:
            # On a slow machine it has said so before the banner.
            read_until(process, "booking ended with code 3; starting it again in 2 s", said)
        descendants = psutil.Process(process.pid).children(recursive=True)
        assert len(descendants) >= 6
        process.send_signal(how)
        assert process.wait(GONE_TIMEOUT_S) == (0 if how != signal.SIGKILL else -signal.SIGKILL)
        assert left_of(descendants) == []


def test_the_next_port_is_taken_when_the_wanted_one_is_not_free() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert choose_port(port) > port


def test_a_worker_gets_no_secret_of_another_service() -> None:
    names = [f"CHOUDO_{service}_{kind}" for service in ("ROUTING", "BOOKING") for kind in ("DATABASE_URL", "BOX_KEY")]
    environ = dict.fromkeys(
        [*names, "CHOUDO_BOOKING_OWNER_DATABASE_URL", "CHOUDO_TOKEN_PRIVATE_KEY", "CHOUDO_PORT"], ""
    )
    assert set(only_for(["booking"], environ)) == {
        "CHOUDO_BOOKING_DATABASE_URL",
        "CHOUDO_BOOKING_BOX_KEY",
        "CHOUDO_PORT",
    }
    assert set(only_for([], environ)) == {"CHOUDO_PORT"}
    assert {*names, "CHOUDO_TOKEN_PRIVATE_KEY"} <= set(only_for(["routing", "booking", "notifications"], environ))


def test_only_warnings_reach_the_terminal_on_one_line() -> None:
    assert worth_showing('{"level": "info", "event": "started"}') is None
    assert worth_showing('{"level": "error", "event": "late", "n": 3, "timestamp": "x"}') == "error: late n=3"
    assert worth_showing("Traceback (most recent call last):") is not None
    assert worth_showing("nothing") is None
    assert len(worth_showing("ERROR " + "x" * 5000) or "") == 300
