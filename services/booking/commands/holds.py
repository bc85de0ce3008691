"""Holding a place while somebody confirms. Residents race for the last one; the database decides who won."""

from datetime import datetime, timedelta
from uuid import UUID, uuid4

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.keyed import check_key, request_hash
from services.booking.commands.marks import MARK_DIRTY, SETTLE
from services.booking.domain.rules import Policy, SlotTaken, policy_for, refuse_unbookable
from services.booking.queries.slots import WHERE_DONE
from shared.audit import record_deed
from shared.db import Prepared
from shared.errors import Refusal
from shared.tokens import Identity


class HoldPlace(msgspec.Struct, frozen=True, kw_only=True):
    """The order to hold a place of a slot for a visit. A visit holds one place: a new hold gives back the old one."""

    municipality: str
    visit_id: UUID
    visitor: str
    slot_id: UUID
    key: str
    staff: Identity | None = None


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """A held place; `held_until` is aware."""

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
           c.notice_min AS own_notice_min, c.horizon_days AS own_horizon_days
    FROM visit v
    LEFT JOIN procedure c ON (c.municipality, c.code) = (v.municipality, v.procedure)
    LEFT JOIN slot s ON s.municipality = v.municipality AND s.slot_id = :slot_id
    LEFT JOIN booking_rules r ON r.municipality = v.municipality
    WHERE v.municipality = :municipality AND v.visit_id = :visit_id
    FOR UPDATE OF v
""")

FREE_PREDICATE = "p.appointment_id IS NULL AND (p.held_until IS NULL OR p.held_until <= :now)"
# One statement: give back the old place, take a free one (racers skip what another has locked), remember the answer,
# and mark the counters. It does nothing when the key was used for something else, or when this very slot is held
# already. The old place may be in this very slot: a lapsed one that new rules have closed.
TAKE = """
    WITH known AS (
        SELECT request_hash FROM idempotency
        WHERE (municipality, owner, key) = (:municipality, :owner, :key)),
    mine AS (
        SELECT p.slot_id, p.hold_id, p.held_until FROM place p
        WHERE p.municipality = :municipality AND p.visit_id = :visit_id AND p.hold_id IS NOT NULL),
    proceed AS (
        SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM known WHERE request_hash <> :request_hash)
          AND NOT EXISTS (SELECT 1 FROM mine WHERE mine.slot_id = :slot_id AND mine.held_until > :now)),
    released AS (
        UPDATE place p SET hold_id = NULL, held_by = NULL, held_until = NULL, visit_id = NULL, changed_at = :now
        WHERE p.municipality = :municipality AND p.visit_id = :visit_id AND p.hold_id IS NOT NULL
          AND (p.slot_id <> :slot_id OR p.audience <> 'public') AND EXISTS (SELECT 1 FROM proceed)
        RETURNING p.slot_id),
    pick AS (
        SELECT p.slot_id, p.place_no FROM place p
        WHERE p.municipality = :municipality AND p.slot_id = :slot_id AND p.audience = 'public'
          AND {free}
          AND EXISTS (SELECT 1 FROM proceed) AND (SELECT count(*) FROM released) >= 0
        ORDER BY (p.visit_id = :visit_id) DESC NULLS LAST, p.place_no LIMIT 1
        FOR UPDATE SKIP LOCKED),
    taken AS (
        UPDATE place p SET hold_id = :hold_id, held_by = :visitor, held_until = :held_until, visit_id = :visit_id,
                           changed_at = :now
        FROM pick WHERE p.municipality = :municipality AND (p.slot_id, p.place_no) = (pick.slot_id, pick.place_no)
        RETURNING p.slot_id),
    answered AS (
        INSERT INTO idempotency (municipality, owner, key, request_hash, response, created_at)
        SELECT :municipality, :owner, :key, :request_hash, CAST(:response AS jsonb), :now FROM taken
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


async def hold_place(session: AsyncSession, order: HoldPlace, *, now: datetime) -> Hold:
    """Hold a free public place of the slot for the policy's minutes. Holding the same slot again is the same hold.

    Raises:
        Refusal: `visit_unknown` (404), `visit_over` (410), `visit_booked` (409), `slot_unknown` (404), `slot_unfit`,
            `slot_too_soon`, `slot_too_far`, `slot_closed` (409), `slot_taken` (409), `key_reused` (422).
    """
    look = {"municipality": order.municipality, "visit_id": order.visit_id, "slot_id": order.slot_id}
    row = await _LOOK.row(session, look)
    if row is None or row.guest_ref != order.visitor:
        raise Refusal("visit_unknown", 404)
    if row.appointment_id is not None:
        raise Refusal("visit_booked", 409)
    if row.expires_at <= now:
        raise Refusal("visit_over", 410)
    if row.counter is None:
        raise Refusal("slot_unknown", 404)
    if row.counter not in row.counters:
        raise Refusal("slot_unfit", 409)
    policy = _policy(row)
    refuse_unbookable(policy, starts_at=row.starts_at, withdrawn=row.withdrawn, now=now)
    hold = Hold(
        hold_id=uuid4(),
        visit_id=order.visit_id,
        slot_id=order.slot_id,
        counter=row.counter,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        held_until=min(now + timedelta(minutes=policy.hold_min), row.expires_at),
    )
    took = await _TAKE.row(
        session,
        look
        | {
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
        raise SlotTaken(row.counters, policy)
    await record_deed(session, order.staff, "hold", order.visit_id, now=now)
    return hold


def _policy(row: object) -> Policy:
    """The policy columns of a row, as they are for the visit's procedure; the defaults without a town pack."""
    town = Policy()
    if getattr(row, "horizon_days", None) is not None:
        town = Policy(**{name: getattr(row, name) for name in Policy.__struct_fields__})
    own = {name: getattr(row, f"own_{name}") for name in ("notice_min", "horizon_days")}
    return policy_for(town, **own)
