"""The errands of a visit, the ways between counters, what is held for them, and appointments that belong together."""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.domain.line import State
from services.booking.domain.one_stop import (
    CHAINS_MAX,
    UNKNOWN_WALK_MIN,
    Chain,
    Errand,
    Walks,
    make_chain,
    make_part,
    plan_chains,
)
from services.booking.domain.rules import Policy, earliest_start, last_day, policy_for
from services.booking.queries.slots import OpenSlot, list_slots, window_end
from services.booking.queries.untold import UNTOLD
from services.booking.queries.visits import OTHERS_MAX, Held, OtherAppointment
from shared.clock import jst_day
from shared.events.booking import ClosureState
from shared.passes import ERRANDS_MAX

WALKS_MAX = 20_000
# What of an arrival is still to come. What a closing covers has to be done at another time, also when its hour is over.
AHEAD = "a.state = 'booked' AND (a.starts_at > :now OR a.closure <> 'none')"


class VisitErrand(msgspec.Struct, frozen=True, kw_only=True):
    """An errand of a visit, as the town's catalogue knows its procedure now. `counters` is empty when it does not."""

    errand_id: UUID
    procedure: str
    name_ja: str
    counters: tuple[str, ...]
    minutes: int
    after: tuple[str, ...]
    # Who goes, of what is booked.
    person: int = 1

    @property
    def errand(self) -> Errand:
        """What is planned with."""
        return Errand(procedure=self.procedure, counters=self.counters, minutes=self.minutes, after=self.after)


class HeldChain(Held, frozen=True, kw_only=True):
    """The chain that a visit holds."""

    chain: Chain


class Linked(msgspec.Struct, frozen=True, kw_only=True):
    """An appointment that belongs to the same arrival as another."""

    appointment_id: UUID
    number: str
    procedure: str
    procedure_name: str
    counter: str
    counter_number: str
    counter_name: str
    counter_place: str
    starts_at: datetime
    state: State
    version: int
    person: int
    minutes: int
    bring: tuple[str, ...]
    closure: ClosureState


