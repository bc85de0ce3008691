"""One visit for everything: choose one of the best chains, confirm it, book it. Works without JavaScript."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import msgspec
from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect, Template

from services.booking.commands.appointments import BookAppointment
from services.booking.commands.keyed import KEY_MAX_LENGTH, request_hash
from services.booking.commands.one_stop import HoldChain, Wish, book_chain, hold_chain
from services.booking.commands.shown import write_shown_to_staff
from services.booking.domain.one_stop import PEOPLE_MAX, Chain, apart_min
from services.booking.flow import Rush
from services.booking.keys import Keys
from services.booking.pages.opening import access_cookie
from services.booking.pages.visits import (
    BOOK_REFUSALS,
    CHOOSE_AGAIN,
    GUARDS,
    VISIT_ENDED,
    find_elsewhere,
    refusal_words,
)
from services.booking.pages.wording import place_label, say_when
from services.booking.queries.one_stop import (
    VisitErrand,
    find_held_chain,
    list_chains,
    list_errands,
    list_others_of_chain,
    strictest,
)
from services.booking.queries.rules import get_rules
from services.booking.queries.slots import CounterView, list_counters
from services.booking.queries.visits import get_visit
from shared.db import Database
from shared.errors import Refusal
from shared.passes import ERRANDS_MAX
from shared.tokens import Identity
from shared.web.forms import parse_uuid, read_form
from shared.web.identity import staff_of
from shared.web.pages import page, see_other
from shared.web.town import Town
from shared.web.town_texts import town_text

# Why a chain could not be held: said above the chains that there are now.
CHAIN_AGAIN = CHOOSE_AGAIN | {"chain_unfit"}
# What a loser reads: of the whole chain, not of one time.
CHAIN_TAKEN = "chain_taken"
PERSONS = {str(number): number for number in range(1, PEOPLE_MAX + 1)}


@get("/booking/visits/{visit_id:str}/chains", guards=GUARDS)
async def get_chains_page(
    request: Request[Any, Any, Any],
    visit_id: FromPath[str],
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    people: FromQuery[str] = "",
    who: FromQuery[str] = "",
    lapsed: FromQuery[str] = "",
    refused: FromQuery[str] = "",
) -> Template | Redirect:
    """The best chain of each of the first days, of what is free now.

    With `people`, several go: who comes along can stand for the procedures `can`, or for all of them without `who`.
    """
    visit_key = parse_uuid(visit_id, code="visit_unknown")
    together = PERSONS.get(people, 1)
    can = request.query_params.getall("can", [])
    async with db.begin(town.code) as session:
        visit = await get_visit(session, town.code, visit_key, identity.ref, keys)
        elsewhere = await find_elsewhere(session, town, visit, identity, now=now)
        if elsewhere is not None:
            return elsewhere
        errands = await list_errands(session, town.code, visit_key)
        if not errands:
            return see_other(f"/booking/visits/{visit_key}")
        counters = await list_counters(session, town.code)
        shared = {errand.procedure for errand in errands if not who or errand.procedure in can}
        wanted = [
            msgspec.structs.replace(errand.errand, persons=() if errand.procedure in shared else (1,))
            for errand in errands
        ]
        town_policy = (await get_rules(session, town.code)).policy
        policy = await strictest(session, town.code, [errand.procedure for errand in errands], town_policy)
        chains = await list_chains(session, town.code, wanted, policy, people=together, now=now)
        held = await find_held_chain(session, town.code, visit_key)
    return page(
        request,
        "chains.html",
        behalf=visit.behalf,
        visit=visit,
        errands=errands,
        chains=[draw_chain(chain, errands, counters) for chain in chains],
        apart_min=apart_min(wanted),
        people=together,
        people_max=min(PEOPLE_MAX, len(errands)),
        shared=shared,
        companions=[{"value": errand.procedure, "label": town_text(errand.name_ja)} for errand in errands],
        who=bool(who),
        held=held.chain if held is not None and held.is_live(now) else None,
        lapsed=bool(lapsed),
        say_when=say_when,
        **refusal_words(refused, CHAIN_AGAIN | {CHAIN_TAKEN}),
        key=str(uuid4()),
        base=f"/booking/visits/{visit_key}",
    )


@post("/booking/visits/{visit_id:str}/chains", guards=GUARDS)
async def post_chain_page(
    request: Request[Any, Any, Any],
    visit_id: FromPath[str],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Redirect:
    """A chain was chosen: all of its places are held. Whoever lost one of them finds the next best chains."""
    fields = await read_form(request)
    visit = parse_uuid(visit_id, code="visit_unknown")
    base = f"/booking/visits/{visit}"
    try:
        wishes = read_wishes(fields.get("chain", ""))
        order = HoldChain(
            municipality=town.code,
            visit_id=visit,
            visitor=identity.ref,
            wishes=wishes,
            # One page offers several chains: each is a request of its own.
            key=f"{fields.get('idempotency_key', '')[: KEY_MAX_LENGTH - 40]}/{request_hash(wishes).hex()[:32]}",
            staff=staff_of(identity),
        )
        await rush.run(db, town.code, lambda session: hold_chain(session, order, now=now))
    except Refusal as refusal:
        if refusal.code in VISIT_ENDED:
            return see_other(base)
        if refusal.code not in CHAIN_AGAIN:
            raise
        query = [("refused", CHAIN_TAKEN if refusal.code == "slot_taken" else refusal.code)]
        if fields.get("people", "") in PERSONS:
            query.append(("people", fields["people"]))
        if fields.get("who"):
            query += [("who", "yes"), *(("can", code) for code in fields.get("can", "").split()[:ERRANDS_MAX])]
        return see_other(f"{base}/chains?{urlencode(query)}")
    return see_other(f"{base}/chains/confirm")


@get("/booking/visits/{visit_id:str}/chains/confirm", guards=GUARDS)
async def get_chain_confirm_page(
    request: Request[Any, Any, Any],
    visit_id: FromPath[str],
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    refused: FromQuery[str] = "",
) -> Template | Redirect:
    """What will be booked, how long the places are kept, and what the visitor has booked already."""
    visit_key = parse_uuid(visit_id, code="visit_unknown")
    staff = staff_of(identity)
    async with db.begin(town.code) as session:
        visit = await get_visit(session, town.code, visit_key, identity.ref, keys)
        errands = await list_errands(session, town.code, visit_key)
        held = await find_held_chain(session, town.code, visit_key)
        is_held = held is not None and held.is_live(now) and len(held.chain.parts) == len(errands)
        counters = await list_counters(session, town.code)
        others = await list_others_of_chain(
            session, town.code, visit_key, identity.ref, for_many=staff is not None, now=now
        )
        if staff is not None and is_held:
            await write_shown_to_staff(session, staff, visit_key, keys, now=now)
    if visit.number is not None:
        return see_other(f"/booking/appointments/{visit.number}")
    if held is None or not is_held:
        return see_other(f"/booking/visits/{visit_key}?lapsed=1")
    return page(
        request,
        "confirm_chain.html",
        visit=visit,
        behalf=visit.behalf,
        chain=draw_chain(held.chain, errands, counters),
        held_until=held.held_until,
        others=others,
        **refusal_words(refused, BOOK_REFUSALS),
        key=str(uuid4()),
    )


@post("/booking/visits/{visit_id:str}/chains/book", guards=GUARDS)
async def post_book_chain_page(
    request: Request[Any, Any, Any],
    visit_id: FromPath[str],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    secure: NamedDependency[bool],
) -> Redirect:
    """Confirmed: all of it, however often it is sent. What there is already is asked about first."""
    fields = await read_form(request)
    visit = parse_uuid(visit_id, code="visit_unknown")
    base = f"/booking/visits/{visit}"
    staff = staff_of(identity)
    key = fields.get("idempotency_key", "")[:KEY_MAX_LENGTH] or "book"
    order = BookAppointment(municipality=town.code, visit_id=visit, visitor=identity.ref, key=key, staff=staff)
    if not fields.get("another"):
        async with db.begin(town.code) as session:
            if await list_others_of_chain(session, town.code, visit, identity.ref, for_many=staff is not None, now=now):
                # Booked since the page was shown, in another window perhaps: the page asks now.
                return see_other(f"{base}/chains/confirm")
    try:
        booked = await rush.run(db, town.code, lambda session: book_chain(session, order, keys, now=now))
    except Refusal as refusal:
        if refusal.code in ("hold_missing", "hold_expired"):
            return see_other(f"{base}?lapsed=1")
        if refusal.code in VISIT_ENDED:
            return see_other(base)
        if refusal.code in BOOK_REFUSALS:
            return see_other(f"{base}/chains/confirm?refused={refusal.code}")
        raise
    # Their session opens what staff booked; nothing of it stays on a tablet that others use after them.
    cookies = [] if staff else [access_cookie(keys, town.code, each, secure=secure, now=now) for each in booked]
    return Redirect(f"/booking/appointments/{booked[0].number}", status_code=303, cookies=cookies)


def read_wishes(typed: str) -> tuple[Wish, ...]:
    """A chain as `write_wishes` puts it into a button.

    Raises:
        Refusal: `chain_unfit` (409), `slot_unknown` (404).
    """
    wishes = []
    for word in typed.split()[: ERRANDS_MAX + 1]:
        procedure, _dot, rest = word.partition(".")
        person, _dot, slot = rest.partition(".")
        if person not in PERSONS:
            raise Refusal("chain_unfit", 409)
        wishes.append(Wish(procedure, parse_uuid(slot, code="slot_unknown"), PERSONS[person]))
    return tuple(wishes)


def write_wishes(chain: Chain) -> str:
    """A chain for a button: procedure, person and slot of each errand."""
    return " ".join(f"{part.procedure}.{part.person}.{part.slot_id}" for part in chain.parts)


def draw_chain(chain: Chain, errands: Iterable[VisitErrand], counters: Mapping[str, CounterView]) -> dict[str, Any]:
    """A chain as pages show it, and as a button sends it (`value`)."""
    known = {errand.procedure: errand for errand in errands}
    rows = []
    for part in chain.parts:
        counter = counters.get(part.counter)
        rows.append(
            {
                "starts_at": part.starts_at,
                "where": place_label(counter.place_ja, counter.number, counter.name_ja) if counter else part.counter,
                "name": known[part.procedure].name_ja if part.procedure in known else part.procedure,
                "minutes": int((part.done_at - part.starts_at).total_seconds()) // 60,
                "person": part.person,
            }
        )
    return {
        "value": write_wishes(chain),
        "arrives_at": chain.arrives_at,
        "done_at": chain.done_at,
        "minutes": chain.minutes,
        "people": chain.people,
        "parts": rows,
    }
