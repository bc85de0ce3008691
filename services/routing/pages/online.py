"""The online way of a case: use again what was given, fill in, check, send; and go on another way at any step."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid4

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect, Template
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.access import Found
from services.routing.commands.cases import get_own_case
from services.routing.commands.correcting import read_asked
from services.routing.commands.form import (
    FilledItems,
    changed_meanwhile,
    fill_items,
    is_of_version,
    save_form,
    saved_versions,
)
from services.routing.commands.identity import find_proof, needed_provider
from services.routing.commands.offers import ShownOffer, Undecided
from services.routing.commands.online import OnlineCase, get_online_case
from services.routing.commands.reuse import decide_reuse, preview_reuse
from services.routing.commands.submit import Checked, Incomplete, check_application, submit_application
from services.routing.commands.switching import change_channel, tell_settled
from services.routing.domain.catalogue import Words
from services.routing.domain.channels import READY_CHANNELS, things_not_typed
from services.routing.domain.handover import CONTACT
from services.routing.domain.items import NOT_TYPED
from services.routing.keys import Keys
from services.routing.pages.application_access import access_cookie
from services.routing.pages.fees import FeeWords, fee_words
from services.routing.pages.file_wording import attached_name
from services.routing.pages.item_fields import (
    Typed,
    errors_in_order,
    extend_form,
    fill_fields,
    item_name,
    make_groups,
    read_items,
    show_value,
)
from services.routing.pages.wording import BRING, LEGAL_BASIS, REACHES, REFUSALS, show_phone
from services.routing.queries.applications import find_application
from services.routing.queries.catalogue import get_town
from services.routing.queries.switching import Booked, list_booked
from shared.clock import jst_day
from shared.db import Database
from shared.errors import Refusal
from shared.tokens import Identity
from shared.web.forms import Form, parse_uuid, read_form
from shared.web.i18n import current_language, translate
from shared.web.i18n import gettext as _
from shared.web.identity import require_visitor
from shared.web.pages import page, see_other

CODE_MAX_LENGTH = 20
UNSAVED_MAX_LENGTH = 500
# The field in which somebody is writing while the page keeps what they wrote before.
TYPING = "typing"
SHOWN_MAX_LENGTH = 1_000

Req = Request[Any, Any, Any]


@get("/cases/{case_id:str}/reuse", guards=[require_visitor])
async def show_reuse(
    request: Req,
    case_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
) -> Template | Redirect:
    """What earlier procedures hold and this one needs; straight to the form when there is nothing."""
    case = parse_uuid(case_id, code="case_unknown")
    async with db.begin(identity.municipality) as session:
        online = await get_online_case(session, identity, case)
        if (elsewhere := elsewhere_of(online)) is not None:
            return elsewhere
        offers = await preview_reuse(session, keys.vault, identity=identity, case_id=case, now=now)
        town = await get_town(session, identity.municipality)
    if not offers:
        return see_other(f"/cases/{case}/form")
    return _reuse_page(request, online, offers, {offer.item: offer.answer for offer in offers}, {}, town.things)


@post("/cases/{case_id:str}/reuse", guards=[require_visitor])
async def post_reuse(
    request: Req,
    case_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
) -> Template | Redirect:
    """All that is shown, nothing of it, or each as answered."""
    case = parse_uuid(case_id, code="case_unknown")
    fields = await read_form(request)
    async with db.begin(identity.municipality) as session:
        online = await get_online_case(session, identity, case)
        if (elsewhere := elsewhere_of(online)) is not None:
            return elsewhere
        asked = (*online.needed, *online.attached)
        shown = {item: fields[f"offer_{item}"] for item in asked if f"offer_{item}" in fields}
        for_all = fields.get("all", "")
        answers = (
            dict.fromkeys(shown, for_all)
            if for_all in ("yes", "no")
            else {item: fields.get(f"use_{item}", "") for item in shown}
        )
        outcome = await decide_reuse(session, identity=identity, case_id=case, answers=answers, shown=shown, now=now)
        offers = await preview_reuse(session, keys.vault, identity=identity, case_id=case, now=now) if outcome else ()
        town = await get_town(session, identity.municipality)
    if outcome is None or not offers:
        return see_other(f"/cases/{case}/form")
    errors = {f"use_{item}": _("「はい」か「いいえ」を選んでください。") for item in outcome.missing}
    return _reuse_page(request, online, offers, answers, errors, town.things, outcome=outcome, is_each_open=not for_all)


@get("/cases/{case_id:str}/form", guards=[require_visitor])
async def show_form(
    request: Req,
    case_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
) -> Template | Redirect:
    """The procedure's form, with what was given in it before and what was approved for it."""
    case = parse_uuid(case_id, code="case_unknown")
    async with db.begin(identity.municipality) as session:
        online = await get_online_case(session, identity, case)
        if (elsewhere := elsewhere_of(online)) is not None:
            return elsewhere
        filled = await fill_items(session, keys.vault, identity=identity, case_id=case, now=now)
        asked = await read_asked(session, keys.vault, identity=identity, case_id=case, now=now)
        fee = await _fee(session, identity, online, filled.values)
    return _form_page(request, online, fill_fields(filled.values), {}, filled=filled, asked=asked, fee=fee)


