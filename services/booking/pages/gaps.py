"""`/helpers/roster/gap`: a coordinator looks for somebody who can be at a venue in a time when nobody is."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromQuery
from litestar.response import Redirect, Template

from services.booking.commands.cover_asking import Gap, list_free_for
from services.booking.commands.gaps import is_open_then, start_gap_cover
from services.booking.domain.covers import ANSWER_AT_LEAST, TELL_BEFORE_AT_LEAST
from services.booking.domain.roster import Span
from services.booking.domain.shifts import DAY_MIN, DAYS_AHEAD_MAX, day_span
from services.booking.flow import Rush
from services.booking.pages.coordinator_wording import span_label
from services.booking.pages.roster import GUARDS, ROOT
from services.booking.pages.shift_days import STEP_MIN, VENUE_MAX_LENGTH, time_options
from services.booking.queries.helpers import list_venues
from services.booking.refusals import REFUSALS
from shared.audit import record_deed
from shared.clock import jst_day
from shared.db import Database
from shared.errors import Refusal
from shared.tokens import Identity
from shared.web.forms import read_form
from shared.web.i18n import translate
from shared.web.pages import page, see_other
from shared.web.town import Town

DIGITS_MAX = 4
DATE_LENGTH = len("2026-06-01")

Req = Request[Any, Any, Any]


@get(f"{ROOT}/gap", guards=GUARDS)
async def get_gap(
    request: Req,
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    venue: FromQuery[str] = "",
    day: FromQuery[str] = "",
    from_min: FromQuery[str] = "",
    to_min: FromQuery[str] = "",
) -> Template | Redirect:
    """The time, how many could come, and which part of it somebody is looked for."""
    typed = {"venue": venue, "day": day, "from": from_min, "to": to_min}
    return await _gap_page(request, db, town, identity, typed, now=now)


@post(f"{ROOT}/gap", guards=GUARDS)
async def post_gap(
    request: Req,
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Template | Redirect:
    """Ask all who are free."""
    fields = await read_form(request)
    gap = _read_gap(fields, now=now)
    if gap is None:
        return await _gap_page(request, db, town, identity, fields, refusal=Refusal("gap_unfit", 422), now=now)
    wanted = gap
    try:
        await rush.run(db, town.code, lambda session: start_gap_cover(session, identity, wanted, now=now))
    except Refusal as refusal:
        if refusal.code not in REFUSALS:
            raise
        return await _gap_page(request, db, town, identity, fields, refusal=refusal, now=now)
    return see_other(f"{ROOT}?told=gap&week={jst_day(gap.starts_at).isoformat()}")


async def _gap_page(
    request: Req,
    db: Database,
    town: Town,
    identity: Identity,
    typed: Mapping[str, str],
    *,
    refusal: Refusal | None = None,
    now: datetime,
) -> Template | Redirect:
    # What was chosen may be wrong; the gap that it was chosen from stands beside it.
    whole = {name: typed.get(f"whole_{name}") or typed.get(name, "") for name in ("from", "to")}
    gap = _read_gap({**typed, **whole}, now=now)
    if gap is None:
        return see_other(ROOT)
    async with db.begin(town.code) as session:
        venues = {each.code: each for each in await list_venues(session, town.code)}
        is_open = await is_open_then(session, town.code, gap, now=now)
        free = await list_free_for(session, town.code, gap)
        await record_deed(session, identity, "view-roster", town.code, now=now)
    if not is_open:
        return see_other(ROOT)
    span = Span(int(whole["from"]), int(whole["to"]))
    text = REFUSALS[refusal.code] if refusal else None
    day = jst_day(gap.starts_at)
    return page(
        request,
        "gap.html",
        status=refusal.status if refusal else 200,
        back=f"{ROOT}?week={day.isoformat()}",
        venue=venues[gap.venue].name_ja,
        day=day,
        span=span_label(span),
        people=len(free),
        whole={"venue": gap.venue, "day": day.isoformat(), "from": span.from_min, "to": span.to_min},
        starts=time_options(_first_start(span, day, now=now), span.to_min - 1),
        ends=time_options(span.from_min + STEP_MIN, span.to_min),
        chosen={name: typed.get(name, "") for name in whole},
        refused_title=translate(text.title) if text else None,
        refused_advice=translate(text.advice) if text else None,
    )


def _first_start(span: Span, day: date, *, now: datetime) -> int:
    """The first half hour for which there is time to ask, if there is one."""
    midnight, _end = day_span(day, 0, DAY_MIN)
    soonest = (now + ANSWER_AT_LEAST + TELL_BEFORE_AT_LEAST - midnight) / timedelta(minutes=1)
    reached = max(span.from_min, -(-int(soonest + 1) // STEP_MIN) * STEP_MIN)
    return reached if reached < span.to_min else span.from_min


def _read_gap(fields: Mapping[str, str], *, now: datetime) -> Gap | None:
    try:
        day = date.fromisoformat(fields.get("day", "")[:DATE_LENGTH])
    except ValueError:
        return None
    minutes = [fields.get(name, "") for name in ("from", "to")]
    if not all(each.isascii() and each.isdigit() and len(each) <= DIGITS_MAX for each in minutes):
        return None
    from_min, to_min = map(int, minutes)
    if not 0 <= from_min < to_min <= DAY_MIN or not timedelta(0) <= day - jst_day(now) <= DAYS_AHEAD_MAX:
        return None
    starts_at, ends_at = day_span(day, from_min, to_min)
    venue = fields.get("venue", "")[:VENUE_MAX_LENGTH]
    return Gap(venue=venue, starts_at=starts_at, ends_at=ends_at) if venue.isprintable() else None
