"""`/notices`: what was sent and what became of it, for staff, as it is looked for. No address is shown here.

A coordinator sees what was told to helpers, and nothing of residents.
"""

from datetime import date, datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import FromQuery
from litestar.response import Template

from services.notifications.commands.tasks import may_reach_residents
from services.notifications.domain.notices import OF_ACCOUNTS
from services.notifications.pages.notice_wording import (
    KIND_NAMES,
    SAY,
    STANDING_NAMES,
    WAY_NAMES,
    kind_name,
    way_name,
)
from services.notifications.queries_of_log import PAGE, STANDINGS, Filters, LoggedNotice, Mark, list_notices
from services.notifications.queries_of_unreached import count_unreached
from shared.db import Database
from shared.tokens import Identity
from shared.web.i18n import gettext as _
from shared.web.i18n import translate
from shared.web.identity import require_role
from shared.web.pages import page
from shared.web.town import Town

GUARDS = [require_role("counter", "coordinator", "manager")]
MANAGER = [require_role("manager")]
LOG = "/notices"
MARK_MAX_LENGTH = 80
# Between the moment and the notice of a mark.
_MARK = "~"

Req = Request[Any, Any, Any]


@get(LOG, guards=GUARDS)
async def get_notices(
    request: Req,
    db: NamedDependency[Database],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    before: FromQuery[str] = "",
    kind: FromQuery[str] = "",
    way: FromQuery[str] = "",
    standing: FromQuery[str] = "",
    day: FromQuery[str] = "",
) -> Template:
    """The delivery log, newest first; what is looked for stays in the address of the older pages."""
    helpers_only = not may_reach_residents(identity)
    filters = read_filters(kind, way, standing, day)
    async with db.begin(town.code) as session:
        counts = await count_unreached(session, town.code, helpers_only=helpers_only)
        notices = await list_notices(session, town.code, filters, before=read_mark(before), helpers_only=helpers_only)
    return page(
        request,
        "notices.html",
        people=counts.people,
        notices=notices,
        older=_address(filters, mark_after(notices)),
        newest=_address(filters) if before else None,
        filters=filters,
        is_filtered=filters != Filters(),
        kinds=_options({each: kind_name(each) for each in (OF_ACCOUNTS if helpers_only else KIND_NAMES)}),
        ways=_options({each: way_name(each) for each in WAY_NAMES if each}),
        standings=_options({each: translate(STANDING_NAMES[each]) for each in STANDINGS}),
        say=SAY,
    )


def read_filters(kind: str, way: str, standing: str, day: str) -> Filters:
    """What is looked for; what nobody knows is as if it were not there."""
    stands = next((each for each in STANDINGS if each == standing), None)
    known = (kind if kind in KIND_NAMES else "", way if way in WAY_NAMES else "")
    try:
        on = date.fromisoformat(day) if day else None
    except ValueError:
        on = None
    return Filters(kind=known[0], way=known[1], standing=stands, day=on)


def read_mark(text: str) -> Mark | None:
    """Where the page before ended; anything else is as if it were not there."""
    moment, _sign, notice_id = text[:MARK_MAX_LENGTH].partition(_MARK)
    try:
        # A plus sign in an address that was typed or shortened by hand arrives as a space.
        mark = Mark(datetime.fromisoformat(moment.replace(" ", "+")), UUID(notice_id))
    except ValueError:
        return None
    return mark if mark.created_at.tzinfo is not None else None


def mark_after(notices: list[LoggedNotice]) -> str:
    """Where this page ends; empty where nothing can be older."""
    return f"{notices[-1].created_at.isoformat()}{_MARK}{notices[-1].notice_id}" if len(notices) == PAGE else ""


def _address(filters: Filters, before: str | None = None) -> str | None:
    """The address of this log, from its newest or from a mark on; None where there is nothing older."""
    if before == "":
        return None
    asked = {
        "before": before,
        "kind": filters.kind,
        "way": filters.way,
        "standing": filters.standing,
        "day": filters.day.isoformat() if filters.day else None,
    }
    said = urlencode({name: value for name, value in asked.items() if value})
    return f"{LOG}?{said}" if said else LOG


def _options(names: dict[str, str]) -> list[dict[str, str]]:
    return [{"value": "", "label": _("すべて")}, *({"value": value, "label": name} for value, name in names.items())]
