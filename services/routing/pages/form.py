"""The form of a case: filled in, kept as one goes, and shown again as it was typed."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect, Template
from litestar.status_codes import HTTP_204_NO_CONTENT
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.correcting import read_asked
from services.routing.commands.form import (
    FilledItems,
    changed_meanwhile,
    fill_items,
    is_of_version,
    save_form,
    saved_versions,
)
from services.routing.commands.online import OnlineCase, get_online_case
from services.routing.commands.open_pages import note_form, note_item
from services.routing.keys import Keys
from services.routing.pages.fees import FeeWords
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
from services.routing.pages.online_case import elsewhere_of, fee_of, read_versions, ways_of, write_versions
from services.routing.pages.wording import REFUSALS
from shared.clock import jst_day
from shared.db import Database
from shared.errors import Refusal
from shared.tokens import Identity
from shared.web.forms import Form, parse_uuid, read_form
from shared.web.i18n import translate
from shared.web.identity import require_visitor
from shared.web.pages import page, see_other

# The field in which somebody is writing while the page keeps what they wrote before.
TYPING = "typing"

Req = Request[Any, Any, Any]


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
        online = await get_online_case(session, identity, case, now=now)
        if (elsewhere := elsewhere_of(online)) is not None:
            return elsewhere
        await note_form(session, identity.municipality, online)
        filled = await fill_items(session, keys.vault, identity=identity, case_id=case, now=now)
        asked = await read_asked(session, keys.vault, identity=identity, case_id=case, now=now)
        fee = await fee_of(session, identity, online, filled.values)
    return form_page(request, online, fill_fields(filled.values), {}, filled=filled, asked=asked, fee=fee)


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
        online = await get_online_case(session, identity, case, now=now)
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
        fee = await fee_of(session, identity, online, typed.values)
    if not form.ok:
        return form_page(request, online, form.values, form.errors, asked=asked, fee=fee)
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
        online = await get_online_case(session, identity, case, now=now)
        asked = await read_asked(session, keys.vault, identity=identity, case_id=case, now=now)
        fee = await fee_of(session, identity, online, {})
    if (elsewhere := elsewhere_of(online)) is not None:
        return elsewhere
    fields = extend_form(form, online.needed)
    if fields is None:
        raise Refusal("form_unreadable", 400)
    return form_page(request, online, fields, form.errors, asked=asked, fee=fee)


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
        online = await get_online_case(session, identity, case, now=now)
        if (elsewhere := elsewhere_of(online)) is not None:
            return elsewhere
        finished = [item for item in online.needed if not (typing == item or typing.startswith(f"{item}_"))]
        typed = read_items(form, finished, jst_day(now), complete=False, plan=online.form)
        is_pressed = form.value("keep") == "yes"
        if is_pressed and (stale := await _stale_form(request, session, keys, identity, online, form, typed, now)):
            return stale
        is_saved = is_pressed or await is_of_version(session, identity, case, form.value("version"), now=now)
        if is_saved:
            await save_form(session, keys.vault, identity=identity, case_id=case, values=typed.values, now=now)
        asked = await read_asked(session, keys.vault, identity=identity, case_id=case, now=now)
        online = await get_online_case(session, identity, case, now=now)
        fee = await fee_of(session, identity, online, typed.values)
        seen = await saved_versions(session, identity, case, now=now) if is_saved else None
    not_asked = online.form.not_asked(typed.values)
    missing = [item_name(item) for item in online.needed if item not in typed.values and item not in not_asked]
    return form_page(
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


@post("/cases/{case_id:str}/at", guards=[require_visitor], status_code=HTTP_204_NO_CONTENT)
async def post_at(
    request: Req,
    case_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
) -> None:
    """The page's script says which part of the form is on the screen: the name of an item, and nothing of it."""
    case = parse_uuid(case_id, code="case_unknown")
    item = Form(await read_form(request)).value("item")
    async with db.begin(identity.municipality) as session:
        online = await get_online_case(session, identity, case, now=now)
        if elsewhere_of(online) is None:
            await note_item(session, identity.municipality, online, item)


@get(
    [f"/cases/{{case_id:str}}/{name}" for name in ("channel", "submit", "fields", "draft", "at")],
    guards=[require_visitor],
)
async def get_form_address(case_id: FromPath[str]) -> Redirect:
    """Where forms are sent, opened as a page: advice may have stood there."""
    return see_other(f"/cases/{quote(case_id)}")


def _after_form(online: OnlineCase) -> str:
    """What follows a form that is kept: in one form with others, it is checked and sent with them."""
    if online.is_draft:
        return f"/cases/{online.case_id}/prepared"
    if online.attached:
        return f"/cases/{online.case_id}/attachments"
    return online.check_page


def form_page(
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
        ways=ways_of(online),
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
    fee = await fee_of(session, identity, online, typed.values)
    return form_page(request, online, dict(form.values), {}, filled=filled, fee=fee, changed=rows)
