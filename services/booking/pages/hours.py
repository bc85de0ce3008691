"""`/helpers/hours`: how much a helper has helped, and the certificate (活動証明書) of it. No resident's data."""

from datetime import date, datetime, timedelta
from typing import Any

import msgspec
from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import FromQuery
from litestar.response import Template

from services.booking.keys import Keys
from services.booking.queries.appointments import find_town_facts
from services.booking.queries.hours import MonthDone, list_done, read_own_name
from services.booking.refusals import REFUSALS
from shared.clock import jst_day
from shared.db import Database
from shared.errors import Refusal
from shared.tokens import Identity
from shared.web.i18n import translate
from shared.web.identity import require_role
from shared.web.pages import page
from shared.web.templating import jst_month
from shared.web.town import Town

GUARDS = [require_role("helper")]
MONTH_LENGTH = len("2026-06")

Req = Request[Any, Any, Any]


class Sum(msgspec.Struct, frozen=True):
    """What was done in several months."""

    visits: int
    minutes: int


@get("/helpers/hours", guards=GUARDS)
async def get_hours(
    request: Req,
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Template:
    """Month by month, and in all."""
    async with db.begin(town.code) as session:
        done = await list_done(session, town.code, identity.ref, now=now)
    return _hours_page(request, done)


@get("/helpers/hours/certificate", guards=GUARDS)
async def get_certificate(
    request: Req,
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    first: FromQuery[str] = "",
    last: FromQuery[str] = "",
) -> Template:
    """From a month to another; what is none of the months with visits gives no certificate."""
    async with db.begin(town.code) as session:
        done = await list_done(session, town.code, identity.ref, now=now)
        name = await read_own_name(session, town.code, identity.ref, keys)
        facts = await find_town_facts(session, town.code)
    months = {f"{each.month:%Y-%m}": each.month for each in done}
    begins, ends = months.get(first[:MONTH_LENGTH]), months.get(last[:MONTH_LENGTH])
    if begins is None or ends is None or begins > ends:
        return _hours_page(request, done, refusal=Refusal("period_unfit", 422))
    return page(
        request,
        "certificate.html",
        helper_name=name,
        first_day=begins,
        last_day=min(_last_day(ends), jst_day(now)),
        sum=_add_up([each for each in done if begins <= each.month <= ends]),
        town_name=facts.name_ja,
        today=jst_day(now),
    )


def _hours_page(request: Req, done: list[MonthDone], *, refusal: Refusal | None = None) -> Template:
    text = REFUSALS[refusal.code] if refusal else None
    return page(
        request,
        "hours.html",
        status=refusal.status if refusal else 200,
        done=done,
        sum=_add_up(done),
        months=[{"value": f"{each.month:%Y-%m}", "label": jst_month(each.month)} for each in done],
        refused_title=translate(text.title) if text else None,
        refused_advice=translate(text.advice) if text else None,
    )


def _add_up(done: list[MonthDone]) -> Sum:
    return Sum(sum(each.visits for each in done), sum(each.minutes for each in done))


def _last_day(month: date) -> date:
    return (month + timedelta(days=31)).replace(day=1) - timedelta(days=1)
