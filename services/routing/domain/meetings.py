"""Going through a case together with a helper: when, and which steps there are. Names of items, never a value."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from services.routing.domain.open_pages import OtherPage, list_groups, page_of
from services.routing.domain.town_items import ProcedureForm

# They may come a little before, and take a little longer.
BEFORE = timedelta(minutes=15)
AFTER = timedelta(minutes=30)
# In the ledger: what the yes was for, and what came of it.
STEP_TOGETHER, AGREED = "together", "agreed"

# A group of the form, or another page.
StepKind = Literal["items"] | OtherPage


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A step of a case. `items`: which are asked for in it, whether or not they apply to this person."""

    kind: StepKind
    items: tuple[str, ...] = ()
    heading: str = ""
    is_done: bool

    @property
    def page(self) -> str:
        """The key of the page that it is done on."""
        return page_of(self.items) if self.kind == "items" else self.kind


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
    # The page that its person opened last; None: none yet.
    open_page: str | None = None


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
        for heading, items in list_groups(form, course.needed)
    ]
    if course.open_page == "reuse":
        # Passed by once: of whom nothing was given before it asks nothing.
        steps.insert(0, Step(kind="reuse", is_done=is_sent))
    if course.attached:
        given = set(course.attached) & set(course.settled)
        steps.append(Step(kind="attach", items=course.attached, is_done=is_sent or bool(given)))
    steps.append(Step(kind="reach", is_done=is_sent or course.has_reach))
    if course.needs_proof:
        steps.append(Step(kind="identity", is_done=is_sent or course.is_proven))
    steps.append(Step(kind="send", is_done=is_sent))
    return tuple(steps)


def current_step(steps: Sequence[Step], open_page: str | None) -> int | None:
    """The one that the person has open, from 0; of no page that is among them, the first that is not done. None: all
    are done."""
    left = [index for index, step in enumerate(steps) if not step.is_done]
    here = (index for index, step in enumerate(steps) if step.page == open_page)
    return next(here, left[0]) if left else None
