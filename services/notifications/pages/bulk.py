"""`/notices/bulk`: what the town writes to many at once. A list, and the form of a draft; nothing typed is lost."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any
from uuid import UUID, uuid4

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect, Template

from services.notifications.bulk_texts import WHICH, flaws_of_words, missing_in
from services.notifications.commands.bulk import flaws_of, save_bulk
from services.notifications.domain.bulk import (
    BULK_LANGUAGES,
    UNTIL_HOURS,
    Audience,
    Words,
    Written,
    reason_of,
    until_of,
)
from services.notifications.pages.bulk_progress import progress_page
from services.notifications.pages.bulk_wording import (
    BY_NAMES,
    KIND_NAMES,
    KINDS,
    STATE_NAMES,
    choice_of,
    form_options,
    say_missing,
    text_field_of,
    title_of,
)
from services.notifications.pages.template_paths import MANAGER, number
from services.notifications.queries_of_bulk import PAGE, Bulk, count_standings, list_bulk, read_bulk
from services.notifications.queries_of_templates import TownFacts, read_facts
from shared.clock import JST
from shared.db import Database
from shared.errors import Refusal
from shared.tokens import Identity
from shared.web.forms import Form, parse_uuid, read_form
from shared.web.i18n import gettext as _
from shared.web.i18n import translate
from shared.web.pages import page, see_other

PATH = "/notices/bulk"
# As much as is kept of a text that is too long to be sent: it is shortened from what was typed.
TEXT_MAX_LENGTH = 5_000
DAY_MIN, DAY_MAX = date(2020, 1, 1), date(2100, 1, 1)
# All that a form has.
FIELDS = (
    "bulk_id", "seen", "kind", "by", "first_day", "last_day", "office", "counter", "procedure", "languages",
    "until_day", "until_hour", *(text_field_of(which, language) for which in WHICH for language in BULK_LANGUAGES),
)  # fmt: skip

Req = Request[Any, Any, Any]


@get(PATH, guards=MANAGER)
async def show_bulk_list(
    request: Req,
    db: NamedDependency[Database],
    identity: NamedDependency[Identity],
    before: FromQuery[str] = "",
) -> Template:
    """What was written to many, the newest first, and how it goes."""
    town, moment = identity.municipality, _moment(before)
    async with db.begin(town) as session:
        found = await list_bulk(session, town, before=moment)
        live = [each.bulk_id for each in found if each.sent_at and each.counts is None]
        counts = await count_standings(session, town, live) if live else {}
    return page(
        request,
        "bulk_list.html",
        path_of=PATH,
        lines=[_line(each, counts.get(each.bulk_id) or each.counts or {}) for each in found],
        older=f"{PATH}?before={found[-1].saved_at:%Y%m%dT%H%M%S.%fZ}" if len(found) == PAGE else None,
        newest=PATH if moment else None,
    )


@get(f"{PATH}/new", guards=MANAGER)
async def show_bulk_new(request: Req, db: NamedDependency[Database], identity: NamedDependency[Identity]) -> Template:
    """An empty form. Its id is made here, so that a second press makes no second draft."""
    async with db.begin(identity.municipality) as session:
        facts = await read_facts(session, identity.municipality)
    values = {"bulk_id": str(uuid4()), "seen": "0", "kind": "town_news", "by": "appointments"}
    return _form_page(request, facts, f"{PATH}/new", values)


@post(f"{PATH}/new", guards=MANAGER)
async def post_bulk_new(
    request: Req,
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
) -> Template | Redirect:
    """Keep a new draft."""
    form = Form(await read_form(request))
    bulk_id = parse_uuid(form.value("bulk_id"), code="form_unreadable", status=400)
    return await _save(request, db, identity, form, bulk_id, f"{PATH}/new", now=now)


@get(f"{PATH}/{{bulk_id:str}}", guards=MANAGER)
async def show_bulk(
    request: Req,
    bulk_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
) -> Template:
    """The draft, with everything that is still wrong with it; or what became of what was sent."""
    town = identity.municipality
    async with db.begin(town) as session:
        bulk = await read_bulk(session, town, parse_uuid(bulk_id))
        facts = await read_facts(session, town)
        if bulk.state != "draft":
            return await progress_page(request, session, bulk, facts, now=now)
    written = bulk.written
    errors = say_missing(flaws_of_words(written.kind, written.texts, facts), missing_in(written, now=now))
    here = f"{PATH}/{bulk.bulk_id}"
    return _form_page(request, facts, here, values_of(bulk), errors=errors, check=f"{here}/check", is_saved=True)


@post(f"{PATH}/{{bulk_id:str}}", guards=MANAGER)
async def post_bulk(
    request: Req,
    bulk_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
) -> Template | Redirect:
    """Keep what was changed in a draft."""
    found = parse_uuid(bulk_id)
    return await _save(request, db, identity, Form(await read_form(request)), found, f"{PATH}/{found}", now=now)


async def _save(
    request: Req,
    db: Database,
    identity: Identity,
    form: Form,
    bulk_id: UUID,
    action: str,
    *,
    now: datetime,
) -> Template | Redirect:
    """Whatever can be read is kept; on to the preview when it could be sent."""
    town, seen = identity.municipality, number(form.value("seen"))
    async with db.begin(town) as session:
        facts = await read_facts(session, town)
        written = _written(form, facts)
        if form.ok:
            try:
                await save_bulk(session, identity, bulk_id, written, seen=seen, now=now)
            except Refusal as refusal:
                if refusal.code != "bulk_moved":
                    raise
                theirs = await read_bulk(session, town, bulk_id)
                return _form_page(
                    request, facts, f"{PATH}/{bulk_id}", form.values | {"seen": str(theirs.version)}, status=409,
                    moved=f"{PATH}/{bulk_id}",
                )  # fmt: skip
            below = "" if flaws_of(written, facts, now=now) else "/check"
            return see_other(f"{PATH}/{bulk_id}{below}")
    return _form_page(request, facts, action, form.values, errors=form.errors, status=422)


def values_of(bulk: Bulk) -> dict[str, str]:
    """What the form of a draft has in it."""
    written = bulk.written
    audience = written.audience
    until = written.until.astimezone(JST) if written.until else None
    values = {
        "seen": str(bulk.version),
        "kind": choice_of(written.kind, written.reason),
        "by": audience.by,
        "first_day": audience.first_day.isoformat() if audience.first_day else "",
        "last_day": audience.last_day.isoformat() if audience.last_day else "",
        "office": audience.office,
        "counter": audience.counter,
        "procedure": audience.procedure,
        "languages": " ".join(audience.languages),
        "until_day": until.date().isoformat() if until else "",
        "until_hour": str(until.hour) if until else "",
    }
    for language, words in written.texts.items():
        values |= {text_field_of(which, language): getattr(words, which) for which in WHICH}
    return values


def _written(form: Form, facts: TownFacts) -> Written:
    """What was typed; what cannot be read is an error of the form."""
    kind, reason = KINDS.get(form.choice("kind", tuple(KIND_NAMES)), KINDS["town_news"])
    by = form.choice("by", tuple(BY_NAMES))
    chosen = form.value("languages").split()
    until_day = _day(form, "until_day")
    hour = form.choice("until_hour", tuple(map(str, UNTIL_HOURS)), required=until_day is not None)
    audience = Audience(
        by=next((each for each in ("appointments", "applications") if each == by), "everybody"),
        first_day=_day(form, "first_day"),
        last_day=_day(form, "last_day"),
        office=form.choice("office", facts.offices, required=False),
        counter=form.choice("counter", tuple(each.code for each in facts.counters), required=False),
        procedure=form.choice("procedure", tuple(each.code for each in facts.procedures), required=False),
        languages=tuple(language for language in BULK_LANGUAGES if language in chosen),
    )
    texts = {each: Words(**{which: _text(form, which, each) for which in WHICH}) for each in map(str, BULK_LANGUAGES)}
    return Written(
        kind=kind,
        reason=reason_of(kind, reason),
        audience=audience,
        texts=texts,
        until=until_of(until_day, int(hour)) if until_day and hour else None,
    )


def _text(form: Form, which: str, language: str) -> str:
    field = text_field_of(which, language)
    typed = form.value(field).replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")
    clean = "\n".join(line.rstrip() for line in typed.split("\n")).strip()
    if len(clean) > TEXT_MAX_LENGTH:
        form.errors[field] = _(
            "%(max)s文字までで入力してください。いまは%(now)s文字です。", max=TEXT_MAX_LENGTH, now=len(clean)
        )
    return clean


def _day(form: Form, name: str) -> date | None:
    typed = form.value(name).strip()
    if not typed:
        return None
    try:
        day = date.fromisoformat(typed)
    except ValueError:
        day = None
    if day is None or not DAY_MIN <= day <= DAY_MAX:
        form.errors[name] = _("日付を、2026-11-24のように入力してください。")
        return None
    return day


def _form_page(
    request: Req,
    facts: TownFacts,
    action: str,
    values: Mapping[str, str],
    *,
    errors: Mapping[str, str] | None = None,
    check: str = "",
    moved: str = "",
    is_saved: bool = False,
    status: int = 200,
) -> Template:
    return page(
        request,
        "bulk_edit.html",
        status=status,
        path_of=PATH,
        action=action,
        values=dict.fromkeys(FIELDS, "") | dict(values),
        errors=errors or {},
        check=check,
        moved=moved,
        is_saved=is_saved,
        **form_options(facts),
    )


def _line(bulk: Bulk, counts: Mapping[Any, int]) -> dict[str, Any]:
    state, kind = STATE_NAMES[bulk.state]
    return {
        "title": title_of(bulk),
        "href": f"{PATH}/{bulk.bulk_id}",
        "what": translate(KIND_NAMES[choice_of(bulk.written.kind, bulk.written.reason)]),
        "state": translate(state),
        "state_kind": kind,
        "people": sum(counts.values()) if bulk.sent_at else None,
        "waiting": counts.get("waiting", 0),
        "at": bulk.sent_at or bulk.saved_at,
    }


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text) if text else None
    except ValueError as error:
        raise Refusal("not_found", 404) from error
    return moment if moment is None or moment.tzinfo else None
