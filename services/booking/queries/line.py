"""Today's line, for the tablets: names for calling, still sealed."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.domain.line import PRESENT, Action, State, possible_actions, progress_of
from services.booking.domain.services import say_services
from services.booking.queries.queue import NOT_CALLED_ELSEWHERE, order_rows
from services.booking.queries.services import NAMED_SERVICES, NamedService
from shared.events.booking import ClosureState

LINE_MAX = 1_000
BEFORE_ALL = datetime.min.replace(tzinfo=UTC)
# Several lines of a town of any size.
ITEMS_KEPT_MAX = 4_000


class LineItem(msgspec.Struct, frozen=True, kw_only=True, cache_hash=True):
    """Somebody in today's line. `name` and `kana` only if they were passed on for calling."""

    appointment_id: UUID
    number: str
    kind: str
    state: State
    version: int
    procedure_name: str
    counter: str
    counter_number: str
    ticket_counter: str | None
    ticket_no: int | None
    starts_at: datetime
    case_id: UUID | None
    reach: str
    # A closing covers their time: they were `asked` to move it, or `staff` are to see to it.
    closure: ClosureState
    name: str | None
    kana: str | None
    # Set aside for a while; to be called before others.
    is_parked: bool
    is_preferred: bool
    # To another counter: whoever meets a helper is not.
    can_be_sent: bool
    # They came for something discreet: no board shows them and no voice calls them, so that somebody fetches them.
    is_discreet: bool
    actions: tuple[Action, ...]


class LineMark(msgspec.Struct, frozen=True):
    """Changes whenever the line of an office does."""

    count: int
    versions: int
    names: int


# A venue has no number: it is called by its name.
_CALLED = "coalesce(nullif(c.number, ''), c.name_ja, a.counter) AS counter_number"
# Who is called or served; who waits; who is expected, by time; who did not come; the rest.
_LINE = text(f"""
    SELECT a.municipality, a.appointment_id, a.number, a.kind, a.state, a.version, a.procedure, a.counter,
           a.ticket_counter, a.ticket_no, a.starts_at, a.case_id, a.reach, a.closure, a.helper, a.subject_ref,
           a.name_sealed, a.kana_sealed, a.parked_at, a.is_preferred, a.undo_version,
           a.called_at, coalesce(a.queued_at, a.checked_in_at, a.starts_at) AS queued_at,
           a.parked_at IS NOT NULL AS is_parked, a.state = 'checked_in' AND NOT {NOT_CALLED_ELSEWHERE} AS is_elsewhere,
           k.wrapped_key,
           coalesce(p.name_ja, a.procedure) AS procedure_name, {_CALLED},
           coalesce(p.discreet, true) AS discreet, CAST({NAMED_SERVICES} AS text) AS named
    FROM appointment a
    LEFT JOIN procedure p ON (p.municipality, p.code) = (a.municipality, a.procedure)
    LEFT JOIN counter c ON (c.municipality, c.code) = (a.municipality, a.counter)
    LEFT JOIN subject_key k ON (k.municipality, k.subject_ref) = (a.municipality, a.subject_ref)
    WHERE a.municipality = :municipality AND a.day = :day AND a.state <> 'cancelled'
      AND (CAST(:office AS text) IS NULL OR a.office = :office)
      AND (CAST(:counter AS text) IS NULL OR a.counter = :counter)
    ORDER BY CASE a.state WHEN 'called' THEN 0 WHEN 'serving' THEN 0 WHEN 'checked_in' THEN 1 WHEN 'booked' THEN 2
                          WHEN 'no_show' THEN 3 ELSE 4 END,
             CASE WHEN a.state IN ('called', 'serving', 'checked_in') THEN a.counter END,
             CASE WHEN a.state IN ('called', 'serving', 'checked_in') THEN a.ticket_no END,
             a.starts_at, a.booked_at, a.number
    LIMIT {LINE_MAX}
""")
_MARKS = text("""
    SELECT office, count(*) AS people, sum(version) AS versions, count(name_sealed) + count(kana_sealed) AS names
    FROM appointment WHERE municipality = :municipality AND day = :day GROUP BY office LIMIT 1000
""")


async def list_line_rows(
    session: AsyncSession,
    municipality: str,
    day: date,
    office: str | None,
    *,
    counter: str | None = None,
    now: datetime,
) -> Sequence[Any]:
    """The line of an office, or of all; with `counter` of that counter alone. Who waits, in the order of their turns.

    Names are sealed: `commands/calling.py` opens them.
    """
    asked = {"municipality": municipality, "day": day, "office": office, "counter": counter}
    rows = list((await session.execute(_LINE, asked)).all())
    return await order_rows(session, municipality, day, rows, now=now)


def make_line_item(row: Any, *, name: str | None, kana: str | None, now: datetime) -> LineItem:
    """Somebody in line, and what may be done with them."""
    return _make_line_item(row, name, kana, now >= row.starts_at)


@lru_cache(ITEMS_KEPT_MAX)
def _make_line_item(row: Any, name: str | None, kana: str | None, has_come: bool) -> LineItem:
    """Most of a line is as it was a moment ago: of an equal row there is one item, which is known again at once.

    Of the hour it matters only whether their time `has_come`.
    """
    now = row.starts_at if has_come else BEFORE_ALL
    services = msgspec.json.decode(row.named or "[]", type=tuple[NamedService, ...])
    return LineItem(
        appointment_id=row.appointment_id,
        number=row.number,
        kind=row.kind,
        state=row.state,
        version=row.version,
        procedure_name=_what(row.procedure_name, services),
        counter=row.counter,
        counter_number=row.counter_number,
        ticket_counter=row.ticket_counter,
        ticket_no=row.ticket_no,
        starts_at=row.starts_at,
        case_id=row.case_id,
        reach=row.reach,
        closure=row.closure,
        name=name,
        kana=kana,
        is_parked=row.parked_at is not None,
        is_preferred=row.is_preferred,
        can_be_sent=row.state in PRESENT and row.helper == "none",
        is_discreet=row.discreet or any(each.discreet for each in services),
        actions=possible_actions(progress_of(row), now=now),
    )


def _what(procedure_name: str, services: tuple[NamedService, ...]) -> str:
    if not services:
        return procedure_name
    return say_services([(each.name_ja, each.unit, each.quantity) for each in services])


async def read_line_marks(session: AsyncSession, municipality: str, day: date) -> dict[str, LineMark]:
    """One mark per office, cheap enough to be asked twice a second."""
    rows = (await session.execute(_MARKS, {"municipality": municipality, "day": day})).all()
    return {row.office: LineMark(row.people, int(row.versions), row.names) for row in rows}
