"""One visit for everything (まとめて予約): the places of a chain are held, and booked, all of them or none."""

import secrets
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.appointments import (
    BookAppointment,
    Booked,
    MadeState,
    applied_entries,
    most_ahead,
    seal_names,
)
from services.booking.commands.chains import watch_chain
from services.booking.commands.facts import seal_access, tell, tell_as_one
from services.booking.commands.holds import FREE_PREDICATE
from services.booking.commands.keyed import claim_key, keep_answer, request_hash
from services.booking.commands.locking import lock_places
from services.booking.commands.marks import mark_availability
from services.booking.commands.visits import END_VISIT, VISIT_LIFETIME, Draft, open_draft, release_places
from services.booking.domain.one_stop import Chain, Errand, find_fault, make_chain, make_part
from services.booking.domain.rules import JST, Policy, SlotTaken, refuse_unbookable
from services.booking.keys import Keys, subject_context
from services.booking.queries.one_stop import HeldChain, find_held_chain, list_errands, list_walks, strictest
from services.booking.queries.rules import get_rules
from services.booking.queries.untold import UNTOLD
from services.booking.tables import ledger
from shared.audit import record_deed
from shared.crypto import new_code, new_link_token, token_hash
from shared.errors import Refusal
from shared.events.booking import AppointmentBooked, SealedAccess
from shared.ledger.entry import Entry
from shared.passes import ERRANDS_MAX
from shared.reference_number import CODE_LENGTH, make_number
from shared.tokens import Identity


class Wish(msgspec.Struct, frozen=True):
    """A slot for one errand, and which of the people (1 …) goes there."""

    procedure: str
    slot_id: UUID
    person: int = 1


class HoldChain(msgspec.Struct, frozen=True, kw_only=True):
    """The order to hold a place for each errand of a visit. What the visit holds already is given back with it."""

    municipality: str
    visit_id: UUID
    visitor: str
    wishes: tuple[Wish, ...]
    key: str
    staff: Identity | None = None


