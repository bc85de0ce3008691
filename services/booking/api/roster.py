"""For coordinators and managers: when helpers are where, and asking another one. Names are on the page only."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.api import examples
from services.booking.api.helpers import SHIFT_EXAMPLE
from services.booking.api.refused import REQUEST
from services.booking.commands.assignments import reassign
from services.booking.commands.keyed import do_once, request_hash
from services.booking.flow import Rush
from services.booking.pages.roster import HELPER_REF_MAX_LENGTH
from services.booking.queries.helpers import OpenRequest, ShiftView, list_open_requests, list_shifts
from shared.audit import record_deed
from shared.db import Database
from shared.tokens import Identity
from shared.web.documented import IdempotencyKey, documented, read_json
from shared.web.forms import parse_uuid
from shared.web.identity import require_role
from shared.web.town import Town

GUARDS = [require_role("coordinator", "manager")]
TAGS = ["roster (staff)"]
ROOT = "/booking/api/roster"

Req = Request[Any, Any, Any]


class PostReassign(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ask this helper instead."""

    helper_ref: Annotated[str, msgspec.Meta(pattern=f"^[!-~]{{1,{HELPER_REF_MAX_LENGTH}}}$")]


REQUEST_EXAMPLE = OpenRequest(
    assignment_id=examples.ID,
    number=examples.NUMBER,
    helper_ref=examples.HELPER,
    is_accepted=False,
    starts_at=examples.STARTS_AT,
    ends_at=examples.ENDS_AT,
    venue_name="町民センター",
    asked_at=examples.NOW,
    free=(examples.OTHER_HELPER,),
)


@get(f"{ROOT}/shifts", guards=GUARDS, tags=TAGS, opt=documented(returns=[SHIFT_EXAMPLE]))
async def get_roster_shifts(
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> list[ShiftView]:
    """The times of all helpers, in the order of the week."""
    async with db.begin(town.code) as session:
        await record_deed(session, identity, "view-roster", town.code, now=now)
        return await list_shifts(session, town.code)


@get(f"{ROOT}/requests", guards=GUARDS, tags=TAGS, opt=documented(returns=[REQUEST_EXAMPLE]))
async def get_roster_requests(
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> list[OpenRequest]:
    """What lies ahead of all helpers, and who could come instead (`free`)."""
    async with db.begin(town.code) as session:
        await record_deed(session, identity, "view-roster", town.code, now=now)
        return await list_open_requests(session, town.code, now=now)


@post(
    f"{ROOT}/requests/{{assignment_id:str}}/reassign",
    guards=GUARDS,
    tags=TAGS,
    status_code=204,
    opt=documented(
        body=PostReassign,
        example={"helper_ref": examples.OTHER_HELPER},
        refusals=REQUEST | {"helper_unknown": 404, "helper_busy": 409},
    ),
)
async def post_reassignment(
    request: Req,
    assignment_id: FromPath[str],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    key: IdempotencyKey = None,
) -> None:
    """Ask another helper for this, on shift or not. Whoever is asked already is asked once."""
    wanted, other = parse_uuid(assignment_id, code="request_unknown"), await read_json(request, PostReassign)

    async def once(session: AsyncSession) -> bool:
        async def ask() -> bool:
            await reassign(session, identity, wanted, other.helper_ref, now=now)
            return True

        # Whoever is asked instead has another request: this one goes to them once.
        hashed = request_hash("reassign", wanted, other.helper_ref)
        mine = key or f"reassign:{hashed.hex()}"
        return await do_once(session, town.code, f"staff:{identity.ref}", mine, hashed, ask, bool, now=now)

    await rush.run(db, town.code, once)
