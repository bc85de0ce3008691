"""Holding a place while somebody confirms. Residents race for the last one; the database decides who won."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.keyed import check_key, request_hash
from services.booking.commands.marks import MARK_DIRTY, SETTLE, mark_availability
from services.booking.domain.rules import Policy, SlotTaken, policy_for, refuse_unbookable
from services.booking.queries.runs import find_run
from services.booking.queries.services import fit_services, read_services
from services.booking.queries.slots import WHERE_DONE
from shared.audit import record_deed
from shared.db import Prepared
from shared.errors import Refusal
from shared.tokens import Identity


class HoldPlace(msgspec.Struct, frozen=True, kw_only=True):
    """The order to hold a place of a slot for a visit, or from it on, where the visit needs more time.

    A visit holds one time: a new hold gives back the old one.
    """

    municipality: str
    visit_id: UUID
    visitor: str
    slot_id: UUID
    key: str
    staff: Identity | None = None


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """A held place, or several in a row, from the first slot to the end of the last; `held_until` is aware."""

    hold_id: UUID
    visit_id: UUID
    slot_id: UUID
    counter: str
    starts_at: datetime
    ends_at: datetime
    held_until: datetime


# The visit's row is locked, so requests of one visit come one after another. What the next statement reads is what the
# one before has committed.
_LOOK = Prepared(f"""
    SELECT v.guest_ref, v.expires_at, v.appointment_id, s.counter, s.starts_at, s.ends_at, s.withdrawn,
           {WHERE_DONE.format(channel="v.channel", procedure="c")} AS counters,
           r.horizon_days, r.notice_min, r.cancel_until_min, r.hold_min, r.max_open_appointments,
           c.notice_min AS own_notice_min, c.horizon_days AS own_horizon_days, v.services, v.minutes
    FROM visit v
    LEFT JOIN procedure c ON (c.municipality, c.code) = (v.municipality, v.procedure)
    LEFT JOIN slot s ON s.municipality = v.municipality AND s.slot_id = :slot_id
    LEFT JOIN booking_rules r ON r.municipality = v.municipality
    WHERE v.municipality = :municipality AND v.visit_id = :visit_id
    FOR UPDATE OF v
""")

FREE_PREDICATE = "p.appointment_id IS NULL AND (p.held_until IS NULL OR p.held_until <= :now)"
# One statement: give back the old place, take a free one of the slot and of each slot in `more`, all or none (racers
# skip what another has locked), remember the answer, and mark the counters. It does nothing when the key was used for
# something else, or when this very slot is held already. The old place may be in this very slot: a lapsed one that new
# rules have closed.
TAKE = """
    WITH known AS (
        SELECT request_hash FROM idempotency
        WHERE (municipality, owner, key) = (:municipality, :owner, :key)),
    mine AS (
        SELECT p.slot_id, p.hold_id, p.held_until FROM place p
        WHERE p.municipality = :municipality AND p.visit_id = :visit_id AND p.hold_id IS NOT NULL AND p.part = 1),
    proceed AS (
        SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM known WHERE request_hash <> :request_hash)
          AND NOT EXISTS (SELECT 1 FROM mine WHERE mine.slot_id = :slot_id AND mine.held_until > :now)),
    released AS (
        UPDATE place p SET hold_id = NULL, held_by = NULL, held_until = NULL, visit_id = NULL, changed_at = :now
        WHERE p.municipality = :municipality AND p.visit_id = :visit_id AND p.hold_id IS NOT NULL
          AND (p.slot_id <> :slot_id OR p.audience <> 'public') AND EXISTS (SELECT 1 FROM proceed)
        RETURNING p.slot_id),
    pick AS (
        SELECT one.slot_id, one.place_no, wanted.part
        FROM unnest(CAST(:slot_id AS uuid) || CAST(:more AS uuid[])) WITH ORDINALITY AS wanted(slot_id, part), LATERAL (
            SELECT p.slot_id, p.place_no FROM place p
            WHERE p.municipality = :municipality AND p.slot_id = wanted.slot_id AND p.audience = 'public'
              AND {free}
              AND EXISTS (SELECT 1 FROM proceed) AND (SELECT count(*) FROM released) >= 0
            ORDER BY (p.visit_id = :visit_id) DESC NULLS LAST, p.place_no LIMIT 1
            FOR UPDATE SKIP LOCKED) AS one),
    taken AS (
        UPDATE place p SET hold_id = :hold_id, held_by = :visitor, held_until = :held_until, visit_id = :visit_id,
                           part = pick.part, parts = 1 + cardinality(CAST(:more AS uuid[])), changed_at = :now
        FROM pick WHERE p.municipality = :municipality AND (p.slot_id, p.place_no) = (pick.slot_id, pick.place_no)
          AND (SELECT count(*) FROM pick) = 1 + cardinality(CAST(:more AS uuid[]))
        RETURNING p.slot_id),
    answered AS (
        INSERT INTO idempotency (municipality, owner, key, request_hash, response, created_at)
        SELECT :municipality, :owner, :key, :request_hash, CAST(:response AS jsonb), :now
        WHERE EXISTS (SELECT 1 FROM taken)
        ON CONFLICT (municipality, owner, key) DO UPDATE SET response = excluded.response),
    changed AS (
        SELECT DISTINCT s.counter FROM slot s
        WHERE s.municipality = :municipality
          AND s.slot_id IN (SELECT slot_id FROM taken UNION ALL SELECT slot_id FROM released)),
    marked AS ({mark})
    SELECT (SELECT count(*) FROM taken) AS taken,
           EXISTS (SELECT 1 FROM known WHERE request_hash <> :request_hash) AS reused,
           (SELECT hold_id FROM mine WHERE mine.slot_id = :slot_id AND mine.held_until > :now) AS own_hold_id,
           (SELECT held_until FROM mine WHERE mine.slot_id = :slot_id AND mine.held_until > :now) AS own_held_until
