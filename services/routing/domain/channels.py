"""Online, counter or helper: what each costs for one procedure, and which one to suggest, with reasons.

Pure: everything is given, codes come out, and the pages put them into words.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

import msgspec

from services.routing.domain.catalogue import Channel, ChannelRules, Counter, Payment, Possible, Procedure
from services.routing.domain.items import NOT_TYPED
from services.routing.domain.options import ChannelOption, Doubt, Earliest, Reason
from services.routing.domain.situation import Access, Situation
from services.routing.domain.suggestion import Why, find_cautions, suggest

T = TypeVar("T")

# The channels that can be used in this version; the others say honestly that they come with the next one.
READY_CHANNELS: frozenset[Channel] = frozenset({"online", "counter", "helper"})

# Booking says what is free anew at least every ten minutes: of whom nothing was heard for so long, something is amiss.
OLD_AFTER = timedelta(minutes=30)

OWN_PHONE = "own_phone"
# Nothing is read from a card online yet: the office checks who it is afterwards, as its page says.
IDENTITY_LATER = "identity_later"
# Items that are papers or things rather than words.
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


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """The items that the person gave before and need not write again: on a form, and when a time is booked."""

    form: tuple[str, ...] = ()
    booking: tuple[str, ...] = ()


NOTHING_SAID = Situation()
NOTHING_GIVEN = Given()
USUAL_RULES = ChannelRules()


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
    situation: Situation = NOTHING_SAID,
    given: Given = NOTHING_GIVEN,
    online_payment: tuple[Payment, ...] = (),
    rules: ChannelRules = USUAL_RULES,
    ready: frozenset[Channel] = READY_CHANNELS,
) -> Comparison:
    """Compare the channels of a procedure at a moment. `availability` may hold other counters, or be late or empty."""
    availability = [entry.of(procedure.code) for entry in availability]
    options = tuple(
        msgspec.structs.replace(option, cautions=find_cautions(option, situation, now))
        for option in (
            _online(procedure, now, ready, given, online_payment, rules),
            _counter(procedure, counters, availability, now, ready, given),
            _helper(procedure, counters, availability, now, ready, given, rules),
        )
    )
    suggested, why = suggest(options, situation, now)
    return Comparison(options=options, suggested=suggested, why=why)


def things_to_bring(procedure: Procedure, channel: Channel) -> tuple[str, ...]:
    """Codes of what to have at hand: the town's things, and with a helper one's own phone."""
    if channel == "online":
        later = () if procedure.identity == "none" else (IDENTITY_LATER,)
        return (*later, *procedure.bring_online)
    return (OWN_PHONE, *procedure.bring) if channel == "helper" else procedure.bring


def things_not_typed(items: Sequence[str]) -> tuple[str, ...]:
    """What is attached, or else brought or sent later: codes of things."""
    return tuple(_THINGS[item] for item in items if item in NOT_TYPED and item in _THINGS)


def _online(
    procedure: Procedure,
    now: datetime,
    ready: frozenset[Channel],
    given: Given,
    payment: tuple[Payment, ...],
    rules: ChannelRules,
) -> ChannelOption:
    if procedure.online == "no":
        by_law = procedure.source.startswith("in-person required by law")
        return _impossible("online", "in_person_by_law" if by_law else "not_online")
    is_ready = "online" in ready
    reused = tuple(item for item in procedure.items if item in given.form)
    return ChannelOption(
        channel="online",
        possible=procedure.online,
        ready=is_ready,
        reason=_reason(procedure.online, is_ready),
        earliest="any_time" if is_ready else "next_version",
        earliest_at=now if is_ready else None,
        minutes=_online_minutes(procedure, rules, len(reused)),
        fee_yen=procedure.fee_yen,
        payment=payment if procedure.fee_yen else (),
        bring=things_to_bring(procedure, "online"),
        reused=reused,
        needs_phone=True,
        doubts=_doubts(procedure, None, now, minutes_estimated=procedure.online_minutes is None),
    )


def _online_minutes(procedure: Procedure, rules: ChannelRules, reused: int) -> int:
    """What the form takes, less what need not be written again."""
    whole = procedure.online_minutes
    if whole is None:
        whole = rules.online_base_min + rules.online_per_item_min * len(procedure.items)
    return max(1, whole - rules.online_per_item_min * reused)


def _counter(
    procedure: Procedure,
    counters: Mapping[str, Counter],
    availability: Sequence[Availability],
    now: datetime,
    ready: frozenset[Channel],
    given: Given,
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
        payment=_everywhere([place.payment for place in known]) if procedure.fee_yen else (),
        bring=things_to_bring(procedure, "counter"),
        access=_everywhere([place.access for place in known]),
        access_somewhere=_somewhere(known),
        reused=given.booking,
        doubts=_doubts(procedure, free if is_ready else None, now, minutes_estimated=False),
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
    given: Given,
    rules: ChannelRules,
) -> ChannelOption:
    if procedure.helper == "no":
        return _impossible("helper", "not_with_helper")
    is_ready = "helper" in ready
    venues = [counter for counter in counters.values() if counter.is_venue]
    if is_ready and not venues:
        return _impossible("helper", "no_venue")
    free = _free_times(venues, availability, now)
    # Practising with a phone is the helper's procedure itself; elsewhere it comes before the procedure.
    extra_min = 0 if procedure.counter == "no" else rules.helper_extra_min
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
        fee_yen=procedure.fee_yen,
        bring=things_to_bring(procedure, "helper"),
        access=_everywhere([place.access for place in venues]),
        access_somewhere=_somewhere(venues),
        reused=given.booking,
        needs_phone=True,
        doubts=_doubts(procedure, free if is_ready else None, now, minutes_estimated=True),
    )


def _doubts(
    procedure: Procedure, free: "_FreeTimes | None", now: datetime, *, minutes_estimated: bool
) -> tuple[Doubt, ...]:
    found: list[Doubt] = []
    if free is not None and free.earliest == "unknown":
        found.append("times_missing")
    elif free is not None and free.as_of is not None and now - free.as_of > OLD_AFTER:
        found.append("times_old")
    if minutes_estimated:
        found.append("minutes_estimated")
    if procedure.is_sample:
        found.append("unconfirmed")
    return tuple(found)


def _everywhere(kinds: Sequence[tuple[T, ...]]) -> tuple[T, ...]:
    """What all places have, in the order of the first one."""
    first, *others = kinds or [()]
    return tuple(kind for kind in first if all(kind in other for other in others))


def _somewhere(places: Sequence[Counter]) -> tuple[Access, ...]:
    """What one or another of the places has."""
    return tuple(dict.fromkeys(kind for place in places for kind in place.access))


def _impossible(channel: Channel, reason: Reason) -> ChannelOption:
    return ChannelOption(channel=channel, possible="no", ready=False, reason=reason, earliest="never")


def _reason(possible: Possible, is_ready: bool) -> Reason:
    if not is_ready:
        return "next_version"
    return "partly" if possible == "partial" else "possible"
