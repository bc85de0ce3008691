"""`/cases/{id}/thread`: a case as one list over all services, on the screen and on paper; and giving it up."""

from datetime import datetime
from typing import Any
from urllib.parse import quote
from uuid import UUID

import msgspec
from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect, Template
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.closing import close_case
from services.routing.domain.applications import AT_OFFICE, EDITABLE
from services.routing.domain.catalogue import Counter
from services.routing.domain.thread import may_close
from services.routing.keys import Keys
from services.routing.pages.application_wording import NEXT, STATE_LOOKS, STATES
from services.routing.pages.case_access import OpenedCase, case_cookie, open_case_page
from services.routing.pages.open_data import make_qr
from services.routing.pages.thread_wording import STANDINGS, entry_words, who_words
from services.routing.pages.wording import (
    CASE_STATES,
    CHANNEL_TITLES,
    ONLINE_CASE_STATES,
    appointment_state,
    bring_words,
    place_of,
)
from services.routing.queries.catalogue import get_town, list_counters, list_procedures, procedure_names
from services.routing.queries.family import list_persons
from services.routing.queries.one_form import find_one_form
from services.routing.queries.thread import Thread, read_thread
from shared.audit import record_deed
from shared.crypto import SEALED_MAX_BYTES
from shared.db import Database
from shared.passes import PASS_LIFETIME, ContactOpening, open_case_opening, seal_contact_opening
from shared.tokens import Identity
from shared.web.forms import parse_uuid, read_form
from shared.web.i18n import translate
from shared.web.identity import PUBLIC, require_visitor
from shared.web.pages import page, see_other
from shared.web.town import Town
from shared.web.town_texts import town_text

# So many lie open; those before them are folded away.
NEWEST = 30

Req = Request[Any, Any, Any]


@get("/cases/{case_id:str}/thread", opt=PUBLIC)
async def show_thread(
    request: Req,
    case_id: FromPath[str],
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
) -> Template:
    """What comes next, large; then what happened, newest first."""
    async with db.begin(town.code) as session:
        opened = await open_case_page(request, session, _case_id(case_id), keys, town.code, now=now)
        drawn = await draw_case(session, opened, keys, now=now)
    return page(request, "thread.html", **drawn)


@get("/cases/{case_id:str}/print", opt=PUBLIC)
async def show_thread_print(
    request: Req,
    case_id: FromPath[str],
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
) -> Template:
    """The same on paper, for whoever goes on without a device: numbers, places, what to bring, whom to call."""
    async with db.begin(town.code) as session:
        opened = await open_case_page(request, session, _case_id(case_id), keys, town.code, now=now)
        drawn = await draw_case(session, opened, keys, now=now)
    return page(request, "thread_print.html", cases=[drawn], back=f"/cases/{drawn['case_id']}/thread")


@post("/cases/{case_id:str}/close", guards=[require_visitor])
async def post_close(
    case_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
) -> Redirect:
    """Give it up."""
    case = _case_id(case_id)
    async with db.begin(identity.municipality) as session:
        is_here = await close_case(session, identity=identity, case_id=case, now=now)
    return see_other(f"/cases/{case}/thread" if is_here else "/my")


@get("/cases/{case_id:str}/close", guards=[require_visitor])
async def get_close_address(case_id: FromPath[str]) -> Redirect:
    """Where the button is sent, opened as a page."""
    return see_other(f"/cases/{quote(case_id)}/thread")


@post("/cases/open", opt=PUBLIC)
async def post_open(
    request: Req,
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    secure: NamedDependency[bool],
) -> Redirect:
    """From an appointment's page, whoever may see that one: its case, and no other."""
    fields = await read_form(request)
    opening = open_case_opening(keys.box, fields.get("opening", "")[:SEALED_MAX_BYTES], municipality=town.code, now=now)
    return Redirect(
        f"/cases/{opening.case_id}/thread",
        status_code=303,
        cookies=[case_cookie(keys, town.code, opening.case_id, secure=secure, now=now)],
    )


class Words(msgspec.Struct, frozen=True, kw_only=True):
    """What every case of a page is drawn with."""

    names: dict[str, tuple[str, str]]
    counters: dict[str, Counter]
    bring: dict[str, tuple[str, ...]]
    phone: str
    persons: dict[UUID, int]


async def read_words(session: AsyncSession, identity: Identity) -> Words:
    """Names, places and what to bring, of the whole town."""
    facts = await get_town(session, identity.municipality)
    procedures = await list_procedures(session, identity.municipality)
    return Words(
        names=await procedure_names(session, identity.municipality),
        counters=await list_counters(session, identity.municipality),
        bring={each.code: bring_words(each.bring, facts) for each in procedures},
        phone=facts.phone,
        persons=await list_persons(session, identity),
    )


