"""Which of the helpers who are free suit a visit best: the same, whether one of them is asked or all at once."""

from collections.abc import Sequence
from enum import IntEnum

import msgspec


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A helper who is free then."""

    helper_ref: str
    languages: tuple[str, ...]
    topics: tuple[str, ...]


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a visit is about: a language, and a topic or procedure (`skill`)."""

    language: str
    skill: str


class Fit(IntEnum):
    """How well somebody suits: the lower, the better. Somebody is better than nobody."""

    EXPLAINS = 0
    SPEAKS = 1
    COMES = 2


def fit_of(candidate: Candidate, wanted: Wanted) -> Fit:
    """Whether they speak the language, and explain what it is about.

    やさしい日本語 is spoken by whoever speaks Japanese. A procedure that is nobody's topic is explained by all.
    """
    if wanted.language.partition("-")[0] not in candidate.languages:
        return Fit.COMES
    return Fit.EXPLAINS if wanted.skill in candidate.topics else Fit.SPEAKS


def best_first(free: Sequence[Candidate], wanted: Wanted) -> list[str]:
    """All of them: who suits best comes first, of the same in the order in which they are given."""
    return [each.helper_ref for each in sorted(free, key=lambda each: fit_of(each, wanted))]


def best_of_all(free: Sequence[Candidate], wanted: Wanted) -> list[str]:
    """Those whom nobody suits better than."""
    best = min((fit_of(each, wanted) for each in free), default=Fit.COMES)
    return [each.helper_ref for each in free if fit_of(each, wanted) == best]
