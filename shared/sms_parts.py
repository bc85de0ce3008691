"""How an SMS is counted."""

from collections.abc import Callable

PART_UNITS = 70
# Several parts carry a header each.
JOINED_PART_UNITS = 67
PARTS_MAX = 3


def ucs2_units(char: str) -> int:
    """A character outside the basic plane (𠮷, emoji) takes two units."""
    return 2 if ord(char) > 0xFFFF else 1


def count_units(text: str) -> int:
    """How much room a text takes, as most count."""
    return sum(map(ucs2_units, text))


def count_parts(
    text: str,
    *,
    units_of: Callable[[str], int] = ucs2_units,
    part_units: int = PART_UNITS,
    joined_part_units: int = JOINED_PART_UNITS,
) -> int:
    """How many messages a text is sent as. Most count 70 UCS-2 units in one, 67 in each of several.

    A character is never cut in half.
    """
    widths = [units_of(char) for char in text]
    if sum(widths) <= part_units:
        return 1
    parts, used = 1, 0
    for width in widths:
        if used + width > joined_part_units:
            parts, used = parts + 1, 0
        used += width
    return parts