# As for a single hold: requests of one visit come one after another.
_LOOK = text("""
    SELECT guest_ref, expires_at, appointment_id FROM visit
    WHERE (municipality, visit_id) = (:municipality, :visit_id) FOR UPDATE
""")
_SLOTS = text(f"""
    SELECT s.slot_id, s.counter, s.starts_at, s.ends_at, s.withdrawn FROM slot s
    WHERE s.municipality = :municipality AND s.slot_id = ANY (CAST(:slot_ids AS uuid[])) LIMIT {ERRANDS_MAX}
""")
# Racers skip what another has locked, and each goes through the slots in the same order: of two who want the same
# chain, one loses at its first slot, and nobody waits.
_TAKE = text(f"""
    WITH pick AS (
        SELECT p.slot_id, p.place_no FROM place p
        WHERE p.municipality = :municipality AND p.slot_id = :slot_id AND p.audience = 'public' AND {FREE_PREDICATE}
        ORDER BY p.place_no LIMIT 1
        FOR UPDATE SKIP LOCKED)
    UPDATE place p SET hold_id = :hold_id, held_by = :visitor, held_until = :held_until, visit_id = :errand_id,
                       part = 1, parts = 1, changed_at = :now
    FROM pick WHERE p.municipality = :municipality AND (p.slot_id, p.place_no) = (pick.slot_id, pick.place_no)
    RETURNING p.place_no
""")
_SET_PERSON = text("""
    UPDATE visit_errand SET person = :person WHERE (municipality, errand_id) = (:municipality, :errand_id)
""")
_ALONE = text("""
    SELECT pg_advisory_xact_lock(hashtextextended('open_appointments/' || v.municipality || '/' || v.guest_ref, 0))
    FROM visit v WHERE (v.municipality, v.visit_id) = (:municipality, :visit_id)
""")
# What an appointment has of its row in `_HELD`.
_KEPT = (
    "errand_id", "procedure", "person", "hold_id", "slot_id", "place_no", "counter", "office", "starts_at", "ends_at",
    "subject_ref", "case_id", "contact_ref", "reach", "language",
)  # fmt: skip
# One row for each errand: the visit, and the place that is held for it.
_HELD = text(f"""
    SELECT v.guest_ref, v.expires_at, v.appointment_id, v.subject_ref, v.case_id, v.contact_ref, v.reach,
           v.draft_sealed, v.passed_at, v.arrived_at, v.language, k.wrapped_key, b.max_open_appointments,
           'none' AS helper, e.errand_id, e.procedure, e.person, coalesce(d.minutes, 0) AS minutes,
           p.hold_id, p.held_until, p.slot_id, p.place_no, s.counter, s.starts_at, s.ends_at,
           coalesce(c.office, r.office, '') AS office
    FROM visit v
    JOIN visit_errand e ON (e.municipality, e.visit_id) = (v.municipality, v.visit_id)
    LEFT JOIN subject_key k ON (k.municipality, k.subject_ref) = (v.municipality, v.subject_ref)
    LEFT JOIN procedure d ON (d.municipality, d.code) = (v.municipality, e.procedure)
    LEFT JOIN place p ON p.municipality = v.municipality AND p.visit_id = e.errand_id AND p.hold_id IS NOT NULL
    LEFT JOIN slot s ON (s.municipality, s.slot_id) = (p.municipality, p.slot_id)
    LEFT JOIN counter c ON (c.municipality, c.code) = (s.municipality, s.counter)
    LEFT JOIN counter_rule r ON (r.municipality, r.counter) = (s.municipality, s.counter)
    LEFT JOIN booking_rules b ON b.municipality = v.municipality
    WHERE v.municipality = :municipality AND v.visit_id = :visit_id
    ORDER BY s.starts_at, e.errand_no LIMIT {ERRANDS_MAX}
    FOR UPDATE OF v
""")
_MADE = text(f"""
    SELECT appointment_id, number, procedure, counter, starts_at, ends_at FROM appointment
    WHERE municipality = :municipality AND chain_id = :visit_id ORDER BY starts_at, number LIMIT {ERRANDS_MAX}
""")
_AHEAD = text(f"""
    SELECT count(DISTINCT coalesce(chain_id, appointment_id)) FROM appointment
    WHERE municipality = :municipality AND guest_ref = :visitor AND state = 'booked' AND starts_at > :now
      AND NOT {UNTOLD.format(row="appointment")}
""")
_MAKE = text("""
    INSERT INTO appointment
        (municipality, appointment_id, number, kind, state, version, sequence, procedure, counter, office,
         slot_id, place_no, starts_at, ends_at, day, visit_id, guest_ref, subject_ref, case_id, contact_ref, reach,
         name_sealed, kana_sealed, language, chain_id, chain_person, chain_until, booked_at, changed_at)
    VALUES
        (:municipality, :appointment_id, :number, 'booked', 'booked', 1, 0, :procedure, :counter, :office,
         :slot_id, :place_no, :starts_at, :ends_at, :day, :visit_id, :visitor, :subject_ref, :case_id, :contact_ref,
         :reach, :name_sealed, :kana_sealed, :language, :visit_id, :person, :chain_until, :now, :now)
""")
# Only from the hold that is still alive.
_PLACE = text("""
    UPDATE place SET hold_id = NULL, held_by = NULL, held_until = NULL, appointment_id = :appointment_id,
                     changed_at = :now
    WHERE (municipality, slot_id, place_no) = (:municipality, :slot_id, :place_no)
      AND visit_id = :errand_id AND hold_id = :hold_id AND held_until > :now
    RETURNING place_no
""")
_OPEN = text("""
    INSERT INTO access (municipality, link_hash, appointment_id, code_hash, issued_at)
    VALUES (:municipality, :link_hash, :appointment_id, :code_hash, :now)
""")
_END = text("""
    UPDATE visit SET appointment_id = :appointment_id, code_sealed = :code_sealed, draft_sealed = NULL
    WHERE (municipality, visit_id) = (:municipality, :visit_id)
""")
_PROLONG = text("""
    UPDATE due SET due_at = :code_ends_at, leased_until = NULL, attempts = 0
    WHERE (municipality, kind, ref) = (:municipality, :end_visit, :visit_ref)
""")


