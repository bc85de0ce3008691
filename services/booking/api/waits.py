"""How long people wait at the counters, as open data. How many wait is told in bands: small numbers are nobody's."""

from datetime import datetime
from typing import Literal

import msgspec
from litestar import get
from litestar.di import NamedDependency

from services.booking.api import examples
from services.booking.domain.hours import OpenState
from services.booking.pages.now import read_waits
from shared.db import Database
from shared.shared_reads import SharedReads
from shared.web.documented import documented
from shared.web.identity import PUBLIC
from shared.web.town import Town


class WaitAtCounter(msgspec.Struct, frozen=True, kw_only=True):
    """A counter now. `lamp`, `waiting` (a band, as ``1-4``) and `wait_min` are null while it is not open."""

    counter: str
    state: OpenState
    closes_at: datetime | None
    lamp: Literal["quiet", "busy", "full"] | None
    waiting: str | None
    wait_min: int | None


class WaitsNow(msgspec.Struct, frozen=True, kw_only=True):
    """All counters that are told to everybody, at the time `as_of`."""

    counters: list[WaitAtCounter]
    as_of: datetime


WAITS_EXAMPLE = WaitsNow(
    counters=[
        WaitAtCounter(
            counter=examples.COUNTER,
            state="open",
            closes_at=examples.NOW,
            lamp="busy",
            waiting="1-4",
            wait_min=15,
        )
    ],
    as_of=examples.NOW,
)


@get("/booking/api/waits", tags=["the line"], opt=PUBLIC | documented(returns=WAITS_EXAMPLE))
async def get_waits(
    db: NamedDependency[Database],
    reads: NamedDependency[SharedReads],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
) -> WaitsNow:
    """Lamp and wait of every counter, and until when it is open today."""
    found = await read_waits(db, reads, town, now)
    return WaitsNow(
        counters=[
            WaitAtCounter(
                counter=each.counter.code,
                state=each.now.state,
                closes_at=each.now.closes_at,
                lamp=wait.lamp if wait else None,
                waiting=wait.waiting if wait else None,
                wait_min=wait.wait_min if wait else None,
            )
            for each, wait in found.counters
        ],
        as_of=found.as_of,
    )
