"""Breaking text into lines as Japanese is set (禁則処理, JIS X 4051): some signs begin no line, others end none."""

import re
from collections.abc import Callable, Iterator

NOT_FIRST = frozenset(
    "、。，．・：；？！゛゜ヽヾゝゞ々ー）］｝」』】〉》〕’”ぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮヵヶ〜～…‥％),.:;?!]}"
)
NOT_LAST = frozenset("（［｛「『【〈《〔‘“([{〒￥")
# What stays whole while it can: a word, a number, an address to be typed.
_PIECES = re.compile(r"[!-~]+ *|[^!-~]")

Measure = Callable[[str], float]


def break_lines(text: str, width: float, measure: Measure) -> list[str]:
    """The lines of a text, none wider than `width`; its own line breaks stay."""
    return [line for paragraph in text.split("\n") for line in _break_paragraph(paragraph, width, measure)]


def _break_paragraph(paragraph: str, width: float, measure: Measure) -> Iterator[str]:
    line = ""
    for unit in _units(paragraph, width, measure):
        if line and measure((line + unit).rstrip()) > width:
            yield line.rstrip()
            line = unit.lstrip(" ")
        else:
            line += unit
    yield line.rstrip()


def _units(paragraph: str, width: float, measure: Measure) -> Iterator[str]:
    """What is never parted: a sign, or a word, with what may not begin a line after it or end one before it."""
    unit = ""
    for piece in _pieces(paragraph, width, measure):
        stays = unit and (piece[0] in NOT_FIRST or unit[-1] in NOT_LAST)
        if unit and (not stays or measure(unit + piece) > width):
            yield unit
            unit = ""
        unit += piece
    if unit:
        yield unit


def _pieces(paragraph: str, width: float, measure: Measure) -> Iterator[str]:
    for piece in _PIECES.findall(paragraph):
        # Longer than a line: parted wherever it must be.
        yield from (piece if measure(piece.rstrip()) > width else (piece,))
