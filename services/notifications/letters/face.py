"""The face in which letters are set: which signs it has, and how wide they are."""

from functools import cache
from pathlib import Path

from fontTools.ttLib import TTFont

from services.notifications.letters.sheet import MM_PER_POINT
from shared.web.assets import letter_font


class Face:
    """A font file, read once: its signs and their widths."""

    def __init__(self, path: Path) -> None:
        with TTFont(path, lazy=True) as font:
            glyphs: dict[int, str] = font.getBestCmap()
            widths, units = font["hmtx"].metrics, font["head"].unitsPerEm
            self._widths = {sign: widths[glyph][0] / units for sign, glyph in glyphs.items()}
        self.path = path

    def missing(self, text: str) -> set[str]:
        """Which signs of a text it has not: they would be a box, or nothing at all."""
        return {sign for sign in text if sign != "\n" and ord(sign) not in self._widths}

    def width(self, text: str, size: float) -> float:
        """How wide a line is, in millimetres, in so many points."""
        return float(sum(self._widths.get(ord(sign), 1.0) for sign in text) * size * MM_PER_POINT)


@cache
def letter_face() -> Face:
    """The face of all letters."""
    return Face(letter_font())