@post("/cases/{case_id:str}/form", guards=[require_visitor])
async def post_form(
    request: Req,
    case_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
) -> Template | Redirect:
    """Keep what was typed; with a problem, the form again as it was typed."""
    case = parse_uuid(case_id, code="case_unknown")
    form = Form(await read_form(request))
    async with db.begin(identity.municipality) as session:
        online = await get_online_case(session, identity, case)
        if (elsewhere := elsewhere_of(online)) is not None:
            return elsewhere
        # What is written before coming may be written in part.
        is_whole = not online.is_draft
        typed = read_items(form, online.needed, jst_day(now), complete=is_whole, plan=online.form)
        if form.ok and (stale := await _stale_form(request, session, keys, identity, online, form, typed, now)):
            return stale
        if form.ok:
            await save_form(session, keys.vault, identity=identity, case_id=case, values=typed.values, now=now)
        asked = await read_asked(session, keys.vault, identity=identity, case_id=case, now=now) if not form.ok else {}
        fee = await _fee(session, identity, online, typed.values)
    if not form.ok:
        return _form_page(request, online, form.values, form.errors, asked=asked, fee=fee)
    return see_other(_after_form(online))


@post("/cases/{case_id:str}/fields", guards=[require_visitor])
async def post_fields(
    request: Req,
    case_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
) -> Template | Redirect:
    """The form as it was typed, with what a button inside it asked for. Nothing is kept yet."""
    case = parse_uuid(case_id, code="case_unknown")
    form = Form(await read_form(request))
    async with db.begin(identity.municipality) as session:
        online = await get_online_case(session, identity, case)
        asked = await read_asked(session, keys.vault, identity=identity, case_id=case, now=now)
        fee = await _fee(session, identity, online, {})
    if (elsewhere := elsewhere_of(online)) is not None:
        return elsewhere
    fields = extend_form(form, online.needed)
    if fields is None:
        raise Refusal("form_unreadable", 400)
    return _form_page(request, online, fields, form.errors, asked=asked, fee=fee)


