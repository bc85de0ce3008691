"""`/office/feedback`: what residents said after their cases, the office's answer, and what of it is published."""

from datetime import datetime
from typing import Any
from urllib.parse import quote
from uuid import UUID

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect, Template
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.feedback import answer_feedback, publish_feedback, read_for_staff, withdraw_feedback
from services.routing.domain.quality import ANSWER_MAX_LENGTH, FEEDBACK, FEEDBACK_ANSWER, PUBLISHED_MAX_LENGTH
from services.routing.keys import Keys
from services.routing.pages.office import OFFICE, VERSION_DIGITS
from services.routing.pages.office_inquiries import office_of
from services.routing.pages.quality_wording import EASES
from services.routing.pages.wording import CHANNEL_TITLES, REFUSALS
from services.routing.queries.catalogue import procedure_names
from services.routing.queries.quality import FEEDBACK_PAGE, list_feedback
from shared.db import Database
from shared.errors import Refusal
from shared.tokens import Identity
from shared.web.forms import Form, parse_uuid, read_form
from shared.web.i18n import translate
from shared.web.pages import page, see_other

PATH = "/office/feedback"
PAGES_MAX = 200
ACTIONS = ("answer", "publish", "withdraw")

Req = Request[Any, Any, Any]


@get(PATH, guards=OFFICE)
async def show_feedback_list(
    request: Req, db: NamedDependency[Database], identity: NamedDependency[Identity]
) -> Template:
    """The office's feedback, the newest first: taps only. A manager sees that of every office."""
    only_open = request.query_params.get("show") != "all"
    number = _page_number(request)
    office = office_of(identity)
    async with db.begin(identity.municipality) as session:
        listed = await list_feedback(
            session, identity.municipality, office=office, only_open=only_open, skip=(number - 1) * FEEDBACK_PAGE
        )
        names = await procedure_names(session, identity.municipality)
    more = f"{PATH}?show={'open' if only_open else 'all'}&page={number + 1}" if len(listed) > FEEDBACK_PAGE else None
    return page(
        request,
        "office_feedback_list.html",
        office=office,
        only_open=only_open,
        lines=[
            {
                "href": f"{PATH}/{line.case_id}",
                "given_at": line.given_at,
                "title": names[line.procedure][0] if line.procedure in names else line.procedure,
                "channel": translate(CHANNEL_TITLES[line.channel]),
                "ease": translate(EASES[line.ease]),
                "worked": line.worked,
                "has_text": line.has_text,
                "is_answered": line.is_answered,
                "is_published": line.is_published,
            }
            for line in listed[:FEEDBACK_PAGE]
        ],
        more=more,
        is_first=number == 1,
        path_of=PATH,
    )


@get(PATH + "/{case_id:str}", guards=OFFICE)
async def show_office_feedback(
    request: Req,
    case_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
) -> Template:
    """One: what was written, to be answered, and to be published in other words."""
    case = parse_uuid(case_id, code="feedback_unknown")
    async with db.begin(identity.municipality) as session:
        return await _detail(request, session, keys, identity, case, now=now)


@get(PATH + "/{case_id:str}/{action:str}", guards=OFFICE)
async def get_feedback_address(case_id: FromPath[str]) -> Redirect:
    """Where the forms are sent, opened as a page."""
    return see_other(f"{PATH}/{quote(case_id)}")


@post(PATH + "/{case_id:str}/{action:str}", guards=OFFICE)
async def post_feedback_action(
    request: Req,
    case_id: FromPath[str],
    action: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
) -> Template | Redirect:
    """Answer, publish, or take back what was published. Of two at once, one is told that the other was first."""
    case = parse_uuid(case_id, code="feedback_unknown")
    form = Form(await read_form(request))
    version = form.value("version")
    if action not in ACTIONS or not (version.isascii() and version.isdigit() and len(version) <= VERSION_DIGITS):
        raise Refusal("form_unreadable", 400)
    seen = int(version)
    refusal: Refusal | None = None
    try:
        async with db.begin(identity.municipality) as session:
            if action == "answer":
                written = form.long_text("text", max_length=ANSWER_MAX_LENGTH)
                if form.ok:
                    await answer_feedback(
                        session, keys.vault, identity=identity, case_id=case, version=seen, text=written, now=now
                    )
            elif action == "publish":
                said = form.long_text("said", max_length=PUBLISHED_MAX_LENGTH)
                answer = form.long_text("answer", max_length=PUBLISHED_MAX_LENGTH)
                if form.choice("checked", ("yes",)) and form.ok:
                    await publish_feedback(
                        session, identity=identity, case_id=case, version=seen, said=said, answer=answer, now=now
                    )
            else:
                await withdraw_feedback(session, identity=identity, case_id=case, version=seen, now=now)
    except Refusal as error:
        if error.code != "feedback_moved":
            raise
        refusal = error
    if form.ok and refusal is None:
        return see_other(f"{PATH}/{case}")
    async with db.begin(identity.municipality) as session:
        return await _detail(request, session, keys, identity, case, now=now, form=form, refusal=refusal)


async def _detail(
    request: Req,
    session: AsyncSession,
    keys: Keys,
    identity: Identity,
    case_id: UUID,
    *,
    now: datetime,
    form: Form | None = None,
    refusal: Refusal | None = None,
) -> Template:
    row, texts, published = await read_for_staff(session, keys.vault, identity=identity, case_id=case_id, now=now)
    names = await procedure_names(session, row.municipality)
    words = REFUSALS[refusal.code] if refusal else None
    typed = form.values if form else {}
    return page(
        request,
        "office_feedback.html",
        status=refusal.status if refusal else 422 if form and form.errors else 200,
        title=names[row.procedure][0] if row.procedure in names else row.procedure,
        row=row,
        channel=translate(CHANNEL_TITLES[row.channel]),
        ease=translate(EASES[row.ease]),
        written=texts.get(FEEDBACK, ""),
        answer=texts.get(FEEDBACK_ANSWER, ""),
        published=published,
        typed_text=typed.get("text", texts.get(FEEDBACK_ANSWER, "")),
        # The person's own words are never the beginning of what is published.
        typed_said=typed.get("said", published.said if published else ""),
        typed_answer=typed.get("answer", published.answer if published else ""),
        errors=form.errors if form else {},
        answer_max_length=ANSWER_MAX_LENGTH,
        published_max_length=PUBLISHED_MAX_LENGTH,
        action=f"{PATH}/{case_id}",
        path_of=PATH,
        refused_title=translate(words.title) if words else None,
        refused_advice=translate(words.advice) if words else None,
    )


def _page_number(request: Req) -> int:
    text = request.query_params.get("page", "1")
    return min(max(int(text), 1), PAGES_MAX) if text.isascii() and text.isdigit() and len(text) < 6 else 1
