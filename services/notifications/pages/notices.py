"""`/notices`: what was sent and what became of it, for staff. Numbers and channels only, no addresses."""

from datetime import datetime
from typing import Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect, Template

from services.notifications.commands.tasks import complete_task
from services.notifications.queries import PAGE, list_notices, list_open_tasks
from shared.db import Database
from shared.tokens import Identity
from shared.web.forms import parse_uuid
from shared.web.identity import require_role
from shared.web.pages import page, see_other
from shared.web.town import Town

GUARDS = [require_role("counter", "manager")]
BEFORE_MAX_LENGTH = 40


@get("/notices", guards=GUARDS)
async def get_notices(
    request: Request[Any, Any, Any],
    db: NamedDependency[Database],
    town: NamedDependency[Town],
    before: FromQuery[str | None] = None,
) -> Template:
    """Open tasks on top, then the delivery log, newest first."""
    async with db.begin(town.code) as session:
        tasks = await list_open_tasks(session, town.code)
        notices = await list_notices(session, town.code, before=_read_moment(before))
    older = notices[-1].created_at.isoformat() if len(notices) == PAGE else None
    return page(request, "notices.html", tasks=tasks, notices=notices, older=older, is_first=before is None)


@post("/notices/tasks/{task_id:str}/done", guards=GUARDS)
async def post_task_done(
    task_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Redirect:
    """Staff have reached the person."""
    async with db.begin(town.code) as session:
        await complete_task(session, identity, parse_uuid(task_id), now=now)
    return see_other("/notices")


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
