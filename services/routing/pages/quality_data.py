"""`/open-data/quality`: the public figures as files, for everybody to use."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec
from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.response import Template

from services.routing.domain.quality import FEWEST
from services.routing.domain.quality_published import Published
from services.routing.pages.quality import CACHED, DATA_PATH, list_years
from services.routing.pages.quality_wording import KINDS
from services.routing.pages.wording import CHANNEL_TITLES
from services.routing.queries.catalogue import procedure_names
from services.routing.queries.quality import find_first_month, list_published
from shared.clock import jst_day
from shared.db import Database
from shared.web.identity import PUBLIC
from shared.web.pages import page
from shared.web.spreadsheets import CSV_TYPE, write_csv
from shared.web.town import Town

FILE_CACHED = {"cache-control": "public, max-age=300"}
OTHERS = "others"
NOT_SHOWN = f"{FEWEST}件未満など"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One number. `month` and `procedure` empty: of the whole 年度. `people` None: not shown.

    `procedure` is `others` for those that are not shown by themselves.
    """

    year: int
    month: str
    channel: str
    kind: str
    procedure: str = ""
    to_channel: str = ""
    step: str = ""
    people: int | None
    items: int | None = None
    half_within_min: int | None = None


class File(msgspec.Struct, frozen=True, kw_only=True):
    """What the JSON file says."""

    municipality: str
    fewest: int
    rows: list[Row]


# As the towns' open data begins (自治体標準オープンデータセット).
COLUMNS = (
    "全国地方公共団体コード", "地方公共団体名", "年度", "年月", "手続きコード", "手続き", "やり方コード", "やり方",
    "指標コード", "指標", "変えた先", "変えたときの段階", "件数", "備考", "書かずにすんだ項目の数",
    "半分の人がかかった時間の上限（分）",
)  # fmt: skip

Req = Request[Any, Any, Any]


@get(DATA_PATH, opt=PUBLIC)
async def show_quality_data(request: Req) -> Template:
    """What is in the files, and the files."""
    shown = page(
        request,
        "quality_data.html",
        path_of=DATA_PATH,
        columns=COLUMNS,
        kinds=[{"code": code, "name": name} for code, name in KINDS.items()],
        fewest=FEWEST,
    )
    shown.headers.update(CACHED)
    return shown


@get(f"{DATA_PATH}/figures.json", opt=PUBLIC)
async def get_quality_json(
    db: NamedDependency[Database], now: NamedDependency[datetime], town: NamedDependency[Town]
) -> Response[bytes]:
    """Every number that is published."""
    rows, _ = await _read(db, town, now)
    body = msgspec.json.format(msgspec.json.encode(File(municipality=town.code, fewest=FEWEST, rows=rows)))
    return Response(body, media_type="application/json", headers=FILE_CACHED)


@get(f"{DATA_PATH}/figures.csv", opt=PUBLIC)
async def get_quality_csv(
    db: NamedDependency[Database], now: NamedDependency[datetime], town: NamedDependency[Town]
) -> Response[bytes]:
    """The same as a table."""
    rows, names = await _read(db, town, now)
    lines = []
    for row in rows:
        name = names[row.procedure][0] if row.procedure in names else "その他" if row.procedure == OTHERS else ""
        lines.append((
            town.code, town.name_ja, row.year, row.month, row.procedure, name, row.channel,
            CHANNEL_TITLES[row.channel], row.kind, KINDS[next(kind for kind in KINDS if kind == row.kind)],
            row.to_channel, row.step, row.people, NOT_SHOWN if row.people is None else "", row.items,
            row.half_within_min,
        ))  # fmt: skip
    named = {"content-disposition": f'attachment; filename="{town.code}_quality.csv"'}
    return Response(write_csv(COLUMNS, lines), media_type=CSV_TYPE, headers=FILE_CACHED | named)


def rows_of(year: int, published: Published) -> Iterator[Row]:
    """One kind of one channel in a 年度: its months, its total, its procedures, and its switches."""
    whole = Row(year=year, month="", channel=published.channel, kind=published.kind, people=None)
    change = msgspec.structs.replace
    line = published.months
    for month in sorted({*line.shown, *line.hidden}):
        yield change(
            whole,
            month=f"{month:%Y-%m}",
            people=line.shown.get(month),
            items=published.items_by_month.get(month),
            half_within_min=published.took_by_month.get(month),
        )
    yield change(whole, people=line.total, half_within_min=published.took)
    for code, people in sorted(published.procedures.shown.items()):
        took = published.took_by_procedure.get(code)
        yield change(whole, procedure=code, people=people, half_within_min=took)
    if published.procedures.rest:
        yield change(whole, procedure=OTHERS, people=published.procedures.rest)
    for (to_channel, step), people in sorted(published.moves.shown.items()):
        yield change(whole, to_channel=to_channel, step=step, people=people)
    if published.kind == "switched" and published.moves.rest:
        yield change(whole, to_channel=OTHERS, people=published.moves.rest)


async def _read(db: Database, town: Town, now: datetime) -> tuple[list[Row], dict[str, tuple[str, str]]]:
    today = jst_day(now)
    async with db.begin(town.code) as session:
        first = await find_first_month(session, town.code)
        rows = [
            row
            for year in list_years(first, today)
            for published in await list_published(session, town.code, year, since=first, today=today)
            for row in rows_of(year, published)
        ]
        return rows, await procedure_names(session, town.code)
