"""What routing publishes."""

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from shared.events.base import Event

Reach = Literal["email", "sms", "none"]
PlaceKind = Literal["counter", "venue"]
CaseChannel = Literal["online", "counter", "helper"]
# Who wanted a person's data erased: themselves, the operator, or the rule of how long it is kept.
ErasureReason = Literal["resident", "operator", "retention"]
ApplicationState = Literal[
    "submitted", "accepted", "correction_asked", "visit_asked", "completed", "refused", "withdrawn"
]


class ProcedureEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A procedure as the other services need it. `minutes` is the time at a counter."""

    code: str
    name_ja: str
    office: str
    counters: tuple[str, ...]
    minutes: int
    # Whether its name may be shown to others: a notice's subject, a board (おくやみ and welfare may not).
    discreet: bool = False
    # Whether a helper may go through it with the resident: then it can be booked at every venue.
    with_helper: bool = False
    # What to bring to a counter, in Japanese, and what it costs there.
    bring: tuple[str, ...] = ()
    fee_yen: int = 0
    # Its own notice and horizon for booking; None: the town's.
    notice_min: int | None = None
    horizon_days: int | None = None
    # How many of it are done in one appointment at most, what each more takes, and how they are counted (人分, 通).
    quantity_max: int = 1
    more_min: int = 0
    unit: str = ""
    # What has to be done before it, where both are to be done.
    after: tuple[str, ...] = ()
    # Its reading in kana, by which people find it.
    name_kana: str = ""


class CounterEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Where people are served: a counter (窓口), whose `number` hangs above it, or a venue where helpers meet them."""

    code: str
    number: str
    name_ja: str
    office: str
    place_ja: str
    kind: PlaceKind = "counter"
    # By which means a fee is paid there: `cash`, `credit`, `ic_card`, `code`, `invoice`; empty: not told.
    payment: tuple[str, ...] = ()
    # Where a venue is, in degrees as the town writes them; empty: not told.
    latitude: str = ""
    longitude: str = ""


class WalkEntry(msgspec.Struct, frozen=True, kw_only=True):
    """How many minutes people walk between two counters, in either direction."""

    counter: str
    other: str
    minutes: int


class TemplateEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What a town says itself in the notices of a kind, to readers of a language: a mail's subject, its text (`long`),
    and an SMS (`short`), with `{names}` that are filled in. Empty: it is said in the program's words."""

    kind: str
    language: str
    subject: str = ""
    long: str = ""
    short: str = ""


class TopicEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Something that helpers explain (LINE, カメラ …), beside the procedures."""

    code: str
    name_ja: str


class CataloguePublished(Event, frozen=True, kw_only=True, tag="routing.catalogue_published.v1"):
    """A town's catalogue took effect. The aggregate is the municipality."""

    town_name_ja: str
    town_phone: str
    town_host: str
    procedures: tuple[ProcedureEntry, ...]
    counters: tuple[CounterEntry, ...]
    # Where the town hall is, for whoever comes to a counter.
    town_address_ja: str = ""
    walks: tuple[WalkEntry, ...] = ()
    templates: tuple[TemplateEntry, ...] = ()
    topics: tuple[TopicEntry, ...] = ()


class ContactGiven(Event, frozen=True, kw_only=True, tag="routing.contact_given.v1"):
    """A person approved that notices reach them in this way; `sealed` holds `SealedContact` for notifications.

    The aggregate is the contact (`contact_ref`).
    """

    contact_ref: UUID
    subject_ref: UUID
    reach: Reach
    language: str
    approval_id: UUID
    case_id: UUID


class SealedContact(msgspec.Struct, frozen=True, kw_only=True):
    """Inside `ContactGiven.sealed`, purpose `contact`: an e-mail address, or a phone number in E.164."""

    address: str


class NameWithdrawn(Event, frozen=True, kw_only=True, tag="routing.name_withdrawn.v1"):
    """What a case passed to booking for calling (`items`: keys) may not be used any more: call by number.

    Why is nobody's business: a yes became a no, or staff know a reason. The aggregate is the case.
    """

    case_id: UUID
    subject_ref: UUID
    items: tuple[str, ...]


class PracticeVisitorSent(Event, frozen=True, kw_only=True, tag="routing.practice_visitor_sent.v1"):
    """In a practice town, an invented person goes on to booking. The aggregate is the case.

    `sealed` is the pass that a browser would carry; `number` tells the invented people apart, from 0.
    """

    guest_ref: str
    number: int


