"""`/office/catalogue/preview`: the draft as residents will see it. What they see is shown, and nothing can be begun.

A preview is a publication that is never finished: in a transaction that is undone, the draft is written into copies of
the tables that only this transaction sees, and the residents' own pages are made from them. So there is no second way
in which a catalogue is read or shown, and nobody waits for a preview.
"""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from html import escape
from typing import Any

from litestar import MediaType, Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Template
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.catalogue import cover_catalogue, write_catalogue
from services.routing.domain.town_items import form_of, use_town_items
from services.routing.pages.catalogue import PATH, meaning_of
from services.routing.pages.figures import MANAGER
from services.routing.pages.finding import search_page
from services.routing.pages.front import front_page, procedure_page
from services.routing.pages.item_fields import make_groups
from services.routing.pages.plans import life_event_page
from services.routing.queries.catalogue import get_procedure
from services.routing.queries.catalogues import Catalogues
from services.routing.queries.drafts import find_draft
from services.routing.queries.town_items import read_town_items
from shared.db import Database
from shared.errors import Refusal
from shared.tokens import Identity
from shared.town_pack import TownPack
from shared.town_texts import collect_texts
from shared.web.i18n import gettext as _
from shared.web.pages import page
from shared.web.town import Town
from shared.web.town_texts import use_town_texts

PREVIEW_PATH = f"{PATH}/preview"
# The residents' pages that are shown of a draft; every other link leads nowhere.
_SHOWN = re.compile(r"/(?:search(?:\?.*)?|procedures/[^/?#]+|life-events/[^/?#]+)?(?:#.*)?")
_LINK = re.compile(r'<a\b([^>]*?)\shref="(/[^"]*)"')
_FORM = re.compile(r'<form\b[^>]*\bmethod="post"[^>]*>(.*?)</form>', re.DOTALL)
_SEARCH = re.compile(r'(<form\b[^>]*\baction=")/search"')
_CONTROL = re.compile(r"<(button|input|select|textarea)\b")
_SKIP_LINK = re.compile(r'(<a class="skip-link"[^>]*>[^<]*</a>)')

Req = Request[Any, Any, Any]
# Makes a page of residents from what the session's catalogue has.
Draw = Callable[[AsyncSession, Catalogues], Awaitable[Template]]


class _Undone(Exception):
    """Nothing of a preview stays."""


@get(PREVIEW_PATH, guards=MANAGER)
async def show_preview(
    request: Req,
    db: NamedDependency[Database],
    town: NamedDependency[Town],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
) -> Response[str] | Template:
    """The front page."""
    return await _show(
        request,
        db,
        town,
        now,
        identity,
        lambda session, catalogues: front_page(request, session, town, catalogues, now=now),
    )


@get(f"{PREVIEW_PATH}/search", guards=MANAGER)
async def show_preview_search(
    request: Req,
    db: NamedDependency[Database],
    town: NamedDependency[Town],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
) -> Response[str] | Template:
    """The search."""
    return await _show(
        request,
        db,
        town,
        now,
        identity,
        lambda session, catalogues: search_page(request, session, town, catalogues, now=now),
    )


@get(f"{PREVIEW_PATH}/procedures/{{code:str}}", guards=MANAGER)
async def show_preview_procedure(
    request: Req,
    code: FromPath[str],
    db: NamedDependency[Database],
    town: NamedDependency[Town],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
) -> Response[str] | Template:
    """A procedure with its channels compared."""
    return await _show(
        request,
        db,
        town,
        now,
        identity,
        lambda session, catalogues: procedure_page(request, session, town, code, catalogues, now=now),
    )


@get(f"{PREVIEW_PATH}/life-events/{{code:str}}", guards=MANAGER)
async def show_preview_life_event(
    request: Req,
    code: FromPath[str],
    db: NamedDependency[Database],
    town: NamedDependency[Town],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
) -> Response[str] | Template:
    """The questions of a life event."""
    return await _show(
        request,
        db,
        town,
        now,
        identity,
        lambda session, catalogues: life_event_page(request, session, town, code, catalogues),
    )


