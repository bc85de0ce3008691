"""Every route of the API is asked what its description allows and forbids, over HTTP, and its answers are held to it.

schemathesis makes up the requests: the examples, each limit from both sides, random ones, and other methods.
"""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from shared.clock import utc_now
from shared.web.identity import SESSION_COOKIE
from tests.booking.conftest import CHILD, HOST, BookingTown
from tests.booking.test_race import serving
from tests.stack import ROOT

SEED = 20261129
EXAMPLES = 12
TIME_S = 60
# Why a check is not made, or not as it comes.
CONFIG = """
hooks = "tests.booking.api_hooks"
seed = {seed}
headers = {{ Host = "{host}", Sec-Fetch-Site = "same-origin", Cookie = "{cookie}={guest}" }}

[generation]
max-examples = {examples}
deterministic = true
database = "none"

# Rules say no to what can be read: there is no such thing (404), somebody was faster (409), its time is over (410), or
# it cannot be done (422). 400 is for what is not as described, but for a pass that nobody sealed and a closing that is
# over.
[checks]
positive_data_acceptance.expected-statuses = ["2xx", 401, 403, 404, 409, 410, 422, 429]

[[operations]]
include-operation-id = "post_visit"
checks.positive_data_acceptance.expected-statuses = [201, 400, 409, 410]

[[operations]]
include-tag = "closings (staff)"
headers = {{ Cookie = "{cookie}={manager}" }}
checks.positive_data_acceptance.expected-statuses = ["2xx", 400, 404, 409, 422]

[[operations]]
include-tag = "opening rules (staff)"
headers = {{ Cookie = "{cookie}={manager}" }}
"""


async def prepare(town: BookingTown) -> dict[str, str]:
    """A town in which there is one of everything; its ids."""
    town.now = utc_now()
    await town.open()
    booked, visit_id = await town.booked("guest", slot=20), await town.visit("guest")
    slot = [item for item in await town.slots() if item.free][30]
    return {
        "visit_id": str(visit_id),
        "slot_id": str(slot.slot_id),
        "number": booked.number,
        "counter": "7",
        "procedure": CHILD,
    }


async def ask_everything(town: BookingTown, folder: Path, *only: str) -> subprocess.CompletedProcess[str]:
    """Run schemathesis against a server of its own."""
    real = await prepare(town)
    guest = town.token("guest")
    manager = town.token("boss", kind="staff", roles=("manager",))
    config = folder / "schemathesis.toml"
    config.write_text(
        CONFIG.format(seed=SEED, host=HOST, cookie=SESSION_COOKIE, guest=guest, manager=manager, examples=EXAMPLES)
    )
    async with serving(town) as url:
        async with httpx.AsyncClient(trust_env=False) as client:
            described = await client.get(f"{url}/booking/schema/openapi.json", headers={"host": HOST})
        document = folder / "openapi.json"
        document.write_text(json.dumps(described.json()))
        command = [
            sys.executable,
            "-m",
            "schemathesis.cli",
            "--config-file",
            str(config),
            "run",
            str(document),
            "--url",
            url,
        ]
        return await asyncio.to_thread(
            subprocess.run,
            [*command, "--no-color", *only],
            cwd=ROOT,
            env=os.environ | {"CHOUDO_TEST_REAL_IDS": json.dumps(real), "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=TIME_S * 3,
            check=False,
        )


@pytest.mark.alone
async def test_every_answer_is_as_the_description_says(bare_town: BookingTown, tmp_path: Path) -> None:
    done = await ask_everything(bare_town, tmp_path)
    assert done.returncode == 0, done.stdout[-12_000:] + done.stderr[-2_000:]
