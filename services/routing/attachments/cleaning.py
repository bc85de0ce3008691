"""Runs `clean.py` in a process of its own, a few at a time, each for so long and no longer."""

import asyncio
import ctypes
import sys
from pathlib import Path
from typing import Literal

import msgspec

from services.routing.attachments.clean import CODES, FILE_MAX_BYTES
from shared.errors import Refusal
from shared.log import get_logger

log = get_logger(__name__)

SCRIPT = Path(__file__).with_name("clean.py")
# Each takes a processor, and up to a gigabyte.
AT_ONCE = 2
# Longer than the process may calculate: it is also started.
CLEANING_MAX_S = 30.0
# How long somebody waits for others' files.
WAITING_MAX_S = 20.0

# The line, the file and its small picture.
ANSWER_MAX_BYTES = 2 * FILE_MAX_BYTES
PIECE_BYTES = 65_536
PR_SET_DUMPABLE = 4

Kind = Literal["jpeg", "pdf"]


class Cleaned(msgspec.Struct, frozen=True, kw_only=True):
    """A file made anew, and a small picture of it (empty of a PDF)."""

    kind: Kind
    pages: int
    body: bytes
    small: bytes


class _Answer(msgspec.Struct, frozen=True, kw_only=True):
    refused: str = ""
    kind: Kind = "jpeg"
    pages: int = 1
    size_bytes: int = 0
    small_bytes: int = 0


class Cleaner:
    """Makes files anew; as many at once as this process lets."""

    def __init__(self, *, at_once: int = AT_ONCE, max_s: float = CLEANING_MAX_S) -> None:
        hide_memory()
        self._turn = asyncio.Semaphore(at_once)
        self._max_s = max_s

    async def clean(self, data: bytes) -> Cleaned:
        """The file made anew.

        Raises:
            Refusal: `attachment_busy` (503); else what is wrong with the file (422).
        """
        try:
            async with asyncio.timeout(WAITING_MAX_S):
                await self._turn.acquire()
        except TimeoutError:
            raise Refusal("attachment_busy", 503) from None
        try:
            return await self._run(data)
        finally:
            self._turn.release()

    async def _run(self, data: bytes) -> Cleaned:
        # Without our environment, in which the keys are.
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", str(SCRIPT), env={}, cwd="/",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            async with asyncio.timeout(self._max_s):
                answered = await _ask(process, data)
        except TimeoutError:
            raise Refusal("attachment_too_complex", 422) from None
        finally:
            if process.returncode is None:
                process.kill()
                # What it had written already: a process counts as ended only when its pipe is empty.
                while process.stdout is not None and await process.stdout.read(PIECE_BYTES):
                    pass
                await process.wait()
        return _read_answer(answered, process.returncode)


def hide_memory() -> None:
    """Nobody of the same user reads this process's memory, in which the keys are, or what it was started with."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


async def _ask(process: asyncio.subprocess.Process, data: bytes) -> bytes:
    """Give the file, read the answer: no more of it than one can be.

    Raises:
        Refusal: `attachment_too_complex` (422), it does not end.
    """
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(data)
        await process.stdin.drain()
        process.stdin.close()
    except (BrokenPipeError, ConnectionResetError):
        # It ended before it had read all: what it said is looked at all the same.
        pass
    answered = bytearray()
    while piece := await process.stdout.read(PIECE_BYTES):
        answered += piece
        if len(answered) > ANSWER_MAX_BYTES:
            raise Refusal("attachment_too_complex", 422)
    await process.wait()
    return bytes(answered)


def _read_answer(answered: bytes, code: int | None) -> Cleaned:
    line, _newline, rest = answered.partition(b"\n")
    try:
        answer = msgspec.json.decode(line, type=_Answer)
    except msgspec.DecodeError:
        # Ended by one of its limits, or by what the file did to a decoder.
        log.info("attachment_cleaning_ended", code=code)
        raise Refusal("attachment_too_complex", 422) from None
    if answer.refused in CODES:
        raise Refusal(answer.refused, 422)
    if (
        answer.refused
        or code != 0
        or len(rest) != answer.size_bytes + answer.small_bytes
        or not 0 < answer.size_bytes <= FILE_MAX_BYTES
    ):
        raise Refusal("attachment_too_complex", 422)
    end = answer.size_bytes
    return Cleaned(kind=answer.kind, pages=answer.pages, body=rest[:end], small=rest[end:])
