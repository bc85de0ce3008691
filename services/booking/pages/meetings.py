"""`/helpers/meetings/…`: what a helper has before them while they sit beside somebody; and notes to the next one."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import segno
from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect, Template

from services.booking.commands.assignments import Answer, answer_request
from services.booking.commands.helper_notes import HelperNote, list_notes, list_notes_for_coordinator, write_note
from services.booking.commands.own_days import show_meeting
from services.booking.commands.switching import WISHED, Wished, wish_switch
from services.booking.domain.notes import NOTE_MAX_LENGTH, PHRASES, find_personal
from services.booking.flow import Rush
from services.booking.keys import Keys
from services.booking.pages.helpers import GUARDS
from services.booking.pages.note_wording import FOUND_WORDS, PHRASE_WORDS
from services.booking.pages.roster import GUARDS as ROSTER_GUARDS
from services.booking.pages.wording import language_name, venue_label
from services.booking.queries.meetings import find_going_on
from services.booking.refusals import REFUSALS
from shared.db import Database
from shared.errors import Refusal
from shared.tokens import Identity
from shared.web.forms import Form, parse_uuid, read_form
from shared.web.i18n import translate
from shared.web.pages import page, see_other

TOGETHER = "/together"
QR_SCALE, QR_BORDER, PAPER = 8, 2, "#fff"
ATTENDED: tuple[Answer, ...] = ("came", "no-show")
SWITCHED, NOTED = "switched", "noted"
SHOWN_HERE = frozenset({"request_over", "not_begun", "note_late"})

Req = Request[Any, Any, Any]


@get("/helpers/meetings/{assignment_id:str}", guards=GUARDS)
async def get_meeting(
    request: Req,
    assignment_id: FromPath[str],
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    told: FromQuery[str] = "",
) -> Template:
    """The rules first; then whom they meet, the way together, and the way out."""
    return await _meeting_page(request, db, keys, identity, _id(assignment_id), now=now, told=told)


@get(
    [f"/helpers/meetings/{{assignment_id:str}}/{name}" for name in (*ATTENDED, "switch", "note")],
    guards=GUARDS,
)
async def get_meeting_address(assignment_id: FromPath[str]) -> Redirect:
    """Where its forms are sent, opened as a page."""
    return see_other(f"/helpers/meetings/{_id(assignment_id)}")


@post([f"/helpers/meetings/{{assignment_id:str}}/{name}" for name in ATTENDED], guards=GUARDS)
async def post_attended(
    request: Req,
    assignment_id: FromPath[str],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
) -> Template | Redirect:
    """They came, or did not."""
    mine, answer = _id(assignment_id), request.url.path.rsplit("/", 1)[-1]
    known = next(each for each in ATTENDED if each == answer)
    try:
        await rush.run(
            db, identity.municipality, lambda session: answer_request(session, identity, mine, known, now=now)
        )
    except Refusal as refusal:
        return await _refused(request, db, keys, identity, mine, refusal, now=now)
    return see_other(f"/helpers/meetings/{mine}?told={known}")


@post("/helpers/meetings/{assignment_id:str}/switch", guards=GUARDS)
async def post_meeting_switch(
    request: Req,
    assignment_id: FromPath[str],
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
) -> Template | Redirect:
    """It does not work out here: one touch, and the case goes on at a counter, or online, with all that was given.

    The button says that the person beside them wants it.
    """
    mine = _id(assignment_id)
    fields = await read_form(request)
    channel: Wished | None = next((each for each in WISHED if each == fields.get("channel")), None)
    if channel is None:
        raise Refusal("form_unreadable", 400)
    try:
        async with db.begin(identity.municipality) as session:
            await wish_switch(session, identity, mine, channel, now=now)
    except Refusal as refusal:
        return await _refused(request, db, keys, identity, mine, refusal, now=now)
    return see_other(f"/helpers/meetings/{mine}?told={SWITCHED}")


@post("/helpers/meetings/{assignment_id:str}/note", guards=GUARDS)
async def post_note(
    request: Req,
    assignment_id: FromPath[str],
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
) -> Template | Redirect:
    """A note to the next helper. With something of a person in it: the page as it was typed, and what to change."""
    mine = _id(assignment_id)
    form = Form(await read_form(request))
    words = form.text("words", max_length=NOTE_MAX_LENGTH, required=False)
    found = find_personal(words)
    if found is not None:
        form.errors["words"] = translate(FOUND_WORDS[found])
    if not form.ok:
        return await _meeting_page(request, db, keys, identity, mine, now=now, form=form)
    phrases = form.value("phrase").split()
    try:
        async with db.begin(identity.municipality) as session:
            await write_note(session, identity, keys, mine, phrases=phrases, words=words, now=now)
    except Refusal as refusal:
        return await _refused(request, db, keys, identity, mine, refusal, form=form, now=now)
    return see_other(f"/helpers/meetings/{mine}?told={NOTED}")


@get("/helpers/roster/{assignment_id:str}/notes", guards=ROSTER_GUARDS)
async def get_notes(
    request: Req,
    assignment_id: FromPath[str],
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
) -> Template:
    """The notes of a request's case, for the coordinator."""
    async with db.begin(identity.municipality) as session:
        notes = await list_notes_for_coordinator(session, identity, keys, _id(assignment_id), now=now)
    return page(request, "helper_notes.html", notes=[_note(each) for each in notes])


