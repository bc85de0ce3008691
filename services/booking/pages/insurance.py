"""`/helpers/insurance`: the list for the volunteers' insurance (ボランティア保険の名簿), on paper and as files."""

from datetime import date, datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import urlencode

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromQuery
from litestar.response import Template

from services.booking.keys import Keys
from services.booking.pages.coordinator_wording import helper_name, standing_label, tabs
from services.booking.pages.report_files import XLSX_TYPE, Sheet, as_csv, as_file, as_xlsx
from services.booking.queries.helper_figures import count_given
from services.booking.queries.helpers import list_roster
from shared.audit import record_deed
from shared.clock import jst_day
from shared.db import Database
from shared.tokens import Identity
from shared.web.i18n import gettext as _
from shared.web.identity import require_role
from shared.web.pages import page
from shared.web.spreadsheets import CSV_TYPE
from shared.web.templating import jst_date
from shared.web.town import Town

GUARDS = [require_role("coordinator", "manager")]
ROOT = "/helpers/insurance"
DAYS_MAX = 731
SOON = timedelta(days=30)
# The year of schools, offices and insurances begins in April.
APRIL = 4

Req = Request[Any, Any, Any]


class Period(NamedTuple):
    """The days whose visits are counted. `is_refused`: what was typed is no span of days."""

    first: date
    last: date
    is_refused: bool = False

    def href(self, path: str) -> str:
        """The address of this list."""
        return f"{path}?{urlencode({'first': self.first.isoformat(), 'last': self.last.isoformat()})}"


class Line(NamedTuple):
    """A helper on the list."""

    name: str
    standing: str
    registered_on: date | None
    insured_until: date | None
    mark: str
    visits: int
    hours: float


@get(ROOT, guards=GUARDS)
async def get_insurance(
    request: Req,
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    first: FromQuery[str] = "",
    last: FromQuery[str] = "",
) -> Template:
    """The list of everybody, to print."""
    period = read_period(first, last, today=jst_day(now))
    lines = await _list(db, keys, town, identity, period, now=now)
    sheet = _sheet(lines, shown=True)
    return page(
        request,
        "insurance.html",
        status=422 if period.is_refused else 200,
        tabs=tabs(ROOT),
        root=ROOT,
        period=period,
        headers=sheet.headers,
        rows=sheet.rows,
        to_see=sum(bool(line.mark) for line in lines),
        csv=period.href(f"{ROOT}/list.csv"),
        xlsx=period.href(f"{ROOT}/list.xlsx"),
    )


@get(f"{ROOT}/list.csv", guards=GUARDS)
async def get_insurance_csv(
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    first: FromQuery[str] = "",
    last: FromQuery[str] = "",
) -> Response[bytes]:
    """The list as a file."""
    period = read_period(first, last, today=jst_day(now))
    lines = await _list(db, keys, town, identity, period, now=now)
    return as_file(as_csv(_sheet(lines)), CSV_TYPE, f"insurance-{period.first}-{period.last}.csv")


@get(f"{ROOT}/list.xlsx", guards=GUARDS)
async def get_insurance_xlsx(
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    first: FromQuery[str] = "",
    last: FromQuery[str] = "",
) -> Response[bytes]:
    """The list as a workbook."""
    period = read_period(first, last, today=jst_day(now))
    lines = await _list(db, keys, town, identity, period, now=now)
    return as_file(as_xlsx([_sheet(lines)]), XLSX_TYPE, f"insurance-{period.first}-{period.last}.xlsx")


def read_period(first: str, last: str, *, today: date) -> Period:
    """The days that were typed; else from April, as far as this year has come."""
    april = date(today.year if today.month >= APRIL else today.year - 1, APRIL, 1)
    usual = Period(april, today)
    if not first and not last:
        return usual
    try:
        period = Period(date.fromisoformat(first), date.fromisoformat(last))
    except ValueError:
        return usual._replace(is_refused=True)
    if not (period.first <= period.last <= today and (period.last - period.first).days < DAYS_MAX):
        return usual._replace(is_refused=True)
    return period


async def _list(
    db: Database, keys: Keys, town: Town, identity: Identity, period: Period, *, now: datetime
) -> list[Line]:
    """Everybody with their name. Who looked at it is written down."""
    today = jst_day(now)
    async with db.begin(town.code) as session:
        helpers = await list_roster(session, town.code, keys)
        given = await count_given(session, town.code, period.first, period.last)
        await record_deed(session, identity, "view-helper-insurance", town.code, now=now)
    lines = [
        Line(
            name=helper_name(helper),
            standing=standing_label(helper.standing),
            registered_on=helper.registered_on,
            insured_until=helper.insured_until,
            mark=_mark(helper.insured_until, today=today),
            visits=given[helper.helper_ref].visits,
            hours=round(given[helper.helper_ref].minutes / 60, 1),
        )
        for helper in helpers
        if helper.helper_ref in given
    ]
    # What is to be seen to comes first.
    return sorted(lines, key=lambda line: (not line.mark, line.insured_until or date.min, line.name))


def _mark(insured_until: date | None, *, today: date) -> str:
    if insured_until is None:
        return _("保険の記録なし")
    if insured_until < today:
        return _("期限切れ")
    return _("もうすぐ切れる") if insured_until <= today + SOON else ""


def _sheet(lines: list[Line], *, shown: bool = False) -> Sheet:
    def day(found: date | None) -> str | None:
        if found is None:
            return None
        return jst_date(found) if shown else found.isoformat()

    headers = (
        _("お名前"), _("活動の状態"), _("登録した日"), _("保険の期限"), _("確かめること"), _("期間の活動（回）"),
        _("期間の活動（時間）"),
    )  # fmt: skip
    rows = [
        (line.name, line.standing, day(line.registered_on), day(line.insured_until), line.mark, line.visits, line.hours)
        for line in lines
    ]
    return Sheet(name=_("保険の名簿"), headers=headers, rows=rows)
