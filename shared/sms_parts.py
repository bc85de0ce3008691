"""How an SMS is counted."""

PART_UNITS = 70
# Several parts carry a header each.
JOINED_PART_UNITS = 67
PARTS_MAX = 3


def count_units(text: str) -> int:
    """How much room a text takes: a character outside the basic plane (𠮷, emoji) takes two."""
    return sum(map(_width, text))


def count_parts(text: str) -> int:
    """How many messages a text is sent as: 70 UCS-2 units fit into one, 67 into each of several.

    A character that takes two units is never cut in half.
    """
    if count_units(text) <= PART_UNITS:
        return 1
    parts, used = 1, 0
    for width in map(_width, text):
        if used + width > JOINED_PART_UNITS:
            parts, used = parts + 1, 0
        used += width
    return parts


def _width(char: str) -> int:
    return 2 if ord(char) > 0xFFFF else 1
