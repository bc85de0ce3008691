"""The office asked somebody who applied online to come: the case that was sent leads to the counter's times."""

from datetime import datetime
from urllib.parse import quote

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect

from services.routing.commands.switching import go_to_the_counter
from services.routing.queries.mine import find_live_appointment
from shared.db import Database
from shared.tokens import Identity
from shared.web.forms import parse_uuid
from shared.web.identity import require_visitor
from shared.web.pages import see_other


@post("/cases/{case_id:str}/visit", guards=[require_visitor])
async def post_visit(
    case_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
) -> Redirect:
    """On to a time at the counter, with what was given; whoever has one already is led to it."""
    case = parse_uuid(case_id, code="case_unknown")
    async with db.begin(identity.municipality) as session:
        await go_to_the_counter(session, identity=identity, case_id=case, now=now)
        booked = await find_live_appointment(session, identity.municipality, case, channel="counter", now=now)
    return see_other(f"/booking/appointments/{booked}" if booked is not None else f"/cases/{case}/handover")


@get("/cases/{case_id:str}/visit", guards=[require_visitor])
async def get_visit_address(case_id: FromPath[str]) -> Redirect:
    """Where the button is sent, opened as a page."""
    return see_other(f"/cases/{quote(case_id)}")
