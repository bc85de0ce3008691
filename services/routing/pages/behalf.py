"""`/office/behalf`: staff begin a procedure for somebody on the phone or at the desk, then walk that case's pages."""

from datetime import datetime
from typing import Any
from uuid import uuid4

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect, Template

from services.routing.commands.cases import open_case
from services.routing.domain.behalf import BEHALF, BEHALF_ROLES
from services.routing.domain.catalogue import CHANNELS
from services.routing.pages.behalf_path import CHANNEL_REFUSALS, ENTRY, UNKNOWN, UNSAID, behalf_path
from services.routing.pages.channel_wording import ChannelCard, channel_cards
from services.routing.pages.finding import search_procedures
from services.routing.pages.front import compare_procedure
from services.routing.pages.wording import REFUSALS, deadline_words, second_name
from services.routing.queries.catalogues import Catalogues
from shared.db import Database
from shared.errors import Refusal
from shared.tokens import Identity
from shared.web.forms import Form, parse_uuid, read_form
from shared.web.i18n import gettext as _
from shared.web.i18n import translate
from shared.web.identity import require_role
from shared.web.pages import page, see_other
from shared.web.town import Town

GUARDS = [require_role(*BEHALF_ROLES)]

Req = Request[Any, Any, Any]


@get(ENTRY, guards=GUARDS)
async def show_behalf(
    request: Req,
    db: NamedDependency[Database],
    town: NamedDependency[Town],
    now: NamedDependency[datetime],
    catalogues: NamedDependency[Catalogues],
    refused: FromQuery[str] = "",
) -> Template:
    """The same search as residents have."""
    async with db.begin(town.code) as session:
        searched = await search_procedures(request, session, town, catalogues, now=now)
    text = REFUSALS[UNKNOWN] if refused == UNKNOWN else None
    return page(
        request,
        "behalf_search.html",
        entry=ENTRY,
        refused_title=translate(text.title) if text else None,
        refused_advice=translate(text.advice) if text else None,
        **searched,
    )


@get(ENTRY + "/{code:str}", guards=GUARDS)
async def show_behalf_begin(
    request: Req,
    code: FromPath[str],
    db: NamedDependency[Database],
    town: NamedDependency[Town],
    now: NamedDependency[datetime],
    catalogues: NamedDependency[Catalogues],
    behalf: FromQuery[str] = "",
    channel: FromQuery[str] = "",
    refused: FromQuery[str] = "",
) -> Template | Redirect:
    """How did they come, and how is it to be done? After a refusal (`refused`), what was chosen and why not."""
    try:
        async with db.begin(town.code) as session:
            catalogue = await catalogues.read(session, town.code)
            procedure = catalogue.procedure(code)
            comparison = await compare_procedure(session, catalogue, procedure, now=now)
    except Refusal as refusal:
        if refusal.code != UNKNOWN:
            raise
        return see_other(behalf_path(""))
    errors: dict[str, str] = {}
    if refused == UNSAID and behalf not in BEHALF:
        errors["behalf"] = _("電話か、窓口かを選んでください。")
    if refused == UNSAID and channel not in CHANNELS:
        errors["channel"] = _("やり方を選んでください。")
    if refused in CHANNEL_REFUSALS:
        errors["channel"] = translate(REFUSALS[refused].title)
    cards = channel_cards(procedure, comparison, catalogue.town, now)
    return page(
        request,
        "behalf_begin.html",
        entry=ENTRY,
        procedure=procedure,
        second_name=second_name,
        deadline=deadline_words(procedure, catalogue.town),
        options=[_option(card) for card in cards],
        values={"behalf": behalf, "channel": channel},
        errors=errors,
        idempotency_key=uuid4(),
    )


@post(ENTRY + "/{code:str}", guards=GUARDS)
async def post_behalf(
    request: Req,
    code: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
) -> Redirect:
    """Begin it. A refusal is told by the page that is GET after it, with what was chosen."""
    form = Form(await read_form(request))
    channel = form.value("channel")
    behalf = next((way for way in BEHALF if way == form.value("behalf")), None)
    if behalf is None or channel not in CHANNELS:
        return see_other(behalf_path(code, behalf=behalf or "", channel=channel, refused=UNSAID))
    try:
        async with db.begin(identity.municipality) as session:
            case_id = await open_case(
                session,
                identity=identity,
                procedure_code=code,
                channel=channel,
                idempotency_key=parse_uuid(form.value("idempotency_key"), code="form_unreadable", status=400),
                behalf=behalf,
                now=now,
            )
    except Refusal as refusal:
        if refusal.code == UNKNOWN:
            return see_other(behalf_path(""))
        if refusal.code in CHANNEL_REFUSALS:
            return see_other(behalf_path(code, behalf=behalf, channel=channel, refused=refusal.code))
        raise
    return see_other(f"/cases/{case_id}")


def _option(card: ChannelCard) -> dict[str, Any]:
    """A way as a choice: when and how long, or why it cannot be had."""
    facts = (card.earliest, card.place, card.duration_text) if card.ready else (card.reason,)
    return {
        "value": card.channel,
        "label": card.title,
        "hint": "・".join(fact for fact in facts if fact),
        "icon": card.channel,
        "disabled": not card.ready,
    }
