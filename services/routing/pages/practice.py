"""`/office/practice`: the way to the practice town, and in it, the button to begin anew."""

from datetime import datetime
from typing import Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.response import Redirect, Template

from services.routing.commands.practice import is_reset_ordered, order_reset
from services.routing.queries.practice import has_practice_town
from shared.db import Database
from shared.practice import HOST_PREFIX, is_practice
from shared.tokens import Identity
from shared.web.identity import require_role
from shared.web.pages import PRACTICE, page, see_other

GUARDS = [require_role("counter", "back_office", "coordinator", "manager")]

Req = Request[Any, Any, Any]


@get(PRACTICE, guards=GUARDS)
async def show_practice(
    request: Req, db: NamedDependency[Database], identity: NamedDependency[Identity], secure: NamedDependency[bool]
) -> Template:
    """In a real town, where to practise. In a practice town, how to begin anew, or that it is about to."""
    town = identity.municipality
    async with db.begin(town) as session:
        is_ordered = await is_reset_ordered(session, town)
        is_there = not is_practice(town) and await has_practice_town(session, town)
    # The name that this page was asked by: the practice town has the same, with another beginning.
    address = f"{'https' if secure else 'http'}://{HOST_PREFIX}{request.headers.get('host', '')}/counter"
    return page(request, "practice.html", is_ordered=is_ordered, address=address if is_there else None)


@post(PRACTICE, guards=GUARDS)
async def post_practice(
    db: NamedDependency[Database], now: NamedDependency[datetime], identity: NamedDependency[Identity]
) -> Redirect:
    """Begin anew. Whoever may open the other databases does it: the operator's publisher."""
    async with db.begin(identity.municipality) as session:
        await order_reset(session, identity=identity, now=now)
    return see_other(PRACTICE)
