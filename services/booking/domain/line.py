"""The line at the counter: 受付 → 呼出 → 対応中 → 完了, or 不在; and one step back."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

import msgspec

from shared.errors import Refusal

State = Literal["booked", "checked_in", "called", "serving", "done", "no_show", "cancelled"]
Action = Literal["check-in", "call", "start", "done", "no-show", "undo"]

ACTIONS: tuple[Action, ...] = ("check-in", "call", "start", "done", "no-show", "undo")
# From which states an action may be taken, and where it leads. Calling again (再呼出) stays "called".
STEPS: Mapping[Action, tuple[frozenset[State], State]] = {
    "check-in": (frozenset({"booked", "no_show"}), "checked_in"),
    "call": (frozenset({"checked_in", "called", "no_show"}), "called"),
    "start": (frozenset({"checked_in", "called"}), "serving"),
    "done": (frozenset({"called", "serving"}), "done"),
    "no-show": (frozenset({"booked", "checked_in", "called"}), "no_show"),
}
# The column that keeps when a state was reached; "booked" has none that an undo could clear.
STAMPS: Mapping[State, str] = {
    "checked_in": "checked_in_at",
    "called": "called_at",
    "serving": "serving_at",
    "done": "done_at",
    "no_show": "no_show_at",
}
# Whoever is in the building, as far as we know.
PRESENT: frozenset[State] = frozenset({"checked_in", "called", "serving"})
# The step that usually comes next: the tablet's large button.
USUAL: Mapping[State, Action] = {
    "booked": "check-in",
    "checked_in": "call",
    "called": "start",
    "serving": "done",
    "no_show": "call",
}
_BEFORE: Mapping[State, tuple[State, ...]] = {
    "done": ("serving", "called", "checked_in"),
    "no_show": ("called", "checked_in"),
    "serving": ("called", "checked_in"),
    "called": ("checked_in",),
    "checked_in": (),
}


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """Where somebody stands. `reached` are the moments of the states passed so far, by column."""

    kind: Literal["booked", "walk_in"]
    state: State
    reached: Mapping[str, datetime | None]
    starts_at: datetime


def next_state(progress: Progress, action: Action, *, now: datetime) -> State:
    """Where an action leads.

    Raises:
        Refusal: `step_impossible` (409) from this state; `no_show_too_early` (409), nobody has called them yet and
            their time is still to come.
    """
    if action == "undo":
        return _step_back(progress)
    allowed, target = STEPS[action]
    if progress.state not in allowed:
        raise Refusal("step_impossible", 409, state=progress.state)
    if action == "no-show" and not _was_expected(progress, now=now):
        raise Refusal("no_show_too_early", 409, state=progress.state)
    return target


def possible_actions(progress: Progress, *, now: datetime) -> list[Action]:
    """What may be done next, the usual step first."""
    actions: list[Action] = [
        action
        for action, (allowed, _) in STEPS.items()
        if progress.state in allowed and (action != "no-show" or _was_expected(progress, now=now))
    ]
    if _can_step_back(progress):
        actions.append("undo")
    usual = USUAL.get(progress.state)
    return sorted(actions, key=lambda action: action != usual)


def show_ticket(counter: str, ticket_no: int) -> str:
    """A ticket (番号札) as it is called: ``7-012``."""
    return f"{counter}-{ticket_no:03}"


def _was_expected(progress: Progress, *, now: datetime) -> bool:
    """Whether they can be said to be missing: called at least once, or past the time that they booked."""
    was_called = progress.reached.get(STAMPS["called"]) is not None
    return was_called or (progress.kind == "booked" and progress.starts_at <= now)


def _can_step_back(progress: Progress) -> bool:
    if progress.state in ("booked", "cancelled"):
        return False
    # Whoever walked in has no earlier state than having arrived.
    return not (progress.kind == "walk_in" and progress.state == "checked_in")


def _step_back(progress: Progress) -> State:
    if not _can_step_back(progress):
        raise Refusal("step_impossible", 409, state=progress.state)
    for state in _BEFORE[progress.state]:
        if progress.reached.get(STAMPS[state]) is not None:
            return state
    return "booked" if progress.kind == "booked" else "checked_in"
