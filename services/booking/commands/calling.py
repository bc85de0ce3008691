"""Today's line with the names passed on for calling: the one place that opens them, and writes who saw them."""

from collections.abc import Iterable
from datetime import date, datetime
from functools import lru_cache
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.appointments import CALLING_PURPOSE, LEGAL_BASIS, STEP_COLLECTED
from services.booking.commands.visits import KANA, NAME
from services.booking.keys import Keys, subject_context
from services.booking.queries.line import LINE_MAX, LineItem, list_line_rows, make_line_item
from services.booking.tables import ledger
from shared.audit import record_deed
from shared.crypto import SealBroken
from shared.db import call_when_committed
from shared.ledger.entry import Entry
from shared.log import get_logger
from shared.tokens import Identity

log = get_logger(__name__)

STEP_LINE = "line"
AUDIT_COMMAND = "view-names"
# Everybody in several lines.
OPENED_KEPT_MAX = 4_000
# Every office of several towns, today and the days around it.
OFFICE_DAYS_KEPT_MAX = 500

_KNOWN = text(f"""
    SELECT entry_id FROM ledger_entry
    WHERE municipality = :municipality AND entry_id = ANY(CAST(:entry_ids AS uuid[])) LIMIT {LINE_MAX}
""")
# Two tablets of an office that look for the first time at once: the second finds what the first has written.
_ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(hashtextextended('view-names/' || :municipality || :office, 0))")


async def show_line(
    session: AsyncSession, actor: Identity, day: date, keys: Keys, *, counter: str | None = None, now: datetime
) -> list[LineItem]:
    """The line of the actor's office, or of all, as their tablet shows it; with `counter` of that counter alone.

    Whoever's name it shows finds one `staff_viewed` a day and office in their history, written in this transaction: a
    tablet that stands on the line all day looks at it hundreds of times, and nobody would read as many entries.
    """
    rows = await list_line_rows(session, actor.municipality, day, actor.office, counter=counter, now=now)
    opened = await open_for_calling(session, actor, day, rows, keys, now=now)
    return [make_line_item(row, name=names.get(NAME), kana=names.get(KANA), now=now) for row, names in opened]


async def open_for_calling(
    session: AsyncSession,
    actor: Identity,
    day: date,
    rows: Iterable[Any],
    keys: Keys,
    *,
    step: str = STEP_LINE,
    now: datetime,
) -> list[tuple[Any, dict[str, str]]]:
    """Each row with the names that were passed on for calling; whose they are finds it in their history, once a day.

    A row is an appointment's, or says as `appointment_id` to what the names are sealed.
    """
    opened = [(row, _open_names(row, keys)) for row in rows]
    await _write_who_saw(
        session, actor, day, [(row, names) for row, names in opened if names], keys, step=step, now=now
    )
    return opened


async def _write_who_saw(
    session: AsyncSession,
    actor: Identity,
    day: date,
    seen: list[tuple[Any, dict[str, str]]],
    keys: Keys,
    *,
    step: str,
    now: datetime,
) -> None:
    told = _told(actor.municipality, actor.office, day)
    by_id = {
        _entry_id(actor.municipality, actor.office, row.appointment_id, day): (row, names)
        for row, names in seen
        if row.appointment_id not in told
    }
    if not by_id:
        return
    told.add_when_committed(session, [row.appointment_id for row, _ in by_id.values()])
    if not await _unknown(session, actor, by_id):
        return
    await session.execute(_ONE_AT_A_TIME, {"municipality": actor.municipality, "office": f"/{actor.office or ''}"})
    new = await _unknown(session, actor, by_id)
    if not new:
        return
    await ledger.write(
        session, *(_entry(entry_id, actor, *by_id[entry_id], keys, step=step, now=now) for entry_id in new)
    )
    await record_deed(session, actor, AUDIT_COMMAND, day.isoformat(), version=len(new), now=now)


async def _unknown(session: AsyncSession, actor: Identity, entry_ids: Iterable[UUID]) -> list[UUID]:
    asked = list(entry_ids)
    if not asked:
        return []
    found = await session.execute(_KNOWN, {"municipality": actor.municipality, "entry_ids": asked})
    known = set(found.scalars())
    return [entry_id for entry_id in asked if entry_id not in known]


class _Told:
    """Appointments whose names an office has seen on a day, as the ledger says already. Nothing takes entries out of
    it, so that a tablet that looks all day need not ask for them again."""

    def __init__(self) -> None:
        self._appointments: set[UUID] = set()

    def __contains__(self, appointment_id: UUID) -> bool:
        return appointment_id in self._appointments

    def add_when_committed(self, session: AsyncSession, appointment_ids: list[UUID]) -> None:
        """What this transaction finds or writes counts when it is there for good, not before."""
        call_when_committed(session, lambda: self._appointments.update(appointment_ids))


@lru_cache(OFFICE_DAYS_KEPT_MAX)
def _told(_municipality: str, _office: str | None, _day: date) -> _Told:
    return _Told()


def _entry_id(municipality: str, office: str | None, appointment_id: UUID, day: date) -> UUID:
    """The ledger's key says once: the same appointment, office and day is the same entry."""
    return uuid5(NAMESPACE_URL, f"view-names:{municipality}/{appointment_id}/{office or ''}/{day}")


def _entry(
    entry_id: UUID, actor: Identity, row: Any, names: dict[str, str], keys: Keys, *, step: str, now: datetime
) -> Entry:
    context = subject_context(actor.municipality, row.subject_ref)
    return Entry(
        entry_id=entry_id,
        municipality=actor.municipality,
        occurred_at=now,
        entry_type="staff_viewed",
        subject_ref=row.subject_ref,
        actor_kind="helper" if actor.kind == "helper" else "staff",
        actor_ref=actor.ref,
        office=actor.office,
        source_procedure=row.procedure,
        source_case=row.case_id,
        source_step=STEP_COLLECTED,
        target_service="booking",
        target_procedure=row.procedure,
        target_case=row.case_id,
        target_step=step,
        items=tuple(names),
        commitments={
            item: keys.vault.commitment(row.wrapped_key, context, item, value) for item, value in names.items()
        },
        purpose=CALLING_PURPOSE,
        legal_basis=LEGAL_BASIS,
        correlation=row.appointment_id,
    )


def _open_names(row: Any, keys: Keys) -> dict[str, str]:
    """For calling only, the purpose that the booking's `applied` entry states. The only reader of these columns."""
    if row.wrapped_key is None:
        return {}
    return _open(
        keys, row.wrapped_key, row.municipality, row.subject_ref, row.appointment_id, row.name_sealed, row.kana_sealed
    )


@lru_cache(OPENED_KEPT_MAX)
def _open(
    keys: Keys, wrapped_key: bytes, municipality: str, subject_ref: UUID, appointment_id: UUID, *sealed: bytes | None
) -> dict[str, str]:
    """A tablet asks for the same names all day. Without the subject's key, which erasing destroys, none is found."""
    context = subject_context(municipality, subject_ref)
    opened: dict[str, str] = {}
    for item, text_sealed in zip((NAME, KANA), sealed, strict=True):
        if text_sealed is None:
            continue
        try:
            opened[item] = keys.vault.open(wrapped_key, context, f"{item}/{appointment_id}", text_sealed)
        except SealBroken:
            log.error("name_unreadable", appointment_id=str(appointment_id))
    return opened
