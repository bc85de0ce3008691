"""Finding a procedure by whatever people call it: official word, reading, plain word, English, everyday word, category.

Both sides are brought to one form: NFKC (half-width kana and full-width letters), katakana to hiragana, small letters,
no spaces or signs, and a few spellings of the same word.
"""

import unicodedata
from collections.abc import Sequence

import msgspec

from services.routing.domain.catalogue import Procedure

QUERY_MAX_LENGTH = 100
TOKENS_MAX = 6
SHORTEST_WORD = 2

EXACT, PREFIX, CONTAINS, WORD, WORD_PART, CATEGORY, MENTIONED = range(7)

_KATAKANA_FIRST, _KATAKANA_LAST, _TO_HIRAGANA = 0x30A1, 0x30F6, 0x60
# Longest first: a shorter spelling may be part of a longer one.
_SPELLINGS = (
    ("引っ越し", "ひっこし"),
    ("引っこし", "ひっこし"),
    ("引越し", "ひっこし"),
    ("引っ越", "ひっこ"),
    ("引越", "ひっこし"),
    ("子供", "こども"),
    ("子ども", "こども"),
    ("お悔やみ", "おくやみ"),
    ("お悔み", "おくやみ"),
    ("赤ちゃん", "あかちゃん"),
    ("申し込み", "申込"),
    ("申込み", "申込"),
    ("届け", "届"),
    ("粗大ゴミ", "粗大ごみ"),
)


class Found(msgspec.Struct, frozen=True):
    """A procedure that matches, and how well (0 is best)."""

    procedure: Procedure
    rank: int


def normalise(text: str) -> str:
    """One form for everything that sounds or means the same."""
    folded = unicodedata.normalize("NFKC", text[:QUERY_MAX_LENGTH]).lower()
    for spelling, form in _SPELLINGS:
        folded = folded.replace(spelling, form)
    return "".join(_hiragana(char) for char in folded if unicodedata.category(char)[0] in "LMN" or char == "ー")


def search(procedures: Sequence[Procedure], query: str) -> list[Found]:
    """The procedures that match, best first; among equals in the order given. Nothing typed finds nothing."""
    whole = normalise(query)
    tokens = [token for token in map(normalise, query.split()[:TOKENS_MAX]) if token]
    if not whole:
        return []
    found = []
    for procedure in procedures:
        terms = _Terms.of(procedure)
        ranks = [rank for rank in (terms.rank(whole), _rank_of_all(terms, tokens), terms.mentioned_in(whole))
                 if rank is not None]  # fmt: skip
        if ranks:
            found.append(Found(procedure, min(ranks)))
    found.sort(key=lambda match: match.rank)
    return found


def _rank_of_all(terms: "_Terms", tokens: Sequence[str]) -> int | None:
    """Several words, each of which must match: as good as the worst of them."""
    worst = -1
    for token in tokens:
        rank = terms.rank(token)
        if rank is None:
            return None
        worst = max(worst, rank)
    return worst if worst >= 0 else None


class _Terms(msgspec.Struct, frozen=True):
    names: tuple[str, ...]
    words: tuple[str, ...]
    category: str

    @classmethod
    def of(cls, procedure: Procedure) -> "_Terms":
        names = (procedure.name_ja, procedure.kana, procedure.name_plain_ja, procedure.name_en, procedure.code)
        return cls(
            tuple(map(normalise, names)),
            tuple(word for word in map(normalise, procedure.words) if word),
            normalise(procedure.category),
        )

    def rank(self, text: str) -> int | None:
        """How well one text fits."""
        checks = (
            (EXACT, text in self.names),
            (PREFIX, any(name.startswith(text) for name in self.names)),
            (CONTAINS, any(text in name for name in self.names)),
            (WORD, text in self.words),
            (WORD_PART, any(text in word for word in self.words)),
            (CATEGORY, text in self.category),
        )
        return next((rank for rank, fits in checks if fits), None)

    def mentioned_in(self, text: str) -> int | None:
        """Whether a whole sentence was typed that names this procedure or one of its everyday words."""
        known = (*self.names[:3], *self.words)
        return MENTIONED if any(len(word) >= SHORTEST_WORD and word in text for word in known) else None


def _hiragana(char: str) -> str:
    return chr(ord(char) - _TO_HIRAGANA) if _KATAKANA_FIRST <= ord(char) <= _KATAKANA_LAST else char
