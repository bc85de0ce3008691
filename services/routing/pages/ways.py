"""Going on by another channel (やり方を変える): what it means, said before; and the same for staff, with consent."""

from datetime import datetime
from typing import Any
from urllib.parse import quote

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect, Template
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.cases import get_own_case, refuse_channel
from services.routing.commands.online import procedure_of
from services.routing.commands.switching import change_channel_for, lock_case_for_staff
from services.routing.domain.applications import EDITABLE
from services.routing.domain.catalogue import CHANNELS
from services.routing.domain.switching import CONSENTS, Said, why_not
from services.routing.pages.office import OFFICE_AND_COUNTER, read_version
from services.routing.pages.switch_wording import switch_lines
from services.routing.pages.wording import CHANNEL_TITLES, REFUSALS
from services.routing.queries.applications import find_number_of
from services.routing.queries.switching import get_standing, list_booked, list_switches
from shared.audit import record_deed
from shared.db import Database
from shared.errors import Refusal
from shared.tokens import Identity
from shared.web.forms import Form, parse_uuid, read_form
from shared.web.i18n import gettext as _
from shared.web.i18n import translate
from shared.web.identity import require_visitor
from shared.web.pages import page, see_other

Req = Request[Any, Any, Any]


@get("/cases/{case_id:str}/ways", guards=[require_visitor])
async def show_ways(
    request: Req,
    case_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
) -> Template:
    """The other ways that a case can go, what becomes of what there is, and how it went before."""
    async with db.begin(identity.municipality) as session:
        case = await get_own_case(session, identity, parse_uuid(case_id, code="case_unknown"), now=now)
        found = await _ways(session, case, case.behalf or "self", now=now)
    return page(request, "ways.html", case_id=case.case_id, behalf=case.behalf, **found)


@get("/office/cases/{case_id:str}/ways", guards=OFFICE_AND_COUNTER)
async def show_office_ways(
    request: Req,
    case_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
) -> Template:
    """The same for staff, to whom the person says it. Nothing that was given is shown."""
    async with db.begin(identity.municipality) as session:
        return await _office_page(request, session, identity, case_id, now=now)


@get("/office/cases/{case_id:str}/channel", guards=OFFICE_AND_COUNTER)
async def get_office_channel_address(case_id: FromPath[str]) -> Redirect:
    """Where the form is sent, opened as a page."""
    return see_other(f"/office/cases/{quote(case_id)}/ways")


@post("/office/cases/{case_id:str}/channel", guards=OFFICE_AND_COUNTER)
async def post_office_channel(
    request: Req,
    case_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
) -> Template | Redirect:
    """Do it, with how the person said so. Whoever comes too late sees how it stands now."""
    form = Form(await read_form(request))
    consent = next((each for each in CONSENTS if each == form.value("consent")), None)
    channel = next((each for each in CHANNELS if each == form.value("channel")), None)
    if consent is None:
        form.errors["consent"] = _("ご本人からどこで聞いたかを選んでください。")
    if channel is None:
        form.errors["channel"] = _("やり方を選んでください。")
    refusal: Refusal | None = None
    if consent is not None and channel is not None:
        try:
            async with db.begin(identity.municipality) as session:
                await change_channel_for(
                    session,
                    identity=identity,
                    case_id=parse_uuid(case_id, code="case_unknown"),
                    channel=channel,
                    consent=consent,
                    version=read_version(form),
                    now=now,
                )
            return see_other(f"/office/cases/{case_id}/ways")
        except Refusal as error:
            if error.status != 409:
                raise
            refusal = error
    async with db.begin(identity.municipality) as session:
        return await _office_page(request, session, identity, case_id, form=form, refusal=refusal, now=now)


async def _office_page(
    request: Req,
    session: AsyncSession,
    identity: Identity,
    case_id: str,
    *,
    form: Form | None = None,
    refusal: Refusal | None = None,
    now: datetime,
) -> Template:
    case = await lock_case_for_staff(session, identity, parse_uuid(case_id, code="case_unknown"))
    await record_deed(session, identity, "view_ways", case.case_id, now=now)
    found = await _ways(session, case, "desk", now=now)
    text = REFUSALS[refusal.code] if refusal else None
    errors = form.errors if form else {}
    return page(
        request,
        "office_ways.html",
        status=refusal.status if refusal else 422 if errors else 200,
        case_id=case.case_id,
        version=case.version,
        options=[
            {"value": way["channel"], "label": way["title"], "icon": way["channel"], "disabled": not way["possible"]}
            for way in found["ways"]
        ],
        errors=errors,
        typed=form.values if form else {},
        refused_title=translate(text.title) if text else None,
        refused_advice=translate(text.advice) if text else None,
        **found,
    )


async def _ways(session: AsyncSession, case: Row[Any], said: Said, *, now: datetime) -> dict[str, Any]:
    row = await procedure_of(session, case)
    standing = await get_standing(session, case)
    why = why_not(standing, said)
    text = REFUSALS[why] if why else None
    booked = await list_booked(session, case.municipality, case.case_id, now=now)
    return {
        "procedure": row.code,
        "procedure_name": row.name_ja,
        "current": translate(CHANNEL_TITLES[case.channel]),
        "channel": case.channel,
        "why_title": translate(text.title) if text else None,
        "why_advice": translate(text.advice) if text else None,
        "ways": [
            {
                "channel": channel,
                "title": translate(CHANNEL_TITLES[channel]),
                "possible": await _is_open(session, row, channel) or (standing.is_sent and channel == "online"),
            }
            for channel in CHANNELS
            if channel != case.channel
        ],
        "booked": booked,
        "stays_booked": bool(case.together) or any(not each.is_alone for each in booked),
        "sent": await find_number_of(session, case.municipality, case.case_id) if standing.application else None,
        "must_correct": standing.application in EDITABLE,
        "is_waiting": standing.is_sent and case.channel != "online",
        "switches": switch_lines(await list_switches(session, case.municipality, case.case_id)),
    }


async def _is_open(session: AsyncSession, row: Row[Any], channel: str) -> bool:
    try:
        await refuse_channel(session, row, channel)
    except Refusal:
        return False
    return True
