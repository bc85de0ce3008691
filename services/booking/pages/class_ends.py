"""`/helpers/classes/…/call-off`: a class does not take place, and everybody is told."""

from datetime import datetime
from typing import Any
from uuid import UUID

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect, Template
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.class_calling_off import REASON_MAX_LENGTH, call_off_class
from services.booking.flow import Rush
from services.booking.keys import Keys
from services.booking.pages.class_staff import GUARDS, PATH, do_deed
from services.booking.pages.classes import class_card, read_class_id
from services.booking.queries.classes import get_class
from shared.db import Database
from shared.tokens import Identity
from shared.web.forms import Form, read_form
from shared.web.pages import page
from shared.web.town import Town

Req = Request[Any, Any, Any]


@get(f"{PATH}/{{course_id:str}}/call-off", guards=GUARDS)
async def get_class_call_off_page(
    request: Req,
    course_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
) -> Template:
    """What is called off, before anybody does it."""
    return await _call_off_page(request, db, town, read_class_id(course_id), Form({}), now=now)


@post(f"{PATH}/{{course_id:str}}/call-off", guards=GUARDS)
async def post_class_call_off(
    request: Req,
    course_id: FromPath[str],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Template | Redirect:
    """Called off: everybody is told."""
    form, wanted = Form(await read_form(request)), read_class_id(course_id)
    reason = form.text("reason", max_length=REASON_MAX_LENGTH)
    if not form.ok:
        return await _call_off_page(request, db, town, wanted, form, now=now, status=422)

    async def call_off(session: AsyncSession) -> None:
        await call_off_class(session, identity, wanted, reason, keys, now=now)

    return await do_deed(db, rush, town, wanted, call_off, "called_off")


async def _call_off_page(
    request: Req, db: Database, town: Town, course_id: UUID, form: Form, *, now: datetime, status: int = 200
) -> Template:
    async with db.begin(town.code) as session:
        found = await get_class(session, town.code, course_id, published=False)
    return page(
        request,
        "class_call_off.html",
        status=status,
        **class_card(found, now=now),
        form=form,
        reason_max=REASON_MAX_LENGTH,
        base=f"{PATH}/{course_id}",
    )
