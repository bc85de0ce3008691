"""Life events (ライフイベント): a few questions, and which procedures apply to whoever answered them so."""

from collections.abc import Collection, Mapping

import msgspec


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


def questions_to_ask(event: LifeEvent, answers: Mapping[str, bool], offered: Collection[str]) -> tuple[Question, ...]:
    """The questions on whose answer it depends whether a procedure applies, so far as `answers` have not decided that.

    Of several that may each decide the same procedures only the first is asked; the others, when it was answered no.
    `offered` are the codes of what the town still offers. Nothing is left to ask when it is empty.
    """
    undecided = [
        set(step.when)
        for step in event.steps
        if step.when
        and step.procedure in offered
        and not any(answers.get(code) for code in step.when)
        and any(code not in answers for code in step.when)
    ]
    asked: dict[str, Question] = {}
    for question in event.questions:
        if question.code in answers:
            continue
        if any(question.code in when and not when & asked.keys() for when in undecided):
            asked[question.code] = question
    return tuple(asked.values())


def why(event: LifeEvent, step: Step) -> tuple[Question, ...]:
    """The questions of which one was answered yes, for a step that applies; none: it is for everybody."""
    return tuple(question for question in event.questions if question.code in step.when)
