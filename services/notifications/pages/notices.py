"""`/notices`: what was sent and what became of it, for staff. Numbers and channels only; an address when asked for.

A coordinator sees what was told to helpers, and nothing of residents.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect, Template
from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.commands.calls import reached, undo
from services.notifications.commands.tasks import may_reach_residents, view_contact
from services.notifications.keys import Keys
from services.notifications.pages.tasks import ON_TASK, show_contact, task_page
from services.notifications.queries import PAGE, OpenTask, find_task, list_notices, list_open_tasks
from shared.db import Database
from shared.errors import Refusal
from shared.tokens import Identity
from shared.web.forms import Form, parse_uuid, read_form
from shared.web.identity import require_role
from shared.web.pages import page, see_other
from shared.web.town import Town

GUARDS = [require_role("counter", "coordinator", "manager")]
BEFORE_MAX_LENGTH = 40

Req = Request[Any, Any, Any]


@get("/notices", guards=GUARDS)
async def get_notices(
    request: Req,
    db: NamedDependency[Database],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    before: FromQuery[str | None] = None,
    done: FromQuery[str] = "",
) -> Template:
    """Open tasks on top, then the delivery log, newest first. `done` is the task that was just completed."""
    return await _notices_page(request, db, town, identity, before=before, done=done)


@post("/notices/tasks/{task_id:str}/contact", guards=GUARDS)
async def post_task_contact(
    request: Req,
    task_id: FromPath[str],
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Template:
    """The address of one person, for staff who asked. An answer to a POST: in no address, no history, no cache."""
    shown = parse_uuid(task_id)
    async with db.begin(town.code) as session:
        contact = await view_contact(session, keys.vault, identity, shown, now=now)
        task = await find_task(session, town.code, shown)
    if "hx-request" in request.headers:
        return page(request, "task_contact.html", contact=show_contact(contact), task=task)
    if Form(await read_form(request)).value("on") == ON_TASK:
        return await task_page(request, db, keys, town, identity, shown, contact=show_contact(contact), is_shown=True)
    return await _notices_page(request, db, town, identity, shown=shown, contact=show_contact(contact))


@get(
    ["/notices/tasks/{task_id:str}/contact", "/notices/tasks/{task_id:str}/done", "/notices/tasks/{task_id:str}/undo"],
    guards=GUARDS,
)
async def get_form_address() -> Redirect:
    """Where forms are sent, opened as a page."""
    return see_other("/notices")


@post("/notices/tasks/{task_id:str}/done", guards=GUARDS)
async def post_task_done(
    task_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Redirect:
    """Staff have reached the person."""
    task = parse_uuid(task_id)
    async with db.begin(town.code) as session:
        await reached(session, identity, task, now=now)
    return see_other(f"/notices?done={task}")


@post("/notices/tasks/{task_id:str}/undo", guards=GUARDS)
async def post_task_undo(
    task_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Redirect:
    """They have not."""
    task = parse_uuid(task_id)
    async with db.begin(town.code) as session:
        await undo(session, identity, task, now=now)
    return see_other(f"/notices#task-{task}")


async def _notices_page(
    request: Req,
    db: Database,
    town: Town,
    identity: Identity,
    *,
    before: str | None = None,
    done: str = "",
    shown: UUID | None = None,
    contact: dict[str, str] | None = None,
) -> Template:
    helpers_only = not may_reach_residents(identity)
    async with db.begin(town.code) as session:
        tasks = await list_open_tasks(session, town.code, helpers_only=helpers_only)
        notices = await list_notices(session, town.code, before=_read_moment(before), helpers_only=helpers_only)
        completed = await _find_completed(session, town.code, done) if done else None
    older = notices[-1].created_at.isoformat() if len(notices) == PAGE else None
    return page(
        request,
        "notices.html",
        tasks=tasks,
        notices=notices,
        older=older,
        is_first=before is None,
        completed=completed,
        shown=shown,
        contact=contact,
    )


async def _find_completed(session: AsyncSession, municipality: str, done: str) -> OpenTask | None:
    try:
        task = await find_task(session, municipality, parse_uuid(done))
    except Refusal:
        return None
    return task if task is not None and task.done_at is not None else None


def _read_moment(text: str | None) -> datetime | None:
    """A moment from the address of "older"; anything else is as if it were not there."""
    if text is None or len(text) > BEFORE_MAX_LENGTH:
        return None
    try:
        # A plus sign in an address that was typed or shortened by hand arrives as a space.
        moment = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None