_ERRANDS = text(f"""
    SELECT e.errand_id, e.procedure, coalesce(p.name_ja, e.procedure) AS name_ja,
           coalesce(p.counters, '{{}}') AS counters, coalesce(p.minutes, 0) AS minutes,
           coalesce(p.after, '{{}}') AS after
    FROM visit_errand e LEFT JOIN procedure p ON (p.municipality, p.code) = (e.municipality, e.procedure)
    WHERE e.municipality = :municipality AND e.visit_id = :visit_id ORDER BY e.errand_no LIMIT {ERRANDS_MAX}
""")
_ERRANDS_OF = text(f"""
    SELECT p.code AS procedure, p.counters, p.minutes, p.after FROM procedure p
    WHERE p.municipality = :municipality AND p.code = ANY (CAST(:procedures AS text[]))
    ORDER BY p.code LIMIT {ERRANDS_MAX}
""")
_STRICTEST = text("""
    SELECT max(coalesce(notice_min, :notice_min)) AS notice_min,
           min(coalesce(horizon_days, :horizon_days)) AS horizon_days
    FROM procedure WHERE municipality = :municipality AND code = ANY (CAST(:procedures AS text[]))
""")
_WALKS = text(f"SELECT counter, other, minutes FROM walk WHERE municipality = :municipality LIMIT {WALKS_MAX}")
_HELD = text(f"""
    SELECT e.procedure, e.person, coalesce(d.minutes, 0) AS minutes, p.held_until,
           s.slot_id, s.counter, s.starts_at, s.ends_at
    FROM visit_errand e
    JOIN place p ON p.municipality = e.municipality AND p.visit_id = e.errand_id AND p.hold_id IS NOT NULL
    JOIN slot s ON (s.municipality, s.slot_id) = (p.municipality, p.slot_id)
    LEFT JOIN procedure d ON (d.municipality, d.code) = (e.municipality, e.procedure)
    WHERE e.municipality = :municipality AND e.visit_id = :visit_id LIMIT {ERRANDS_MAX}
""")
_LINKED = text(f"""
    SELECT a.appointment_id, a.number, a.procedure, coalesce(p.name_ja, a.procedure) AS procedure_name, a.counter,
           coalesce(c.number, a.counter) AS counter_number, coalesce(c.name_ja, a.counter) AS counter_name,
           coalesce(c.place_ja, '') AS counter_place, a.starts_at, a.state, a.version, a.chain_person AS person,
           CAST(extract(epoch FROM a.chain_until - a.starts_at) / 60 AS integer) AS minutes,
           coalesce(p.bring, '{{}}') AS bring, a.closure
    FROM appointment me
    JOIN appointment a ON a.municipality = me.municipality AND a.chain_id = me.chain_id
    LEFT JOIN procedure p ON (p.municipality, p.code) = (a.municipality, a.procedure)
    LEFT JOIN counter c ON (c.municipality, c.code) = (a.municipality, a.counter)
    WHERE (me.municipality, me.appointment_id) = (:municipality, :appointment_id)
    ORDER BY a.starts_at, a.number LIMIT {ERRANDS_MAX}
""")
# Where the others of an arrival are meanwhile: whoever is there cannot be elsewhere yet.
_ENGAGED = text("""
    SELECT max(a.chain_until) FILTER (WHERE a.starts_at <= :now AND a.state NOT IN ('done', 'cancelled', 'no_show')),
           array_agg(a.slot_id) FILTER (WHERE a.starts_at > :now AND a.state = 'booked'), max(a.chain_person)
    FROM appointment me
    JOIN appointment a ON a.municipality = me.municipality AND a.chain_id = me.chain_id
    WHERE (me.municipality, me.appointment_id) = (:municipality, :appointment_id)
""")
_MOVABLE = text(f"""
    SELECT a.appointment_id AS errand_id, a.procedure, coalesce(p.name_ja, a.procedure) AS name_ja,
           coalesce(p.counters, '{{}}') AS counters, coalesce(p.minutes, 0) AS minutes,
           coalesce(p.after, '{{}}') AS after, a.chain_person AS person
    FROM appointment me
    JOIN appointment a ON a.municipality = me.municipality AND a.chain_id = me.chain_id
    LEFT JOIN procedure p ON (p.municipality, p.code) = (a.municipality, a.procedure)
    WHERE (me.municipality, me.appointment_id) = (:municipality, :appointment_id)
      AND {AHEAD}
    ORDER BY a.starts_at, a.number LIMIT {ERRANDS_MAX}
""")
# As for a single appointment: of the same procedures, or at the same time.
_OTHERS = text(f"""
    SELECT DISTINCT a.number, a.starts_at, a.procedure, coalesce(p.name_ja, a.procedure) AS procedure_name,
           EXISTS (SELECT 1 FROM visit_errand s
                   WHERE (s.municipality, s.visit_id) = (v.municipality, v.visit_id)
                     AND s.procedure = a.procedure) AS is_same_procedure
    FROM visit v
    JOIN visit_errand e ON (e.municipality, e.visit_id) = (v.municipality, v.visit_id)
    JOIN place h ON h.municipality = v.municipality AND h.visit_id = e.errand_id AND h.hold_id IS NOT NULL
    JOIN slot s ON (s.municipality, s.slot_id) = (h.municipality, h.slot_id)
    JOIN appointment a ON a.municipality = v.municipality AND a.guest_ref = v.guest_ref AND a.state = 'booked'
                      AND a.starts_at > :now AND NOT {UNTOLD.format(row="a")}
    LEFT JOIN procedure p ON (p.municipality, p.code) = (a.municipality, a.procedure)
    WHERE v.municipality = :municipality AND v.visit_id = :visit_id AND v.guest_ref = :visitor
      AND v.appointment_id IS NULL AND (a.subject_ref = v.subject_ref OR NOT :for_many)
      AND (a.procedure = e.procedure OR (a.starts_at < s.ends_at AND s.starts_at < a.ends_at))
    ORDER BY a.starts_at, a.number LIMIT {OTHERS_MAX}
""")


async def list_errands(session: AsyncSession, municipality: str, visit_id: UUID) -> list[VisitErrand]:
    """The errands of a visit in the order of the pass; none when it is for one procedure."""
    rows = (await session.execute(_ERRANDS, {"municipality": municipality, "visit_id": visit_id})).all()
    return [msgspec.convert(row, VisitErrand, from_attributes=True) for row in rows]


async def list_movable(
    session: AsyncSession, municipality: str, appointment_id: UUID, *, now: datetime
) -> list[VisitErrand]:
    """What is still to come of the arrival that an appointment belongs to; `errand_id` is the appointment's."""
    asked = {"municipality": municipality, "appointment_id": appointment_id, "now": now}
    rows = (await session.execute(_MOVABLE, asked)).all()
    return [msgspec.convert(row, VisitErrand, from_attributes=True) for row in rows]


async def list_errands_of(session: AsyncSession, municipality: str, procedures: Sequence[str]) -> list[Errand]:
    """Procedures as errands."""
    asked = {"municipality": municipality, "procedures": list(procedures)}
    rows = (await session.execute(_ERRANDS_OF, asked)).all()
    return [msgspec.convert(row, Errand, from_attributes=True) for row in rows]


async def list_walks(session: AsyncSession, municipality: str) -> Walks:
    """Minutes on foot by pairs of counters."""
    rows = (await session.execute(_WALKS, {"municipality": municipality})).all()
    return {(row.counter, row.other): row.minutes for row in rows}


