"""Finding: the search, what helps when nothing was found, and short addresses for the town's own pages and paper."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NoReturn
from urllib.parse import quote

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect, Template
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.domain.catalogue import Procedure
from services.routing.domain.catalogue import Town as TownFacts
from services.routing.domain.life_events import LifeEvent
from services.routing.domain.search import (
    LIKE,
    MENTIONED,
    QUERY_MAX_LENGTH,
    WORD,
    WORD_PART,
    Found,
    search,
)
from services.routing.domain.spelling import normalise, stem
from services.routing.metrics import SEARCHES, SEARCHES_WITHOUT_RESULT
from services.routing.pages.wording import REFUSALS, second_name
from services.routing.queries.catalogue import list_frequent_codes, procedure_names
from services.routing.queries.catalogues import Catalogues, TownCatalogue
from shared.db import Database
from shared.errors import Refusal
from shared.practice import is_practice
from shared.town_pack import FREQUENT_MAX
from shared.web.errors import wants_json
from shared.web.i18n import SOURCE, current_language, translate
from shared.web.i18n import gettext as _
from shared.web.identity import PUBLIC
from shared.web.pages import page, see_other
from shared.web.town import Town
from shared.web.town_texts import town_text

# More than anybody reads: another word helps then.
FOUND_MAX = 20
# A town with more is listed by category, a page each.
WHOLE_LIST_MAX = 200
# A stem of one sign stands in too many names.
EVENT_STEM_MIN = 2

Req = Request[Any, Any, Any]


@get("/search", opt=PUBLIC)
async def show_search(
    request: Req,
    db: NamedDependency[Database],
    town: NamedDependency[Town],
    now: NamedDependency[datetime],
    catalogues: NamedDependency[Catalogues],
) -> Template:
    """What was found for a word, or all of a category; without either what most people need, and everything."""
    async with db.begin(town.code) as session:
        shown = await search_page(request, session, town, catalogues, now=now)
    if shown.context["query"] and not shown.context["category"] and not is_practice(town.code):
        # What was typed is kept nowhere: it may say something about somebody.
        SEARCHES.inc()
        if not shown.context["found"]:
            SEARCHES_WITHOUT_RESULT.inc()
    return shown


async def search_page(
    request: Req, session: AsyncSession, town: Town, catalogues: Catalogues, *, now: datetime
) -> Template:
    """The search in what the session's catalogue has."""
    return page(request, "search.html", **await search_procedures(request, session, town, catalogues, now=now))


@get("/p/{code:str}", opt=PUBLIC)
async def get_procedure_address(
    request: Req,
    code: FromPath[str],
    db: NamedDependency[Database],
    town: NamedDependency[Town],
    now: NamedDependency[datetime],
    catalogues: NamedDependency[Catalogues],
) -> Template | Redirect:
    """The short address of a procedure, as it is printed on paper; in capitals or not."""
    async with db.begin(town.code) as session:
        catalogue = await catalogues.read(session, town.code)
    known = _spelled(code, list(catalogue.by_code))
    if known is None:
        return await unknown_procedure_page(request, code, db, town, catalogues, now=now)
    return see_other(f"/procedures/{quote(known)}")


@get("/e/{code:str}", opt=PUBLIC)
async def get_life_event_address(
    request: Req,
    code: FromPath[str],
    db: NamedDependency[Database],
    town: NamedDependency[Town],
    now: NamedDependency[datetime],
    catalogues: NamedDependency[Catalogues],
) -> Template | Redirect:
    """The short address of a life event."""
    async with db.begin(town.code) as session:
        events = (await catalogues.read(session, town.code)).life_events
    known = _spelled(code, [event.code for event in events])
    if known is None:
        return await unknown_event_page(request, db, town, catalogues, now=now)
    return see_other(f"/life-events/{quote(known)}")


async def search_procedures(
    request: Req, session: AsyncSession, town: Town, catalogues: Catalogues, *, now: datetime
) -> dict[str, Any]:
    """What the address asks for (`q`, `category`), what was found, and what else there is: as the pages show it.

    `found` is everything where nothing was asked for.
    """
    query = request.query_params.get("q", "").strip()[:QUERY_MAX_LENGTH]
    category = request.query_params.get("category", "").strip()[:QUERY_MAX_LENGTH]
    catalogue = await catalogues.read(session, town.code)
    index = catalogue.index
    frequent = await frequent_codes(session, town, catalogue.town, now=now)
    fitting = _events_for(catalogue.life_events, query)
    matches: list[Found] = []
    found: list[Procedure]
    if category:
        found = list(catalogue.by_category.get(category, ()))
    elif query:
        matches = search(index, query, frequent)
        found = [match.procedure for match in matches[:FOUND_MAX]]
    else:
        found = list(catalogue.procedures)
    return _lists(catalogue, frequent) | {
        "fitting_events": _event_links(fitting),
        "events": _event_links([event for event in catalogue.life_events if event not in fitting]),
        "query": query,
        "category": category,
        "found": found,
        "found_count": len(matches) or len(found),
        "why": {match.procedure.code: why for match in matches[:FOUND_MAX] if (why := _why(match))},
        "all_like": bool(matches) and matches[0].rank == LIKE,
        "near": index.near(query) if query and not category and not found else [],
    }


