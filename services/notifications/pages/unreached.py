"""`/notices/unreached` (連絡がつかない人): whom staff are to call, person by person; an address when asked for.

A coordinator sees helpers, and nothing of residents.
"""

from datetime import datetime
from typing import Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect, Template
from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.commands.calls import reached, undo
from services.notifications.commands.tasks import find_theirs, may_reach_residents, view_contact
from services.notifications.keys import Keys
from services.notifications.pages.notice_wording import REASON_NAMES, SAY
from services.notifications.pages.notices import GUARDS, LOG
from services.notifications.pages.tasks import ON_TASK, show_contact, task_page
from services.notifications.queries import OpenTask, find_task
from services.notifications.queries_of_unreached import PEOPLE, count_unreached, list_silent, list_unreached
from shared.db import Database
from shared.errors import Refusal
from shared.tokens import Identity
from shared.web.forms import Form, parse_uuid, read_form
from shared.web.pages import page, see_other
from shared.web.town import Town

UNREACHED = f"{LOG}/unreached"
TASK = f"{LOG}/tasks/{{task_id:str}}"
SKIP_MAX = 100_000

Req = Request[Any, Any, Any]


@get(UNREACHED, guards=GUARDS)
async def get_unreached(
    request: Req,
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    reason: FromQuery[str] = "",
    skip: FromQuery[str] = "",
    done: FromQuery[str] = "",
) -> Template:
    """The most urgent person first. `done` is the task that was just completed."""
    return await _unreached_page(request, db, town, identity, now=now, reason=reason, skip=skip, done=done)


@post(f"{TASK}/contact", guards=GUARDS)
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
    return await _unreached_page(request, db, town, identity, now=now, shown=task, contact=show_contact(contact))


@get([f"{TASK}/contact", f"{TASK}/done", f"{TASK}/undo"], guards=GUARDS)
async def get_form_address() -> Redirect:
    """Where forms are sent, opened as a page."""
    return see_other(UNREACHED)


@post(f"{TASK}/done", guards=GUARDS)
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
    return see_other(f"{UNREACHED}?done={task}")


@post(f"{TASK}/undo", guards=GUARDS)
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
    return see_other(f"{UNREACHED}#task-{task}")


async def _unreached_page(
    request: Req,
    db: Database,
    town: Town,
    identity: Identity,
    *,
    now: datetime,
    reason: str = "",
    skip: str = "",
    done: str = "",
    shown: OpenTask | None = None,
    contact: dict[str, str] | None = None,
) -> Template:
    helpers_only = not may_reach_residents(identity)
    chosen = reason if reason in REASON_NAMES else ""
    before = min(int(skip), SKIP_MAX) if skip.isascii() and skip.isdigit() else 0
    async with db.begin(town.code) as session:
        counts = await count_unreached(session, town.code, helpers_only=helpers_only)
        people = await list_unreached(
            session, town.code, reason=chosen, skip=before, helpers_only=helpers_only, now=now
        )
        silent = [] if helpers_only else await list_silent(session, town.code, now=now)
        completed = await _find_completed(session, identity, done) if done else None
    is_more = len(people) > PEOPLE
    return page(
        request,
        "notice_unreached.html",
        log=LOG,
        action=UNREACHED,
        counts=counts,
        people=people[:PEOPLE],
        silent=silent,
        reason=chosen,
        more=before + PEOPLE if is_more else None,
        is_first=before == 0,
        completed=completed,
        shown=shown,
        contact=contact,
        say=SAY,
    )


async def _find_completed(session: AsyncSession, identity: Identity, done: str) -> OpenTask | None:
    """The task that was just completed, for whom it is to see."""
    try:
        theirs = await find_theirs(session, identity, parse_uuid(done))
    except Refusal:
        return None
    task = await find_task(session, identity.municipality, theirs.task_id)
    return task if task is not None and task.done_at is not None else None
