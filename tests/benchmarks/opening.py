"""Opening rules → slots and places: 20 counters for 90 days, the next night, and a changed rule of one counter."""

import time as clock
from collections.abc import Awaitable, Callable
from datetime import date, datetime, time, timedelta
from functools import partial
from statistics import median

from services.booking.commands.horizon import open_horizon
from services.booking.commands.opening import PublishVersion, load_opening_rules, publish_version, rule_of_pack
from services.booking.domain.opening import Version
from shared.clock import jst_day, utc_now
from shared.db import Database
from shared.tokens import Identity
from shared.town_pack import BookingRules, Counter, NoticeRules, Opening, TownFacts, TownPack
from tests.benchmarks.figures import Figure, make_figure
from tests.benchmarks.house import House

# Towns that nobody asks for: each is opened once.
TOWNS = ("990001", "990002", "990003")
COPY = "990009"
COUNTERS, DAYS = 20, 90
TARGET_S = 2

# The same rows, written by two statements without any rule, in one transaction.
_COPY = f"""
    BEGIN;
    INSERT INTO booking.slot (municipality, slot_id, counter, starts_at, ends_at, capacity)
    SELECT '{COPY}', slot_id, counter, starts_at, ends_at, capacity FROM booking.slot WHERE municipality = '{TOWNS[0]}';
    INSERT INTO booking.place (municipality, slot_id, place_no, capacity, audience, changed_at)
    SELECT '{COPY}', slot_id, place_no, capacity, audience, changed_at FROM booking.place
    WHERE municipality = '{TOWNS[0]}';
    COMMIT;
"""
_PLACES = "SELECT count(*) AS n FROM booking.place WHERE municipality = $1"


def make_pack(code: str) -> TownPack:
    """Counters that are open on weekdays, in half hours with two places, one of them for staff."""
    codes = tuple(str(number) for number in range(COUNTERS))
    return TownPack(
        town=TownFacts(code, "町", "マチ", "Town", "0463-71-3311", "1", (f"town{code}.localhost",)),
        counters=tuple(Counter(each, each, "窓口", "総合", "1階", 30, 2, 1) for each in codes),
        opening=(Opening(codes, (1, 2, 3, 4, 5), time(8, 30), time(17, 15), time(12), time(13)),),
        closures=(),
        booking=BookingRules(horizon_days=DAYS),
        notices=NoticeRules(),
        procedures=(),
    )


async def measure(house: House) -> list[Figure]:
    """Seconds and milliseconds, beside the time that the bare rows take."""
    db = Database(house.environ["CHOUDO_BOOKING_DATABASE_URL"], service="booking")
    now = utc_now()
    opened = [await _timed(partial(_open, db, code, now)) for code in TOWNS]
    places = (await house.rows(_PLACES, TOWNS[0]))[0]["n"]
    bare = await _timed(partial(house.execute, _COPY))
    first = jst_day(now) + timedelta(days=1)
    changes = [await _timed(partial(_change, db, code, first, now)) for code in TOWNS]
    nights = [await _timed(partial(_extend, db, TOWNS[0], now + timedelta(days=day))) for day in range(1, 4)]
    await db.dispose()
    await house.settle()
    took = median(opened)
    name = f"{DAYS} days of {COUNTERS} counters ({places} places)"
    return [
        make_figure("opening", name, took, "s", f"≤ {TARGET_S} s", reference=bare,
                    reference_name="the same rows by two statements", met=took <= TARGET_S),
        make_figure("opening", "the night after: one day more", median(nights) * 1_000, "ms", ""),
        make_figure("opening", "one counter's rule changed, from tomorrow on", median(changes) * 1_000, "ms", "",
                    note="Medians of three."),
    ]  # fmt: skip


async def _open(db: Database, code: str, now: datetime) -> None:
    async with db.begin(code) as session:
        await load_opening_rules(session, make_pack(code), now=now)


async def _extend(db: Database, code: str, now: datetime) -> None:
    async with db.begin(code) as session:
        await open_horizon(session, code, now=now)


async def _change(db: Database, code: str, first: date, now: datetime) -> None:
    actor = Identity(municipality=code, kind="staff", ref="bench", session_id="bench", roles=("manager",))
    pack = make_pack(code)
    hours = Opening(("7",), (1, 2, 3, 4, 5), time(9), time(16))
    new = Version(valid_from=first, rule=rule_of_pack(pack.counters[7], [hours]))
    async with db.begin(code) as session:
        await publish_version(session, actor, PublishVersion(counter="7", new=new, seen=1), now=now)


async def _timed(work: Callable[[], Awaitable[None]]) -> float:
    began = clock.perf_counter()
    await work()
    return clock.perf_counter() - began
