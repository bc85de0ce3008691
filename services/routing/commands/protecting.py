"""Saying that a person is protected (秘匿), and no longer is: by staff who have checked it, never by oneself.

From that moment nothing is passed on that was passed on before: notices stop, and booking forgets the name.
"""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import ColumnElement, Row, and_, exists, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.contact import update_case, withdraw_contact
from services.routing.commands.names import withdraw_names
from services.routing.domain.protection import may_protect
from services.routing.tables import (
    appointment,
    case_file,
    catalogue,
    pass_issued,
    procedure,
    protection,
    session_person,
    subject_key,
)
from shared.audit import record_deed
from shared.errors import Refusal
from shared.passes import BOOKING_ITEMS
from shared.tokens import Identity

PERIODS_MAX = 100
CASES_MAX = 1_000
# Of a contact that is taken back: nobody is written to in it.
LANGUAGE = "ja"


class Period(msgspec.Struct, frozen=True, kw_only=True):
    """Since when, and until when, somebody was protected."""

    protection_id: UUID
    set_at: datetime
    lifted_at: datetime | None


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How it stands with the person of a case."""

    procedure_name: str
    periods: tuple[Period, ...]

    @property
    def now(self) -> Period | None:
        """The period that lasts."""
        return next((period for period in self.periods if period.lifted_at is None), None)


async def may_register(session: AsyncSession, identity: Identity) -> bool:
    """Whether somebody is of those who say that a person is protected."""
    query = select(catalogue.c.registrar).where(catalogue.c.municipality == identity.municipality)
    registrar = (await session.execute(query)).scalar_one_or_none()
    return may_protect(own_office=identity.office, registrar=registrar, roles=identity.roles)


async def show_standing(session: AsyncSession, *, identity: Identity, case_id: UUID, now: datetime) -> Standing:
    """How it stands, the newest period first. That it was looked at is audited.

    Raises:
        Refusal: `case_unknown` (404), `not_registrar` (403).
    """
    case = await _find_case(session, identity, case_id)
    await record_deed(session, identity, "view_protection", case_id, now=now)
    name = await session.execute(
        select(procedure.c.name_ja).where(
            procedure.c.municipality == case.municipality, procedure.c.code == case.procedure
        )
    )
    rows = await session.execute(
        select(protection)
        .where(protection.c.municipality == case.municipality, protection.c.subject_ref == case.subject_ref)
        .order_by(protection.c.lifted_at.is_(None).desc(), protection.c.set_at.desc())
        .limit(PERIODS_MAX)
    )
    return Standing(
        procedure_name=name.scalar_one(),
        periods=tuple(
            Period(protection_id=row.protection_id, set_at=row.set_at, lifted_at=row.lifted_at) for row in rows
        ),
    )


async def protect(session: AsyncSession, *, identity: Identity, case_id: UUID, now: datetime) -> None:
    """The person of this case is protected from now on, in all of their cases, and so is who shares their browser: the
    measure covers those who live together. Twice is once.

    Raises:
        Refusal: `case_unknown` (404), `not_registrar` (403), `nothing_to_protect` (409): nothing was given yet.
    """
    found = await _find_case(session, identity, case_id)
    if found.subject_ref is None:
        raise Refusal("nothing_to_protect", 409)
    town = found.municipality
    family = select(case_file.c.subject_ref).where(
        case_file.c.municipality == town,
        case_file.c.session_id == found.session_id,
        case_file.c.subject_ref.is_not(None),
        # What staff typed is of one person, and the next case of their session of another.
        case_file.c.behalf.is_(None),
    )
    # Also of whom nothing was begun yet.
    persons = select(session_person.c.subject_ref).where(
        session_person.c.municipality == town, session_person.c.session_id == found.session_id
    )
    subjects = {found.subject_ref, *(await session.execute(family.distinct().limit(CASES_MAX))).scalars()}
    if found.behalf is None:
        subjects |= set((await session.execute(persons.limit(CASES_MAX))).scalars())
    mine = and_(case_file.c.municipality == town, case_file.c.subject_ref.in_(subjects))
    # As everybody does: the cases first, then the key. Whoever approves or reads right now is done before, or sees it.
    query = select(case_file.c.case_id).where(mine).order_by(case_file.c.case_id).limit(CASES_MAX)
    case_ids = list((await session.execute(query.with_for_update())).scalars())
    await session.execute(
        select(subject_key.c.subject_ref)
        .where(subject_key.c.municipality == town, subject_key.c.subject_ref.in_(subjects))
        .order_by(subject_key.c.subject_ref)
        .with_for_update()
    )
    made = await session.execute(
        insert(protection)
        .values(
            [
                {"municipality": town, "protection_id": uuid4(), "subject_ref": each, "set_at": now}
                for each in sorted(subjects, key=str)
            ]
        )
        .on_conflict_do_nothing()
        .returning(protection.c.subject_ref)
    )
    new = set(made.scalars())
    if not new:
        return
    mine = and_(case_file.c.municipality == town, case_file.c.subject_ref.in_(new))
    for each in case_ids:
        # Read anew each time: taking one back may have changed those that took it over.
        case = (await session.execute(select(case_file).where(mine, case_file.c.case_id == each))).one_or_none()
        if case is not None and case.contact_ref is not None and case.contact_approval_id is not None:
            await withdraw_contact(session, case, LANGUAGE, now)
    await session.execute(
        update(case_file)
        .where(mine)
        .values(
            contact_sealed=None,
            contact_commitment=None,
            contact_given_at=None,
            contact_ref=None,
            contact_approval_id=None,
        )
    )
    for case in await _cases_in_booking(session, mine):
        await withdraw_names(session, case, BOOKING_ITEMS, now=now)
        await session.execute(update_case(case).values(version=case.version + 1, updated_at=now))
    await record_deed(session, identity, "protect", case_id, now=now)


async def lift_protection(
    session: AsyncSession, *, identity: Identity, case_id: UUID, protection_id: UUID, now: datetime
) -> None:
    """The period that was seen ends. What was taken back stays so: the person gives it anew where they want it.

    Raises:
        Refusal: `case_unknown` (404), `not_registrar` (403).
    """
    case = await _find_case(session, identity, case_id)
    lifted = await session.execute(
        update(protection)
        .where(
            protection.c.municipality == case.municipality,
            protection.c.protection_id == protection_id,
            protection.c.subject_ref == case.subject_ref,
            protection.c.lifted_at.is_(None),
        )
        .values(lifted_at=now)
        .returning(protection.c.protection_id)
    )
    if lifted.one_or_none() is not None:
        await record_deed(session, identity, "lift_protection", case_id, now=now)


async def _find_case(session: AsyncSession, identity: Identity, case_id: UUID) -> Row[Any]:
    if not await may_register(session, identity):
        raise Refusal("not_registrar", 403)
    query = select(case_file).where(case_file.c.municipality == identity.municipality, case_file.c.case_id == case_id)
    case = (await session.execute(query)).one_or_none()
    if case is None:
        raise Refusal("case_unknown", 404)
    return case


async def _cases_in_booking(session: AsyncSession, which: ColumnElement[bool]) -> list[Row[Any]]:
    """The cases of which booking has, or may soon have, a name: a pass was made, or there is an appointment."""
    with_pass = exists().where(
        pass_issued.c.municipality == case_file.c.municipality,
        pass_issued.c.case_id == case_file.c.case_id,
        pass_issued.c["items"].overlap(list(BOOKING_ITEMS)),
    )
    with_appointment = exists().where(
        appointment.c.municipality == case_file.c.municipality, appointment.c.case_id == case_file.c.case_id
    )
    rows = await session.execute(
        select(case_file).where(which, or_(with_pass, with_appointment)).order_by(case_file.c.case_id).limit(CASES_MAX)
    )
    return list(rows)
