"""Staff look at what a person gave: read in one place, told to the person once a day for each office, and audited."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec
from sqlalchemy import Row, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.online import procedure_of
from services.routing.commands.progress import lock_application, refuse_other_office
from services.routing.commands.protection import is_protected
from services.routing.commands.reuse import usable_sources
from services.routing.commands.vault import STEP_FORM, STEP_OFFICE, Use, Value, read_values
from services.routing.domain.applications import WRITTEN
from services.routing.domain.items import in_order
from services.routing.domain.protection import Reason, may_look, may_open
from services.routing.queries.applications import Step, list_steps
from services.routing.tables import SERVICE, case_file, counter, office_look
from shared.audit import record_deed
from shared.clock import jst_day
from shared.crypto import SubjectVault
from shared.errors import Refusal
from shared.tokens import Identity

PURPOSE_REVIEW = "申請の内容を確かめるため"
# Where the office looks: on its page, on paper that it takes away, or in a file for another system of the town hall.
Where = Literal["office", "office_print", "office_export"]
PURPOSES_OF_OFFICE: dict[Where, str] = {
    "office": PURPOSE_REVIEW,
    "office_print": "申請の内容を紙に印刷するため",
    "office_export": "手続きを進める役場のシステムに入れるため",
}
# Of what is held back of a protected person: each look has its reason, and its entry.
PURPOSES_HELD_BACK: dict[Reason, str] = {
    "decide": PURPOSE_REVIEW,
    "write_to": "本人に書類を送るため",
    "check_identity": "本人であることを確かめるため",
}
PURPOSE_SERVE = "窓口で、もう一度書かずにすむようにするため"
COUNTERS_MAX = 50


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """One item as staff see it, with where it came from."""

    key: str
    value: str
    procedure: str
    collected_at: datetime


class GivenInCase(msgspec.Struct, frozen=True, kw_only=True):
    """What a person gave in a case."""

    procedure: str
    procedure_name: str
    channel: str
    items: tuple[Seen, ...]


async def case_at_office(
    session: AsyncSession, identity: Identity, case_id: UUID, *, lock: bool = False
) -> tuple[Row[Any], Row[Any]]:
    """A case and its procedure, for the offices that deal with it.

    Raises:
        Refusal: `case_unknown` (404), `other_office` (403): neither the procedure's office nor one of its counters'.
    """
    query = select(case_file).where(case_file.c.municipality == identity.municipality, case_file.c.case_id == case_id)
    case = (await session.execute(query.with_for_update() if lock else query)).one_or_none()
    if case is None:
        raise Refusal("case_unknown", 404)
    row = await procedure_of(session, case)
    refuse_other_office(identity, row.office, *await counter_offices(session, row))
    return case, row


async def look_at_case(
    session: AsyncSession, vault: SubjectVault, *, identity: Identity, case_id: UUID, now: datetime
) -> GivenInCase:
    """What was given in a case, beside the line at the counter.

    Raises:
        Refusal: `case_unknown` (404), `other_office` (403): neither the procedure's office nor one of its counters'.
    """
    case, row = await case_at_office(session, identity, case_id)
    # A name that another case holds is seen at the counter if it was handed over to it.
    sources = await usable_sources(session, case, steps=(STEP_FORM, "handover"))
    keys = [key for key in row.items if key in sources] + sorted(set(sources) - set(row.items))
    items = await look_at_items(
        session,
        vault,
        identity=identity,
        case=case,
        keys=keys,
        versions={key: sources[key].version for key in keys},
        purpose=PURPOSE_SERVE,
        step="counter",
        office=identity.office or row.office,
        now=now,
    )
    return GivenInCase(procedure=row.code, procedure_name=row.name_ja, channel=case.channel, items=items)


class Looked(msgspec.Struct, frozen=True, kw_only=True):
    """An application as its office sees it: what was sent and the newest of what the office wrote, in `keys`' order."""

    row: Any
    steps: list[Step]
    keys: tuple[str, ...]
    versions: dict[str, int]
    items: tuple[Seen, ...]


