"""Draws, as everybody may see them, and an entry, as its owner does."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.draws import ENTRIES_MAX, SESSIONS_MAX
from services.booking.commands.visits import VISIT_LIFETIME
from services.booking.domain.draw import FORMAT, Outcome, Ticket
from services.booking.domain.draw_record import PassedOn, Record, Session
from services.booking.keys import Keys, subject_context
from shared.errors import Refusal

DRAWS_MAX = 100


class DrawView(msgspec.Struct, frozen=True, kw_only=True):
    """A draw; how far it is depends on the time."""

    draw_id: UUID
    title_ja: str
    procedure: str
    procedure_name: str
    counter: str
    opens_at: datetime
    closes_at: datetime
    commitment: str
    state: Literal["announced", "drawn", "called_off"]
    drawn_at: datetime | None
    called_off_at: datetime | None
    seed: str | None
    entries_digest: str | None
    seats: int
    entries: int

    def stage(self, now: datetime) -> Literal["before", "open", "closed", "drawn", "called_off"]:
        """How far it is. Between closing and the result there is a moment."""
        if self.state != "announced":
            return self.state
        if now < self.opens_at:
            return "before"
        return "open" if now < self.closes_at else "closed"


class ResultLine(msgspec.Struct, frozen=True, kw_only=True):
    """What a ticket got, in the order drawn; `passed_to` is a session that came to it later."""

    rank: int
    ticket: str
    preferences: tuple[UUID, ...]
    slot_id: UUID | None
    passed_to: UUID | None
    passed_at: datetime | None


class EntryView(msgspec.Struct, frozen=True, kw_only=True):
    """An entry. `number` is the appointment that it became; `code` only for the browser that entered, for an hour."""

    entry_id: UUID
    ticket: str
    guest_ref: str | None
    state: Literal["entered", "withdrawn"]
    came_by: Literal["web", "phone", "desk"]
    preferences: tuple[UUID, ...]
    entered_at: datetime
    rank: int | None
    waits_at: int | None
    slot_id: UUID | None
    appointment_id: UUID | None
    number: str | None
    appointment_state: str | None
    code: str | None = None


_DRAWS = f"""
    SELECT d.draw_id, d.title_ja, d.procedure, coalesce(p.name_ja, d.procedure) AS procedure_name, d.counter,
           d.opens_at, d.closes_at, encode(d.seed_commitment, 'hex') AS commitment, d.state, d.drawn_at,
           d.called_off_at,
           encode(d.seed, 'hex') AS seed, encode(d.entries_digest, 'hex') AS entries_digest,
           (SELECT coalesce(sum(s.seats), 0)::integer FROM draw_session s
            WHERE (s.municipality, s.draw_id) = (d.municipality, d.draw_id)) AS seats,
           (SELECT count(*) FROM draw_entry e WHERE (e.municipality, e.draw_id) = (d.municipality, d.draw_id)
              AND (e.state = 'entered' OR d.state = 'drawn' AND EXISTS (
                  SELECT 1 FROM draw_result r
                  WHERE (r.municipality, r.draw_id, r.ticket) = (e.municipality, e.draw_id, e.ticket)))) AS entries
    FROM draw d LEFT JOIN procedure p ON (p.municipality, p.code) = (d.municipality, d.procedure)
    WHERE d.municipality = :municipality {{which}} ORDER BY d.closes_at DESC, d.draw_id LIMIT {DRAWS_MAX}
"""
_ALL = text(_DRAWS.format(which=""))
_ONE = text(_DRAWS.format(which="AND d.draw_id = :draw_id"))
_OPEN = text(
    _DRAWS.format(
        which="AND d.procedure = :procedure AND d.state = 'announced' AND d.opens_at <= :now AND d.closes_at > :now"
    )
)
_SESSIONS = text(f"""
    SELECT s.slot_id, d.counter, s.starts_at, s.ends_at, s.seats
    FROM draw_session s JOIN draw d USING (municipality, draw_id)
    WHERE (s.municipality, s.draw_id) = (:municipality, :draw_id)
    ORDER BY s.starts_at, s.slot_id LIMIT {SESSIONS_MAX}
""")
_RESULT = text(f"""
    SELECT r.rank, r.ticket, e.preferences, r.slot_id, o.slot_id AS passed_to, o.passed_at
    FROM draw_result r
    JOIN draw_entry e ON (e.municipality, e.draw_id, e.ticket) = (r.municipality, r.draw_id, r.ticket)
    LEFT JOIN draw_passed_on o ON (o.municipality, o.draw_id, o.ticket) = (r.municipality, r.draw_id, r.ticket)
    WHERE (r.municipality, r.draw_id) = (:municipality, :draw_id) ORDER BY r.rank LIMIT {2 * ENTRIES_MAX}
""")
_ENTRY = text("""
    SELECT e.entry_id, e.ticket, e.guest_ref, e.state, e.came_by, e.preferences, e.entered_at, r.rank,
           CASE WHEN r.slot_id IS NULL AND o.slot_id IS NULL AND r.rank IS NOT NULL THEN
               (SELECT count(*) FROM draw_result w
                WHERE (w.municipality, w.draw_id) = (r.municipality, r.draw_id) AND w.slot_id IS NULL
                  AND w.rank <= r.rank) END AS waits_at,
           coalesce(r.slot_id, o.slot_id) AS slot_id, e.appointment_id, a.number, a.state AS appointment_state,
           e.subject_ref, e.code_sealed, k.wrapped_key
    FROM draw_entry e
    LEFT JOIN draw_result r ON (r.municipality, r.draw_id, r.ticket) = (e.municipality, e.draw_id, e.ticket)
    LEFT JOIN draw_passed_on o ON (o.municipality, o.draw_id, o.ticket) = (e.municipality, e.draw_id, e.ticket)
    LEFT JOIN appointment a ON (a.municipality, a.appointment_id) = (e.municipality, e.appointment_id)
    LEFT JOIN subject_key k ON (k.municipality, k.subject_ref) = (e.municipality, e.subject_ref)
    WHERE (e.municipality, e.draw_id, e.ticket) = (:municipality, :draw_id, :ticket)
