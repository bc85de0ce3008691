"""`/booking/now`: how long people wait at the counters, for everybody; and the same as open data. No persons."""

from datetime import datetime
from typing import Any

import msgspec
from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.response import Template

from services.booking.domain.hours import OpenState
from services.booking.queries.board import PublicWait, estimate_public_waits, list_discreet_counters
from services.booking.queries.open_now import OpenCounter, list_open_counters
from shared.clock import JST, jst_day
from shared.db import Database
from shared.shared_reads import SharedReads
from shared.web.identity import PUBLIC
from shared.web.pages import page
from shared.web.places import counter_label
from shared.web.spreadsheets import CSV_TYPE, write_csv
from shared.web.town import Town
from shared.web.town_texts import town_text

PATH = "/booking/now"
CACHED = {"cache-control": "public, max-age=15"}
COLUMNS = (
    "全国地方公共団体コード", "地方公共団体名", "窓口コード", "窓口番号", "窓口名", "場所", "状態", "今日の終了時刻",
    "混み具合", "待ち人数（幅）", "待ち時間のめやす（分）", "時点",
)  # fmt: skip
# Of the file, which is Japanese as the other open data is.
STATES: dict[OpenState, str] = {
    "before": "開始前", "open": "受付中", "break": "休憩中", "over": "終了", "closed": "休み",
}  # fmt: skip
LAMPS = {"quiet": "空いている", "busy": "少し混んでいる", "full": "混んでいる"}

Req = Request[Any, Any, Any]


class Waits(msgspec.Struct, frozen=True):
    """All counters of a town that are told to everybody, and the wait at each that is open."""

    counters: list[tuple[OpenCounter, PublicWait | None]]
    as_of: datetime


@get(PATH, opt=PUBLIC)
async def get_now_page(
    request: Req,
    db: NamedDependency[Database],
    reads: NamedDependency[SharedReads],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
) -> Template:
    """Lamp and wait per counter, open or closed today and until when, and the way to a ticket."""
    found = await read_waits(db, reads, town, now)
    return page(
        request,
        "now.html",
        as_of=found.as_of,
        counters=[
            {
                "label": counter_label(each.counter.number, each.counter.name_ja),
                "place": town_text(each.counter.place_ja),
                "now": each.now,
                "wait": wait,
            }
            for each, wait in found.counters
        ],
    )


@get(f"{PATH}/waits.csv", opt=PUBLIC)
async def get_waits_csv(
    db: NamedDependency[Database],
    reads: NamedDependency[SharedReads],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
) -> Response[bytes]:
    """As a table."""
    found = await read_waits(db, reads, town, now)
    rows = []
    as_of = found.as_of.astimezone(JST).isoformat(timespec="seconds")
    for each, wait in found.counters:
        closes_at = f"{each.now.closes_at.astimezone(JST):%H:%M}" if each.now.closes_at else ""
        told = (LAMPS[wait.lamp], wait.waiting, wait.wait_min) if wait else ("", "", "")
        counter = each.counter
        rows.append((
            town.code, town.name_ja, counter.code, counter.number, counter.name_ja, counter.place_ja,
            STATES[each.now.state], closes_at, *told, as_of,
        ))  # fmt: skip
    named = {"content-disposition": f'attachment; filename="{town.code}_waits.csv"'}
    return Response(write_csv(COLUMNS, rows), media_type=CSV_TYPE, headers=CACHED | named)


async def read_waits(db: Database, reads: SharedReads, town: Town, now: datetime) -> Waits:
    """One read for all who ask at once. Counters where only discreet things are done are left out."""

    async def work() -> Waits:
        async with db.begin(town.code) as session:
            discreet = await list_discreet_counters(session, town.code)
            counters = await list_open_counters(session, town.code, now=now)
            waits = await estimate_public_waits(session, town.code, jst_day(now), now=now)
        shown = sorted((each for code, each in counters.items() if code not in discreet), key=_by_number)
        return Waits(
            [(each, waits.get(each.counter.code) if each.now.state in ("open", "break") else None) for each in shown],
            now,
        )

    return await reads.read(("waits", town.code), work)


def _by_number(each: OpenCounter) -> tuple[bool, int, str]:
    number = each.counter.number
    is_number = number.isascii() and number.isdigit()
    return (not is_number, int(number) if is_number else 0, each.counter.code)
