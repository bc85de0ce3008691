"""`/office/cases/{case_id}/protection`: whether the person of a case is protected (秘匿), set and lifted by staff."""

from datetime import datetime
from typing import Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect, Template

from services.routing.commands.protecting import Standing, lift_protection, protect, show_standing
from services.routing.pages.wording import REFUSALS
from services.routing.queries.case_numbers import find_case
from shared.db import Database
from shared.errors import Refusal
from shared.tokens import Identity
from shared.web.forms import Form, parse_uuid, read_form
from shared.web.i18n import gettext as _
from shared.web.i18n import translate
from shared.web.identity import require_role
from shared.web.pages import page, see_other

GUARDS = [require_role("back_office", "manager")]
CHECKED, CHECKED_FIELD = "yes", "checked"

Req = Request[Any, Any, Any]


@get("/office/protection", guards=GUARDS)
async def show_find_protection(request: Req) -> Template:
    """Whose? A number, please."""
    return page(request, "find_protection.html", form=Form({}))


@post("/office/protection", guards=GUARDS)
async def post_find_protection(
    request: Req, db: NamedDependency[Database], identity: NamedDependency[Identity]
) -> Template | Redirect:
    """Leads to the case of whoever has this number, of any office."""
    form = Form(await read_form(request))
    async with db.begin(identity.municipality) as session:
        case_id = await find_case(session, municipality=identity.municipality, typed=form.value("number"))
    if case_id is None:
        form.errors["number"] = _("この番号の予約も申請も見つかりません。番号を確かめてください。")
        return page(request, "find_protection.html", status=422, form=form)
    return see_other(f"/office/cases/{case_id}/protection")


@get("/office/cases/{case_id:str}/protection", guards=GUARDS)
async def show_protection(
    request: Req,
    case_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
) -> Template:
    """Since when, and what follows from it. Nothing that the person gave is on this page."""
    standing = await _standing(db, identity, case_id, now=now)
    return _page(request, case_id, standing)


@post("/office/cases/{case_id:str}/protection", guards=GUARDS)
async def post_protection(
    request: Req,
    case_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
) -> Template | Redirect:
    """Set it, or lift the period that was seen (`lift`), once staff say that they have checked it."""
    form = Form(await read_form(request))
    case = parse_uuid(case_id, code="case_unknown")
    lifted = form.value("lift")
    if form.value(CHECKED_FIELD) != CHECKED:
        form.errors[CHECKED_FIELD] = _("確かめたことに、しるしをつけてください。")
        return _page(request, case_id, await _standing(db, identity, case_id, now=now), errors=form.errors)
    try:
        async with db.begin(identity.municipality) as session:
            if lifted:
                period = parse_uuid(lifted, code="form_unreadable", status=400)
                await lift_protection(session, identity=identity, case_id=case, protection_id=period, now=now)
            else:
                await protect(session, identity=identity, case_id=case, now=now)
    except Refusal as refusal:
        if refusal.code != "nothing_to_protect":
            raise
        return _page(request, case_id, await _standing(db, identity, case_id, now=now), refusal=refusal)
    return see_other(f"/office/cases/{case}/protection")


async def _standing(db: Database, identity: Identity, case_id: str, *, now: datetime) -> Standing:
    async with db.begin(identity.municipality) as session:
        return await show_standing(
            session, identity=identity, case_id=parse_uuid(case_id, code="case_unknown"), now=now
        )


def _page(
    request: Req,
    case_id: str,
    standing: Standing,
    *,
    errors: dict[str, str] | None = None,
    refusal: Refusal | None = None,
) -> Template:
    text = REFUSALS[refusal.code] if refusal else None
    return page(
        request,
        "protection.html",
        status=refusal.status if refusal else 422 if errors else 200,
        action=f"/office/cases/{case_id}/protection",
        standing=standing,
        errors=errors or {},
        refused_title=translate(text.title) if text else None,
        refused_advice=translate(text.advice) if text else None,
    )
