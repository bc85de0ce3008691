"""Booking: a held place becomes an appointment, with its number, code, link, ledger entries and event."""

import secrets
from collections import defaultdict
from datetime import datetime
from typing import Any, Literal
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.asking import ask_helper
from services.booking.commands.facts import seal_access, tell
from services.booking.commands.keyed import check_key, request_hash
from services.booking.commands.locking import lock_places
from services.booking.commands.marks import MARK_DIRTY, SETTLE
from services.booking.commands.visits import END_VISIT, KANA, NAME, VISIT_LIFETIME, Draft, open_draft
from services.booking.domain.rules import JST, Policy
from services.booking.keys import Keys, subject_context
from services.booking.queries.runs import HELD_UNTIL_THE_END
from services.booking.queries.untold import UNTOLD
from services.booking.tables import ledger
from shared.audit import record_deed
from shared.crypto import new_code, new_link_token, token_hash
from shared.db import Prepared
from shared.errors import Refusal
from shared.events.booking import AppointmentBooked, SealedAccess
from shared.ledger.entry import Entry, LegalBasis
from shared.reference_number import CODE_LENGTH, make_number
from shared.tokens import Identity

CALLING_PURPOSE = "窓口でお呼びするため"
MEETING_PURPOSE = "サポーターがお名前をお呼びするため"
STEP_CALLING = "appointment"
STEP_COLLECTED = "you"
INTEGER_MAX = 2**31 - 1
LEGAL_BASIS: LegalBasis = "appi_69_2_1"


class BookAppointment(msgspec.Struct, frozen=True, kw_only=True):
    """The order to turn a visit's hold into an appointment. A visit makes one appointment."""

    municipality: str
    visit_id: UUID
    visitor: str
    key: str
    # Of the town's people, who book for many: how many appointments they made does not matter.
    staff: Identity | None = None
    # Nobody chose it: a draw or the matching gave it, to a visitor or through staff. How many others somebody has does
    # not matter.
    given_to: Literal["guest", "staff"] | None = None
    drawn: bool = False


class Booked(msgspec.Struct, frozen=True, kw_only=True):
    """The appointment as its maker gets it. `version` and `sequence` as published."""

    appointment_id: UUID
    number: str
    procedure: str
    counter: str
    starts_at: datetime
    ends_at: datetime


