"""What is written nearly like something: few terms are worth counting mistakes, and their pairs of signs tell which."""

from collections import Counter as Tally
from collections.abc import Iterable

from services.routing.domain.spelling import is_kana, is_latin

# Terms whose mistakes are counted for one query.
CANDIDATES_MAX = 150
ONE_MISTAKE_FROM, ONE_LATIN_MISTAKE_FROM, TWO_MISTAKES_FROM = 4, 5, 8

_START = "^"
_PAIRS_A_MISTAKE = 3


class Likes:
    """Terms by the pairs of signs that they have, each with its owners and how each of them writes it."""

    def __init__(self, lines: Iterable[tuple[str, int, str]]) -> None:
        owners: dict[str, dict[int, str]] = {}
        for text, owner, said in lines:
            if text:
                owners.setdefault(text, {}).setdefault(owner, said)
        self._terms = list(owners.items())
        self._pairs: dict[str, list[int]] = {}
        for number, (text, _owners) in enumerate(self._terms):
            for pair in _pairs(text):
                self._pairs.setdefault(pair, []).append(number)

    def within(self, form: str) -> dict[int, tuple[int, str]]:
        """The terms, or the beginnings of terms, that become this form by as many mistakes as its length allows."""
        best: dict[int, tuple[int, str]] = {}
        for mistakes, number in self._within(form):
            for owner, said in self._terms[number][1].items():
                if owner not in best or mistakes < best[owner][0]:
                    best[owner] = (mistakes, said)
        return best

    def best(self, form: str) -> str | None:
        """The one term that is nearest, if it is near enough."""
        near = [(mistakes, self._terms[number][0]) for mistakes, number in self._within(form)]
        return min(near)[1] if near else None

    def likeness(self, form: str) -> dict[int, float]:
        """Of each owner's terms the share of pairs that the most alike one has in common with this form."""
        wanted = len(_pairs(form))
        best: dict[int, float] = {}
        for number, shared in self._shared(form).most_common(CANDIDATES_MAX):
            text, owners = self._terms[number]
            share = 2 * shared / (wanted + len(_pairs(text)))
            for owner in owners:
                best[owner] = max(share, best.get(owner, 0.0))
        return best

    def _within(self, form: str) -> list[tuple[int, int]]:
        allowed = _mistakes_allowed(form)
        if not allowed:
            return []
        # Two signs that changed places spoil three pairs, and nothing spoils more.
        least = max(1, len(_pairs(form)) - _PAIRS_A_MISTAKE * allowed)
        counted = [
            (count_mistakes(form, self._terms[number][0], most=allowed), number)
            for number, shared in self._shared(form).most_common(CANDIDATES_MAX)
            if shared >= least
        ]
        return [(mistakes, number) for mistakes, number in counted if mistakes <= allowed]

    def _shared(self, form: str) -> Tally[int]:
        tally: Tally[int] = Tally()
        for pair in _pairs(form):
            tally.update(self._pairs.get(pair, ()))
        return tally


def count_mistakes(form: str, term: str, *, most: int) -> int:
    """How many signs of `form` are wrong, missing, too many, or changed with the next, for `term` to begin like it.

    More than `most` are not told apart.
    """
    term = term[: len(form) + most]
    if len(term) < len(form) - most:
        return most + 1
    before: list[int] = []
    row = list(range(len(term) + 1))
    for i, char in enumerate(form, start=1):
        before, last, row = row, before, [i]
        for j, other in enumerate(term, start=1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (char != other))
            if i > 1 and j > 1 and char == term[j - 2] and form[i - 2] == other:
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
        if min(row) > most:
            return most + 1
    return min(row)


def _mistakes_allowed(form: str) -> int:
    """None in a short word, which would be another one; one in four signs, two in eight, if they are not kanji."""
    if len(form) < (ONE_LATIN_MISTAKE_FROM if form.isascii() else ONE_MISTAKE_FROM):
        return 0
    return 2 if len(form) >= TWO_MISTAKES_FROM and (is_kana(form) or is_latin(form)) else 1


def _pairs(text: str) -> set[str]:
    # With where it begins: the first sign is seldom wrong.
    return {_START + text[:1], *(text[at : at + 2] for at in range(len(text) - 1))} if text else set()