@post("/cases/{case_id:str}/draft", guards=[require_visitor])
async def post_draft(
    request: Req,
    case_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
) -> Template | Redirect:
    """Keep what is right so far, and say what is left; the form again as it was typed.

    The page's script keeps by itself: not what somebody is just writing (`typing`), nor anything over what the case
    was changed to meanwhile, for it may arrive late.
    """
    case = parse_uuid(case_id, code="case_unknown")
    form = Form(await read_form(request))
    typing = form.values.pop(TYPING, "")
    async with db.begin(identity.municipality) as session:
        online = await get_online_case(session, identity, case)
        if (elsewhere := elsewhere_of(online)) is not None:
            return elsewhere
        finished = [item for item in online.needed if not (typing == item or typing.startswith(f"{item}_"))]
        typed = read_items(form, finished, jst_day(now), complete=False, plan=online.form)
        is_pressed = form.value("keep") == "yes"
        if is_pressed and (stale := await _stale_form(request, session, keys, identity, online, form, typed, now)):
            return stale
        is_saved = is_pressed or await is_of_version(session, identity, case, form.value("version"))
        if is_saved:
            await save_form(session, keys.vault, identity=identity, case_id=case, values=typed.values, now=now)
        asked = await read_asked(session, keys.vault, identity=identity, case_id=case, now=now)
        online = await get_online_case(session, identity, case)
        fee = await _fee(session, identity, online, typed.values)
        seen = await saved_versions(session, identity, case) if is_saved else None
    not_asked = online.form.not_asked(typed.values)
    missing = [item_name(item) for item in online.needed if item not in typed.values and item not in not_asked]
    return _form_page(
        request,
        online,
        form.values,
        form.errors,
        asked=asked,
        is_saved=is_saved,
        is_stale=not is_saved,
        missing=missing,
        fee=fee,
        seen=seen,
    )


@get(
    [f"/cases/{{case_id:str}}/{name}" for name in ("channel", "submit", "fields", "draft")],
    guards=[require_visitor],
)
async def get_form_address(case_id: FromPath[str]) -> Redirect:
    """Where forms are sent, opened as a page: advice may have stood there."""
    return see_other(f"/cases/{quote(case_id)}")


@post("/cases/{case_id:str}/channel", guards=[require_visitor])
async def post_channel(
    request: Req,
    case_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
) -> Template | Redirect:
    """Go on another way. What is on the form and right is kept; what is not right yet is told on the next page, and so
    is what becomes of an appointment and of what was sent.

    A way that is not open (any more) leads back to the form, with everything that is on it.
    """
    case = parse_uuid(case_id, code="case_unknown")
    form = Form(await read_form(request))
    channel = form.value("channel")[:CODE_MAX_LENGTH]
    unsaved: tuple[str, ...] = ()
    async with db.begin(identity.municipality) as session:
        online = await get_online_case(session, identity, case)
        has_form = (online.channel == "online" or online.is_draft) and online.sent is None
        if has_form:
            typed = read_items(form, online.needed, jst_day(now), complete=False, plan=online.form)
            await save_form(session, keys.vault, identity=identity, case_id=case, values=typed.values, now=now)
            unsaved = typed.unsaved
        try:
            await change_channel(session, identity=identity, case_id=case, channel=channel, now=now)
        except Refusal as refusal:
            if not has_form:
                raise
            # Nothing was changed by it, and what was typed is kept.
            filled = await fill_items(session, keys.vault, identity=identity, case_id=case, now=now)
            fields = fill_fields(filled.values) | form.values
            fee = await _fee(session, identity, online, filled.values)
            return _form_page(request, online, fields, form.errors, filled=filled, refusal=refusal, fee=fee)
        booked = await list_booked(session, identity.municipality, case, now=now)
    number = online.sent or online.correcting
    if channel == "online" and number is not None:
        return see_other(f"/applications/{number}")
    if channel != online.channel and (booked or unsaved or number is not None):
        told = f"?unsaved={'.'.join(unsaved)}" if unsaved else ""
        return see_other(f"/cases/{case}/switched{told}")
    return see_other(f"/cases/{case}/{'reuse' if channel == 'online' else 'handover'}")


@get("/cases/{case_id:str}/switched", guards=[require_visitor])
async def show_switched(
    request: Req,
    case_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
) -> Template:
    """What could not be kept on the way to another channel, by name; what stays, and until when."""
    case = parse_uuid(case_id, code="case_unknown")
    async with db.begin(identity.municipality) as session:
        online = await get_online_case(session, identity, case)
        booked = await list_booked(session, identity.municipality, case, now=now)
    named = request.query_params.get("unsaved", "")[:UNSAVED_MAX_LENGTH].split(".")
    unsaved = [item_name(item) for item in online.needed if item in named]
    # An appointment of the same channel is the way on.
    others = [each for each in booked if each.channel != online.channel]
    return page(
        request,
        "switched.html",
        behalf=online.behalf,
        case=online,
        unsaved=unsaved,
        sent=online.sent or online.correcting,
        booked=others,
        stays_booked=_stays_booked(online, others),
    )


