"""`/cases/{case_id}/feedback`: how a case went, in two taps and a free text, and the office's answer."""

from datetime import datetime
from typing import Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect, Template
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.feedback import OwnFeedback, Said, find_asked, give_feedback, give_once, read_own
from services.routing.domain.quality import FEEDBACK_MAX_LENGTH
from services.routing.keys import Keys
from services.routing.pages.case_access import OpenedCase, open_case_page
from services.routing.pages.quality_wording import EASES, WORKED
from shared.db import Database
from shared.web.forms import Form, parse_uuid, read_form
from shared.web.i18n import translate
from shared.web.identity import PUBLIC
from shared.web.pages import page, see_other
from shared.web.town import Town

Req = Request[Any, Any, Any]


@get("/cases/{case_id:str}/feedback", opt=PUBLIC)
async def show_feedback(
    request: Req,
    case_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    keys: NamedDependency[Keys],
) -> Template:
    """The questions, or what was said and answered. Who opened the case by a link is asked once, and shown nothing."""
    case = parse_uuid(case_id, code="case_unknown")
    async with db.begin(town.code) as session:
        opened = await open_case_page(request, session, case, keys, town.code, now=now)
        own = await _read(session, keys, opened, now=now)
    return _page(request, case_id, own, Form({}))


@post("/cases/{case_id:str}/feedback", opt=PUBLIC)
async def post_feedback(
    request: Req,
    case_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    keys: NamedDependency[Keys],
) -> Template | Redirect:
    """Say it, or say it anew."""
    case = parse_uuid(case_id, code="case_unknown")
    form = Form(await read_form(request))
    ease = form.choice("ease", tuple(EASES))
    worked = form.choice("worked", tuple(WORKED))
    written = form.long_text("text", max_length=FEEDBACK_MAX_LENGTH, required=False)
    async with db.begin(town.code) as session:
        opened = await open_case_page(request, session, case, keys, town.code, now=now)
        if not form.ok:
            own = await _read(session, keys, opened, now=now)
            return _page(request, case_id, own, form)
        said = Said(ease=next(each for each in ("easy", "fair", "hard") if each == ease), worked=worked == "yes",
                    text=written)  # fmt: skip
        give = give_feedback if opened.is_owner else give_once
        await give(session, keys.vault, identity=opened.identity, case_id=case, said=said, now=now)
    return see_other(f"/cases/{case}/feedback")


async def _read(session: AsyncSession, keys: Keys, opened: OpenedCase, *, now: datetime) -> OwnFeedback:
    case_id = opened.row.case_id
    if opened.is_owner:
        return await read_own(session, keys.vault, identity=opened.identity, case_id=case_id, now=now)
    name, is_said = await find_asked(session, opened.row.municipality, case_id)
    return OwnFeedback(
        procedure=opened.row.procedure, procedure_name=name, said=None, answer="", may_change=not is_said
    )


def _page(request: Req, case_id: str, own: OwnFeedback, form: Form) -> Template:
    said = own.said
    typed = {
        "ease": form.value("ease") or (said.ease if said else ""),
        "worked": form.value("worked") or ({True: "yes", False: "no"}[said.worked] if said else ""),
        "text": form.value("text") if form.values else said.text if said else "",
    }
    return page(
        request,
        "feedback.html",
        status=200 if form.ok else 422,
        action=f"/cases/{case_id}/feedback",
        procedure_name=own.procedure_name,
        is_said=said is not None or not own.may_change,
        is_shown=said is not None,
        answer=own.answer,
        may_change=own.may_change,
        typed=typed,
        ease=translate(EASES[typed["ease"]]) if typed["ease"] in EASES else "",
        worked=translate(WORKED[typed["worked"]]) if typed["worked"] in WORKED else "",
        eases=[{"value": value, "label": translate(label)} for value, label in EASES.items()],
        answers=[{"value": value, "label": translate(label)} for value, label in WORKED.items()],
        errors=form.errors,
        text_max_length=FEEDBACK_MAX_LENGTH,
    )
