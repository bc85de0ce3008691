"""`make run` to the first page, cold and again; then what it needs while nobody uses it."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil

from deploy.local.servers import die_with_parent, free_port
from tests.benchmarks.figures import Figure, make_figure
from tests.stack import ROOT

TARGET_S = 10.0
START_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 40.0
IDLE_S = 10.0
POLL_S = 0.02
MIB = 2**20
IMPORT = "import litestar, sqlalchemy.ext.asyncio, uvicorn"


def measure(folder: Path) -> list[Figure]:
    """Start twice in one folder; measure memory and processor time of the second start at rest."""
    reference = _import_time()
    with _running(folder) as (cold_s, _):
        pass
    with _running(folder) as (again_s, supervisor):
        time.sleep(IDLE_S)
        processes = [supervisor, *supervisor.children(recursive=True)]
        before = _busy_s(processes)
        time.sleep(IDLE_S)
        busy = (_busy_s(processes) - before) / IDLE_S * 100
        memory, kind = _memory(processes)
    total = sum(memory.values())
    parts = ", ".join(f"{name} {size / MIB:.0f}" for name, size in sorted(memory.items(), key=lambda item: -item[1]))
    reference_name = f"python -c '{IMPORT}'"
    return [
        make_figure("start", "first page, second start (installed, data there)", again_s, "s", f"≤ {TARGET_S:g} s",
                    reference=reference, reference_name=reference_name, met=again_s <= TARGET_S),
        make_figure("start", "first page, first start (initdb, migrations, sample town)", cold_s, "s",
                    f"≤ {TARGET_S:g} s", reference=reference, reference_name=reference_name, met=cold_s <= TARGET_S),
        make_figure("start", f"memory at rest, all {len(processes)} processes ({kind})", total / MIB, "MiB", "",
                    note=f"Memory in MiB: {parts}."),
        make_figure("start", "processor time at rest, all processes", busy, "% of a core", ""),
    ]  # fmt: skip


@contextlib.contextmanager
def _running(folder: Path) -> Iterator[tuple[float, psutil.Process]]:
    """`make run` as make starts it, in a data folder of its own; the seconds to its first page."""
    port = free_port()
    environ = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("CHOUDO_") and name not in ("DATABASE_URL", "REDIS_URL", "MAKELEVEL")
    }
    began = time.perf_counter()
    with (folder / "run.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "deploy.local.run"],
            cwd=ROOT, env=environ | {"PORT": str(port), "CHOUDO_DATA_DIR": str(folder / "data")},
            stdout=log, stderr=log, preexec_fn=die_with_parent(signal.SIGTERM),
        )  # fmt: skip
    try:
        with httpx.Client(trust_env=False, timeout=5) as client:
            while True:
                with contextlib.suppress(httpx.TransportError):
                    if client.get(f"http://127.0.0.1:{port}/").status_code == httpx.codes.OK:
                        break
                assert process.poll() is None, (folder / "run.log").read_text("utf-8")[-2_000:]
                assert time.perf_counter() - began < START_TIMEOUT_S, "no first page"
                time.sleep(POLL_S)
        yield time.perf_counter() - began, psutil.Process(process.pid)
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _import_time() -> float:
    subprocess.run([sys.executable, "-c", IMPORT], check=True)
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", IMPORT], check=True)
    return time.perf_counter() - began


def _busy_s(processes: list[psutil.Process]) -> float:
    busy = 0.0
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            busy += times.user + times.system
    return busy


def _memory(processes: list[psutil.Process]) -> tuple[dict[str, int], str]:
    """Bytes by what the processes are: PSS counts a shared page once; RSS where the kernel does not tell."""
    kind = "PSS"
    sizes: dict[str, int] = {}
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            try:
                size = process.memory_full_info().pss
            except psutil.AccessDenied:
                size, kind = process.memory_info().rss, "PSS, or RSS where PSS is hidden"
            name = _name(process)
            sizes[name] = sizes.get(name, 0) + size
    return sizes, kind


def _name(process: psutil.Process) -> str:
    command = process.cmdline()
    if "-m" in command:
        return command[command.index("-m") + 1].removeprefix("services.").removeprefix("deploy.")
    return Path(command[0].split(":")[0]).name if command else process.name()
