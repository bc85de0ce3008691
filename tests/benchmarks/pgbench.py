"""pgbench as a reference: a script's transactions a second, sent by a service's own role."""

import os
import re
import subprocess
from pathlib import Path
from urllib.parse import unquote, urlsplit

from deploy.local.servers import postgres_bin

TIMEOUT_S = 300


def run_pgbench(
    database_url: str, script: Path, *, clients: int, transactions: int, service: str, after: int = 0
) -> tuple[float, float]:
    """Run a script so often for each client, as if each had run it `after` times before.

    Returns transactions a second, and a transaction's mean in milliseconds.
    Raises AssertionError if one of them failed.
    """
    url = urlsplit(database_url)
    done = subprocess.run(
        [postgres_bin() / "pgbench", "-n", "-M", "prepared", "-c", str(clients), "-j", "1", "-t", str(transactions),
         "-D", f"n={after}", "-f", script],
        env={
            "PATH": os.environ["PATH"], "PGHOST": url.hostname or "", "PGPORT": str(url.port),
            "PGUSER": unquote(url.username or ""), "PGPASSWORD": unquote(url.password or ""),
            "PGDATABASE": url.path.lstrip("/"), "PGOPTIONS": f"-c search_path={service} -c timezone=UTC",
        },
        capture_output=True, text=True, check=False, timeout=TIMEOUT_S,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-3000:]}"
    assert "number of failed transactions: 0 " in done.stdout, done.stdout
    rate = re.search(r"^tps = ([\d.]+)", done.stdout, re.MULTILINE)
    latency = re.search(r"^latency average = ([\d.]+) ms", done.stdout, re.MULTILINE)
    assert rate
    assert latency
    return float(rate[1]), float(latency[1])
