"""`/notices/person`: everything that one person was told, of all their matters, found by a number they have in hand.

The answer to a POST: in no address, no history, no cache. That somebody looked is in the audit.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.response import Template
from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.commands.tasks import may_reach_residents
from services.notifications.pages.notice_wording import SAY
from services.notifications.pages.notices import GUARDS, LOG, mark_after, read_mark
from services.notifications.queries_of_log import Person, find_person, find_person_of, list_of_person
from shared.audit import record_deed
from shared.db import Database
from shared.errors import Refusal
from shared.reference_number import APPLICATION_LENGTH, APPOINTMENT_LENGTH, TYPED_MAX_LENGTH, read_number, show_number
from shared.tokens import Identity
from shared.web.forms import Form, parse_uuid, read_form
from shared.web.i18n import gettext as _
from shared.web.pages import page
from shared.web.town import Town

PERSON = f"{LOG}/person"

Req = Request[Any, Any, Any]


@get(PERSON, guards=GUARDS)
async def get_person(request: Req) -> Template:
    """Where the number is typed."""
    return _page(request)


@post(PERSON, guards=GUARDS)
async def post_person(
    request: Req,
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Template:
    """What they were told: whoever has this number, or was told this notice."""
    form = Form(await read_form(request))
    typed, notice, before = form.value("number"), form.value("notice"), form.value("before")
    number = _read_number(typed)
    if not notice and number is None:
        error = _("予約か申請の番号を、書いてあるとおりに入れてください。")
        return _page(request, typed=typed[:TYPED_MAX_LENGTH], error=error, status=422)
    helpers_only = not may_reach_residents(identity)
    async with db.begin(town.code) as session:
        found: tuple[UUID, Person] | None = None
        if notice:
            found = await _of_notice(session, town.code, parse_uuid(notice), helpers_only=helpers_only)
        elif not helpers_only:
            found = await find_person(session, town.code, number or "")
        if found is None:
            error = _("この番号の予約や申請は、お知らせの記録にありません。")
            return _page(request, typed=typed, error=error, status=404)
        ref, person = found
        notices = await list_of_person(session, town.code, person, before=read_mark(before))
        await record_deed(session, identity, "person_notices_viewed", ref, now=now)
    return _page(
        request,
        is_found=True,
        typed=show_number(number) if number else "",
        notice=notice,
        notices=notices,
        older=mark_after(notices),
        is_first=not before,
    )


async def _of_notice(
    session: AsyncSession, municipality: str, notice_id: UUID, *, helpers_only: bool
) -> tuple[UUID, Person]:
    person = await find_person_of(session, municipality, notice_id, helpers_only=helpers_only)
    if person is None:
        raise Refusal("not_found", 404)
    return notice_id, person


def _read_number(typed: str) -> str | None:
    lengths = (APPOINTMENT_LENGTH, APPLICATION_LENGTH)
    return next((found for length in lengths if (found := read_number(typed, length=length))), None)


def _page(request: Req, *, status: int = 200, **context: Any) -> Template:
    shown: dict[str, Any] = {
        "log": LOG, "action": PERSON, "is_found": False, "typed": "", "notice": "", "error": None, "notices": [],
        "older": "", "is_first": True,
    }  # fmt: skip
    return page(request, "notice_person.html", status=status, **shown | context, say=SAY)
