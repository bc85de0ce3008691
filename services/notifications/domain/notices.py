"""Which notice an appointment's newest state asks for, and what to do with one whose turn it is."""

from datetime import datetime, timedelta
from typing import Literal, NamedTuple
from uuid import UUID

import msgspec

from services.notifications.domain.quiet_hours import TOWN_QUIET, Quiet, after_quiet, is_quiet
from services.notifications.domain.ways import WayKind

Kind = Literal[
    "confirmation",
    "change",
    "cancellation",
    "reminder",
    "helper_found",
    "closure",
    "reopened",
    "earlier_offer",
    "application_received",
    "application_accepted",
    "application_correction",
    "application_visit",
    "application_completed",
    "application_refused",
    "application_withdrawn",
    "draw_won",
    "draw_lost",
    "draw_called_off",
    "case_switched",
    "turn_near",
    "help_open",
    "help_unmet",
    "class_entered",
    "class_waiting",
    "class_offered",
    "class_lost",
    "class_called_off",
    "class_reminder",
    "class_proposed",
    "class_changed",
    "helper_offer",
    "helper_cover",
    "helper_cancelled",
    "helper_changed",
    "helper_reminder",
    "helper_message",
    "helper_placed",
    "sign_in",
    "contact_changed",
    "contact_code",
    "contact_dead",
    "town_news",
    "town_notice",
]
# What is told of an online application, by the state that it has reached.
APPLICATION_NOTICES: dict[str, Kind] = {
    "submitted": "application_received",
    "accepted": "application_accepted",
    "correction_asked": "application_correction",
    "visit_asked": "application_visit",
    "refused": "application_refused",
    "completed": "application_completed",
    "withdrawn": "application_withdrawn",
}
# With these an application is at its end: then one is asked how it went.
LAST_OF_APPLICATION: tuple[Kind, ...] = ("application_completed", "application_refused")
# What is told of an entry to a draw that has no appointment.
DRAW_NOTICES: dict[str, Kind] = {"lost": "draw_lost", "called_off": "draw_called_off"}
# What is told of a request for a helper, and of a seat in a class, by the state that each has reached.
HELP_NOTICES: dict[str, Kind] = {"open": "help_open", "unmet": "help_unmet"}
CLASS_NOTICES: dict[str, Kind] = {
    "entered": "class_entered",
    "waiting": "class_waiting",
    "offered": "class_offered",
    "lost": "class_lost",
    "called_off": "class_called_off",
}
CLASS_REMINDER: Kind = "class_reminder"
# A seat that is kept for whoever asked for help; and a class that is somewhere else, or at another time.
CLASS_PROPOSED: Kind = "class_proposed"
CLASS_CHANGED: Kind = "class_changed"
OF_CLASSES: tuple[Kind, ...] = (*CLASS_NOTICES.values(), CLASS_REMINDER, CLASS_PROPOSED, CLASS_CHANGED)
# What a helper is told, by its matter; of what is `over`, nothing.
HELPER_NOTICES: dict[str, Kind] = {
    "offer": "helper_offer",
    "cover": "helper_cover",
    "cancelled": "helper_cancelled",
    "changed": "helper_changed",
    "reminder": "helper_reminder",
    "message": "helper_message",
    "placed": "helper_placed",
}
SIGN_IN: Kind = "sign_in"
# To the address before: somebody's messages, and what signs them in, go to another one now.
CONTACT_CHANGED: Kind = "contact_changed"
# Somebody else chose the channel of a case for the person. It is told on their page as well.
CASE_SWITCHED: Kind = "case_switched"
# Only so many are before whoever waits at a counter.
TURN_NEAR: Kind = "turn_near"
# Told to a contact about its own ways: the code that proves one, and that another leads nowhere.
CONTACT_CODE: Kind = "contact_code"
CONTACT_DEAD: Kind = "contact_dead"
# What the town, or another system of it, writes itself: what may be stopped and missed, and what must be told.
TOWN_NEWS: Kind = "town_news"
TOWN_NOTICE: Kind = "town_notice"
State = Literal["pending", "sending", "sent", "failed", "unknown", "superseded", "undeliverable", "printed_slip"]
Reach = WayKind | Literal["none"]

