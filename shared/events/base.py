"""What every event has. Facts are past tense; they carry ids, times, codes and versions, never personal data."""

from datetime import datetime
from uuid import UUID

import msgspec


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Something that happened. The aggregate's whole public state travels with it, and its version.

    A projection applies higher versions and ignores lower ones; who must act on each event keys by `event_id`.
    """

    event_id: UUID
    municipality: str
    aggregate_id: str
    aggregate_version: int
    occurred_at: datetime
    # What one consumer must know of a person, encrypted to that consumer (`shared.crypto.ServiceBox`).
    sealed: str | None = None


def event_type(kind: type[Event]) -> str:
    """The name an event travels under, such as `booking.appointment_booked.v1`."""
    return str(kind.__struct_config__.tag)
