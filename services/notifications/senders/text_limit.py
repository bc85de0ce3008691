"""How a gateway writes and counts a text: rendering knows it, so that nothing is ever cut."""

from typing import Literal

import msgspec

from shared.sms_parts import JOINED_PART_UNITS, PART_UNITS, PARTS_MAX, count_parts, ucs2_units

# As Windows and every gateway of Japan read Shift_JIS.
SHIFT_JIS = "cp932"
# What is printed in Japan for a character that a font does not have.
GETA = "〓"
# Two signs have another place in Shift_JIS than in Unicode.
_SAME = str.maketrans({"〜": "～", "−": "－", "—": "―"})


class TextLimit(msgspec.Struct, frozen=True, kw_only=True):
    """In which units a gateway counts, how many fit into one message, into each of several, and how many are bought."""

    charset: Literal["ucs2", "shift_jis"] = "ucs2"
    part_units: int = PART_UNITS
    joined_part_units: int = JOINED_PART_UNITS
    parts_max: int = PARTS_MAX

    def count(self, text: str) -> int:
        """In how many parts it is sent."""
        units_of = ucs2_units if self.charset == "ucs2" else _shift_jis_bytes
        return count_parts(
            text, units_of=units_of, part_units=self.part_units, joined_part_units=self.joined_part_units
        )

    def has_room(self, text: str, parts: int = PARTS_MAX) -> bool:
        """Whether it fits into so many parts, and into what the gateway takes."""
        return self.count(text) <= min(parts, self.parts_max)

    def written(self, text: str) -> str:
        """The text as the gateway can write it: what it has no sign for is 〓."""
        return text if self.charset == "ucs2" else in_shift_jis(text)


UCS2_PARTS = TextLimit()


def in_shift_jis(text: str) -> str:
    """The text in characters that Shift_JIS has."""
    return "".join(char if _has(char) else GETA for char in text.translate(_SAME))


def _has(char: str) -> bool:
    try:
        char.encode(SHIFT_JIS)
    except UnicodeEncodeError:
        return False
    return True


def _shift_jis_bytes(char: str) -> int:
    return len(char.encode(SHIFT_JIS, errors="replace"))
