"""A case: begin it, say who you are and how to reach you, see what would be passed on, and go on to booking."""

from datetime import datetime
from typing import Any
from uuid import UUID

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect, Template

from services.routing.commands.about_you import AboutYou, fill_form, find_known_reach, tell_about_you
from services.routing.commands.cases import get_own_case, open_case
from services.routing.commands.handover import Preview, decide_handover, preview_handover
from services.routing.commands.offers import Undecided
from services.routing.commands.online import OnlineCase, get_online_case
from services.routing.commands.open_pages import note_page
from services.routing.commands.passes import make_pass
from services.routing.commands.sessions import NewSession, start_guest_session
from services.routing.domain.handover import CONTACT, REACHES, Reach
from services.routing.domain.switching import why_not
from services.routing.keys import Keys
from services.routing.pages.behalf_path import behalf_path
from services.routing.pages.cookies import give_session
from services.routing.pages.offer_groups import group_offers
from services.routing.pages.together_wording import page_titles
from services.routing.pages.tries import Tries
from services.routing.pages.wording import ITEMS, LEGAL_BASIS, show_phone
from services.routing.queries.mine import find_live_appointment
from services.routing.queries.one_form import find_one_form
from services.routing.queries.switching import get_standing
from shared.db import Database
from shared.passes import BOOKING_ITEMS
from shared.tokens import Identity
from shared.web.addresses import network_of_visitor
from shared.web.forms import EMAIL_MAX_LENGTH, NAME_MAX_LENGTH, PHONE_MAX_LENGTH, Form, is_mobile, parse_uuid, read_form
from shared.web.i18n import current_language, translate
from shared.web.i18n import gettext as _
from shared.web.identity import PUBLIC, RenewSession, find_identity, require_visitor, token_of
from shared.web.pages import page, see_other
from shared.web.town import Town

CODE_MAX_LENGTH = 20


@post("/cases", opt=PUBLIC)
async def post_case(
    request: Request[Any, Any, Any],
    db: NamedDependency[Database],
    town: NamedDependency[Town],
    now: NamedDependency[datetime],
    keys: NamedDependency[Keys],
    secure: NamedDependency[bool],
    tries: NamedDependency[Tries],
) -> Redirect:
    """Begin a procedure. A visitor whom nobody knows yet becomes a guest here."""
    fields = await read_form(request)
    identity = known_visitor(request)
    if identity is not None and identity.kind != "guest":
        # Whoever is signed in begins for somebody else: their page asks how that person came.
        return see_other(behalf_path(fields.get("procedure", ""), channel=fields.get("channel", "")))
    tries.count_case(town.code, network_of_visitor(request))
    if identity is None:
        tries.count_guest(town.code, network_of_visitor(request))
    started: NewSession | None = None
    async with db.begin(town.code) as session:
        if identity is None:
            started = await start_guest_session(session, municipality=town.code, now=now)
            identity = started.identity
        case_id = await open_case(
            session,
            identity=identity,
            procedure_code=fields.get("procedure", "")[:CODE_MAX_LENGTH],
            channel=fields.get("channel", "")[:CODE_MAX_LENGTH],
            idempotency_key=parse_uuid(fields.get("idempotency_key", ""), code="form_unreadable", status=400),
            now=now,
        )
    first = "reuse" if fields.get("channel") == "online" else "you"
    response = see_other(f"/cases/{case_id}/{first}")
    if started is not None:
        give_session(response, started, keys, now=now, secure=secure)
    return response


@get("/cases/{case_id:str}", guards=[require_visitor])
async def show_case(
    case_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
) -> Redirect:
    """Where this case goes on; once it is sent, booked by its channel, or over, to its thread."""
    async with db.begin(identity.municipality) as session:
        case = await get_own_case(session, identity, _case_id(case_id), now=now)
        one_form = await find_one_form(session, identity, case)
        online = await get_online_case(session, identity, case.case_id, now=now)
        standing = await get_standing(session, case)
        booked = await find_live_appointment(
            session, identity.municipality, case.case_id, channel=case.channel, now=now
        )
    # Staff at the desk may do most: what even they cannot lead on has ended.
    if booked is not None or why_not(standing, "desk") is not None or _is_closed(online):
        return see_other(f"/cases/{case.case_id}/thread")
    if one_form is not None:
        return see_other(f"/plans/{one_form}/online")
    first, then = ("reuse", "check") if case.channel == "online" else ("you", "handover")
    return see_other(f"/cases/{case.case_id}/{first if case.state == 'opened' else then}")