@get(f"{PREVIEW_PATH}/forms/{{code:str}}", guards=MANAGER)
async def show_preview_form(
    request: Req,
    code: FromPath[str],
    db: NamedDependency[Database],
    town: NamedDependency[Town],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
) -> Response[str] | Template:
    """What a procedure's form asks for, as the draft has it."""
    return await _show(
        request,
        db,
        town,
        now,
        identity,
        lambda session, _catalogues: _form_page(request, session, town.code, code),
    )


async def _form_page(request: Req, session: AsyncSession, town: str, code: str) -> Template:
    procedure = await get_procedure(session, town, code)
    form = form_of(code)
    groups = make_groups(form.in_order(procedure.items), {}, {}, with_autofill=False, plan=form)
    return page(request, "catalogue_form.html", procedure=procedure, groups=groups)


async def _show(
    request: Req, db: Database, town: Town, now: datetime, identity: Identity, draw: Draw
) -> Response[str] | Template:
    pack = await _pack(db, identity)
    if pack is None:
        return _not_yet(request)
    async with preview(db, town, pack, now) as (session, catalogues):
        return _marked(request, await draw(session, catalogues))
    raise AssertionError("a preview is shown before it is undone")


async def _pack(db: Database, identity: Identity) -> TownPack | None:
    """The draft; None while it contradicts itself: nobody could say what residents would see."""
    async with db.begin(identity.municipality) as session:
        draft = await find_draft(session, identity.municipality)
    pack, problems = meaning_of(draft)
    return None if problems else pack


@asynccontextmanager
async def preview(
    db: Database, town: Town, pack: TownPack, now: datetime
) -> AsyncIterator[tuple[AsyncSession, Catalogues]]:
    if pack.town.code != town.code:
        raise Refusal("operators_only", 422)
    try:
        async with db.begin(town.code) as session:
            await cover_catalogue(session, town.code)
            await write_catalogue(session, pack, public_url="", now=now)
            with use_town_texts(collect_texts(pack)), use_town_items(await read_town_items(session, town.code)):
                # An index of its own: the one that all share is of what is published.
                yield session, Catalogues()
            raise _Undone  # noqa: TRY301  leaving the block by an error is what undoes it
    except _Undone:
        pass


def _not_yet(request: Req) -> Template:
    return page(request, "catalogue_no_preview.html", status=409, path_of=PATH)


def _marked(request: Req, shown: Template) -> Response[str]:
    """The page, said to be no real one; its links stay in the preview, and its forms can be looked at only."""
    assert request.app.template_engine is not None
    # As somebody sees it who is not signed in.
    shown.context |= {"signed_in": None, "nav": [], "footer_links": []}
    template = request.app.template_engine.get_template(str(shown.template_name))
    html = template.render(**shown.create_template_context(request))
    html = _FORM.sub(lambda found: _CONTROL.sub(r"<\1 disabled", f"<div>{found[1]}</div>"), html)
    html = _LINK.sub(_stay, html)
    html = _SEARCH.sub(rf'\1{PREVIEW_PATH}/search"', html)
    said = _("見本（まだ公開していません）。ここからは、予約も申請も始まりません。")
    back = _("編集にもどる")
    banner = f'<aside class="practice">{escape(said)} <a href="{PATH}">{escape(back)}</a></aside>'
    html = _SKIP_LINK.sub(lambda found: f"{found[1]}{banner}", html, count=1)
    return Response(html, media_type=MediaType.HTML, status_code=shown.status_code or 200)


def _stay(found: "re.Match[str]") -> str:
    href = found[2]
    if href.startswith(("/language?", PATH)):
        return found[0]
    if _SHOWN.fullmatch(href):
        return f'<a{found[1]} href="{PREVIEW_PATH}{href.removesuffix("/") if href == "/" else href}"'
    return f"<a{found[1]}"
