"""`/notices/templates/{kind}/publish` and `/history`: the way to people, who wrote what, and back."""

from datetime import datetime
from difflib import SequenceMatcher
from typing import Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect, Template

from services.notifications.commands.templates import (
    drafts_of,
    flaws_of_drafts,
    go_back,
    publish_texts,
    read_office,
)
from services.notifications.pages.template_paths import MANAGER, PATH, address, cells_of, known_kind, number
from services.notifications.pages.template_wording import cell_name, field_of, say_flaws
from services.notifications.queries_of_templates import Cell, PastVersion, list_versions, read_standings
from shared.db import Database
from shared.errors import Refusal
from shared.tokens import Identity
from shared.web.forms import Form, read_form
from shared.web.i18n import gettext as _
from shared.web.i18n import translate
from shared.web.pages import page, see_other
from shared.web.template_words import NOTICE_NAMES

# Of an account, which has no name here: enough to tell two apart.
REF_LENGTH = 6

Req = Request[Any, Any, Any]


@get(f"{PATH}/{{kind:str}}/publish", guards=MANAGER)
async def show_template_publish(
    request: Req,
    kind: FromPath[str],
    db: NamedDependency[Database],
    identity: NamedDependency[Identity],
    office: FromQuery[str] = "",
) -> Template:
    """What would be said from now on, and the button."""
    town = identity.municipality
    async with db.begin(town) as session:
        facts = await read_office(session, town, office)
        standings = await read_standings(session, town, known_kind(kind), office)
    drafts = drafts_of(standings)
    flaws = flaws_of_drafts(kind, standings, facts) if drafts else {}
    return page(
        request,
        "template_publish.html",
        path_of=PATH,
        kind=kind,
        office=office,
        title=translate(NOTICE_NAMES[kind]),
        here=address(kind, office),
        changes=[
            {"title": cell_name(cell), "lines": differences(standing.told, standing.newest.text)}
            for cell, standing in drafts.items()
        ],
        seen=" ".join(f"{field_of(cell)}:{standing.newest.version}" for cell, standing in drafts.items()),
        problems=[{"title": cell_name(cell), "said": say_flaws(wrong)} for cell, wrong in flaws.items()],
    )


@post(f"{PATH}/{{kind:str}}/publish", guards=MANAGER)
async def post_template_publish(
    request: Req,
    kind: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
) -> Redirect:
    """Have people told so."""
    form = Form(await read_form(request))
    cells = {field_of(cell): cell for cell in cells_of(known_kind(kind))}
    seen: dict[Cell, int] = {}
    for each in form.value("seen").split():
        field, _colon, version = each.partition(":")
        seen[_cell(cells, field)] = number(version)
    async with db.begin(identity.municipality) as session:
        await publish_texts(session, identity, kind, form.value("office"), seen=seen, now=now)
    return see_other(address(kind, form.value("office"), "/history"))


@get(f"{PATH}/{{kind:str}}/history", guards=MANAGER)
async def show_template_history(
    request: Req,
    kind: FromPath[str],
    db: NamedDependency[Database],
    identity: NamedDependency[Identity],
    office: FromQuery[str] = "",
) -> Template:
    """Every version: who wrote it, what it changed, whether people are told so."""
    town = identity.municipality
    async with db.begin(town) as session:
        await read_office(session, town, office)
        versions = await list_versions(session, town, known_kind(kind), office)
        drafts = drafts_of(await read_standings(session, town, kind, office))
    return page(
        request,
        "template_history.html",
        kind=kind,
        office=office,
        title=translate(NOTICE_NAMES[kind]),
        here=address(kind, office),
        action=address(kind, "", "/history"),
        publish=address(kind, office, "/publish") if drafts else "",
        versions=[_shown(each, identity) for each in versions],
    )


@post(f"{PATH}/{{kind:str}}/history", guards=MANAGER)
async def post_template_history(
    request: Req,
    kind: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
) -> Redirect:
    """Draft an earlier version once more."""
    form = Form(await read_form(request))
    cell = _cell({field_of(each): each for each in cells_of(known_kind(kind))}, form.value("text"))
    office = form.value("office")
    async with db.begin(identity.municipality) as session:
        await go_back(session, identity, kind, office, cell, number(form.value("version")), now=now)
    return see_other(address(kind, office, "/publish"))


def differences(before: str, after: str) -> list[dict[str, str]]:
    """The lines that were taken out, put in, or stayed: each with a sign for those who see no colours."""
    old, new = before.splitlines(), after.splitlines()
    lines: list[dict[str, str]] = []
    for deed, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if deed == "equal":
            lines += [{"sign": "", "text": line} for line in old[a:b]]
        else:
            lines += [{"sign": "-", "text": line} for line in old[a:b]]
            lines += [{"sign": "+", "text": line} for line in new[c:d]]
    return lines


def _shown(past: PastVersion, identity: Identity) -> dict[str, Any]:
    made = past.made
    cell = (made.channel, made.language)
    return {
        "title": cell_name(cell),
        "field": field_of(cell),
        "version": made.version,
        "is_empty": not made.text,
        "is_told": past.is_told,
        "is_newest": past.is_newest,
        "saved_at": made.saved_at,
        "saved_by": _who(made.saved_by, identity),
        "published_at": made.published_at,
        "published_by": _who(made.published_by, identity) if made.published_by else "",
        "lines": differences(past.before, made.text),
    }


def _who(ref: str, identity: Identity) -> str:
    return _("あなた") if ref == identity.ref else _("職員 %(ref)s", ref=ref[:REF_LENGTH])


def _cell(cells: dict[str, Cell], field: str) -> Cell:
    if field not in cells:
        raise Refusal("form_unreadable", 400)
    return cells[field]
