"""Which channel to suggest, and why: what the person said weighs first, then what each channel costs.

A suggestion hides nothing: every channel stays, with what does not fit said beside it.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from services.routing.domain.catalogue import CHANNELS, Channel
from services.routing.domain.options import Caution, ChannelOption
from services.routing.domain.situation import Access, Need, PhoneUse, Situation, limit_of

QUICK_MIN = 15

Why = Literal[
    "need_step_free",
    "need_sign",
    "need_writing",
    "need_interpreter",
    "need_stay_home",
    "no_phone_needed",
    "with_practice",
    "own_phone",
    "in_time",
    "earliest",
    "only_one_ready",
    "whole_procedure",
    "short",
    "nothing_to_bring",
    "together",
]

# How far a channel is from what somebody needs: met; met in part, or in some places; to be asked, because the town does
# not say; or not at all.
MET, PARTLY, UNSAID, UNMET = 0, 1, 2, 3

_NEED_MET: dict[Need, Why] = {
    "step_free": "need_step_free",
    "sign": "need_sign",
    "writing": "need_writing",
    "interpreter": "need_interpreter",
    "stay_home": "need_stay_home",
}
_ASK: dict[Access, Caution] = {
    "step_free": "ask_step_free",
    "sign": "ask_sign",
    "writing": "ask_writing",
    "interpreter": "ask_interpreter",
}
_SOMEWHERE: dict[Access, Caution] = {
    "step_free": "some_step_free",
    "sign": "some_sign",
    "writing": "some_writing",
    "interpreter": "some_interpreter",
}
# Who learns it with somebody, or has no phone, finds these the more fitting the earlier they stand.
_FITTING: dict[PhoneUse, tuple[Channel, ...]] = {
    "together": ("helper", "counter", "online"),
    "none": ("counter", "helper", "online"),
}


def find_cautions(option: ChannelOption, situation: Situation, now: datetime) -> tuple[Caution, ...]:
    """What of the things that somebody said does not fit a channel, most important first."""
    if option.possible == "no":
        return ()
    found: list[Caution] = [caution for need in situation.needs if (caution := _caution(option, need)) is not None]
    if situation.phone == "none" and option.needs_phone:
        found.append("needs_phone")
    elif situation.phone == "together" and option.channel == "online":
        found.append("by_yourself")
    lateness = _lateness(option, situation, now)
    if lateness == UNMET:
        found.append("late")
    elif lateness == PARTLY:
        found.append("time_unknown")
    return tuple(found)


def suggest(
    options: Sequence[ChannelOption], situation: Situation, now: datetime
) -> tuple[Channel | None, tuple[Why, ...]]:
    """The channel to suggest, with at least one reason; None when none can be used yet."""
    usable = [option for option in options if option.usable]
    if not usable:
        return None, ()
    best = min(usable, key=lambda option: _preference(option, situation, now))
    others = [option for option in usable if option is not best]
    return best.channel, (*_personal_reasons(best, situation, now), *_reasons(best, others, options))


def _personal_reasons(best: ChannelOption, situation: Situation, now: datetime) -> list[Why]:
    """What fits the things that the person said."""
    why = [_NEED_MET[need] for need in situation.needs if _gap(best, need) == MET]
    if situation.phone == "none" and not best.needs_phone:
        why.append("no_phone_needed")
    if situation.phone == "together" and best.channel == "helper":
        why.append("with_practice")
    if situation.phone == "alone" and best.channel == "online":
        why.append("own_phone")
    if limit_of(situation.until, now) is not None and _lateness(best, situation, now) == MET:
        why.append("in_time")
    return why


def _reasons(best: ChannelOption, others: Sequence[ChannelOption], options: Sequence[ChannelOption]) -> list[Why]:
    """What speaks for it whoever asks."""
    why: list[Why] = []
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
    return why


def _preference(option: ChannelOption, situation: Situation, now: datetime) -> tuple[float, ...]:
    """Smaller is better. First what the person cannot do, then what may have to be asked for, then their deadline, then
    what is easier for them; then what is whole, what is not full, what is sooner; a tie goes as listed."""
    gaps = [_gap(option, need) for need in situation.needs]
    if situation.phone == "none" and option.needs_phone:
        gaps.append(UNMET)
    fitting = _FITTING[situation.phone].index(option.channel) if situation.phone in _FITTING else 0
    return (
        gaps.count(UNMET),
        sum(gap for gap in gaps if gap != UNMET),
        _lateness(option, situation, now),
        fitting,
        option.possible == "partial",
        option.earliest == "full",
        option.earliest_at is None,
        option.earliest_at.timestamp() if option.earliest_at else float("inf"),
        CHANNELS.index(option.channel),
    )


def _gap(option: ChannelOption, need: Need) -> int:
    if option.channel != "online":
        if need == "stay_home":
            return UNMET
        return MET if need in option.access else PARTLY if need in option.access_somewhere else UNSAID
    # The site has three languages. Who has to come to a counter afterwards goes out after all.
    if need == "interpreter":
        return PARTLY
    return PARTLY if need == "stay_home" and option.possible == "partial" else MET


def _caution(option: ChannelOption, need: Need) -> Caution | None:
    gap = _gap(option, need)
    if gap == MET:
        return None
    if need == "stay_home":
        return "go_out" if gap == UNMET else "go_out_later"
    if option.channel == "online":
        return "site_languages"
    return _SOMEWHERE[need] if gap == PARTLY else _ASK[need]


def _lateness(option: ChannelOption, situation: Situation, now: datetime) -> int:
    limit = limit_of(situation.until, now)
    if limit is None:
        return MET
    if option.earliest == "full":
        return UNMET
    if option.earliest_at is None:
        return PARTLY
    return MET if option.earliest_at < limit else UNMET
