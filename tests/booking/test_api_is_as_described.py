"""Every route of the API is asked what its description allows and forbids, over HTTP, and its answers are held to it.

schemathesis makes up the requests: the examples, each limit from both sides, random ones, and other methods.
"""

import asyncio
import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from services.booking.commands.walk_ins import TakeWalkIn, take_walk_in
from shared.clock import utc_now
from shared.tokens import Identity
from tests.booking import draws_town, one_stop_town
from tests.booking.conftest import CHILD, HOST, TOWN, BookingTown
from tests.booking.test_race import serving
from tests.booking.webhook_receiver import register
from tests.stack import ROOT

SEED = 20261129
EXAMPLES = 8
TIME_S = 120
SAID_MAX = 40_000
# Why a check is not made, or not as it comes.
CONFIG = """
hooks = "tests.booking.api_hooks"
seed = {seed}
headers = {{ Host = "{host}", Sec-Fetch-Site = "same-origin" }}

[auth.openapi.visitor]
api_key = "{guest}"

[auth.openapi.staff]
api_key = "{staff}"

[generation]
max-examples = {examples}
database = "none"

# Rules say no to what can be read: there is no such thing (404), somebody was faster (409), its time is over (410), or
# it cannot be done (422). 400 is for what is not as described, but for a pass that nobody sealed, a closing that is
# over, days that are no earlier ones, and at a counter for what is done nowhere and for what was typed as a number.
[checks]
positive_data_acceptance.expected-statuses = ["2xx", 401, 403, 404, 409, 410, 422, 429]
# Where a path has several handlers, Litestar answers OPTIONS with the methods of the first; nobody of ours asks. What a
# wrong method is told (405) is looked at.
allow_header_conformance.enabled = false

[[operations]]
include-operation-id = "post_visit"
checks.positive_data_acceptance.expected-statuses = [201, 400, 409, 410]

[[operations]]
include-operation-id = "put_waiting"
checks.positive_data_acceptance.expected-statuses = [200, 400, 404, 409, 422]

[[operations]]
include-tag = "closings (staff)"
checks.positive_data_acceptance.expected-statuses = ["2xx", 400, 404, 409, 422]

[[operations]]
include-tag = "the line (staff)"
checks.positive_data_acceptance.expected-statuses = ["2xx", 400, 403, 404, 409, 422]

[[operations]]
include-tag = "ticket machines"
checks.positive_data_acceptance.expected-statuses = ["2xx", 400, 404, 409, 422]
"""
# Everything that staff, helpers and machines do, in one account.
ROLES = ("manager", "coordinator", "counter", "helper", "kiosk")
BOSS = Identity(municipality=TOWN, kind="staff", ref="boss", session_id="s-boss", roles=ROLES)
ON_ROSTER = text("INSERT INTO booking.helper VALUES (:municipality, :helper_ref, NULL, NULL, '{ja}', true, 1)")


async def prepare(town: BookingTown) -> dict[str, str]:
    """A town in which there is one of everything; its ids."""
    town.now = utc_now()
    await one_stop_town.open_town(town)
    booked, visit_id = await town.booked("guest", slot=20), await town.visit("guest")
    free = [item for item in await town.slots() if item.free]
    later = next(item for item in free if item.starts_at > town.now + draws_town.FIRST)
    draw_id = await draws_town.announce(town, first=later.starts_at, until=later.starts_at + draws_town.HOUR)
    entered = await draws_town.enter(town, draw_id, "guest")
    # A day after it on which there is anything: the day after a Friday is none.
    after = next(item.starts_at for item in free if item.starts_at >= later.starts_at + timedelta(days=1))
    called_off = await draws_town.announce(town, first=after, until=after + draws_town.HOUR)
    system = await register(town, "https://display.example.jp/hook")
    async with town.db.begin(TOWN) as session:
        here = await take_walk_in(session, BOSS, TakeWalkIn(procedure=CHILD, key="here"), now=town.now)
    async with town.database.owner_engine("booking").begin() as connection:
        await connection.execute(ON_ROSTER, {"municipality": TOWN, "helper_ref": BOSS.ref})
    return {
        "endpoint_id": str(system.endpoint_id),
        "appointment_id": str(here.appointment_id),
        "visit_id": str(visit_id),
        "chains visit_id": str(await one_stop_town.arrive(town)),
        "slot_id": str(free[30].slot_id),
        "draw_id": str(draw_id),
        "call-off draw_id": str(called_off),
        "preferences": str((await draws_town.sessions_of(town, draw_id))[0]),
        "number": booked.number,
        "draws number": entered,
        "counter": "7",
        "procedure": CHILD,
    }


async def ask_everything(town: BookingTown, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run schemathesis against a server of its own."""
    real = await prepare(town)
    guest, staff = town.token("guest"), town.token(BOSS.ref, kind="staff", roles=ROLES)
    config, document = folder / "schemathesis.toml", folder / "openapi.json"
    config.write_text(CONFIG.format(seed=SEED, host=HOST, guest=guest, staff=staff, examples=EXAMPLES))
    async with serving(town) as url:
        async with httpx.AsyncClient(trust_env=False) as client:
            described = await client.get(f"{url}/booking/schema/openapi.json", headers={"host": HOST})
        document.write_bytes(described.content)
        program = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(config)]
        return await asyncio.to_thread(
            subprocess.run,
            [*program, "run", str(document), "--url", url, "--no-color"],
            cwd=folder,
            env=os.environ | {"CHOUDO_TEST_REAL_IDS": json.dumps(real), "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=TIME_S * 3,
            check=False,
        )


@pytest.mark.alone
async def test_every_answer_is_as_the_description_says(bare_town: BookingTown, tmp_path: Path) -> None:
    """Seen to fail with a number of places that was text, and with a refusal that its route does not name; before, it
    had found that 1.0 was refused where the schema asks for a whole number.
    """
    done = await ask_everything(bare_town, tmp_path)
    assert done.returncode == 0, done.stdout[-SAID_MAX:] + done.stderr[-SAID_MAX:]
