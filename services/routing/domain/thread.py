"""The thread of a case (案件のながれ): what happened in it, out of what is known, and where it stands. Pure.

In whatever order they have arrived, the same facts make the same thread.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Literal, Protocol

import msgspec

from services.routing.domain.applications import CLOSED, State
from shared.clock import jst_day

LIVE = frozenset({"booked", "checked_in", "called", "serving"})
# What happens to an appointment when its state changes. Back in the line after a call is nothing that happened.
_REACHED = {
    "checked_in": "arrived",
    "called": "called",
    "serving": "serving",
    "done": "done",
    "no_show": "no_show",
    "cancelled": "cancelled",
}
_ORDER = {"booked": 0, "checked_in": 1, "called": 2, "serving": 3, "done": 4, "no_show": 4, "cancelled": 4}

Who = Literal["you", "staff", "office", "place", "helper", "town", ""]
Standing = Literal["open", "booked", "sent", "over", "closed"]


class CaseStep(msgspec.Struct, frozen=True, kw_only=True):
    """How a case began, went over to another channel, or was closed. `version` is the case's.

    `said`: who said that it goes on by another channel (`domain/switching.py`); empty where nobody wrote it down.
    """

    version: int
    kind: str
    channel: str
    actor_kind: str
    occurred_at: datetime
    said: str = ""
    office: str | None = None


class ApplicationStep(msgspec.Struct, frozen=True, kw_only=True):
    """A state that the case's application reached."""

    version: int
    state: State
    occurred_at: datetime
    actor_kind: str
    office: str | None


class AppointmentStep(msgspec.Struct, frozen=True, kw_only=True):
    """A state of an appointment, as booking told it."""

    number: str
    version: int
    office: str
    counter: str
    starts_at: datetime
    state: str
    helper: str
    closure: str
    occurred_at: datetime


# As notifications calls a way of the case's contact: it leads nowhere (`not_delivered`), or does again.
CONTACT_WAY = "contact_way"


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a notice."""

    kind: str
    way: str
    state: str
    occurred_at: datetime


class ItemsUsed(msgspec.Struct, frozen=True, kw_only=True):
    """Items that were given, used again or handed over, by name."""

    kind: Literal["given", "reused", "handed_over"]
    items: tuple[str, ...]
    actor_kind: str
    office: str | None
    occurred_at: datetime


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened. Which fields are filled in depends on `kind`."""

    at: datetime
    kind: str
    who: Who
    office: str | None = None
    channel: str = ""
    number: str = ""
    starts_at: datetime | None = None
    counter: str = ""
    items: tuple[str, ...] = ()
    # How many, of what has no names.
    count: int = 0
    notice: str = ""
    way: str = ""
    # Who said that it goes on by another channel, where it was not its person.
    said: str = ""


def make_thread(
    *,
    case_steps: Iterable[CaseStep] = (),
    application_steps: Iterable[ApplicationStep] = (),
    appointment_steps: Iterable[AppointmentStep] = (),
    notices: Iterable[Notice] = (),
    used: Iterable[ItemsUsed] = (),
    others: Iterable[Entry] = (),
    feedback_at: datetime | None = None,
    left_at: datetime | None = None,
) -> tuple[Entry, ...]:
    """All that happened, the newest first. `others`: what is told as it stands in its row.

    `left_at`: when it was counted as given up because nobody went on.
    """
    told = [
        *(_of_case(step) for step in sorted(case_steps, key=lambda step: step.version)),
        *sorted((_of_items(each) for each in used), key=msgspec.json.encode),
        *sorted(others, key=msgspec.json.encode),
        *(_of_application(step) for step in sorted(application_steps, key=lambda step: step.version)),
        *_of_appointments(appointment_steps),
        *sorted((_of_notice(each) for each in notices), key=msgspec.json.encode),
    ]
    if feedback_at is not None:
        told.append(Entry(at=feedback_at, kind="feedback", who="you"))
    if left_at is not None and not any(entry.kind == "closed" for entry in told):
        told.append(Entry(at=left_at, kind="left", who=""))
    # Of one moment in the order above: no page differs from the one before.
    return tuple(sorted(told, key=lambda entry: entry.at)[::-1])


class Time(Protocol):
    """An appointment, as far as it decides where its case stands."""

    @property
    def state(self) -> str: ...
    @property
    def helper(self) -> str: ...
    @property
    def starts_at(self) -> datetime: ...
    @property
    def ends_at(self) -> datetime: ...


def is_live(time: Time, now: datetime) -> bool:
    """Whether it lies ahead, or its person is there. Whom staff have called is there still; what nobody reported the
    end of is over with its day."""
    if time.state == "booked":
        return time.ends_at > now
    return time.state in LIVE and (time.ends_at > now or jst_day(time.starts_at) >= jst_day(now))


