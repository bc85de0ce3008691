"""Several errands of one arrival in the line: which of them can be called now that their people are here."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol, TypeVar
from uuid import UUID

from services.booking.domain.line import PRESENT, State

# Who has so long until the next may well go home, or eat: they are checked in when they come again.
READY_WITHIN = timedelta(minutes=60)


class Part(Protocol):
    """An appointment of an arrival."""

    @property
    def appointment_id(self) -> UUID: ...
    @property
    def procedure(self) -> str: ...
    @property
    def chain_person(self) -> int: ...
    @property
    def state(self) -> State: ...
    @property
    def closure(self) -> str: ...
    @property
    def starts_at(self) -> datetime: ...
    @property
    def after(self) -> Sequence[str]: ...


P = TypeVar("P", bound=Part)


def ready_parts(parts: Sequence[P], *, now: datetime) -> list[P]:
    """Of the parts of an arrival on a day, in the order of their times: each person's next, if its turn can come.

    Nobody waits at two counters at once; what comes after something else waits until that is done.
    """
    done = {part.procedure for part in parts if part.state in ("done", "cancelled")}
    open_yet = {part.procedure for part in parts} - done
    busy = {part.chain_person for part in parts if part.state in PRESENT}
    ready = []
    for part in parts:
        if part.state != "booked" or part.chain_person in busy:
            continue
        # One after another, as they were planned: what comes later does not overtake.
        busy.add(part.chain_person)
        is_soon = part.starts_at - now <= READY_WITHIN
        if part.closure == "none" and is_soon and open_yet.isdisjoint(part.after):
            ready.append(part)
    return ready
