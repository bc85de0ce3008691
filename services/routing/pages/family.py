"""`/cases/{case_id}/person` and `/family`: whose a case is, and what the one who acts gives to the other's form."""

from datetime import datetime
from typing import Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect, Template

from services.routing.commands.family import choose_person, decide_family, preview_family
from services.routing.commands.offers import ShownOffer, Undecided
from services.routing.commands.online import OnlineCase, get_online_case
from services.routing.domain.family import SHARED_ITEMS, read_person
from services.routing.keys import Keys
from services.routing.pages.item_fields import item_name, show_value
from services.routing.pages.wording import LEGAL_BASIS
from shared.db import Database
from shared.errors import Refusal
from shared.tokens import Identity
from shared.web.forms import parse_uuid, read_form
from shared.web.i18n import gettext as _
from shared.web.i18n import translate
from shared.web.identity import require_visitor
from shared.web.pages import page, see_other

PERSON_MAX_LENGTH = 5

Req = Request[Any, Any, Any]


@get("/cases/{case_id:str}/person", guards=[require_visitor])
async def get_person_address(case_id: FromPath[str]) -> Redirect:
    """Where the form is sent, opened as a page: advice may have stood there."""
    return see_other(f"/cases/{parse_uuid(case_id, code='case_unknown')}")


@post("/cases/{case_id:str}/person", guards=[require_visitor])
async def post_person(
    request: Req,
    case_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
) -> Redirect:
    """For oneself, or for somebody of the family. Staff have said for whom before they began."""
    case = parse_uuid(case_id, code="case_unknown")
    person = read_person((await read_form(request)).get("person", "")[:PERSON_MAX_LENGTH])
    async with db.begin(identity.municipality) as session:
        online = await get_online_case(session, identity, case, now=now)
        if identity.kind == "guest":
            if person is None:
                raise Refusal("person_unknown", 404)
            await choose_person(session, identity=identity, case_id=case, person=person, now=now)
    return see_other(f"/cases/{case}/{'family' if online.channel == 'online' else 'you'}")


@get("/cases/{case_id:str}/family", guards=[require_visitor])
async def show_family(
    request: Req,
    case_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
) -> Template | Redirect:
    """What the visitor gave for themselves and this form needs too; on to the form when there is nothing."""
    case = parse_uuid(case_id, code="case_unknown")
    async with db.begin(identity.municipality) as session:
        online = await get_online_case(session, identity, case, now=now)
        if (elsewhere := _elsewhere(online)) is not None:
            return elsewhere
        offers = await preview_family(session, keys.vault, identity=identity, case_id=case, now=now)
    if not offers:
        return see_other(_goes_on(online))
    return _family_page(request, online, offers, {offer.item: offer.answer for offer in offers}, {})


@post("/cases/{case_id:str}/family", guards=[require_visitor])
async def post_family(
    request: Req,
    case_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
) -> Template | Redirect:
    """Each item as answered: there is no button for all of them."""
    case = parse_uuid(case_id, code="case_unknown")
    fields = await read_form(request)
    shown = {item: fields[f"offer_{item}"] for item in SHARED_ITEMS if f"offer_{item}" in fields}
    answers = {item: fields.get(f"use_{item}", "") for item in shown}
    async with db.begin(identity.municipality) as session:
        online = await get_online_case(session, identity, case, now=now)
        if (elsewhere := _elsewhere(online)) is not None:
            return elsewhere
        outcome = await decide_family(
            session, keys.vault, identity=identity, case_id=case, answers=answers, shown=shown, now=now
        )
        offers = await preview_family(session, keys.vault, identity=identity, case_id=case, now=now) if outcome else ()
    if outcome is None or not offers:
        return see_other(_goes_on(online))
    errors = {f"use_{item}": _("「はい」か「いいえ」を選んでください。") for item in outcome.missing}
    return _family_page(request, online, offers, answers, errors, outcome=outcome)


def _elsewhere(online: OnlineCase) -> Redirect | None:
    """Only a form of somebody else's is asked about here."""
    if online.sent is not None:
        return see_other(f"/applications/{online.sent}")
    if online.channel != "online":
        return see_other(f"/cases/{online.case_id}/handover")
    return see_other(_goes_on(online)) if online.person is None else None


def _goes_on(online: OnlineCase) -> str:
    return f"/plans/{online.one_form}/online" if online.one_form else f"/cases/{online.case_id}/reuse"


def _family_page(
    request: Req,
    online: OnlineCase,
    offers: tuple[ShownOffer, ...],
    answers: dict[str, Any],
    errors: dict[str, str],
    *,
    outcome: Undecided | None = None,
) -> Template:
    is_stale = outcome is not None and outcome.is_stale
    return page(
        request,
        "family.html",
        status=409 if is_stale else 422 if errors else 200,
        case=online,
        offers=[
            {
                "item": offer.item,
                "offer_id": offer.offer_id,
                "term": item_name(offer.item),
                "text": show_value(offer.item, offer.value or ""),
                "answer": answers.get(offer.item, ""),
            }
            for offer in offers
        ],
        errors=errors,
        is_stale=is_stale,
        purpose=translate(offers[0].purpose),
        legal_basis=translate(LEGAL_BASIS[offers[0].legal_basis]),
    )
