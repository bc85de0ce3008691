"""`choudo draw replay FILE`: draw again from a draw's public record (/open-data of booking), without a database.

0 the same result, 1 another (the first difference is named), 2 bad input.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import msgspec

from services.booking.domain.draw import BadDraw
from services.booking.domain.draw_record import Record, find_difference

SAME, ANOTHER, BAD_INPUT = 0, 1, 2
FILE_MAX_BYTES = 64 * 1024 * 1024


def add_draw(commands: Any) -> None:
    """Add the noun and its verb to the command line."""
    noun = commands.add_parser("draw", help="draw again what was drawn", description=__doc__)
    replaying = noun.add_subparsers(dest="action", required=True).add_parser("replay")
    replaying.add_argument("file", type=Path, help="a draw's record (JSON)")
    replaying.add_argument("--commitment", help="as it was published before the draw, kept elsewhere (64 signs)")


def replay(given: argparse.Namespace) -> int:
    """Draw again and say whether it came out the same; return the exit status."""
    try:
        record = msgspec.json.decode(_read(given.file), type=Record)
        difference = find_difference(record, given.commitment)
    except (BadDraw, msgspec.DecodeError, UnicodeDecodeError, OSError) as error:
        print(f"draw: {given.file}: {error}", file=sys.stderr)
        return BAD_INPUT
    if difference is not None:
        print(f"ANOTHER result: {difference}")
        return ANOTHER
    won = sum(outcome.session_id is not None for outcome in record.result)
    print(f"the same result: {won} of {len(record.result)} entries got a seat")
    if given.commitment is None:
        print("Without --commitment, a record that was written anew as a whole looks right.")
    return SAME


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        found = file.read(FILE_MAX_BYTES + 1)
    if len(found) > FILE_MAX_BYTES:
        raise BadDraw(f"more than {FILE_MAX_BYTES} bytes")
    return found
