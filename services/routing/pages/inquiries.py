"""「おぼえがない」「なおしてほしい」: a person asks about an entry of their history, and reads the answer."""

from datetime import datetime
from typing import Any
from urllib.parse import quote
from uuid import UUID

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect, Template
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.inquiries import ask, ask_again, close, read_own
from services.routing.domain.inquiries import ANSWER_WORKING_DAYS, KINDS, TEXT_MAX_LENGTH, WAITING, Kind, may_move
from services.routing.keys import Keys
from services.routing.pages.history_wording import HistoryLine, history_line
from services.routing.pages.inquiry_wording import ASK_FIELDS, ASK_HINTS, ASK_TITLES, STATE_LOOKS, STATES, STEPS
from services.routing.pages.inquiry_wording import KINDS as KIND_NAMES
from services.routing.pages.wording import REFUSALS
from services.routing.queries.catalogue import get_town, procedure_names
from services.routing.queries.history import find_entry
from services.routing.queries.inquiries import Step, find_number_about
from services.routing.queries.mine import find_correctable, list_subjects
from shared.db import Database
from shared.errors import Refusal
from shared.reference_number import INQUIRY_LENGTH, read_number
from shared.tokens import Identity
from shared.web.forms import Form, parse_uuid, read_form
from shared.web.i18n import translate
from shared.web.identity import require_visitor
from shared.web.pages import page, see_other
from shared.web.town_texts import town_text

GUARDS = [require_visitor]

Req = Request[Any, Any, Any]


@get("/my/history/{entry_id:str}/{kind:str}", guards=GUARDS)
async def show_ask(
    request: Req,
    entry_id: FromPath[str],
    kind: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
) -> Template | Redirect:
    """What the entry was, how to put it right oneself if that can be done, and the question to the town hall."""
    known, wanted = _kind(kind), parse_uuid(entry_id, code="entry_unknown")
    async with db.begin(identity.municipality) as session:
        shown = await _ask_page(request, session, identity, wanted, known, Form({}), now=now)
        asked = await find_number_about(session, identity.municipality, wanted, known)
    return see_other(f"/my/inquiries/{asked}") if asked else shown


@post("/my/history/{entry_id:str}/{kind:str}", guards=GUARDS)
async def post_ask(
    request: Req,
    entry_id: FromPath[str],
    kind: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
) -> Template | Redirect:
    """Ask. However often it is sent, it is one inquiry."""
    known, wanted = _kind(kind), parse_uuid(entry_id, code="entry_unknown")
    form = Form(await read_form(request))
    written = form.long_text("text", max_length=TEXT_MAX_LENGTH, required=known == "correction")
    async with db.begin(identity.municipality) as session:
        if not form.ok:
            return await _ask_page(request, session, identity, wanted, known, form, now=now)
        number = await ask(session, keys.vault, identity=identity, entry_id=wanted, kind=known, text=written, now=now)
    return see_other(f"/my/inquiries/{number}")


@get("/my/inquiries/{number:str}", guards=GUARDS)
async def show_inquiry(
    request: Req,
    number: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
) -> Template:
    """One's own inquiry: how it stands, until when it is answered, and what was written."""
    async with db.begin(identity.municipality) as session:
        return await _inquiry_page(request, session, keys, identity, number, now=now)


@get("/my/inquiries/{number:str}/{action:str}", guards=GUARDS)
async def get_inquiry_address(number: FromPath[str]) -> Redirect:
    """Where the forms are sent, opened as a page."""
    return see_other(f"/my/inquiries/{quote(number)}")


@post("/my/inquiries/{number:str}/{action:str}", guards=GUARDS)
async def post_inquiry(
    request: Req,
    number: FromPath[str],
    action: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
) -> Template | Redirect:
    """The answer is enough (`close`), or it is not (`again`)."""
    canonical = inquiry_number(number)
    form = Form(await read_form(request))
    if action not in ("close", "again"):
        raise Refusal("not_found", 404)
    written = form.long_text("text", max_length=TEXT_MAX_LENGTH) if action == "again" else ""
    refusal: Refusal | None = None
    if form.ok:
        try:
            async with db.begin(identity.municipality) as session:
                if action == "close":
                    await close(session, keys.vault, identity=identity, number=canonical, now=now)
                else:
                    await ask_again(session, keys.vault, identity=identity, number=canonical, text=written, now=now)
            return see_other(f"/my/inquiries/{canonical}")
        except Refusal as error:
            if error.code != "inquiry_moved":
                raise
            refusal = error
    async with db.begin(identity.municipality) as session:
        return await _inquiry_page(request, session, keys, identity, number, now=now, form=form, refusal=refusal)


