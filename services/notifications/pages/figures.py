"""`/notices/figures`: what became of the notices by day and way, and how soon staff reached the rest; also as CSV."""

from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import urlencode

import msgspec
from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromQuery
from litestar.response import Template

from services.notifications.pages.notice_wording import SAY, span_words, way_name
from services.notifications.pages.notices import LOG, MANAGER
from services.notifications.queries_of_figures import DAYS_MAX, Figures, list_figures, read_done_p50_s
from services.notifications.queries_of_unreached import count_unreached
from shared.clock import jst_day
from shared.db import Database
from shared.web.i18n import gettext as _
from shared.web.pages import page
from shared.web.spreadsheets import CSV_TYPE, write_csv
from shared.web.templating import jst_date
from shared.web.town import Town

FIGURES = f"{LOG}/figures"
USUAL_DAYS = 28
COUNTS = ("made", "sent", "delivered", "not_delivered", "unknown", "undeliverable", "again", "opened", "calls", "done")
# The last of them, which say what staff did.
OF_STAFF = 3
MINUTE_S = 60

Req = Request[Any, Any, Any]


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """The days that are looked at. `is_refused`: what was typed is no span of days."""

    first: date
    last: date
    is_refused: bool = False


@get(FIGURES, guards=MANAGER)
async def get_figures(
    request: Req,
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    first: FromQuery[str] = "",
    last: FromQuery[str] = "",
) -> Template:
    """The whole, by way, and by day."""
    span = read_span(first, last, today=jst_day(now))
    async with db.begin(town.code) as session:
        figures = await list_figures(session, town.code, span.first, span.last)
        done_p50_s = await read_done_p50_s(session, town.code, span.first, span.last)
        counts = await count_unreached(session, town.code)
    asked = urlencode({"first": span.first.isoformat(), "last": span.last.isoformat()})
    return page(
        request,
        "notice_figures.html",
        status=422 if span.is_refused else 200,
        log=LOG,
        action=FIGURES,
        span=span,
        days_max=DAYS_MAX,
        whole=_sum(figures),
        done_p50=span_words(timedelta(seconds=done_p50_s)) if done_p50_s is not None else "",
        counts=counts,
        tables=_tables(figures),
        csv=f"{FIGURES}.csv?{asked}",
        say=SAY,
    )


@get(f"{FIGURES}.csv", guards=MANAGER)
async def get_figures_csv(
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    first: FromQuery[str] = "",
    last: FromQuery[str] = "",
) -> Response[bytes]:
    """Each way of each day as a line: UTF-8 with its mark, so that a spreadsheet reads it."""
    span = read_span(first, last, today=jst_day(now))
    async with db.begin(town.code) as session:
        figures = await list_figures(session, town.code, span.first, span.last)
    heads = [_("日"), _("送り方"), *_headers(), _("連絡するまでの時間（分、半分の人）")]
    rows = [
        (
            each.day.isoformat(),
            way_name(each.way),
            *_counts(each),
            "" if each.done_p50_s is None else round(each.done_p50_s / MINUTE_S, 1),
        )
        for each in figures
    ]
    name = f"notices-{span.first}-{span.last}.csv"
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return Response(write_csv(heads, rows), media_type=CSV_TYPE, headers=headers)


def read_span(first: str, last: str, *, today: date) -> Span:
    """The span that was typed, up to `DAYS_MAX` days of the past; else the last four weeks."""
    usual = Span(first=today - timedelta(days=USUAL_DAYS - 1), last=today)
    if not first and not last:
        return usual
    try:
        start, end = date.fromisoformat(first), date.fromisoformat(last)
    except ValueError:
        return msgspec.structs.replace(usual, is_refused=True)
    if not (start <= end <= today and (end - start).days < DAYS_MAX):
        return msgspec.structs.replace(usual, is_refused=True)
    return Span(first=start, last=end)


class Table(NamedTuple):
    """One table of the page."""

    caption: str
    headers: list[str]
    rows: list[tuple[str | int, ...]]


def _headers() -> list[str]:
    return [
        _("作った数"),
        _("送った"),
        _("届いた"),
        _("届かなかった"),
        _("わからない"),
        _("届けられない"),
        _("もう一度送った"),
        _("職員が連絡する人"),
        _("電話を選んだ人"),
        _("連絡した"),
    ]


def _counts(each: Figures) -> tuple[int, ...]:
    return tuple(getattr(each, name) for name in COUNTS)


def _sum(figures: Iterable[Figures]) -> dict[str, int]:
    rows = [_counts(each) for each in figures]
    return {name: sum(row[place] for row in rows) for place, name in enumerate(COUNTS)}


def _tables(figures: Sequence[Figures]) -> list[Table]:
    """What was sent and what staff did, by way and by day: together they are wider than a tablet in large letters."""
    by_way = _rows(figures, lambda each: each.way, way_name)
    by_day = _rows(figures, lambda each: each.day, lambda day: jst_date(day, year=False))
    heads = _headers()
    sent, staff = slice(0, len(heads) - OF_STAFF), slice(len(heads) - OF_STAFF, None)
    return [
        Table(caption, [first, *heads[part]], [(row[0], *row[1:][part]) for row in rows])
        for caption, first, rows, part in (
            (_("送り方ごとの、お知らせの数"), _("送り方"), by_way, sent),
            (_("日ごとの、お知らせの数"), _("日"), by_day, sent),
            (_("送り方ごとの、職員が連絡する人の数"), _("送り方"), by_way, staff),
            (_("日ごとの、職員が連絡する人の数"), _("日"), by_day, staff),
        )
    ]


def _rows(
    figures: Sequence[Figures], key: Callable[[Figures], Any], name: Callable[[Any], str]
) -> list[tuple[str | int, ...]]:
    """A row for each of what `key` tells apart."""
    groups = sorted({key(each) for each in figures})
    return [(name(group), *_sum(each for each in figures if key(each) == group).values()) for group in groups]
