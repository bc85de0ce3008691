"""One visit for everything: the best chains, holding one, booking it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from services.booking.api import examples
from services.booking.api.bodies import CODE_SIGNS, Code, OfVisit
from services.booking.api.examples import ID
from services.booking.api.refused import BOOK, CHAIN, VISIT
from services.booking.commands.appointments import BookAppointment, Booked
from services.booking.commands.keyed import request_hash
from services.booking.commands.one_stop import HoldChain, Wish, book_chain, hold_chain
from services.booking.domain.one_stop import PEOPLE_MAX, Chain, Part, apart_min
from services.booking.flow import Rush
from services.booking.keys import Keys
from services.booking.queries.one_stop import list_chains, list_errands, strictest
from services.booking.queries.rules import get_rules
from services.booking.queries.visits import get_visit
from shared.db import Database
from shared.errors import Refusal
from shared.passes import ERRANDS_MAX
from shared.tokens import Identity
from shared.web.documented import IdempotencyKey, documented, read_json
from shared.web.forms import parse_uuid
from shared.web.identity import require_visitor, staff_of
from shared.web.town import Town

TAGS = ["one visit for everything"]
CODES_PATTERN = f"^{CODE_SIGNS}(,{CODE_SIGNS}){{0,{ERRANDS_MAX - 1}}}$"

Req = Request[Any, Any, Any]


class OneWish(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A slot for one procedure, and which of the people (1 …) goes there."""

    procedure: Code
    slot_id: UUID
    person: Annotated[int, msgspec.Meta(ge=1, le=PEOPLE_MAX)] = 1


WishBody = Annotated[list[OneWish], msgspec.Meta(min_length=1, max_length=ERRANDS_MAX)]


class PostChainHold(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Hold a place for each procedure of the visit."""

    visit_id: UUID
    wishes: WishBody


class ChainAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """All procedures of one arrival: from `arrives_at` to `done_at` it takes so many `minutes` in the house."""

    arrives_at: datetime
    done_at: datetime
    minutes: int
    people: int
    parts: tuple[Part, ...]


CHAIN_EXAMPLE = ChainAnswer(
    arrives_at=examples.STARTS_AT,
    done_at=examples.PARTS[-1].done_at,
    minutes=60,
    people=1,
    parts=examples.PARTS,
)


class Chains(msgspec.Struct, frozen=True, kw_only=True):
    """The best chain of each of the first days; and what separate visits would take, in minutes, without the ways."""

    chains: list[ChainAnswer]
    apart_min: int


class ChainHold(msgspec.Struct, frozen=True, kw_only=True):
    """The chain that the visit holds: nobody else can take its places until `held_until`."""

    chain: ChainAnswer
    held_until: datetime


@get(
    "/booking/api/visits/{visit_id:str}/chains",
    guards=[require_visitor],
    tags=TAGS,
    opt=documented(
        returns=Chains(chains=[CHAIN_EXAMPLE], apart_min=50), refusals={"visit_unknown": 404, "visit_over": 410}
    ),
)
async def get_chains(
    visit_id: FromPath[str],
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    people: Annotated[
        int, QueryParameter(ge=1, le=PEOPLE_MAX, description="How many go to counters at the same time.")
    ] = 1,
    shared: Annotated[
        str | None,
        QueryParameter(
            pattern=CODES_PATTERN,
            description="Procedures, with commas between, that who comes along can stand for; without it, all of them.",
        ),
    ] = None,
) -> Chains:
    """The best chains for a visit with several procedures.

    Of the places that are free now; the order of the procedures and the ways between counters are kept. Person 1 is the
    visitor; `person` of each part says who goes there.
    """
    async with db.begin(town.code) as session:
        visit = await get_visit(session, town.code, _visit_id(visit_id), identity.ref, keys)
        if visit.expires_at <= now:
            raise Refusal("visit_over", 410)
        errands = await list_errands(session, town.code, visit.visit_id)
        if not errands:
            return Chains(chains=[], apart_min=0)
        wanted = [
            errand.errand
            if shared is None or errand.procedure in shared.split(",")
            else msgspec.structs.replace(errand.errand, persons=(1,))
            for errand in errands
        ]
        town_policy = (await get_rules(session, town.code)).policy
        policy = await strictest(session, town.code, [errand.procedure for errand in errands], town_policy)
        chains = await list_chains(session, town.code, wanted, policy, people=people, now=now)
    return Chains(chains=[chain_answer(chain) for chain in chains], apart_min=apart_min(wanted))


@post(
    "/booking/api/chains/holds",
    guards=[require_visitor],
    tags=TAGS,
    opt=documented(
        body=PostChainHold,
        example={"visit_id": str(ID), "wishes": [{"procedure": "RES02", "slot_id": str(ID), "person": 1}]},
        returns=ChainHold(chain=CHAIN_EXAMPLE, held_until=examples.HELD.held_until),
        refusals=VISIT | CHAIN,
    ),
)
async def post_chain_hold(
    request: Req,
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    key: IdempotencyKey = None,
) -> ChainHold:
    """Hold a place for every procedure of the visit, or none.

    What the visit held before is given back with it; whoever loses one place keeps what they held.
    """
    wanted = await read_json(request, PostChainHold)
    wishes = wishes_of(wanted.wishes)
    order = HoldChain(
        municipality=town.code,
        visit_id=wanted.visit_id,
        visitor=identity.ref,
        wishes=wishes,
        key=key or f"hold_chain:{request_hash(wishes).hex()}",
        staff=staff_of(identity),
    )
    held = await rush.run(db, town.code, lambda session: hold_chain(session, order, now=now))
    return ChainHold(chain=chain_answer(held.chain), held_until=held.held_until)


@post(
    "/booking/api/chains",
    guards=[require_visitor],
    tags=TAGS,
    opt=documented(body=OfVisit, example={"visit_id": str(ID)}, returns=[examples.BOOKED], refusals=BOOK),
)
async def post_chain(
    request: Req,
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    key: IdempotencyKey = None,
) -> list[Booked]:
    """Book the chain that a visit holds.

    One appointment for each procedure, with one code, or none; sent again, they are the same.
    """
    wanted = await read_json(request, OfVisit)
    order = BookAppointment(
        municipality=town.code,
        visit_id=wanted.visit_id,
        visitor=identity.ref,
        key=key or "book",
        staff=staff_of(identity),
    )
    return list(await rush.run(db, town.code, lambda session: book_chain(session, order, keys, now=now)))


def chain_answer(chain: Chain) -> ChainAnswer:
    """A chain, with what it comes to."""
    return ChainAnswer(
        arrives_at=chain.arrives_at,
        done_at=chain.done_at,
        minutes=chain.minutes,
        people=chain.people,
        parts=chain.parts,
    )


def wishes_of(asked: Sequence[OneWish]) -> tuple[Wish, ...]:
    """The wishes of a body, for a command."""
    return tuple(Wish(each.procedure, each.slot_id, each.person) for each in asked)


def _visit_id(text: str) -> UUID:
    return parse_uuid(text, code="visit_unknown")
