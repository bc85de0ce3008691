"""`/counter/alarms`: who waits longer than the town promises, as a line on the tablets and on the managers' page."""

from datetime import datetime
from typing import Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect, Template
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.alarms import see_alarm
from services.booking.pages.counter import HTMX
from services.booking.pages.line_rows import short_counter
from services.booking.queries.today import list_alarms
from shared.db import Database
from shared.tokens import Identity
from shared.web.forms import parse_uuid
from shared.web.i18n import gettext as _
from shared.web.identity import require_role
from shared.web.pages import page, see_other
from shared.web.templating import jst_time
from shared.web.town import Town

GUARDS = [require_role("counter", "coordinator", "manager")]
ROOT = "/counter/alarms"

Req = Request[Any, Any, Any]


@get(ROOT, guards=GUARDS)
async def get_alarms(
    request: Req,
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Template:
    """The lines alone, for swapping in."""
    async with db.begin(town.code) as session:
        alarms = await draw_alarms(session, town.code, office_of(identity), now=now)
    return page(request, "alarms.html", alarms=alarms)


@get(f"{ROOT}/{{alarm_id:str}}/seen", guards=GUARDS)
async def get_alarm_address(identity: NamedDependency[Identity]) -> Redirect:
    """Where the form is sent, opened as a page: by the way back from signing in."""
    return see_other(_home(identity))


@post(f"{ROOT}/{{alarm_id:str}}/seen", guards=GUARDS, status_code=200)
async def post_alarm_seen(
    request: Req,
    alarm_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Template | Redirect:
    """Somebody has seen it: it is sounded nowhere any more, and says since when it is seen."""
    async with db.begin(town.code) as session:
        await see_alarm(session, identity, parse_uuid(alarm_id, code="alarm_unknown"), now=now)
        alarms = await draw_alarms(session, town.code, office_of(identity), now=now)
    if HTMX not in request.headers:
        return see_other(_home(identity))
    return page(request, "alarms.html", alarms=alarms)


def office_of(identity: Identity) -> str | None:
    """Whose counters concern somebody: their office's at the counter; all, for whoever sees to the whole hall."""
    return identity.office if not (identity.has_role("manager") or identity.has_role("coordinator")) else None


async def draw_alarms(
    session: AsyncSession, municipality: str, office: str | None, *, now: datetime
) -> list[dict[str, Any]]:
    """What `alarms.html` shows."""
    return [
        {
            "id": str(alarm.alarm_id),
            "name": short_counter(alarm.number),
            "text": _(
                "%(counter)s：約束の%(promise)s分をこえて、%(wait)s分お待ちの方がいます",
                counter=short_counter(alarm.number),
                promise=alarm.promise_min,
                wait=alarm.wait_min,
            ),
            "seen": _("%(time)sに職員が確かめました", time=jst_time(alarm.seen_at)) if alarm.seen_at else "",
        }
        for alarm in await list_alarms(session, municipality, office, now=now)
    ]


def _home(identity: Identity) -> str:
    return "/counter" if identity.has_role("counter") else "/counter/today"