async def frequent_codes(session: AsyncSession, town: Town, facts: TownFacts, *, now: datetime) -> list[str]:
    """What most people need. The town knows best; counting fills the rest, or all for a town that says nothing."""
    return list(dict.fromkeys([*facts.frequent, *await list_frequent_codes(session, town.code, now)]))


async def unknown_procedure_page(
    request: Req, code: str, db: Database, town: Town, catalogues: Catalogues, *, now: datetime
) -> Template:
    """404 that helps: what is called like it, or what became of it, and every way to find something.

    Raises:
        Refusal: `procedure_unknown` (404), to a program.
    """
    if wants_json(request):
        _refuse("procedure_unknown")
    async with db.begin(town.code) as session:
        catalogue = await catalogues.read(session, town.code)
        # One that is no longer offered: what is it now?
        before = (await procedure_names(session, town.code)).get(code)
        near = [match.procedure for match in search(catalogue.index, before[0])] if before else []
        lists = await _help(session, catalogue, town, now=now)
    return _missing_page(request, "procedure_unknown", lists, near=(near or catalogue.index.near(code))[:FREQUENT_MAX])


async def unknown_event_page(
    request: Req, db: Database, town: Town, catalogues: Catalogues, *, now: datetime
) -> Template:
    """The same for a life event.

    Raises:
        Refusal: `life_event_unknown` (404), to a program.
    """
    if wants_json(request):
        _refuse("life_event_unknown")
    async with db.begin(town.code) as session:
        catalogue = await catalogues.read(session, town.code)
        lists = await _help(session, catalogue, town, now=now)
    return _missing_page(request, "life_event_unknown", lists, near=[])


async def _help(session: AsyncSession, catalogue: TownCatalogue, town: Town, *, now: datetime) -> dict[str, Any]:
    frequent = await frequent_codes(session, town, catalogue.town, now=now)
    return _lists(catalogue, frequent) | {"events": _event_links(catalogue.life_events)}


def _missing_page(request: Req, code: str, lists: dict[str, Any], *, near: list[Procedure]) -> Template:
    text = REFUSALS[code]
    return page(
        request,
        "search.html",
        status=404,
        missing=translate(text.title),
        advice=translate(text.advice),
        query="",
        category="",
        found=[],
        found_count=0,
        fitting_events=[],
        near=near,
        **lists,
    )


def _refuse(code: str) -> NoReturn:
    raise Refusal(code, 404)


def _lists(catalogue: TownCatalogue, frequent: Sequence[str]) -> dict[str, Any]:
    """What every page of finding has: the town's phone, what most people need, and everything by category."""
    known = catalogue.by_code
    first = [known[code] for code in frequent if code in known and not known[code].discreet]
    is_short = len(known) <= WHOLE_LIST_MAX
    return {
        "facts": catalogue.town,
        "second_name": second_name,
        "frequent": first[:FREQUENT_MAX],
        "categories": catalogue.categories,
        "by_category": list(catalogue.by_category.items()) if is_short else [],
    }


def _events_for(events: Sequence[LifeEvent], query: str) -> list[LifeEvent]:
    """The events that a text is about: it names one, or part of its name."""
    root = stem(normalise(query))
    return [event for event in events if len(root) >= EVENT_STEM_MIN and root in normalise(event.name.ja)]


def _event_links(events: Sequence[LifeEvent]) -> list[dict[str, str]]:
    return [
        {"code": event.code, "name": town_text(event.name.ja), "intro": town_text(event.intro.ja)} for event in events
    ]


def _why(match: Found) -> str:
    """By which word something was found, where its names do not show it. The town's words are Japanese only."""
    if match.rank in (WORD, WORD_PART, MENTIONED) and current_language() is SOURCE:
        return _("「%(word)s」という言葉から", word=match.by) if match.by not in _names(match.procedure) else ""
    return ""


def _names(procedure: Procedure) -> tuple[str, ...]:
    return procedure.name_ja, procedure.name_plain_ja, procedure.name_en


def _spelled(code: str, known: Sequence[str]) -> str | None:
    """A code as the town writes it; None for one that nobody has, or two do who differ in capitals."""
    if code in known:
        return code
    alike = [other for other in known if other.casefold() == code.casefold()]
    return alike[0] if len(alike) == 1 else None
