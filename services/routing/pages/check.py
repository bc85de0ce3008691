"""The last look at what will be sent, and sending it, once."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect, Template
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.access import Found
from services.routing.commands.cases import get_own_case
from services.routing.commands.identity import find_proof, needed_provider
from services.routing.commands.offers import Undecided
from services.routing.commands.online import OnlineCase, get_online_case
from services.routing.commands.open_pages import note_page
from services.routing.commands.submit import Checked, Incomplete, check_application, submit_application
from services.routing.commands.switching import tell_settled
from services.routing.domain.channels import things_not_typed
from services.routing.domain.handover import CONTACT
from services.routing.domain.items import NOT_TYPED
from services.routing.keys import Keys
from services.routing.pages.application_access import access_cookie
from services.routing.pages.file_wording import attached_name
from services.routing.pages.item_fields import (
    show_value,
)
from services.routing.pages.online_case import (
    SHOWN_MAX_LENGTH,
    elsewhere_of,
    fee_of,
    read_versions,
    stays_booked,
    ways_of,
    write_versions,
)
from services.routing.pages.wording import BRING, LEGAL_BASIS, REACHES, show_phone
from services.routing.queries.applications import find_application
from services.routing.queries.catalogue import get_town
from services.routing.queries.switching import list_booked
from shared.db import Database
from shared.tokens import Identity
from shared.web.forms import parse_uuid, read_form
from shared.web.i18n import current_language, translate
from shared.web.i18n import gettext as _
from shared.web.identity import require_visitor
from shared.web.pages import page, see_other

Req = Request[Any, Any, Any]


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
        online = await get_online_case(session, identity, case, now=now)
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
        online = await get_online_case(session, identity, case, now=now)
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
            settled = await get_own_case(session, identity, case, now=now)
            await tell_settled(session, settled, version=settled.version, now=now)
        sent = await find_application(session, identity.municipality, outcome.number)
    response = see_other(f"/applications/{outcome.number}")
    if sent is not None and sent.guest_ref != identity.ref:
        # Sent at another device than it was begun with, which has the case no more: as if by the link of a message.
        found = Found(outcome="open", application_id=sent.application_id, number=sent.number)
        response.set_cookie(access_cookie(keys, identity.municipality, found, secure=secure, now=now))
    return response


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
    case = await get_own_case(session, identity, online.case_id, now=now)
    provider = await needed_provider(session, case)
    proof = await find_proof(session, case, provider, checked.versions, now=now) if provider else None
    await note_page(session, identity.municipality, online.case_id, "send")
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
        ways=ways_of(online),
        booked=booked,
        stays_booked=stays_booked(online, booked),
        is_stale=is_stale,
        needs_identity=bool(provider) and proof is None,
        proof=proof,
        fee=await fee_of(session, identity, online, checked.values),
        idempotency_key=str(uuid4()),
    )


def _contact_row(case_id: UUID, checked: Checked) -> dict[str, str]:
    name = translate(REACHES[checked.reach])
    if checked.contact is None:
        text = _("お知らせは送りません。このページの番号で、いつでもようすを見られます。")
    elif checked.contact.value is None:
        text = _("前に教えていただいた連絡先（%(reach)s）", reach=name)
    else:
        text = show_phone(checked.contact.value) if checked.reach == "sms" else checked.contact.value
    return {"term": _("お知らせの受けとり方"), "text": text, "href": f"/cases/{case_id}/you"}
