"""Inquiries (問い合わせ): the person asks about an entry of their history, staff answer, the person asks once more."""

import secrets
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Row, Select, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.looking import look_at_items
from services.routing.commands.progress import refuse_other_office
from services.routing.commands.vault import Use, keep_items, read_values, seen_again
from services.routing.domain.inquiries import (
    ANSWER_WORKING_DAYS,
    ANSWERS,
    TEXTS,
    WAITING,
    WAITING_MAX,
    Kind,
    State,
    may_move,
)
from services.routing.domain.town_days import end_of_working_day
from services.routing.queries.catalogue import procedure_names
from services.routing.queries.history import find_entry
from services.routing.queries.holidays import list_holidays
from services.routing.queries.inquiries import Thread, find_number_about, list_thread
from services.routing.queries.mine import list_subjects
from services.routing.tables import SERVICE, inquiry, inquiry_step
from shared.audit import record_deed
from shared.clock import jst_day
from shared.crypto import SubjectVault
from shared.errors import Refusal
from shared.reference_number import INQUIRY_LENGTH, make_number
from shared.tokens import Identity

STEP = "inquiry"
PURPOSE = "問い合わせに答えるため"
# Where no office is known that has to answer; managers see it in any case.
GENERAL_OFFICE = "総合"
NUMBER_TRIES = 5
# However many holidays come together.
DUE_WITHIN = timedelta(days=60)
_COLUMNS = (*inquiry.c, inquiry.c.inquiry_id.label("case_id"))


async def ask(
    session: AsyncSession,
    vault: SubjectVault,
    *,
    identity: Identity,
    entry_id: UUID,
    kind: Kind,
    text: str,
    now: datetime,
) -> str:
    """Ask about an entry of one's own or one's family's history; return the number. Asked twice, it is one inquiry.

    Raises:
        Refusal: `entry_unknown` (404), `inquiries_many` (409).
    """
    town = identity.municipality
    found = await find_entry(session, town, await list_subjects(session, identity), entry_id)
    if found is None:
        raise Refusal("entry_unknown", 404)
    entry, subject_ref = found.entry, found.subject_ref
    procedure = entry.target_procedure or entry.source_procedure or ""
    names = await procedure_names(session, town)
    values = {
        "municipality": town,
        "inquiry_id": uuid4(),
        "entry_id": entry_id,
        "subject_ref": subject_ref,
        "kind": kind,
        # As the history names it: whoever did it, else whose procedure it is.
        "office": entry.office or (names[procedure][1] if procedure in names else GENERAL_OFFICE),
        "procedure": procedure,
        "state": "open",
        "version": 1,
        "asked_at": now,
        "due_at": _due(now),
        "changed_at": now,
    }
    row = await _open(session, values)
    if row is None:
        return str(await find_number_about(session, town, entry_id, kind))
    mine = (inquiry.c.municipality == town, inquiry.c.subject_ref == subject_ref, inquiry.c.state.in_(WAITING))
    if (await session.execute(select(func.count()).select_from(inquiry).where(*mine))).scalar_one() > WAITING_MAX:
        raise Refusal("inquiries_many", 409)
    await _write_step(session, vault, identity, row, text, now=now)
    return str(row.number)


async def answer(
    session: AsyncSession,
    vault: SubjectVault,
    *,
    identity: Identity,
    number: str,
    version: int,
    text: str,
    now: datetime,
) -> None:
    """Staff answer what they saw in `version`; of two who answer at once, one does.

    Raises:
        Refusal: `inquiry_unknown` (404), `other_office` (403), `inquiry_moved` (409).
    """
    row = await find_inquiry(session, identity.municipality, number, lock=True)
    refuse_other_office(identity, row.office)
    if row.version != version or row.state not in ANSWERS:
        raise Refusal("inquiry_moved", 409)
    moved = await _move(session, row, ANSWERS[row.state], now=now)
    await _write_step(session, vault, identity, moved, text, now=now)
    await record_deed(session, identity, "answer_inquiry", row.number, version=moved.version, now=now)


async def ask_again(
    session: AsyncSession, vault: SubjectVault, *, identity: Identity, number: str, text: str, now: datetime
) -> None:
    """The answer was not enough: once more, and staff have as long again. A second tap changes nothing.

    Raises:
        Refusal: `inquiry_unknown` (404), `inquiry_moved` (409).
    """
    row = await _find_own(session, identity, number, lock=True)
    if row.state == "asked_again":
        return
    if not may_move(row.state, "asked_again"):
        raise Refusal("inquiry_moved", 409)
    moved = await _move(session, row, "asked_again", now=now, due_at=_due(now))
    await _write_step(session, vault, identity, moved, text, now=now)


async def close(session: AsyncSession, vault: SubjectVault, *, identity: Identity, number: str, now: datetime) -> None:
    """The person has what they wanted. A second tap changes nothing.

    Raises:
        Refusal: `inquiry_unknown` (404), `inquiry_moved` (409).
    """
    row = await _find_own(session, identity, number, lock=True)
    if row.state == "closed":
        return
    if not may_move(row.state, "closed"):
        raise Refusal("inquiry_moved", 409)
    moved = await _move(session, row, "closed", now=now)
    await _write_step(session, vault, identity, moved, "", now=now)


