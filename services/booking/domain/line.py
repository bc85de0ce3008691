"""The line at the counter: 受付 → 呼出 → 対応中 → 完了, or 不在; and one step back."""

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any, Literal, Protocol, get_args

import msgspec

from shared.errors import Refusal

State = Literal["booked", "checked_in", "called", "serving", "done", "no_show", "cancelled"]
Action = Literal[
    "check-in", "call", "start", "done", "no-show", "park", "resume", "prefer", "unprefer", "withdraw", "undo"
]

ACTIONS: tuple[Action, ...] = get_args(Action)
# From which states an action may be taken, and where it leads. Calling again (再呼出) stays "called". Whoever is parked
# (保留) waits without being called next; whoever is preferred (優先) is called before others. A ticket that was given
# by mistake is withdrawn; what was booked is cancelled elsewhere.
STEPS: Mapping[Action, tuple[frozenset[State], State]] = {
    "check-in": (frozenset({"booked", "no_show"}), "checked_in"),
    "call": (frozenset({"checked_in", "called", "no_show"}), "called"),
    "start": (frozenset({"checked_in", "called"}), "serving"),
    "done": (frozenset({"called", "serving"}), "done"),
    "no-show": (frozenset({"booked", "checked_in", "called"}), "no_show"),
    "park": (frozenset({"checked_in", "called"}), "checked_in"),
    "resume": (frozenset({"checked_in"}), "checked_in"),
    "prefer": (frozenset({"checked_in"}), "checked_in"),
    "unprefer": (frozenset({"checked_in"}), "checked_in"),
    "withdraw": (frozenset({"checked_in", "called"}), "cancelled"),
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


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """Where somebody stands. `was_called`: at least once; `can_undo`: there is a step in the line to be taken back."""

    kind: Literal["booked", "walk_in"]
    state: State
    was_called: bool
    starts_at: datetime
    is_parked: bool = False
    is_preferred: bool = False
    can_undo: bool = False


def progress_of(row: Any) -> Progress:
    """Where the person of an appointment's row stands."""
    return Progress(
        kind=row.kind,
        state=row.state,
        was_called=row.called_at is not None,
        starts_at=row.starts_at,
        is_parked=row.parked_at is not None,
        is_preferred=row.is_preferred,
        can_undo=row.undo_version is not None,
    )


def next_state(progress: Progress, action: Action, *, now: datetime) -> State:
    """Where an action leads; taking one back (`undo`) leads to where they were, which the step itself remembers.

    Raises:
        Refusal: `step_impossible` (409) from this state; `no_show_too_early` (409), nobody has called them yet and
            their time is still to come.
    """
    allowed, target = STEPS[action]
    fits = _fits(action, progress.kind, is_parked=progress.is_parked, is_preferred=progress.is_preferred)
    if progress.state not in allowed or not fits:
        raise Refusal("step_impossible", 409, state=progress.state)
    if action == "no-show" and not _was_expected(progress, now=now):
        raise Refusal("no_show_too_early", 409, state=progress.state)
    return target


def possible_actions(progress: Progress, *, now: datetime) -> tuple[Action, ...]:
    """What may be done next, the usual step first."""
    place = (progress.state, progress.kind, progress.is_parked, progress.is_preferred, progress.can_undo)
    return _possible(*place, _was_expected(progress, now=now))


@cache
def _possible(
    state: State, kind: str, is_parked: bool, is_preferred: bool, can_undo: bool, was_expected: bool
) -> tuple[Action, ...]:
    """There are few such places, and hundreds of people in a line."""
    actions: list[Action] = [
        action
        for action, (allowed, _) in STEPS.items()
        if state in allowed
        and _fits(action, kind, is_parked=is_parked, is_preferred=is_preferred)
        and (action != "no-show" or was_expected)
    ]
    if can_undo:
        actions.append("undo")
    usual = USUAL.get(state)
    return tuple(sorted(actions, key=lambda action: action != usual))


def show_ticket(counter: str, ticket_no: int) -> str:
    """A ticket (番号札) as it is called: ``7-012``."""
    return f"{counter}-{ticket_no:03}"


class HoldsTicket(Protocol):
    """Somebody in the line, or their appointment."""

    @property
    def ticket_counter(self) -> str | None: ...
    @property
    def ticket_no(self) -> int | None: ...


def ticket_of(found: HoldsTicket) -> str | None:
    """The ticket in somebody's hand as it is called; None: they have none yet."""
    if found.ticket_counter is None or found.ticket_no is None:
        return None
    return show_ticket(found.ticket_counter, found.ticket_no)


def _was_expected(progress: Progress, *, now: datetime) -> bool:
    """Whether they can be said to be missing: called at least once, or past the time that they booked."""
    return progress.was_called or (progress.kind == "booked" and progress.starts_at <= now)


def _fits(action: Action, kind: str, *, is_parked: bool, is_preferred: bool) -> bool:
    """Whether it is for them, and changes anything: who is parked, or preferred, is so already."""
    return {
        "park": not is_parked,
        "resume": is_parked,
        "prefer": not is_preferred,
        "unprefer": is_preferred,
        "withdraw": kind == "walk_in",
    }.get(action, True)