@get("/cases/{case_id:str}/you", guards=[require_visitor])
async def show_you(
    request: Request[Any, Any, Any],
    case_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
) -> Template | Redirect:
    """The form about oneself, with what was given before."""
    case = _case_id(case_id)
    async with db.begin(identity.municipality) as session:
        online = await get_online_case(session, identity, case, now=now)
        if _is_closed(online):
            return see_other(f"/applications/{online.sent}")
        filled = await fill_form(session, keys.vault, identity=identity, case_id=case, now=now)
        await note_page(session, identity.municipality, case, "reach" if online.channel == "online" else "names")
    values = filled.items | {"reach": filled.reach or ""}
    if online.channel == "online":
        values["phone"] = show_phone(values["phone"]) if is_mobile(values.get("phone", "")) else ""
    return _you_page(request, online, values, {}, filled.known_contact, from_before=filled.from_before)


@post("/cases/{case_id:str}/you", guards=[require_visitor])
async def post_you(
    request: Request[Any, Any, Any],
    case_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
) -> Template | Redirect:
    """Keep what was said; with a problem, the form again as it was typed."""
    case = _case_id(case_id)
    form = Form(await read_form(request))
    async with db.begin(identity.municipality) as session:
        known_contact = await find_known_reach(session, identity=identity, case_id=case, now=now)
        online = await get_online_case(session, identity, case, now=now)
        if _is_closed(online):
            return see_other(f"/applications/{online.sent}")
        told = read_you(form, known_contact, is_online=online.channel == "online")
        if told is not None:
            await tell_about_you(session, keys.vault, identity=identity, case_id=case, told=told, now=now)
    if told is None:
        return _you_page(request, online, form.values, form.errors, known_contact)
    return see_other(f"/cases/{case}/{'check' if online.channel == 'online' else 'handover'}")


@get("/cases/{case_id:str}/handover", guards=[require_visitor])
async def show_handover(
    request: Request[Any, Any, Any],
    case_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
) -> Template | Redirect:
    """What would be passed on, to whom and why."""
    case = _case_id(case_id)
    async with db.begin(identity.municipality) as session:
        preview = await preview_handover(session, keys.vault, identity=identity, case_id=case, now=now)
        online = await get_online_case(session, identity, case, now=now)
        if preview is not None:
            await note_page(session, identity.municipality, case, "handover")
    if preview is None:
        return _before_handover(online)
    answers = {offer.item: offer.answer for offer in preview.offers}
    # Whoever declined something before finds their answers again, not the button for everything alone.
    is_each_open = "each" in request.query_params or "no" in answers.values()
    return _handover_page(request, online, preview, answers, {}, is_each_open=is_each_open)


@post("/cases/{case_id:str}/handover", guards=[require_visitor])
async def post_handover(
    request: Request[Any, Any, Any],
    case_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
) -> Template | Redirect:
    """Hear yes or no for each item, or one answer for all that was shown; the pass is made by the page after this."""
    case = _case_id(case_id)
    fields = await read_form(request)
    passable = (*BOOKING_ITEMS, CONTACT)
    shown = {key: fields[f"offer_{key}"] for key in passable if f"offer_{key}" in fields}
    is_for_all = fields.get("all") in ("yes", "no")
    # One button answers for exactly the items above it: what else may have come up meanwhile is asked anew.
    answers = (
        dict.fromkeys(shown, fields["all"])
        if is_for_all
        else {key: fields[f"pass_{key}"] for key in passable if f"pass_{key}" in fields}
    )
    async with db.begin(identity.municipality) as session:
        outcome = await decide_handover(
            session,
            keys,
            identity=identity,
            case_id=case,
            answers=answers,
            shown=shown,
            language=current_language().code,
            now=now,
        )
        online = await get_online_case(session, identity, case, now=now)
        # Shown again with what is true now; what was answered stays.
        preview = (
            await preview_handover(session, keys.vault, identity=identity, case_id=case, now=now)
            if isinstance(outcome, Undecided)
            else None
        )
    if isinstance(outcome, Undecided) and preview is not None:
        errors = {f"pass_{key}": _("「はい」か「いいえ」を選んでください。") for key in outcome.missing}
        return _handover_page(
            request,
            online,
            preview,
            {} if is_for_all else answers,
            errors,
            is_stale=outcome.is_stale,
            is_each_open=not is_for_all,
            status=409 if outcome.is_stale else 422,
        )
    if outcome is None or isinstance(outcome, Undecided):
        return _before_handover(online)
    return see_other(f"/cases/{case}/pass")


