"""Going through a case together with a helper: when, and which steps there are. Names of items, never a value."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from services.routing.domain.town_items import ProcedureForm

# They may come a little before, and take a little longer.
BEFORE = timedelta(minutes=15)
AFTER = timedelta(minutes=30)
# In the ledger: what the yes was for, and what came of it.
STEP_TOGETHER, AGREED = "together", "agreed"

# A group of the form; what is attached; who one is; how to be told; to send it. On the way to a time: who one is called
# by, what is handed over, and the time.
StepKind = Literal["items", "attach", "identity", "reach", "send", "names", "handover", "book"]


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A step of a case. `items`: which are asked for in it, whether or not they apply to this person."""

    kind: StepKind
    items: tuple[str, ...] = ()
    heading: str = ""
    is_done: bool


class Course(msgspec.Struct, frozen=True, kw_only=True):
    """What of a case its steps follow from: names of items, and how far it has come."""

    channel: str
    state: str
    has_reach: bool
    needed: tuple[str, ...]
    attached: tuple[str, ...]
    # What was given, or does not apply. Which of both, nobody is told: it would tell the answer above.
    settled: Collection[str]
    needs_proof: bool
    is_proven: bool
    is_booked: bool


def together_until(ends_at: datetime) -> datetime:
    """Until when a yes counts, unless it is ended before."""
    return ends_at + AFTER


def list_steps(course: Course, form: ProcedureForm) -> tuple[Step, ...]:
    """All steps of a case by its channel, in their order."""
    if course.channel != "online":
        return (
            Step(kind="names", is_done=course.has_reach),
            Step(kind="handover", is_done=course.state == "handed_over"),
            Step(kind="book", is_done=course.is_booked),
        )
    is_sent = course.state == "submitted"
    steps = [
        Step(kind="items", items=items, heading=heading, is_done=is_sent or set(items) <= set(course.settled))
        for heading, items in _groups(form, course.needed)
    ]
    if course.attached:
        given = set(course.attached) & set(course.settled)
        steps.append(Step(kind="attach", items=course.attached, is_done=is_sent or bool(given)))
    steps.append(Step(kind="reach", is_done=is_sent or course.has_reach))
    if course.needs_proof:
        steps.append(Step(kind="identity", is_done=is_sent or course.is_proven))
    steps.append(Step(kind="send", is_done=is_sent))
    return tuple(steps)


def current_step(steps: Sequence[Step]) -> int | None:
    """The first that is not done, from 0; None: all are."""
    return next((index for index, step in enumerate(steps) if not step.is_done), None)


def _groups(form: ProcedureForm, needed: Sequence[str]) -> list[tuple[str, tuple[str, ...]]]:
    """The items as the form has them under its headings; without any, each is a step of its own."""
    groups = [(group.ja, tuple(entry.item for entry in group.items if entry.item in needed)) for group in form.groups]
    named = {item for _, items in groups for item in items}
    return [
        *((heading, items) for heading, items in groups if items),
        *(("", (item,)) for item in needed if item not in named),
    ]
