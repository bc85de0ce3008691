"""The browser brings the pass of a case: to choose a time, or with a time that was said yes to before."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from litestar import Request, post
from litestar.di import NamedDependency
from litestar.response import Redirect

from services.booking.commands.holds import HoldPlace, hold_place
from services.booking.commands.visits import arrive
from services.booking.flow import Rush
from services.booking.keys import Keys
from services.booking.pages.visits import CHOOSE_AGAIN, GUARDS, VISIT_ENDED, book_held, refused_path
from services.booking.queries.slots import find_slot_at
from shared.db import Database
from shared.errors import Refusal
from shared.passes import open_pass
from shared.tokens import Identity
from shared.web.forms import read_form
from shared.web.identity import staff_of
from shared.web.pages import see_other
from shared.web.town import Town

PASS_ISSUER, PASS_PURPOSE = "routing", "book"
# A pass brought twice leads to the same visit, and to one appointment.
KEY = "at-once"


@post("/booking/arrive", guards=GUARDS)
async def post_arrive(
    request: Request[Any, Any, Any],
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Redirect:
    """The browser brings the pass. One that is over is made again where it came from, without an error."""
    brought = await bring_pass(await read_form(request), db, keys, town, identity, now=now)
    return brought if isinstance(brought, Redirect) else see_other(f"/booking/visits/{brought}")


@post("/booking/arrive/time", guards=GUARDS)
async def post_arrive_time(
    request: Request[Any, Any, Any],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    secure: NamedDependency[bool],
) -> Redirect:
    """Hold this time at this counter, and book it. Whoever was slower sees the nearest others; nothing else is booked
    for them, for their yes was to this one."""
    fields = await read_form(request)
    starts_at = _read_time(fields.get("starts_at", ""))
    visit = await bring_pass(fields, db, keys, town, identity, now=now)
    if isinstance(visit, Redirect):
        return visit
    async with db.begin(town.code) as session:
        slot_id = await find_slot_at(session, town.code, fields.get("counter", ""), starts_at, now=now)
    if slot_id is None:
        return see_other(f"/booking/visits/{visit}?refused=slot_taken")
    staff = staff_of(identity)
    order = HoldPlace(
        municipality=town.code,
        visit_id=visit,
        visitor=identity.ref,
        slot_id=slot_id,
        key=f"{KEY}/{slot_id}",
        staff=staff,
    )
    try:
        await rush.run(db, town.code, lambda session: hold_place(session, order, now=now))
    except Refusal as refusal:
        if refusal.code not in CHOOSE_AGAIN | VISIT_ENDED:
            raise
        return see_other(refused_path(f"/booking/visits/{visit}", refusal, slot=str(slot_id)))
    return await book_held(db, rush, keys, town, identity, visit, key=KEY, another=False, secure=secure, now=now)


def _read_time(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise Refusal("form_unreadable", 400) from error
    if found.tzinfo is None:
        raise Refusal("form_unreadable", 400)
    return found


async def bring_pass(
    fields: Mapping[str, str], db: Database, keys: Keys, town: Town, identity: Identity, *, now: datetime
) -> UUID | Redirect:
    """The visit of the pass that the browser brought; of one that is over, the way to another."""
    try:
        ticket = open_pass(keys.box, PASS_ISSUER, PASS_PURPOSE, fields.get("pass", ""), municipality=town.code, now=now)
        async with db.begin(town.code) as session:
            return await arrive(session, ticket, identity.ref, keys, staff=staff_of(identity), now=now)
    except Refusal as refusal:
        if refusal.code != "pass_expired":
            raise
        return see_other(f"/cases/{refusal.details['case_id']}/pass?late=1")
