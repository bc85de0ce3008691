"""A visit as its visitor sees it."""

from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.visits import KANA, NAME, open_draft
from services.booking.domain.services import Service
from services.booking.keys import Keys, subject_context
from services.booking.queries.runs import HELD_UNTIL_THE_END
from services.booking.queries.services import read_services
from services.booking.queries.slots import Channel
from services.booking.queries.untold import UNTOLD
from shared.crypto import SealBroken
from shared.errors import Refusal

OTHERS_MAX = 5


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """What a visit holds, a place or several; nobody else can take it until `held_until`."""

    held_until: datetime

    def is_live(self, now: datetime) -> bool:
        """Whether nobody else can take it now."""
        return self.held_until > now


class HeldSlot(Held, frozen=True, kw_only=True):
    """The place that a visit holds; or several in a row, from the first slot to the end of the last."""

    slot_id: UUID
    counter: str
    starts_at: datetime
    ends_at: datetime


class VisitView(msgspec.Struct, frozen=True, kw_only=True):
    """What the pages need of a visit. `code` only after booking, while the visit lives."""

    visit_id: UUID
    case_id: UUID
    procedure: str
    reach: str
    channel: Channel
    behalf: str | None
    expires_at: datetime
    appointment_id: UUID | None
    number: str | None
    held: HeldSlot | None
    # What is done in one appointment, and how long it takes; without: its procedure, once.
    services: tuple[Service, ...] = ()
    minutes: int | None = None
    name: str | None = None
    kana: str | None = None
    code: str | None = None


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a visit is for: what is done, and how long it takes where that is not a time of its counter as it is."""

    procedure: str
    channel: Channel
    services: tuple[Service, ...]
    minutes: int | None


class OtherAppointment(msgspec.Struct, frozen=True, kw_only=True):
    """An appointment that its owner may have forgotten."""

    number: str
    starts_at: datetime
    procedure: str
    procedure_name: str
    is_same_procedure: bool
    # It is of the same case by another channel: booking this one takes its place.
    is_replaced: bool = False


_VISIT = text(f"""
    SELECT v.visit_id, v.guest_ref, v.subject_ref, v.case_id, v.procedure, v.reach, v.channel, v.behalf, v.expires_at,
           v.appointment_id,
           v.draft_sealed, v.code_sealed, k.wrapped_key, a.number,
           v.services, v.minutes, p.slot_id, p.held_until, s.counter, s.starts_at, {HELD_UNTIL_THE_END} AS ends_at
    FROM visit v
    LEFT JOIN subject_key k ON (k.municipality, k.subject_ref) = (v.municipality, v.subject_ref)
    LEFT JOIN appointment a ON (a.municipality, a.appointment_id) = (v.municipality, v.appointment_id)
    LEFT JOIN place p ON p.municipality = v.municipality AND p.visit_id = v.visit_id AND p.hold_id IS NOT NULL
                     AND p.part = 1
    LEFT JOIN slot s ON (s.municipality, s.slot_id) = (p.municipality, p.slot_id)
    WHERE v.municipality = :municipality AND v.visit_id = :visit_id
""")


_WANTED = text("""
    SELECT procedure, channel, services, minutes FROM visit
    WHERE (municipality, visit_id) = (:municipality, :visit_id) AND guest_ref = :visitor
""")


# The index of the guest's open appointments; of one who books for many (staff), only those for the same person.
_OTHERS = text(f"""
    SELECT a.number, a.starts_at, a.procedure, coalesce(p.name_ja, a.procedure) AS procedure_name,
           a.procedure = v.procedure AS is_same_procedure,
           coalesce(a.case_id = v.case_id AND (a.helper = 'none') <> (v.channel = 'counter') AND a.chain_id IS NULL
                    AND (a.services IS NULL OR jsonb_array_length(a.services) <= 1), false) AS is_replaced
    FROM visit v
    JOIN LATERAL (
        SELECT min(s.starts_at) AS starts_at, max(s.ends_at) AS ends_at
        FROM place h JOIN slot s ON (s.municipality, s.slot_id) = (h.municipality, h.slot_id)
        WHERE h.municipality = v.municipality AND h.visit_id = v.visit_id AND h.hold_id IS NOT NULL
        HAVING count(*) > 0) AS s ON true
    JOIN appointment a ON a.municipality = v.municipality AND a.guest_ref = v.guest_ref AND a.state = 'booked'
                      AND a.starts_at > :now AND NOT {UNTOLD.format(row="a")}
    LEFT JOIN procedure p ON (p.municipality, p.code) = (a.municipality, a.procedure)
    WHERE v.municipality = :municipality AND v.visit_id = :visit_id AND v.guest_ref = :visitor
      AND v.appointment_id IS NULL AND (a.subject_ref = v.subject_ref OR NOT :for_many)
      AND (a.procedure = v.procedure OR (a.starts_at < s.ends_at AND s.starts_at < a.ends_at))
    ORDER BY a.starts_at, a.number LIMIT {OTHERS_MAX}