async def look_at_application(
    session: AsyncSession,
    vault: SubjectVault,
    *,
    identity: Identity,
    application_id: UUID,
    where: Where,
    now: datetime,
) -> Looked:
    """What was sent and what the office wrote, read for its office.

    Raises:
        Refusal: `application_unknown` (404), `other_office` (403).
    """
    row = await lock_application(session, identity.municipality, application_id)
    refuse_other_office(identity, row.office)
    steps = await list_steps(session, row.municipality, row.application_id)
    written: dict[str, int] = {}
    for step in steps:
        if step.reason_version is not None:
            written.setdefault(WRITTEN[step.state], step.reason_version)
    versions = dict(row.items) | written
    keys = (*in_order(row.items), *written)
    items = await look_at_items(
        session,
        vault,
        identity=identity,
        case=row,
        keys=list(keys),
        versions=versions,
        purpose=PURPOSES_OF_OFFICE[where],
        step=where,
        office=identity.office or row.office,
        now=now,
    )
    return Looked(row=row, steps=steps, keys=keys, versions=versions, items=items)


async def look_at_items(
    session: AsyncSession,
    vault: SubjectVault,
    *,
    identity: Identity,
    case: Row[Any],
    keys: list[str],
    versions: dict[str, int],
    purpose: str,
    step: str,
    office: str,
    now: datetime,
) -> tuple[Seen, ...]:
    """Read items for staff. Each look is audited; the person is told of an office's first look of a day.

    `case` is anything with the town, subject, case and procedure of the items.
    """
    await record_deed(session, identity, f"view_{step}", case.case_id, now=now)
    if case.subject_ref is None or not keys:
        return ()
    first = await session.execute(
        insert(office_look)
        .values(municipality=case.municipality, case_id=case.case_id, office=office, step=step, day=jst_day(now))
        .on_conflict_do_nothing()
        .returning(office_look.c.day)
    )
    is_first = first.one_or_none() is not None
    use = Use(
        entry_type="staff_viewed",
        case_id=case.case_id,
        procedure=case.procedure,
        target_service=SERVICE,
        target_step=step,
        purpose=purpose,
        outcome="done" if is_first else "same_day",
        visibility="subject" if is_first else "internal",
    )
    identity = msgspec.structs.replace(identity, office=office)
    values = await read_values(
        session,
        vault,
        identity=identity,
        subject_ref=case.subject_ref,
        keys=keys,
        use=use,
        versions=versions,
        now=now,
    )
    return _seen(keys, values)


async def list_held_back(
    session: AsyncSession, *, identity: Identity, row: Row[Any], keys: Sequence[str]
) -> tuple[str, ...]:
    """What of these this office may open with a reason, because an application's (`row`) person is protected.

    Nothing for everybody else: to them it looks like items that were never given.
    """
    if not may_look(own_office=identity.office, deciding_office=row.office):
        return ()
    if not await is_protected(session, row.municipality, row.subject_ref):
        return ()
    return tuple(key for key in keys if not may_open(key, SERVICE))


async def look_at_held_back(
    session: AsyncSession,
    vault: SubjectVault,
    *,
    identity: Identity,
    row: Row[Any],
    keys: Sequence[str],
    versions: Mapping[str, int],
    reason: Reason,
    now: datetime,
) -> tuple[Seen, ...]:
    """Open what is held back, for the office that decides: every time audited, and told to the person.

    Raises:
        Refusal: `other_office` (403).
    """
    if not may_look(own_office=identity.office, deciding_office=row.office):
        raise Refusal("other_office", 403)
    await record_deed(session, identity, f"view_held_back:{reason}", row.case_id, now=now)
    use = Use(
        entry_type="staff_viewed",
        case_id=row.case_id,
        procedure=row.procedure,
        target_service=SERVICE,
        target_step=STEP_OFFICE,
        purpose=PURPOSES_HELD_BACK[reason],
        despite="deciding_office",
    )
    values = await read_values(
        session,
        vault,
        identity=identity,
        subject_ref=row.subject_ref,
        keys=keys,
        use=use,
        versions=versions,
        now=now,
    )
    return _seen(keys, values)


def _seen(keys: Sequence[str], values: Mapping[str, Value]) -> tuple[Seen, ...]:
    return tuple(
        Seen(key=key, value=values[key].value, procedure=values[key].procedure, collected_at=values[key].collected_at)
        for key in keys
        if key in values
    )


async def counter_offices(session: AsyncSession, row: Row[Any]) -> list[str]:
    """Whose the counters of a procedure (its row) are."""
    rows = await session.execute(
        select(counter.c.office)
        .where(counter.c.municipality == row.municipality, counter.c.code.in_(row.counters))
        .limit(COUNTERS_MAX)
    )
    return list(rows.scalars())
