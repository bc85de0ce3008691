"""Readings (ふりがな) of やさしい日本語: every word in kanji has its own above it.

Texts are written without readings, in the catalogue and in town packs; `readings.txt` says how a word is read, once for
all of them. While a page is made, a reading travels inside its text as Unicode's interlinear annotation (U+FFF9 word
U+FFFA reading U+FFFB), so that a text stays a text that is filled in and joined like any other. The finished page has
`<ruby>` where people read, and the bare word where there can be no element: attributes, titles, options. What people
typed never gets a reading: who is called 花子 says herself how she is read. (Whoever types these three characters gains
nothing: a page's values are escaped before its readings become elements.)
"""

import re
from functools import cache, lru_cache
from pathlib import Path
from typing import Final

from shared.bare_text import KANJI, WRITTEN, bare

READINGS_FILE: Final = Path(__file__).with_name("locale") / "ja_JP@easy" / "readings.txt"
COUNTERS: Final = "年月日時分秒円番階人歳回件条項号"

_BEGIN, _READ_AS, _END = "\ufff9", "\ufffa", "\ufffb"
# No mark inside: each is looked at once, however many somebody has typed.
_BARE = f"([^{_BEGIN}-{_END}]*)"
_ANNOTATED = re.compile(f"{_BEGIN}{_BARE}{_READ_AS}{_BARE}{_END}")
# A number is read in many ways (14日, 3分, 1人): whoever reads digits knows how. A placeholder is one as well.
_NUMBERED = rf"(?:[0-9]|%\(\w+\)s|\{{\w+\}})[{COUNTERS}](?![{KANJI}])"
_TAG = r"<(?:[^<>\"']|\"[^\"]*\"|'[^']*')*>"
# What holds text and no elements.
_ELEMENTLESS = r"<(?P<name>title|option|textarea|script|style)\b.*?</(?P=name)>"
# A line may end before an element, in the middle of a word too (お／知らせ, 取り／消す), unless the two are joined.
# The one particle that official names have inside (児童手当の申請) ends a word.
_JOINED = re.compile(f"(?<=[ぁ-んー])(?<!の){_BEGIN}")
_WORD_JOINER: Final = "\u2060"
_PIECE = re.compile(rf"(?P<markup>{_ELEMENTLESS}|{_TAG})|[^<]+|<", re.DOTALL)

TEXTS_KEPT: Final = 4_096
"""More than the catalogue and a town's own texts together; what was filled in is never annotated."""


@lru_cache(maxsize=TEXTS_KEPT)
def annotate(text: str) -> str:
    """The text with the reading of each word that has one, for `with_ruby`."""
    words = _words()
    return _pattern().sub(lambda found: words.get(found[0]) or _written(found[0]), text)


def with_ruby(html: str) -> str:
    """A finished page, with its readings as elements."""
    return _PIECE.sub(_finish, html) if _BEGIN in html else html


def unread(text: str) -> list[str]:
    """The words in kanji that nobody gave a reading to."""
    return re.findall(f"[{KANJI}]+", re.sub(_NUMBERED, "", _ANNOTATED.sub(" ", annotate(text))))


def _finish(found: re.Match[str]) -> str:
    piece = found[0]
    if _BEGIN not in piece:
        return piece
    if found["markup"]:
        return _ANNOTATED.sub(r"\1", piece)
    # One element around all of it: in a row of boxes (flex, grid) a text stays one box. Speech needs no readings.
    ruby = r'<ruby>\1<rp>（</rp><rt aria-hidden="true">\2</rt><rp>）</rp></ruby>'
    joined = _JOINED.sub(_WORD_JOINER + _BEGIN, piece)
    return f'<span class="read">{_ANNOTATED.sub(ruby, joined)}</span>'


@cache
def _words() -> dict[str, str]:
    lines = READINGS_FILE.read_text(encoding="utf-8").splitlines()
    written = [line for line in lines if line and not line.startswith("#")]
    return {bare(line): _written(line) for line in written}


@cache
def _pattern() -> re.Pattern[str]:
    longest_first = sorted(_words(), key=len, reverse=True)
    return re.compile("|".join([WRITTEN.pattern, _NUMBERED, *map(re.escape, longest_first)]))


def _written(text: str) -> str:
    return WRITTEN.sub(lambda found: f"{_BEGIN}{found[1] or found[2]}{_READ_AS}{found[3]}{_END}", text)
