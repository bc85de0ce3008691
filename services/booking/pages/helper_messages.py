"""`/helpers/messages`: coordinators write to a group of helpers, having seen to how many; and what was sent before."""

from datetime import datetime
from typing import Any
from uuid import uuid4

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromQuery
from litestar.response import Redirect, Template

from services.booking.commands.helper_messages import (
    BODY_MAX_LENGTH,
    KEPT,
    SUBJECT_MAX_LENGTH,
    SendMessage,
    send_message,
)
from services.booking.commands.standing import STANDINGS
from services.booking.flow import Rush
from services.booking.keys import Keys
from services.booking.pages.coordinator_wording import LANGUAGES, group_label, standing_label, tabs
from services.booking.pages.wording import language_name
from services.booking.queries.helper_messages import Group, list_group, list_sent
from services.booking.queries.helpers import list_topics, list_venues
from services.booking.refusals import REFUSALS
from shared.audit import record_deed
from shared.db import Database
from shared.errors import Refusal
from shared.events.booking import SealedMessage
from shared.tokens import Identity
from shared.web.forms import Form, parse_uuid, read_form
from shared.web.i18n import gettext as _
from shared.web.i18n import translate
from shared.web.identity import require_role
from shared.web.pages import page, see_other
from shared.web.town import Town

GUARDS = [require_role("coordinator", "manager")]
ROOT = "/helpers/messages"
PEOPLE_DIGITS_MAX = 4

Req = Request[Any, Any, Any]


@get(ROOT, guards=GUARDS)
async def get_messages(
    request: Req,
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    venue: FromQuery[str] = "",
    sent: FromQuery[str] = "",
) -> Template:
    """The form, with a venue chosen if one was, and what was written before."""
    form = Form({"venue": venue})
    return await _messages_page(request, db, keys, town, identity, form, now=now, sent=sent)


@get(f"{ROOT}/preview", guards=GUARDS)
async def get_preview_address() -> Redirect:
    """Where a draft is sent, opened as a page."""
    return see_other(ROOT)


@post(f"{ROOT}/preview", guards=GUARDS)
async def post_message_preview(
    request: Req,
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Template:
    """How it will read, and to how many it goes; nothing of it is sent."""
    form = Form(await read_form(request))
    async with db.begin(town.code) as session:
        venues = {venue.code: venue.name_ja for venue in await list_venues(session, town.code)}
        topics = await list_topics(session, town.code)
        group, message = _read(form, tuple(venues), tuple(topics))
        people = len(await list_group(session, town.code, group)) if form.ok else 0
    if not form.ok:
        return await _messages_page(request, db, keys, town, identity, form, now=now)
    if not people:
        return await _messages_page(
            request, db, keys, town, identity, form, now=now, refusal=Refusal("group_empty", 409)
        )
    return page(
        request,
        "message_preview.html",
        action=ROOT,
        message_id=uuid4(),
        group=group,
        group_text=group_label(group, venues, topics),
        people=people,
        message=message,
    )


@post(ROOT, guards=GUARDS)
async def post_message(
    request: Req,
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Template | Redirect:
    """Send what was looked at."""
    form = Form(await read_form(request))
    async with db.begin(town.code) as session:
        venues = tuple(venue.code for venue in await list_venues(session, town.code))
        topics = tuple(await list_topics(session, town.code))
    group, message = _read(form, venues, topics)
    if not form.ok or form.value("deed") == "edit":
        return await _messages_page(request, db, keys, town, identity, form, now=now)
    message_id = parse_uuid(form.value("message_id"), code="message_unfit", status=422)
    order = SendMessage(message_id=message_id, group=group, message=message)
    try:
        people = await rush.run(db, town.code, lambda session: send_message(session, identity, order, keys, now=now))
    except Refusal as refusal:
        if refusal.code != "group_empty":
            raise
        return await _messages_page(request, db, keys, town, identity, form, now=now, refusal=refusal)
    return see_other(f"{ROOT}?sent={people}")


async def _messages_page(
    request: Req,
    db: Database,
    keys: Keys,
    town: Town,
    identity: Identity,
    form: Form,
    *,
    now: datetime,
    sent: str = "",
    refusal: Refusal | None = None,
) -> Template:
    async with db.begin(town.code) as session:
        venues = {venue.code: venue.name_ja for venue in await list_venues(session, town.code)}
        topics = await list_topics(session, town.code)
        messages = await list_sent(session, town.code, keys)
        await record_deed(session, identity, "view-helper-messages", town.code, now=now)
    text = REFUSALS[refusal.code] if refusal else None
    return page(
        request,
        "helper_messages.html",
        status=refusal.status if refusal else 422 if form.errors else 200,
        tabs=tabs(ROOT),
        action=f"{ROOT}/preview",
        values=form.values,
        errors=form.errors,
        subject_max=SUBJECT_MAX_LENGTH,
        body_max=BODY_MAX_LENGTH,
        kept_days=KEPT.days,
        venues=_options(_("どの会場でも"), venues),
        topics=_options(_("どの内容でも"), topics),
        languages=_options(_("どのことばでも"), {code: language_name(code) for code in LANGUAGES}),
        standings=_options(_("お休み中の方のほか、全員"), {each: standing_label(each) for each in STANDINGS}),
        messages=[{"item": each, "group": group_label(each.group, venues, topics)} for each in messages],
        sent=int(sent) if sent.isascii() and sent.isdigit() and len(sent) <= PEOPLE_DIGITS_MAX else None,
        refused_title=translate(text.title) if text else None,
        refused_advice=translate(text.advice) if text else None,
    )


def _read(form: Form, venues: tuple[str, ...], topics: tuple[str, ...]) -> tuple[Group, SealedMessage]:
    standing = form.choice("standing", STANDINGS, required=False)
    group = Group(
        venue=form.choice("venue", venues, required=False),
        topic=form.choice("topic", topics, required=False),
        language=form.choice("language", LANGUAGES, required=False),
        standing=next((each for each in STANDINGS if each == standing), ""),
    )
    subject = form.text("subject", max_length=SUBJECT_MAX_LENGTH)
    return group, SealedMessage(subject=subject, body=form.long_text("body", max_length=BODY_MAX_LENGTH))


def _options(everybody: str, known: dict[str, str]) -> list[dict[str, str]]:
    return [{"value": "", "label": everybody}] + [{"value": code, "label": name} for code, name in known.items()]