""")
_NEWER = text("""
    SELECT n.visit_id FROM visit v
    JOIN visit n ON n.municipality = v.municipality AND n.case_id = v.case_id AND n.guest_ref = v.guest_ref
    WHERE v.municipality = :municipality AND v.visit_id = :visit_id AND v.guest_ref = :visitor
      AND n.visit_id <> v.visit_id AND (n.expires_at > :now OR n.appointment_id IS NOT NULL)
    ORDER BY n.arrived_at DESC LIMIT 1
""")


async def find_wanted(session: AsyncSession, municipality: str, visit_id: UUID, visitor: str) -> Wanted:
    """What a visit of this visitor is for: nothing that is sealed is opened.

    Raises:
        Refusal: `visit_unknown` (404), also when it is somebody else's.
    """
    asked = {"municipality": municipality, "visit_id": visit_id, "visitor": visitor}
    row = (await session.execute(_WANTED, asked)).one_or_none()
    if row is None:
        raise Refusal("visit_unknown", 404)
    services = read_services(row.services)
    return Wanted(procedure=row.procedure, channel=row.channel, services=services, minutes=row.minutes)


async def list_other_appointments(
    session: AsyncSession, municipality: str, visit_id: UUID, visitor: str, *, for_many: bool, now: datetime
) -> list[OtherAppointment]:
    """What the visitor has booked already: of the same procedure, or at the time that the visit holds."""
    asked = {
        "municipality": municipality,
        "visit_id": visit_id,
        "visitor": visitor,
        "for_many": for_many,
        "now": now,
    }
    rows = (await session.execute(_OTHERS, asked)).all()
    return [msgspec.convert(row, OtherAppointment, from_attributes=True) for row in rows]


async def find_newer_visit(
    session: AsyncSession, municipality: str, visit_id: UUID, visitor: str, *, now: datetime
) -> UUID | None:
    """The visit that took the place of one that has ended: the same case, with another pass."""
    asked = {"municipality": municipality, "visit_id": visit_id, "visitor": visitor, "now": now}
    newer: UUID | None = (await session.execute(_NEWER, asked)).scalar_one_or_none()
    return newer


async def get_visit(session: AsyncSession, municipality: str, visit_id: UUID, visitor: str, keys: Keys) -> VisitView:
    """A visit of this visitor.

    Raises:
        Refusal: `visit_unknown` (404), also when it is somebody else's.
    """
    row = (await session.execute(_VISIT, {"municipality": municipality, "visit_id": visit_id})).one_or_none()
    if row is None or row.guest_ref != visitor:
        raise Refusal("visit_unknown", 404)
    held = None
    if row.slot_id is not None:
        held = HeldSlot(
            slot_id=row.slot_id,
            counter=row.counter,
            starts_at=row.starts_at,
            ends_at=row.ends_at,
            held_until=row.held_until,
        )
    view = VisitView(
        visit_id=row.visit_id,
        case_id=row.case_id,
        procedure=row.procedure,
        reach=row.reach,
        channel=row.channel,
        behalf=row.behalf,
        expires_at=row.expires_at,
        appointment_id=row.appointment_id,
        number=row.number,
        held=held,
        services=read_services(row.services),
        minutes=row.minutes,
    )
    if row.wrapped_key is None:
        return view
    if row.draft_sealed is not None:
        draft = open_draft(keys, municipality, row.subject_ref, visit_id, row.wrapped_key, row.draft_sealed)
        return msgspec.structs.replace(view, name=draft.value(NAME), kana=draft.value(KANA))
    if row.code_sealed is not None:
        context = subject_context(municipality, row.subject_ref)
        return msgspec.structs.replace(
            view, code=_open(keys, row.wrapped_key, context, f"code/{visit_id}", row.code_sealed)
        )
    return view


def _open(keys: Keys, wrapped_key: bytes, context: str, field: str, sealed: bytes) -> str | None:
    try:
        return keys.vault.open(wrapped_key, context, field, sealed)
    except SealBroken:
        return None
