"""`/office`: the inbox of an office, what is due first before the rest."""

from datetime import datetime
from typing import Any

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.response import Template

from services.routing.commands.protecting import may_register
from services.routing.domain.office import VIEWS, View, is_late
from services.routing.pages.application_wording import STATE_LOOKS
from services.routing.pages.office import OFFICE
from services.routing.pages.office_wording import FILTERS, OFFICE_STATES
from services.routing.pages.wording import CHANNEL_TITLES
from services.routing.queries.catalogue import procedure_names
from services.routing.queries.inquiries import count_waiting
from services.routing.queries.office import PAGE, InInbox, count_inbox, list_inbox, logins_of
from shared.db import Database
from shared.tokens import Identity
from shared.web.i18n import translate
from shared.web.pages import page

PAGES_MAX = 200


@get("/office", guards=OFFICE)
async def show_office(
    request: Request[Any, Any, Any],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
) -> Template:
    """The office's applications, in one of the views; a manager sees those of every office."""
    asked = request.query_params.get("state", "open")
    view: View = next((name for name in VIEWS if name == asked), "open")
    number = _page_number(request)
    office = None if identity.has_role("manager") else identity.office
    async with db.begin(identity.municipality) as session:
        listed = await list_inbox(session, identity, office=office, view=view, now=now, skip=(number - 1) * PAGE)
        counts = await count_inbox(session, identity, office=office, now=now)
        names = await procedure_names(session, identity.municipality)
        logins = await logins_of(session, identity.municipality, [line.assignee for line in listed])
        inquiries = await count_waiting(session, identity.municipality, office=office, now=now)
        may_protect = await may_register(session, identity)
    return page(
        request,
        "office.html",
        office=office,
        inquiries=inquiries,
        lines=[_line(line, names, logins, identity, now) for line in listed[:PAGE]],
        filters=[
            {
                "href": f"/office?state={name}",
                "label": translate(FILTERS[name]),
                "count": counts.get(name),
                "current": name == view,
            }
            for name in VIEWS
        ],
        may_protect=may_protect,
        more=f"/office?state={view}&page={number + 1}" if len(listed) > PAGE else None,
        first=f"/office?state={view}" if number > 1 else None,
    )


def _line(
    line: InInbox, names: dict[str, tuple[str, str]], logins: dict[str, str], identity: Identity, now: datetime
) -> dict[str, Any]:
    return {
        "href": f"/office/applications/{line.application_id}",
        "number": line.number,
        "title": names[line.procedure][0] if line.procedure in names else line.procedure,
        "office": line.office,
        "state": translate(OFFICE_STATES[line.state]),
        "look": STATE_LOOKS[line.state],
        "wish": translate(CHANNEL_TITLES[line.wish]) if line.wish else None,
        "submitted_at": line.submitted_at,
        "due_at": line.due_at,
        "is_late": is_late(line.state, line.due_at, now),
        "assignee": logins.get(line.assignee, "") if line.assignee else None,
        "is_mine": line.assignee == identity.ref,
    }


def _page_number(request: Request[Any, Any, Any]) -> int:
    """The page of the list that was asked for; whatever else is written there is the first."""
    typed = request.query_params.get("page", "")
    is_number = typed.isascii() and typed.isdigit() and len(typed) <= len(str(PAGES_MAX))
    return min(max(int(typed), 1), PAGES_MAX) if is_number else 1