def inquiry_number(typed: str) -> str:
    """An inquiry's number, as it is kept.

    Raises:
        Refusal: `inquiry_unknown` (404).
    """
    number = read_number(typed, length=INQUIRY_LENGTH)
    if number is None:
        raise Refusal("inquiry_unknown", 404)
    return number


async def find_line(session: AsyncSession, municipality: str, subject_ref: UUID, entry_id: UUID) -> HistoryLine | None:
    """What an inquiry is about, as the person reads it in their history."""
    found = await find_entry(session, municipality, [subject_ref], entry_id)
    return None if found is None else history_line(found.entry, await procedure_names(session, municipality))


def _kind(text: str) -> Kind:
    known = next((kind for kind in KINDS if kind == text), None)
    if known is None:
        raise Refusal("not_found", 404)
    return known


async def _ask_page(
    request: Req,
    session: AsyncSession,
    identity: Identity,
    entry_id: UUID,
    kind: Kind,
    form: Form,
    *,
    now: datetime,
) -> Template:
    found = await find_entry(session, identity.municipality, await list_subjects(session, identity), entry_id)
    if found is None:
        raise Refusal("entry_unknown", 404)
    entry, case_id = found.entry, found.case_id
    is_correction = kind == "correction"
    return page(
        request,
        "inquiry_ask.html",
        status=200 if form.ok else 422,
        line=history_line(entry, await procedure_names(session, identity.municipality)),
        title=translate(ASK_TITLES[kind]),
        label=translate(ASK_FIELDS[kind]),
        hint=translate(ASK_HINTS[kind]),
        required=is_correction,
        correct_at=await find_correctable(session, identity, case_id, now=now) if is_correction and case_id else None,
        action=f"/my/history/{entry_id}/{kind}",
        phone=(await get_town(session, identity.municipality)).phone,
        errors=form.errors,
        typed=form.value("text"),
        text_max_length=TEXT_MAX_LENGTH,
        working_days=ANSWER_WORKING_DAYS,
    )


async def _inquiry_page(
    request: Req,
    session: AsyncSession,
    keys: Keys,
    identity: Identity,
    number: str,
    *,
    now: datetime,
    form: Form | None = None,
    refusal: Refusal | None = None,
) -> Template:
    row, thread = await read_own(session, keys.vault, identity=identity, number=inquiry_number(number), now=now)
    text = REFUSALS[refusal.code] if refusal else None
    errors = form.errors if form else {}
    return page(
        request,
        "inquiry.html",
        status=refusal.status if refusal else 422 if errors else 200,
        number=row.number,
        kind=translate(KIND_NAMES[row.kind]),
        state=translate(STATES[row.state]),
        look=STATE_LOOKS[row.state],
        line=await find_line(session, row.municipality, row.subject_ref, row.entry_id),
        steps=step_lines(thread.steps, STEPS),
        office=row.office,
        due_at=row.due_at,
        is_waiting=row.state in WAITING,
        is_overdue=row.state in WAITING and row.due_at < now,
        can_close=may_move(row.state, "closed"),
        can_ask_again=may_move(row.state, "asked_again"),
        phone=(await get_town(session, row.municipality)).phone,
        errors=errors,
        typed=form.value("text") if form else "",
        text_max_length=TEXT_MAX_LENGTH,
        refused_title=translate(text.title) if text else None,
        refused_advice=translate(text.advice) if text else None,
    )


def step_lines(steps: tuple[Step, ...], words: dict[str, str]) -> list[dict[str, Any]]:
    """Question and answers with their words, the first one first."""
    return [
        {
            "occurred_at": step.occurred_at,
            "title": translate(words[step.state]) % {"office": town_text(step.office or "")},
            "text": step.text,
        }
        for step in steps
    ]
