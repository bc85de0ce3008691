"""`/office`: the back office's applications, and what was given in a case, beside the line at the counter."""

from datetime import datetime
from typing import Any
from urllib.parse import quote

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect, Template
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.looking import (
    PURPOSE_REVIEW,
    PURPOSES_HELD_BACK,
    Seen,
    list_held_back,
    look_at_case,
    look_at_held_back,
    look_at_items,
)
from services.routing.commands.progress import (
    REASON,
    lock_application,
    move_application,
    refuse_other_office,
)
from services.routing.commands.protecting import may_register
from services.routing.domain.applications import (
    ACTIONS,
    CLOSED,
    LEADS_TO,
    REASON_MAX_LENGTH,
    STATES,
    Action,
    possible_actions,
)
from services.routing.domain.items import in_order
from services.routing.domain.protection import REASONS
from services.routing.keys import Keys
from services.routing.pages.application_wording import ACCEPT_AS_TOLD, FILTERS, OFFICE_STATES, STATE_LOOKS
from services.routing.pages.application_wording import ACTIONS as ACTION_NAMES
from services.routing.pages.applications import step_lines
from services.routing.pages.item_fields import item_name, show_value
from services.routing.pages.wording import CHANNEL_TITLES, REFUSALS
from services.routing.queries.applications import PAGE, list_applications, list_steps
from services.routing.queries.catalogue import procedure_names
from services.routing.queries.inquiries import count_waiting
from shared.db import Database
from shared.errors import Refusal
from shared.tokens import Identity
from shared.web.forms import Form, parse_uuid, read_form
from shared.web.i18n import gettext as _
from shared.web.i18n import translate
from shared.web.identity import require_role
from shared.web.pages import page, see_other

OFFICE = [require_role("back_office", "manager")]
OFFICE_AND_COUNTER = [require_role("counter", "back_office", "manager")]
OPEN = tuple(state for state in STATES if state not in CLOSED)
VERSION_DIGITS = 9
BEFORE_MAX_LENGTH = 40

Req = Request[Any, Any, Any]


@get("/office", guards=OFFICE)
async def show_office(
    request: Req,
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    before: FromQuery[str | None] = None,
) -> Template:
    """The office's applications, the newest first; a manager sees those of every office."""
    asked = request.query_params.get("state", "open")
    chosen = asked if asked in FILTERS else "open"
    office = None if identity.has_role("manager") else identity.office
    async with db.begin(identity.municipality) as session:
        listed = await list_applications(
            session,
            identity.municipality,
            office=office,
            states=OPEN if chosen == "open" else (chosen,),
            before=_read_moment(before),
        )
        names = await procedure_names(session, identity.municipality)
        inquiries = await count_waiting(session, identity.municipality, office=office, now=now)
        may_protect = await may_register(session, identity)
    older = listed[-1].submitted_at.isoformat() if len(listed) == PAGE else None
    return page(
        request,
        "office.html",
        office=office,
        inquiries=inquiries,
        lines=[
            {
                "href": f"/office/applications/{line.application_id}",
                "number": line.number,
                "title": names[line.procedure][0] if line.procedure in names else line.procedure,
                "office": line.office,
                "state": translate(OFFICE_STATES[line.state]),
                "look": STATE_LOOKS[line.state],
                "submitted_at": line.submitted_at,
                "changed_at": line.changed_at,
            }
            for line in listed
        ],
        filters=[
            {"href": f"/office?state={name}", "label": translate(label), "current": name == chosen}
            for name, label in FILTERS.items()
        ],
        may_protect=may_protect,
        older=f"/office?state={chosen}&before={quote(older)}" if older else None,
        is_first=before is None,
    )


@get("/office/applications/{application_id:str}", guards=OFFICE)
async def show_office_application(
    request: Req,
    application_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
) -> Template:
    """One application: what was sent and where each item came from, its history, and what can be done now."""
    async with db.begin(identity.municipality) as session:
        return await _detail_page(request, session, keys, identity, application_id, now=now)


@get(
    [
        "/office/applications/{application_id:str}/{action:str}",
        "/office/applications/{application_id:str}/held-back",
    ],
    guards=OFFICE,
)
async def get_action_address(application_id: FromPath[str]) -> Redirect:
    """Where the forms are sent, opened as a page: advice may have stood there."""
    return see_other(f"/office/applications/{quote(application_id)}")


@post("/office/applications/{application_id:str}/{action:str}", guards=OFFICE)
async def post_office_action(
    request: Req,
    application_id: FromPath[str],
    action: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
) -> Template | Redirect:
    """One step. Of two who press at once, one wins and the other is told what happened."""
    known: Action | None = next((name for name in ACTIONS if name.replace("_", "-") == action), None)
    if known is None:
        raise Refusal("not_found", 404)
    form = Form(await read_form(request))
    version = form.value("version")
    if not (version.isascii() and version.isdigit() and len(version) <= VERSION_DIGITS):
        raise Refusal("form_unreadable", 400)
    reason = form.long_text("reason", max_length=REASON_MAX_LENGTH) if known == "ask_correction" else ""
    refusal: Refusal | None = None
    if form.ok:
        try:
            async with db.begin(identity.municipality) as session:
                await move_application(
                    session,
                    keys,
                    identity=identity,
                    application_id=parse_uuid(application_id, code="application_unknown"),
                    action=known,
                    version=int(version),
                    reason=reason,
                    now=now,
                )
            return see_other(f"/office/applications/{application_id}")
        except Refusal as error:
            if error.code != "application_moved":
                raise
            refusal = error
    async with db.begin(identity.municipality) as session:
        return await _detail_page(request, session, keys, identity, application_id, now=now, form=form, refusal=refusal)


