"""Life events (ライフイベント): a few questions, and which procedures apply to whoever answered them so."""

from collections.abc import Collection

import msgspec

ANSWERS_MAX = 30


class Words(msgspec.Struct, frozen=True, kw_only=True):
    """A text of the town's own data; `shared/town_texts.py` says it in other languages."""

    ja: str


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """Something to be answered with yes or no. It asks about a situation, never for a datum."""

    code: str
    text: Words
    hint: Words | None = None


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One procedure of an event. `when`: for whoever said yes to one of these; empty: for everybody.

    `after` names the procedures that come first; the pack lists steps in such an order.
    """

    procedure: str
    when: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    note: Words | None = None


class LifeEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event with its questions and steps, in the order in which they are asked and can be done."""

    code: str
    name: Words
    intro: Words
    questions: tuple[Question, ...]
    steps: tuple[Step, ...]


def steps_for(event: LifeEvent, yes: Collection[str]) -> tuple[Step, ...]:
    """The steps for a person who said yes to these questions, in order."""
    return tuple(step for step in event.steps if not step.when or set(step.when) & set(yes))