@get("/cases/{case_id:str}/check", guards=[require_visitor])
async def show_check(
    request: Req,
    case_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
) -> Template | Redirect:
    """Everything that would be sent, each with the way back to change it."""
    case = parse_uuid(case_id, code="case_unknown")
    async with db.begin(identity.municipality) as session:
        online = await get_online_case(session, identity, case)
        if (elsewhere := elsewhere_of(online, sending=True)) is not None:
            return elsewhere
        if online.one_form is not None:
            return see_other(online.check_page)
        return await _check_page(request, session, keys, identity, online, now=now)


@post("/cases/{case_id:str}/submit", guards=[require_visitor])
async def post_submit(
    request: Req,
    case_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
    secure: NamedDependency[bool],
) -> Template | Redirect:
    """Send it, once."""
    case = parse_uuid(case_id, code="case_unknown")
    fields = await read_form(request)
    async with db.begin(identity.municipality) as session:
        online = await get_online_case(session, identity, case)
        if (elsewhere := elsewhere_of(online, sending=True)) is not None:
            return elsewhere
        # What is cancelled by sending was said on the page; booked meanwhile, it is said now.
        cancelled = [] if online.together else await list_booked(session, identity.municipality, case, now=now)
        cancelled = [each for each in cancelled if each.is_alone]
        if {each.number for each in cancelled} - {*fields.get("cancels", "")[:SHOWN_MAX_LENGTH].split(".")}:
            return await _check_page(request, session, keys, identity, online, now=now, is_stale=True)
        outcome = await submit_application(
            session,
            keys,
            identity=identity,
            case_id=case,
            submit_key=parse_uuid(fields.get("idempotency_key", ""), code="form_unreadable", status=400),
            shown_items=read_versions(fields.get("shown", "")),
            with_notices=fields.get("notices") == "yes",
            shown_contact=fields.get(f"offer_{CONTACT}"),
            language=current_language().code,
            now=now,
        )
        if isinstance(outcome, Undecided):
            return await _check_page(request, session, keys, identity, online, now=now, is_stale=True)
        if isinstance(outcome, Incomplete):
            return see_other(f"/cases/{case}/{outcome.page}")
        if cancelled and fields.get("keep_booking") != "yes":
            settled = await get_own_case(session, identity, case)
            await tell_settled(session, settled, version=settled.version, now=now)
        sent = await find_application(session, identity.municipality, outcome.number)
    response = see_other(f"/applications/{outcome.number}")
    if sent is not None and sent.guest_ref != identity.ref:
        # Sent at another device than it was begun with, which has the case no more: as if by the link of a message.
        found = Found(outcome="open", application_id=sent.application_id, number=sent.number)
        response.set_cookie(access_cookie(keys, identity.municipality, found, secure=secure, now=now))
    return response


def _after_form(online: OnlineCase) -> str:
    """What follows a form that is kept: in one form with others, it is checked and sent with them."""
    if online.is_draft:
        return f"/cases/{online.case_id}/prepared"
    if online.attached:
        return f"/cases/{online.case_id}/attachments"
    return online.check_page


def elsewhere_of(online: OnlineCase, *, sending: bool = False) -> Redirect | None:
    """A case that was sent has its own page; one that goes on another way is there.

    What is written before coming to a counter has the same form; it is brought, and not sent.
    """
    if online.sent is not None:
        return see_other(f"/applications/{online.sent}")
    if online.is_draft and not sending:
        return see_other(f"/cases/{online.case_id}/prepared") if online.confirmed_at is not None else None
    # Whoever goes on at the counter with what was sent may be asked to correct it all the same.
    is_here = online.channel == "online" or online.correcting is not None
    return None if is_here else see_other(f"/cases/{online.case_id}/handover")