@post("/office/applications/{application_id:str}/held-back", guards=OFFICE)
async def post_held_back(
    request: Req,
    application_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
) -> Template:
    """What is held back of a protected person, shown once, for the reason that was chosen."""
    form = Form(await read_form(request))
    if not form.choice("why", REASONS):
        form.errors["why"] = _("見る理由を、ひとつ選んでください。")
    async with db.begin(identity.municipality) as session:
        return await _detail_page(request, session, keys, identity, application_id, now=now, form=form)


@get("/office/cases/{case_id:str}/fragment", guards=OFFICE_AND_COUNTER)
async def show_fragment(
    request: Req,
    case_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
) -> Template:
    """What was given in a case: a piece of page for htmx, or a page of its own when it is opened plainly."""
    async with db.begin(identity.municipality) as session:
        given = await look_at_case(
            session, keys.vault, identity=identity, case_id=parse_uuid(case_id, code="case_unknown"), now=now
        )
        names = await procedure_names(session, identity.municipality)
        may_set = await may_register(session, identity)
    is_piece = request.headers.get("hx-request") == "true"
    return page(
        request,
        "given.html" if is_piece else "given_page.html",
        procedure_name=given.procedure_name,
        channel=translate(CHANNEL_TITLES[given.channel]),
        rows=_rows(given.items, names),
        protection=f"/office/cases/{case_id}/protection" if may_set else None,
    )


async def _detail_page(
    request: Req,
    session: AsyncSession,
    keys: Keys,
    identity: Identity,
    application_id: str,
    *,
    now: datetime,
    form: Form | None = None,
    refusal: Refusal | None = None,
) -> Template:
    row = await lock_application(session, identity.municipality, parse_uuid(application_id, code="application_unknown"))
    refuse_other_office(identity, row.office)
    steps = await list_steps(session, row.municipality, row.application_id)
    versions: dict[str, int] = dict(row.items)
    reasons = [step.reason_version for step in steps if step.reason_version is not None]
    keys_shown = list(in_order(row.items))
    if reasons:
        versions[REASON] = reasons[0]
        keys_shown.append(REASON)
    seen = await look_at_items(
        session,
        keys.vault,
        identity=identity,
        case=row,
        keys=keys_shown,
        versions=versions,
        purpose=PURPOSE_REVIEW,
        step="office",
        office=identity.office or row.office,
        now=now,
    )
    held_back = await list_held_back(session, identity=identity, row=row, keys=keys_shown)
    reason = next((reason for reason in REASONS if form and form.value("why") == reason), None)
    if reason is not None:
        opened = await look_at_held_back(
            session,
            keys.vault,
            identity=identity,
            row=row,
            keys=held_back,
            versions=versions,
            reason=reason,
            now=now,
        )
        seen = tuple(sorted((*seen, *opened), key=lambda item: keys_shown.index(item.key)))
    names = await procedure_names(session, identity.municipality)
    text = REFUSALS[refusal.code] if refusal else None
    errors = form.errors if form else {}
    return page(
        request,
        "office_application.html",
        status=refusal.status if refusal else 422 if errors else 200,
        application=row,
        state=translate(OFFICE_STATES[row.state]),
        look=STATE_LOOKS[row.state],
        procedure_name=names[row.procedure][0] if row.procedure in names else row.procedure,
        rows=_rows([item for item in seen if item.key != REASON], names, held_back),
        reason=next((item.value for item in seen if item.key == REASON), None),
        steps=step_lines(steps),
        held_back=[item_name(key) for key in held_back],
        is_opened=reason is not None,
        why=[{"value": each, "label": translate(PURPOSES_HELD_BACK[each])} for each in REASONS],
        protection=f"/office/cases/{row.case_id}/protection" if await may_register(session, identity) else None,
        actions=[
            {"name": action, "label": _action_label(action, row.state), "path": action.replace("_", "-")}
            for action in possible_actions(row.state)
        ],
        leads_to=LEADS_TO,
        errors=errors,
        typed=form.value("reason") if form else "",
        reason_max_length=REASON_MAX_LENGTH,
        refused_title=translate(text.title) if text else None,
        refused_advice=translate(text.advice) if text else None,
    )


def _action_label(action: Action, state: str) -> str:
    is_told = action == "accept" and state == "correction_asked"
    return translate(ACCEPT_AS_TOLD if is_told else ACTION_NAMES[action])


def _rows(
    items: tuple[Seen, ...] | list[Seen], names: dict[str, tuple[str, str]], held_back: tuple[str, ...] = ()
) -> list[dict[str, Any]]:
    """Each item with the procedure in which it was typed, and when. What is held back is on no print."""
    return [
        {
            "term": item_name(item.key),
            "text": show_value(item.key, item.value),
            "source": names[item.procedure][0] if item.procedure in names else item.procedure,
            "collected_at": item.collected_at,
            "held_back": item.key in held_back,
        }
        for item in items
    ]


def _read_moment(text: str | None) -> datetime | None:
    """A moment from the address of "older"; anything else is as if it were not there."""
    if text is None or len(text) > BEFORE_MAX_LENGTH:
        return None
    try:
        # A plus sign in an address that was typed by hand arrives as a space.
        moment = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None
