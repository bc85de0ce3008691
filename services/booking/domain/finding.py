"""Finding somebody in today's line by what they say or hold: ticket, number, or the kana of their name."""

import re
import unicodedata
from collections.abc import Iterable

# Signs that people leave out, or type in another way; a long vowel (ー) too is typed as any dash.
_LEFT_OUT = re.compile(r"[\s\-ー－―‐‑–—−_・.,、。/]")
_HIRAGANA = {code: code + 0x60 for code in range(0x3041, 0x3097)}
_CALLED = "サマ"


def plain(typed: str) -> str:
    """Any width, hiragana or katakana, with or without spaces and dashes: one way to write it. As `line.js` does."""
    return _LEFT_OUT.sub("", unicodedata.normalize("NFKC", typed)).upper().translate(_HIRAGANA)


def is_meant(typed: str, known: Iterable[str | None]) -> bool:
    """Whether what was typed is a part of one of these."""
    wanted = plain(typed).removesuffix(_CALLED)
    return bool(wanted) and any(wanted in plain(each) for each in known if each)