# Whether a closing covers their time.
OF_CLOSINGS: tuple[Kind, ...] = ("closure", "reopened")
# Of these everybody is told: whom no message reaches, by staff.
TOLD_BY_STAFF_TOO: tuple[Kind, ...] = (
    *OF_CLOSINGS, "draw_called_off", "help_unmet", "class_offered", "class_called_off", CLASS_PROPOSED,
    TOWN_NOTICE,
)  # fmt: skip
# What somebody may do, and need not, or reads on their page too: it wakes nobody, and staff call nobody for it.
# An address that was given up because nothing arrives there is no reason to call either.
MAY_BE_MISSED: tuple[Kind, ...] = (
    "earlier_offer", CASE_SWITCHED, TURN_NEAR, SIGN_IN, CONTACT_CHANGED, CONTACT_CODE, CONTACT_DEAD,
    TOWN_NEWS,
)  # fmt: skip
# Told to an account, and not about an appointment or what somebody handed in.
OF_ACCOUNTS: tuple[Kind, ...] = (*HELPER_NOTICES.values(), SIGN_IN, CONTACT_CHANGED)
# Told to a contact, and not about an appointment or what somebody handed in either.
OF_WAYS: tuple[Kind, ...] = (CONTACT_CODE, CONTACT_DEAD)
OF_TOWN: tuple[Kind, ...] = (TOWN_NEWS, TOWN_NOTICE)
# Said in the words of whoever has it told, or in ours alone: there are no texts of these to be edited.
WITHOUT_TEXTS: tuple[Kind, ...] = (*OF_WAYS, *OF_TOWN)
# About what somebody handed in: a newer state of it has made them wrong.
_OF_HANDED_IN: tuple[Kind, ...] = (
    *APPLICATION_NOTICES.values(), *DRAW_NOTICES.values(), CASE_SWITCHED, *HELP_NOTICES.values(),
    *OF_CLASSES,
)  # fmt: skip
# Whoever waits for the answer, or stands before a closed door, waits now; a reminder and what is written to a group
# goes out beside the others.
URGENT: tuple[Kind, ...] = ("helper_offer", "helper_cover", SIGN_IN, CONTACT_CODE)
IN_BULK: tuple[Kind, ...] = ("reminder", CLASS_REMINDER, "helper_reminder", "helper_message", TOWN_NEWS)
# What comes by night waits for the morning, unless it would have lost its use by then.
RATHER_BY_DAY: tuple[Kind, ...] = (
    "helper_offer", "helper_cover", "helper_cancelled", "helper_changed", "helper_message", "helper_placed",
    "help_unmet", "class_offered", "class_called_off", CLASS_PROPOSED, CLASS_CHANGED, CONTACT_DEAD, *OF_TOWN,
)  # fmt: skip
KEEPS_QUIET: tuple[Kind, ...] = (*RATHER_BY_DAY, "helper_reminder", CLASS_REMINDER)
# What answers somebody who waits for it, or does not keep: their own quiet hours do not hold it back.
AT_ANY_HOUR: tuple[Kind, ...] = (
    "confirmation", "change", "application_received", "application_withdrawn", "help_open", "class_entered",
    "class_waiting", TURN_NEAR, SIGN_IN, CONTACT_CODE,
)  # fmt: skip
# Of use as long as something is kept, an answer is waited for, or a code opens.
_UNTIL: tuple[Kind, ...] = (
    "earlier_offer", "class_offered", CLASS_PROPOSED, "helper_offer", "helper_cover", "helper_changed", SIGN_IN,
    CONTACT_CODE, *OF_TOWN,
)  # fmt: skip
REMINDERS: tuple[Kind, ...] = ("reminder", CLASS_REMINDER, "helper_reminder")
# The kinds of due rows, a lane each.
SEND, SEND_BULK = "send", "send_bulk"
WAITING: tuple[State, ...] = ("pending", "unknown")
# With what somebody is sending at this moment.
UNSETTLED: tuple[State, ...] = (*WAITING, "sending")
# Why what was written to many is not sent: the town stopped it.
CALLED_OFF = "called_off"
# An appointment arrives by another way than its contact: the notice waits for it, but not for ever.
CONTACT_WAIT = timedelta(minutes=10)
CONTACT_LOOK_AGAIN = timedelta(seconds=5)
USEFUL = timedelta(hours=24)
# Then they were called, or it goes slower than anybody thought: the board says it.
TURN_USEFUL = timedelta(minutes=20)
# Who reads it in the morning has so long to answer, or has not left yet.
TIME_TO_ACT = timedelta(hours=1)
# Even of an appointment that has begun, one is told that it was cancelled.
USEFUL_AT_LEAST = timedelta(minutes=30)


