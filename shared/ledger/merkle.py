"""The Merkle tree over a ledger: roots and proofs as RFC 9162 (Certificate Transparency) defines them. Pure functions.

A tree's hash, and every hash of a proof, is the hash of a range of leaves. A range is made of complete subtrees, each
with 2^level leaves (`Node`): whoever keeps those (`tiles`) finds any of them without looking at the leaves. So a proof
is first a list of ranges, then the hashes of their complete subtrees, then the ranges' hashes.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence

LEAF, NODE = b"\x00", b"\x01"
EMPTY_ROOT = hashlib.sha256(b"").digest()
# A ledger with more entries than this is none of ours; what a proof claims stays within it.
SIZE_MAX = 2**48

Range = tuple[int, int]
"""Leaves from the first to before the second, counted from 0."""

Node = tuple[int, int]
"""A complete subtree: its level (0 is a leaf) and how many of that level are before it."""

HashOf = Callable[[Node], bytes]


def leaf_hash(content: bytes) -> bytes:
    """The hash of a leaf with this content."""
    return hashlib.sha256(LEAF + content).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of a subtree out of those of its halves."""
    return hashlib.sha256(NODE + left + right).digest()


def nodes_of(leaves: Range) -> list[Node]:
    """The complete subtrees that a range of a tree or proof is made of, the largest first."""
    start, end = leaves
    nodes = []
    while start < end:
        level = (end - start).bit_length() - 1
        nodes.append((level, start >> level))
        start += 1 << level
    return nodes


def range_hash(leaves: Range, hash_of: HashOf) -> bytes:
    """The hash of a range out of those of its complete subtrees."""
    hashes = [hash_of(node) for node in nodes_of(leaves)]
    if not hashes:
        return EMPTY_ROOT
    found = hashes.pop()
    while hashes:
        found = node_hash(hashes.pop(), found)
    return found


def inclusion_ranges(index: int, size: int) -> list[Range]:
    """Whose hashes prove that leaf `index` is in the tree of `size` leaves, from the leaf up (RFC 9162, 2.1.3.1)."""
    if not 0 <= index < size:
        raise ValueError("no such leaf")
    start, end = 0, size
    path = []
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append((middle, end))
            end = middle
        else:
            path.append((start, middle))
            start = middle
    return path[::-1]


def consistency_ranges(old: int, new: int) -> list[Range]:
    """Whose hashes prove that the tree of `old` leaves is the beginning of that of `new` (RFC 9162, 2.1.4.1)."""
    if not 0 < old <= new:
        raise ValueError("no such trees")
    start, end, is_whole = 0, new, True
    path = []
    while old < end:
        middle = start + _split(end - start)
        if old <= middle:
            path.append((middle, end))
            end = middle
        else:
            path.append((start, middle))
            start, is_whole = middle, False
    if not is_whole:
        path.append((start, end))
    return path[::-1]


def root_from_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """The root that a path proves to hold this leaf hash, or None if it proves nothing (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size <= SIZE_MAX:
        return None
    place, last, found = index, size - 1, leaf
    for beside in path:
        if last == 0:
            return None
        if place & 1 or place == last:
            found = node_hash(beside, found)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            found = node_hash(found, beside)
        place, last = place >> 1, last >> 1
    return found if last == 0 else None


def is_consistent(old: int, new: int, old_root: bytes, new_root: bytes, path: Sequence[bytes]) -> bool:
    """Whether a path proves that the one tree is the beginning of the other (RFC 9162, 2.1.4.2)."""
    if not 0 < old <= new <= SIZE_MAX:
        return False
    if old == new:
        return not path and old_root == new_root
    given = list(path) if old & (old - 1) else [old_root, *path]
    if not given:
        return False
    place, last = old - 1, new - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    first = second = given[0]
    for beside in given[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            first, second = node_hash(beside, first), node_hash(beside, second)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            second = node_hash(second, beside)
        place, last = place >> 1, last >> 1
    return last == 0 and first == old_root and second == new_root


def complete_root(hashes: Iterable[bytes]) -> bytes:
    """The root of a complete subtree out of the hashes of one level of it: as many as a power of two."""
    level = list(hashes)
    while len(level) > 1:
        level = [node_hash(left, right) for left, right in zip(level[::2], level[1::2], strict=True)]
    return level[0]


class Growing:
    """A tree that grows leaf by leaf and knows its root at any moment: as many hashes as its size has binary digits."""

    def __init__(self) -> None:
        self.size = 0
        self._complete: list[bytes] = []

    def add(self, leaf: bytes) -> None:
        """One more leaf hash."""
        found, size = leaf, self.size
        while size & 1:
            found, size = node_hash(self._complete.pop(), found), size >> 1
        self._complete.append(found)
        self.size += 1

    def root(self) -> bytes:
        """The root as of now."""
        if not self._complete:
            return EMPTY_ROOT
        *before, found = self._complete
        for left in reversed(before):
            found = node_hash(left, found)
        return found


def _split(size: int) -> int:
    """The largest power of two below `size` (more than one)."""
    return int(1 << (size - 1).bit_length() - 1)
