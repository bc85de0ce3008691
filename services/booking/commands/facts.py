"""Telling the others what became of an appointment."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID, uuid4

import msgspec

from services.booking.domain.line import State
from services.booking.keys import Keys
from shared.events.booking import (
    AppointmentBooked,
    AppointmentCancelled,
    AppointmentChanged,
    AppointmentProgressed,
    BookedService,
    ClosureState,
    HelperState,
    SealedAccess,
)

ACCESS_PURPOSE = "access"
Fact = type[AppointmentBooked | AppointmentChanged | AppointmentCancelled | AppointmentProgressed]


class AppointmentState(Protocol):
    """A row of `appointment`, or anything with its public columns."""

    municipality: str
    appointment_id: UUID
    number: str
    version: int
    sequence: int
    state: State
    subject_ref: UUID | None
    contact_ref: UUID | None
    case_id: UUID | None
    procedure: str
    office: str
    counter: str
    starts_at: datetime
    ends_at: datetime
    helper: HelperState
    helper_ref: str | None
    closure: ClosureState
    chain_id: UUID | None
    services: Any
    minutes: int | None


def tell(kind: Fact, row: AppointmentState | Any, *, sealed: str | None = None, now: datetime) -> Any:
    """The event with the appointment's whole public state. What a closing covers can only progress."""
    told = kind(
        event_id=uuid4(),
        municipality=row.municipality,
        aggregate_id=str(row.appointment_id),
        aggregate_version=row.version,
        occurred_at=now,
        sealed=sealed,
        appointment_id=row.appointment_id,
        number=row.number,
        subject_ref=row.subject_ref,
        contact_ref=row.contact_ref,
        case_id=row.case_id,
        procedure=row.procedure,
        office=row.office,
        counter=row.counter,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        state=row.state,
        sequence=row.sequence,
        helper=row.helper,
        helper_ref=row.helper_ref,
        chain_id=row.chain_id,
        services=msgspec.convert(row.services or (), tuple[BookedService, ...]),
        minutes=row.minutes,
    )
    return msgspec.structs.replace(told, closure=row.closure) if isinstance(told, AppointmentProgressed) else told


def tell_as_one(facts: Sequence[Any], *, until: datetime | None = None) -> list[Any]:
    """The facts of one deed on several appointments of an arrival: the first in time tells of all of them.

    `until` is when everything is done. The others only say what they are: their owner hears once.
    """
    lead = min(facts, key=lambda fact: (fact.starts_at, fact.number))
    return [
        msgspec.structs.replace(fact, together=len(facts), together_until=until if len(facts) > 1 else None)
        if fact is lead
        else msgspec.structs.replace(fact, together=0)
        for fact in facts
    ]


def tell_closure(
    row: AppointmentState | Any, offer: Any | None = None, *, together: int = 1, now: datetime
) -> AppointmentProgressed:
    """The event of an appointment that a closing covers, or covers no more; or of one whose owner waits for an earlier
    time. With the place that is kept for them, if one is."""
    told: AppointmentProgressed = msgspec.structs.replace(tell(AppointmentProgressed, row, now=now), together=together)
    if offer is None:
        return told
    return msgspec.structs.replace(told, offer_starts_at=offer.starts_at, offer_until=offer.until)


def seal_access(keys: Keys, access: SealedAccess) -> str:
    """The way to open the appointment, for notifications' eyes only."""
    return keys.box.seal_for("notifications", ACCESS_PURPOSE, msgspec.msgpack.encode(access))
