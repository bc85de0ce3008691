"""町, 市, 区 or 村: our texts speak of a town and its 役場, and in a city's pages of the city and its 市役所.

They are written and translated once, for a town. What a municipality is, the last letter of its name says.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Final

import msgspec

TEXTS_KEPT: Final = 4_096
# 市区町村 and 町字 are words of their own. What is filled in later (`%(town)s`) is not ours, and ends in 市 itself.
_TOWN_JA: Final = re.compile(r"(\)s)?役場|(?<!区)町(?![村字])")
_TOWN_EN: Final = re.compile(r"(?<!%\()\b([Tt])own( hall)?\b")


class Kind(msgspec.Struct, frozen=True):
    """What a municipality and its hall are called; `hall_of_ja` right after its name (星見市役所)."""

    ja: str
    hall_ja: str
    hall_of_ja: str
    en: str
    hall_en: str


KINDS: Final = {
    "市": Kind("市", "市役所", "役所", "city", "city hall"),
    "区": Kind("区", "区役所", "役所", "ward", "ward office"),
    "村": Kind("村", "役場", "役場", "village", "village office"),
}

_current: ContextVar[Kind | None] = ContextVar("choudo_municipality", default=None)


def set_municipality(name_ja: str) -> None:
    """Speak of this municipality for the rest of the current context: for middleware."""
    _current.set(KINDS.get(name_ja[-1:]))


@contextmanager
def use_municipality(name_ja: str) -> Iterator[None]:
    """Speak of this municipality inside the block: for notices."""
    token = _current.set(KINDS.get(name_ja[-1:]))
    try:
        yield
    finally:
        _current.reset(token)


def as_said_here(text: str) -> str:
    """A text of ours in the words of the municipality that is spoken of; as it is for a town, or when none is."""
    kind = _current.get()
    return text if kind is None else _say(text, kind)


@lru_cache(maxsize=TEXTS_KEPT)
def _say(text: str, kind: Kind) -> str:
    said = _TOWN_JA.sub(lambda found: _in_japanese(kind, found[0]), text)
    return _TOWN_EN.sub(lambda found: _in_english(kind, is_hall=bool(found[2]), is_first=found[1] == "T"), said)


def _in_japanese(kind: Kind, found: str) -> str:
    if found == "町":
        return kind.ja
    return kind.hall_ja if found == "役場" else f")s{kind.hall_of_ja}"


def _in_english(kind: Kind, *, is_hall: bool, is_first: bool) -> str:
    word = kind.hall_en if is_hall else kind.en
    return word.capitalize() if is_first else word