""")
_OF_VISIT = text("""
    SELECT e.ticket FROM draw_entry e
    JOIN visit v ON (v.municipality, v.visit_id) = (:municipality, :visit_id) AND v.guest_ref = e.guest_ref
    WHERE (e.municipality, e.draw_id) = (:municipality, :draw_id) AND e.state = 'entered'
      AND (e.subject_ref = v.subject_ref OR e.came_by = 'web' AND v.behalf IS NULL) LIMIT 1
""")


async def list_draws(session: AsyncSession, municipality: str) -> list[DrawView]:
    """The town's draws, the latest first."""
    rows = (await session.execute(_ALL, {"municipality": municipality})).all()
    return [msgspec.convert(row, DrawView, from_attributes=True) for row in rows]


async def list_open_draws(session: AsyncSession, municipality: str, procedure: str, *, now: datetime) -> list[DrawView]:
    """Draws that can be entered for a procedure."""
    asked = {"municipality": municipality, "procedure": procedure, "now": now}
    return [msgspec.convert(row, DrawView, from_attributes=True) for row in (await session.execute(_OPEN, asked)).all()]


async def get_draw(session: AsyncSession, municipality: str, draw_id: UUID) -> DrawView:
    """One draw.

    Raises:
        Refusal: `draw_unknown` (404).
    """
    row = (await session.execute(_ONE, {"municipality": municipality, "draw_id": draw_id})).one_or_none()
    if row is None:
        raise Refusal("draw_unknown", 404)
    return msgspec.convert(row, DrawView, from_attributes=True)


async def list_sessions(session: AsyncSession, municipality: str, draw_id: UUID) -> list[Session]:
    """What a draw gives out, in the order of time."""
    rows = (await session.execute(_SESSIONS, {"municipality": municipality, "draw_id": draw_id})).all()
    return [
        Session(
            session_id=str(row.slot_id),
            counter=row.counter,
            starts_at=row.starts_at,
            ends_at=row.ends_at,
            seats=row.seats,
        )
        for row in rows
    ]


async def list_result(session: AsyncSession, municipality: str, draw_id: UUID) -> list[ResultLine]:
    """What was drawn; nothing before."""
    rows = (await session.execute(_RESULT, {"municipality": municipality, "draw_id": draw_id})).all()
    return [msgspec.convert(row, ResultLine, from_attributes=True) for row in rows]


def make_record(
    municipality: str, found: DrawView, sessions: Sequence[Session], result: Sequence[ResultLine]
) -> Record:
    """The public record: what `choudo draw replay` reads."""
    passed = sorted((line for line in result if line.passed_at), key=lambda line: (line.passed_at, line.rank))
    return Record(
        format=FORMAT,
        municipality=municipality,
        draw_id=found.draw_id,
        title_ja=found.title_ja,
        opens_at=found.opens_at,
        closes_at=found.closes_at,
        commitment=found.commitment,
        sessions=tuple(sessions),
        drawn_at=found.drawn_at,
        called_off_at=found.called_off_at,
        seed=found.seed,
        entries_digest=found.entries_digest,
        entries=tuple(
            Ticket(line.ticket, tuple(map(str, line.preferences)))
            for line in sorted(result, key=lambda line: line.ticket)
        ),
        result=tuple(Outcome(line.ticket, str(line.slot_id) if line.slot_id else None) for line in result),
        passed_on=tuple(
            PassedOn(ticket=line.ticket, session_id=str(line.passed_to), passed_at=line.passed_at)
            for line in passed
            if line.passed_at is not None
        ),
    )


async def find_entry(
    session: AsyncSession, municipality: str, draw_id: UUID, ticket: str, keys: Keys, *, now: datetime
) -> EntryView | None:
    """An entry by its ticket, with its code for as long as it is shown. Who may see it, the caller decides."""
    asked = {"municipality": municipality, "draw_id": draw_id, "ticket": ticket}
    row = (await session.execute(_ENTRY, asked)).one_or_none()
    if row is None:
        return None
    found = msgspec.convert(row, EntryView, from_attributes=True)
    if row.code_sealed is None or row.wrapped_key is None or now >= row.entered_at + VISIT_LIFETIME:
        return found
    return msgspec.structs.replace(found, code=_open_code(keys, municipality, row))


async def find_ticket_of_visit(session: AsyncSession, municipality: str, draw_id: UUID, visit_id: UUID) -> str | None:
    """The ticket of whoever came with this visit, if they have entered already."""
    asked = {"municipality": municipality, "draw_id": draw_id, "visit_id": visit_id}
    ticket: str | None = (await session.execute(_OF_VISIT, asked)).scalar_one_or_none()
    return ticket


def _open_code(keys: Keys, municipality: str, row: Any) -> str:
    context = subject_context(municipality, row.subject_ref)
    return keys.vault.open(row.wrapped_key, context, f"code/{row.entry_id}", row.code_sealed)