class Matter(NamedTuple):
    """What a notice, and a task of staff, is about: one of the three."""

    appointment_id: UUID | None = None
    # What somebody handed in: an application, an entry, a request.
    application_id: UUID | None = None
    # What was told to an account, to a contact, or by the town itself.
    told_id: UUID | None = None


class Newest(msgspec.Struct, frozen=True, kw_only=True):
    """What decisions need of the newest state of what a notice is about. An application begins at no time."""

    state: str
    sequence: int
    starts_at: datetime | None
    closure: str = "none"
    # Until when another time is kept for them.
    offer_until: datetime | None = None


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A notice whose turn it is. `reach` is the contact's, None while the contact is not known."""

    kind: Kind
    state: State
    sequence: int
    created_at: datetime
    useful_until: datetime
    keeps_quiet: bool
    reach: Reach | None
    # Whether somebody else is sending it at this moment.
    in_flight: bool
    # Whether the catalogue that gives the notice its words has arrived.
    has_words: bool
    # Whether the person wants to hear nothing of this kind.
    is_stopped: bool = False
    quiet: Quiet = TOWN_QUIET
    # Of what was written to many: whether it was called off, and whether it waits for no morning.
    is_called_off: bool = False
    is_at_any_hour: bool = False


class Send(msgspec.Struct, frozen=True):
    """Send it now."""


class Leave(msgspec.Struct, frozen=True):
    """Nothing to do: settled, or in another's hands."""


class LookAgain(msgspec.Struct, frozen=True):
    """Not yet."""

    at: datetime


class Settle(msgspec.Struct, frozen=True):
    """It will not be sent. With `task`, staff are asked to reach the person."""

    state: State
    reason: str
    task: bool = False


Decision = Send | Leave | LookAgain | Settle


def useful_until(
    kind: Kind, *, starts_at: datetime | None, offer_until: datetime | None = None, now: datetime
) -> datetime:
    """Until when sending it makes sense."""
    if kind in _UNTIL and offer_until is not None:
        return offer_until
    if kind == TURN_NEAR:
        return now + TURN_USEFUL
    if starts_at is None or kind in ("cancellation", "closure"):
        return now + USEFUL
    if kind in REMINDERS:
        return starts_at
    return max(min(starts_at, now + USEFUL), now + USEFUL_AT_LEAST)


def ends_with_offer(kind: Kind) -> bool:
    """Whether it is of use as long as something is kept, an answer is waited for, or a code opens."""
    return kind in _UNTIL


