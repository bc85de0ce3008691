"""One form for a life event (手続一か所): begun from a plan, filled in section by section, each question once."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote
from uuid import UUID

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect, Template
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.one_form import (
    FilledTogether,
    asked_by,
    begin_one_form,
    changed_together,
    choose_person_for_all,
    fill_together,
    joined_form,
    lock_members,
    may_choose_for_all,
    next_page,
    save_together,
    saved_together,
    take_out,
)
from services.routing.commands.open_pages import note_page
from services.routing.domain.family import read_person
from services.routing.domain.items import can_be_typed
from services.routing.domain.one_form import in_sections, users
from services.routing.domain.open_pages import where_to_begin
from services.routing.domain.town_items import form_of
from services.routing.keys import Keys
from services.routing.pages.behalf_path import behalf_path
from services.routing.pages.item_fields import (
    errors_in_order,
    extend_form,
    fill_fields,
    item_name,
    make_groups,
    read_items,
    show_value,
)
from services.routing.pages.one_form_wording import SECTIONS, names_of
from services.routing.pages.online_case import read_versions, write_versions
from services.routing.pages.tries import Tries
from services.routing.queries.catalogue import list_procedures, procedure_names
from services.routing.queries.family import list_persons
from services.routing.queries.one_form import Member, list_members
from services.routing.queries.plans import Plan, get_life_event, get_own_plan, list_started
from shared.clock import jst_day
from shared.db import Database
from shared.errors import Refusal
from shared.tokens import Identity
from shared.web.addresses import network_of_visitor
from shared.web.forms import Form, parse_uuid, read_form
from shared.web.i18n import translate
from shared.web.identity import require_visitor
from shared.web.pages import page, see_other

# What the button of Enter keeps: whatever is right, and no complaint about the rest.
KEEP = "keep"
PERSON_MAX_LENGTH = 5

Req = Request[Any, Any, Any]


@post("/plans/{plan_id:str}/online", guards=[require_visitor])
async def post_one_form(
    request: Req,
    plan_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    tries: NamedDependency[Tries],
) -> Redirect:
    """Begin those of the chosen ones that can be done online, as one form."""
    chosen = (await read_form(request)).get("procedure", "").split()
    if identity.kind != "guest" and chosen:
        # For somebody else, one after another.
        return see_other(behalf_path(min(chosen)))
    async with db.begin(identity.municipality) as session:
        made = await read_plan(session, identity, plan_id)
        event = await get_life_event(session, identity.municipality, made.event)
        offered = {each.code: each for each in await list_procedures(session, identity.municipality)}
        started = {case.procedure for case in await list_started(session, identity, made, event)}
        online = [
            code
            for code in made.procedures
            if code in chosen
            and (code in started or (code in offered and is_online(offered[code].online, offered[code].items)))
        ]
        for code in online:
            if code not in started:
                tries.count_case(identity.municipality, network_of_visitor(request))
        members = await begin_one_form(session, identity=identity, made=made, event=event, procedures=online, now=now)
    if not members:
        return see_other(f"/plans/{made.plan_id}?online=none")
    return see_other(f"/plans/{made.plan_id}/online")


def is_online(online: str, items: Sequence[str]) -> bool:
    """Whether a procedure can be filled in and sent here."""
    return online != "no" and can_be_typed(items)


@get("/plans/{plan_id:str}/online", guards=[require_visitor])
async def show_one_form(
    plan_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
) -> Redirect:
    """Where the form goes on."""
    async with db.begin(identity.municipality) as session:
        made = await read_plan(session, identity, plan_id)
        members = await lock_members(session, identity, made)
        if not members:
            return without_members(made)
        then = await next_page(session, identity=identity, members=members, now=now)
    return see_other(f"/plans/{made.plan_id}/{then}")


@get("/plans/{plan_id:str}/form", guards=[require_visitor])
async def show_form(
    request: Req,
    plan_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
) -> Template | Redirect:
    """All questions of all procedures, each once, with what was given."""
    async with db.begin(identity.municipality) as session:
        made = await read_plan(session, identity, plan_id)
        members = await lock_members(session, identity, made)
        if not members:
            return without_members(made)
        filled = await fill_together(session, keys.vault, identity=identity, members=members, now=now)
        for each in members:
            page_of_it = where_to_begin(form_of(each.procedure), each.needed, {*filled.values, *each.not_asked})
            await note_page(session, identity.municipality, each.case_id, page_of_it)
        whose = await _whose(session, identity, members, now=now)
    return _form_page(request, made, members, whose, fill_fields(filled.values), {}, filled=filled)


@post("/plans/{plan_id:str}/form", guards=[require_visitor])
async def post_form(
    request: Req,
    plan_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
) -> Template | Redirect:
    """Keep whatever is right on the page, in every section; the one whose button was pressed has to be complete.

    Without a section, all of them. With a problem, the form again as it was typed.
    """
    form = Form(await read_form(request))
    pressed = form.value("section")
    async with db.begin(identity.municipality) as session:
        made = await read_plan(session, identity, plan_id)
        members = await lock_members(session, identity, made)
        if not members:
            return without_members(made)
        plan = joined_form(members)
        sections = in_sections(tuple(asked_by(members)), plan)
        whole = {
            item
            for code, items in sections.items()
            for item in items
            if pressed == code or pressed not in (KEEP, *sections)
        }
        # From the top: what was answered in one section decides in another.
        in_order = [item for items in sections.values() for item in items]
        values = read_items(form, in_order, jst_day(now), complete=whole, plan=plan).values
        seen = read_versions(form.value("seen"))
        changed: tuple[str, ...] = ()
        if "seen" in form.values:
            changed = await changed_together(
                session, keys.vault, identity=identity, members=members, seen=seen, values=values, now=now
            )
        if changed:
            # Nothing is kept before the person has seen both; pressed again, it is.
            filled = await fill_together(session, keys.vault, identity=identity, members=members, now=now)
            whose = await _whose(session, identity, members, now=now)
            return _form_page(request, made, members, whose, form.values, form.errors, filled=filled, changed=changed)
        await save_together(session, keys.vault, identity=identity, members=members, values=values, now=now)
        members = await lock_members(session, identity, made)
        whose = await _whose(session, identity, members, now=now)
        then = await next_page(session, identity=identity, members=members, now=now) if form.ok else "form"
        # What was saved just now was seen by who saved it.
        seen |= await saved_together(session, identity=identity, members=members, values=values, now=now)
    if not form.ok:
        fields = dict(form.values) | ({"seen": write_versions(seen)} if "seen" in form.values else {})
        return _form_page(request, made, members, whose, fields, form.errors, kept=set(values))
    if pressed in sections:
        codes = list(sections)
        following = codes[codes.index(pressed) + 1 :]
        return see_other(f"/plans/{made.plan_id}/form#{f's-{following[0]}' if following else 'go-on'}")
    return see_other(f"/plans/{made.plan_id}/{'form' if pressed == KEEP else then}")


@post("/plans/{plan_id:str}/fields", guards=[require_visitor])
async def post_fields(
    request: Req,
    plan_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
) -> Template | Redirect:
    """The form as it was typed, with what a button inside it asked for. Nothing is kept yet."""
    form = Form(await read_form(request))
    async with db.begin(identity.municipality) as session:
        made = await read_plan(session, identity, plan_id)
        members = await lock_members(session, identity, made)
        if not members:
            return without_members(made)
        whose = await _whose(session, identity, members, now=now)
    fields = extend_form(form, tuple(asked_by(members)))
    if fields is None:
        raise Refusal("form_unreadable", 400)
    return _form_page(request, made, members, whose, fields, form.errors)


@post("/plans/{plan_id:str}/person", guards=[require_visitor])
async def post_person(
    request: Req,
    plan_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
) -> Redirect:
    """For oneself, or for somebody of the family: all of it."""
    person = read_person((await read_form(request)).get("person", "")[:PERSON_MAX_LENGTH])
    async with db.begin(identity.municipality) as session:
        made = await read_plan(session, identity, plan_id)
        if person is None:
            raise Refusal("person_unknown", 404)
        await choose_person_for_all(session, identity=identity, made=made, person=person, now=now)
        members = await list_members(session, identity, made)
    if not members:
        return without_members(made)
    # What one's own cases hold is offered to the first; from there to the others, as all that is in it.
    return see_other(f"/cases/{members[0].case_id}/family")


@post("/plans/{plan_id:str}/take-out", guards=[require_visitor])
async def post_take_out(
    request: Req,
    plan_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
) -> Redirect:
    """One procedure goes on by itself. With none left, back to the plan."""
    case = parse_uuid((await read_form(request)).get("case", ""), code="case_unknown")
    async with db.begin(identity.municipality) as session:
        made = await read_plan(session, identity, plan_id)
        await take_out(session, identity=identity, made=made, case_id=case, now=now)
    return see_other(f"/plans/{made.plan_id}/online")


@get(
    [f"/plans/{{plan_id:str}}/{name}" for name in ("fields", "person", "take-out", "submit")],
    guards=[require_visitor],
)
async def get_one_form_address(plan_id: FromPath[str]) -> Redirect:
    """Where forms are sent, opened as a page: advice may have stood there."""
    return see_other(f"/plans/{quote(plan_id)}/online")


async def read_plan(session: AsyncSession, identity: Identity, plan_id: str) -> Plan:
    """The visitor's own plan.

    Raises:
        Refusal: `plan_unknown` (404).
    """
    return await get_own_plan(session, identity, parse_uuid(plan_id, code="plan_unknown"))


def without_members(made: Plan) -> Redirect:
    """Nothing is in the form: what was sent with it, or the plan."""
    return see_other(f"/plans/{made.plan_id}/sent")


async def going_on_alone(
    session: AsyncSession, identity: Identity, made: Plan, members: tuple[Member, ...]
) -> list[dict[str, str]]:
    """What was begun from the plan and is neither in the form nor sent."""
    event = await get_life_event(session, identity.municipality, made.event)
    names = await procedure_names(session, identity.municipality)
    inside = {member.case_id for member in members}
    started = await list_started(session, identity, made, event)
    return [
        {"name": names[case.procedure][0], "href": f"/cases/{case.case_id}"}
        for case in started
        if case.case_id not in inside and case.state != "submitted"
    ]


async def _whose(
    session: AsyncSession, identity: Identity, members: tuple[Member, ...], *, now: datetime
) -> dict[str, Any]:
    """Whose the form is, as `person_parts.html` shows it."""
    persons = await list_persons(session, identity)
    acting_for = members[0].acting_for
    return {
        "person": persons.get(acting_for) if acting_for is not None else None,
        "persons": tuple(persons.values()),
        "may_choose": await may_choose_for_all(session, identity, members, now=now),
    }


def used_by(members: tuple[Member, ...]) -> dict[str, str]:
    """The names of the procedures that use each item."""
    names = {member.case_id: member.procedure_name for member in members}
    by_item: dict[str, tuple[UUID, ...]] = users({member.case_id: member.needed for member in members})
    return {item: names_of([names[case_id] for case_id in cases]) for item, cases in by_item.items()}


def _form_page(
    request: Req,
    made: Plan,
    members: tuple[Member, ...],
    whose: Mapping[str, Any],
    fields: Mapping[str, str],
    errors: Mapping[str, str],
    *,
    filled: FilledTogether | None = None,
    kept: set[str] | None = None,
    changed: Sequence[str] = (),
) -> Template:
    items = tuple(asked_by(members))
    plan = joined_form(members)
    sections = in_sections(items, plan)
    in_order = tuple(item for listed in sections.values() for item in listed)
    known = set(filled.values) if filled else kept
    apply = {item for member in members for item in member.applying}
    return page(
        request,
        "one_form.html",
        status=409 if changed else 422 if errors else 200,
        plan_id=made.plan_id,
        procedures=[member.procedure_name for member in members],
        whose=whose,
        sections=[
            {
                "code": code,
                "title": translate(SECTIONS[code]),
                "groups": make_groups(listed, dict(fields), errors, plan=plan),
                "done": None if known is None else known >= apply & set(listed),
            }
            for code, listed in sections.items()
        ],
        used_by=used_by(members),
        errors=errors_in_order(in_order, errors),
        seen=write_versions(filled.versions) if filled else fields.get("seen", ""),
        changed=[
            {"term": item_name(item), "text": show_value(item, filled.values.get(item, "") if filled else "")}
            for item in changed
        ],
        reused=[item_name(item) for item in filled.reused] if filled else [],
        can_reuse=filled is not None and filled.can_reuse,
        has_files=any(member.attached for member in members),
        keep=KEEP,
    )
