"""One form (手続一か所): what may be used for which of its procedures, item by item, one answer for all of them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect, Template

from services.routing.commands.one_form import (
    OfferedTogether,
    Unanswered,
    decide_together,
    lock_members,
    offered_to,
    preview_together,
)
from services.routing.domain.catalogue import Words
from services.routing.keys import Keys
from services.routing.pages.file_wording import attached_name
from services.routing.pages.item_fields import show_value
from services.routing.pages.one_form import read_plan, without_members
from services.routing.pages.one_form_wording import use_words
from services.routing.pages.wording import LEGAL_BASIS
from services.routing.queries.catalogue import get_town
from services.routing.queries.one_form import Member
from services.routing.queries.plans import Plan
from shared.db import Database
from shared.tokens import Identity
from shared.web.forms import read_form
from shared.web.i18n import gettext as _
from shared.web.i18n import translate
from shared.web.identity import require_visitor
from shared.web.pages import page, see_other

Req = Request[Any, Any, Any]


@get("/plans/{plan_id:str}/reuse", guards=[require_visitor])
async def show_reuse(
    request: Req,
    plan_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
) -> Template | Redirect:
    """What earlier procedures hold, or was typed in this form, and for which of its procedures it would be used."""
    async with db.begin(identity.municipality) as session:
        made = await read_plan(session, identity, plan_id)
        members = await lock_members(session, identity, made)
        if not members:
            return without_members(made)
        town = await get_town(session, identity.municipality)
        offers = await preview_together(session, keys.vault, identity=identity, members=members, now=now)
    if not offers:
        return see_other(f"/plans/{made.plan_id}/form")
    return _reuse_page(request, made, members, offers, {offer.item: offer.answer for offer in offers}, {}, town.things)


@post("/plans/{plan_id:str}/reuse", guards=[require_visitor])
async def post_reuse(
    request: Req,
    plan_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
) -> Template | Redirect:
    """All that is shown, nothing of it, or each item as answered, for all of its procedures."""
    fields = await read_form(request)
    async with db.begin(identity.municipality) as session:
        made = await read_plan(session, identity, plan_id)
        members = await lock_members(session, identity, made)
        if not members:
            return without_members(made)
        shown = {
            member.case_id: {
                item: fields[name]
                for item in (*member.needed, *member.attached)
                if (name := f"offer_{item}_{member.case_id}") in fields
            }
            for member in members
        }
        for_all = fields.get("all", "")
        answers = {
            item: for_all if for_all in ("yes", "no") else fields.get(f"use_{item}", "") for item in offered_to(members)
        }
        town = await get_town(session, identity.municipality)
        outcome = await decide_together(
            session, identity=identity, members=members, answers=answers, shown=shown, now=now
        )
        offers = (
            await preview_together(session, keys.vault, identity=identity, members=members, now=now) if outcome else ()
        )
    if outcome is None or not offers:
        return see_other(f"/plans/{made.plan_id}/online")
    errors = {f"use_{item}": _("「はい」か「いいえ」を選んでください。") for item in outcome.missing}
    return _reuse_page(
        request, made, members, offers, answers, errors, town.things, outcome=outcome, is_each_open=not for_all
    )


def _reuse_page(
    request: Req,
    made: Plan,
    members: tuple[Member, ...],
    offers: tuple[OfferedTogether, ...],
    answers: Mapping[str, str],
    errors: Mapping[str, str],
    things: Sequence[Words],
    *,
    outcome: Unanswered | None = None,
    is_each_open: bool = False,
) -> Template:
    names = {member.case_id: member.procedure_name for member in members}
    is_stale = outcome is not None and outcome.is_stale
    rows = [
        {
            "item": offer.item,
            "term": attached_name(offer.item, things),
            "text": f"{show_value(offer.item, offer.value or '')}\n{use_words([names[case] for case in offer.offers])}",
            "use": use_words([names[case] for case in offer.offers]),
            "answer": answers.get(offer.item, ""),
            "offers": {f"offer_{offer.item}_{case}": shown.offer_id for case, shown in offer.offers.items()},
        }
        for offer in offers
    ]
    return page(
        request,
        "one_form_reuse.html",
        status=409 if is_stale else 422 if errors else 200,
        action=f"/plans/{made.plan_id}/reuse",
        back=f"/plans/{made.plan_id}/form",
        offers=rows,
        errors=errors,
        is_stale=is_stale,
        is_each_open=is_each_open or "no" in answers.values(),
        legal_basis=translate(LEGAL_BASIS["appi_69_2_1"]),
    )