def deciding_states(times: Iterable[Time], channel: str, now: datetime) -> list[str]:
    """The states of the appointments that decide where a case of this channel stands: of its own ones, and of what was
    done at a counter. A time that went by with nobody saying how is missed."""
    return [
        each.state if is_live(each, now) or each.state not in LIVE else "no_show"
        for each in times
        if channel == ("counter" if each.helper == "none" else "helper")
        or (each.helper == "none" and each.state == "done")
    ]


def find_standing(
    *,
    case_state: str,
    application_state: State | None,
    appointment_states: Sequence[str],
    is_closed: bool,
) -> Standing:
    """Where a case stands. `appointment_states`: those that decide it; `is_closed`: its person gave it up, and has not
    gone on since."""
    if any(state in LIVE for state in appointment_states):
        return "booked"
    is_sent = application_state is not None and application_state not in CLOSED
    if is_sent and case_state == "submitted":
        return "sent"
    if is_closed:
        return "closed"
    if not is_sent and (application_state is not None or appointment_states):
        return "over"
    # Also an application whose person was asked to come, and is on the way to a time.
    return "open"


def may_close(standing: Standing, application_state: State | None, *, is_booked: bool) -> bool:
    """Whether the person may give it up: neither an appointment, by whichever channel, nor an application waits."""
    return standing == "open" and not is_booked and (application_state is None or application_state in CLOSED)


def _of_case(step: CaseStep) -> Entry:
    who: Who = "you" if step.actor_kind == "guest" or step.said == "self" else "staff" if step.actor_kind else ""
    said = "" if step.said == "self" else step.said
    return Entry(at=step.occurred_at, kind=step.kind, who=who, channel=step.channel, said=said, office=step.office)


def _of_application(step: ApplicationStep) -> Entry:
    by_office = step.state not in ("submitted", "withdrawn")
    who: Who = "office" if by_office else "staff" if step.actor_kind == "staff" else "you"
    # Sent once more, it is the answer to what the office asked.
    kind = "answered" if step.state == "submitted" and step.version > 1 else step.state
    return Entry(at=step.occurred_at, kind=kind, who=who, office=step.office)


def _of_notice(notice: Notice) -> Entry:
    if notice.kind == CONTACT_WAY:
        kind = "way_dead" if notice.state == "not_delivered" else "way_good"
        return Entry(at=notice.occurred_at, kind=kind, who="", way=notice.way)
    return Entry(at=notice.occurred_at, kind=f"notice_{notice.state}", who="town", notice=notice.kind, way=notice.way)


def _of_items(used: ItemsUsed) -> Entry:
    who: Who = "staff" if used.actor_kind == "staff" else "you"
    return Entry(at=used.occurred_at, kind=used.kind, who=who, office=used.office, items=used.items)


def _of_appointments(steps: Iterable[AppointmentStep]) -> list[Entry]:
    found: list[Entry] = []
    before: AppointmentStep | None = None
    ordered = sorted(steps, key=lambda step: (step.number, step.version))
    for step in ordered:
        found += _between(before if before and before.number == step.number else None, step)
        before = step
    return found


def _between(before: AppointmentStep | None, step: AppointmentStep) -> list[Entry]:
    """What happened from one state to the next that is known; those between may still be under way."""
    with_helper = step.helper != "none"

    def entry(kind: str, who: Who = "") -> Entry:
        return Entry(
            at=step.occurred_at, kind=kind, who=who, number=step.number, starts_at=step.starts_at, counter=step.counter,
            office=step.office,
        )  # fmt: skip

    there: Who = "helper" if with_helper else "place"
    found = []
    if before is None and step.state == "booked":
        found.append(entry("booked"))
    elif before is not None and (before.starts_at, before.counter) != (step.starts_at, step.counter):
        found.append(entry("moved"))
    if step.helper != (before.helper if before else "none") and step.helper in ("accepted", "nobody"):
        found.append(entry("helper_found" if step.helper == "accepted" else "helper_nobody", "town"))
    closed_before = before is not None and before.closure != "none"
    if (step.closure != "none") != closed_before and step.state == "booked":
        if step.closure != "none":
            found.append(entry("closure", "town"))
        elif not found:
            found.append(entry("reopened", "town"))
    if step.state in _REACHED and (before is None or _ORDER[step.state] > _ORDER[before.state]):
        found.append(entry(_REACHED[step.state], "" if step.state == "cancelled" else there))
    elif step.state == "called" and before is not None and before.state != "called":
        found.append(entry("called", there))
    return found