async def _refused(
    request: Req,
    db: Database,
    keys: Keys,
    identity: Identity,
    mine: UUID,
    refusal: Refusal,
    *,
    form: Form | None = None,
    now: datetime,
) -> Template:
    if refusal.code not in SHOWN_HERE:
        raise refusal
    return await _meeting_page(request, db, keys, identity, mine, now=now, form=form, refusal=refusal)


async def _meeting_page(
    request: Req,
    db: Database,
    keys: Keys,
    identity: Identity,
    mine: UUID,
    *,
    now: datetime,
    told: str = "",
    form: Form | None = None,
    refusal: Refusal | None = None,
) -> Template:
    async with db.begin(identity.municipality) as session:
        meeting = await show_meeting(session, identity, keys, mine, now=now)
        notes = await list_notes(session, identity.municipality, keys, mine, now=now)
        goes_on = await find_going_on(session, identity.municipality, mine, now=now)
    own = next((note for note in notes if note.assignment_id == mine), None)
    if form is None:
        form = Form({"phrase": " ".join(own.phrases), "words": own.words} if own else {})
    text = REFUSALS[refusal.code] if refusal else None
    scheme, host = "https" if request.scope["state"]["secure"] else "http", request.headers["host"]
    qr = segno.make(f"{scheme}://{host}{TOGETHER}", error="m", micro=False)
    return page(
        request,
        "meeting.html",
        status=refusal.status if refusal else 422 if form.errors else 200,
        meeting=meeting,
        base=f"/helpers/meetings/{mine}",
        where=venue_label(meeting.venue_name, meeting.venue_place),
        language=language_name(meeting.language),
        is_agreed=meeting.agreed_until is not None and now < meeting.agreed_until,
        steps=f"/cases/{meeting.case_id}/helper-steps" if meeting.case_id else None,
        goes_on=goes_on,
        taken_where=venue_label(goes_on.taken.name_ja, goes_on.taken.place_ja) if goes_on and goes_on.taken else "",
        find_at=f"{host}{TOGETHER}",
        qr=qr.svg_data_uri(scale=QR_SCALE, border=QR_BORDER, light=PAPER),
        notes=[_note(note) for note in notes if note is not own],
        has_note=own is not None,
        phrases=[{"value": phrase, "label": translate(PHRASE_WORDS[phrase])} for phrase in PHRASES],
        note_max=NOTE_MAX_LENGTH,
        form=form,
        told=told if told in (*ATTENDED, SWITCHED, NOTED) else "",
        refused_title=translate(text.title) if text else None,
        refused_advice=translate(text.advice) if text else None,
    )


def _note(note: HelperNote) -> Mapping[str, Any]:
    return {
        "at": note.written_at,
        "phrases": [translate(PHRASE_WORDS[phrase]) for phrase in note.phrases if phrase in PHRASE_WORDS],
        "words": note.words,
    }


def _id(text: str) -> UUID:
    return parse_uuid(text, code="request_unknown")
