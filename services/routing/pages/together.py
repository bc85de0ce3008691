"""`/together`: the person says whether the helper beside them may see which steps are done; how it goes on from there,
and the helper's view.

The address is read from the helper's screen at the device that has the case open: whose case it is, the device knows.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect, Template
from litestar.status_codes import HTTP_204_NO_CONTENT
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.cases import get_own_case
from services.routing.commands.handover import Decided, decide_handover
from services.routing.commands.meeting_steps import read_progress
from services.routing.commands.meetings import agree_to_meeting, end_meeting
from services.routing.commands.online import get_online_case
from services.routing.commands.passes import make_pass
from services.routing.domain.handover import CONTACT
from services.routing.keys import Keys
from services.routing.pages.case_access import list_opened
from services.routing.pages.together_counter import AtCounter, draw_counter
from services.routing.pages.together_wording import explain, page_titles, step_title
from services.routing.pages.wording import place_of
from services.routing.queries.catalogue import list_counters, procedure_names
from services.routing.queries.meetings import Meeting, find_meeting_of, list_meetings_here
from shared.db import Database
from shared.errors import Refusal
from shared.passes import BOOKING_ITEMS
from shared.tokens import Identity
from shared.web.forms import parse_uuid, read_form
from shared.web.i18n import current_language
from shared.web.identity import PUBLIC, RenewSession, find_identity, require_role, require_visitor, token_of
from shared.web.pages import page, see_other
from shared.web.town import Town

TOGETHER = "/together"
TOLD = ("refused", "ended")
# Of a counter's code, or a time.
ASKED_MAX_LENGTH = 40

Req = Request[Any, Any, Any]


@get(TOGETHER, opt=PUBLIC)
async def show_together(
    request: Req,
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    told: FromQuery[str] = "",
) -> Template:
    """Who sits beside them, what that helper would see, yes or no; afterwards where it goes on, and the end of it."""
    async with db.begin(town.code) as session:
        meetings = await _here(request, session, keys, town, now=now)
        drawn = [await _draw(request, session, keys, town, meeting, now=now) for meeting in meetings]
    if not drawn and (token := token_of(request)) is not None and token.is_expired(now):
        # Perhaps it is theirs.
        raise RenewSession
    # What is asked stays as it is until it is answered, under a finger and in the person's record.
    is_asking = any(each["counter"].offer for each in drawn)
    return page(request, "together.html", meetings=drawn, told=told if told in TOLD else "", is_live=not is_asking)


@post(f"{TOGETHER}/agree", opt=PUBLIC)
async def post_agree(
    request: Req,
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
) -> Redirect:
    """Yes."""
    async with db.begin(town.code) as session:
        chosen = await _chosen(request, await read_form(request), session, keys, town, now=now)
        await agree_to_meeting(session, town.code, chosen, now=now)
    return see_other(TOGETHER)


@post(f"{TOGETHER}/end", opt=PUBLIC)
async def post_end(
    request: Req,
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
) -> Redirect:
    """Enough: the helper sees nothing any more."""
    async with db.begin(town.code) as session:
        chosen = await _chosen(request, await read_form(request), session, keys, town, now=now)
        await end_meeting(session, town.code, chosen.appointment_id, now=now)
    return see_other(f"{TOGETHER}?told=ended")


@post(f"{TOGETHER}/counter", opt=PUBLIC)
async def post_counter(
    request: Req,
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
) -> Template | Redirect:
    """Yes to the time at the counter, and to handing over what was shown with it: the browser carries both to booking.

    Where something else would be handed over by now, it is shown again.
    """
    fields = await read_form(request)
    shown = {key: fields[f"offer_{key}"] for key in (*BOOKING_ITEMS, CONTACT) if f"offer_{key}" in fields}
    language = current_language().code
    carried = None
    async with db.begin(town.code) as session:
        chosen = await _chosen(request, fields, session, keys, town, now=now)
        identity = find_identity(request)
        if identity is None:
            # Opened by a link alone: it is gone on with where it was begun.
            raise Refusal("case_unknown", 404)
        case_id, answers = chosen.case_id, dict.fromkeys(shown, "yes")
        online = await get_online_case(session, identity, case_id, now=now)
        outcome = await decide_handover(
            session, keys, identity=identity, case_id=case_id, answers=answers, shown=shown, language=language, now=now
        )
        if isinstance(outcome, Decided):
            titles = page_titles(online)
            carried = await make_pass(
                session, keys, identity=identity, case_id=case_id, titles=titles, language=language, now=now
            )
    if carried is None:
        return see_other(TOGETHER)
    names = ("counter", "starts_at")
    asked = {name: fields.get(name, "")[:ASKED_MAX_LENGTH] for name in names}
    return page(request, "together_go.html", sealed_pass=carried.sealed_pass, asked=asked)


@get([f"{TOGETHER}/{name}" for name in ("agree", "end", "counter")], opt=PUBLIC)
async def get_together_address() -> Redirect:
    """Where its forms are sent, opened as a page."""
    return see_other(TOGETHER)


@get("/cases/{case_id:str}/beside", guards=[require_visitor])
async def get_beside(
    case_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    channel: FromQuery[str] = "",
) -> Response[None]:
    """A page of the case that lies open beside a helper asks whether it goes on another way by now: then there."""
    wanted = parse_uuid(case_id, code="case_unknown")
    async with db.begin(identity.municipality) as session:
        case = await get_own_case(session, identity, wanted, now=now)
    there = {"HX-Redirect": TOGETHER} if case.channel != channel else {}
    return Response(None, status_code=HTTP_204_NO_CONTENT, headers=there)


@get("/cases/{case_id:str}/helper-steps", guards=[require_role("helper")])
async def show_helper_steps(
    request: Req,
    case_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
) -> Template:
    """For the helper beside them: which steps are done, and what the next one asks. Nothing of what was given, and
    nothing at all before the person has said yes; to everybody else it is no case."""
    wanted = parse_uuid(case_id, code="case_unknown")
    async with db.begin(identity.municipality) as session:
        meeting = await find_meeting_of(session, identity, wanted, now=now)
        if meeting is None:
            raise Refusal("case_unknown", 404)
        seen = await _progress(session, identity.municipality, wanted, now=now) if meeting.is_agreed(now) else None
    is_piece = request.headers.get("hx-request") == "true"
    return page(request, "helper_steps.html" if is_piece else "helper_steps_page.html", seen=seen)


async def _here(request: Req, session: AsyncSession, keys: Keys, town: Town, *, now: datetime) -> list[Meeting]:
    opened = await list_opened(request, session, keys, town.code, now=now)
    return await list_meetings_here(session, town.code, find_identity(request), opened, now=now)


async def _chosen(
    request: Req, fields: Mapping[str, str], session: AsyncSession, keys: Keys, town: Town, *, now: datetime
) -> Meeting:
    wanted = parse_uuid(fields.get("meeting", ""), code="case_unknown")
    for meeting in await _here(request, session, keys, town, now=now):
        if meeting.appointment_id == wanted:
            return meeting
    raise Refusal("case_unknown", 404)


async def _draw(
    request: Req, session: AsyncSession, keys: Keys, town: Town, meeting: Meeting, *, now: datetime
) -> dict[str, Any]:
    counters = await list_counters(session, town.code)
    names = await procedure_names(session, town.code)
    where = counters.get(meeting.counter)
    identity = find_identity(request)
    online = None
    if identity is not None:
        try:
            online = await get_online_case(session, identity, meeting.case_id, now=now)
        except Refusal:
            # Opened by a link alone: it is gone on with where it was begun.
            online = None
    counter = AtCounter()
    if identity is not None and online is not None and meeting.channel == "counter":
        counter = await draw_counter(session, keys, identity, online, now=now)
    return {
        "meeting": meeting,
        "is_agreed": meeting.is_agreed(now),
        "where": place_of(where) if where else "",
        "procedure_name": names[meeting.procedure][0] if meeting.procedure in names else meeting.procedure,
        "can_go_on": online is not None,
        "counter": counter,
        "can_begin_online": online is not None and meeting.channel == "helper" and online.online,
    }


async def _progress(session: AsyncSession, municipality: str, case_id: UUID, *, now: datetime) -> dict[str, Any]:
    progress = await read_progress(session, municipality, case_id, now=now)
    current = progress.current
    return {
        "procedure_name": progress.procedure_name,
        "channel": progress.channel,
        "steps": [
            {
                "title": step_title(step),
                "is_done": step.is_done,
                "is_current": index == current,
            }
            for index, step in enumerate(progress.steps)
        ],
        "explained": explain(progress.steps[current]) if current is not None else None,
        "title": step_title(progress.steps[current]) if current is not None else "",
    }
