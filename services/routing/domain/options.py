"""One channel of one procedure, as it is compared: what it costs, what is there, and how sure all that is."""

from datetime import datetime
from typing import Literal

import msgspec

from services.routing.domain.catalogue import Channel, Counter, Payment, Possible
from services.routing.domain.situation import Access

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
# Why not all of it is sure: minutes are an estimate, free times were told long ago or never, the town has not
# confirmed its facts.
Doubt = Literal["minutes_estimated", "times_old", "times_missing", "unconfirmed"]
Sure = Literal["sure", "roughly", "ask"]
# What of the things that somebody said does not fit this channel.
Caution = Literal[
    "late",
    "time_unknown",
    "needs_phone",
    "by_yourself",
    "go_out",
    "go_out_later",
    "ask_step_free",
    "ask_sign",
    "ask_writing",
    "ask_interpreter",
    "some_step_free",
    "some_sign",
    "some_writing",
    "some_interpreter",
    "site_languages",
]


class ChannelOption(msgspec.Struct, frozen=True, kw_only=True):
    """One channel of one procedure. `ready` is whether a person can go on with it now; times are minutes.

    `access` and `payment` are what the town says of every place where it is done, `access_somewhere` of one or another
    of them. `reused` are the items that need not be written again.
    """

    channel: Channel
    possible: Possible
    ready: bool
    reason: Reason
    earliest: Earliest
    earliest_at: datetime | None = None
    as_of: datetime | None = None
    minutes: int | None = None
    counter: Counter | None = None
    fee_yen: int = 0
    payment: tuple[Payment, ...] = ()
    bring: tuple[str, ...] = ()
    access: tuple[Access, ...] = ()
    access_somewhere: tuple[Access, ...] = ()
    reused: tuple[str, ...] = ()
    needs_phone: bool = False
    doubts: tuple[Doubt, ...] = ()
    cautions: tuple[Caution, ...] = ()

    @property
    def usable(self) -> bool:
        """Whether it can be chosen now."""
        return self.ready and self.possible != "no"

    @property
    def sure(self) -> Sure:
        """How sure what is said of it is, in one word."""
        if "times_missing" in self.doubts:
            return "ask"
        return "roughly" if self.doubts else "sure"