# The visits of one guest are booked one after another: what `_BOOK` counts, nobody is just adding to.
_LOOK = Prepared(f"""
    SELECT pg_advisory_xact_lock(hashtextextended('open_appointments/' || v.municipality || '/' || v.guest_ref, 0)),
           v.guest_ref, v.expires_at, v.appointment_id, v.subject_ref, v.case_id, v.contact_ref, v.procedure, v.reach,
           v.draft_sealed, v.passed_at, v.arrived_at, v.language, k.wrapped_key,
           v.services, v.minutes, v.from_step, p.hold_id, p.held_until, p.slot_id, p.place_no, p.parts, s.counter,
           s.starts_at, {HELD_UNTIL_THE_END} AS ends_at,
           coalesce(c.office, r.office, '') AS office, b.max_open_appointments,
           CASE WHEN r.kind = 'venue' THEN 'asked' ELSE 'none' END AS helper
    FROM visit v
    LEFT JOIN subject_key k ON (k.municipality, k.subject_ref) = (v.municipality, v.subject_ref)
    LEFT JOIN place p ON p.municipality = v.municipality AND p.visit_id = v.visit_id AND p.hold_id IS NOT NULL
                     AND p.part = 1
    LEFT JOIN slot s ON (s.municipality, s.slot_id) = (p.municipality, p.slot_id)
    LEFT JOIN counter c ON (c.municipality, c.code) = (s.municipality, s.counter)
    LEFT JOIN counter_rule r ON (r.municipality, r.counter) = (s.municipality, s.counter)
    LEFT JOIN booking_rules b ON b.municipality = v.municipality
    WHERE v.municipality = :municipality AND v.visit_id = :visit_id
    FOR UPDATE OF v
""")
_MADE = text("""
    SELECT appointment_id, number, procedure, counter, starts_at, ends_at FROM appointment
    WHERE (municipality, appointment_id) = (:municipality, :appointment_id)
""")
# The places first: the statement makes an appointment only from the hold that is still alive.
_BOOK = Prepared(f"""
    WITH ahead AS (
        -- What belongs to one arrival counts once.
        SELECT count(DISTINCT coalesce(chain_id, appointment_id)) AS appointments FROM appointment
        WHERE municipality = :municipality AND guest_ref = :visitor AND state = 'booked' AND starts_at > :now
          AND NOT {UNTOLD.format(row="appointment")}
          -- Nor does what this one takes the place of (`queries/visits.py`: is_replaced).
          AND NOT coalesce(case_id = CAST(:case_id AS uuid) AND (helper = 'none') <> (CAST(:helper AS text) = 'none')
                           AND chain_id IS NULL AND (services IS NULL OR jsonb_array_length(services) <= 1), false)),
    placed AS (
        UPDATE place p SET hold_id = NULL, held_by = NULL, held_until = NULL, appointment_id = :appointment_id,
                           changed_at = :now
        WHERE p.municipality = :municipality AND p.visit_id = :visit_id AND p.hold_id = :hold_id AND p.held_until > :now
          AND (SELECT appointments FROM ahead) < CAST(:max_open_appointments AS integer)
        RETURNING p.slot_id, p.place_no, p.part, p.parts),
    made AS (
        INSERT INTO appointment
            (municipality, appointment_id, number, kind, state, version, sequence, procedure, counter, office,
             slot_id, place_no, starts_at, ends_at, day, visit_id, guest_ref, subject_ref, case_id, contact_ref, reach,
             name_sealed, kana_sealed, helper, language, services, minutes, parts, from_step, booked_at, changed_at)
        SELECT :municipality, :appointment_id, :number, 'booked', 'booked', 1, 0, :procedure, :counter, :office,
               placed.slot_id, placed.place_no, :starts_at, :ends_at, :day, :visit_id, :visitor, :subject_ref, :case_id,
               :contact_ref, :reach, :name_sealed, :kana_sealed, :helper, :language, CAST(:services AS jsonb),
               CAST(:minutes AS integer), placed.parts, :from_step, :now, :now
        FROM placed WHERE placed.part = 1 AND (SELECT count(*) FROM placed) = placed.parts RETURNING counter),
    opened AS (
        INSERT INTO access (municipality, link_hash, appointment_id, code_hash, issued_at)
        SELECT :municipality, :link_hash, :appointment_id, :code_hash, :now FROM made),
    ended AS (
        UPDATE visit SET appointment_id = :appointment_id, code_sealed = :code_sealed, draft_sealed = NULL
        WHERE municipality = :municipality AND visit_id = :visit_id AND EXISTS (SELECT 1 FROM made)),
    answered AS (
        INSERT INTO idempotency (municipality, owner, key, request_hash, response, created_at)
        SELECT :municipality, :owner, :key, :request_hash, CAST(:response AS jsonb), :now FROM made
        ON CONFLICT (municipality, owner, key) DO NOTHING),
    prolonged AS (
        UPDATE due SET due_at = :code_ends_at, leased_until = NULL, attempts = 0
        WHERE (municipality, kind, ref) = (:municipality, :end_visit, :visit_ref) AND EXISTS (SELECT 1 FROM made)),
    marked AS ({MARK_DIRTY.format(changed="made")})
    SELECT (SELECT count(*) FROM made) AS made, (SELECT appointments FROM ahead) AS ahead
""")


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """An appointment that was just made: what the ledger and the others are to be told, when they are."""

    booked: Booked
    entries: list[Entry] = []
    fact: AppointmentBooked | None = None