async def hold_chain(session: AsyncSession, order: HoldChain, *, now: datetime) -> HeldChain:
    """Hold a free public place for every errand of the visit, or none of them.

    Raises:
        Refusal: `visit_unknown` (404), `visit_over` (410), `visit_booked` (409), `slot_unknown` (404), `chain_unfit`
            (409, it cannot be walked), `slot_too_soon`, `slot_too_far`, `slot_closed` (409), `slot_taken` (409),
            `key_reused` (422).
    """
    names = {"municipality": order.municipality, "visit_id": order.visit_id}
    visit = (await session.execute(_LOOK, names)).one_or_none()
    if visit is None or visit.guest_ref != order.visitor:
        raise Refusal("visit_unknown", 404)
    if visit.appointment_id is not None:
        raise Refusal("visit_booked", 409)
    if visit.expires_at <= now:
        raise Refusal("visit_over", 410)
    hashed = request_hash("hold_chain", order.wishes)
    # Whether there was an answer does not matter: it counts only while its places are held.
    await claim_key(session, order.municipality, f"visit:{order.visit_id}", order.key, hashed, now=now)
    errands = {errand.procedure: errand for errand in await list_errands(session, order.municipality, order.visit_id)}
    policy = (await get_rules(session, order.municipality)).policy
    chain = await read_chain(
        session,
        order.municipality,
        order.wishes,
        [errand.errand for errand in errands.values()],
        policy,
        now=now,
    )
    held = await find_held_chain(session, order.municipality, order.visit_id)
    if held is not None and held.is_live(now) and held.chain == chain:
        return held
    held_until = min(now + timedelta(minutes=policy.hold_min), visit.expires_at)
    changed = set(await release_places(session, order.municipality, order.visit_id, now=now))
    for part in sorted(chain.parts, key=lambda part: (part.slot_id, part.person)):
        errand = errands[part.procedure]
        place = names | {"errand_id": errand.errand_id, "slot_id": part.slot_id, "person": part.person, "now": now}
        holder = {"hold_id": uuid4(), "visitor": order.visitor, "held_until": held_until}
        if (await session.execute(_TAKE, place | holder)).one_or_none() is None:
            # All of this is undone: what the visit held before, it still holds.
            raise SlotTaken(errand.counters, policy)
        await session.execute(_SET_PERSON, place)
    await mark_availability(session, order.municipality, changed | {part.counter for part in chain.parts}, now=now)
    await keep_answer(session, order.municipality, f"visit:{order.visit_id}", order.key, {"held_until": held_until})
    await record_deed(session, order.staff, "hold", order.visit_id, now=now)
    return HeldChain(chain=chain, held_until=held_until)


async def book_chain(session: AsyncSession, order: BookAppointment, keys: Keys, *, now: datetime) -> tuple[Booked, ...]:
    """Turn what a visit holds into appointments, one for each errand, or none. Ordered again, they are those made.

    They have one code, and each a number and a link of its own; counted as one of those that a person may have.

    Raises:
        Refusal: `visit_unknown` (404), `visit_over` (410), `hold_missing` (409), `hold_expired` (410),
            `too_many_appointments` (409).
    """
    names = {"municipality": order.municipality, "visit_id": order.visit_id, "visitor": order.visitor, "now": now}
    await session.execute(_ALONE, names)
    rows = (await session.execute(_HELD, names)).all()
    if not rows or rows[0].guest_ref != order.visitor:
        raise Refusal("visit_unknown", 404)
    visit = rows[0]
    if visit.appointment_id is not None:
        known = (await session.execute(_MADE, names)).all()
        return tuple(msgspec.convert(row, Booked, from_attributes=True) for row in known)
    if visit.expires_at <= now or visit.draft_sealed is None or visit.wrapped_key is None:
        raise Refusal("visit_over", 410)
    if any(row.hold_id is None for row in rows):
        raise Refusal("hold_missing", 409)
    if (await session.execute(_AHEAD, names)).scalar_one() >= most_ahead(order, visit):
        raise Refusal("too_many_appointments", 409)
    hashed = request_hash("book", order.visit_id)
    await claim_key(session, order.municipality, f"visit:{order.visit_id}", order.key, hashed, now=now)
    wrapped_key = bytes(visit.wrapped_key)
    await lock_places(session, order.municipality, visits=[order.visit_id])
    draft = open_draft(keys, order.municipality, visit.subject_ref, order.visit_id, wrapped_key, visit.draft_sealed)
    code = new_code(CODE_LENGTH)
    booked: list[Booked] = []
    entries: list[Entry] = []
    facts = []
    for row in rows:
        made, access = await _make(session, order, row, draft, code, keys, now=now)
        booked.append(made)
        entries += applied_entries(order, row, draft, keys, now=now)
        state = MadeState(order.municipality, made, row, chain_id=order.visit_id)
        fact = tell(AppointmentBooked, state, now=now)
        sealed = seal_access(keys, access) if row.contact_ref is not None else None
        facts.append(msgspec.structs.replace(fact, sealed=sealed))
        await record_deed(session, order.staff, "book", made.appointment_id, version=1, now=now)
    context = subject_context(order.municipality, visit.subject_ref)
    ended = {
        "appointment_id": booked[0].appointment_id,
        "code_sealed": keys.vault.seal(visit.wrapped_key, context, f"code/{order.visit_id}", code),
        # The code is shown for as long as a visit lives, counted from now.
        "end_visit": END_VISIT,
        "visit_ref": str(order.visit_id),
        "code_ends_at": now + VISIT_LIFETIME,
    }
    await session.execute(_END, names | ended)
    await session.execute(_PROLONG, names | ended)
    await mark_availability(session, order.municipality, {made.counter for made in booked}, now=now)
    until = max(_until(row) for row in rows)
    await ledger.write(session, *entries, events=tell_as_one(facts, until=until))
    await watch_chain(session, order.municipality, order.visit_id, at=booked[0].ends_at)
    await keep_answer(session, order.municipality, f"visit:{order.visit_id}", order.key, booked)
    return tuple(booked)