async def _fee(session: AsyncSession, identity: Identity, online: OnlineCase, values: Mapping[str, str]) -> FeeWords:
    return await fee_words(
        session,
        identity.municipality,
        fee_yen=online.fee_yen,
        items=online.needed,
        counters=online.counters,
        values=values,
    )


def _ways(online: OnlineCase) -> dict[str, bool]:
    """Which other ways this case can take now."""
    return {
        "counter": online.counter and not online.is_draft and "counter" in READY_CHANNELS,
        "helper": online.helper and not online.is_draft and "helper" in READY_CHANNELS,
    }


def _stays_booked(online: OnlineCase, booked: list[Booked]) -> bool:
    """Whether more than this procedure was booked: then nothing is cancelled but by the person."""
    return bool(online.together) or any(not each.is_alone for each in booked)


def _reuse_page(
    request: Req,
    online: OnlineCase,
    offers: tuple[ShownOffer, ...],
    answers: dict[str, Any],
    errors: dict[str, str],
    things: Sequence[Words],
    *,
    outcome: Undecided | None = None,
    is_each_open: bool = False,
) -> Template:
    rows = [
        {
            "item": offer.item,
            "offer_id": offer.offer_id,
            "term": attached_name(offer.item, things),
            "text": show_value(offer.item, offer.value or ""),
            "answer": answers.get(offer.item, ""),
        }
        for offer in offers
    ]
    is_stale = outcome is not None and outcome.is_stale
    return page(
        request,
        "reuse.html",
        status=409 if is_stale else 422 if errors else 200,
        behalf=online.behalf,
        case=online,
        offers=rows,
        errors=errors,
        is_stale=is_stale,
        is_each_open=is_each_open or "no" in answers.values(),
        legal_basis=translate(LEGAL_BASIS["appi_69_2_1"]),
    )


def _form_page(
    request: Req,
    online: OnlineCase,
    fields: dict[str, str],
    errors: dict[str, str],
    *,
    filled: FilledItems | None = None,
    refusal: Refusal | None = None,
    asked: Mapping[str, str] | None = None,
    is_saved: bool = False,
    missing: Sequence[str] = (),
    fee: FeeWords,
    is_stale: bool = False,
    changed: Sequence[dict[str, str]] = (),
    seen: Mapping[str, int] | None = None,
) -> Template:
    text = REFUSALS[refusal.code] if refusal else None
    seen = filled.versions if filled else seen
    return page(
        request,
        "form.html",
        status=refusal.status if refusal else 409 if changed else 422 if errors and not (is_saved or is_stale) else 200,
        saved=is_saved,
        missing=missing,
        changed=changed,
        # What was written elsewhere is not seen here until the page is opened again.
        is_stale=is_stale,
        version=fields.get("version", "") if is_stale else online.version,
        # What was saved just now was seen by who saved it.
        seen=fields.get("seen", "") if seen is None else write_versions(seen),
        refused_title=translate(text.title) if text else None,
        refused_advice=translate(text.advice) if text else None,
        behalf=online.behalf,
        case=online,
        asked=asked or {},
        fee=fee,
        groups=make_groups(
            online.needed,
            fields,
            errors,
            with_autofill=online.behalf is None,
            is_draft=online.is_draft,
            plan=online.form,
        ),
        errors=errors_in_order(online.needed, errors),
        reused=[item_name(item) for item in filled.reused] if filled else [],
        can_reuse=filled is not None and filled.can_reuse,
        ways=_ways(online),
    )


