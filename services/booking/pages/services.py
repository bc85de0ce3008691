"""What is done in one appointment: how many, and what else at the same counter. Works without JavaScript."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from litestar import Request, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect

from services.booking.commands.services import ChooseServices, choose_services
from services.booking.domain.services import Service, ServiceKind
from services.booking.flow import Rush
from services.booking.keys import Keys
from services.booking.pages.look import read_look
from services.booking.pages.visits import GUARDS, SERVICES_AGAIN, VISIT_ENDED
from services.booking.queries.services import list_offered
from services.booking.queries.visits import get_visit
from shared.db import Database
from shared.errors import Refusal
from shared.tokens import Identity
from shared.web.forms import parse_uuid, read_form
from shared.web.identity import staff_of
from shared.web.pages import see_other
from shared.web.town import Town

QUANTITY_MAX_DIGITS = 2


@post("/booking/visits/{visit_id:str}/services", guards=GUARDS)
async def post_services_page(
    request: Request[Any, Any, Any],
    visit_id: FromPath[str],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Redirect:
    """Chosen: the times that follow are long enough for it. What cannot be chosen is said by the page that is GET."""
    fields = await read_form(request)
    visit_key = parse_uuid(visit_id, code="visit_unknown")
    base, look = f"/booking/visits/{visit_key}", read_look(fields).query()
    async with db.begin(town.code) as session:
        visit = await get_visit(session, town.code, visit_key, identity.ref, keys)
        offered = await list_offered(session, town.code, visit.procedure)
    try:
        order = ChooseServices(
            municipality=town.code,
            visit_id=visit_key,
            visitor=identity.ref,
            services=read_services_form(offered, visit.procedure, fields),
            staff=staff_of(identity),
        )
        await rush.run(db, town.code, lambda session: choose_services(session, order, now=now))
    except Refusal as refusal:
        if refusal.code in VISIT_ENDED:
            return see_other(base)
        if refusal.code not in SERVICES_AGAIN:
            raise
        look["refused"] = refusal.code
    # A day that was looked at may have nothing that is long enough.
    return see_other(f"{base}?{urlencode(look)}#services" if look else f"{base}#services")


def read_services_form(offered: Sequence[ServiceKind], own: str, fields: Mapping[str, str]) -> tuple[Service, ...]:
    """What a form chose of what is offered; a case's own procedure comes first, and is not left out.

    Raises:
        Refusal: `services_unfit` (409), a quantity that is no number.
    """
    chosen = []
    for kind in offered:
        typed = fields.get(f"quantity_{kind.code}", "")
        if typed and not (typed.isascii() and typed.isdigit() and len(typed) <= QUANTITY_MAX_DIGITS):
            raise Refusal("services_unfit", 409)
        quantity = max(int(typed or 0), 1 if kind.code == own else 0)
        if quantity:
            chosen.append(Service(kind.code, quantity))
    return tuple(chosen)
