"""Free times: a month, a list, the earliest anywhere and of each channel, and what is near one that is gone."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID

import msgspec
from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.api import examples
from services.booking.api.bodies import ByChannel, CounterCode, OfOwnVisit, ProcedureCode, SomeServices
from services.booking.api.refused import PROCEDURE, SERVICES
from services.booking.domain.calendar import days_between
from services.booking.domain.rules import Policy
from services.booking.domain.services import Service, is_plain, refuse_unfit, time_needed
from services.booking.pages.look import Look, read_look
from services.booking.queries.free import DAYS_MAX, After, list_days, list_next_free
from services.booking.queries.rules import get_rules, list_closed_days
from services.booking.queries.runs import Need
from services.booking.queries.services import find_kinds, fit_procedure, need_of, outlasts_slots
from services.booking.queries.slots import (
    SLOTS_MAX,
    Alternative,
    Channel,
    OpenSlot,
    find_procedure,
    list_alternatives,
    list_slots,
)
from services.booking.queries.visits import find_wanted
from shared.clock import Clock, jst_day
from shared.db import Database
from shared.errors import Refusal
from shared.shared_reads import SharedReads
from shared.web.documented import documented
from shared.web.forms import parse_uuid
from shared.web.identity import PUBLIC, find_identity
from shared.web.town import Town

FREE_MAX = 100
FREE_USUAL = 20
DAYS_USUAL = 31
CHANNELS: tuple[Channel, ...] = ("counter", "helper")
AFTER_PATTERN = r"^[0-9]{8}T[0-9]{6}\.[A-Za-z0-9_-]{1,20}$"
TAGS = ["free times"]

OF_SERVICES = PROCEDURE | SERVICES
OF_VISIT = OF_SERVICES | {"visit_unknown": 404}

Req = Request[Any, Any, Any]
FirstDay = Annotated[
    date | None, QueryParameter(name="from", description="The first day, in Japan; without it, or in the past, today.")
]
Days = Annotated[int, QueryParameter(name="days", ge=1, le=DAYS_MAX, description="How many days.")]


class DayAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A day with times, or one that is closed.

    Of so many public `places` that can still be given out, so many are `free`. `closed` says why nobody is served.
    """

    day: date
    places: int
    free: int
    closed: str | None


class FreePage(msgspec.Struct, frozen=True, kw_only=True):
    """The next free slots, by time and then by counter. `after` is for the next page; null when there is none."""

    slots: list[OpenSlot]
    after: str | None


class Earliest(msgspec.Struct, frozen=True, kw_only=True):
    """The earliest free slot of a channel at the time `as_of`; null when there is none up to the horizon."""

    channel: Channel
    slot: OpenSlot | None
    as_of: datetime


class _Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Times for what: a procedure, or all of `services`, or what a visit of the visitor's own wants."""

    procedure: str
    channel: Channel
    counter: str | None = None
    services: str | None = None
    visit_id: UUID | None = None
    visitor: str | None = None


class _Where(msgspec.Struct, frozen=True):
    """Where it can be done, by which rules, and how much time it needs where a slot is too short."""

    counters: Sequence[str]
    policy: Policy
    need: Need | None


@get(
    "/booking/api/slots",
    tags=TAGS,
    opt=PUBLIC
    | documented(
        returns=[examples.SLOT],
        knows_owner=True,
        refusals=OF_VISIT | {"too_many_slots": 422},
        headers={"Link": f'The rest, with rel="next", where there are more than {SLOTS_MAX} slots (RFC 8288).'},
    ),
)
async def get_slots(
    request: Req,
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    reads: NamedDependency[SharedReads],
    clock: NamedDependency[Clock],
    procedure: ProcedureCode,
    first: FirstDay = None,
    days: Days = DAYS_USUAL,
    channel: ByChannel = "counter",
    counter: CounterCode = None,
    services: SomeServices = None,
    visit_id: OfOwnVisit = None,
) -> Response[list[OpenSlot]]:
    """Every slot that can be booked, free or full.

    Of a procedure at all its counters (or venues, with a helper), or at one, within notice and horizon. An answer has
    whole days; where some had to be left out, its `Link` leads to them.
    """
    asked = _ask(request, procedure, channel, counter, services, visit_id)
    start, last = _span(first, days, now)

    async def read() -> list[OpenSlot]:
        async with db.begin(town.code) as session:
            where = await _where(session, town, asked)
            # The time of the reading, not of whoever asked first.
            return await list_slots(
                session, town.code, where.counters, where.policy, first=start, last=last, need=where.need, now=clock()
            )

    slots = await reads.read(("slots", town.code, asked, start, last), read)
    if len(slots) < SLOTS_MAX:
        return Response(slots)
    # The last day may not be whole.
    cut = jst_day(slots[-1].starts_at)
    whole = [slot for slot in slots if jst_day(slot.starts_at) < cut]
    if not whole:
        raise Refusal("too_many_slots", 422)
    again = {"procedure": procedure, "from": cut.isoformat(), "days": str((last - cut).days + 1), "channel": channel}
    also = {"counter": counter, "services": services, "visit_id": visit_id}
    rest = urlencode(again | {name: str(value) for name, value in also.items() if value})
    return Response(whole, headers={"link": f'</booking/api/slots?{rest}>; rel="next"'})


