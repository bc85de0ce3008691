"""`/office/inquiries`: what residents ask about their history, and the office's answers."""

from datetime import datetime
from typing import Any
from urllib.parse import quote

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect, Template
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.inquiries import answer, find_inquiry, read_for_staff
from services.routing.domain.inquiries import ANSWER_WORKING_DAYS, ANSWERS, TEXT_MAX_LENGTH, WAITING
from services.routing.keys import Keys
from services.routing.pages.inquiries import find_line, inquiry_number, step_lines
from services.routing.pages.inquiry_wording import KINDS, STATE_LOOKS
from services.routing.pages.office import OFFICE, VERSION_DIGITS
from services.routing.pages.wording import REFUSALS
from services.routing.queries.catalogue import procedure_names
from services.routing.queries.history import find_entry
from services.routing.queries.inquiries import PAGE, find_application_of, list_inquiries
from shared.db import Database
from shared.errors import Refusal
from shared.reference_number import INQUIRY_LENGTH, TYPED_MAX_LENGTH, read_number
from shared.tokens import Identity
from shared.web.forms import Form, read_form
from shared.web.i18n import translate
from shared.web.pages import page, see_other


def _(message: str) -> str:
    """Marks a text for the catalogues."""
    return message


# As the office calls them.
OFFICE_STATES: dict[str, str] = {
    "open": _("新しい問い合わせ"),
    "answered": _("返事ずみ"),
    "asked_again": _("もう一度の問い合わせ"),
    "answered_again": _("返事ずみ"),
    "closed": _("ご本人が終えました"),
}
OFFICE_STEPS: dict[str, str] = {
    "open": _("ご本人が問い合わせました"),
    "answered": _("%(office)sの係が答えました"),
    "asked_again": _("ご本人が、もう一度聞きました"),
    "answered_again": _("%(office)sの係が、もう一度答えました"),
    "closed": _("ご本人が問い合わせを終えました"),
}
# For the office's list.
FILTERS: dict[str, str] = {
    "waiting": _("返事を待つもの"),
    "answered": _("返事をしたもの"),
    "closed": _("終わったもの"),
}
STATES_OF: dict[str, tuple[str, ...]] = {
    "waiting": WAITING,
    "answered": ("answered", "answered_again"),
    "closed": ("closed",),
}
PAGES_MAX = 200

Req = Request[Any, Any, Any]


@get("/office/inquiries", guards=OFFICE)
async def show_inquiries(
    request: Req,
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
) -> Template | Redirect:
    """The office's inquiries, what is late before the rest; a manager sees those of every office. By number, one."""
    typed = "".join(sign for sign in request.query_params.get("number", "") if sign.isprintable())[:TYPED_MAX_LENGTH]
    number = read_number(typed, length=INQUIRY_LENGTH)
    asked = request.query_params.get("state", "waiting")
    chosen = asked if asked in FILTERS else "waiting"
    office, page_number = office_of(identity), _page_number(request)
    async with db.begin(identity.municipality) as session:
        if number is not None and await _is_known(session, identity, number):
            return see_other(f"/office/inquiries/{number}")
        listed = await list_inquiries(
            session, identity.municipality, office=office, states=STATES_OF[chosen], skip=(page_number - 1) * PAGE
        )
        names = await procedure_names(session, identity.municipality)
    more = f"/office/inquiries?state={chosen}&page={page_number + 1}" if len(listed) > PAGE else None
    return page(
        request,
        "office_inquiries.html",
        office=office,
        typed=typed,
        lines=[
            {
                "href": f"/office/inquiries/{line.number}",
                "number": line.number,
                "kind": translate(KINDS[line.kind]),
                "title": names[line.procedure][0] if line.procedure in names else "",
                "office": line.office,
                "state": translate(OFFICE_STATES[line.state]),
                "look": STATE_LOOKS[line.state],
                "asked_at": line.asked_at,
                "due_at": line.due_at if line.state in WAITING else None,
                "is_overdue": line.is_overdue(now),
            }
            for line in listed[:PAGE]
        ],
        filters=[
            {"href": f"/office/inquiries?state={name}", "label": translate(label), "current": name == chosen}
            for name, label in FILTERS.items()
        ],
        more=more,
        is_first=page_number == 1,
        working_days=ANSWER_WORKING_DAYS,
    )


