"""`/helpers/people`: the helpers of the town, what is kept of them, and how they stand."""

from datetime import date, datetime, timedelta
from typing import Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect, Template
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.standing import STANDINGS, SUSPENDED_FOR, Record, keep_record, set_standing
from services.booking.domain.shifts import DAYS_AHEAD_MAX
from services.booking.flow import Rush
from services.booking.keys import Keys
from services.booking.pages.coordinator_wording import (
    helper_name,
    standing_kind,
    standing_label,
    suspended_label,
    tabs,
)
from services.booking.pages.shift_days import day_form, days_ahead
from services.booking.pages.shifts import shift_label
from services.booking.pages.wording import language_name
from services.booking.queries.helper_figures import count_given, next_month
from services.booking.queries.helpers import HelperView, Standing, SuspendedFor, list_roster, list_topics, list_venues
from services.booking.queries.roster import list_away
from services.booking.refusals import REFUSALS
from shared.audit import record_deed
from shared.clock import jst_day
from shared.db import Database
from shared.errors import Refusal
from shared.tokens import Identity
from shared.web.forms import Form, read_form
from shared.web.i18n import translate
from shared.web.identity import require_role
from shared.web.pages import page, see_other
from shared.web.town import Town

GUARDS = [require_role("coordinator", "manager")]
ROOT = "/helpers/people"
HELPER_REF_MAX_LENGTH = 64
# Volunteers have been registered since before there was this system; an insurance is not paid further ahead.
EARLIEST = date(1990, 1, 1)
INSURED_AHEAD = timedelta(days=366 * 3)
DATES = ("registered_on", "trained_on", "insured_until")
TOLD = ("record", "standing", "day", "day_removed")

Req = Request[Any, Any, Any]


