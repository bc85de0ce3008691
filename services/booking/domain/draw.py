"""The draw (抽選): who gets which seat, from a seed and the entries alone. Anybody can compute it again.

`docs/decisions/0027-the-draw.md` says why it is fair.
"""

import hashlib
import hmac
import re
from collections.abc import Sequence

import msgspec

FORMAT = "choudo-draw-1"
SEED_BYTES = 32
PREFERENCES_MAX = 5
# What stands in a line of the canonical text has no spaces, commas or line ends.
_ID = re.compile(r"[0-9A-Za-z-]{1,64}")


class BadDraw(ValueError):
    """What was given is no draw."""


class Seats(msgspec.Struct, frozen=True):
    """A session (回) that is given out, and how many seats it has."""

    session_id: str
    seats: int


class Ticket(msgspec.Struct, frozen=True):
    """One entry: its public number, and the sessions that its person would take, the dearest first."""

    ticket: str
    preferences: tuple[str, ...]


class Outcome(msgspec.Struct, frozen=True):
    """What a ticket got: a session, or None for the waiting order."""

    ticket: str
    session_id: str | None


def commitment_of(seed: bytes) -> str:
    """What is published of a seed before anybody enters."""
    return hashlib.sha256(seed).hexdigest()


def digest_of(sessions: Sequence[Seats], entries: Sequence[Ticket]) -> str:
    """The number of everything that is drawn from (SHA-256 of the canonical text), whatever order it comes in.

    Raises:
        BadDraw: a ticket or session twice, a session that is not given out, an id that could be read in two ways.
    """
    _refuse_bad(sessions, entries)
    lines = [FORMAT]
    lines += [f"session {each.session_id} {each.seats}" for each in sorted(sessions, key=lambda each: each.session_id)]
    lines += [f"entry {each.ticket} {','.join(each.preferences)}" for each in sorted(entries, key=lambda e: e.ticket)]
    return hashlib.sha256("".join(f"{line}\n" for line in lines).encode("ascii")).hexdigest()


def allocate(seed: bytes, sessions: Sequence[Seats], entries: Sequence[Ticket]) -> tuple[Outcome, ...]:
    """Every ticket's outcome, in the order drawn: each takes the dearest session that still has a seat.

    Those without one wait, in the same order.

    Raises:
        BadDraw: as `digest_of`, or a seed of another length.
    """
    if len(seed) != SEED_BYTES:
        raise BadDraw(f"a seed has {SEED_BYTES} bytes")
    digest = digest_of(sessions, entries)
    left = {each.session_id: each.seats for each in sessions}
    drawn = []
    for entry in sorted(entries, key=lambda each: (_lot(seed, digest, each.ticket), each.ticket)):
        session_id = next((wanted for wanted in entry.preferences if left[wanted]), None)
        if session_id is not None:
            left[session_id] -= 1
        drawn.append(Outcome(entry.ticket, session_id))
    return tuple(drawn)


def _lot(seed: bytes, digest: str, ticket: str) -> bytes:
    return hmac.digest(seed, f"{digest}/{ticket}".encode("ascii"), "sha256")


def _refuse_bad(sessions: Sequence[Seats], entries: Sequence[Ticket]) -> None:
    known = {each.session_id for each in sessions}
    if len(known) < len(sessions):
        raise BadDraw("a session stands there twice")
    if len({each.ticket for each in entries}) < len(entries):
        raise BadDraw("a ticket stands there twice")
    if any(not _ID.fullmatch(name) for name in (*known, *(each.ticket for each in entries))):
        raise BadDraw("an id has other signs than letters, digits and hyphens")
    if any(each.seats < 1 for each in sessions):
        raise BadDraw("a session has no seats")
    for entry in entries:
        wanted = set(entry.preferences)
        if not 0 < len(entry.preferences) <= PREFERENCES_MAX or len(wanted) < len(entry.preferences) or wanted - known:
            raise BadDraw(f"ticket {entry.ticket}: its wishes are none, too many, twice the same, or not given out")