async def book_appointment(session: AsyncSession, order: BookAppointment, keys: Keys, *, now: datetime) -> Booked:
    """Turn a held place into an appointment. Ordered again, it is the appointment that was made.

    Raises:
        Refusal: `visit_unknown` (404), `visit_over` (410), `hold_missing` (409), `hold_expired` (410),
            `too_many_appointments` (409); `slot_taken` (409) at a venue: no helper can be asked.
    """
    made = await make_appointment(session, order, keys, now=now)
    if made.fact is not None:
        await ledger.write(session, *made.entries, events=[made.fact])
        version = made.fact.aggregate_version
        await record_deed(session, order.staff, "book", made.booked.appointment_id, version=version, now=now)
    return made.booked


async def make_appointment(
    session: AsyncSession, order: BookAppointment, keys: Keys, *, helper_ref: str | None = None, now: datetime
) -> Made:
    """As `book_appointment`, and nobody is told yet. `helper_ref` is who is asked; None: any who can come."""
    look = {"municipality": order.municipality, "visit_id": order.visit_id}
    row = await _LOOK.row(session, look)
    if row is None or row.guest_ref != order.visitor:
        raise Refusal("visit_unknown", 404)
    if row.appointment_id is not None:
        made = look | {"appointment_id": row.appointment_id}
        return Made(booked=msgspec.convert((await session.execute(_MADE, made)).one(), Booked, from_attributes=True))
    if row.expires_at <= now or row.draft_sealed is None:
        raise Refusal("visit_over", 410)
    if row.hold_id is None:
        raise Refusal("hold_missing", 409)
    if row.held_until <= now:
        raise Refusal("hold_expired", 410)
    if row.wrapped_key is None:
        # The subject was erased while choosing: what they brought cannot be read any more.
        raise Refusal("visit_over", 410)
    await _lock_long_hold(session, order, parts=row.parts)
    booked = Booked(
        appointment_id=uuid4(),
        number=make_number(secrets.choice),
        procedure=row.procedure,
        counter=row.counter,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
    )
    access = SealedAccess(link_token=new_link_token(), code=new_code(CODE_LENGTH))
    draft = open_draft(keys, order.municipality, row.subject_ref, order.visit_id, row.wrapped_key, row.draft_sealed)
    values = look | seal_names(keys, order.municipality, booked.appointment_id, row, draft)
    context = subject_context(order.municipality, row.subject_ref)
    most = most_ahead(order, row)
    counted = await _BOOK.row(
        session,
        values
        | {
            "appointment_id": booked.appointment_id,
            "number": booked.number,
            "hold_id": row.hold_id,
            "services": None if row.services is None else msgspec.json.encode(row.services).decode(),
            "minutes": row.minutes,
            "from_step": row.from_step,
            "procedure": row.procedure,
            "counter": row.counter,
            "office": row.office,
            "starts_at": row.starts_at,
            "ends_at": row.ends_at,
            "day": row.starts_at.astimezone(JST).date(),
            "visitor": order.visitor,
            "subject_ref": row.subject_ref,
            "case_id": row.case_id,
            "contact_ref": row.contact_ref,
            "reach": row.reach,
            "helper": row.helper,
            "language": row.language,
            "link_hash": token_hash(access.link_token),
            "code_hash": keys.code_hash(booked.appointment_id, access.code),
            "code_sealed": keys.vault.seal(row.wrapped_key, context, f"code/{order.visit_id}", access.code),
            "owner": f"visit:{order.visit_id}",
            "key": check_key(order.key),
            "request_hash": request_hash("book", order.visit_id),
            "response": msgspec.json.encode(booked).decode(),
            "now": now,
            "settle_at": now + SETTLE,
            "max_open_appointments": most,
            # The code is shown for as long as a visit lives, counted from now.
            "end_visit": END_VISIT,
            "visit_ref": str(order.visit_id),
            "code_ends_at": now + VISIT_LIFETIME,
        },
    )
    if counted.made == 0:
        if counted.ahead >= most:
            raise Refusal("too_many_appointments", 409)
        raise Refusal("hold_expired", 410)
    state = MadeState(order.municipality, booked, row)
    state.services, state.minutes = row.services, row.minutes
    # A place at a venue is a helper who comes. Without one, all of this is undone.
    if row.helper == "asked":
        asked = await ask_helper(session, order.municipality, state, slot_id=row.slot_id, chosen=helper_ref, now=now)
        if asked is None:
            raise Refusal("slot_taken", 409)
    fact = msgspec.structs.replace(tell(AppointmentBooked, state, now=now), drawn=order.drawn)
    if row.contact_ref is not None:
        fact = msgspec.structs.replace(fact, sealed=seal_access(keys, access))
    return Made(booked=booked, entries=applied_entries(order, row, draft, keys, now=now), fact=fact)


