"""What somebody may stop being told (お知らせを止める), and what not, with the reason for each: the page shows both."""

from typing import Literal

import msgspec

from services.notifications.domain.notices import (
    APPLICATION_NOTICES,
    CASE_SWITCHED,
    CLASS_CHANGED,
    CLASS_NOTICES,
    CLASS_PROPOSED,
    CLASS_REMINDER,
    DRAW_NOTICES,
    HELP_NOTICES,
    OF_CLOSINGS,
    OF_WAYS,
    TOWN_NEWS,
    TOWN_NOTICE,
    TURN_NEAR,
    Kind,
)

StopKey = Literal["reminder", "earlier_offer", "turn_near", "feedback", "town_news"]


class Stop(msgspec.Struct, frozen=True):
    """What may be stopped, and the notices that are not sent then."""

    key: StopKey
    kinds: tuple[Kind, ...]


class Required(msgspec.Struct, frozen=True):
    """What is told all the same, and why: by law, lest somebody comes in vain, or because it is about being told."""

    reason: Literal["law", "place", "ways", "town"]
    kinds: tuple[Kind, ...]


STOPS: tuple[Stop, ...] = (
    # Whoever has it in their calendar needs none.
    Stop("reminder", ("reminder", CLASS_REMINDER)),
    # Nothing was promised: the appointment stays as it is.
    Stop("earlier_offer", ("earlier_offer",)),
    # The board and the page say it too.
    Stop("turn_near", (TURN_NEAR,)),
    # No notice of its own: the question how it went, in the last one.
    Stop("feedback", ()),
    # What must be told goes out as another kind.
    Stop("town_news", (TOWN_NEWS,)),
)
REQUIRED: tuple[Required, ...] = (
    # 行政手続法: a refusal has its reasons told (8条), what is missing is asked for (7条); a decision works when told.
    Required("law", tuple(APPLICATION_NOTICES.values())),
    # Whoever does not hear of it comes for nothing, or loses the seat that is kept for them.
    Required(
        "place",
        (
            "confirmation", "change", "cancellation", "helper_found", *OF_CLOSINGS, "draw_won", *DRAW_NOTICES.values(),
            *HELP_NOTICES.values(), *CLASS_NOTICES.values(), CLASS_PROPOSED, CLASS_CHANGED, CASE_SWITCHED,
        ),
    ),
    # The code is asked for by who waits for it; that a way is dead is what keeps the others from being missed.
    Required("ways", OF_WAYS),
    # Only what concerns one's own affairs, or everybody's safety, is sent as such; who writes it says why.
    Required("town", (TOWN_NOTICE,)),
)  # fmt: skip
STOP_KEYS: tuple[StopKey, ...] = tuple(stop.key for stop in STOPS)
_STOP_OF: dict[Kind, StopKey] = {kind: stop.key for stop in STOPS for kind in stop.kinds}


def is_stopped(kind: Kind, stopped: tuple[str, ...]) -> bool:
    """Whether somebody who stopped these hears nothing of a notice."""
    return _STOP_OF.get(kind) in stopped
