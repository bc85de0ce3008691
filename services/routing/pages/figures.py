"""`/office/figures`: what once-only spares the town's people, by month, procedure and channel; also as a file."""

from datetime import date, datetime, timedelta
from typing import Any

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromQuery
from litestar.response import Template

from services.routing.domain.figures import SECONDS_AN_ITEM, Figure, minutes_saved, reused_percent, total
from services.routing.pages.wording import CHANNEL_TITLES
from services.routing.queries.catalogue import procedure_names
from services.routing.queries.figures import list_figures
from shared.clock import jst_day
from shared.db import Database
from shared.tokens import Identity
from shared.web.i18n import gettext as _
from shared.web.i18n import translate
from shared.web.identity import require_role
from shared.web.pages import page
from shared.web.spreadsheets import CSV_TYPE, write_csv

FIGURES_PATH = "/office/figures"
MONTHS = 12
MONTH_LENGTH = len("2026-11")
COPY_HEADERS = (
    "全国地方公共団体コード", "年月", "手続きコード", "手続き", "やり方",
    "入力した項目", "再利用した項目", "使わないと答えた項目", "変わったので確かめた項目",
)  # fmt: skip
MANAGER = [require_role("manager")]

Req = Request[Any, Any, Any]


@get(FIGURES_PATH, guards=MANAGER)
async def show_figures(
    request: Req,
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    month: FromQuery[str] = "",
) -> Template:
    """A month's figures, with the assumption behind the estimate."""
    first = _month(month, jst_day(now))
    figures, names = await _read(db, identity, first)
    whole = total(figures)
    return page(
        request,
        "figures.html",
        months=[
            {"value": f"{day:%Y-%m}", "label": _month_name(day), "current": day == first}
            for day in _months(jst_day(now))
        ],
        month=_month_name(first),
        rows=[_row(figure, names) for figure in figures],
        total=whole,
        percent=reused_percent(whole),
        minutes=minutes_saved(whole.reused),
        seconds_an_item=SECONDS_AN_ITEM,
        copy=f"{FIGURES_PATH}.csv?month={first:%Y-%m}",
    )


@get(FIGURES_PATH + ".csv", guards=MANAGER)
async def copy_figures(
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    month: FromQuery[str] = "",
) -> Response[bytes]:
    """The same for a spreadsheet."""
    first = _month(month, jst_day(now))
    figures, names = await _read(db, identity, first)
    lines = []
    for figure in figures:
        name = names[figure.procedure][0] if figure.procedure in names else ""
        which = (
            identity.municipality,
            f"{first:%Y-%m}",
            figure.procedure,
            name,
            CHANNEL_TITLES.get(figure.channel, ""),
        )
        lines.append((*which, figure.collected, figure.reused, figure.declined, figure.stale))
    return Response(
        write_csv(COPY_HEADERS, lines),
        media_type=CSV_TYPE,
        headers={"content-disposition": f'attachment; filename="once-only-{first:%Y-%m}.csv"'},
    )


async def _read(db: Database, identity: Identity, first: date) -> tuple[list[Figure], dict[str, tuple[str, str]]]:
    async with db.begin(identity.municipality) as session:
        figures = await list_figures(session, identity.municipality, first, _next_month(first))
        return figures, await procedure_names(session, identity.municipality)


def _row(figure: Figure, names: dict[str, tuple[str, str]]) -> dict[str, Any]:
    percent = reused_percent(figure)
    return {
        "name": names[figure.procedure][0] if figure.procedure in names else _("手続きによらないもの"),
        "channel": translate(CHANNEL_TITLES[figure.channel]) if figure.channel in CHANNEL_TITLES else "",
        "collected": figure.collected,
        "reused": figure.reused,
        "percent": f"{percent}%" if percent is not None else "",
        "declined": figure.declined,
        "stale": figure.stale,
    }


def _month(typed: str, today: date) -> date:
    """The month asked for, if it is one of those shown; else this one."""
    months = _months(today)
    return next((day for day in months if typed[:MONTH_LENGTH] == f"{day:%Y-%m}"), months[0])


def _months(today: date) -> list[date]:
    months = [today.replace(day=1)]
    while len(months) < MONTHS:
        months.append((months[-1] - timedelta(days=1)).replace(day=1))
    return months


def _next_month(first: date) -> date:
    return (first + timedelta(days=31)).replace(day=1)


def _month_name(first: date) -> str:
    return _("%(year)s年%(month)s月", year=first.year, month=first.month)
