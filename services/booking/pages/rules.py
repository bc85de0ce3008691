"""`/counter/opening`: when counters and venues are open, what a new version would do, and publishing it."""

from datetime import date, datetime, timedelta
from typing import Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect, Template
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.opening import PublishVersion, preview_version, publish_version, withdraw_version
from services.booking.domain.opening import OpeningRule, version_on
from services.booking.flow import Rush
from services.booking.pages.rules_form import USUAL_PATTERNS, WEEKDAYS, fields_of, parts_of, read_version
from services.booking.pages.rules_wording import preview_view, rule_view
from services.booking.pages.wording import counter_label, pattern_label, venue_label, weekday_name
from services.booking.queries.opening import find_kind, highest_version, list_versions
from services.booking.queries.rules import Kind, list_counter_rules
from services.booking.queries.slots import CounterView, list_counters
from services.booking.refusals import REFUSALS
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
ROOT = "/counter/opening"
DIGITS_MAX = 6
SHOWN_HERE = frozenset({"rule_unfit", "rule_start_unfit", "rules_moved", "version_unknown", "version_open"})
# A counter that never had a rule begins with this one.
EMPTY = OpeningRule(slot_min=30, places=1, staff_only_places=0, week=())

Req = Request[Any, Any, Any]


@get(ROOT, guards=GUARDS)
async def get_rules_page(
    request: Req, db: NamedDependency[Database], now: NamedDependency[datetime], town: NamedDependency[Town]
) -> Template:
    """All counters and venues with the rule of today, and the day of the next one."""
    today = jst_day(now)
    async with db.begin(town.code) as session:
        rules = await list_counter_rules(session, town.code, today=today)
        counters = await list_counters(session, town.code)
    shown = []
    for found in rules:
        current = version_on(found.versions, today)
        later = [version.valid_from for version in found.versions if version.valid_from > today]
        shown.append(
            {
                "href": f"{ROOT}/{found.counter}",
                "name": _label(counters.get(found.counter), found.counter, found.kind),
                "is_venue": found.kind == "venue",
                "rule": rule_view(current.rule, today=today) if current else None,
                "changes_on": min(later, default=None),
            }
        )
    return page(request, "rules.html", counters=shown)


@get(f"{ROOT}/{{counter:str}}", guards=GUARDS)
async def get_rule_page(
    request: Req,
    counter: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    told: FromQuery[str] = "",
) -> Template:
    """The versions of one counter, and the form for the next."""
    async with db.begin(town.code) as session:
        return await _rule_page(request, session, town.code, counter, told=told, now=now)


@get([f"{ROOT}/{{counter:str}}/{step}" for step in ("preview", "publish", "withdraw")], guards=GUARDS)
async def get_rule_address() -> Redirect:
    """Where a form is sent, opened as a page: by hand, or by the way back from signing in."""
    return see_other(ROOT)


@post(f"{ROOT}/{{counter:str}}/preview", guards=GUARDS, status_code=200)
async def post_rule_preview(
    request: Req,
    counter: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
) -> Template:
    """What the typed version would do. Nothing is kept."""
    form = Form(await read_form(request))
    async with db.begin(town.code) as session:
        kind = await _kind(session, town.code, counter)
        new = read_version(form, kind, today=jst_day(now))
        if new is None or form.value("edit"):
            return await _rule_page(request, session, town.code, counter, form=form, now=now)
        try:
            preview = await preview_version(session, town.code, counter, new, now=now)
        except Refusal as refusal:
            if refusal.code not in SHOWN_HERE:
                raise
            return await _rule_page(request, session, town.code, counter, form=form, refusal=refusal, now=now)
        counters = await list_counters(session, town.code)
    return page(
        request,
        "rule_preview.html",
        href=f"{ROOT}/{counter}",
        counter_name=_label(counters.get(counter), counter, kind),
        is_venue=kind == "venue",
        valid_from=new.valid_from,
        rule=rule_view(new.rule, today=new.valid_from),
        preview=preview_view(preview),
        fields=fields_of(new.rule, first=new.valid_from) | {"seen": form.value("seen")},
    )


