"""One form (手続一か所), to its end: how to be told, the check, and sending all of it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect, Template
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.about_you import fill_form
from services.routing.commands.cases import get_own_case
from services.routing.commands.offers import Undecided
from services.routing.commands.one_form import asked_by, lock_members, offered_to
from services.routing.commands.one_form_sending import (
    CheckedTogether,
    SentTogether,
    check_together,
    find_reach_of_all,
    submit_together,
    tell_for_all,
)
from services.routing.commands.submit import Incomplete
from services.routing.commands.switching import tell_settled
from services.routing.domain.catalogue import Words
from services.routing.domain.handover import CONTACT
from services.routing.keys import Keys
from services.routing.pages.cases import read_you
from services.routing.pages.fees import fee_words
from services.routing.pages.file_wording import attached_name
from services.routing.pages.item_fields import show_value
from services.routing.pages.one_form import going_on_alone, read_plan, without_members
from services.routing.pages.one_form_wording import names_of, to_do, total_fee, use_words
from services.routing.pages.wording import LEGAL_BASIS, REACHES, show_phone
from services.routing.queries.catalogue import get_town
from services.routing.queries.family import list_persons
from services.routing.queries.one_form import Member
from services.routing.queries.plans import Plan
from services.routing.queries.switching import Booked, list_booked
from shared.crypto import SubjectVault
from shared.db import Database
from shared.tokens import Identity
from shared.web.forms import Form, is_mobile, parse_uuid, read_form
from shared.web.i18n import current_language, translate
from shared.web.i18n import gettext as _
from shared.web.identity import require_visitor
from shared.web.pages import page, see_other

# What the check page says that it showed of one case: each item with its version.
SHOWN_MAX_LENGTH = 1_000

Req = Request[Any, Any, Any]


@get("/plans/{plan_id:str}/you", guards=[require_visitor])
async def show_you(
    request: Req,
    plan_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
) -> Template | Redirect:
    """How to be told, once for all."""
    async with db.begin(identity.municipality) as session:
        made = await read_plan(session, identity, plan_id)
        members = await lock_members(session, identity, made)
        if not members:
            return without_members(made)
        first = members[0].case_id
        filled = await fill_form(session, keys.vault, identity=identity, case_id=first, now=now)
        known = await find_reach_of_all(session, identity=identity, members=members, now=now)
    phone = filled.items.get("phone", "")
    values = {"reach": filled.reach or "", "phone": show_phone(phone) if is_mobile(phone) else ""}
    return _you_page(request, made, members, values, {}, known, from_before=filled.from_before)


@post("/plans/{plan_id:str}/you", guards=[require_visitor])
async def post_you(
    request: Req,
    plan_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
) -> Template | Redirect:
    """Keep what was said; with a problem, the form again as it was typed."""
    form = Form(await read_form(request))
    async with db.begin(identity.municipality) as session:
        made = await read_plan(session, identity, plan_id)
        members = await lock_members(session, identity, made)
        if not members:
            return without_members(made)
        known = await find_reach_of_all(session, identity=identity, members=members, now=now)
        told = read_you(form, known, is_online=True)
        if told is not None:
            await tell_for_all(session, keys.vault, identity=identity, members=members, told=told, now=now)
    if told is None:
        return _you_page(request, made, members, form.values, form.errors, known)
    return see_other(f"/plans/{made.plan_id}/check")


@get("/plans/{plan_id:str}/check", guards=[require_visitor])
async def show_check(
    request: Req,
    plan_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
) -> Template | Redirect:
    """Everything that would be sent, to which office, and what is still to do for each procedure."""
    async with db.begin(identity.municipality) as session:
        made = await read_plan(session, identity, plan_id)
        return await _check_page(request, session, keys.vault, identity, made, now=now)


@post("/plans/{plan_id:str}/submit", guards=[require_visitor])
async def post_submit(
    request: Req,
    plan_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
) -> Template | Redirect:
    """Send all of it, once."""
    fields = await read_form(request)
    async with db.begin(identity.municipality) as session:
        made = await read_plan(session, identity, plan_id)
        members = await lock_members(session, identity, made)
        cancelled = await _cancelled_by_sending(session, members, identity.municipality, now=now)
        # What is cancelled was said on the page; booked meanwhile, it is said now.
        if {each.number for booked in cancelled.values() for each in booked} - _told_numbers(fields):
            return await _check_page(request, session, keys.vault, identity, made, now=now, is_stale=True)
        outcome = await submit_together(
            session,
            keys,
            identity=identity,
            made=made,
            submit_key=parse_uuid(fields.get("idempotency_key", ""), code="form_unreadable", status=400),
            shown_items=_read_shown(fields),
            with_notices=fields.get("notices") == "yes",
            shown_contacts={
                case_id: offer_id for case_id, offer_id in _by_case(fields, f"offer_{CONTACT}_").items() if offer_id
            },
            language=current_language().code,
            now=now,
        )
        if isinstance(outcome, Undecided):
            return await _check_page(request, session, keys.vault, identity, made, now=now, is_stale=True)
        if isinstance(outcome, SentTogether) and fields.get("keep_booking") != "yes":
            for case_id in cancelled:
                settled = await get_own_case(session, identity, case_id, now=now)
                await tell_settled(session, settled, version=settled.version, now=now)
    if isinstance(outcome, Incomplete):
        return see_other(f"/plans/{made.plan_id}/{'you' if outcome.page == 'you' else 'check'}")
    return see_other(f"/plans/{made.plan_id}/sent")


async def _cancelled_by_sending(
    session: AsyncSession, members: tuple[Member, ...], municipality: str, *, now: datetime
) -> dict[UUID, list[Booked]]:
    """The times that were booked for a case by another way before: sending takes their place. A time that is shared
    with other procedures stays."""
    found = {}
    for member in members:
        booked = await list_booked(session, municipality, member.case_id, now=now)
        if alone := [each for each in booked if each.is_alone]:
            found[member.case_id] = alone
    return found


def _told_numbers(fields: Mapping[str, str]) -> set[str]:
    return {*fields.get("cancels", "")[:SHOWN_MAX_LENGTH].split(".")}


def _by_case(fields: Mapping[str, str], prefix: str) -> dict[UUID, str]:
    """The fields that each case has, by its reference; whatever is no reference is left out."""
    found = {}
    for name, value in fields.items():
        if name.startswith(prefix):
            try:
                found[UUID(name.removeprefix(prefix))] = value
            except ValueError:
                continue
    return found


def _read_shown(fields: Mapping[str, str]) -> dict[UUID, dict[str, int]]:
    """The versions that the check page showed, by case; whatever else is there matches none."""
    shown = {}
    for case_id, text in _by_case(fields, "shown_").items():
        pairs = [part.partition(":") for part in text[:SHOWN_MAX_LENGTH].split(".")]
        shown[case_id] = {
            key: int(version) for key, _colon, version in pairs if version.isascii() and version.isdecimal()
        }
    return shown


def _you_page(
    request: Req,
    made: Plan,
    members: tuple[Member, ...],
    values: dict[str, str],
    errors: dict[str, str],
    known: str | None,
    *,
    from_before: bool = False,
) -> Template:
    order = ("reach", "email", "phone")
    return page(
        request,
        "you.html",
        status=422 if errors else 200,
        case={
            "case_id": None,
            "together": (),
            "person": None,
            "persons": (),
            "may_choose": False,
            "switched": None,
            "is_beside": False,
        },
        action=f"/plans/{made.plan_id}/you",
        back=f"/plans/{made.plan_id}/form",
        lead=_("%(names)sのお知らせです。", names=names_of([member.procedure_name for member in members])),
        is_online=True,
        is_helper=False,
        behalf=None,
        values=values,
        errors={name: errors[name] for name in order if name in errors},
        known_contact=known,
        from_before=from_before,
    )


async def _check_page(
    request: Req,
    session: AsyncSession,
    vault: SubjectVault,
    identity: Identity,
    made: Plan,
    *,
    now: datetime,
    is_stale: bool = False,
) -> Template | Redirect:
    members = await lock_members(session, identity, made)
    if not members:
        return without_members(made)
    shown = await check_together(session, vault, identity=identity, members=members, now=now)
    if isinstance(shown, Incomplete):
        return see_other(f"/plans/{made.plan_id}/{shown.page}")
    rest = await going_on_alone(session, identity, made, members)
    ready = [each for each in shown if each.checked is not None]
    town = await get_town(session, identity.municipality)
    fees = {
        each.member.case_id: await fee_words(
            session,
            identity.municipality,
            fee_yen=each.member.fee_yen,
            items=each.member.needed,
            counters=each.member.counters,
            values=each.checked.values if each.checked else {},
        )
        for each in shown
    }
    cancelled = await _cancelled_by_sending(session, members, identity.municipality, now=now)
    contacts = {
        each.member.case_id: each.checked.contact for each in ready if each.checked and each.checked.contact is not None
    }
    return page(
        request,
        "one_form_check.html",
        status=409 if is_stale else 200,
        plan_id=made.plan_id,
        person=(await list_persons(session, identity)).get(members[0].acting_for) if members[0].acting_for else None,
        rows=_check_rows(made, shown, town.things),
        procedures=[
            {
                "case_id": each.member.case_id,
                "name": each.member.procedure_name,
                "office": each.member.office,
                "items": [
                    attached_name(item, town.things)
                    for item in (each.checked.versions if each.checked else each.member.applying)
                ],
                "missing": None if each.checked else f"/cases/{each.member.case_id}/form",
                "counter": each.member.counter,
                "to_do": to_do(each.member.attached, each.checked.versions if each.checked else (), town.things),
                "attachments": f"/cases/{each.member.case_id}/attachments" if each.member.attached else None,
                "identity": f"/cases/{each.member.case_id}/identity" if each.provider and not each.proof else None,
                "proof": each.proof,
                "fee": fees[each.member.case_id],
            }
            for each in shown
        ],
        shown={
            f"shown_{each.member.case_id}": ".".join(f"{key}:{version}" for key, version in each.checked.shown.items())
            for each in ready
            if each.checked
        },
        contact=_contact_row(made, ready),
        offers={f"offer_{CONTACT}_{case_id}": offer.offer_id for case_id, offer in contacts.items()},
        fee_notes=list(dict.fromkeys(note for fee in fees.values() for note in fee.notes)),
        total=total_fee([fee.total_yen for fee in fees.values()]),
        booked=[each for booked in cancelled.values() for each in booked],
        is_ready=all(each.is_ready for each in shown),
        # Nothing is left to be written: only to be proven.
        is_written=len(ready) == len(shown),
        rest=rest,
        legal_basis=translate(LEGAL_BASIS["appi_69_1"]),
        contact_basis=translate(LEGAL_BASIS["appi_69_2_1"]),
        is_stale=is_stale,
        idempotency_key=str(uuid4()),
    )


def _check_rows(made: Plan, shown: tuple[CheckedTogether, ...], things: Sequence[Words]) -> list[dict[str, str]]:
    """Every value once, with the procedures that it goes to."""
    uses: dict[tuple[str, int], list[CheckedTogether]] = {}
    for each in shown:
        for item, version in each.checked.versions.items() if each.checked else ():
            uses.setdefault((item, version), []).append(each)
    asked = asked_by(tuple(each.member for each in shown))
    order = offered_to(tuple(each.member for each in shown))
    rows = []
    for (item, _version), users in sorted(uses.items(), key=lambda use: order.index(use[0][0])):
        values = [each.checked.values[item] for each in users if each.checked and item in each.checked.values]
        # What one procedure alone has of its own is changed in its own form.
        is_asked_here = asked.get(item) in {each.member.case_id for each in users}
        form = f"/plans/{made.plan_id}/form" if is_asked_here else f"/cases/{users[0].member.case_id}/form"
        if item not in asked:
            form = f"/cases/{users[0].member.case_id}/attachments"
        text = show_value(item, values[0]) if values else _("入力ずみ")
        rows.append(
            {
                "term": attached_name(item, things),
                "text": f"{text}\n{use_words([each.member.procedure_name for each in users])}",
                "href": f"{form}#g-{item}",
            }
        )
    return rows


def _contact_row(made: Plan, ready: list[CheckedTogether]) -> dict[str, str] | None:
    checks = [each.checked for each in ready if each.checked]
    if not checks:
        return None
    reach = translate(REACHES[checks[0].reach])
    values = [check.contact.value for check in checks if check.contact is not None and check.contact.value]
    if not any(check.contact for check in checks):
        text = _("お知らせは送りません。このページの番号で、いつでもようすを見られます。")
    elif not values:
        text = _("前に教えていただいた連絡先（%(reach)s）", reach=reach)
    else:
        text = show_phone(values[0]) if checks[0].reach == "sms" else values[0]
    return {"term": _("お知らせの受けとり方"), "text": text, "href": f"/plans/{made.plan_id}/you"}
