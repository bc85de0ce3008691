"""`/counter/cash`: a day's payments, for closing the tills: sums by counter and means, each payment, and as a file."""

from datetime import date, datetime, timedelta
from typing import Any

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromQuery
from litestar.response import Template

from services.booking.pages.cash_wording import means_label
from services.booking.pages.counter import GUARDS
from services.booking.pages.line_rows import short_counter
from services.booking.queries.cash import list_counter_means, list_taken, sum_day
from shared.clock import jst_day
from shared.db import Database
from shared.reference_number import show_number
from shared.tokens import Identity
from shared.web.i18n import gettext as _
from shared.web.pages import page
from shared.web.spreadsheets import CSV_TYPE, as_text, write_csv
from shared.web.templating import jst_time
from shared.web.town import Town

# Nobody has kept accounts here before.
FIRST_DAY = date(2020, 1, 1)
# On the page; the file has all of them.
LISTED_MAX = 2_000

Req = Request[Any, Any, Any]


@get("/counter/cash", guards=GUARDS)
async def get_cash(
    request: Req,
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    day: FromQuery[str] = "",
) -> Template:
    """The sums and payments of a day; of today where the address names none."""
    today = jst_day(now)
    shown = _read_day(day, today)
    async with db.begin(town.code) as session:
        sums = await sum_day(session, town.code, shown, identity.office)
        taken = await list_taken(session, town.code, shown, identity.office, limit=LISTED_MAX)
        counters = await list_counter_means(session, town.code, identity.office)
    totals: dict[str, int] = {}
    for each in sums:
        totals[each.means] = totals.get(each.means, 0) + each.amount_yen
    return page(
        request,
        "cash.html",
        day=shown,
        before=shown - timedelta(days=1),
        after=shown + timedelta(days=1) if shown < today else None,
        office=identity.office,
        sums=[(short_counter(each.counter_number), means_label(each.means), each) for each in sums],
        totals=[(means_label(means), amount) for means, amount in totals.items()],  # type: ignore[arg-type]
        total=sum(totals.values()),
        taken=[
            (jst_time(each.taken_at, short=True), short_counter(each.counter_number), means_label(each.means), each)
            for each in taken
        ],
        is_cut=len(taken) < sum(each.payments for each in sums),
        counters=[
            (short_counter(each.number), each.name_ja, [means_label(means) for means in each.payment])
            for each in counters
        ],
    )


@get("/counter/cash.csv", guards=GUARDS)
async def get_cash_csv(
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    day: FromQuery[str] = "",
) -> Response[bytes]:
    """Each payment of a day, for the town's accounts."""
    shown = _read_day(day, jst_day(now))
    async with db.begin(town.code) as session:
        taken = await list_taken(session, town.code, shown, identity.office)
    heads = [_("日"), _("時刻"), _("窓口"), _("受付番号"), _("払い方"), _("金額（円）"), _("レシートの番号")]
    rows = [
        (
            shown.isoformat(), jst_time(each.taken_at, short=True), each.counter_number, show_number(each.number),
            means_label(each.means), each.amount_yen, as_text(each.receipt_no),
        )
        for each in taken
    ]  # fmt: skip
    return Response(
        write_csv(heads, rows),
        media_type=CSV_TYPE,
        headers={"content-disposition": f'attachment; filename="cash_{shown.isoformat()}.csv"'},
    )


def _read_day(typed: str, today: date) -> date:
    """The day that an address names, if it is one and not to come."""
    try:
        day = date.fromisoformat(typed)
    except ValueError:
        return today
    return day if FIRST_DAY <= day <= today else today
