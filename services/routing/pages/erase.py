"""A visitor has their own information erased: what goes, what stays and why, and afterwards how far it is."""

from datetime import datetime
from typing import Any
from uuid import uuid4

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect, Template

from services.routing.commands.erasure import erase_myself
from services.routing.pages.application_access import forgotten_cookies
from services.routing.pages.case_access import forgotten_cases
from services.routing.pages.cookies import take_session
from services.routing.pages.sessions import FORGET
from services.routing.pages.wording import item_names
from services.routing.queries.catalogue import get_town, procedure_names
from services.routing.queries.erasure import all_erasable, all_in_the_way, find_erasable, find_erasure, find_in_the_way
from services.routing.queries.mine import list_subjects
from shared.db import Database
from shared.errors import Refusal
from shared.tokens import Identity
from shared.web.forms import Form, parse_uuid, read_form
from shared.web.i18n import gettext as _
from shared.web.identity import PUBLIC, require_visitor
from shared.web.pages import page
from shared.web.town import Town

UNDERSTOOD = "yes"
Req = Request[Any, Any, Any]


@get("/my/erase", guards=[require_visitor])
async def show_erase(
    request: Req,
    db: NamedDependency[Database],
    identity: NamedDependency[Identity],
    now: NamedDependency[datetime],
) -> Template:
    """What would be erased and what stays; or what has to come to its end first."""
    return await _erase_page(request, db, identity, {}, now=now)


@post("/my/erase", guards=[require_visitor])
async def post_erase(
    request: Req,
    db: NamedDependency[Database],
    identity: NamedDependency[Identity],
    now: NamedDependency[datetime],
    secure: NamedDependency[bool],
) -> Template | Redirect:
    """Erase it. Sent twice, it is done once; the session ends with it."""
    form = Form(await read_form(request))
    if form.value("understood") != UNDERSTOOD:
        problem = {"understood": _("もとにもどせないことを確かめて、しるしをつけてください。")}
        return await _erase_page(request, db, identity, problem, now=now)
    key = parse_uuid(form.value("idempotency_key"), code="form_unreadable", status=400)
    try:
        async with db.begin(identity.municipality) as session:
            number = await erase_myself(session, identity, request_key=key, now=now)
    except Refusal as refusal:
        if refusal.code not in ("erasure_in_the_way", "nothing_to_erase"):
            raise
        # The page says what it is.
        return await _erase_page(request, db, identity, {}, now=now)
    # What booking left in the browser goes, too: others may use it.
    response = Redirect(FORGET, query_params={"next": f"/erasures/{number}"}, status_code=303)
    take_session(response, secure=secure)
    for cookie in (
        *forgotten_cookies(request.cookies, secure=secure),
        *forgotten_cases(request.cookies, secure=secure),
    ):
        response.set_cookie(cookie)
    return response


@get("/erasures/{number:str}", opt=PUBLIC)
async def show_erasure(
    request: Req, number: FromPath[str], db: NamedDependency[Database], town: NamedDependency[Town]
) -> Template:
    """How far an erasure is: for whoever has its number. It says nothing of whom it was."""
    async with db.begin(town.code) as session:
        found = await find_erasure(session, town.code, number)
        facts = await get_town(session, town.code)
    if found is None:
        raise Refusal("erasure_unknown", 404)
    return page(request, "erased.html", erasure=found, phone=facts.phone)


async def _erase_page(
    request: Req, db: Database, identity: Identity, errors: dict[str, str], *, now: datetime
) -> Template:
    async with db.begin(identity.municipality) as session:
        town, subjects = identity.municipality, await list_subjects(session, identity)
        names = await procedure_names(session, town)
        erasable = all_erasable([await find_erasable(session, town, each) for each in subjects]) if subjects else None
        in_the_way = all_in_the_way([await find_in_the_way(session, town, each, now=now) for each in subjects])

    def title(procedure: str) -> str:
        return names[procedure][0] if procedure in names else procedure

    return page(
        request,
        "erase.html",
        status=422 if errors else 200,
        errors=errors,
        key=uuid4(),
        erasable=erasable,
        has_family=len(subjects) > 1,
        item_names=item_names(erasable.items) if erasable is not None and erasable.items else None,
        applications=[
            {"href": f"/applications/{open_.number}", "title": title(open_.procedure), "number": open_.number}
            for open_ in in_the_way.applications
        ],
        appointments=[
            {
                "href": f"/booking/appointments/{ahead.number}",
                "title": title(ahead.procedure),
                "starts_at": ahead.starts_at,
            }
            for ahead in in_the_way.appointments
        ],
    )
