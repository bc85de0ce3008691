"""An online application (申請): its states, who may move it, and what it needs before it can be sent."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Literal

import msgspec

State = Literal["submitted", "accepted", "correction_asked", "visit_asked", "completed", "refused", "withdrawn"]
STATES: tuple[State, ...] = (
    "submitted",
    "accepted",
    "correction_asked",
    "visit_asked",
    "completed",
    "refused",
    "withdrawn",
)
Action = Literal["accept", "complete", "ask_correction", "ask_visit", "refuse"]
ACTIONS: tuple[Action, ...] = ("accept", "complete", "ask_correction", "ask_visit", "refuse")

# What may follow what; the database has the same list (migration 0022) and refuses everything else.
MOVES: dict[State, tuple[State, ...]] = {
    "submitted": ("accepted", "correction_asked", "visit_asked", "refused", "withdrawn"),
    "accepted": ("completed", "correction_asked", "visit_asked", "refused", "withdrawn"),
    # The office takes what it was told in person or by phone: the device that sent it may be gone.
    "correction_asked": ("submitted", "accepted", "visit_asked", "refused", "withdrawn"),
    # Whoever came was heard: what follows is accepted first.
    "visit_asked": ("accepted", "refused", "withdrawn"),
    "completed": (),
    "refused": (),
    "withdrawn": (),
}
LEADS_TO: dict[Action, State] = {
    "accept": "accepted",
    "complete": "completed",
    "ask_correction": "correction_asked",
    "ask_visit": "visit_asked",
    "refuse": "refused",
}
CLOSED: frozenset[State] = frozenset({"completed", "refused", "withdrawn"})
# The office has come to its end with it.
DECIDED: frozenset[State] = frozenset({"completed", "refused"})
# It lies with the office, whose time runs (標準処理期間); or with the person, and the office's time stands still.
AT_OFFICE: tuple[State, ...] = ("submitted", "accepted")
AT_PERSON: tuple[State, ...] = ("correction_asked", "visit_asked")
# While the office has it, the resident changes nothing behind its back.
EDITABLE: frozenset[State] = frozenset({"correction_asked"})

# What the office writes to the person with a state: an item of the vault, by its key.
WRITTEN: dict[State, str] = {"correction_asked": "correction", "visit_asked": "visit", "refused": "refusal"}
WRITE: dict[Action, str] = {action: WRITTEN[state] for action, state in LEADS_TO.items() if state in WRITTEN}

REASON_MAX_LENGTH = 500
ITEM_REASON_MAX_LENGTH = 200
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


def pack_reasons(reasons: Mapping[str, str]) -> str:
    """What to correct, by item, as one text of the vault; what is about no item in particular stands under ""."""
    return msgspec.json.encode({item: text for item, text in reasons.items() if text}, order="sorted").decode()


def read_reasons(text: str) -> dict[str, str]:
    """The same again. A text that was written before there was a reason for each item is about the whole."""
    try:
        return msgspec.json.decode(text, type=dict[str, str])
    except msgspec.DecodeError:
        return {"": text}