class CaseSwitched(Event, frozen=True, kw_only=True, tag="routing.case_switched.v1"):
    """A case goes on by `channel`: what is chosen, and not yet booked, for another one is given back.

    `is_settled`: it was sent, or booked, by that channel; appointments for another one are cancelled. The aggregate is
    the case.
    """

    case_id: UUID
    channel: CaseChannel
    is_settled: bool
    # Of what others chose for the person: who it was, and how the person is told, if they can be reached.
    by_others: Literal["staff", "helper"] | None = None
    subject_ref: UUID | None = None
    contact_ref: UUID | None = None
    procedure: str = ""
    office: str = ""


class SessionEnded(Event, frozen=True, kw_only=True, tag="routing.session_ended.v1"):
    """A session was ended before its time; every service refuses its tokens at once. The aggregate is the session."""

    session_id: str
    tokens_valid_until: datetime


class AccountOpened(Event, frozen=True, kw_only=True, tag="routing.account_opened.v1"):
    """An account of staff or helpers, as it is now: opened, changed or closed. The aggregate is the account.

    `account_ref` is the `ref` of its tokens. `sealed` holds `SealedAccount` for booking, for helpers only.
    """

    account_ref: str
    roles: tuple[str, ...]
    office: str | None
    is_open: bool


class SealedAccount(msgspec.Struct, frozen=True, kw_only=True):
    """Inside `AccountOpened.sealed`, purpose `account`: what residents and colleagues call a helper."""

    display_name: str
    languages: tuple[str, ...] = ("ja",)


class AccountContactChanged(Event, frozen=True, kw_only=True, tag="routing.account_contact_changed.v1"):
    """By which way somebody with an account is told things, as it is now. The aggregate is the account's contact.

    `none`: they look at their page. `sealed` holds `SealedContact` for notifications, purpose `account_contact`.
    `tells_former`: the address before was theirs, and is told that it is another one now.
    """

    account_ref: str
    reach: Reach
    language: str
    tells_former: bool = False


class SignInAsked(Event, frozen=True, kw_only=True, tag="routing.sign_in_asked.v1"):
    """Somebody with an account wants to sign in without a password, or to `prove` that their contact is theirs.

    The aggregate is the asking (`asked_id`). `sealed` holds `SealedSignIn` for notifications.
    """

    asked_id: UUID
    account_ref: str
    expires_at: datetime
    purpose: Literal["sign_in", "prove"] = "sign_in"


class SealedSignIn(msgspec.Struct, frozen=True, kw_only=True):
    """Inside `SignInAsked.sealed`, purpose `sign_in`: the link's token, and the digits to type instead."""

    link_token: str
    code: str


class MeetingAgreed(Event, frozen=True, kw_only=True, tag="routing.meeting_agreed.v1"):
    """The person of a case agreed to go through it together with the helper who sits beside them, until then.

    The aggregate is the appointment. It was said to this helper, and to nobody who comes instead.
    """

    appointment_id: UUID
    case_id: UUID
    helper_ref: str
    agreed_at: datetime
    until: datetime


class ApplicationProgressed(Event, frozen=True, kw_only=True, tag="routing.application_progressed.v1"):
    """An online application was sent, or moved on. The aggregate is the application; its number is a 受付番号.

    `sealed` holds `SealedApplicationAccess` for notifications when the application is sent.
    """

    application_id: UUID
    number: str
    subject_ref: UUID
    contact_ref: UUID | None
    case_id: UUID
    procedure: str
    office: str
    state: ApplicationState


class SealedApplicationAccess(msgspec.Struct, frozen=True, kw_only=True):
    """Inside an application's `sealed`, purpose `application`: the way to open it. Stored by routing as hashes only."""

    link_token: str
    code: str


class SubjectErased(Event, frozen=True, kw_only=True, tag="routing.subject_erased.v1"):
    """A person's data is erased: everybody destroys their key and what they have of them, and answers.

    The aggregate is the erasure; it is told again, with the next version, until all have answered.
    """

    erasure_id: UUID
    subject_ref: UUID
    reason: ErasureReason


class CaseErased(Event, frozen=True, kw_only=True, tag="routing.case_erased.v1"):
    """What was given in a case was kept as long as the town keeps it. The aggregate is the case.

    `contact_ref`: the contact of which no other case makes use, and which is to be forgotten with it.
    """

    case_id: UUID
    subject_ref: UUID
    procedure: str
    contact_ref: UUID | None
