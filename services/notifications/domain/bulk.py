"""Bulk notices (まとめて送るお知らせ): what the town writes to many at once, to whom, when, and what that costs."""

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from typing import Literal, get_args

import msgspec

from services.notifications.domain.notices import TOWN_NOTICE, Kind
from services.notifications.domain.quiet_hours import JST, QUIET_FROM, after_quiet
from services.notifications.domain.ways import WayKind

# Why something must be told: everybody's safety, or what concerns one's own affairs (`domain/stops.py: REQUIRED`).
BulkReason = Literal["safety", "own_affairs"]
BULK_REASONS: tuple[BulkReason, ...] = get_args(BulkReason)
BulkState = Literal["draft", "sending", "done", "stopped"]
BULK_STATES: tuple[BulkState, ...] = get_args(BulkState)
By = Literal["appointments", "applications", "everybody"]
Language = Literal["ja", "ja-easy", "en"]
BULK_LANGUAGES: tuple[Language, ...] = get_args(Language)
# What has a price: an SMS by its parts, a letter, a push of LINE. A mail has none, and a call is made by staff.
PricedWay = Literal["sms", "letter", "line"]
PRICED_WAYS: tuple[PricedWay, ...] = get_args(PricedWay)
# An application of these states is open.
OPEN_STATES = ("submitted", "accepted", "correction_asked", "visit_asked")
# What becomes of somebody whom it is to be told to. `paper`: no message is owed; `unwanted`: they stopped such news;
# `stopped`: the town did.
Standing = Literal["waiting", "sent", "delivered", "failed", "paper", "unwanted", "stopped"]
STANDINGS: tuple[Standing, ...] = get_args(Standing)

# A letter of the post is 110 yen; nothing costs a thousand.
SEN_PER_YEN, PRICE_SEN_MAX = 100, 100_000
# Each is a message that somebody pays for.
TESTS_MAX = 50
# What a provider without a limit of its own carries at least, on the slowest machine that was measured.
ASSUMED_PER_SECOND = 50.0
# From the earliest hour at which anybody is told something until it is of no more use.
USEFUL_AT_LEAST = timedelta(hours=1)
USEFUL_AT_MOST = timedelta(days=60)
# So that what is not sent before the night has an hour in the morning (`domain/notices.py: TIME_TO_ACT`).
UNTIL_HOURS = range(9, QUIET_FROM.hour + 1)
# Who was told what is known for so long after it is of no more use; how many it were is kept.
KEPT = timedelta(days=90)
TEST_USEFUL = timedelta(hours=1)


class Words(msgspec.Struct, frozen=True, kw_only=True):
    """What is written, in one language: a mail's subject and text (a letter's too), and what an SMS says."""

    subject: str = ""
    body: str = ""
    # Empty: an SMS says the subject, and asks to call.
    short: str = ""


class Audience(msgspec.Struct, frozen=True, kw_only=True):
    """Whom it goes to. What is empty does not matter: any office, any language."""

    by: By = "everybody"
    # Of appointments: the days, both included, and where.
    first_day: date | None = None
    last_day: date | None = None
    office: str = ""
    counter: str = ""
    # Of appointments and applications.
    procedure: str = ""
    languages: tuple[Language, ...] = ()

    @property
    def span(self) -> tuple[datetime, datetime] | None:
        """From when until before when an appointment begins."""
        if self.first_day is None or self.last_day is None:
            return None
        first, after = (
            datetime.combine(day, time(), JST) for day in (self.first_day, self.last_day + timedelta(days=1))
        )
        return first, after


Texts = Mapping[str, Words]


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """All of a bulk notice that is written, and that a test is a test of."""

    kind: Kind
    reason: BulkReason | None
    audience: Audience
    texts: dict[str, Words]
    until: datetime | None


class Prices(msgspec.Struct, frozen=True, kw_only=True):
    """What one message costs, by way, in sen; and since when that is so."""

    sen: dict[str, int] = {}
    set_at: datetime | None = None


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """To how many it goes by which way, as how many messages, at what cost and in what time."""

    people: int
    # By way; `paper`, `none`, `stopped` and `dead` are none of those that anything is sent by.
    ways: dict[str, int]
    sms_parts: int
    # Without those that have no price.
    cost_sen: int
    unpriced: tuple[PricedWay, ...]
    priced_at: datetime | None
    seconds: int


def words_for(texts: Texts, language: str) -> Words:
    """What a reader of a language is told: whoever reads another one than these reads English."""
    return texts.get(language) or texts["en"]


def is_at_any_hour(reason: str | None) -> bool:
    """Whether it waits for no morning."""
    return reason == "safety"


def begins_at(reason: str | None, *, now: datetime) -> datetime:
    """When its first message goes out: at night in the morning, unless it is about safety."""
    return now if is_at_any_hour(reason) else after_quiet(now)


def until_of(day: date, hour: int) -> datetime:
    """The end of its use, from a day and an hour of Japan."""
    return datetime.combine(day, time(hour), JST)


def is_of_use(until: datetime | None, reason: str | None, *, now: datetime) -> bool:
    """Whether there is enough time left to tell it."""
    return until is not None and begins_at(reason, now=now) + USEFUL_AT_LEAST <= until <= now + USEFUL_AT_MOST


def reason_of(kind: Kind, reason: str) -> BulkReason | None:
    """The reason, of what has one."""
    return next((each for each in BULK_REASONS if each == reason), None) if kind == TOWN_NOTICE else None


def estimate(
    counts: Mapping[tuple[str, str], int],
    parts: Mapping[str, int],
    prices: Prices,
    rates: Mapping[WayKind, float | None],
) -> Estimate:
    """What sending costs: `counts` of people by way and language, `parts` of an SMS by language, `rates` a second.

    Ways go out beside each other: the slowest says how long it takes.
    """
    ways: dict[str, int] = {}
    for (way, _language), count in counts.items():
        ways[way] = ways.get(way, 0) + count
    sms_parts = sum(count * parts[language] for (way, language), count in counts.items() if way == "sms")
    messages = {"sms": sms_parts, "letter": ways.get("letter", 0), "line": ways.get("line", 0)}
    return Estimate(
        people=sum(ways.values()),
        ways=ways,
        sms_parts=sms_parts,
        cost_sen=sum(count * prices.sen.get(way, 0) for way, count in messages.items()),
        unpriced=tuple(way for way in PRICED_WAYS if messages[way] and way not in prices.sen),
        priced_at=prices.set_at,
        seconds=round(max((ways.get(way, 0) / (rate or ASSUMED_PER_SECOND) for way, rate in rates.items()), default=0)),
    )
