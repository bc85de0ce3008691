"""`/notices/n/{notice_id}`: one notice, each attempt at it, what comes next; and having it sent again."""

from datetime import datetime
from typing import Any
from uuid import UUID

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect, Template
from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.commands.again import Again, look_at_again, send_again
from services.notifications.commands.tasks import may_reach_residents
from services.notifications.domain.notices import APPLICATION_NOTICES
from services.notifications.pages.notice_wording import SAY, way_name
from services.notifications.pages.notices import GUARDS, LOG
from services.notifications.pages.staff_refusals import STAFF_REFUSALS
from services.notifications.queries_of_log import OneNotice, find_notice, list_attempts
from shared.clock import jst_day
from shared.db import Database
from shared.errors import Refusal
from shared.tokens import Identity
from shared.web.forms import Form, parse_uuid, read_form
from shared.web.i18n import gettext as _
from shared.web.i18n import translate
from shared.web.pages import page, see_other
from shared.web.town import Town

NOTICE = f"{LOG}/n/{{notice_id:str}}"
# Who may open an application in routing.
OFFICE_ROLES = ("back_office", "manager")
DIGITS_MAX = 4

Req = Request[Any, Any, Any]


@get(NOTICE, guards=GUARDS)
async def get_notice(
    request: Req,
    notice_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Template:
    """To whom, when, by which way, what the provider said, and what comes next. No address."""
    shown = parse_uuid(notice_id)
    async with db.begin(town.code) as session:
        found = await find_notice(session, town.code, shown, helpers_only=not may_reach_residents(identity))
        if found is None:
            raise Refusal("not_found", 404)
        attempts = await list_attempts(session, town.code, shown)
        again, why_not = await _look(session, identity, shown, now=now)
    return page(
        request,
        "notice_one.html",
        log=LOG,
        one=found,
        matter=_matter(found, identity, now=now),
        attempts=attempts,
        again=again,
        why_not=why_not,
        ways=_ways(again) if again and len(again.ways) > 1 else [],
        say=SAY,
    )


@post(f"{NOTICE}/again", guards=GUARDS)
async def post_again(
    request: Req,
    notice_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Redirect:
    """Have it sent again; a second tap leads to what the first one made."""
    again_of = parse_uuid(notice_id)
    form = Form(await read_form(request))
    number, way = _number(form.value("number")), _number(form.value("way"))
    async with db.begin(town.code) as session:
        made = await send_again(session, identity, again_of, number=number or 0, way_no=way, now=now)
    return see_other(f"{LOG}/n/{made}")


@get(f"{NOTICE}/again", guards=GUARDS)
async def get_again_address(notice_id: FromPath[str]) -> Redirect:
    """Where the form is sent, opened as a page."""
    return see_other(f"{LOG}/n/{parse_uuid(notice_id)}")


async def _look(
    session: AsyncSession, identity: Identity, notice_id: UUID, *, now: datetime
) -> tuple[Again | None, dict[str, str] | None]:
    """How it can be sent again, or why not."""
    try:
        return await look_at_again(session, identity, notice_id, now=now), None
    except Refusal as refusal:
        text = STAFF_REFUSALS[refusal.code]
        said = (translate(each) % refusal.details for each in (text.title, text.advice))
        return None, dict(zip(("title", "advice"), said, strict=True))


def _matter(found: OneNotice, identity: Identity, *, now: datetime) -> dict[str, str] | None:
    """The page of what it is about, in the service whose it is, if they may open it."""
    if found.helper_ref is not None:
        is_helper = found.kind.startswith("helper_")
        href = f"/helpers/people/{found.helper_ref}"
        return {"href": href, "label": _("どのサポーターか見る")} if is_helper else None
    if found.appointment_id is not None and found.starts_at and jst_day(found.starts_at) == jst_day(now):
        return {"href": f"/counter#line-{found.appointment_id}", "label": _("今日の受付の列で見る")}
    is_application = found.kind in APPLICATION_NOTICES.values()
    if found.application_id is not None and is_application and any(map(identity.has_role, OFFICE_ROLES)):
        return {"href": f"/office/applications/{found.application_id}", "label": _("申請を見る")}
    return None


def _ways(again: Again) -> list[dict[str, str]]:
    """By all of them in their order, or by one alone."""
    only = [
        {
            "value": str(way.way_no),
            "label": _("%(way)sだけ", way=way_name(way.kind))
            if not way.is_relay
            else _("%(way)sだけ（家族や支援の方へ）", way=way_name(way.kind)),
        }
        for way in again.ways
    ]
    return [{"value": "", "label": _("本人が決めた順番のとおり")}, *only]


def _number(typed: str) -> int | None:
    return int(typed) if typed.isascii() and typed.isdigit() and len(typed) <= DIGITS_MAX else None
