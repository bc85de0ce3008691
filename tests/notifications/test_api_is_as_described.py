"""Every route for other systems is asked what its description allows and forbids, and its answers are held to it.

As `tests/booking/test_api_is_as_described.py` does, which says how.
"""

import asyncio
import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import httpx
import msgspec
import pytest

from services.notifications.domain.systems import PER_DAY_MAX, PER_MINUTE_MAX
from shared.clock import utc_now
from tests.conftest import TestDatabase
from tests.notifications.harness import Notifications
from tests.notifications.systems import TERMS, register
from tests.serving import serving
from tests.stack import ROOT

HOST = "ninomiya.example.jp"
SEED, EXAMPLES, TIME_S, SAID_MAX = 20261130, 8, 120, 40_000
CONFIG = """
hooks = "tests.booking.api_hooks"
seed = {seed}
headers = {{ Host = "{host}" }}

[auth.openapi.system]
bearer = "{key}"

[generation]
max-examples = {examples}
database = "none"

# What can be read may be refused all the same: there is no such thing (404), it went out (409), it is wrong (422).
[checks]
positive_data_acceptance.expected-statuses = ["2xx", 404, 409, 422, 429]
# As in booking.
allow_header_conformance.enabled = false
"""


@pytest.mark.alone
async def test_every_answer_to_another_system_is_as_the_description_says(
    service: Notifications, client: httpx.AsyncClient, database: TestDatabase, tmp_path: Path
) -> None:
    """Seen to fail with a struct of the body named as the description names every refusal."""
    service.now = utc_now()
    terms = msgspec.structs.replace(TERMS, per_minute=PER_MINUTE_MAX, per_day=PER_DAY_MAX)
    library = await register(service, client, terms)
    await library.told_at("http://127.0.0.1:9/hook")
    sent = await library.accepted(useful_until=(service.now + timedelta(hours=1)).isoformat())
    config, document = tmp_path / "schemathesis.toml", tmp_path / "openapi.json"
    config.write_text(CONFIG.format(seed=SEED, host=HOST, key=library.key, examples=EXAMPLES))
    async with serving("tests.notifications.server:app", database.environ) as url:
        async with httpx.AsyncClient(trust_env=False) as asking:
            described = await asking.get(f"{url}/notifications/schema/openapi.json", headers={"host": HOST})
        document.write_bytes(described.content)
        program = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(config)]
        done = await asyncio.to_thread(
            subprocess.run,
            [*program, "run", str(document), "--url", url, "--no-color", "--include-tag", "notices (systems)"],
            cwd=tmp_path,
            env=os.environ | {"CHOUDO_TEST_REAL_IDS": json.dumps({"notice_id": sent}), "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=TIME_S * 3,
            check=False,
        )
    assert done.returncode == 0, done.stdout[-SAID_MAX:] + done.stderr[-SAID_MAX:]
