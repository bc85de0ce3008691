"""Buttons of an application that the person is not told of: who works on it, and what was gone through."""

from datetime import datetime
from typing import Any

from litestar import Request, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect, Template

from services.routing.commands.office import assign_application, tick_checks
from services.routing.keys import Keys
from services.routing.pages.office import OFFICE, TOLD_ON_THE_PAGE, detail_page, read_version
from shared.db import Database
from shared.errors import Refusal
from shared.tokens import Identity
from shared.town_pack.office import CHECKS_MAX
from shared.web.forms import Form, parse_uuid, read_form
from shared.web.pages import see_other

REF_MAX_LENGTH = 40
CODES_MAX_LENGTH = 500

Req = Request[Any, Any, Any]


@post("/office/applications/{application_id:str}/assign", guards=OFFICE)
async def post_assign(
    request: Req,
    application_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
) -> Template | Redirect:
    """Take it, give it to a colleague, or give it back."""
    form = Form(await read_form(request))
    try:
        async with db.begin(identity.municipality) as session:
            await assign_application(
                session,
                identity=identity,
                application_id=parse_uuid(application_id, code="application_unknown"),
                before=form.value("before")[:REF_MAX_LENGTH] or None,
                assignee=form.value("assignee")[:REF_MAX_LENGTH] or None,
                now=now,
            )
    except Refusal as error:
        return await _told(request, db, keys, identity, application_id, error, now=now)
    return see_other(f"/office/applications/{application_id}")


@post("/office/applications/{application_id:str}/checks", guards=OFFICE)
async def post_checks(
    request: Req,
    application_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
) -> Template | Redirect:
    """Keep what was ticked."""
    form = Form(await read_form(request))
    version = read_version(form)
    ticked = [name.removeprefix("check_") for name, value in form.values.items() if name.startswith("check_") and value]
    try:
        async with db.begin(identity.municipality) as session:
            await tick_checks(
                session,
                identity=identity,
                application_id=parse_uuid(application_id, code="application_unknown"),
                version=version,
                before=form.value("before")[:CODES_MAX_LENGTH].split("."),
                ticked=ticked[:CHECKS_MAX],
                now=now,
            )
    except Refusal as error:
        return await _told(request, db, keys, identity, application_id, error, now=now)
    return see_other(f"/office/applications/{application_id}")


async def _told(
    request: Req,
    db: Database,
    keys: Keys,
    identity: Identity,
    application_id: str,
    refusal: Refusal,
    *,
    now: datetime,
) -> Template:
    """What is true now, with what happened above it."""
    if refusal.code not in TOLD_ON_THE_PAGE:
        raise refusal
    async with db.begin(identity.municipality) as session:
        return await detail_page(request, session, keys, identity, application_id, now=now, refusal=refusal)
