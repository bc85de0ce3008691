"""An application in the back office, and what was given in a case, beside the line at the counter."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect, Template
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.attachments import open_files
from services.routing.commands.identity import proof_of_sent
from services.routing.commands.looking import (
    PURPOSES_HELD_BACK,
    Seen,
    list_held_back,
    look_at_application,
    look_at_case,
    look_at_held_back,
)
from services.routing.commands.online import procedure_of
from services.routing.commands.progress import move_application
from services.routing.commands.protecting import may_register
from services.routing.domain.applications import (
    ACTIONS,
    AT_PERSON,
    ITEM_REASON_MAX_LENGTH,
    LEADS_TO,
    REASON_MAX_LENGTH,
    WRITE,
    WRITTEN,
    Action,
    pack_reasons,
    possible_actions,
)
from services.routing.domain.catalogue import Town
from services.routing.domain.items import attached_items
from services.routing.domain.protection import REASONS
from services.routing.keys import Keys
from services.routing.pages.application_wording import STATE_LOOKS, appeal_words
from services.routing.pages.applications import step_lines
from services.routing.pages.file_wording import attached_name, file_rows
from services.routing.pages.item_fields import show_value
from services.routing.pages.office_panel import work_panel, written_parts
from services.routing.pages.office_wording import ACCEPT_AS_TOLD, OFFICE_STATES, PHRASES
from services.routing.pages.office_wording import ACTIONS as ACTION_NAMES
from services.routing.pages.wording import CHANNEL_TITLES, REFUSALS
from services.routing.queries.case_numbers import find_application_of
from services.routing.queries.catalogue import get_town, has_counter, procedure_names
from services.routing.queries.office import get_rule
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
VERSION_DIGITS = 9
ITEM_REASONS_MAX = 40
# Of a press that came too late, or that a rule does not allow: told on the page, with what is true now.
TOLD_ON_THE_PAGE = (
    "application_moved",
    "application_assigned",
    "assignee_unknown",
    "checks_open",
    "second_person_needed",
)
_ITEM_REASON = re.compile(r"reason_([a-z][A-Za-z0-9_-]{0,39})")

Req = Request[Any, Any, Any]


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
        return await detail_page(request, session, keys, identity, application_id, now=now)


@get(
    [
        "/office/applications/{application_id:str}/{action:str}",
        "/office/applications/{application_id:str}/held-back",
        "/office/applications/{application_id:str}/assign",
        "/office/applications/{application_id:str}/checks",
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
    version = read_version(form)
    reason = _read_reason(form, known)
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
                    version=version,
                    reason=reason,
                    now=now,
                )
            return see_other(f"/office/applications/{application_id}")
        except Refusal as error:
            if error.code not in TOLD_ON_THE_PAGE:
                raise
            refusal = error
    async with db.begin(identity.municipality) as session:
        return await detail_page(request, session, keys, identity, application_id, now=now, form=form, refusal=refusal)


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
        return await detail_page(request, session, keys, identity, application_id, now=now, form=form)


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
        town = await get_town(session, identity.municipality)
        may_set = await may_register(session, identity)
        sent = await find_application_of(session, identity.municipality, parse_uuid(case_id, code="case_unknown"))
    is_piece = request.headers.get("hx-request") == "true"
    return page(
        request,
        "given.html" if is_piece else "given_page.html",
        procedure_name=given.procedure_name,
        channel=translate(CHANNEL_TITLES[given.channel]),
        rows=given_rows(given.items, names, town=town),
        ways=f"/office/cases/{case_id}/ways",
        protection=f"/office/cases/{case_id}/protection" if may_set else None,
        desk=f"/office/cases/{case_id}/desk" if sent is None else None,
    )


async def detail_page(
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
    looked = await look_at_application(
        session,
        keys.vault,
        identity=identity,
        application_id=parse_uuid(application_id, code="application_unknown"),
        where="office",
        now=now,
    )
    row, seen, keys_shown = looked.row, looked.items, looked.keys
    held_back = await list_held_back(session, identity=identity, row=row, keys=keys_shown)
    reason = next((reason for reason in REASONS if form and form.value("why") == reason), None)
    if reason is not None:
        opened = await look_at_held_back(
            session,
            keys.vault,
            identity=identity,
            row=row,
            keys=held_back,
            versions=looked.versions,
            reason=reason,
            now=now,
        )
        seen = tuple(sorted((*seen, *opened), key=lambda item: keys_shown.index(item.key)))
    names = await procedure_names(session, identity.municipality)
    rule = await get_rule(session, row.municipality, row.procedure)
    town = await get_town(session, row.municipality)
    work = await work_panel(session, identity, row, rule, now=now)
    values = {item.key: item.value for item in seen}
    files = await open_files(session, keys.vault, row.municipality, row.subject_ref, values)
    offered = await procedure_of(session, row)
    # What was not attached can be asked for as well.
    correctable = dict.fromkeys([*row.items, *attached_items(offered.items, offered.attach)])
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
        rows=given_rows(
            [item for item in seen if item.key not in WRITTEN.values()],
            names,
            held_back,
            town=town,
            # A file that is opened from what was just opened is opened for the same reason.
            files=file_rows(files, f"/office/applications/{row.application_id}/attachments", reason),
        ),
        written=written_parts(seen),
        proof=await proof_of_sent(session, row.municipality, row.case_id, row.items),
        steps=step_lines(looked.steps),
        work=work,
        by_counter=await has_counter(session, row.municipality, row.procedure),
        appeal=appeal_words(rule.appeal_to, is_first=rule.appeal_first, town=town.name_ja),
        correctable=[{"field": f"reason_{item}", "label": attached_name(item, town.things)} for item in correctable],
        phrases=[translate(phrase) for phrase in PHRASES],
        held_back=[attached_name(key, town.things) for key in held_back],
        is_opened=reason is not None,
        why=[{"value": each, "label": translate(PURPOSES_HELD_BACK[each])} for each in REASONS],
        protection=f"/office/cases/{row.case_id}/protection" if await may_register(session, identity) else None,
        actions=[
            {"name": action, "label": _action_label(action, row.state), "path": action.replace("_", "-")}
            for action in possible_actions(row.state)
            if action != "complete" or not work["must_be_other"]
        ],
        leads_to=LEADS_TO,
        errors=errors,
        typed=form.values if form else {},
        reason_max_length=REASON_MAX_LENGTH,
        item_reason_max_length=ITEM_REASON_MAX_LENGTH,
        refused_title=translate(text.title) if text else None,
        refused_advice=translate(text.advice) if text else None,
    )


def read_version(form: Form) -> int:
    """Which version of the application the page was about.

    Raises:
        Refusal: `form_unreadable` (400).
    """
    version = form.value("version")
    if not (version.isascii() and version.isdigit() and len(version) <= VERSION_DIGITS):
        raise Refusal("form_unreadable", 400)
    return int(version)


def _read_reason(form: Form, action: Action) -> str:
    """What the office writes to the person with this step; the form's errors say what is missing."""
    if action not in WRITE:
        return ""
    if action != "ask_correction":
        return form.long_text(WRITE[action], max_length=REASON_MAX_LENGTH)
    named = [match for name in form.values if (match := _ITEM_REASON.fullmatch(name))][:ITEM_REASONS_MAX]
    reasons = {match[1]: form.text(match[0], max_length=ITEM_REASON_MAX_LENGTH, required=False) for match in named}
    about_all = form.long_text("reason", max_length=REASON_MAX_LENGTH, required=form.ok and not any(reasons.values()))
    return pack_reasons({"": about_all} | reasons)


def _action_label(action: Action, state: str) -> str:
    is_told = action == "accept" and state in AT_PERSON
    return translate(ACCEPT_AS_TOLD if is_told else ACTION_NAMES[action])


def given_rows(
    items: tuple[Seen, ...] | list[Seen],
    names: dict[str, tuple[str, str]],
    held_back: tuple[str, ...] = (),
    *,
    town: Town | None = None,
    files: Mapping[str, list[dict[str, Any]]] | None = None,
) -> list[dict[str, Any]]:
    """Each item with the procedure in which it was typed, and when. What is held back is on no print."""
    return [
        {
            "term": attached_name(item.key, town.things if town else ()),
            "files": (files or {}).get(item.key, []),
            "text": show_value(item.key, item.value),
            "source": names[item.procedure][0] if item.procedure in names else item.procedure,
            "collected_at": item.collected_at,
            "held_back": item.key in held_back,
        }
        for item in items
    ]
