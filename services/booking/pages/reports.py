"""`/counter/reports`: what the days at the counters were like, and what next week may be like; also as files."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import msgspec
from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromQuery
from litestar.response import Template
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.domain.calendar import days_between
from services.booking.domain.forecast import HISTORY_DAYS, WEEKS, Expected, forecast
from services.booking.pages.report_files import XLSX_TYPE, Sheet, as_csv, as_file, as_xlsx
from services.booking.pages.report_wording import BAR_WIDTH, came_by_label, draw_line, draw_lines, sureness_label
from services.booking.pages.wording import counter_label
from services.booking.queries.reports import DAYS_MAX, By, Report, ReportLine, read_history, read_report
from services.booking.queries.rules import get_rules, list_closed_days
from services.booking.queries.slots import list_counters, list_procedures
from shared.clock import jst_day
from shared.db import Database
from shared.web.i18n import gettext as _
from shared.web.identity import require_role
from shared.web.pages import page
from shared.web.spreadsheets import CSV_TYPE
from shared.web.templating import jst_date
from shared.web.town import Town

GUARDS = [require_role("coordinator", "manager")]
ROOT = "/counter/reports"
USUAL_DAYS = 28
# More days than that are shown month by month; the files have every day.
DAYS_SHOWN_MAX = 35
FORECAST_DAYS = 7
GROUPS: tuple[By, ...] = ("day", "counter", "procedure", "came_by")

Req = Request[Any, Any, Any]


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """The days and the grouping of a report. `is_refused`: what was typed is no span of days."""

    first: date
    last: date
    by: By
    is_refused: bool = False

    def href(self, path: str, **changes: str) -> str:
        """The address of this report, with something else in it."""
        asked = {"first": self.first.isoformat(), "last": self.last.isoformat(), "by": self.by}
        return f"{path}?{urlencode(asked | changes)}"


class Names(msgspec.Struct, frozen=True, kw_only=True):
    """What counters and procedures are called, by code, and why the town was closed on some days."""

    counters: dict[str, str]
    procedures: dict[str, str]
    closed: dict[date, str]


@get(ROOT, guards=GUARDS)
async def get_reports(
    request: Req,
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    first: FromQuery[str] = "",
    last: FromQuery[str] = "",
    by: FromQuery[str] = "",
) -> Template:
    """The chosen days by day, counter, procedure or way of coming, and the forecast."""
    today = jst_day(now)
    asked = read_asked(first, last, by, today=today)
    grouping: By = asked.by
    if asked.by == "day" and (asked.last - asked.first).days >= DAYS_SHOWN_MAX:
        grouping = "month"
    async with db.begin(town.code) as session:
        report, names, promise_min = await _read(session, town.code, asked, grouping, today=today)
        expected, by_counter = await _forecast(session, town.code, today=today)
    lines = list_lines(report, grouping, asked, names)
    return page(
        request,
        "reports.html",
        status=422 if asked.is_refused else 200,
        asked=asked,
        root=ROOT,
        days_max=DAYS_MAX,
        spans=[
            {"label": label, "href": asked.href(ROOT, first=start.isoformat(), last=today.isoformat())}
            for label, start in _spans(today)
        ],
        groups=[{"value": group, "label": group_label(group)} for group in GROUPS],
        head=group_label(grouping),
        has_places=grouping in ("day", "month", "counter"),
        promise_min=promise_min,
        whole=draw_line("", report.whole, 0),
        lines=draw_lines(lines),
        csv=asked.href(f"{ROOT}/report.csv"),
        xlsx=asked.href(f"{ROOT}/report.xlsx"),
        forecast=draw_forecast(expected, names.closed),
        forecast_counters=[
            {
                "name": names.counters.get(code, code),
                "days": [None if each.day in names.closed else each.people for each in found],
            }
            for code, found in by_counter.items()
        ],
        weeks=WEEKS,
    )


@get(f"{ROOT}/report.csv", guards=GUARDS)
async def get_report_csv(
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    first: FromQuery[str] = "",
    last: FromQuery[str] = "",
    by: FromQuery[str] = "",
) -> Response[bytes]:
    """The table as a file: UTF-8 with its mark, so that a spreadsheet reads it."""
    today = jst_day(now)
    asked = read_asked(first, last, by, today=today)
    async with db.begin(town.code) as session:
        report, names, _promise = await _read(session, town.code, asked, asked.by, today=today)
    sheet = _sheet(report, asked.by, asked, names)
    return as_file(as_csv(sheet), CSV_TYPE, f"counter-{asked.by}-{asked.first}-{asked.last}.csv")


@get(f"{ROOT}/report.xlsx", guards=GUARDS)
async def get_report_xlsx(
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    first: FromQuery[str] = "",
    last: FromQuery[str] = "",
    by: FromQuery[str] = "",
) -> Response[bytes]:
    """A workbook with a sheet for each grouping, and one for the forecast."""
    today = jst_day(now)
    asked = read_asked(first, last, by, today=today)
    read = []
    async with db.begin(town.code) as session:
        for group in GROUPS:
            report, names, _promise = await _read(session, town.code, asked, group, today=today)
            read.append((report, group, names))
        expected, _counters = await _forecast(session, town.code, today=today)
    rows = [
        (each.day.isoformat(), each.people, each.low, each.high, each.days, round(each.factor, 2))
        for each in expected
        if each.day not in read[0][2].closed
    ]
    sheets = [_sheet(report, group, asked, names) for report, group, names in read]
    headers = (_("日"), _("見込みの人数"), _("少ないとき"), _("多いとき"), _("もとにした日数"), _("月末の倍率"))
    sheets.append(Sheet(name=_("来週の見込み"), headers=headers, rows=rows))
    return as_file(as_xlsx(sheets), XLSX_TYPE, f"counter-{asked.first}-{asked.last}.xlsx")


def read_asked(first: str, last: str, by: str, *, today: date) -> Asked:
    """The span that was typed, up to `DAYS_MAX` days of the past; else the last four weeks."""
    group: By = next((each for each in GROUPS if each == by), "day")
    usual = Asked(first=today - timedelta(days=USUAL_DAYS - 1), last=today, by=group)
    if not first and not last:
        return usual
    try:
        start, end = date.fromisoformat(first), date.fromisoformat(last)
    except ValueError:
        return msgspec.structs.replace(usual, is_refused=True)
    if not (start <= end <= today and (end - start).days < DAYS_MAX):
        return msgspec.structs.replace(usual, is_refused=True)
    return Asked(first=start, last=end, by=group)


def list_lines(report: Report, by: By, asked: Asked, names: Names) -> list[tuple[str, ReportLine | None]]:
    """The lines with their names; every day of the span, also one without anything (None)."""
    if by == "day":
        return [
            (_day_label(day, names), report.lines.get(day.isoformat())) for day in days_between(asked.first, asked.last)
        ]
    if by == "month":
        months = dict.fromkeys(f"{day:%Y-%m}" for day in days_between(asked.first, asked.last))
        return [(_month_label(month), report.lines.get(month)) for month in months]
    named = {"counter": names.counters, "procedure": names.procedures}.get(by, {})
    return [
        (came_by_label(key) if by == "came_by" else named.get(key, key), line) for key, line in report.lines.items()
    ]


def group_label(by: By) -> str:
    """What stands above the first column."""
    return {
        "day": _("日"),
        "month": _("月"),
        "counter": _("窓口"),
        "procedure": _("手続き"),
        "came_by": _("来かた"),
    }[by]


def draw_forecast(expected: Sequence[Expected], closed: dict[date, str]) -> list[dict[str, Any]]:
    """The days to come; on those that are closed, nobody is expected."""
    most = max((each.high or 0 for each in expected), default=0)
    return [
        {
            "day": jst_date(each.day, year=False),
            "closed": closed.get(each.day),
            "people": each.people,
            "low": each.low,
            "high": each.high,
            "days": each.days,
            "factor": f"{each.factor:.2f}",
            "sureness": sureness_label(each.sureness),
            "width": (each.people or 0) * BAR_WIDTH // most if most else 0,
            "width_high": (each.high or 0) * BAR_WIDTH // most if most else 0,
        }
        for each in expected
    ]


async def _read(
    session: AsyncSession, municipality: str, asked: Asked, by: By, *, today: date
) -> tuple[Report, Names, int]:
    rules = await get_rules(session, municipality)
    promise_min = rules.queue.promise_min
    report = await read_report(session, municipality, asked.first, asked.last, by, promise_min=promise_min, today=today)
    days = sorted({*days_between(asked.first, asked.last), *days_between(today, today + timedelta(days=FORECAST_DAYS))})
    names = Names(
        counters={
            each.code: counter_label(each.number, each.name_ja)
            for each in (await list_counters(session, municipality)).values()
        },
        procedures={each.code: each.name_ja for each in await list_procedures(session, municipality)},
        closed=await list_closed_days(session, municipality, rules, days),
    )
    return report, names, promise_min


async def _forecast(
    session: AsyncSession, municipality: str, *, today: date
) -> tuple[list[Expected], dict[str, list[Expected]]]:
    """The next seven days of the town, and of each counter that anybody came to."""
    history = await read_history(session, municipality, today - timedelta(days=HISTORY_DAYS), today - timedelta(days=1))
    days = [today + timedelta(days=number) for number in range(1, FORECAST_DAYS + 1)]
    whole: dict[date, int] = {}
    for found in history.values():
        for day, people in found.items():
            whole[day] = whole.get(day, 0) + people
    # A day on which others came and nobody here is a day with nobody.
    by_counter = {
        code: forecast({day: found.get(day, 0) for day in whole}, days, today=today)
        for code, found in sorted(history.items())
    }
    return forecast(whole, days, today=today), by_counter


def _sheet(report: Report, by: By, asked: Asked, names: Names) -> Sheet:
    lines = list_lines(report, by, asked, names)
    headers = (
        group_label(by),
        _("お呼びした人数"),
        _("待ち時間・半分の人（秒）"),
        _("待ち時間・10人に9人（秒）"),
        _("約束より長く待った人"),
        _("待ち時間の見込みのずれ（秒）"),
        _("呼んでから席まで（秒）"),
        _("対応（秒）"),
        _("対応した人数"),
        _("1窓口1時間の人数"),
        _("来る予定と来た人数"),
        _("来なかった人"),
        _("席"),
        _("使われた席"),
    )
    return Sheet(name=group_label(by), headers=headers, rows=[_cells(name, line) for name, line in lines])


def _cells(name: str, line: ReportLine | None) -> tuple[Any, ...]:
    if line is None:
        return (name, *[None] * 13)
    per_hour = None if line.per_hour is None else round(line.per_hour, 1)
    return (
        name, line.waits, _whole(line.wait_p50_s), _whole(line.wait_p90_s), line.late, _whole(line.told_off_s),
        _whole(line.walk_p50_s), _whole(line.serve_p50_s), line.handled,
        per_hour, line.people, line.no_show, line.places, line.taken,
    )  # fmt: skip


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)


def _day_label(day: date, names: Names) -> str:
    label = jst_date(day, year=False)
    return f"{label} {names.closed[day]}" if day in names.closed else label


def _month_label(month: str) -> str:
    year, number = month.split("-")
    return _("%(year)s年%(month)s月", year=year, month=int(number))


def _spans(today: date) -> list[tuple[str, date]]:
    return [
        (_("今日"), today),
        (_("7日"), today - timedelta(days=6)),
        (_("28日"), today - timedelta(days=USUAL_DAYS - 1)),
        (_("1年"), today - timedelta(days=DAYS_MAX - 2)),
    ]
