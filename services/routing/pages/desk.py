"""書かない窓口 for staff: find a case by the number on paper, go through what was prepared, and correct it."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect, Template
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.desk import (
    Desk,
    correct_at_desk,
    look_at_desk,
    look_at_item,
    read_desk,
    tick_at_desk,
)
from services.routing.domain.channels import things_not_typed
from services.routing.keys import Keys
from services.routing.pages.behalf_path import behalf_path
from services.routing.pages.item_fields import (
    errors_in_order,
    extend_form,
    fill_fields,
    item_name,
    make_groups,
    read_items,
)
from services.routing.pages.office import OFFICE_AND_COUNTER, given_rows, read_version
from services.routing.pages.online_case import read_versions
from services.routing.pages.wording import BRING, REFUSALS
from services.routing.queries.case_numbers import find_application_of, find_case
from services.routing.queries.catalogue import procedure_names
from shared.clock import jst_day
from shared.db import Database
from shared.errors import Refusal
from shared.reference_number import APPOINTMENT_LENGTH, read_number
from shared.tokens import Identity
from shared.web.forms import Form, parse_uuid, read_form
from shared.web.i18n import gettext as _
from shared.web.i18n import translate
from shared.web.pages import page, see_other

SHOWN_MAX_LENGTH = 1_000
TYPED_MAX_LENGTH = 500
# What a scanner reads from a sheet that was filled in by hand: the address of its procedure.
_BLANK_SHEET = re.compile(r"https?://[^/\s]+/p/(\w+)", re.ASCII)
# Of a press that came too late: told on the page, with what is true now.
TOLD_ON_THE_PAGE = ("desk_moved", "desk_unchecked")

Req = Request[Any, Any, Any]


@get("/office/find", guards=OFFICE_AND_COUNTER)
async def show_desk_find(request: Req) -> Template:
    """A number, please: typed, or by a scanner that types."""
    return page(request, "desk_find.html", form=Form({}))


@post("/office/find", guards=OFFICE_AND_COUNTER)
async def post_desk_find(
    request: Req, db: NamedDependency[Database], identity: NamedDependency[Identity]
) -> Template | Redirect:
    """Leads to the case of this number, whichever kind it is; of a sheet filled in by hand, to where one is begun."""
    form = Form(await read_form(request))
    typed = form.value("number")[:TYPED_MAX_LENGTH].strip()
    if (blank := _BLANK_SHEET.fullmatch(typed)) is not None:
        return see_other(behalf_path(blank[1], behalf="desk", channel="counter"))
    async with db.begin(identity.municipality) as session:
        case_id = await find_case(session, municipality=identity.municipality, typed=typed)
        sent = await find_application_of(session, identity.municipality, case_id) if case_id else None
    if case_id is None:
        form.errors["number"] = (
            _(
                "この番号の予約は、まだこちらに届いていません。とったばかりの予約は、少しおくれて届きます。"
                "番号を確かめて、もう一度おためしください。案件番号でもさがせます。"
            )
            if read_number(typed, length=APPOINTMENT_LENGTH) is not None
            else _("この番号の案件も予約も見つかりません。番号を確かめてください。")
        )
        return page(request, "desk_find.html", status=422, form=form)
    if sent is None:
        return see_other(f"/office/cases/{case_id}/desk")
    may_decide = identity.has_role("back_office") or identity.has_role("manager")
    return see_other(f"/office/applications/{sent}" if may_decide else f"/office/cases/{case_id}/fragment")


@get("/office/cases/{case_id:str}/desk", guards=OFFICE_AND_COUNTER)
async def show_desk(
    request: Req,
    case_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
) -> Template:
    """What was prepared, what is missing, and what was confirmed."""
    async with db.begin(identity.municipality) as session:
        return await desk_page(request, session, keys, identity, _case_id(case_id), now=now)


@post("/office/cases/{case_id:str}/desk", guards=OFFICE_AND_COUNTER)
async def post_desk(
    request: Req,
    case_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
) -> Template | Redirect:
    """Keep what was ticked."""
    case, form = _case_id(case_id), Form(await read_form(request))
    ticked = [name.removeprefix("tick_") for name, value in form.values.items() if name.startswith("tick_") and value]
    try:
        async with db.begin(identity.municipality) as session:
            await tick_at_desk(
                session,
                identity=identity,
                case_id=case,
                shown=read_versions(form.value("shown")),
                before=form.value("before")[:SHOWN_MAX_LENGTH].split("."),
                ticked=ticked,
                now=now,
            )
    except Refusal as refusal:
        return await told_on_desk(request, db, keys, identity, case, refusal, now=now)
    return see_other(f"/office/cases/{case}/desk")


@get("/office/cases/{case_id:str}/desk/items/{item:str}", guards=OFFICE_AND_COUNTER)
async def show_desk_item(
    request: Req,
    case_id: FromPath[str],
    item: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
) -> Template:
    """One item, to be corrected or added as the person says."""
    async with db.begin(identity.municipality) as session:
        desk, value = await look_at_item(
            session, keys.vault, identity=identity, case_id=_case_id(case_id), item=item, now=now
        )
    fields = fill_fields({item: value}) if value is not None else {}
    return _item_page(request, desk, item, fields, {}, version=_version_of(desk, item))


@post("/office/cases/{case_id:str}/desk/items/{item:str}", guards=OFFICE_AND_COUNTER)
async def post_desk_item(
    request: Req,
    case_id: FromPath[str],
    item: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
) -> Template | Redirect:
    """Keep what the person said; with a problem, the form again as it was typed."""
    case, form = _case_id(case_id), Form(await read_form(request))
    version = read_version(form)
    async with db.begin(identity.municipality) as session:
        desk = await read_desk(session, identity, case)
    if item not in desk.needed:
        raise Refusal("item_unknown", 404)
    if (fields := extend_form(form, [item])) is not None:
        return _item_page(request, desk, item, fields, form.errors, version=version)
    typed = read_items(form, [item], jst_day(now))
    if not form.ok:
        return _item_page(request, desk, item, form.values, form.errors, version=version)
    try:
        async with db.begin(identity.municipality) as session:
            await correct_at_desk(
                session,
                keys.vault,
                identity=identity,
                case_id=case,
                item=item,
                value=typed.values[item],
                before=version,
                now=now,
            )
    except Refusal as refusal:
        return await told_on_desk(request, db, keys, identity, case, refusal, now=now)
    return see_other(f"/office/cases/{case}/desk#i-{item}")


async def told_on_desk(
    request: Req, db: Database, keys: Keys, identity: Identity, case_id: UUID, refusal: Refusal, *, now: datetime
) -> Template:
    """What is true now, with what happened above it."""
    if refusal.code not in TOLD_ON_THE_PAGE:
        raise refusal
    async with db.begin(identity.municipality) as session:
        return await desk_page(request, session, keys, identity, case_id, now=now, refusal=refusal)


async def desk_page(
    request: Req,
    session: AsyncSession,
    keys: Keys,
    identity: Identity,
    case_id: UUID,
    *,
    now: datetime,
    refusal: Refusal | None = None,
) -> Template:
    desk, seen = await look_at_desk(session, keys.vault, identity=identity, case_id=case_id, where="desk", now=now)
    names = await procedure_names(session, identity.municipality)
    shown = {item.key for item in seen}
    text = REFUSALS[refusal.code] if refusal else None
    return page(
        request,
        "desk.html",
        status=refusal.status if refusal else 200,
        base=f"/office/cases/{case_id}",
        case_number=desk.case.number,
        procedure_name=desk.procedure.name_ja,
        confirmation=desk.confirmation,
        rows=[
            row | {"item": item.key, "is_ticked": item.key not in desk.unchecked}
            for row, item in zip(given_rows(seen, names), seen, strict=True)
        ],
        missing=[
            # Typed just now at this desk, and not to be shown here.
            {"item": item, "term": item_name(item), "is_there": item in desk.ticked}
            for item in desk.needed
            if item not in shown
        ],
        at_counter=[translate(BRING[code]) for code in things_not_typed(desk.procedure.items)],
        shown=pack_shown(desk.versions),
        before=".".join(key for key in desk.sources if key not in desk.unchecked),
        can_confirm=bool(desk.sources) and not desk.unchecked,
        refused_title=translate(text.title) if text else None,
        refused_advice=translate(text.advice) if text else None,
    )


def pack_shown(versions: Mapping[str, int]) -> str:
    """The versions that a page shows, for its form to say so."""
    return ".".join(f"{key}:{version}" for key, version in versions.items())


def _version_of(desk: Desk, item: str) -> int:
    return desk.sources[item].version if item in desk.sources else 0


def _item_page(
    request: Req,
    desk: Desk,
    item: str,
    fields: Mapping[str, str],
    errors: Mapping[str, str],
    *,
    version: int,
) -> Template:
    base = f"/office/cases/{desk.case.case_id}/desk"
    return page(
        request,
        "desk_item.html",
        status=422 if errors else 200,
        base=base,
        action=f"{base}/items/{item}",
        case_number=desk.case.number,
        term=item_name(item),
        group=make_groups([item], fields, errors, with_autofill=False)[0],
        errors=errors_in_order([item], errors),
        version=version,
        is_confirmed=desk.confirmation is not None,
    )


def _case_id(text: str) -> UUID:
    return parse_uuid(text, code="case_unknown")
