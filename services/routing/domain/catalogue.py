"""The catalogue as the rules see it."""

import re
from collections.abc import Mapping
from typing import Literal

import msgspec

from services.routing.domain.situation import Access

Possible = Literal["yes", "partial", "no"]
Channel = Literal["online", "counter", "helper"]
CHANNELS: tuple[Channel, ...] = ("online", "counter", "helper")
# How a fee can be paid: cash, credit card, transport or other prepaid card, code on a phone, by an invoice afterwards.
Payment = Literal["cash", "credit", "ic_card", "code", "invoice"]

# The line of the pack is typical of Japanese towns; the town has not confirmed it yet.
UNCONFIRMED_SOURCE = "general"

_CODE = re.compile(r"[A-Za-z0-9_-]{1,20}")


def is_code(text: str) -> bool:
    """Whether a text can be a procedure's code at all: what cannot is never looked up."""
    return _CODE.fullmatch(text) is not None


class ChannelRules(msgspec.Struct, frozen=True, kw_only=True):
    """What the channels take where a procedure does not say it, in minutes: an estimate, shown as one."""

    # Reading the page, and then each item that has to be typed.
    online_base_min: int = 5
    online_per_item_min: int = 1
    # Sitting down together, and then the procedure itself.
    helper_extra_min: int = 15
    # Why a channel is not possible, in the town's words, by the reason; of others we say it in ours.
    reasons: Mapping[str, str] = {}


class Office(msgspec.Struct, frozen=True, kw_only=True):
    """How an office (課) is reached. Empty: the town says nothing of it."""

    name_ja: str
    phone: str
    place_ja: str = ""
    mail: str = ""


class Procedure(msgspec.Struct, frozen=True, kw_only=True):
    """A procedure (手続き) that the town offers."""

    code: str
    name_ja: str
    name_plain_ja: str
    name_en: str
    kana: str
    category: str
    words: tuple[str, ...]
    office: str
    online: Possible
    counter: Possible
    helper: Possible
    counter_minutes: int
    fee_yen: int
    items: tuple[str, ...]
    identity: str
    source: str
    counters: tuple[str, ...]
    discreet: bool
    # Codes of the town's things and of one of its deadlines.
    bring: tuple[str, ...] = ()
    bring_online: tuple[str, ...] = ()
    # Of the things, those that are attached as files online.
    attach: tuple[str, ...] = ()
    deadline: str = ""
    online_minutes: int | None = None

    @property
    def is_sample(self) -> bool:
        """Whether the town has not confirmed these facts yet."""
        return self.source == UNCONFIRMED_SOURCE

    def possible(self, channel: Channel) -> Possible:
        """Whether the law and the town allow this channel."""
        return {"online": self.online, "counter": self.counter, "helper": self.helper}[channel]


class Travel(msgspec.Struct, frozen=True, kw_only=True):
    """How long the way from a district of the town takes."""

    district: str
    minutes: int


class Counter(msgspec.Struct, frozen=True, kw_only=True):
    """A counter (窓口), whose `number` hangs above it, or a venue where helpers meet residents.

    `payment` is how a fee is paid there; `access` what is there for those who need it; `travel_ja` how to get there.
    Empty: the town says nothing of it.
    """

    code: str
    number: str
    name_ja: str
    office: str
    place_ja: str
    kind: Literal["counter", "venue"] = "counter"
    payment: tuple[Payment, ...] = ()
    access: tuple[Access, ...] = ()
    travel_ja: str = ""
    # From the districts, shortest first.
    travels: tuple[Travel, ...] = ()

    @property
    def is_venue(self) -> bool:
        """Whether helpers meet residents here."""
        return self.kind == "venue"


class Words(msgspec.Struct, frozen=True, kw_only=True):
    """A short text of the town; `shared/town_texts.py` says it in other languages."""

    code: str
    ja: str


class Town(msgspec.Struct, frozen=True, kw_only=True):
    """How to reach the town hall by other ways than this site, what the town puts first on its front page, and its
    words for what people bring and until when."""

    name_ja: str
    phone: str
    address_ja: str
    frequent: tuple[str, ...] = ()
    things: tuple[Words, ...] = ()
    deadlines: tuple[Words, ...] = ()
    # How a fee is paid for what is done online.
    online_payment: tuple[Payment, ...] = ()
    # Whether payment, access and travel are the town's own word, or a sample.
    places_confirmed: bool = True
    channels: ChannelRules = ChannelRules()
    offices: tuple[Office, ...] = ()

    def office(self, name: str) -> Office | None:
        """How an office is reached; None when the town does not say."""
        return next((office for office in self.offices if office.name_ja == name), None)
