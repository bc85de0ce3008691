"""Online, counter or helper: what each costs for one procedure, and which one to suggest, with reasons.

Pure: everything is given, codes come out, and the pages put them into words.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

import msgspec

from services.routing.domain.catalogue import CHANNELS, Channel, Counter, Possible, Procedure
from services.routing.domain.items import NOT_TYPED

# The channels that can be used in this version; the others say honestly that they come with the next one.
READY_CHANNELS: frozenset[Channel] = frozenset({"online", "counter", "helper"})

# An estimate, shown as one: reading the page, and then each item that has to be typed.
ONLINE_BASE_MIN = 5
ONLINE_PER_ITEM_MIN = 1
# Sitting down together, and then the procedure itself.
HELPER_EXTRA_MIN = 15
QUICK_MIN = 15

Earliest = Literal["at", "any_time", "next_version", "full", "unknown", "never"]
Reason = Literal[
    "possible",
    "partly",
    "in_person_by_law",
    "not_online",
    "no_counter",
    "not_with_helper",
    "no_venue",
    "next_version",
]
Why = Literal["earliest", "only_one_ready", "whole_procedure", "short", "free", "nothing_to_bring", "together"]

OWN_PHONE = "own_phone"
# Nothing is read from a card online yet: the office checks who it is afterwards, as its page says.
IDENTITY_LATER = "identity_later"
# Items that are papers or things rather than words: what a form cannot take yet.
_THINGS: dict[str, str] = {
    "bank_account": "bankbook",
    "insurance": "insurance_certificate",
    "seal_impression": "seal",
    "medical_certificate": "medical_certificate",
    "vehicle_number": "vehicle_number",
    "photos": "damage_photos",
}


class Availability(msgspec.Struct, frozen=True, kw_only=True):
    """A counter's earliest free place, as booking last said. `earliest_at` None: the whole horizon is full.

    `own` has that of procedures with a notice or a horizon of their own, by code.
    """

    counter: str
    earliest_at: datetime | None
    as_of: datetime
    own: Mapping[str, datetime | None] = {}

    def of(self, procedure: str) -> "Availability":
        """The same for a procedure."""
        return msgspec.structs.replace(self, earliest_at=self.own.get(procedure, self.earliest_at), own={})


class ChannelOption(msgspec.Struct, frozen=True, kw_only=True):
    """One channel of one procedure. `ready` is whether a person can go on with it now; times are minutes."""

    channel: Channel
    possible: Possible
    ready: bool
    reason: Reason
    earliest: Earliest
    earliest_at: datetime | None = None
    as_of: datetime | None = None
    minutes: int | None = None
    minutes_estimated: bool = False
    counter: Counter | None = None
    fee_yen: int = 0
    bring: tuple[str, ...] = ()


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """The three channels side by side; `suggested` is None when none can be used yet."""

    options: tuple[ChannelOption, ...]
    suggested: Channel | None
    why: tuple[Why, ...] = ()

    def option(self, channel: Channel) -> ChannelOption:
        """One of the three."""
        return next(option for option in self.options if option.channel == channel)


def compare_channels(
    procedure: Procedure,
    counters: Mapping[str, Counter],
    availability: Sequence[Availability],
    now: datetime,
    *,
    ready: frozenset[Channel] = READY_CHANNELS,
) -> Comparison:
    """Compare the channels of a procedure at a moment. `availability` may hold other counters, or be late or empty."""
    availability = [entry.of(procedure.code) for entry in availability]
    options = (
        _online(procedure, now, ready),
        _counter(procedure, counters, availability, now, ready),
        _helper(procedure, counters, availability, now, ready),
    )
    suggested, why = _suggest(options)
    return Comparison(options=options, suggested=suggested, why=why)


def things_to_bring(procedure: Procedure, channel: Channel) -> tuple[str, ...]:
    """Codes of what to have at hand: the town's things, and with a helper one's own phone."""
    if channel == "online":
        later = () if procedure.identity == "none" else (IDENTITY_LATER,)
        return (*later, *procedure.bring_online)
    return (OWN_PHONE, *procedure.bring) if channel == "helper" else procedure.bring


def things_not_typed(items: Sequence[str]) -> tuple[str, ...]:
    """What a form cannot take yet and has to be brought or sent: codes of things."""
    return tuple(_THINGS[item] for item in items if item in NOT_TYPED and item in _THINGS)


def _online(procedure: Procedure, now: datetime, ready: frozenset[Channel]) -> ChannelOption:
    if procedure.online == "no":
        by_law = procedure.source.startswith("in-person required by law")
        return _impossible("online", "in_person_by_law" if by_law else "not_online")
    is_ready = "online" in ready
    return ChannelOption(
        channel="online",
        possible=procedure.online,
        ready=is_ready,
        reason=_reason(procedure.online, is_ready),
        earliest="any_time" if is_ready else "next_version",
        earliest_at=now if is_ready else None,
        minutes=ONLINE_BASE_MIN + ONLINE_PER_ITEM_MIN * len(procedure.items),
        minutes_estimated=True,
        fee_yen=procedure.fee_yen,
        bring=things_to_bring(procedure, "online"),
    )


def _counter(
    procedure: Procedure,
    counters: Mapping[str, Counter],
    availability: Sequence[Availability],
    now: datetime,
    ready: frozenset[Channel],
) -> ChannelOption:
    known = [counters[code] for code in procedure.counters if code in counters]
    if procedure.counter == "no" or not known:
        return _impossible("counter", "no_counter")
    is_ready = "counter" in ready
    free = _free_times(known, availability, now)
    return ChannelOption(
        channel="counter",
        possible=procedure.counter,
        ready=is_ready,
        reason=_reason(procedure.counter, is_ready),
        earliest=free.earliest if is_ready else "next_version",
        earliest_at=free.earliest_at,
        as_of=free.as_of,
        minutes=procedure.counter_minutes,
        counter=free.counter or known[0],
        fee_yen=procedure.fee_yen,
        bring=things_to_bring(procedure, "counter"),
    )


class _FreeTimes(msgspec.Struct, frozen=True, kw_only=True):
    """What booking said of several counters, or venues, together. `counter` is the one of the earliest time."""

    earliest: Earliest
    earliest_at: datetime | None
    as_of: datetime | None
    counter: Counter | None


def _free_times(known: Sequence[Counter], availability: Sequence[Availability], now: datetime) -> _FreeTimes:
    by_code = {counter.code: counter for counter in known}
    seen = [entry for entry in availability if entry.counter in by_code]
    # A time that has passed says nothing about the next one: booking will tell us soon.
    free = [entry for entry in seen if entry.earliest_at is not None and entry.earliest_at > now]
    best = min(free, key=lambda entry: (entry.earliest_at or now, entry.counter), default=None)
    earliest: Earliest
    if best is not None:
        earliest = "at"
    elif len(seen) == len(known) and all(entry.earliest_at is None for entry in seen):
        earliest = "full"
    else:
        earliest = "unknown"
    return _FreeTimes(
        earliest=earliest,
        earliest_at=best.earliest_at if best else None,
        as_of=best.as_of if best else min((entry.as_of for entry in seen), default=None),
        counter=by_code[best.counter] if best else None,
    )


def _helper(
    procedure: Procedure,
    counters: Mapping[str, Counter],
    availability: Sequence[Availability],
    now: datetime,
    ready: frozenset[Channel],
) -> ChannelOption:
    if procedure.helper == "no":
        return _impossible("helper", "not_with_helper")
    is_ready = "helper" in ready
    venues = [counter for counter in counters.values() if counter.is_venue]
    if is_ready and not venues:
        return _impossible("helper", "no_venue")
    free = _free_times(venues, availability, now)
    # Practising with a phone is the helper's procedure itself; elsewhere it comes before the procedure.
    extra_min = 0 if procedure.counter == "no" else HELPER_EXTRA_MIN
    return ChannelOption(
        channel="helper",
        possible=procedure.helper,
        ready=is_ready,
        reason=_reason(procedure.helper, is_ready),
        earliest=free.earliest if is_ready else "next_version",
        earliest_at=free.earliest_at if is_ready else None,
        as_of=free.as_of if is_ready else None,
        counter=free.counter,
        minutes=procedure.counter_minutes + extra_min,
        minutes_estimated=True,
        fee_yen=procedure.fee_yen,
        bring=things_to_bring(procedure, "helper"),
    )


def _impossible(channel: Channel, reason: Reason) -> ChannelOption:
    return ChannelOption(channel=channel, possible="no", ready=False, reason=reason, earliest="never")


def _reason(possible: Possible, is_ready: bool) -> Reason:
    if not is_ready:
        return "next_version"
    return "partly" if possible == "partial" else "possible"


def _suggest(options: Sequence[ChannelOption]) -> tuple[Channel | None, tuple[Why, ...]]:
    usable = [option for option in options if option.ready and option.possible != "no"]
    if not usable:
        return None, ()
    best = min(usable, key=_preference)
    why: list[Why] = []
    others = [option for option in usable if option is not best]
    if not others:
        why.append("only_one_ready")
    elif best.earliest_at is not None and all(
        option.earliest_at is None or option.earliest_at > best.earliest_at for option in others
    ):
        why.append("earliest")
    if best.possible == "yes" and any(option.possible == "partial" for option in options):
        why.append("whole_procedure")
    if best.channel in ("counter", "helper"):
        why.append("together")
    if best.minutes is not None and best.minutes <= QUICK_MIN:
        why.append("short")
    if not best.bring and best.fee_yen == 0:
        why.append("nothing_to_bring")
    return best.channel, tuple(why)


def _preference(option: ChannelOption) -> tuple[bool, bool, bool, float, int]:
    """What can be done wholly comes first, then what is not full, then what is sooner; a tie goes as listed."""
    at = option.earliest_at.timestamp() if option.earliest_at else float("inf")
    is_partial = option.possible == "partial"
    return is_partial, option.earliest == "full", option.earliest_at is None, at, CHANNELS.index(option.channel)