async def draw_case(
    session: AsyncSession, opened: OpenedCase, keys: Keys, words: Words | None = None, *, now: datetime
) -> dict[str, Any]:
    """A case as its page and its paper show it. What was typed is in neither."""
    if opened.is_owner:
        await record_deed(session, opened.identity, "view_case", opened.row.case_id, now=now)
    words = words or await read_words(session, opened.identity)
    thread = await read_thread(session, opened.row, now=now)
    appointments = [_draw_appointment(each, words) for each in thread.appointments]
    lines = [
        {
            "at": entry.at,
            "text": entry_words(entry, words.counters),
            "who": who_words(entry),
        }
        for entry in thread.entries
    ]
    return {
        "case_id": thread.case_id,
        "number": opened.row.number,
        "title": words.names[thread.procedure][0] if thread.procedure in words.names else thread.procedure,
        "procedure": thread.procedure,
        "person": words.persons.get(thread.acting_for) if thread.acting_for is not None else None,
        "channel": translate(CHANNEL_TITLES[thread.channel]),
        "standing": thread.standing,
        "state": standing_words(thread),
        "look": STATE_LOOKS.get(thread.application_state or "", "") if thread.standing == "sent" else "",
        "is_owner": opened.is_owner,
        "is_behalf": thread.behalf is not None,
        "sent": thread.sent,
        "sent_qr": make_qr(thread.sent) if thread.sent else None,
        # As on the application's own page: only for whoever sent it.
        "code": keys.application_code(opened.row.municipality, thread.application_id)
        if opened.is_owner and thread.application_id is not None
        else None,
        "next": next_words(thread),
        "due_at": thread.due_at if thread.application_state in AT_OFFICE else None,
        "can_correct": opened.is_owner and thread.application_state in EDITABLE,
        "can_go_on": opened.is_owner and thread.standing in ("open", "closed"),
        "may_book_again": opened.is_owner and thread.standing == "over" and thread.application_state is None
        and all(each.state != "done" for each in thread.appointments),
        "one_form": await find_one_form(session, opened.identity, opened.row) if opened.is_owner else None,
        "may_switch": opened.is_owner and thread.standing in ("open", "booked", "sent"),
        "may_close": opened.is_owner and may_close(
            thread.standing, thread.application_state, is_booked=any(each.is_live for each in thread.appointments)
        ),
        "coming": [each for each in appointments if each["is_live"]],
        "past": [each for each in appointments if not each["is_live"]],
        "newest": lines[:NEWEST],
        "older": lines[NEWEST:],
        "is_unreached": thread.is_unreached,
        "notices_opening": _open_notices(opened, keys, now=now),
        "feedback": thread.feedback,
        "may_say": thread.feedback is not None and opened.identity.kind in ("guest", "resident"),
        "phone": words.phone,
    }  # fmt: skip


def standing_words(thread: Thread) -> str:
    """Where a case stands, in a few words."""
    if thread.standing == "sent" and thread.application_state is not None:
        return translate(STATES[thread.application_state])
    if thread.standing == "over" and thread.application_state is not None:
        return translate(STATES[thread.application_state])
    if thread.standing == "over" and thread.appointments:
        last = thread.appointments[-1]
        return appointment_state(last.state, last.helper)
    return translate(STANDINGS[thread.standing])


def next_words(thread: Thread) -> str:
    """What comes next, as a sentence; empty where an appointment says it."""
    if thread.standing == "open":
        words = ONLINE_CASE_STATES if thread.channel == "online" else CASE_STATES
        return translate(words[thread.state])
    if thread.application_state is not None and thread.standing in ("sent", "over"):
        return translate(NEXT[thread.application_state]) % {"office": town_text(thread.office or "")}
    return ""


def _open_notices(opened: OpenedCase, keys: Keys, *, now: datetime) -> str | None:
    """What opens how the notices of this case come, for its person; staff have pages of their own. A link or a code
    does not: relays have them too."""
    case = opened.row
    if (
        not opened.is_owner
        or case.contact_ref is None
        or case.contact_approval_id is None
        or opened.identity.kind not in ("guest", "resident")
    ):
        return None
    opening = ContactOpening(
        municipality=case.municipality,
        contact_ref=case.contact_ref,
        back=f"/cases/{case.case_id}/thread",
        expires_at=now + PASS_LIFETIME,
    )
    return seal_contact_opening(keys.box, opening)


def _draw_appointment(each: Any, words: Words) -> dict[str, Any]:
    place = words.counters.get(each.counter)
    return {
        "number": each.number,
        "titles": [words.names[code][0] if code in words.names else code for code in each.procedures],
        "starts_at": each.starts_at,
        "place": place_of(place) if place else None,
        "state": appointment_state(each.state, each.helper),
        "is_live": each.is_live,
        "with_helper": each.helper == "accepted",
        "is_closed": each.is_closed,
        "bring": list(dict.fromkeys(thing for code in each.procedures for thing in words.bring.get(code, ()))),
        "qr": make_qr(each.number),
    }


def _case_id(text: str) -> UUID:
    return parse_uuid(text, code="case_unknown")