async def _make(
    session: AsyncSession, order: BookAppointment, row: Any, draft: Draft, code: str, keys: Keys, *, now: datetime
) -> tuple[Booked, SealedAccess]:
    """One of the appointments, from the place that is held for its errand."""
    booked = Booked(
        appointment_id=uuid4(),
        number=make_number(secrets.choice),
        procedure=row.procedure,
        counter=row.counter,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
    )
    access = SealedAccess(link_token=new_link_token(), code=code)
    values = {
        **{name: getattr(row, name) for name in _KEPT},
        **seal_names(keys, order.municipality, booked.appointment_id, row, draft),
        "municipality": order.municipality,
        "visit_id": order.visit_id,
        "visitor": order.visitor,
        "appointment_id": booked.appointment_id,
        "number": booked.number,
        "day": row.starts_at.astimezone(JST).date(),
        "chain_until": _until(row),
        "link_hash": token_hash(access.link_token),
        "code_hash": keys.code_hash(booked.appointment_id, code),
        "now": now,
    }
    await session.execute(_MAKE, values)
    if (await session.execute(_PLACE, values)).one_or_none() is None:
        raise Refusal("hold_expired", 410)
    await session.execute(_OPEN, values)
    return booked, access


def _until(row: Any) -> datetime:
    done_at: datetime = row.starts_at + timedelta(minutes=max(row.minutes, 1))
    return done_at


async def read_chain(
    session: AsyncSession,
    municipality: str,
    wishes: Sequence[Wish],
    errands: Sequence[Errand],
    policy: Policy,
    *,
    had: Collection[UUID] = (),
    now: datetime,
) -> Chain:
    """The chain that was asked for, if it can be walked and may be given out; what one has (`had`) may be too soon.

    Raises:
        Refusal: `slot_unknown` (404), `chain_unfit`, `slot_too_soon`, `slot_too_far`, `slot_closed` (409).
    """
    asked = {"municipality": municipality, "slot_ids": [wish.slot_id for wish in wishes]}
    slots = {row.slot_id: row for row in (await session.execute(_SLOTS, asked)).all()}
    if any(wish.slot_id not in slots for wish in wishes):
        raise Refusal("slot_unknown", 404)
    known = {errand.procedure: errand for errand in errands}
    if any(wish.procedure not in known for wish in wishes) or not wishes:
        raise Refusal("chain_unfit", 409)
    chain = make_chain([make_part(known[wish.procedure], slots[wish.slot_id], wish.person) for wish in wishes])
    fault = find_fault(errands, chain, await list_walks(session, municipality))
    if fault is not None:
        raise Refusal("chain_unfit", 409, fault=fault)
    policy = await strictest(session, municipality, known, policy)
    for slot in (slot for slot in slots.values() if slot.slot_id not in had):
        refuse_unbookable(policy, starts_at=slot.starts_at, withdrawn=slot.withdrawn, now=now)
    return chain
