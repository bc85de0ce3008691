"""A service's web process for tests that need a real server."""

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping

import httpx

from deploy.local.servers import free_port

READY_TIMEOUT_S = 120
# Longer than uvicorn waits for open streams, on a busy machine too.
STOP_TIMEOUT_S = 60


@contextlib.asynccontextmanager
async def serving(app: str, environ: Mapping[str, str], *, dies: bool = False) -> AsyncIterator[str]:
    """A web process, by itself, with a real clock; it must end on SIGTERM, unless it `dies` before."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", app, "--factory", "--port", str(port),
         "--log-level", "warning", "--no-access-log", "--backlog", "2048"],
        env={**os.environ, **environ},
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + READY_TIMEOUT_S
        async with httpx.AsyncClient(trust_env=False) as client:
            while True:
                with contextlib.suppress(httpx.HTTPError):
                    if (await client.get(f"{url}/readyz")).status_code == 200:
                        break
                if dies and process.poll() is not None:
                    break
                assert process.poll() is None
                assert time.monotonic() < deadline
                await asyncio.sleep(0.1)
        yield url
        process.terminate()
        assert await asyncio.to_thread(process.wait, STOP_TIMEOUT_S) in (0, -15, *([-9] if dies else []))
    finally:
        process.kill()
        process.wait()
