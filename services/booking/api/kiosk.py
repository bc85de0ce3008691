"""For ticket machines (発券機): a ticket for now, or a time later today. Nobody says who they are."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from services.booking.api import examples
from services.booking.api.bodies import Code
from services.booking.api.examples import ID
from services.booking.api.refused import KIOSK_BOOK, KIOSK_TICKET
from services.booking.commands.kiosk import BookAtKiosk, book_at_kiosk, take_ticket_at_kiosk
from services.booking.commands.walk_ins import TakeWalkIn, find_counters
from services.booking.domain.line import ticket_of
from services.booking.flow import Rush
from services.booking.keys import Keys
from services.booking.queries.counter_days import counter_now
from services.booking.queries.kiosk import (
    KioskProcedure,
    LineAhead,
    find_line_ahead,
    list_kiosk_procedures,
    list_kiosk_times,
    was_just_given,
)
from services.booking.queries.rules import get_rules
from services.booking.queries.services import outlasts_slots
from services.booking.queries.slots import OpenSlot
from shared.db import Database
from shared.errors import Refusal
from shared.tokens import Identity
from shared.web.documented import NeededIdempotencyKey, documented, read_json
from shared.web.identity import require_role
from shared.web.town import Town

GUARDS = [require_role("kiosk")]
TAGS = ["ticket machines"]
ROOT = "/booking/api/kiosk"

Req = Request[Any, Any, Any]


class KioskNow(msgspec.Struct, frozen=True, kw_only=True):
    """A procedure at this machine: the line before `counter`, where a ticket leads, and the times left for today."""

    procedure: str
    counter: str
    ahead: LineAhead
    times: list[OpenSlot]


class PostTicket(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A ticket for now."""

    procedure: Code


class PostTime(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of today's times."""

    procedure: Code
    slot_id: UUID


class TicketGiven(msgspec.Struct, frozen=True, kw_only=True):
    """What is printed: the ticket, and where it is called."""

    appointment_id: UUID
    ticket: str
    counter: str


class TimeGiven(msgspec.Struct, frozen=True, kw_only=True):
    """What is printed: an appointment with its number and code. `code` is told for five minutes, then null.

    Asked for again with the same key, it is what was given: what became of it is not told here, and once it is
    cancelled or begun, `code` is null.
    """

    appointment_id: UUID
    number: str
    code: str | None
    counter: str
    starts_at: datetime
    ends_at: datetime


PROCEDURE_EXAMPLE = KioskProcedure(
    code=examples.PROCEDURE, name_ja="児童手当の申請", row="さ", discreet=False, asked=42
)
NOW_EXAMPLE = KioskNow(
    procedure=examples.PROCEDURE,
    counter=examples.COUNTER,
    ahead=LineAhead(waiting=3, wait_min=45, is_closed=False),
    times=[examples.SLOT],
)
TIME_EXAMPLE = TimeGiven(
    appointment_id=ID,
    number=examples.NUMBER,
    code=examples.CODE,
    counter=examples.COUNTER,
    starts_at=examples.STARTS_AT,
    ends_at=examples.ENDS_AT,
)


@get(f"{ROOT}/procedures", guards=GUARDS, tags=TAGS, opt=documented(returns=[PROCEDURE_EXAMPLE]))
async def get_kiosk_procedures(
    db: NamedDependency[Database], now: NamedDependency[datetime], town: NamedDependency[Town]
) -> list[KioskProcedure]:
    """What is done at a counter, in the order of the readings.

    `row` is the row of the kana table; `asked` is how often it was asked for in four weeks. What is `discreet` is shown
    by its reading only, not among what people come for most.
    """
    async with db.begin(town.code) as session:
        return await list_kiosk_procedures(session, town.code, now=now)


@get(
    f"{ROOT}/procedures/{{procedure:str}}",
    guards=GUARDS,
    tags=TAGS,
    opt=documented(returns=NOW_EXAMPLE, refusals={"procedure_unknown": 404}),
)
async def get_kiosk_now(
    procedure: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> KioskNow:
    """The line before the counter with an estimate of the wait, and today's times.

    What takes longer than a slot has no times here: it is booked at the desk.
    """
    async with db.begin(town.code) as session:
        try:
            found, counters = await find_counters(session, town.code, procedure)
        except Refusal as refusal:
            raise Refusal(refusal.code, 404) from refusal
        counter = await counter_now(session, town.code, counters, identity.office, now=now)
        in_one = [] if await outlasts_slots(session, town.code, found.code) else list(counters)
        policy = (await get_rules(session, town.code)).policy
        return KioskNow(
            procedure=found.code,
            counter=counter,
            ahead=await find_line_ahead(session, town.code, found, counter, now=now),
            times=await list_kiosk_times(session, town.code, in_one, policy, now=now),
        )


@post(
    f"{ROOT}/tickets",
    guards=GUARDS,
    tags=TAGS,
    opt=documented(
        body=PostTicket,
        example={"procedure": examples.PROCEDURE},
        returns=TicketGiven(appointment_id=ID, ticket="7-012", counter=examples.COUNTER),
        refusals=KIOSK_TICKET,
    ),
)
async def post_kiosk_ticket_now(
    request: Req,
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    key: NeededIdempotencyKey,
) -> TicketGiven:
    """Give a ticket for now."""
    order = TakeWalkIn(procedure=(await read_json(request, PostTicket)).procedure, key=key)
    moved = await rush.run(db, town.code, lambda session: take_ticket_at_kiosk(session, identity, order, now=now))
    ticket = ticket_of(moved)
    assert ticket is not None  # somebody who just came has one
    return TicketGiven(
        appointment_id=moved.appointment_id,
        ticket=ticket,
        counter=moved.counter,
    )


@post(
    f"{ROOT}/appointments",
    guards=GUARDS,
    tags=TAGS,
    opt=documented(
        body=PostTime,
        example={"procedure": examples.PROCEDURE, "slot_id": str(ID)},
        returns=TIME_EXAMPLE,
        refusals=KIOSK_BOOK,
    ),
)
async def post_kiosk_time(
    request: Req,
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    key: NeededIdempotencyKey,
) -> TimeGiven:
    """Give one of today's times.

    Places that are kept for this machine come first, then public ones; who lost one reads the times again. Whoever
    stands there opens the appointment by number and code afterwards, like everybody.
    """
    wanted = await read_json(request, PostTime)
    order = BookAtKiosk(procedure=wanted.procedure, slot_id=wanted.slot_id, key=key)
    booked = await rush.run(db, town.code, lambda session: book_at_kiosk(session, identity, order, keys, now=now))
    async with db.begin(town.code) as session:
        is_new = await was_just_given(session, town.code, identity.ref, booked.appointment_id, "booked", now=now)
    return TimeGiven(
        appointment_id=booked.appointment_id,
        number=booked.number,
        code=keys.kiosk_code(booked.appointment_id) if is_new else None,
        counter=booked.counter,
        starts_at=booked.starts_at,
        ends_at=booked.ends_at,
    )