@get(ROOT, guards=GUARDS)
async def get_people(
    request: Req,
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Template:
    """All helpers, with what they did this month."""
    today = jst_day(now)
    month = today.replace(day=1)
    async with db.begin(town.code) as session:
        helpers = await list_roster(session, town.code, keys)
        topics = await list_topics(session, town.code)
        given = await count_given(session, town.code, month, next_month(month) - timedelta(days=1))
        await record_deed(session, identity, "view-helpers", town.code, now=now)
    return page(
        request,
        "people.html",
        tabs=tabs(ROOT),
        helpers=[
            _facts(helper, topics, today=today) | {"visits": given[helper.helper_ref].visits}
            for helper in sorted(helpers, key=lambda each: (STANDINGS.index(each.standing), each.name or ""))
            if helper.helper_ref in given
        ],
    )


@get(ROOT + "/{helper_ref:str}", guards=GUARDS)
async def get_person(
    request: Req,
    helper_ref: FromPath[str],
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    told: FromQuery[str] = "",
) -> Template:
    """One helper: dates, topics, standing, their times, and when they are away."""
    return await person_page(request, db, keys, town, identity, helper_ref, now=now, told=told)


@post(ROOT + "/{helper_ref:str}", guards=GUARDS)
async def post_record(
    request: Req,
    helper_ref: FromPath[str],
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Template | Redirect:
    """Keep the dates and topics as they were typed."""
    form = Form(await read_form(request))
    today = jst_day(now)
    latest = {"registered_on": today, "trained_on": today, "insured_until": today + INSURED_AHEAD}
    dates = {name: _day(form.day(name, earliest=EARLIEST, latest=latest[name], required=False)) for name in DATES}
    if not form.ok:
        return await person_page(request, db, keys, town, identity, helper_ref, now=now, form=form)
    record = Record(topics=tuple(form.value("topics").split()), **dates)
    async with db.begin(town.code) as session:
        await keep_record(session, identity, helper_ref, record, now=now)
    return see_other(f"{ROOT}/{helper_ref}?told=record")


@get(ROOT + "/{helper_ref:str}/standing", guards=GUARDS)
async def get_standing_address(helper_ref: FromPath[str]) -> Redirect:
    """Where a standing is sent, opened as a page."""
    return see_other(f"{ROOT}/{helper_ref}")


@post(ROOT + "/{helper_ref:str}/standing", guards=GUARDS)
async def post_standing(
    request: Req,
    helper_ref: FromPath[str],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Template | Redirect:
    """Take them on, or let them rest: then their visits go to others at once."""
    fields = await read_form(request)
    standing: Standing | None = next((each for each in STANDINGS if each == fields.get("standing")), None)
    reason: SuspendedFor | None = next((each for each in SUSPENDED_FOR if each == fields.get("suspended_for")), None)
    refusal = Refusal("standing_unfit", 422)
    if standing is not None:
        wanted, why = standing, reason if standing == "suspended" else None
        try:
            await rush.run(
                db, town.code, lambda session: set_standing(session, identity, helper_ref, wanted, why, now=now)
            )
            return see_other(f"{ROOT}/{helper_ref}?told=standing")
        except Refusal as found:
            if found.code != "standing_unfit":
                raise
    return await person_page(request, db, keys, town, identity, helper_ref, now=now, refusal=refusal)


async def person_page(
    request: Req,
    db: Database,
    keys: Keys,
    town: Town,
    identity: Identity,
    helper_ref: str,
    *,
    now: datetime,
    told: str = "",
    form: Form | None = None,
    day: Form | None = None,
    refusal: Refusal | None = None,
) -> Template:
    """One helper, with a form as it was filled in: of the dates and topics, or of a single `day`."""
    today = jst_day(now)
    async with db.begin(town.code) as session:
        helper = await find_person(session, town.code, helper_ref, keys)
        topics = await list_topics(session, town.code)
        away = await list_away(session, town.code, today, today + DAYS_AHEAD_MAX)
        venues = await list_venues(session, town.code)
        await record_deed(session, identity, "view-helper", helper_ref, now=now)
    text = REFUSALS[refusal.code] if refusal else None
    shown = form or day
    errors = shown.errors if shown else {}
    return page(
        request,
        "person.html",
        status=refusal.status if refusal else 422 if errors else 200,
        base=f"{ROOT}/{helper_ref}",
        person=_facts(helper, topics, today=today),
        shifts=[f"{shift_label(shift)} {shift.venue_name}" for shift in helper.shifts if shift.only_on is None],
        days=days_ahead(helper.shifts, today=today),
        day_form=day_form(f"{ROOT}/{helper_ref}/days", venues, day),
        away=[each for each in away if each.helper_ref == helper_ref],
        dates={name: _typed(form, name, getattr(helper, name)) for name in DATES},
        errors=errors,
        topic_options=[{"value": code, "label": name} for code, name in topics.items()],
        topics=form.value("topics").split() if form else list(helper.topics),
        standing=helper.standing,
        standing_options=[{"value": each, "label": standing_label(each)} for each in STANDINGS],
        reason_options=[{"value": each, "label": suspended_label(each)} for each in SUSPENDED_FOR],
        suspended_for=helper.suspended_for,
        told=told if told in TOLD else "",
        refused_title=translate(text.title) if text else None,
        refused_advice=translate(text.advice) if text else None,
    )


async def find_person(session: AsyncSession, municipality: str, helper_ref: str, keys: Keys) -> HelperView:
    helpers = await list_roster(session, municipality, keys)
    found = next((helper for helper in helpers if helper.helper_ref == helper_ref[:HELPER_REF_MAX_LENGTH]), None)
    if found is None:
        raise Refusal("helper_unknown", 404)
    return found


def _facts(helper: HelperView, topics: dict[str, str], *, today: date) -> dict[str, Any]:
    return {
        "href": f"{ROOT}/{helper.helper_ref}",
        "name": helper_name(helper),
        "languages": "・".join(language_name(code) for code in helper.languages),
        "topics": "・".join(topics.get(code, code) for code in helper.topics),
        "signs": helper.signs,
        "standing": standing_label(helper.standing),
        "standing_kind": standing_kind(helper.standing),
        "reason": suspended_label(helper.suspended_for) if helper.suspended_for else None,
        "registered_on": helper.registered_on,
        "trained_on": helper.trained_on,
        "insured_until": helper.insured_until,
        "is_uninsured": helper.insured_until is None or helper.insured_until < today,
    }


def _typed(form: Form | None, name: str, kept: date | None) -> dict[str, str]:
    parts = ("year", "month", "day")
    if form is not None:
        return {part: form.value(f"{name}_{part}") for part in parts}
    return {} if kept is None else {part: str(getattr(kept, part)) for part in parts}


def _day(typed: str) -> date | None:
    return date.fromisoformat(typed) if typed else None