async def _stale_form(
    request: Req,
    session: AsyncSession,
    keys: Keys,
    identity: Identity,
    online: OnlineCase,
    form: Form,
    typed: Typed,
    now: datetime,
) -> Template | None:
    """The form as it was typed, when other words were saved elsewhere meanwhile; what those are stands above it.

    Pressed again, it is saved: the person has seen both.
    """
    if "seen" not in form.values:
        return None
    vault, case_id = keys.vault, online.case_id
    changed = await changed_meanwhile(
        session,
        vault,
        identity=identity,
        case_id=case_id,
        seen=read_versions(form.value("seen")),
        values=typed.values,
        now=now,
    )
    if not changed:
        return None
    filled = await fill_items(session, vault, identity=identity, case_id=case_id, now=now)
    rows = [{"term": item_name(item), "text": show_value(item, filled.values.get(item, ""))} for item in changed]
    fee = await _fee(session, identity, online, typed.values)
    return _form_page(request, online, dict(form.values), {}, filled=filled, fee=fee, changed=rows)


async def _check_page(
    request: Req,
    session: AsyncSession,
    keys: Keys,
    identity: Identity,
    online: OnlineCase,
    *,
    now: datetime,
    is_stale: bool = False,
) -> Template | Redirect:
    checked = await check_application(session, keys.vault, identity=identity, case_id=online.case_id, now=now)
    if isinstance(checked, Incomplete):
        return see_other(f"/cases/{online.case_id}/{checked.page}")
    town = await get_town(session, identity.municipality)
    case = await get_own_case(session, identity, online.case_id)
    provider = await needed_provider(session, case)
    proof = await find_proof(session, case, provider, checked.versions, now=now) if provider else None
    rows = [
        {
            "term": attached_name(item, town.things),
            "text": show_value(item, checked.values[item]) if item in checked.values else _("入力ずみ"),
            "href": f"/cases/{online.case_id}/{'attachments' if item in online.attached else 'form'}#g-{item}",
        }
        for item in (*online.needed, *online.attached)
        if item in checked.versions
    ]
    later = [item for item in online.attached if item not in checked.versions]
    booked = await list_booked(session, identity.municipality, online.case_id, now=now)
    return page(
        request,
        "check.html",
        status=409 if is_stale else 200,
        behalf=online.behalf,
        case=online,
        rows=rows,
        reach=checked.reach,
        shown=write_versions(checked.shown),
        contact=_contact_row(online.case_id, checked),
        offer_id=checked.contact.offer_id if checked.contact else None,
        bring=[
            *(translate(BRING[code]) for code in things_not_typed(later)),
            *(attached_name(item, town.things) for item in later if item not in NOT_TYPED),
        ],
        legal_basis=translate(LEGAL_BASIS["appi_69_1"]),
        contact_basis=translate(LEGAL_BASIS["appi_69_2_1"]),
        ways=_ways(online),
        booked=booked,
        stays_booked=_stays_booked(online, booked),
        is_stale=is_stale,
        needs_identity=bool(provider) and proof is None,
        proof=proof,
        fee=await _fee(session, identity, online, checked.values),
        idempotency_key=str(uuid4()),
    )


def write_versions(versions: Mapping[str, int]) -> str:
    """The versions that a page shows, for its form to bring back."""
    return ".".join(f"{key}:{version}" for key, version in versions.items())


def read_versions(text: str) -> dict[str, int]:
    """The versions that a page showed, as it wrote them; whatever else is there matches none."""
    pairs = [part.partition(":") for part in text[:SHOWN_MAX_LENGTH].split(".")]
    return {key: int(version) for key, _colon, version in pairs if version.isascii() and version.isdecimal()}


def _contact_row(case_id: UUID, checked: Checked) -> dict[str, str]:
    name = translate(REACHES[checked.reach])
    if checked.contact is None:
        text = _("お知らせは送りません。このページの番号で、いつでもようすを見られます。")
    elif checked.contact.value is None:
        text = _("前に教えていただいた連絡先（%(reach)s）", reach=name)
    else:
        text = show_phone(checked.contact.value) if checked.reach == "sms" else checked.contact.value
    return {"term": _("お知らせの受けとり方"), "text": text, "href": f"/cases/{case_id}/you"}
