"""Who hears what, on one page. A structure test checks that every consumer named here handles the event."""

from shared.events.base import Event, event_type
from shared.events.booking import (
    AppointmentBooked,
    AppointmentCancelled,
    AppointmentChanged,
    AppointmentProgressed,
    AvailabilityChanged,
    ClassEntryProgressed,
    DrawEntryProgressed,
    HelperTold,
    HelpRequestProgressed,
    SwitchWished,
    TurnNear,
)
from shared.events.booking import SubjectErasureDone as BookingErasureDone
from shared.events.ledger import CheckpointMade, ReuseRecorded
from shared.events.notifications import NoticeProgressed
from shared.events.notifications import SubjectErasureDone as NotificationsErasureDone
from shared.events.routing import (
    AccountContactChanged,
    AccountOpened,
    ApplicationProgressed,
    CaseErased,
    CaseSwitched,
    CataloguePublished,
    ContactGiven,
    MeetingAgreed,
    NameWithdrawn,
    PracticeVisitorSent,
    SessionEnded,
    SignInAsked,
    SubjectErased,
)

SERVICES = ("routing", "booking", "notifications")

SUBSCRIPTIONS: dict[type[Event], tuple[str, ...]] = {
    CataloguePublished: ("booking", "notifications"),
    ContactGiven: ("notifications",),
    NameWithdrawn: ("booking",),
    CaseSwitched: ("booking", "notifications"),
    SessionEnded: ("booking", "notifications"),
    AccountOpened: ("booking",),
    PracticeVisitorSent: ("booking",),
    ApplicationProgressed: ("notifications",),
    SubjectErased: ("booking", "notifications"),
    CaseErased: ("booking", "notifications"),
    AppointmentBooked: ("notifications", "routing"),
    AppointmentChanged: ("notifications", "routing"),
    AppointmentCancelled: ("notifications", "routing"),
    AppointmentProgressed: ("notifications", "routing"),
    AvailabilityChanged: ("routing",),
    DrawEntryProgressed: ("notifications",),
    SwitchWished: ("routing",),
    TurnNear: ("notifications",),
    AccountContactChanged: ("notifications",),
    SignInAsked: ("notifications",),
    HelperTold: ("notifications",),
    HelpRequestProgressed: ("notifications",),
    ClassEntryProgressed: ("notifications",),
    MeetingAgreed: ("booking",),
    NoticeProgressed: ("routing",),
    ReuseRecorded: ("routing",),
    CheckpointMade: ("routing",),
    BookingErasureDone: ("routing",),
    NotificationsErasureDone: ("routing",),
}

# Sealed fields are encrypted to one consumer; only that consumer's message carries them.
SEALED_FOR: dict[type[Event], str] = {
    ContactGiven: "notifications",
    AccountOpened: "booking",
    PracticeVisitorSent: "booking",
    ApplicationProgressed: "notifications",
    AppointmentBooked: "notifications",
    AppointmentChanged: "notifications",
    DrawEntryProgressed: "notifications",
    AccountContactChanged: "notifications",
    SignInAsked: "notifications",
    HelperTold: "notifications",
    HelpRequestProgressed: "notifications",
    ClassEntryProgressed: "notifications",
}

# What nobody waits for, and what comes in numbers: it never delays the others (docs/decisions/0016).
BULK: frozenset[type[Event]] = frozenset({NoticeProgressed, ReuseRecorded})

EVENT_TYPES: dict[str, type[Event]] = {event_type(kind): kind for kind in SUBSCRIPTIONS}
