"""The public record of a draw: what stands in its file, and whether drawing again gives the same."""

import hashlib
from datetime import datetime
from uuid import UUID

import msgspec

from services.booking.domain.draw import FORMAT, BadDraw, Outcome, Seats, Ticket, allocate, digest_of


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A session as it was announced."""

    session_id: str
    counter: str
    starts_at: datetime
    ends_at: datetime
    seats: int


class PassedOn(msgspec.Struct, frozen=True, kw_only=True):
    """A seat that became free after the draw, and who of the waiting order got it."""

    ticket: str
    session_id: str
    passed_at: datetime


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A draw for everybody to keep. Seed, entries and result stand in it once it is drawn; nobody is named."""

    format: str
    municipality: str
    draw_id: UUID
    title_ja: str
    opens_at: datetime
    closes_at: datetime
    # SHA-256 of the seed, in hexadecimal; published before the first entry.
    commitment: str
    sessions: tuple[Session, ...]
    drawn_at: datetime | None = None
    # Nothing was drawn then, and nothing will be.
    called_off_at: datetime | None = None
    seed: str | None = None
    entries_digest: str | None = None
    entries: tuple[Ticket, ...] = ()
    result: tuple[Outcome, ...] = ()
    # Not drawn: it follows the waiting order as seats are given back.
    passed_on: tuple[PassedOn, ...] = ()


def find_difference(record: Record, commitment: str | None = None) -> str | None:
    """Draw again; the first thing that is not as the record says, or None.

    `commitment`: as somebody wrote it down while people could still enter.

    Raises:
        BadDraw: the record is of another format, not drawn yet, or no draw.
    """
    if record.format != FORMAT:
        raise BadDraw(f"of another format than {FORMAT}")
    if record.called_off_at is not None:
        raise BadDraw("called off: nothing was drawn")
    if record.seed is None:
        raise BadDraw("not drawn yet")
    try:
        seed = bytes.fromhex(record.seed)
    except ValueError as error:
        raise BadDraw("the seed is not hexadecimal") from error
    sessions = [Seats(each.session_id, each.seats) for each in record.sessions]
    drawn = allocate(seed, sessions, record.entries)
    made = hashlib.sha256(seed).hexdigest()
    if commitment is not None and record.commitment != commitment.lower():
        return f"commitment: the file has {record.commitment}, not {commitment.lower()}"
    if made != record.commitment:
        return f"seed: its commitment is {made}, not {record.commitment}"
    digest = digest_of(sessions, record.entries)
    if digest != record.entries_digest:
        return f"entries: their number is {digest}, not {record.entries_digest}"
    return _compare(drawn, record.result)


def _compare(drawn: tuple[Outcome, ...], told: tuple[Outcome, ...]) -> str | None:
    for rank, (again, before) in enumerate(zip(drawn, told, strict=False), start=1):
        if again != before:
            return f"number {rank}: the file has {_say(before)}, drawing again gives {_say(again)}"
    if len(drawn) != len(told):
        return f"the file has {len(told)} results for {len(drawn)} entries"
    return None


def _say(outcome: Outcome) -> str:
    return f"{outcome.ticket} in {outcome.session_id}" if outcome.session_id else f"{outcome.ticket} waiting"
