"""Going on by another channel (やり方を変える): when it is possible, and where a case stands afterwards.

`docs/decisions/0049-switching.md` has the whole table.
"""

from datetime import datetime
from typing import Literal

import msgspec

from services.routing.domain.applications import CLOSED, State

# Who said it: the person; staff, to whom they said it by phone or at the desk; a helper who is with them. `office`: it
# asked for a visit or a correction; `came`: the person was received at the counter, whatever they had begun.
Said = Literal["self", "phone", "desk", "helper", "office", "came"]
SAID: tuple[Said, ...] = ("self", "phone", "desk", "helper", "office", "came")
# Staff may do it only when the person has said so to them, and say how.
Consent = Literal["phone", "desk"]
CONSENTS: tuple[Consent, ...] = ("phone", "desk")
# Somebody else pressed the button: the person is told, and can undo it.
BY_OTHERS: frozenset[Said] = frozenset({"phone", "desk", "helper"})

AT_THE_COUNTER = frozenset({"checked_in", "called", "serving"})
Why = Literal["case_closed", "case_done", "case_at_counter"]


class Proposed(msgspec.Struct, frozen=True, kw_only=True):
    """The first time that is free at a counter, at the moment of a wish."""

    counter: str
    starts_at: datetime


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How far a case has come: its channel and state, the application that was sent, and the states of what was booked
    at a counter."""

    channel: str
    state: str
    application: State | None = None
    at_counter: frozenset[str] = frozenset()
    is_booked: bool = False

    @property
    def is_sent(self) -> bool:
        """Whether the office has it, and goes on with it wherever the person is."""
        return self.application is not None and self.application not in CLOSED

    @property
    def step(self) -> str:
        """How far it has come, for the history and the figures."""
        if self.application is not None:
            return "submitted"
        return "booked" if self.is_booked else self.state


def why_not(standing: Standing, said: Said) -> Why | None:
    """Why it cannot go on by another channel at all; None: it can.

    Whoever stands at the counter is asked there: only staff at the desk may then change it.
    """
    if standing.application is not None and standing.application in CLOSED:
        return "case_closed"
    if standing.application is None and "done" in standing.at_counter:
        return "case_done"
    if standing.at_counter & AT_THE_COUNTER and said not in ("desk", "office"):
        return "case_at_counter"
    return None


def state_after(standing: Standing, channel: str) -> str:
    """The case's state once it goes on by a channel. What was sent waits online as it was sent."""
    if standing.is_sent:
        return "submitted" if channel == "online" else "told"
    return "told" if standing.state == "handed_over" else standing.state
