"""A web process as production starts it: what the public reaches, and what only its operator does."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from deploy.local.servers import free_port
from tests.conftest import TestDatabase

START_TIMEOUT_S = 60.0


@contextmanager
def front(root_dir: Path, environ: dict[str, str], port: int) -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "deploy.front", "--only", "booking"],
        cwd=root_dir,
        env=os.environ | environ | {"CHOUDO_PORT": str(port)},
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                httpx.get(f"{url}/healthz", timeout=2)
                break
            except httpx.TransportError:
                assert process.poll() is None, process.returncode
                assert time.monotonic() < deadline
                time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait(20)


async def test_metrics_are_on_a_listener_of_their_own_and_nowhere_else(database: TestDatabase, root_dir: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    with front(root_dir, database.environ | {"CHOUDO_METRICS_ADDRESS": address}, free_port()) as url:
        shown = httpx.get(f"http://{address}/metrics", timeout=5).text
        assert 'choudo_request_seconds_count{method="GET",route="/healthz",service="booking"' in shown
        for path in ("/metrics", "/booking/metrics", "/board/metrics"):
            answer = httpx.get(url + path, timeout=5)
            assert (answer.status_code, "choudo_" in answer.text) == (404, False), path