@get("/cases/{case_id:str}/pass", guards=[require_visitor])
async def show_pass(
    request: Request[Any, Any, Any],
    case_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
) -> Template | Redirect:
    """The pass in a form to booking. `late`: it was brought to booking too late, which sent its bearer back."""
    case = _case_id(case_id)
    async with db.begin(identity.municipality) as session:
        online = await get_online_case(session, identity, case, now=now)
        # Whoever comes through the browser's history, perhaps days later, may have booked: one case, one booking.
        booked = await find_live_appointment(session, identity.municipality, case, channel=online.channel, now=now)
        if booked is not None:
            return see_other(f"/booking/appointments/{booked}")
        carried = await make_pass(
            session,
            keys,
            identity=identity,
            case_id=case,
            titles=page_titles(online),
            language=current_language().code,
            now=now,
        )
        if carried is not None:
            await note_page(session, identity.municipality, case, "book")
    if carried is None:
        return see_other(f"/cases/{case}/handover")
    return page(
        request,
        "handed_over.html",
        case_id=case,
        case=online,
        procedure_name=online.procedure_name,
        behalf=online.behalf,
        sealed_pass=carried.sealed_pass,
        items=[translate(ITEMS[key]) for key in carried.items],
        is_late="late" in request.query_params,
    )


def known_visitor(request: Request[Any, Any, Any]) -> Identity | None:
    """The visitor, or None for somebody new. Whose token has run out is renewed first: they own cases already."""
    token = token_of(request)
    if token is None:
        return None
    identity = find_identity(request)
    if identity is None or request.scope["state"].get("session_ended"):
        raise RenewSession
    return identity


def _before_handover(online: OnlineCase) -> Redirect:
    """Nothing can be handed over: something is to be said first, or this case goes on online, or is sent."""
    if _is_closed(online):
        return see_other(f"/applications/{online.sent}")
    return see_other(f"/cases/{online.case_id}" if online.channel == "online" else f"/cases/{online.case_id}/you")


def _is_closed(online: OnlineCase) -> bool:
    """It was sent; whoever was asked to come after that goes on at the counter with it."""
    return online.sent is not None and online.channel == "online"


def _case_id(text: str) -> UUID:
    return parse_uuid(text, code="case_unknown")


def read_you(form: Form, known_contact: str | None, *, is_online: bool) -> AboutYou | None:
    """The checked answers, or None: then the form's errors say why. The online form asks for the name itself."""
    name = "" if is_online else form.text("name", max_length=NAME_MAX_LENGTH, required=False)
    kana = "" if is_online else form.kana("kana", required=False)
    chosen = form.choice("reach", REACHES)
    if not chosen:
        form.errors["reach"] = _("お知らせの受けとり方を、ひとつ選んでください。")
    contact: str | None = None
    if chosen == "email" and not _may_stay_empty(form, "email", chosen, known_contact):
        contact = form.email("email")
    elif chosen == "sms" and not _may_stay_empty(form, "phone", chosen, known_contact):
        contact = form.mobile_phone("phone")
    if not form.ok:
        return None
    reach: Reach = next(reach for reach in REACHES if reach == chosen)
    items = {key: value for key, value in (("name", name), ("kana", kana)) if value}
    return AboutYou(items=None if is_online else items, reach=reach, contact=contact)


def _may_stay_empty(form: Form, field: str, reach: str, known_contact: str | None) -> bool:
    return known_contact == reach and not form.value(field).strip()


def _you_page(
    request: Request[Any, Any, Any],
    online: OnlineCase,
    values: dict[str, str],
    errors: dict[str, str],
    known_contact: str | None,
    *,
    from_before: bool = False,
) -> Template:
    # The summary lists problems in the order of the page.
    order = ("name", "kana", "reach", "email", "phone")
    return page(
        request,
        "you.html",
        status=422 if errors else 200,
        case=online,
        action=f"/cases/{online.case_id}/you",
        back=f"/cases/{online.case_id}/form",
        lead=None,
        procedure_name=online.procedure_name,
        is_online=online.channel == "online",
        is_helper=online.channel == "helper",
        behalf=online.behalf,
        values=values,
        errors={name: errors[name] for name in order if name in errors},
        known_contact=known_contact,
        from_before=from_before,
        limits={"name": NAME_MAX_LENGTH, "email": EMAIL_MAX_LENGTH, "phone": PHONE_MAX_LENGTH},
    )


def _handover_page(
    request: Request[Any, Any, Any],
    online: OnlineCase,
    preview: Preview,
    answers: dict[str, Any],
    errors: dict[str, str],
    *,
    is_stale: bool = False,
    is_each_open: bool = False,
    status: int = 200,
) -> Template:
    return page(
        request,
        "handover.html",
        status=status,
        case=online,
        case_id=online.case_id,
        procedure_name=online.procedure_name,
        behalf=online.behalf,
        groups=group_offers(preview, answers),
        legal_basis=translate(LEGAL_BASIS["appi_69_2_1"]),
        errors=errors,
        is_stale=is_stale,
        is_each_open=is_each_open,
        can_go_online=online.online and online.sent is None,
        reach=preview.reach,
        channel=preview.channel,
    )