"""
_TAKE = Prepared(TAKE.format(free=FREE_PREDICATE, mark=MARK_DIRTY.format(changed="changed")))
# Who needs more time gives back the old time first: the new one may begin in the middle of it.
_LET_GO = text("""
    WITH mine AS MATERIALIZED (
        SELECT p.slot_id, p.place_no FROM place p
        WHERE p.municipality = :municipality AND p.visit_id = :visit_id AND p.hold_id IS NOT NULL
          AND NOT EXISTS (SELECT 1 FROM place own
                          WHERE own.municipality = p.municipality AND own.visit_id = p.visit_id
                            AND own.hold_id IS NOT NULL AND own.part = 1 AND own.slot_id = :slot_id
                            AND own.held_until > :now)
        ORDER BY p.slot_id, p.place_no FOR UPDATE OF p)
    UPDATE place p SET hold_id = NULL, held_by = NULL, held_until = NULL, visit_id = NULL, changed_at = :now
    FROM mine, slot s
    WHERE p.municipality = :municipality AND (p.slot_id, p.place_no) = (mine.slot_id, mine.place_no)
      AND (s.municipality, s.slot_id) = (p.municipality, p.slot_id)
    RETURNING s.counter
""")


async def hold_place(session: AsyncSession, order: HoldPlace, *, now: datetime) -> Hold:
    """Hold a free public place of the slot for the policy's minutes. Holding the same slot again is the same hold.

    A visit that needs more time gets a place of each slot that covers it, from this one on, or none.

    Raises:
        Refusal: `visit_unknown` (404), `visit_over` (410), `visit_booked` (409), `slot_unknown` (404), `slot_unfit`,
            `slot_too_soon`, `slot_too_far`, `slot_closed` (409), `slot_taken` (409), `key_reused` (422);
            `slot_too_short`, `services_unfit` (409), where more time is needed.
    """
    look = {"municipality": order.municipality, "visit_id": order.visit_id, "slot_id": order.slot_id}
    row = await _LOOK.row(session, look)
    _refuse_visit(row, order.visitor, now=now)
    if row.counter is None:
        raise Refusal("slot_unknown", 404)
    counters, policy = row.counters, _policy(row)
    if row.minutes is not None:
        services = read_services(row.services)
        counters, policy = await fit_services(session, order.municipality, services, _town_policy(row))
    if row.counter not in counters:
        raise Refusal("slot_unfit", 409)
    refuse_unbookable(policy, starts_at=row.starts_at, withdrawn=row.withdrawn, now=now)
    more, ends_at = [], row.ends_at
    if row.minutes is not None:
        run = await find_run(session, order.municipality, order.slot_id, row.minutes)
        if run is None:
            raise Refusal("slot_too_short", 409)
        more, ends_at = list(run.slot_ids[1:]), run.ends_at
        if let_go := (await session.execute(_LET_GO, look | {"now": now})).scalars().all():
            await mark_availability(session, order.municipality, let_go, now=now)
    hold = Hold(
        hold_id=uuid4(),
        visit_id=order.visit_id,
        slot_id=order.slot_id,
        counter=row.counter,
        starts_at=row.starts_at,
        ends_at=ends_at,
        held_until=min(now + timedelta(minutes=policy.hold_min), row.expires_at),
    )
    took = await _TAKE.row(
        session,
        look
        | {
            "more": more,
            "owner": f"visit:{order.visit_id}",
            "key": check_key(order.key),
            "request_hash": request_hash("hold", order.slot_id),
            "response": msgspec.json.encode(hold).decode(),
            "hold_id": hold.hold_id,
            "visitor": order.visitor,
            "held_until": hold.held_until,
            "now": now,
            "settle_at": now + SETTLE,
        },
    )
    if took.reused:
        raise Refusal("key_reused", 422)
    if took.own_hold_id is not None:
        return msgspec.structs.replace(hold, hold_id=took.own_hold_id, held_until=took.own_held_until)
    if not took.taken:
        raise SlotTaken(counters, policy, minutes=row.minutes)
    await record_deed(session, order.staff, "hold", order.visit_id, now=now)
    return hold


def _refuse_visit(row: Any, visitor: str, *, now: datetime) -> None:
    if row is None or row.guest_ref != visitor:
        raise Refusal("visit_unknown", 404)
    if row.appointment_id is not None:
        raise Refusal("visit_booked", 409)
    if row.expires_at <= now:
        raise Refusal("visit_over", 410)


def _town_policy(row: object) -> Policy:
    """The policy columns of a row; the defaults without a town pack."""
    if getattr(row, "horizon_days", None) is None:
        return Policy()
    return Policy(**{name: getattr(row, name) for name in Policy.__struct_fields__})


def _policy(row: object) -> Policy:
    """The same as it is for the visit's procedure."""
    own = {name: getattr(row, f"own_{name}") for name in ("notice_min", "horizon_days")}
    return policy_for(_town_policy(row), **own)
