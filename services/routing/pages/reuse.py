"""What earlier procedures hold and a form needs: used again, item by item, by approval."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect, Template

from services.routing.commands.offers import ShownOffer, Undecided
from services.routing.commands.online import OnlineCase, get_online_case
from services.routing.commands.open_pages import note_page
from services.routing.commands.reuse import decide_reuse, preview_reuse
from services.routing.domain.catalogue import Words
from services.routing.keys import Keys
from services.routing.pages.file_wording import attached_name
from services.routing.pages.item_fields import (
    show_value,
)
from services.routing.pages.online_case import elsewhere_of
from services.routing.pages.wording import LEGAL_BASIS
from services.routing.queries.catalogue import get_town
from shared.db import Database
from shared.tokens import Identity
from shared.web.forms import parse_uuid, read_form
from shared.web.i18n import gettext as _
from shared.web.i18n import translate
from shared.web.identity import require_visitor
from shared.web.pages import page, see_other

Req = Request[Any, Any, Any]


@get("/cases/{case_id:str}/reuse", guards=[require_visitor])
async def show_reuse(
    request: Req,
    case_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
) -> Template | Redirect:
    """What earlier procedures hold and this one needs; straight to the form when there is nothing."""
    case = parse_uuid(case_id, code="case_unknown")
    async with db.begin(identity.municipality) as session:
        online = await get_online_case(session, identity, case, now=now)
        if (elsewhere := elsewhere_of(online)) is not None:
            return elsewhere
        offers = await preview_reuse(session, keys.vault, identity=identity, case_id=case, now=now)
        town = await get_town(session, identity.municipality)
        if offers:
            await note_page(session, identity.municipality, case, "reuse")
    if not offers:
        return see_other(f"/cases/{case}/form")
    return _reuse_page(request, online, offers, {offer.item: offer.answer for offer in offers}, {}, town.things)


@post("/cases/{case_id:str}/reuse", guards=[require_visitor])
async def post_reuse(
    request: Req,
    case_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
) -> Template | Redirect:
    """All that is shown, nothing of it, or each as answered."""
    case = parse_uuid(case_id, code="case_unknown")
    fields = await read_form(request)
    async with db.begin(identity.municipality) as session:
        online = await get_online_case(session, identity, case, now=now)
        if (elsewhere := elsewhere_of(online)) is not None:
            return elsewhere
        asked = (*online.needed, *online.attached)
        shown = {item: fields[f"offer_{item}"] for item in asked if f"offer_{item}" in fields}
        for_all = fields.get("all", "")
        answers = (
            dict.fromkeys(shown, for_all)
            if for_all in ("yes", "no")
            else {item: fields.get(f"use_{item}", "") for item in shown}
        )
        outcome = await decide_reuse(session, identity=identity, case_id=case, answers=answers, shown=shown, now=now)
        offers = await preview_reuse(session, keys.vault, identity=identity, case_id=case, now=now) if outcome else ()
        town = await get_town(session, identity.municipality)
    if outcome is None or not offers:
        return see_other(f"/cases/{case}/form")
    errors = {f"use_{item}": _("「はい」か「いいえ」を選んでください。") for item in outcome.missing}
    return _reuse_page(request, online, offers, answers, errors, town.things, outcome=outcome, is_each_open=not for_all)


def _reuse_page(
    request: Req,
    online: OnlineCase,
    offers: tuple[ShownOffer, ...],
    answers: dict[str, Any],
    errors: dict[str, str],
    things: Sequence[Words],
    *,
    outcome: Undecided | None = None,
    is_each_open: bool = False,
) -> Template:
    rows = [
        {
            "item": offer.item,
            "offers": {f"offer_{offer.item}": offer.offer_id},
            "term": attached_name(offer.item, things),
            "text": show_value(offer.item, offer.value or ""),
            "answer": answers.get(offer.item, ""),
        }
        for offer in offers
    ]
    is_stale = outcome is not None and outcome.is_stale
    return page(
        request,
        "reuse.html",
        status=409 if is_stale else 422 if errors else 200,
        behalf=online.behalf,
        case=online,
        action=f"/cases/{online.case_id}/reuse",
        back=f"/procedures/{online.procedure}",
        offers=rows,
        errors=errors,
        is_stale=is_stale,
        is_each_open=is_each_open or "no" in answers.values(),
        legal_basis=translate(LEGAL_BASIS["appi_69_2_1"]),
    )
