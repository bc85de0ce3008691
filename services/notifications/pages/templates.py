"""`/notices/templates`: what a town says itself in its notices, written by its managers. Saved is not yet told."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect, Template
from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.commands.templates import (
    Flaws,
    drafts_of,
    newest_text,
    newest_version,
    read_office,
    save_texts,
)
from services.notifications.pages.template_paths import MANAGER, PATH, address, cells_of, known_kind, number
from services.notifications.pages.template_preview import own_texts_of, read_drafted
from services.notifications.pages.template_wording import (
    CHANNEL_NAMES,
    LANGUAGE_NAMES,
    cell_name,
    field_of,
    kinds_by_group,
    say_flaws,
)
from services.notifications.queries_of_templates import (
    LANGUAGES,
    Cell,
    KindStanding,
    Standing,
    TownFacts,
    list_kinds,
    list_pack_texts,
    read_standings,
)
from services.notifications.rendering import say
from services.notifications.samples import make_sample
from shared.db import Database
from shared.errors import Refusal
from shared.tokens import Identity
from shared.town_pack.templates import (
    IN_LINES,
    MAX_LENGTHS,
    NEEDED,
    PLACEHOLDERS,
    Channel,
    channels_of,
    names_for,
    needed_in,
)
from shared.web.forms import Form, read_form
from shared.web.i18n import gettext as _
from shared.web.i18n import translate
from shared.web.pages import page, see_other
from shared.web.template_words import FILLED_IN, NOTICE_NAMES

Req = Request[Any, Any, Any]


@get(PATH, guards=MANAGER)
async def show_templates(
    request: Req, db: NamedDependency[Database], identity: NamedDependency[Identity], office: FromQuery[str] = ""
) -> Template:
    """Every kind of notice, and whether the town, or one of its offices, says it itself."""
    town = identity.municipality
    async with db.begin(town) as session:
        facts = await read_office(session, town, office)
        kinds = await list_kinds(session, town, office)
        of_pack = await list_pack_texts(session, town)
    none = KindStanding(is_own=False, is_drafted=False)
    groups = {
        heading: [
            {
                "title": translate(NOTICE_NAMES[kind]),
                "href": address(kind, office),
                "standing": kinds.get(kind, none),
                "is_of_pack": kind in of_pack,
            }
            for kind in listed
        ]
        for heading, listed in kinds_by_group().items()
    }
    return page(request, "template_list.html", path_of=PATH, office=office, offices=facts.offices, groups=groups)


@get(f"{PATH}/{{kind:str}}", guards=MANAGER)
async def show_template(
    request: Req,
    kind: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    office: FromQuery[str] = "",
) -> Template:
    """The texts of one kind: channels one below the other, languages side by side."""
    async with db.begin(identity.municipality) as session:
        return await _editor(request, session, identity.municipality, known_kind(kind), office, now=now)


@post(f"{PATH}/{{kind:str}}", guards=MANAGER)
async def post_template(
    request: Req,
    kind: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
) -> Template | Redirect:
    """Keep what was written as a draft, or say everything that is wrong with it."""
    form, town = Form(await read_form(request)), identity.municipality
    office, cells = form.value("office"), cells_of(known_kind(kind))
    typed = {cell: _typed(cell[0], form.value(field_of(cell))) for cell in cells}
    seen = {cell: number(form.value(f"seen_{field_of(cell)}")) for cell in cells}
    try:
        async with db.begin(town) as session:
            flaws = await save_texts(session, identity, kind, office, typed, seen=seen, now=now)
    except Refusal as refusal:
        if refusal.code != "templates_moved":
            raise
        async with db.begin(town) as session:
            return await _editor(request, session, town, kind, office, now=now, typed=typed, seen=seen, status=409)
    if not flaws:
        return see_other(address(kind, office, "/publish"))
    async with db.begin(town) as session:
        return await _editor(request, session, town, kind, office, now=now, typed=typed, flaws=flaws, status=422)


async def _editor(
    request: Req,
    session: AsyncSession,
    town: str,
    kind: str,
    office: str,
    *,
    now: datetime,
    typed: Mapping[Cell, str] | None = None,
    seen: Mapping[Cell, int] | None = None,
    flaws: Flaws | None = None,
    status: int = 200,
) -> Template:
    facts = await read_office(session, town, office)
    standings = await read_standings(session, town, kind, office)
    _of_office, of_town, of_pack = await read_drafted(session, town, kind, office)
    below: tuple[Mapping[Cell, str], ...] = ({}, of_town if office else {}, of_pack)
    flaws = flaws or {}
    errors = {
        field_of(cell): _("%(text)s：%(count)sか所", text=cell_name(cell), count=len(wrong))
        for cell, wrong in flaws.items()
    }
    return page(
        request,
        "template.html",
        status=status,
        path_of=PATH,
        kind=kind,
        office=office,
        title=translate(NOTICE_NAMES[kind]),
        here=address(kind, office),
        links={name: address(kind, office, f"/{name}") for name in ("preview", "publish", "history")},
        errors=errors,
        moved=[
            {"title": cell_name(cell), "text": newest_text(standings[cell])} for cell in _moved(standings, typed, seen)
        ],
        is_drafted=bool(drafts_of(standings)),
        names=[
            {"name": f"{{{name}}}", "said": translate(FILLED_IN[name]), "is_needed": name in NEEDED}
            for name in PLACEHOLDERS[kind]
        ],
        channels=[
            {
                "title": translate(CHANNEL_NAMES[channel]),
                "names": " ".join(f"{{{name}}}" for name in names_for(kind, channel)),
                "needed": " ".join(f"{{{name}}}" for name in needed_in(kind, channel)),
                "is_long": channel in IN_LINES,
                "most": MAX_LENGTHS[channel],
                "texts": _texts_of(kind, channel, office, facts, standings, below, typed=typed, flaws=flaws, now=now),
            }
            for channel in channels_of(kind)
        ],
    )


def _texts_of(
    kind: Any,
    channel: Channel,
    office: str,
    facts: TownFacts,
    standings: Mapping[Cell, Standing],
    below: tuple[Mapping[Cell, str], ...],
    *,
    typed: Mapping[Cell, str] | None,
    flaws: Flaws,
    now: datetime,
) -> Sequence[dict[str, Any]]:
    texts = []
    for language in LANGUAGES:
        cell = (channel, language)
        own = own_texts_of(*below, language=language, office=office)
        sample = make_sample(kind, "usual", language, facts, office=office, own=own, now=now)
        texts.append(
            {
                "name": field_of(cell),
                "label": cell_name(cell),
                "language": translate(LANGUAGE_NAMES[language]),
                "text": typed[cell] if typed is not None else newest_text(standings.get(cell)),
                "seen": newest_version(standings.get(cell)),
                "is_drafted": cell in standings and standings[cell].is_drafted,
                "is_told": cell in standings and bool(standings[cell].told),
                "wrong": say_flaws(flaws.get(cell, ())),
                "otherwise": say(sample, channel),
            }
        )
    return texts


def _moved(
    standings: Mapping[Cell, Standing], typed: Mapping[Cell, str] | None, seen: Mapping[Cell, int] | None
) -> list[Cell]:
    """Where somebody else wrote while somebody wrote here."""
    if typed is None or seen is None:
        return []
    return [
        cell
        for cell, standing in standings.items()
        if standing.newest.version != seen.get(cell) and standing.newest.text != typed.get(cell)
    ]


def _typed(channel: Channel, text: str) -> str:
    lines = [line.rstrip() for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")]
    return "\n".join(lines).strip("\n") if channel in IN_LINES else "\n".join(lines).strip()