async def strictest(session: AsyncSession, municipality: str, procedures: Iterable[str], policy: Policy) -> Policy:
    """The town's policy with the longest notice and the shortest horizon of these procedures."""
    asked = {
        "municipality": municipality,
        "procedures": list(procedures),
        "notice_min": policy.notice_min,
        "horizon_days": policy.horizon_days,
    }
    found = (await session.execute(_STRICTEST, asked)).one()
    return policy_for(policy, notice_min=found.notice_min, horizon_days=found.horizon_days)


async def list_chains(
    session: AsyncSession,
    municipality: str,
    errands: Sequence[Errand],
    policy: Policy,
    *,
    people: int = 1,
    most: int = CHAINS_MAX,
    without: Collection[UUID] = (),
    not_before: datetime | None = None,
    near: datetime | None = None,
    now: datetime,
) -> list[Chain]:
    """The best chain of each of the first days that have one, of the places that are free now.

    `without` these slots, and `not_before` a time beyond the notice. With `near`, the days nearest to it come first.
    """
    counters = sorted({counter for errand in errands for counter in errand.counters})
    slots = await list_slots(
        session, municipality, counters, policy, first=jst_day(now), last=last_day(policy, now), now=now
    )
    plan = partial(
        plan_chains,
        errands,
        [slot for slot in slots if slot.slot_id not in without],
        await list_walks(session, municipality),
        earliest=max(earliest_start(policy, now), not_before or now),
        until=window_end(policy, now),
        people=people,
        most=most,
        near=near,
    )
    # With companions it takes a while: others are served meanwhile.
    return await asyncio.to_thread(plan) if people > 1 else plan()


async def list_moves(
    session: AsyncSession, municipality: str, appointment_id: UUID, policy: Policy, *, now: datetime
) -> tuple[list[VisitErrand], list[Chain]]:
    """What is still to come of an arrival, and the best chains that it could move to."""
    errands = await list_movable(session, municipality, appointment_id, now=now)
    asked = {"municipality": municipality, "appointment_id": appointment_id, "now": now}
    slots = (await session.execute(_ENGAGED, asked)).one()[1]
    policy = await strictest(session, municipality, [errand.procedure for errand in errands], policy)
    moves = await plan_moves(session, municipality, appointment_id, errands, policy, without=slots or (), now=now)
    return errands, moves


async def plan_moves(
    session: AsyncSession,
    municipality: str,
    appointment_id: UUID,
    errands: Sequence[VisitErrand],
    policy: Policy,
    *,
    without: Collection[UUID] = (),
    own: Mapping[str, OpenSlot] | None = None,
    near: datetime | None = None,
    now: datetime,
) -> list[Chain]:
    """The best chains for what is still to come of an arrival; `own` are the times that procedures may keep.

    Whoever is at a counter meanwhile goes on from there, and each errand stays with who came for it.
    """
    asked = {"municipality": municipality, "appointment_id": appointment_id, "now": now}
    engaged_until, _slots, people = (await session.execute(_ENGAGED, asked)).one()
    mine = own or {}
    return await list_chains(
        session,
        municipality,
        [
            msgspec.structs.replace(
                errand.errand,
                persons=(errand.person,) if (people or 1) > 1 else (),
                own=(mine[errand.procedure],) if errand.procedure in mine else (),
            )
            for errand in errands
        ],
        policy,
        people=people or 1,
        without=without,
        # No walk is longer, as a rule; one that is will be refused.
        not_before=engaged_until and engaged_until + timedelta(minutes=UNKNOWN_WALK_MIN),
        near=near,
        now=now,
    )


async def find_held_chain(session: AsyncSession, municipality: str, visit_id: UUID) -> HeldChain | None:
    """What a visit holds for its errands, alive or not."""
    rows = (await session.execute(_HELD, {"municipality": municipality, "visit_id": visit_id})).all()
    if not rows:
        return None
    parts = [
        make_part(Errand(procedure=row.procedure, counters=(row.counter,), minutes=row.minutes), row, row.person)
        for row in rows
    ]
    return HeldChain(chain=make_chain(parts), held_until=min(row.held_until for row in rows))


async def list_linked(session: AsyncSession, municipality: str, appointment_id: UUID) -> list[Linked]:
    """All appointments of the arrival that one belongs to, itself among them; none when it is by itself."""
    asked = {"municipality": municipality, "appointment_id": appointment_id}
    rows = (await session.execute(_LINKED, asked)).all()
    return [msgspec.convert(row, Linked, from_attributes=True) for row in rows]


async def list_others_of_chain(
    session: AsyncSession, municipality: str, visit_id: UUID, visitor: str, *, for_many: bool, now: datetime
) -> list[OtherAppointment]:
    """What the visitor has booked already: of one of the procedures, or at a time that the visit holds."""
    asked = {
        "municipality": municipality,
        "visit_id": visit_id,
        "visitor": visitor,
        "for_many": for_many,
        "now": now,
    }
    rows = (await session.execute(_OTHERS, asked)).all()
    return [msgspec.convert(row, OtherAppointment, from_attributes=True) for row in rows]