@post(f"{ROOT}/{{counter:str}}/publish", guards=GUARDS)
async def post_rule(
    request: Req,
    counter: FromPath[str],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Template | Redirect:
    """Publish the version that was looked at."""
    form = Form(await read_form(request))
    async with db.begin(town.code) as session:
        new = read_version(form, await _kind(session, town.code, counter), today=jst_day(now))
        if new is None:
            return await _rule_page(request, session, town.code, counter, form=form, now=now)
    order = PublishVersion(counter=counter, new=new, seen=_number(form.value("seen")))
    try:
        await rush.run(db, town.code, lambda session: publish_version(session, identity, order, now=now))
    except Refusal as refusal:
        return await _refused(request, db, town.code, counter, refusal, form=form, now=now)
    return see_other(f"{ROOT}/{counter}?told=published")


@post(f"{ROOT}/{{counter:str}}/withdraw", guards=GUARDS)
async def post_rule_withdrawal(
    request: Req,
    counter: FromPath[str],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Template | Redirect:
    """Take a version back whose day has not come."""
    version = _number((await read_form(request)).get("version", ""))
    try:
        await rush.run(db, town.code, lambda session: withdraw_version(session, identity, counter, version, now=now))
    except Refusal as refusal:
        return await _refused(request, db, town.code, counter, refusal, now=now)
    return see_other(f"{ROOT}/{counter}?told=withdrawn")


async def _refused(
    request: Req, db: Database, municipality: str, counter: str, refusal: Refusal, *, form: Form | None = None,
    now: datetime,
) -> Template:  # fmt: skip
    if refusal.code not in SHOWN_HERE:
        raise refusal
    async with db.begin(municipality) as session:
        return await _rule_page(request, session, municipality, counter, form=form, refusal=refusal, now=now)


async def _rule_page(
    request: Req,
    session: AsyncSession,
    municipality: str,
    counter: str,
    *,
    form: Form | None = None,
    told: str = "",
    refusal: Refusal | None = None,
    now: datetime,
) -> Template:
    today = jst_day(now)
    kind = await _kind(session, municipality, counter)
    versions = await list_versions(session, municipality, counter)
    counters = await list_counters(session, municipality)
    current = next((found for found in versions if found.valid_from <= today), None)
    newest = versions[0].rule if versions else EMPTY
    # What was refused because others were faster has to be looked at again, beside what they made.
    fields = form.values if form else fields_of(newest, first=_next_monday(today))
    fields = fields | {"seen": str(await highest_version(session, municipality, counter))}
    errors = form.errors if form else {}
    text = REFUSALS[refusal.code] if refusal else None
    return page(
        request,
        "rule.html",
        status=refusal.status if refusal else 422 if errors else 200,
        href=f"{ROOT}/{counter}",
        counter_name=_label(counters.get(counter), counter, kind),
        is_venue=kind == "venue",
        current=_version_view(current, today=today) if current else None,
        later=[_version_view(found, today=today) for found in reversed(versions) if found.valid_from > today],
        weekdays=[
            {
                "name": weekday_name(day),
                "hours": fields.get(f"hours_{day}", ""),
                "hours_error": errors.get(f"hours_{day}"),
                "pattern": fields.get(f"pattern_{day}", "every1"),
                "pattern_error": errors.get(f"pattern_{day}"),
                "number": day,
            }
            for day in WEEKDAYS
        ],
        patterns=[{"value": pattern, "label": pattern_label(pattern)} for pattern in USUAL_PATTERNS],
        typed=fields,
        valid_from=parts_of(fields, "valid_from"),
        first_week=parts_of(fields, "first_week"),
        errors=errors,
        told=told if told in ("published", "withdrawn") else "",
        refused_title=translate(text.title) if text else None,
        refused_advice=translate(text.advice) if text else None,
    )


async def _kind(session: AsyncSession, municipality: str, counter: str) -> Kind:
    kind = await find_kind(session, municipality, counter)
    if kind is None:
        raise Refusal("counter_unknown", 404)
    return kind


def _version_view(found: Any, *, today: date) -> dict[str, Any]:
    return {
        "version": found.version,
        "valid_from": found.valid_from,
        "by_pack": found.origin == "pack",
        "published_at": found.published_at,
        "rule": rule_view(found.rule, today=today),
    }


def _label(found: CounterView | None, counter: str, kind: Kind) -> str:
    if found is None:
        return counter
    return venue_label(found.name_ja, found.place_ja) if kind == "venue" else counter_label(found.number, found.name_ja)


def _next_monday(today: date) -> date:
    return today + timedelta(days=7 - today.weekday())


def _number(typed: str) -> int:
    return int(typed) if typed.isascii() and typed.isdigit() and len(typed) <= DIGITS_MAX else 0
