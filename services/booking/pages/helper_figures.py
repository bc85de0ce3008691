"""`/helpers/figures`: what helping came to in a month, and at which step of an online procedure people get stuck."""

from datetime import date, datetime, timedelta
from typing import Any

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromQuery
from litestar.response import Template
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.domain.helper_figures import SMALL, published
from services.booking.pages.coordinator_wording import load_label, step_label, tabs
from services.booking.pages.report_files import Sheet, as_csv, as_file
from services.booking.queries.helper_figures import HelperMonth, Stuck, next_month, read_month
from services.booking.queries.helpers import list_procedure_names
from shared.clock import jst_day
from shared.db import Database
from shared.web.i18n import gettext as _
from shared.web.identity import require_role
from shared.web.pages import page
from shared.web.spreadsheets import CSV_TYPE
from shared.web.templating import duration
from shared.web.town import Town

GUARDS = [require_role("coordinator", "manager")]
ROOT = "/helpers/figures"
EARLIEST = date(2020, 1, 1)

Req = Request[Any, Any, Any]


@get(ROOT, guards=GUARDS)
async def get_helper_figures(
    request: Req,
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    month: FromQuery[str] = "",
) -> Template:
    """A month, with the one before and after it."""
    today = jst_day(now)
    first = read_month_start(month, today=today)
    before, after = (first - timedelta(days=1)).replace(day=1), next_month(first)
    async with db.begin(town.code) as session:
        found = await read_month(session, town.code, first)
        names = await list_procedure_names(session, town.code)
    return page(
        request,
        "helper_figures.html",
        tabs=tabs(ROOT),
        month=first,
        before=_href(before) if before >= EARLIEST else None,
        after=_href(after) if after <= today else None,
        found=found,
        match_p50=_minutes(found.match_p50_min),
        match_p90=_minutes(found.match_p90_min),
        hours=round(found.minutes / 60, 1),
        topics=[(names.get(each.code, each.code), each.count) for each in found.topics],
        stuck=[
            (f"{names.get(each.procedure, each.procedure)}・{step_label(each.step)}", each.helper, each.counter)
            for each in found.stuck
        ],
        load=[(load_label(number), count) for number, count in enumerate(found.load)],
        small=SMALL,
        csv=f"{ROOT}/month.csv?month={first:%Y-%m}",
    )


@get(f"{ROOT}/month.csv", guards=GUARDS)
async def get_helper_figures_csv(
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    month: FromQuery[str] = "",
) -> Response[bytes]:
    """The month as a file that may be passed on: small numbers are not told in it."""
    first = read_month_start(month, today=jst_day(now))
    async with db.begin(town.code) as session:
        sheet = await _sheet(session, town.code, first)
    return as_file(as_csv(sheet), CSV_TYPE, f"helpers-{first:%Y-%m}.csv")


def read_month_start(typed: str, *, today: date) -> date:
    """The first day of the month that was asked for (`2026-06`); of this one, when it is none."""
    try:
        first = date.fromisoformat(f"{typed}-01")
    except ValueError:
        first = today.replace(day=1)
    return first if EARLIEST <= first <= today else today.replace(day=1)


async def _sheet(session: AsyncSession, municipality: str, first: date) -> Sheet:
    found = await read_month(session, municipality, first)
    names = await list_procedure_names(session, municipality)
    topics = [(_("内容：%(name)s", name=names.get(each.code, each.code)), each.count) for each in found.topics]
    stuck = [row for each in found.stuck for row in _stuck(names.get(each.procedure, each.procedure), each)]
    load = [(_("サポーター：%(name)s", name=load_label(number)), count) for number, count in enumerate(found.load)]
    rows: list[tuple[str, object]] = [
        (name, published(count)) for name, count in (*_counts(found), *topics, *stuck, *load)
    ]
    # A share of few, and their time, would tell what the count does not.
    told = found.requests >= SMALL
    rows += [
        (_("決まった割合（パーセント）"), found.met_percent if told else None),
        (_("決まるまで・半分の人（分）"), found.match_p50_min if told else None),
        (_("決まるまで・10人に9人（分）"), found.match_p90_min if told else None),
        (_("活動の時間"), round(found.minutes / 60, 1) if found.done >= SMALL else None),
    ]
    return Sheet(name=f"{first:%Y-%m}", headers=(_("項目"), f"{first:%Y-%m}"), rows=rows)


def _counts(found: HelperMonth) -> list[tuple[str, int]]:
    return [
        (_("依頼"), found.requests),
        (_("サポーターが決まった"), found.met),
        (_("時間を選ばないお願い"), found.asked_openly),
        (_("そのうち教室に決まった"), found.met_in_class),
        (_("サポーターがことわった"), found.declined),
        (_("お返事がなかった"), found.unanswered),
        (_("代わりを募集した"), found.covers),
        (_("代わりが見つかった"), found.covered),
        (_("会えた"), found.done),
        (_("来られなかった"), found.no_shows),
        (_("前にも会った方"), found.again),
    ]


def _stuck(name: str, each: Stuck) -> list[tuple[str, int]]:
    page_of_it = step_label(each.step)
    return [
        (_("止まったところ・サポーターへ：%(name)s・%(page)s", name=name, page=page_of_it), each.helper),
        (_("止まったところ・窓口へ：%(name)s・%(page)s", name=name, page=page_of_it), each.counter),
    ]


def _minutes(minutes: int | None) -> str | None:
    return None if minutes is None else duration(minutes)


def _href(month: date) -> str:
    return f"{ROOT}?month={month:%Y-%m}"