@get(
    "/booking/api/days",
    tags=TAGS,
    opt=PUBLIC
    | documented(
        knows_owner=True,
        returns=[DayAnswer(day=examples.DAY, places=30, free=12, closed=None)],
        refusals=OF_VISIT,
    ),
)
async def get_days(
    request: Req,
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    reads: NamedDependency[SharedReads],
    clock: NamedDependency[Clock],
    procedure: ProcedureCode,
    first: FirstDay = None,
    days: Days = DAYS_USUAL,
    channel: ByChannel = "counter",
    counter: CounterCode = None,
    services: SomeServices = None,
    visit_id: OfOwnVisit = None,
) -> list[DayAnswer]:
    """How much is free on each day.

    Days without times are left out, unless they are closed for a reason.
    """
    asked = _ask(request, procedure, channel, counter, services, visit_id)
    start, last = _span(first, days, now)

    async def read() -> list[DayAnswer]:
        async with db.begin(town.code) as session:
            return await _read_days(session, town, asked, start, last, clock())

    return await reads.read(("days", town.code, asked, start, last), read)


async def _read_days(
    session: AsyncSession, town: Town, asked: _Asked, first: date, last: date, now: datetime
) -> list[DayAnswer]:
    where = await _where(session, town, asked)
    free = await list_days(
        session, town.code, where.counters, where.policy, first=first, last=last, need=where.need, now=now
    )
    rules = await get_rules(session, town.code)
    span = list(days_between(first, last))
    closed = await list_closed_days(session, town.code, rules, span, counters=where.counters)
    return [
        DayAnswer(
            day=day,
            places=free[day].places if day in free else 0,
            free=free[day].free if day in free else 0,
            closed=closed.get(day),
        )
        for day in span
        if day in free or day in closed
    ]


@get(
    "/booking/api/free",
    tags=TAGS,
    opt=PUBLIC
    | documented(
        knows_owner=True,
        returns=FreePage(slots=[examples.SLOT], after="20261207T093000.7"),
        refusals=OF_VISIT,
    ),
)
async def get_free(
    request: Req,
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    procedure: ProcedureCode,
    channel: ByChannel = "counter",
    counter: CounterCode = None,
    services: SomeServices = None,
    visit_id: OfOwnVisit = None,
    after: Annotated[
        str | None, QueryParameter(pattern=AFTER_PATTERN, description="As the page before said it.")
    ] = None,
    most: Annotated[int, QueryParameter(ge=1, le=FREE_MAX, description="So many at most.")] = FREE_USUAL,
) -> FreePage:
    """The next free slots, page by page.

    With `most=1` it is the earliest anywhere.
    """
    begin = read_look({"after": after}).after if after else None
    asked = _ask(request, procedure, channel, counter, services, visit_id)
    async with db.begin(town.code) as session:
        where = await _where(session, town, asked)
        slots = await list_next_free(
            session, town.code, where.counters, where.policy, most=most, after=begin, need=where.need, now=now
        )
    ended = After(slots[-1].starts_at, slots[-1].counter) if len(slots) == most else None
    return FreePage(slots=slots, after=Look(after=ended).query()["after"] if ended else None)