def is_overtaken(kind: Kind, sequence: int, newest: Newest) -> bool:
    """Whether a newer state has made the notice wrong or needless. A cancellation stands."""
    if kind in (*_OF_HANDED_IN, *OF_ACCOUNTS, *OF_WAYS, *OF_TOWN):
        return newest.sequence > sequence
    if kind == "cancellation":
        return False
    if kind == TURN_NEAR:
        # That they have come may be heard after it.
        return newest.state not in ("booked", "checked_in")
    if kind in OF_CLOSINGS and (newest.closure == "none") != (kind == "reopened"):
        return True
    if kind == "earlier_offer" and (newest.offer_until is None or newest.closure != "none"):
        return True
    return newest.state != "booked" or newest.sequence > sequence


def is_beside(kind: Kind, *, bulk: bool) -> bool:
    """Whether a notice goes out beside the others, and never before them; `bulk` is what asked for it."""
    return kind not in URGENT and (bulk or kind in IN_BULK)


def due_kind(*, bulk: bool) -> str:
    """Under which kind a notice is due: those that nobody waits for are sent beside the others, never before them."""
    return SEND_BULK if bulk else SEND


def decide(notice: Waiting, newest: Newest, *, now: datetime) -> Decision:
    """What to do with a notice whose turn it is."""
    if notice.in_flight or notice.state not in (*WAITING, "sending"):
        return Leave()
    if is_overtaken(notice.kind, notice.sequence, newest):
        return Settle("superseded", "overtaken")
    if notice.is_called_off and notice.state == "pending":
        # What somebody may have accepted already is told to its end.
        return Settle("superseded", CALLED_OFF)
    if notice.is_stopped:
        return Settle("superseded", "stopped")
    if notice.reach == "none" and notice.kind in TOLD_BY_STAFF_TOO:
        return Settle("undeliverable", "no_contact", task=True)
    if notice.reach == "none":
        return Settle("printed_slip", "chosen")
    if notice.kind in REMINDERS and newest.starts_at is not None and now >= newest.starts_at:
        return Settle("superseded", "begun")
    if notice.reach is None and now - notice.created_at >= CONTACT_WAIT:
        # Their page says when a visit is that they have accepted themselves; of all else a coordinator tells them.
        return Settle("undeliverable", "contact_missing", task=notice.kind != HELPER_NOTICES["reminder"])
    if now >= notice.useful_until:
        return Settle("undeliverable", "too_late", task=True)
    if notice.reach is None or not notice.has_words:
        return LookAgain(now + CONTACT_LOOK_AGAIN)
    if _keeps_quiet(notice) and is_quiet(now, notice.quiet):
        return _at_night(notice, newest, now=now)
    return Send()


def _keeps_quiet(notice: Waiting) -> bool:
    """Whether it may wait for the morning: what the town's hours hold back, and of whom has hours of their own, what
    the town tells of its own accord."""
    if notice.is_at_any_hour:
        return False
    return notice.keeps_quiet or (notice.quiet.is_own and notice.kind not in AT_ANY_HOUR)


def _at_night(notice: Waiting, newest: Newest, *, now: datetime) -> Decision:
    """Of what keeps quiet: whether it waits for the morning, is told all the same, or not at all."""
    later = after_quiet(now, notice.quiet)
    starts_at = newest.starts_at
    if notice.kind in REMINDERS or (notice.keeps_quiet and notice.kind not in RATHER_BY_DAY):
        is_in_time = starts_at is None or later < starts_at
        return LookAgain(later) if is_in_time else Settle("superseded", "quiet_hours")
    # Of a time that is over there is nothing left to do.
    useful_until = min(notice.useful_until, starts_at) if starts_at is not None and now < starts_at else None
    return LookAgain(later) if later + TIME_TO_ACT <= (useful_until or notice.useful_until) else Send()


def occasion_of(kind: Kind, *, sequence: int, rule: str = "") -> str:
    """What tells two notices of one kind and appointment apart; the same occasion is told once only.

    `rule` is the reminder's, or the version with which a helper was found, a closing came, or another time was kept:
    then it is told again.
    """
    if kind == "change":
        return str(sequence)
    if kind in ("reminder", "helper_found", "earlier_offer", *OF_CLOSINGS):
        return f"{rule}:{sequence}"
    return "once"
