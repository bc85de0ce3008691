"""`/quality`: how the town's procedures are used, how long they take, and what was made better, by 年度 and month."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import FromQuery
from litestar.response import Template

from services.routing.domain.quality import CHANNELS, FEWEST, OPINIONS, Kind, finished_months, fiscal_year, is_over
from services.routing.domain.quality_published import Published
from services.routing.pages.quality_wording import kind_name, month_name, within, year_name
from services.routing.pages.wording import CHANNEL_TITLES
from services.routing.queries.catalogue import procedure_names
from services.routing.queries.quality import find_first_month, list_improvements, list_published, list_voices
from shared.clock import jst_day
from shared.db import Database
from shared.web.i18n import translate
from shared.web.identity import PUBLIC
from shared.web.pages import page
from shared.web.town import Town

PATH = "/quality"
DATA_PATH = "/open-data/quality"
# It changes once a month; who looks a few minutes later sees what was written meanwhile.
CACHED = {"cache-control": "public, max-age=300", "vary": "Cookie"}
YEARS_MAX = 10
BAR_WIDTH = 100
# What is shown of everybody together; how many began is beside how many went on.
COURSE: tuple[Kind, ...] = ("started", "sent", "finished", "switched", "given_up", "spared")

Req = Request[Any, Any, Any]
Sorted = Mapping[tuple[str, Kind], Published]


@get(PATH, opt=PUBLIC)
async def show_quality(
    request: Req,
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    year: FromQuery[str] = "",
) -> Template:
    """One 年度: the finished months of it."""
    today = jst_day(now)
    async with db.begin(town.code) as session:
        first = await find_first_month(session, town.code)
        years = list_years(first, today)
        chosen = next((each for each in years if year[:4] == str(each)), years[0])
        published: Sorted = {(each.channel, each.kind): each for each in
                     await list_published(session, town.code, chosen, since=first, today=today)}  # fmt: skip
        voices = await list_voices(session, town.code, chosen)
        improvements = await list_improvements(session, town.code, chosen)
        names = await procedure_names(session, town.code) if is_over(chosen, today) else {}
    months = finished_months(chosen, today, first)
    uses = [_use(published, channel) for channel in CHANNELS]
    most = max((use["count"] for use in uses), default=0)
    shown = page(
        request,
        "quality.html",
        year=year_name(chosen),
        years=[{"href": f"{PATH}?year={each}", "label": year_name(each), "current": each == chosen} for each in years],
        is_over=is_over(chosen, today),
        uses=[use | {"width": use["count"] * BAR_WIDTH // most if most else 0} for use in uses],
        channels=[translate(CHANNEL_TITLES[channel]) for channel in CHANNELS],
        months=[
            {"name": month_name(month), "counts": [_of_month(published, channel, month) for channel in CHANNELS]}
            for month in reversed(months)
        ]
        if published
        else [],
        course=_rows(published, COURSE),
        opinions=_rows(published, OPINIONS),
        procedures=_procedures(published, names),
        voices=[{"month": month_name(each.month), "said": each.said, "answer": each.answer} for each in voices],
        improvements=[{"month": month_name(each.month), "said": each.said} for each in improvements],
        fewest=FEWEST,
        data_path=DATA_PATH,
    )
    shown.headers.update(CACHED)
    return shown


def list_years(first: date | None, today: date) -> list[int]:
    """The 年度 that there is something of, this one first."""
    this = fiscal_year(today)
    return list(range(this, max(fiscal_year(first) if first else this, this - YEARS_MAX + 1) - 1, -1))


def least(published: Published | None) -> tuple[int, bool]:
    """How many those that may be shown come to, and whether there are more."""
    if published is None:
        return 0, False
    total = published.months.total
    return (sum(published.months.shown.values()), True) if total is None and published.months.hidden else (
        sum(published.months.shown.values()) if total is None else total, False
    )  # fmt: skip


def _use(published: Sorted, channel: str) -> dict[str, Any]:
    finished, sent = published.get((channel, "finished")), published.get((channel, "sent"))
    count, is_least = least(finished)
    return {
        "name": translate(CHANNEL_TITLES[channel]),
        "count": count,
        "is_least": is_least,
        "sent_within": within(sent.took) if sent and sent.took else "",
        "finished_within": within(finished.took) if finished and finished.took else "",
    }


def _of_month(published: Sorted, channel: str, month: date) -> int | None:
    """How many were done; None: not shown."""
    found = published.get((channel, "finished"))
    return found.months.shown.get(month) if found else 0


def _rows(published: Sorted, kinds: Sequence[Kind]) -> list[dict[str, Any]]:
    return [
        {"name": kind_name(kind), "counts": [least(published.get((channel, kind))) for channel in CHANNELS]}
        for kind in kinds
        if any((channel, kind) in published for channel in CHANNELS)
    ]


def _procedures(published: Sorted, names: Mapping[str, tuple[str, str]]) -> list[dict[str, Any]]:
    """How often each procedure was done by each channel, those done most often first."""
    lines = [found.procedures if (found := published.get((channel, "finished"))) else None for channel in CHANNELS]
    codes = {code for line in lines if line for code in line.shown}
    rows = [
        {
            "name": names[code][0] if code in names else code,
            "counts": [line.shown.get(code) if line else 0 for line in lines],
        }
        for code in codes
    ]
    return sorted(rows, key=lambda row: (-sum(count or 0 for count in row["counts"]), row["name"]))
