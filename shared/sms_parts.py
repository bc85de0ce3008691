"""How an SMS is counted."""

PART_UNITS = 70
# Several parts carry a header each.
JOINED_PART_UNITS = 67
PARTS_MAX = 3


def count_parts(text: str) -> int:
    """How many messages a text is sent as: 70 UCS-2 units fit into one, 67 into each of several.

    A character outside the basic plane (𠮷, emoji) takes two units and is never cut in half.
    """
    widths = [2 if ord(char) > 0xFFFF else 1 for char in text]
    if sum(widths) <= PART_UNITS:
        return 1
    parts, used = 1, 0
    for width in widths:
        if used + width > JOINED_PART_UNITS:
            parts, used = parts + 1, 0
        used += width
    return parts