async def _lock_long_hold(session: AsyncSession, order: BookAppointment, *, parts: int) -> None:
    """In the order in which a closing locks them (`commands/locking.py`)."""
    if parts > 1:
        await lock_places(session, order.municipality, visits=[order.visit_id])


def most_ahead(order: BookAppointment, row: Any) -> int:
    """How many appointments the order's visitor may have ahead of them."""
    if order.staff is not None or order.given_to is not None:
        return INTEGER_MAX
    return Policy().max_open_appointments if row.max_open_appointments is None else int(row.max_open_appointments)


class MadeState:
    """The public state of an appointment that was just made."""

    version, sequence, state, closure = 1, 0, "booked", "none"
    # Of an arrival for several errands, each is one procedure, once.
    services: Any = None
    minutes: int | None = None
    # Whoever is asked has not accepted yet.
    helper_ref: str | None = None

    def __init__(self, municipality: str, booked: Booked, row: Any, *, chain_id: UUID | None = None) -> None:
        self.municipality, self.chain_id = municipality, chain_id
        for name in booked.__struct_fields__:
            setattr(self, name, getattr(booked, name))
        for name in ("subject_ref", "contact_ref", "case_id", "office", "helper", "language"):
            setattr(self, name, getattr(row, name))


def seal_names(keys: Keys, municipality: str, appointment_id: UUID, row: Any, draft: Draft) -> dict[str, bytes | None]:
    """Name and kana for calling, sealed with the subject's key for this appointment; None for what was declined."""
    context = subject_context(municipality, row.subject_ref)
    sealed: dict[str, bytes | None] = {}
    for item in (NAME, KANA):
        value = draft.value(item)
        sealed[f"{item}_sealed"] = (
            None if value is None else keys.vault.seal(row.wrapped_key, context, f"{item}/{appointment_id}", value)
        )
    return sealed


def applied_entries(order: BookAppointment, row: Any, draft: Draft, keys: Keys, *, now: datetime) -> list[Entry]:
    """One entry per approval: these items were used for calling, on the person's own request."""
    context = subject_context(order.municipality, row.subject_ref)
    by_approval: dict[UUID, list[Any]] = defaultdict(list)
    for item in draft.items:
        if item.key in (NAME, KANA):
            by_approval[item.approval_id].append(item)
    return [
        Entry(
            entry_id=uuid4(),
            municipality=order.municipality,
            occurred_at=now,
            entry_type="applied",
            subject_ref=row.subject_ref,
            actor_kind=(order.given_to or "guest") if order.staff is None else order.staff.kind,
            actor_ref=order.visitor,
            office=row.office or None,
            source_procedure=row.procedure,
            source_case=row.case_id,
            source_step=STEP_COLLECTED,
            target_service="booking",
            target_procedure=row.procedure,
            target_case=row.case_id,
            target_step=STEP_CALLING,
            requested_at=row.passed_at,
            provided_at=row.arrived_at,
            items=tuple(item.key for item in items),
            commitments={
                item.key: keys.vault.commitment(row.wrapped_key, context, item.key, item.value) for item in items
            },
            # As it was approved. A pass of before does not say.
            purpose=items[0].purpose or (MEETING_PURPOSE if row.helper == "asked" else CALLING_PURPOSE),
            legal_basis=LEGAL_BASIS,
            explicit_request=True,
            correlation=approval_id,
        )
        for approval_id, items in by_approval.items()
    ]