async def read_own(
    session: AsyncSession, vault: SubjectVault, *, identity: Identity, number: str, now: datetime
) -> tuple[Row[Any], Thread]:
    """One's own inquiry with what was written. The reading is in the ledger, and not in the history.

    Raises:
        Refusal: `inquiry_unknown` (404).
    """
    row = await _find_own(session, identity, number)
    thread = await list_thread(session, row.municipality, row.inquiry_id)
    use = Use(
        entry_type="previewed",
        case_id=row.inquiry_id,
        procedure=row.procedure,
        target_service=SERVICE,
        target_step=STEP,
        purpose=PURPOSE,
    )
    texts = await read_values(
        session,
        vault,
        identity=identity,
        subject_ref=row.subject_ref,
        keys=list(thread.versions),
        use=seen_again(identity, use),
        versions=thread.versions,
        now=now,
    )
    return row, thread.with_texts({key: value.value for key, value in texts.items()})


async def read_for_staff(
    session: AsyncSession, vault: SubjectVault, *, identity: Identity, number: str, now: datetime
) -> tuple[Row[Any], Thread]:
    """An inquiry as its office reads it: told to the person once a day, and audited each time.

    Raises:
        Refusal: `inquiry_unknown` (404), `other_office` (403).
    """
    row = await find_inquiry(session, identity.municipality, number)
    refuse_other_office(identity, row.office)
    thread = await list_thread(session, row.municipality, row.inquiry_id)
    seen = await look_at_items(
        session,
        vault,
        identity=identity,
        case=row,
        keys=list(thread.versions),
        versions=thread.versions,
        purpose=PURPOSE,
        step=STEP,
        office=identity.office or row.office,
        now=now,
    )
    return row, thread.with_texts({item.key: item.value for item in seen})


async def find_inquiry(session: AsyncSession, municipality: str, number: str, *, lock: bool = False) -> Row[Any]:
    """An inquiry by its number, as `case_id` too: it is a case of its own.

    Raises:
        Refusal: `inquiry_unknown` (404).
    """
    query = _by_number(municipality, number)
    row: Row[Any] | None = (await session.execute(query.with_for_update() if lock else query)).one_or_none()
    if row is None:
        raise Refusal("inquiry_unknown", 404)
    return row


async def _find_own(session: AsyncSession, identity: Identity, number: str, *, lock: bool = False) -> Row[Any]:
    """One of the person who asks; somebody else's is as if there were none."""
    subjects = await list_subjects(session, identity)
    row = await find_inquiry(session, identity.municipality, number, lock=lock)
    if row.subject_ref not in subjects:
        raise Refusal("inquiry_unknown", 404)
    return row


async def _open(session: AsyncSession, values: dict[str, Any]) -> Row[Any] | None:
    """Write a new inquiry; None: there is one already, of this entry and kind."""
    town, entry_id, kind = values["municipality"], values["entry_id"], values["kind"]
    for _ in range(NUMBER_TRIES):
        number = make_number(secrets.choice, length=INQUIRY_LENGTH)
        made = await session.execute(
            upsert(inquiry).values(**values, number=number).on_conflict_do_nothing().returning(*_COLUMNS)
        )
        row: Row[Any] | None = made.one_or_none()
        if row is not None or await find_number_about(session, town, entry_id, kind) is not None:
            return row
    raise RuntimeError("no free inquiry number")


async def _move(session: AsyncSession, row: Row[Any], to: State, *, now: datetime, **more: Any) -> Row[Any]:
    moved: Row[Any] = (
        await session.execute(
            update(inquiry)
            .where(inquiry.c.municipality == row.municipality, inquiry.c.inquiry_id == row.inquiry_id)
            .values(state=to, version=row.version + 1, changed_at=now, **more)
            .returning(*_COLUMNS)
        )
    ).one()
    return moved


async def _write_step(
    session: AsyncSession, vault: SubjectVault, identity: Identity, row: Row[Any], text: str, *, now: datetime
) -> None:
    """Keep the state that an inquiry has reached, and what was written with it, sealed for the person."""
    text_version = None
    if text:
        key = TEXTS[row.state]
        kept = await keep_items(
            session,
            vault,
            identity=identity,
            subject_ref=row.subject_ref,
            values={key: text},
            case_id=row.inquiry_id,
            procedure=row.procedure,
            purpose=PURPOSE,
            step=STEP,
            stands_alone=True,
            now=now,
        )
        text_version = kept.versions[key]
    await session.execute(
        insert(inquiry_step).values(
            municipality=row.municipality,
            inquiry_id=row.inquiry_id,
            version=row.version,
            state=row.state,
            occurred_at=now,
            actor_kind=identity.kind,
            office=identity.office or (row.office if identity.kind == "staff" else None),
            text_version=text_version,
        )
    )


def _due(now: datetime) -> datetime:
    day = jst_day(now)
    return end_of_working_day(now, ANSWER_WORKING_DAYS, list_holidays(day, day + DUE_WITHIN))


def _by_number(municipality: str, number: str) -> Select[Any]:
    return select(*_COLUMNS).where(inquiry.c.municipality == municipality, inquiry.c.number == number)
