"""A town's ledgers as files, which anybody can verify without a database.

A folder has one file of JSON lines for each service, a line for each link of its chain, and `checkpoints.json` in the
form in which the checkpoints are published.
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from shared.db import Database
from shared.ledger.checkpoints import Checkpoint, Checkpoints
from shared.ledger.verify import UNREADABLE, Link, Verdict, Walk, read_pages

CHECKPOINTS_FILE = "checkpoints.json"
LINE_MAX_BYTES = 65_536
ROOTS_MAX_BYTES = 64 * 1024 * 1024
_GONE = b"null"


class BadFile(Exception):
    """A file that is not what it was given for."""


class Roots(msgspec.Struct, frozen=True, kw_only=True):
    """The checkpoints of a town's ledgers, as they are published."""

    municipality: str
    checkpoints: tuple[Checkpoint, ...]


class _Line(msgspec.Struct, frozen=True, kw_only=True):
    seq: int
    prev_hash: str
    entry_hash: str
    # As it stands in the file: what was hashed is these bytes.
    entry: msgspec.Raw


class _Named(msgspec.Struct):
    entry_id: str


def ledger_file(folder: Path, service: str) -> Path:
    """Where a service's chain is in an export."""
    return folder / f"{service}.jsonl"


async def export_chain(db: Database, municipality: str, folder: Path) -> int:
    """Write a service's chain of a town into the folder; return how many entries it has."""
    written = 0
    with ledger_file(folder, db.service).open("xb") as file:
        async for page in read_pages(db, municipality):
            file.writelines(map(_write_line, page))
            written += len(page)
    return written


async def export_checkpoints(db: Database, municipality: str) -> list[Checkpoint]:
    """A service's own checkpoints of a town."""
    async with db.begin(municipality) as session:
        return await Checkpoints(db.service).every(session, municipality)


def write_roots(folder: Path, roots: Roots) -> None:
    """Write the checkpoints into the folder."""
    (folder / CHECKPOINTS_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(roots)) + b"\n")


def read_roots(path: Path) -> Roots:
    """The checkpoints of a file.

    Raises:
        BadFile: it has none.
    """
    try:
        return msgspec.json.decode(read_bytes(path, ROOTS_MAX_BYTES), type=Roots)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadFile(f"{path}: these are no checkpoints ({error})") from error


def verify_file(path: Path, checkpoints: Sequence[Checkpoint] = ()) -> Verdict:
    """Check an exported chain, and the checkpoints made of it.

    Raises:
        BadFile: there is no such file.
    """
    walk = Walk(checkpoints)
    decoder = msgspec.json.Decoder(_Line)
    try:
        with path.open("rb") as file:
            while text := file.readline(LINE_MAX_BYTES):
                try:
                    line = decoder.decode(text)
                except (msgspec.DecodeError, UnicodeDecodeError):
                    return walk.broken(UNREADABLE)
                content = bytes(line.entry)
                if reason := walk.take(
                    line.seq, line.prev_hash, line.entry_hash, None if content == _GONE else content
                ):
                    return walk.broken(reason, _entry_id(content))
    except OSError as error:
        raise BadFile(f"{path}: {error.strerror}") from error
    return walk.end()


def _write_line(link: Link) -> bytes:
    head = msgspec.json.encode({"seq": link.seq, "prev_hash": link.prev_hash, "entry_hash": link.entry_hash})
    content = _GONE if link.content is None else link.content or b"{}"
    return head[:-1] + b',"entry":' + content + b"}\n"


def _entry_id(content: bytes) -> str | None:
    try:
        return msgspec.json.decode(content, type=_Named).entry_id
    except msgspec.DecodeError:
        return None


def read_bytes(path: Path, most: int) -> bytes:
    """A file of at most so many bytes.

    Raises:
        BadFile: there is none, or it is larger.
    """
    try:
        with path.open("rb") as file:
            found = file.read(most + 1)
    except OSError as error:
        raise BadFile(f"{path}: {error.strerror}") from error
    if len(found) > most:
        raise BadFile(f"{path}: more than {most} bytes")
    return found
