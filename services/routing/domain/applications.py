"""An online application (申請): its states, who may move it, and what it needs before it can be sent."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Literal

State = Literal["submitted", "accepted", "correction_asked", "completed", "withdrawn"]
STATES: tuple[State, ...] = ("submitted", "accepted", "correction_asked", "completed", "withdrawn")
Action = Literal["accept", "ask_correction", "complete"]
ACTIONS: tuple[Action, ...] = ("accept", "ask_correction", "complete")

# What may follow what; the database has the same list (migration 0004) and refuses everything else.
MOVES: dict[State, tuple[State, ...]] = {
    "submitted": ("accepted", "correction_asked", "withdrawn"),
    "accepted": ("completed", "correction_asked", "withdrawn"),
    # The office takes what it was told in person or by phone: the device that sent it may be gone.
    "correction_asked": ("submitted", "accepted", "withdrawn"),
    "completed": (),
    "withdrawn": (),
}
LEADS_TO: dict[Action, State] = {"accept": "accepted", "ask_correction": "correction_asked", "complete": "completed"}
CLOSED: frozenset[State] = frozenset({"completed", "withdrawn"})
# While the office has it, the resident changes nothing behind its back.
EDITABLE: frozenset[State] = frozenset({"correction_asked"})

REASON_MAX_LENGTH = 500
FAILURES_MAX = 5
LOCKED_FOR = timedelta(minutes=15)
# A link of a message opens its application for as long as somebody may have a question about it.
ACCESS_KEPT = timedelta(days=365)


def may_move(state: State, to: State) -> bool:
    """Whether an application may go from one state to another."""
    return to in MOVES[state]


def possible_actions(state: State) -> tuple[Action, ...]:
    """What the office can do now, the usual one first."""
    return tuple(action for action in ACTIONS if may_move(state, LEADS_TO[action]))


def missing_items(needed: Iterable[str], given: Iterable[str]) -> tuple[str, ...]:
    """What still has to be typed."""
    known = set(given)
    return tuple(item for item in needed if item not in known)
