"""Files that go with an application (添付): how many, and the small list of them that is their item's value.

What one may hold is in `services/routing/attachments/clean.py`, where it is looked at.
"""

from collections.abc import Iterable, Sequence
from uuid import UUID

import msgspec

FILES_PER_CASE_MAX = 10
LABEL_MAX_LENGTH = 40
# Of a list of files that was emptied: the item is there no more, its number is not used again.
NO_FILES = "[]"


class ListedFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file of an item. `hash` is a commitment to its SHA-256 that means nothing without its person's key."""

    file_id: UUID
    kind: str
    size_bytes: int
    pages: int
    hash: str


def pack_files(files: Sequence[ListedFile]) -> str:
    """An item's value from its files."""
    return msgspec.json.encode(files, order="deterministic").decode()


def unpack_files(value: str) -> tuple[ListedFile, ...]:
    """The files of an item's value; none if it is no such list."""
    try:
        return msgspec.json.decode(value, type=tuple[ListedFile, ...])
    except (msgspec.DecodeError, ValueError):
        return ()


def free_slot(taken: Iterable[int]) -> int | None:
    """The lowest place for one more file in a case, from 1; None: all are taken."""
    used = set(taken)
    return next((slot for slot in range(1, FILES_PER_CASE_MAX + 1) if slot not in used), None)
