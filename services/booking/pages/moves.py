"""Another day for all of an arrival: choose one of the best chains, then confirm it."""

from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect, Template

from services.booking.commands.moving import MoveChain, move_chain
from services.booking.flow import Rush
from services.booking.keys import Keys
from services.booking.pages.changes import REFUSED_HERE, check_not_too_late, read_key, read_linked, read_version
from services.booking.pages.one_stop import CHAIN_AGAIN, CHAIN_TAKEN, draw_chain, read_wishes
from services.booking.pages.opening import ask_for_code, open_appointment
from services.booking.pages.visits import refusal_words
from services.booking.pages.wording import say_when
from services.booking.queries.one_stop import list_moves
from services.booking.queries.rules import get_rules
from services.booking.queries.slots import list_counters
from shared.db import Database
from shared.errors import Refusal
from shared.reference_number import show_number
from shared.web.forms import read_form
from shared.web.identity import PUBLIC, find_identity, staff_of
from shared.web.pages import page, see_other
from shared.web.town import Town

Req = Request[Any, Any, Any]


@get("/booking/appointments/{number:str}/move", opt=PUBLIC)
async def get_move_page(
    request: Req,
    number: FromPath[str],
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    chain: FromQuery[str] = "",
    refused: FromQuery[str] = "",
) -> Template | Redirect:
    """The best chains of what is still to come; with one of them (`chain`), whether it is to be."""
    found = await open_appointment(request, number, db, keys, town, now=now)
    if found is None:
        return ask_for_code(number)
    await check_not_too_late(db, town, found, now=now)
    own = f"/booking/appointments/{found.number}"
    if found.chain_id is None:
        return see_other(f"{own}/change")
    async with db.begin(town.code) as session:
        policy = (await get_rules(session, town.code)).policy
        errands, found_chains = await list_moves(session, town.code, found.appointment_id, policy, now=now)
        counters = await list_counters(session, town.code)
    chains = [draw_chain(each, errands, counters) for each in found_chains]
    return page(
        request,
        "move.html",
        appointment=found,
        number=show_number(found.number),
        linked=await read_linked(db, town, found),
        chains=chains,
        # One that is gone meanwhile is chosen anew.
        chosen=next((each for each in chains if each["value"] == chain), None),
        say_when=say_when,
        **refusal_words(refused, CHAIN_AGAIN | {CHAIN_TAKEN}),
        key=str(uuid4()),
        base=f"{own}/move",
    )


@post("/booking/appointments/{number:str}/move", opt=PUBLIC)
async def post_move_page(
    request: Req,
    number: FromPath[str],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
) -> Redirect:
    """Confirmed: all of it moves, or nothing."""
    found = await open_appointment(request, number, db, keys, town, now=now)
    if found is None:
        return ask_for_code(number)
    fields = await read_form(request)
    own = f"/booking/appointments/{found.number}"
    try:
        order = MoveChain(
            municipality=town.code,
            appointment_id=found.appointment_id,
            wishes=read_wishes(fields.get("chain", "")),
            version=read_version(fields),
            key=read_key(fields),
            staff=staff_of(find_identity(request)),
        )
        await rush.run(db, town.code, lambda session: move_chain(session, order, now=now))
    except Refusal as refusal:
        if refusal.code in REFUSED_HERE:
            return see_other(f"{own}?refused={refusal.code}")
        if refusal.code not in CHAIN_AGAIN:
            raise
        code = CHAIN_TAKEN if refusal.code == "slot_taken" else refusal.code
        return see_other(f"{own}/move?{urlencode({'refused': code})}")
    return see_other(f"{own}?changed=1")
