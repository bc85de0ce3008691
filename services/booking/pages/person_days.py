"""`/helpers/people/…/days`: a coordinator enters a day on which a helper comes beyond their rhythm, or none."""

from datetime import datetime
from typing import Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect, Template

from services.booking.commands.shifts import add_shift, remove_shift
from services.booking.flow import Rush
from services.booking.keys import Keys
from services.booking.pages.coordinator_wording import helper_name
from services.booking.pages.people import GUARDS, ROOT, find_person, person_page
from services.booking.pages.shift_days import find_shift, read_day, remove_day_page
from services.booking.refusals import REFUSALS
from shared.audit import record_deed
from shared.clock import jst_day
from shared.db import Database
from shared.errors import Refusal
from shared.tokens import Identity
from shared.web.forms import Form, parse_uuid, read_form
from shared.web.pages import see_other
from shared.web.town import Town

Req = Request[Any, Any, Any]


@get(ROOT + "/{helper_ref:str}/days", guards=GUARDS)
async def get_days_address(helper_ref: FromPath[str]) -> Redirect:
    """Where a day is sent, opened as a page."""
    return see_other(f"{ROOT}/{helper_ref}")


@post(ROOT + "/{helper_ref:str}/days", guards=GUARDS)
async def post_day(
    request: Req,
    helper_ref: FromPath[str],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Template | Redirect:
    """They come on this day."""
    form = Form(await read_form(request))
    order = read_day(form, today=jst_day(now))
    refusal = None
    if order is not None:
        wanted = order
        try:
            await rush.run(
                db,
                town.code,
                lambda session: add_shift(session, identity, wanted, helper_ref=helper_ref, now=now),
            )
            return see_other(f"{ROOT}/{helper_ref}?told=day")
        except Refusal as found:
            if found.code not in REFUSALS:
                raise
            refusal = found
    return await person_page(request, db, keys, town, identity, helper_ref, now=now, day=form, refusal=refusal)


@get(ROOT + "/{helper_ref:str}/days/{shift_id:str}/remove", guards=GUARDS)
async def get_remove_day(
    request: Req,
    helper_ref: FromPath[str],
    shift_id: FromPath[str],
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Template | Redirect:
    """Really take it back? Of a rhythm, only the helper says that."""
    wanted = parse_uuid(shift_id)
    async with db.begin(town.code) as session:
        helper = await find_person(session, town.code, helper_ref, keys)
        found = await find_shift(session, town.code, helper_ref, wanted)
        await record_deed(session, identity, "view-helper", helper_ref, now=now)
    if found is None or found[0].only_on is None:
        return see_other(f"{ROOT}/{helper_ref}")
    base = f"{ROOT}/{helper_ref}"
    action = f"{base}/days/{wanted}/remove"
    return remove_day_page(request, *found, action=action, back=base, now=now, whose=helper_name(helper))


@post(ROOT + "/{helper_ref:str}/days/{shift_id:str}/remove", guards=GUARDS)
async def post_remove_day(
    helper_ref: FromPath[str],
    shift_id: FromPath[str],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Redirect:
    """They do not come; their visits go to others, and they are told."""
    wanted = parse_uuid(shift_id)
    await rush.run(
        db, town.code, lambda session: remove_shift(session, identity, wanted, helper_ref=helper_ref, now=now)
    )
    return see_other(f"{ROOT}/{helper_ref}?told=day_removed")
