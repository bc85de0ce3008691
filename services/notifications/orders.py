"""An order (送るもの): everything that one attempt at one notice needs, so that sending needs no database."""

import hashlib
from base64 import b32encode
from datetime import datetime
from uuid import UUID

import msgspec

from services.notifications.domain.notices import (
    HELP_NOTICES,
    LAST_OF_APPLICATION,
    OF_CLASSES,
    OF_TOWN,
    SIGN_IN,
    Kind,
    Matter,
    Reach,
)
from services.notifications.domain.providers import Tried
from services.notifications.domain.ways import FIRST_WAY
from services.notifications.domain.words import OwnTexts
from shared.events.booking import ClassHint
from shared.reference_number import host_of
from shared.town_texts import TownTexts

# Where helpers look, where whoever has an account signs in, and where a link opens what is neither an appointment nor
# an application.
HELPERS_PATH, SIGN_IN_PATH = "/helpers", "/sign-in"
# Where the link of a message opens its reader's wishes.
WISHES_PATH = "/notices/w"
_OPENED_AT: dict[Kind, str] = {
    **dict.fromkeys(HELP_NOTICES.values(), "/booking/help"),
    **dict.fromkeys(OF_CLASSES, "/booking/classes/a"),
    SIGN_IN: f"{SIGN_IN_PATH}/link",
}


# Older gateways give back no more than 20 characters; a municipality has 6.
TAG_LENGTH, TAG_BYTES = 20, 8


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt. `address`, `link_token` and `code` are open here, and go nowhere but into the message."""

    municipality: str
    notice_id: UUID
    attempt_no: int
    lease_token: UUID
    tries: int
    kind: Kind
    bulk: bool
    reach: Reach
    # Which way of the contact it takes, and whether there is another one after it.
    way_no: int = FIRST_WAY
    has_next: bool = False
    # Who takes it, and how those did who were asked before.
    provider: str = ""
    tried: tuple[Tried, ...] = ()
    created_at: datetime
    useful_until: datetime
    # One of the three: what it is about. An application begins at no time.
    appointment_id: UUID | None
    application_id: UUID | None
    told_id: UUID | None = None
    case_id: UUID | None = None
    number: str
    sequence: int
    starts_at: datetime | None
    ends_at: datetime | None
    procedure_name: str | None
    discreet: bool
    helper: str = "none"
    # Where a closing covers the time: another one that is kept for the person. Until when that or a seat is kept, an
    # answer is waited for, a helper is looked for, or a code opens.
    offer_starts_at: datetime | None = None
    offer_until: datetime | None = None
    # Of how many appointments of one arrival it tells, how often any of them has changed, and when they are all done.
    together: int = 1
    chain_id: UUID | None = None
    chain_sequence: int = 0
    together_until: datetime | None = None
    # Whose turn is near: how many are before them, and the number in their hand.
    turn_before: int = 0
    turn_ticket: str = ""
    # What a class is called; which classes fit, where no helper was found; what a coordinator or the town wrote.
    title: str = ""
    classes: tuple[ClassHint, ...] = ()
    message_subject: str = ""
    message_body: str = ""
    # What an SMS says of it; empty: its subject.
    message_short: str = ""
    counter_number: str | None
    counter_name: str | None
    place: str
    bring: tuple[str, ...]
    fee_yen: int
    # Whether a time at a counter can be booked for the procedure.
    at_counter: bool = True
    # How long it takes; 0 when the catalogue does not say.
    minutes: int
    town_name: str
    town_address: str
    town_phone: str
    public_url: str
    language: str
    # The town's own texts in other languages; none for a reader of Japanese.
    texts: TownTexts = msgspec.field(default_factory=dict)
    # What the town says itself, in the reader's language, by channel; where it says nothing, it is said in our words.
    own: OwnTexts = msgspec.field(default_factory=dict)
    address: str
    link_token: str | None
    code: str | None
    # What opens the person's own wishes; and whether they may be asked how it went.
    wishes_token: str | None = None
    asks_feedback: bool = True

    @property
    def key(self) -> str:
        """The same for every attempt at a notice by one way: what lets a provider tell a repetition from a second
        message."""
        by_other = f":{self.way_no}" if self.way_no != FIRST_WAY else ""
        return f"{self.municipality}:{self.notice_id}{by_other}"

    @property
    def host(self) -> str:
        """The town's host name, for identifiers in mail and calendars."""
        return host_of(self.public_url)

    @property
    def matter(self) -> Matter:
        """What it is about."""
        return Matter(self.appointment_id, self.application_id, self.told_id)

    @property
    def link(self) -> str:
        """Where the person sees what it is about, on the town's own host."""
        if self.kind in OF_TOWN:
            return f"{self.public_url}/"
        if self.told_id is not None and self.kind != SIGN_IN:
            return f"{self.public_url}{HELPERS_PATH}"
        if self.link_token is None or self.kind == "cancellation":
            return self.find_link
        path = _OPENED_AT.get(self.kind, "/a" if self.is_application else "/booking/a")
        return f"{self.public_url}{path}/{self.link_token}"

    @property
    def feedback_link(self) -> str | None:
        """Where whoever has the message says how an application went, once; None while it is not decided, or where
        nobody wants to be asked."""
        if self.link_token is None or self.kind not in LAST_OF_APPLICATION or not self.asks_feedback:
            return None
        return f"{self.public_url}/a/{self.link_token}/feedback"

    @property
    def wishes_link(self) -> str | None:
        """Where the person says how they want to be told; None where it is not theirs to open."""
        return f"{self.public_url}{WISHES_PATH}/{self.wishes_token}" if self.wishes_token else None

    @property
    def find_link(self) -> str:
        """Where number and code open it; and who signs in does so."""
        if self.told_id is not None:
            return f"{self.public_url}{SIGN_IN_PATH}"
        by_routing = self.is_application and self.kind not in _OPENED_AT
        return f"{self.public_url}/{'applications' if by_routing else 'booking'}/find"

    @property
    def draws_link(self) -> str:
        """Where everybody reads of the town's draws."""
        return f"{self.public_url}/booking/draws"

    @property
    def proves_contact(self) -> bool:
        """Whether the code is to be typed where the contact was given: with it comes no link."""
        return self.kind == SIGN_IN and self.link_token is None

    @property
    def is_application(self) -> bool:
        """Whether it is about what was handed in (an application, an entry, a request)."""
        return self.application_id is not None

    def __repr__(self) -> str:
        # Never what is open in it: a representation ends up in logs.
        return f"Order({self.key}, attempt {self.attempt_no})"


def tag_of(key: str) -> str:
    """An order's key in `TAG_LENGTH` characters, for gateways that take no id: its town, and what stands for the rest.

    The same for every attempt by one way, so that a receipt is known although the gateway's own id never came.
    """
    digest = hashlib.sha256(key.encode()).digest()[:TAG_BYTES]
    return f"{town_of(key)}.{b32encode(digest).decode().rstrip('=').lower()}"


def town_of(key: str) -> str:
    """The municipality of an order's key."""
    return key.partition(":")[0]


def read_key(key: str) -> tuple[str, UUID, int]:
    """The municipality, the notice, and the number of the way of an order's key.

    Raises:
        ValueError: it is none of ours.
    """
    municipality, *rest = key.split(":")
    if not municipality or len(rest) not in (1, 2):
        raise ValueError("no municipality, or too much")
    return municipality, UUID(rest[0]), int(rest[1]) if len(rest) > 1 else FIRST_WAY
