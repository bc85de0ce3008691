"""What is written nearly like something: few terms are worth counting mistakes, and their pairs of signs tell which."""

from collections import Counter as Tally
from collections.abc import Iterable

from services.routing.domain.spelling import is_kana, is_latin

# Terms whose mistakes are counted for one query.
CANDIDATES_MAX = 150
ONE_MISTAKE_FROM, ONE_LATIN_MISTAKE_FROM, TWO_MISTAKES_FROM = 4, 5, 8

_START = "^"


class Likes:
    """Terms by the pairs of signs that they have: few of them are worth counting mistakes."""

    def __init__(self, lines: Iterable[tuple[str, int, str]]) -> None:
        self._terms = [line for line in lines if line[0]]
        self._pairs: dict[str, list[int]] = {}
        for number, (text, _owner, _said) in enumerate(self._terms):
            for pair in _pairs(text):
                self._pairs.setdefault(pair, []).append(number)

    def within(self, form: str) -> dict[int, tuple[int, str]]:
        """The terms, or the beginnings of terms, that become this form by as many mistakes as its length allows."""
        allowed = _mistakes_allowed(form)
        if not allowed:
            return {}
        best: dict[int, tuple[int, str]] = {}
        for number, _shared in self._shared(form).most_common(CANDIDATES_MAX):
            text, owner, said = self._terms[number]
            mistakes = count_mistakes(form, text, most=allowed)
            if mistakes <= allowed and (owner not in best or mistakes < best[owner][0]):
                best[owner] = (mistakes, said)
        return best

    def best(self, form: str) -> str | None:
        """The one term that is nearest, if it is near enough."""
        near = [
            (
                count_mistakes(form, self._terms[number][0], most=_mistakes_allowed(form)),
                -shared,
                self._terms[number][0],
            )
            for number, shared in self._shared(form).most_common(CANDIDATES_MAX)
        ]
        mistakes, _shared, text = min(near, default=(len(form), 0, ""))
        return text if mistakes <= _mistakes_allowed(form) else None

    def likeness(self, form: str) -> dict[int, float]:
        """Of each owner's terms the share of pairs that the most alike one has in common with this form."""
        wanted = len(set(_pairs(form)))
        best: dict[int, float] = {}
        for number, shared in self._shared(form).most_common(CANDIDATES_MAX):
            text, owner, _said = self._terms[number]
            share = 2 * shared / (wanted + len(set(_pairs(text))))
            best[owner] = max(share, best.get(owner, 0.0))
        return best

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
