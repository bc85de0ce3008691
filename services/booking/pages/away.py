"""`/helpers/away`: when a helper cannot come, single days on which they can, how many visits of a week, and a pause."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import date, datetime
from typing import Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect, Template
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.off_days import add_days_away, pause, remove_days_away, resume, take_visits_per_week
from services.booking.commands.shifts import add_shift
from services.booking.domain.shifts import DAYS_AHEAD_MAX, VISITS_PER_WEEK_MAX, AwayDays
from services.booking.flow import Rush
from services.booking.pages.shift_days import day_form, days_ahead, read_day
from services.booking.pages.wording import venue_label
from services.booking.queries.helpers import list_shifts, list_venues
from services.booking.queries.own import find_own, list_days_away, list_visits
from services.booking.refusals import REFUSALS
from shared.clock import jst_day
from shared.db import Database
from shared.errors import Refusal
from shared.tokens import Identity
from shared.web.forms import DATE_PARTS, Form, parse_uuid, read_form
from shared.web.i18n import gettext as _
from shared.web.i18n import translate
from shared.web.identity import require_role
from shared.web.pages import page, see_other
from shared.web.town import Town

GUARDS = [require_role("helper")]
TOLD = ("added", "removed", "comes", "comes_not", "visits", "paused", "resumed")
# Each number up to ten, and a few beyond.
VISITS_OFFERED = (*range(1, 11), 15, 20, VISITS_PER_WEEK_MAX)
DIGITS_MAX = 2

Req = Request[Any, Any, Any]
Work = Callable[[AsyncSession], Awaitable[Any]]


@get("/helpers/away", guards=GUARDS)
async def get_away(
    request: Req,
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    told: FromQuery[str] = "",
) -> Template:
    """Days away with what was promised on them, visits of a week, and the pause."""
    return await _away_page(request, db, town, identity, told=told, now=now)


@post("/helpers/away", guards=GUARDS)
async def post_away(
    request: Req,
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Template | Redirect:
    """Away from a day to another; without the other, on that day."""
    form = Form(await read_form(request))
    today = jst_day(now)
    latest = today + DAYS_AHEAD_MAX
    first = form.day("first", earliest=today, latest=latest)
    last = form.day("last", earliest=date.fromisoformat(first) if first else today, latest=latest, required=False)
    if not form.ok:
        return await _away_page(request, db, town, identity, form=form, now=now)
    days = AwayDays(first_day=date.fromisoformat(first), last_day=date.fromisoformat(last or first))
    return await _do(
        request, db, rush, town, identity, lambda session: add_days_away(session, identity, days, now=now),
        told="added", now=now,
    )  # fmt: skip


@get(
    [f"/helpers/away/{address}" for address in ("{away_id:str}/remove", "come", "visits", "pause", "resume")],
    guards=GUARDS,
)
async def get_away_address() -> Redirect:
    """Where these forms are sent, opened as a page: by hand, or by the way back from signing in."""
    return see_other("/helpers/away")


@post("/helpers/away/{away_id:str}/remove", guards=GUARDS)
async def post_remove_away(
    request: Req,
    away_id: FromPath[str],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Template | Redirect:
    """There after all."""
    wanted = parse_uuid(away_id)
    return await _do(
        request, db, rush, town, identity, lambda session: remove_days_away(session, identity, wanted, now=now),
        told="removed", now=now,
    )  # fmt: skip


@post("/helpers/away/come", guards=GUARDS)
async def post_come(
    request: Req,
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Template | Redirect:
    """There on this day, beyond the rhythm."""
    form = Form(await read_form(request))
    order = read_day(form, today=jst_day(now))
    if order is None:
        return await _away_page(request, db, town, identity, come=form, now=now)
    wanted = order
    return await _do(
        request, db, rush, town, identity, lambda session: add_shift(session, identity, wanted, now=now),
        told="comes", come=form, now=now,
    )  # fmt: skip


@post("/helpers/away/visits", guards=GUARDS)
async def post_visits(
    request: Req,
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Template | Redirect:
    """So many visits of a week."""
    typed = (await read_form(request)).get("visits", "")
    visits = int(typed) if typed.isascii() and typed.isdigit() and len(typed) <= DIGITS_MAX else 0
    return await _do(
        request, db, rush, town, identity, lambda session: take_visits_per_week(session, identity, visits, now=now),
        told="visits", now=now,
    )  # fmt: skip


@post("/helpers/away/pause", guards=GUARDS)
async def post_pause(
    request: Req,
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Template | Redirect:
    """Nothing new, until they go on."""
    return await _do(
        request, db, rush, town, identity, lambda session: pause(session, identity, now=now), told="paused", now=now
    )


@post("/helpers/away/resume", guards=GUARDS)
async def post_resume(
    request: Req,
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Template | Redirect:
    """Asked again."""
    return await _do(
        request, db, rush, town, identity, lambda session: resume(session, identity, now=now), told="resumed", now=now
    )


async def _do(
    request: Req,
    db: Database,
    rush: Rush,
    town: Town,
    identity: Identity,
    work: Work,
    *,
    told: str,
    come: Form | None = None,
    now: datetime,
) -> Template | Redirect:
    try:
        await rush.run(db, town.code, work)
    except Refusal as refusal:
        if refusal.code not in REFUSALS:
            raise
        return await _away_page(request, db, town, identity, come=come, refusal=refusal, now=now)
    return see_other(f"/helpers/away?told={told}")


async def _away_page(
    request: Req,
    db: Database,
    town: Town,
    identity: Identity,
    *,
    form: Form | None = None,
    come: Form | None = None,
    told: str = "",
    refusal: Refusal | None = None,
    now: datetime,
) -> Template:
    today = jst_day(now)
    async with db.begin(town.code) as session:
        own = await find_own(session, town.code, identity.ref)
        away = await list_days_away(session, town.code, identity.ref, first=today)
        ahead = await list_visits(session, town.code, identity.ref, first=today, last=today + DAYS_AHEAD_MAX)
        shifts = await list_shifts(session, town.code, identity.ref)
        venues = await list_venues(session, town.code)
    text = REFUSALS[refusal.code] if refusal else None
    shown = form or come
    errors = shown.errors if shown else {}
    return page(
        request,
        "away.html",
        status=refusal.status if refusal else 422 if errors else 200,
        own=own,
        away=[
            {
                "id": each.away_id,
                "first": each.first_day,
                "last": each.last_day,
                "promised": [
                    {"starts_at": visit.starts_at, "where": venue_label(visit.venue_name, visit.venue_place)}
                    for visit in ahead
                    if visit.starts_at > now and each.has(jst_day(visit.starts_at))
                ],
            }
            for each in away
        ],
        days=days_ahead(shifts, today=today),
        day_form=day_form("/helpers/away/come", venues, come),
        visits=_visits(own.visits_per_week if own else 0),
        errors=errors,
        typed={name: _typed(form, name) for name in ("first", "last")},
        told=told if told in TOLD else "",
        refused_title=translate(text.title) if text else None,
        refused_advice=translate(text.advice) if text else None,
    )


def _visits(now_taken: int) -> list[Mapping[str, str]]:
    offered = sorted({*VISITS_OFFERED, *([now_taken] if now_taken else [])})
    return [{"value": str(number), "label": _("%(count)s回まで", count=number)} for number in offered]


def _typed(form: Form | None, name: str) -> dict[str, str]:
    return {part: form.value(f"{name}_{part}") for part in DATE_PARTS} if form else {}
