"""What booking publishes."""

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from shared.events.base import Event

State = Literal["booked", "checked_in", "called", "serving", "done", "no_show", "cancelled"]
# At a counter there is no helper to be found. `nobody`: all were asked, and none can come.
HelperState = Literal["none", "asked", "accepted", "nobody"]
# A closing covers its time: the person was asked to move it, or staff are to see to it. What moves or ends is `none`.
ClosureState = Literal["none", "asked", "staff"]
# `lost`: it waits, should a seat be given back. `won`: one was.
DrawEntryState = Literal["lost", "called_off", "won"]


class BookedService(msgspec.Struct, frozen=True, kw_only=True):
    """A procedure of an appointment, and how many of it."""

    procedure: str
    quantity: int


class _AppointmentEvent(Event, frozen=True, kw_only=True):
    """The whole public state of an appointment; `sealed` holds `SealedAccess` for notifications.

    `number` is the reference that people read over the phone; it opens nothing by itself.
    The aggregate is the appointment.
    """

    appointment_id: UUID
    number: str
    subject_ref: UUID | None
    contact_ref: UUID | None
    case_id: UUID | None
    procedure: str
    office: str
    counter: str
    starts_at: datetime
    ends_at: datetime
    state: State
    # The calendar file's SEQUENCE: rises with every change of time or place.
    sequence: int
    helper: HelperState = "none"
    # One arrival for several procedures. What is done with several of its appointments at once, one of them tells: of
    # how many (`together`), and until when it takes; the facts of the others say 0, and nobody is told of them.
    chain_id: UUID | None = None
    together: int = 1
    together_until: datetime | None = None
    # What is done in it and how many of each, its procedure first, and how long it takes; without: its procedure, once.
    services: tuple[BookedService, ...] = ()
    minutes: int | None = None
    # The account of the helper who comes, once they have accepted.
    helper_ref: str | None = None


class AppointmentBooked(_AppointmentEvent, frozen=True, kw_only=True, tag="booking.appointment_booked.v1"):
    """A held place became an appointment."""

    # Given out by a draw.
    drawn: bool = False


class AppointmentChanged(_AppointmentEvent, frozen=True, kw_only=True, tag="booking.appointment_changed.v1"):
    """The appointment moved to another time or place; the old place is free again. Link and code stay."""


class AppointmentCancelled(_AppointmentEvent, frozen=True, kw_only=True, tag="booking.appointment_cancelled.v1"):
    """The appointment will not take place; its place is free again."""


class AppointmentProgressed(_AppointmentEvent, frozen=True, kw_only=True, tag="booking.appointment_progressed.v1"):
    """The person was checked in, called, served, or did not come; a helper was found; or a closing covers its time."""

    closure: ClosureState = "none"
    # The other time that is kept for them, and until when: instead of a closed one, or an earlier one they waited for.
    offer_starts_at: datetime | None = None
    offer_until: datetime | None = None


# What a helper is told: asked to meet somebody; asked together with others, of whom the first who accepts comes
# (`cover`); it will not take place; it is at another time; it is soon; and what a coordinator writes to a group.
# `over`: there is nothing more to say of it, and what waits to be sent is not.
# `placed`: they teach, or assist, in a class.
HelperMatter = Literal["offer", "cover", "cancelled", "changed", "reminder", "message", "over", "placed"]


class HelperTold(Event, frozen=True, kw_only=True, tag="booking.helper_told.v1"):
    """A helper is to be told something, by the way that they chose. The aggregate is what is told (`told_id`).

    `about`: the appointment, the asking of several at once, or the session of a class; a later word on the same
    overtakes what is not sent yet.
    `answer_by`: until when an answer is waited for. `sealed` holds `SealedMessage` for notifications, of messages only.
    """

    told_id: UUID
    helper_ref: str
    matter: HelperMatter
    assignment_id: UUID | None = None
    venue: str = ""
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    answer_by: datetime | None = None
    about: UUID | None = None


class SealedMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Inside `HelperTold.sealed`, purpose `helper_message`: what a coordinator wrote."""

    subject: str
    body: str


# `open`: a helper is looked for; `met`: there is an appointment; `unmet`: nobody was found in time.
HelpRequestState = Literal["open", "met", "unmet", "withdrawn"]


class ClassHint(msgspec.Struct, frozen=True, kw_only=True):
    """A class that somebody may go to: what it is called, where and when it begins."""

    title_ja: str
    venue_ja: str
    starts_at: datetime


class HelpRequestProgressed(Event, frozen=True, kw_only=True, tag="booking.help_request_progressed.v1"):
    """Somebody asked for a helper without choosing a time; how it stands. The aggregate is the request.

    Who is met has an appointment (`AppointmentBooked`) or a seat in a class (`ClassEntryProgressed`). `classes` are
    those that fit, while nobody was found. `topic` is a code of the town's; empty: it is for `procedure`.
    `sealed` holds `SealedAccess` for notifications, once, with the first.
    """

    request_id: UUID
    number: str
    subject_ref: UUID | None
    contact_ref: UUID | None
    case_id: UUID | None
    procedure: str
    topic: str
    state: HelpRequestState
    until: datetime
    classes: tuple[ClassHint, ...] = ()


# `waiting`: on the list, should a seat be given back; `offered` one, to be taken in time; `lost` in the draw.
ClassEntryState = Literal["entered", "waiting", "offered", "lost", "withdrawn", "called_off"]


class ClassEntryProgressed(Event, frozen=True, kw_only=True, tag="booking.class_entry_progressed.v1"):
    """Somebody's seat in a class (教室), as it stands now. The aggregate is the entry.

    `is_asked`: they asked for help, and this class may be it. `is_changed`: not their seat has changed, but when or
    where the class is.

    `sealed` holds `SealedAccess` for notifications, once, with the first.
    """

    entry_id: UUID
    class_id: UUID
    number: str
    subject_ref: UUID | None
    contact_ref: UUID | None
    title_ja: str
    venue: str
    starts_at: datetime
    ends_at: datetime
    state: ClassEntryState
    offer_until: datetime | None = None
    is_asked: bool = False
    is_changed: bool = False


class TurnNear(Event, frozen=True, kw_only=True, tag="booking.turn_near.v1"):
    """Only so many are `before` somebody who waits at a counter as the town tells them of. Told once of an appointment.

    The aggregate is the appointment. `ticket` is the number in their hand.
    """

    appointment_id: UUID
    counter: str
    ticket: str
    before: int


class SealedAccess(msgspec.Struct, frozen=True, kw_only=True):
    """Inside an appointment's `sealed`, purpose `access`: the way to open it. Stored by booking as hashes only."""

    link_token: str
    code: str


class OwnEarliest(msgspec.Struct, frozen=True, kw_only=True):
    """The earliest free public place for a procedure with a notice or a horizon of its own; None: none within them."""

    procedure: str
    earliest_at: datetime | None


class AvailabilityChanged(Event, frozen=True, kw_only=True, tag="booking.availability_changed.v1"):
    """The earliest free public place of a counter, as of `as_of`; None when the whole horizon is full.

    The aggregate is the counter.
    """

    counter: str
    earliest_at: datetime | None
    as_of: datetime
    # For the procedures that have a notice or a horizon of their own.
    own: tuple[OwnEarliest, ...] = ()


class SwitchWished(Event, frozen=True, kw_only=True, tag="booking.switch_wished.v1"):
    """A helper, who is with the person, says by which channel they want to go on. The aggregate is the case.

    To a counter: at which one it is free first, and when. Without: nowhere.
    """

    case_id: UUID
    channel: Literal["online", "counter"]
    counter: str = ""
    starts_at: datetime | None = None


class SubjectErasureDone(Event, frozen=True, kw_only=True, tag="booking.subject_erasure_done.v1"):
    """Booking has nothing of the person any more. The aggregate is the erasure; whose it was is not said."""

    erasure_id: UUID


class DrawEntryProgressed(Event, frozen=True, kw_only=True, tag="booking.draw_entry_progressed.v1"):
    """An entry to a draw did not win, or its draw was called off; or a seat came to it later, after all.

    Who wins has an appointment: `AppointmentBooked`. The aggregate is the entry. Its ticket, which is published with
    the result, travels in `sealed` (`SealedTicket`) only: nobody shall lay ticket and person side by side.
    """

    entry_id: UUID
    draw_id: UUID
    subject_ref: UUID
    contact_ref: UUID | None
    case_id: UUID
    procedure: str
    office: str
    state: DrawEntryState


class SealedTicket(msgspec.Struct, frozen=True, kw_only=True):
    """Inside an entry's `sealed`, purpose `ticket`: the number that its owner knows it by."""

    ticket: str
