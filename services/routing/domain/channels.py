"""Online, counter or helper: what each costs for one procedure, and which one to suggest, with reasons.

Pure: everything is given, codes come out, and the pages put them into words.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

import msgspec

from services.routing.domain.catalogue import CHANNELS, Channel, Counter, Possible, Procedure

# The channels that can be used in this version; the others say honestly that they come with the next one.
READY_CHANNELS: frozenset[Channel] = frozenset({"counter"})

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
    "next_version",
]
Why = Literal["earliest", "only_one_ready", "whole_procedure", "short", "free", "nothing_to_bring", "together"]

OWN_PHONE = "own_phone"


class Availability(msgspec.Struct, frozen=True, kw_only=True):
    """A counter's earliest free place, as booking last said. `earliest_at` None: the whole horizon is full."""

    counter: str
    earliest_at: datetime | None
    as_of: datetime


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
    options = (
        _online(procedure, now, ready),
        _counter(procedure, counters, availability, now, ready),
        _helper(procedure, ready),
    )
    suggested, why = _suggest(options)
    return Comparison(options=options, suggested=suggested, why=why)


def things_to_bring(procedure: Procedure, channel: Channel) -> tuple[str, ...]:
    """Codes of what to have at hand: the town's things, and with a helper one's own phone."""
    if channel == "online":
        return procedure.bring_online
    return (OWN_PHONE, *procedure.bring) if channel == "helper" else procedure.bring


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
    seen = [entry for entry in availability if entry.counter in {counter.code for counter in known}]
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
    is_ready = "counter" in ready
    return ChannelOption(
        channel="counter",
        possible=procedure.counter,
        ready=is_ready,
        reason=_reason(procedure.counter, is_ready),
        earliest=earliest if is_ready else "next_version",
        earliest_at=best.earliest_at if best else None,
        as_of=best.as_of if best else min((entry.as_of for entry in seen), default=None),
        minutes=procedure.counter_minutes,
        counter=counters[best.counter] if best else known[0],
        fee_yen=procedure.fee_yen,
        bring=things_to_bring(procedure, "counter"),
    )


def _helper(procedure: Procedure, ready: frozenset[Channel]) -> ChannelOption:
    if procedure.helper == "no":
        return _impossible("helper", "not_with_helper")
    is_ready = "helper" in ready
    # Practising with a phone is the helper's procedure itself; elsewhere it comes before the procedure.
    extra_min = 0 if procedure.counter == "no" else HELPER_EXTRA_MIN
    return ChannelOption(
        channel="helper",
        possible=procedure.helper,
        ready=is_ready,
        reason=_reason(procedure.helper, is_ready),
        earliest="unknown" if is_ready else "next_version",
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