@get("/office/inquiries/{number:str}", guards=OFFICE)
async def show_office_inquiry(
    request: Req,
    number: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
) -> Template:
    """One inquiry: the entry as the person reads it, what they wrote, and the answer."""
    async with db.begin(identity.municipality) as session:
        return await _detail_page(request, session, keys, identity, number, now=now)


@get("/office/inquiries/{number:str}/answer", guards=OFFICE)
async def get_answer_address(number: FromPath[str]) -> Redirect:
    """Where the form is sent, opened as a page."""
    return see_other(f"/office/inquiries/{quote(number)}")


@post("/office/inquiries/{number:str}/answer", guards=OFFICE)
async def post_answer(
    request: Req,
    number: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
) -> Template | Redirect:
    """Answer. Of two who do so at once, one is told that the other was first, and keeps what they wrote."""
    canonical = inquiry_number(number)
    form = Form(await read_form(request))
    version = form.value("version")
    if not (version.isascii() and version.isdigit() and len(version) <= VERSION_DIGITS):
        raise Refusal("form_unreadable", 400)
    written = form.long_text("text", max_length=TEXT_MAX_LENGTH)
    refusal: Refusal | None = None
    if form.ok:
        try:
            async with db.begin(identity.municipality) as session:
                await answer(
                    session,
                    keys.vault,
                    identity=identity,
                    number=canonical,
                    version=int(version),
                    text=written,
                    now=now,
                )
            return see_other(f"/office/inquiries/{canonical}")
        except Refusal as error:
            if error.code != "inquiry_moved":
                raise
            refusal = error
    async with db.begin(identity.municipality) as session:
        return await _detail_page(request, session, keys, identity, number, now=now, form=form, refusal=refusal)


def office_of(identity: Identity) -> str | None:
    """Whose matters somebody sees; None: every office's."""
    return None if identity.has_role("manager") else identity.office


async def _is_known(session: AsyncSession, identity: Identity, number: str) -> bool:
    try:
        await find_inquiry(session, identity.municipality, number)
    except Refusal:
        return False
    return True


async def _detail_page(
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
    row, thread = await read_for_staff(session, keys.vault, identity=identity, number=inquiry_number(number), now=now)
    entry = await find_entry(session, row.municipality, [row.subject_ref], row.entry_id)
    case_id = entry.case_id if entry else None
    application = await find_application_of(session, row.municipality, case_id) if case_id else None
    text = REFUSALS[refusal.code] if refusal else None
    errors = form.errors if form else {}
    return page(
        request,
        "office_inquiry.html",
        status=refusal.status if refusal else 422 if errors else 200,
        inquiry=row,
        kind=translate(KINDS[row.kind]),
        state=translate(OFFICE_STATES[row.state]),
        look=STATE_LOOKS[row.state],
        line=await find_line(session, row.municipality, row.subject_ref, row.entry_id),
        steps=step_lines(thread.steps, OFFICE_STEPS),
        application=application,
        can_answer=row.state in ANSWERS,
        is_overdue=row.state in WAITING and row.due_at < now,
        errors=errors,
        typed=form.value("text") if form else "",
        text_max_length=TEXT_MAX_LENGTH,
        refused_title=translate(text.title) if text else None,
        refused_advice=translate(text.advice) if text else None,
    )


def _page_number(request: Req) -> int:
    text = request.query_params.get("page", "1")
    return min(max(int(text), 1), PAGES_MAX) if text.isascii() and text.isdigit() and len(text) < 6 else 1