@get(
    "/booking/api/earliest",
    tags=TAGS,
    opt=PUBLIC
    | documented(returns=[Earliest(channel="counter", slot=examples.SLOT, as_of=examples.NOW)], refusals=OF_SERVICES),
)
async def get_earliest(
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    procedure: ProcedureCode,
    services: SomeServices = None,
) -> list[Earliest]:
    """The earliest free slot of each channel by which a procedure can be done.

    With `services`, at counters only.
    """
    found = []
    async with db.begin(town.code) as session:
        for channel in CHANNELS if services is None else CHANNELS[:1]:
            where = await _where(session, town, _Asked(procedure=procedure, channel=channel, services=services))
            if where.counters:
                slots = await list_next_free(
                    session, town.code, where.counters, where.policy, most=1, need=where.need, now=now
                )
                found.append(Earliest(channel=channel, slot=slots[0] if slots else None, as_of=now))
    return found


@get(
    "/booking/api/slots/{slot_id:str}/alternatives",
    tags=TAGS,
    opt=PUBLIC
    | documented(knows_owner=True, returns=[examples.ALTERNATIVE], refusals=OF_VISIT | {"slot_unknown": 404}),
)
async def get_alternatives(
    request: Req,
    slot_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    procedure: ProcedureCode,
    channel: ByChannel = "counter",
    services: SomeServices = None,
    visit_id: OfOwnVisit = None,
) -> list[Alternative]:
    """The free slots that are nearest to one: in time, then in place."""
    wanted = parse_uuid(slot_id, code="slot_unknown")
    asked = _ask(request, procedure, channel, None, services, visit_id)
    async with db.begin(town.code) as session:
        where = await _where(session, town, asked)
        return await list_alternatives(
            session, town.code, wanted, where.counters, where.policy, need=where.need, now=now
        )


def _ask(
    request: Req, procedure: str, channel: Channel, counter: str | None, services: str | None, visit_id: UUID | None
) -> _Asked:
    # Who asks matters for a visit of theirs only: all others who ask the same have the same question.
    identity = find_identity(request) if visit_id is not None else None
    visitor = identity.ref if identity is not None else None
    return _Asked(
        procedure=procedure, channel=channel, counter=counter, services=services, visit_id=visit_id, visitor=visitor
    )


async def _where(session: AsyncSession, town: Town, asked: _Asked) -> _Where:
    procedure = await find_procedure(session, town.code, asked.procedure, asked.channel)
    if procedure is None:
        raise Refusal("procedure_unknown", 404)
    services, need = await _needed(session, town, asked, procedure.minutes)
    policy = (await get_rules(session, town.code)).policy
    fitted = await fit_procedure(session, town.code, procedure, services, policy)
    counters = [code for code in fitted.counters if asked.counter in (None, code)]
    return _Where(counters, fitted.policy(policy), need)


async def _needed(
    session: AsyncSession, town: Town, asked: _Asked, minutes: int
) -> tuple[tuple[Service, ...], Need | None]:
    """What is to be done beside, or more often than, the procedure; and how much time all of it needs in one piece."""
    if asked.visit_id is not None:
        if asked.visitor is None:
            raise Refusal("visit_unknown", 404)
        wanted = await find_wanted(session, town.code, asked.visit_id, asked.visitor)
        if (wanted.procedure, wanted.channel) != (asked.procedure, asked.channel):
            raise Refusal("visit_unknown", 404)
        return wanted.services, need_of(asked.visit_id, wanted.minutes)
    outlasts = asked.channel == "counter" and await outlasts_slots(session, town.code, asked.procedure)
    services = _read_services(asked.services)
    if not services or (is_plain(services) and services[0].procedure == asked.procedure):
        return (), Need(minutes=minutes) if outlasts else None
    if asked.channel != "counter":
        raise Refusal("services_with_helper", 409)
    kinds = await find_kinds(session, town.code, [each.procedure for each in services])
    refuse_unfit(kinds, services, own=asked.procedure)
    return services, Need(minutes=time_needed(kinds, services))


def _read_services(typed: str | None) -> tuple[Service, ...]:
    words = [word.partition(":") for word in typed.split(",")] if typed else []
    return tuple(Service(code, int(quantity)) for code, _, quantity in words)


def _span(first: date | None, days: int, now: datetime) -> tuple[date, date]:
    start = max(first or jst_day(now), jst_day(now))
    start = min(start, date.max - timedelta(days=DAYS_MAX))
    return start, start + timedelta(days=days - 1)
