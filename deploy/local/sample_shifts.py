"""Let the sample helper be at a few venues, so that 「サポーター」 has times at once; whoever has shifts keeps them."""

import asyncio
import os
import sys
from collections.abc import Mapping

from sqlalchemy import select

from deploy.databases import time_of
from deploy.secrets import required
from services.booking.commands.shifts import AddShift, add_shift
from services.booking.queries.helpers import list_shifts
from services.booking.queries.own import find_own
from services.routing.tables import account
from shared.db import Database
from shared.tokens import Identity

# The account arrives at booking as an event, once the workers run.
ARRIVAL_TIMEOUT_S = 30.0
ARRIVAL_POLL_S = 0.1
SAMPLE_SHIFTS = (
    AddShift(venue="KOMINKAN", weekday=1, from_min=9 * 60, to_min=12 * 60),
    AddShift(venue="SHOGAI", weekday=2, from_min=13 * 60, to_min=16 * 60),
    AddShift(venue="SHUKAIJO", weekday=3, from_min=10 * 60, to_min=12 * 60),
    AddShift(venue="KOMINKAN", weekday=4, from_min=13 * 60, to_min=16 * 60),
    AddShift(venue="SHOGAI", weekday=5, from_min=9 * 60, to_min=12 * 60),
)


async def add_sample_shifts(municipality: str, login: str, environ: Mapping[str, str]) -> int:
    """Add them by the command that the page uses; return how many. Raises TimeoutError."""
    routing, booking = (
        Database(required(environ, f"CHOUDO_{service.upper()}_DATABASE_URL"), service=service)
        for service in ("routing", "booking")
    )
    try:
        async with routing.begin(municipality) as session:
            wanted = select(account.c.account_id).where(
                account.c.municipality == municipality, account.c.login == login
            )
            ref = (await session.execute(wanted)).scalar_one().hex
        await _wait_for_roster(booking, municipality, ref)
        helper = Identity(municipality=municipality, kind="helper", ref=ref, session_id="sample", roles=("helper",))
        now = await time_of(booking, environ)
        async with booking.begin(municipality) as session:
            if await list_shifts(session, municipality, ref):
                return 0
            for order in SAMPLE_SHIFTS:
                await add_shift(session, helper, order, now=now)
    finally:
        await routing.dispose()
        await booking.dispose()
    return len(SAMPLE_SHIFTS)


async def _wait_for_roster(booking: Database, municipality: str, ref: str) -> None:
    async with asyncio.timeout(ARRIVAL_TIMEOUT_S):
        while True:
            async with booking.begin(municipality) as session:
                if await find_own(session, municipality, ref):
                    return
            await asyncio.sleep(ARRIVAL_POLL_S)


if __name__ == "__main__":
    _, town, helper_login = sys.argv
    print(asyncio.run(add_sample_shifts(town, helper_login, os.environ)))
