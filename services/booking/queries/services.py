"""The procedures that can be done together in one appointment, as the catalogue knows them now."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.domain.rules import Policy, policy_for
from services.booking.domain.services import Service, ServiceKind, shared_counters
from services.booking.queries.runs import Need
from services.booking.queries.slots import ProcedureView
from shared.db import Prepared
from shared.errors import Refusal

# A counter has a handful.
OFFERED_MAX = 40

_COLUMNS = (
    """p.code, p.name_ja, p.counters, p.minutes, p.more_min, p.quantity_max, p.unit, p.notice_min, p.horizon_days"""
)
_KINDS = text(f"""
    SELECT {_COLUMNS} FROM procedure p
    WHERE p.municipality = :municipality AND p.code = ANY (CAST(:codes AS text[])) ORDER BY p.code LIMIT {OFFERED_MAX}
""")
# A procedure whose name tells too much is not put before everybody who comes to its counter.
_OFFERED = text(f"""
    SELECT {_COLUMNS} FROM procedure own JOIN procedure p ON p.municipality = own.municipality
    WHERE own.municipality = :municipality AND own.code = :code
      AND (p.code = own.code OR p.counters && own.counters AND NOT p.discreet)
    ORDER BY p.code <> own.code, p.code LIMIT {OFFERED_MAX}
""")
# By the rules of its counters, the past ones too: where slots are long enough, the time is one of them anyway.
_OUTLASTS = Prepared("""
    SELECT EXISTS (
        SELECT 1 FROM procedure p
        JOIN opening_rule o ON o.municipality = p.municipality AND o.counter = ANY (p.counters)
        WHERE p.municipality = :municipality AND p.code = :code AND o.withdrawn_at IS NULL
          AND CAST(o.rule ->> 'slot_min' AS integer) < p.minutes)
""")
# What an appointment's `services` are called, and what each of them needs.
NAMED_SERVICES = """
    CASE WHEN a.services IS NOT NULL THEN (
        SELECT jsonb_agg(jsonb_build_object(
                   'procedure', each.value ->> 'procedure', 'unit', coalesce(k.unit, ''),
                   'name_ja', coalesce(k.name_ja, each.value ->> 'procedure'),
                   'quantity', CAST(each.value ->> 'quantity' AS integer), 'fee_yen', coalesce(k.fee_yen, 0),
                   'bring', to_jsonb(coalesce(k.bring, '{}')), 'discreet', coalesce(k.discreet, true))
                   ORDER BY each.position)
        FROM jsonb_array_elements(a.services) WITH ORDINALITY AS each(value, position)
        LEFT JOIN procedure k ON k.municipality = a.municipality AND k.code = each.value ->> 'procedure') END"""


class NamedService(msgspec.Struct, frozen=True, kw_only=True):
    """A procedure of an appointment, as the catalogue calls it now."""

    procedure: str
    name_ja: str
    unit: str
    quantity: int
    fee_yen: int = 0
    bring: tuple[str, ...] = ()
    discreet: bool = False


class Choosable(msgspec.Struct, frozen=True, kw_only=True):
    """A procedure that can be chosen, and how many of it are `chosen` so far."""

    kind: ServiceKind
    chosen: int


async def find_kinds(session: AsyncSession, municipality: str, codes: Sequence[str]) -> dict[str, ServiceKind]:
    """Procedures by code, as far as the catalogue has them."""
    rows = await session.execute(_KINDS, {"municipality": municipality, "codes": list(codes)})
    return {row.code: msgspec.convert(row, ServiceKind, from_attributes=True) for row in rows}


async def list_offered(session: AsyncSession, municipality: str, code: str) -> list[ServiceKind]:
    """A procedure, and the others that are done at one of its counters."""
    rows = await session.execute(_OFFERED, {"municipality": municipality, "code": code})
    return [msgspec.convert(row, ServiceKind, from_attributes=True) for row in rows]


async def name_services(session: AsyncSession, municipality: str, services: Sequence[Service]) -> list[NamedService]:
    """What is chosen, as the catalogue calls it."""
    kinds = await find_kinds(session, municipality, [each.procedure for each in services])
    known = [(kinds[each.procedure], each) for each in services if each.procedure in kinds]
    return [
        NamedService(procedure=kind.code, name_ja=kind.name_ja, unit=kind.unit, quantity=each.quantity)
        for kind, each in known
    ]


def list_choices(offered: Sequence[ServiceKind], own: str, services: Sequence[Service]) -> list[Choosable]:
    """What can be chosen for a case of its `own` procedure, which comes first; nothing when there is no choice."""
    if len(offered) < 2 and not any(kind.quantity_max > 1 for kind in offered):
        return []
    chosen = {each.procedure: each.quantity for each in services} or {own: 1}
    return [Choosable(kind=kind, chosen=chosen.get(kind.code, 0)) for kind in offered]


def read_services(stored: Any) -> tuple[Service, ...]:
    """What a row has in `services`; empty: its procedure, once."""
    return msgspec.convert(stored or (), tuple[Service, ...])


async def outlasts_slots(session: AsyncSession, municipality: str, code: str) -> bool:
    """Whether a procedure, once, takes longer than a slot of one of its counters."""
    return bool((await _OUTLASTS.row(session, {"municipality": municipality, "code": code}))[0])


async def fit_services(
    session: AsyncSession, municipality: str, services: Sequence[Service], town: Policy
) -> tuple[tuple[str, ...], Policy]:
    """Where all of this can be done in one appointment, and the strictest of its policies.

    Raises:
        Refusal: `services_unfit` (409), the catalogue no longer has all of it at one counter.
    """
    kinds = await find_kinds(session, municipality, [each.procedure for each in services])
    if any(each.procedure not in kinds for each in services) or not shared_counters(kinds, services):
        raise Refusal("services_unfit", 409)
    own = [policy_for(town, notice_min=kind.notice_min, horizon_days=kind.horizon_days) for kind in kinds.values()]
    policy = msgspec.structs.replace(
        town,
        notice_min=max(each.notice_min for each in own),
        horizon_days=min(each.horizon_days for each in own),
    )
    return shared_counters(kinds, services), policy


async def fit_procedure(
    session: AsyncSession, municipality: str, procedure: ProcedureView, services: Sequence[Service], town: Policy
) -> ProcedureView:
    """A procedure together with what is done in the same appointment.

    Raises:
        Refusal: as `fit_services`.
    """
    if not services:
        return procedure
    counters, policy = await fit_services(session, municipality, services, town)
    return msgspec.structs.replace(
        procedure,
        counters=counters,
        notice_min=policy.notice_min if policy.notice_min != town.notice_min else None,
        horizon_days=policy.horizon_days,
    )


def need_of(own: UUID, minutes: int | None) -> Need | None:
    """What a visit or an appointment needs in one piece; None: a time of its counter, as it is."""
    return None if minutes is None else Need(minutes=minutes, own=own)
