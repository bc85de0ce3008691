"""The tree's hashes and proofs are those of RFC 9162, and prove nothing that is not so."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.ledger.merkle import (
    EMPTY_ROOT,
    Growing,
    Node,
    complete_root,
    consistency_ranges,
    inclusion_ranges,
    is_consistent,
    leaf_hash,
    nodes_of,
    range_hash,
    root_from_inclusion,
)

# The test vectors of Certificate Transparency's reference implementation.
CONTENTS = [
    bytes.fromhex(each)
    for each in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
PATH_OF_FIRST_IN_EIGHT = (
    "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
    "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
)


def naive_root(contents: list[bytes]) -> bytes:
    """MTH of RFC 9162, 2.1.1, word for word."""
    if not contents:
        return sha256(b"").digest()
    if len(contents) == 1:
        return sha256(b"\x00" + contents[0]).digest()
    k = 1
    while k * 2 < len(contents):
        k *= 2
    return sha256(b"\x01" + naive_root(contents[:k]) + naive_root(contents[k:])).digest()


def naive_path(index: int, contents: list[bytes]) -> list[bytes]:
    """PATH of RFC 9162, 2.1.3.1, word for word."""
    if len(contents) == 1:
        return []
    k = 1
    while k * 2 < len(contents):
        k *= 2
    if index < k:
        return [*naive_path(index, contents[:k]), naive_root(contents[k:])]
    return [*naive_path(index - k, contents[k:]), naive_root(contents[:k])]


def naive_proof(old: int, contents: list[bytes], *, is_whole: bool = True) -> list[bytes]:
    """SUBPROOF of RFC 9162, 2.1.4.1, word for word."""
    if old == len(contents):
        return [] if is_whole else [naive_root(contents)]
    k = 1
    while k * 2 < len(contents):
        k *= 2
    if old <= k:
        return [*naive_proof(old, contents[:k], is_whole=is_whole), naive_root(contents[k:])]
    return [*naive_proof(old - k, contents[k:], is_whole=False), naive_root(contents[:k])]


class Tree:
    """A tree of a few leaves, whose complete subtrees are hashed when they are asked for."""

    def __init__(self, contents: list[bytes]) -> None:
        self.leaves = [leaf_hash(each) for each in contents]

    def node(self, node: Node) -> bytes:
        level, place = node
        return complete_root(self.leaves[place << level : (place + 1) << level])

    def root(self, size: int) -> bytes:
        return range_hash((0, size), self.node)

    def path(self, index: int, size: int) -> list[bytes]:
        return [range_hash(each, self.node) for each in inclusion_ranges(index, size)]

    def proof(self, old: int, new: int) -> list[bytes]:
        return [range_hash(each, self.node) for each in consistency_ranges(old, new)]


def contents_of(size: int) -> list[bytes]:
    return [str(each).encode() for each in range(size)]


def test_the_vectors_of_certificate_transparency() -> None:
    tree, growing = Tree(CONTENTS), Growing()
    assert growing.root() == EMPTY_ROOT == tree.root(0)
    for size, expected in enumerate(ROOTS, start=1):
        growing.add(tree.leaves[size - 1])
        assert tree.root(size).hex() == growing.root().hex() == expected
    assert tuple(each.hex() for each in tree.path(0, 8)) == PATH_OF_FIRST_IN_EIGHT
    assert tuple(each.hex() for each in tree.proof(1, 8)) == PATH_OF_FIRST_IN_EIGHT


@given(st.integers(1, 70), st.data())
def test_roots_and_proofs_are_as_the_standard_defines_them(size: int, data: st.DataObject) -> None:
    contents = contents_of(size)
    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size))
    tree, root = Tree(contents), naive_root(contents)
    assert tree.root(size) == root
    assert tree.path(index, size) == naive_path(index, contents)
    assert tree.proof(old, size) == naive_proof(old, contents)
    assert root_from_inclusion(tree.leaves[index], index, size, tree.path(index, size)) == root
    assert is_consistent(old, size, tree.root(old), root, tree.proof(old, size))


@given(st.integers(2, 40), st.data())
def test_what_is_not_so_is_not_proved(size: int, data: st.DataObject) -> None:
    """Seen to fail without the place: a proof of one leaf then proves another."""
    tree = Tree(contents_of(size))
    index = data.draw(st.integers(0, size - 1))
    path, root = tree.path(index, size), tree.root(size)
    other = data.draw(st.integers(0, size - 1).filter(lambda each: each != index))
    assert root_from_inclusion(tree.leaves[other], index, size, path) != root
    assert root_from_inclusion(tree.leaves[index], other, size, path) != root
    flipped = [bytes([path[0][0] ^ 1]) + path[0][1:], *path[1:]]
    for wrong in (flipped, path[1:], [*path, root], path[::-1] if path != path[::-1] else flipped):
        assert root_from_inclusion(tree.leaves[index], index, size, wrong) != root
    old = data.draw(st.integers(1, size - 1))
    proof, changed = tree.proof(old, size), Tree([b"else", *contents_of(size)[1:]])
    assert not is_consistent(old, size, changed.root(old), root, proof)
    assert not is_consistent(old, size, tree.root(old), changed.root(size), proof)
    assert not is_consistent(old, size, tree.root(old), root, [*proof, root])
    assert not is_consistent(old, size, tree.root(old), root, proof[1:])


@pytest.mark.parametrize(("index", "size"), [(0, 0), (1, 1), (-1, 3), (3, 2)])
def test_nobody_proves_a_leaf_that_is_not_there(index: int, size: int) -> None:
    with pytest.raises(ValueError, match="no such leaf"):
        inclusion_ranges(index, size)
    assert root_from_inclusion(b"\0" * 32, index, size, []) is None


@given(st.integers(0, 2**40), st.integers(0, 2**20))
def test_a_range_is_made_of_few_complete_subtrees(size: int, index: int) -> None:
    assert sum(1 << level for level, _ in nodes_of((0, size))) == size
    if index < size:
        ranges = inclusion_ranges(index, size)
        assert len(ranges) <= size.bit_length()
        assert all(place << level >= start for start, end in ranges for level, place in nodes_of((start, end)))
