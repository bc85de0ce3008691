"""A resident's receipt: their entries as the ledgers have them, and proofs that they are in published trees.

On paper its own root stands for all of it: whoever has the file and the paper sees that they are the same.
"""

from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path

import msgspec

from shared.ledger.checkpoints import Checkpoint
from shared.ledger.export import BadFile, Roots, read_bytes
from shared.ledger.merkle import Growing, leaf_hash
from shared.ledger.proofs import Proof, does_prove

RECEIPT_MAX_BYTES = 64 * 1024 * 1024


class ReceiptEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of a receipt: the entry as its chain has it, and its proof once there is one."""

    service: str
    canonical: str | None
    proof: Proof | None = None


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What is checked of a resident's receipt."""

    municipality: str
    entries: tuple[ReceiptEntry, ...]


def receipt_root(canonicals: Iterable[str | None]) -> str:
    """What stands on the paper: the root of a tree over the receipt's entries, in its order."""
    tree = Growing()
    for canonical in canonicals:
        tree.add(leaf_hash((canonical or "").encode()))
    return tree.root().hex()


def read_receipt(path: Path) -> Receipt:
    """A receipt out of a file.

    Raises:
        BadFile: it is none.
    """
    try:
        return msgspec.json.decode(read_bytes(path, RECEIPT_MAX_BYTES), type=Receipt)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadFile(f"{path}: this is no receipt ({error})") from error


def check_receipt(receipt: Receipt, roots: Roots) -> Iterator[tuple[ReceiptEntry, str]]:
    """Each entry with what became of it: `proved`, `no_proof` (yet), `first_form`, `wrong`, or `root_not_published`."""
    published = {(root.service, root.day): root for root in roots.checkpoints}
    for entry in receipt.entries:
        yield entry, _check(entry, published)


def _check(entry: ReceiptEntry, published: dict[tuple[str, date], Checkpoint]) -> str:
    if entry.canonical is None:
        return "first_form"
    if entry.proof is None:
        return "no_proof"
    proof = entry.proof
    if proof.service != entry.service or not does_prove(proof, entry.canonical.encode()):
        return "wrong"
    root = published.get((proof.service, proof.day))
    if root is None:
        return "root_not_published"
    return "proved" if (root.tree_size, root.root) == (proof.tree_size, proof.root) else "wrong"
