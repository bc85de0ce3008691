"""An appointment as its owner sees it, and the town's facts printed beside it."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.domain.line import State
from services.booking.queries.services import NAMED_SERVICES, NamedService
from services.booking.queries.slots import Channel
from shared.events.booking import ClosureState, HelperState


class AppointmentView(msgspec.Struct, frozen=True, kw_only=True):
    """Without name or code. Counter and procedure as the catalogue calls them now."""

    appointment_id: UUID
    number: str
    kind: str
    state: State
    version: int
    sequence: int
    procedure: str
    procedure_name: str
    discreet: bool
    minutes: int
    fee_yen: int
    bring: tuple[str, ...]
    counter: str
    counter_number: str
    counter_name: str
    counter_place: str
    office: str
    slot_id: UUID | None
    starts_at: datetime
    ends_at: datetime
    changed_at: datetime
    guest_ref: str | None
    visit_id: UUID | None
    case_id: UUID | None
    contact_ref: UUID | None
    reach: str
    ticket_counter: str | None
    ticket_no: int | None
    called_at: datetime | None
    chain_id: UUID | None
    helper: HelperState
    closure: ClosureState
    # What is done in it, its procedure first; without: its procedure, once.
    services: tuple[NamedService, ...] = ()

    @property
    def channel(self) -> Channel:
        """What it was booked as: a counter's time, or a helper's."""
        return "counter" if self.helper == "none" else "helper"


class TownFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a slip says of the town."""

    name_ja: str
    phone: str
    host: str
    address_ja: str


_SELECT = f"""
    SELECT a.appointment_id, a.number, a.kind, a.state, a.version, a.sequence, a.procedure,
           coalesce(p.name_ja, a.procedure) AS procedure_name, coalesce(p.discreet, true) AS discreet,
           coalesce(a.minutes, p.minutes, 0) AS minutes, coalesce(p.fee_yen, 0) AS fee_yen,
           coalesce(p.bring, '{{}}') AS bring, coalesce({NAMED_SERVICES}, CAST('[]' AS jsonb)) AS services,
           a.counter, coalesce(c.number, a.counter) AS counter_number, coalesce(c.name_ja, a.counter) AS counter_name,
           coalesce(c.place_ja, '') AS counter_place, a.office, a.slot_id, a.starts_at, a.ends_at, a.changed_at,
           a.guest_ref, a.visit_id, a.case_id, a.contact_ref, a.reach, a.ticket_counter, a.ticket_no, a.called_at,
           a.helper, a.closure, a.chain_id
    FROM appointment a
    LEFT JOIN procedure p ON (p.municipality, p.code) = (a.municipality, a.procedure)
    LEFT JOIN counter c ON (c.municipality, c.code) = (a.municipality, a.counter)
"""
_BY_NUMBER = text(f"{_SELECT} WHERE (a.municipality, a.number) = (:municipality, :number)")
_BY_ID = text(f"{_SELECT} WHERE (a.municipality, a.appointment_id) = (:municipality, :appointment_id)")
_TOWN = text("SELECT name_ja, phone, host, address_ja FROM town_facts WHERE municipality = :municipality")


async def find_appointment(session: AsyncSession, municipality: str, number: str) -> AppointmentView | None:
    """An appointment by its canonical number."""
    row = (await session.execute(_BY_NUMBER, {"municipality": municipality, "number": number})).one_or_none()
    return _view(row) if row else None


async def find_appointment_by_id(
    session: AsyncSession, municipality: str, appointment_id: UUID
) -> AppointmentView | None:
    """An appointment by its id."""
    key = {"municipality": municipality, "appointment_id": appointment_id}
    row = (await session.execute(_BY_ID, key)).one_or_none()
    return _view(row) if row else None


def _view(row: Any) -> AppointmentView:
    found = msgspec.convert(row, AppointmentView, from_attributes=True)
    if not found.services:
        return found
    # All of it costs as much, needs all of these, and tells as little as what tells least.
    return msgspec.structs.replace(
        found,
        discreet=any(each.discreet for each in found.services),
        fee_yen=sum(each.fee_yen * each.quantity for each in found.services),
        bring=tuple(dict.fromkeys(thing for each in found.services for thing in each.bring)),
    )


async def find_town_facts(session: AsyncSession, municipality: str) -> TownFacts:
    """The town's name, phone and host; empty until the catalogue has arrived."""
    row = (await session.execute(_TOWN, {"municipality": municipality})).one_or_none()
    if row is None:
        return TownFacts(name_ja="", phone="", host="", address_ja="")
    return msgspec.convert(row, TownFacts, from_attributes=True)
