"""The front door: find a procedure, and compare the ways to do it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import uuid4

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Template
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.situation import find_given, find_situation
from services.routing.domain.catalogue import Procedure
from services.routing.domain.channels import NOTHING_SAID, Comparison, compare_channels
from services.routing.domain.situation import Situation
from services.routing.pages.channel_wording import channel_cards
from services.routing.pages.finding import frequent_codes, unknown_procedure_page
from services.routing.pages.situation import questions, visitor_to_compare_for
from services.routing.pages.wording import deadline_words, second_name
from services.routing.queries.catalogue import list_availability
from services.routing.queries.catalogues import Catalogues, TownCatalogue
from shared.db import Database
from shared.errors import Refusal
from shared.tokens import Identity
from shared.town_pack import FREQUENT_MAX
from shared.web.identity import PUBLIC
from shared.web.pages import page
from shared.web.town import Town
from shared.web.town_texts import town_text


@get("/", opt=PUBLIC)
async def show_front(
    request: Request[Any, Any, Any],
    db: NamedDependency[Database],
    town: NamedDependency[Town],
    now: NamedDependency[datetime],
    catalogues: NamedDependency[Catalogues],
) -> Template:
    """Search, what most people need, and every category."""
    async with db.begin(town.code) as session:
        return await front_page(request, session, town, catalogues, now=now)


@get("/procedures/{code:str}", opt=PUBLIC)
async def show_procedure(
    request: Request[Any, Any, Any],
    code: FromPath[str],
    db: NamedDependency[Database],
    town: NamedDependency[Town],
    now: NamedDependency[datetime],
    catalogues: NamedDependency[Catalogues],
) -> Template:
    """The three channels of one procedure, side by side, and what the visitor said of their situation."""
    try:
        async with db.begin(town.code) as session:
            return await procedure_page(request, session, town, code, catalogues, now=now)
    except Refusal as refusal:
        if refusal.code != "procedure_unknown":
            raise
        return await unknown_procedure_page(request, code, db, town, catalogues, now=now)


async def front_page(
    request: Request[Any, Any, Any], session: AsyncSession, town: Town, catalogues: Catalogues, *, now: datetime
) -> Template:
    """The front page of what the session's catalogue has.

    Raises:
        Refusal: `catalogue_missing` (503).
    """
    catalogue = await catalogues.read(session, town.code)
    frequent = await frequent_codes(session, town, catalogue.town, now=now)
    procedures = catalogue.procedures
    return page(
        request,
        "front.html",
        facts=catalogue.town,
        second_name=second_name,
        # What may not be shown to others (おくやみ, say) is found by search and category, not put before everybody.
        frequent=[line for line in _frequent_first(procedures, frequent) if not line.discreet][:FREQUENT_MAX],
        events=[
            {"code": event.code, "name": town_text(event.name.ja), "intro": town_text(event.intro.ja)}
            for event in catalogue.life_events
        ],
        categories=catalogue.categories,
        count=len(procedures),
    )


async def procedure_page(
    request: Request[Any, Any, Any],
    session: AsyncSession,
    town: Town,
    code: str,
    catalogues: Catalogues,
    *,
    now: datetime,
) -> Template:
    """A procedure's page.

    Raises:
        Refusal: `procedure_unknown` (404), `catalogue_missing` (503).
    """
    visitor = visitor_to_compare_for(request)
    catalogue = await catalogues.read(session, town.code)
    procedure = catalogue.procedure(code)
    situation = await find_situation(session, visitor, now)
    comparison = await compare_procedure(session, catalogue, procedure, visitor=visitor, situation=situation, now=now)
    return page(
        request,
        "procedure.html",
        facts=catalogue.town,
        second_name=second_name,
        procedure=procedure,
        cards=channel_cards(procedure, comparison, catalogue.town, now),
        suggested=comparison.suggested,
        deadline=deadline_words(procedure, catalogue.town),
        office=catalogue.town.office(procedure.office),
        questions=questions(situation),
        idempotency_key=uuid4(),
    )


async def compare_procedure(
    session: AsyncSession,
    catalogue: TownCatalogue,
    procedure: Procedure,
    *,
    visitor: Identity | None = None,
    situation: Situation = NOTHING_SAID,
    now: datetime,
) -> Comparison:
    """A procedure's channels compared, for a visitor in their situation."""
    venues = [code for code, place in catalogue.counters.items() if place.is_venue]
    return compare_channels(
        procedure,
        catalogue.counters,
        await list_availability(session, catalogue.municipality, [*procedure.counters, *venues]),
        now,
        situation=situation,
        given=await find_given(session, visitor, procedure.items),
        online_payment=catalogue.town.online_payment,
        rules=catalogue.town.channels,
    )


def _frequent_first(procedures: Sequence[Procedure], codes: Sequence[str]) -> list[Procedure]:
    """What people need most comes first; the rest in the town's order, one category after another.

    So, a new town's front page shows something of everything before anybody was counted.
    """
    order = {code: index for index, code in enumerate(codes)}
    turn: dict[str, int] = {}
    turns = {}
    for procedure in procedures:
        turns[procedure.code] = turn[procedure.category] = turn.get(procedure.category, -1) + 1
    return sorted(
        procedures,
        key=lambda procedure: (order.get(procedure.code, len(order)), turns[procedure.code]),
    )
