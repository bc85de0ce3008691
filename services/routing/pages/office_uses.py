"""`/office/uses`: what one's own office read and used of residents' data, without anybody's name."""

from datetime import date, datetime, time, timedelta
from typing import Any
from urllib.parse import urlencode

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.response import Template

from services.routing.domain.catalogue import is_code
from services.routing.pages.office import OFFICE
from services.routing.pages.office_inquiries import office_of
from services.routing.pages.wording import CHANNEL_TITLES, item_names
from services.routing.queries.catalogue import procedure_names
from services.routing.queries.office_uses import USES_PAGE, list_office_uses
from shared.clock import JST, jst_day
from shared.db import Database
from shared.tokens import Identity
from shared.web.i18n import translate
from shared.web.pages import page
from shared.web.templating import jst_month

MONTHS = 13
PAGES_MAX = 200
MONTH_FORMAT = "%Y-%m"

Req = Request[Any, Any, Any]


def _(message: str) -> str:
    """Marks a text for the catalogues."""
    return message


USES: dict[str, str] = {
    "staff_viewed": _("見た"),
    "helper_assisted": _("サポーターが見た"),
    "applied": _("使った"),
}


@get("/office/uses", guards=OFFICE)
async def show_uses(
    request: Req, db: NamedDependency[Database], now: NamedDependency[datetime], identity: NamedDependency[Identity]
) -> Template:
    """A month of it, newest first; a manager sees every office's."""
    months = _months(jst_day(now))
    month = next(
        (known for known in months if f"{known:{MONTH_FORMAT}}" == request.query_params.get("month")), months[0]
    )
    procedure = request.query_params.get("procedure", "")
    procedure = procedure if is_code(procedure) else ""
    number, office = _page_number(request), office_of(identity)
    async with db.begin(identity.municipality) as session:
        listed = await list_office_uses(
            session,
            identity.municipality,
            office=office,
            since=datetime.combine(month, time(), JST),
            until=datetime.combine(_next_month(month), time(), JST),
            procedure_code=procedure or None,
            skip=(number - 1) * USES_PAGE,
        )
        names = await procedure_names(session, identity.municipality)
    asked = {"month": f"{month:{MONTH_FORMAT}}", "procedure": procedure}
    return page(
        request,
        "office_uses.html",
        office=office,
        lines=[
            {
                "occurred_at": use.occurred_at,
                "use": translate(USES[use.entry_type]),
                "office": use.office or "－",
                "procedure": names[use.procedure][0] if use.procedure in names else "－",
                "items": item_names(use.items),
                "purpose": translate(use.purpose),
                "channel": translate(CHANNEL_TITLES[use.channel]) if use.channel in CHANNEL_TITLES else "－",
            }
            for use in listed[:USES_PAGE]
        ],
        chosen=asked,
        month_options=[{"value": f"{known:{MONTH_FORMAT}}", "label": jst_month(known)} for known in months],
        procedure_options=[{"value": "", "label": translate(_("すべて"))}]
        + [
            {"value": code, "label": name}
            for code, (name, whose) in sorted(names.items(), key=lambda item: item[1][0])
            if office is None or whose == office or code == procedure
        ],
        more=f"/office/uses?{urlencode(asked | {'page': str(number + 1)})}" if len(listed) > USES_PAGE else None,
        newest=f"/office/uses?{urlencode(asked)}" if number > 1 else None,
    )


def _months(today: date) -> list[date]:
    """The first day of this month and of those before it, the newest first."""
    months = [today.replace(day=1)]
    while len(months) < MONTHS:
        months.append((months[-1] - timedelta(days=1)).replace(day=1))
    return months


def _next_month(month: date) -> date:
    return (month + timedelta(days=31)).replace(day=1)


def _page_number(request: Req) -> int:
    text = request.query_params.get("page", "1")
    return min(max(int(text), 1), PAGES_MAX) if text.isascii() and text.isdigit() and len(text) < 6 else 1
