"""Which case somebody means by a number that they hold: of the case, its application, or its appointment."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.tables import application, appointment, case_file
from shared.reference_number import APPLICATION_LENGTH, APPOINTMENT_LENGTH, CASE_LENGTH, read_number

# The kinds differ in length: what was typed is at most one of them.
_KINDS = ((case_file, CASE_LENGTH), (application, APPLICATION_LENGTH), (appointment, APPOINTMENT_LENGTH))


async def find_case(session: AsyncSession, *, municipality: str, typed: str) -> UUID | None:
    """The case behind a number as it was typed or scanned; None when there is none.

    It opens nothing: who may see the case is asked there.
    """
    for table, length in _KINDS:
        number = read_number(typed, length=length)
        if number is not None:
            query = select(table.c.case_id).where(table.c.municipality == municipality, table.c.number == number)
            case_id: UUID | None = (await session.execute(query.limit(1))).scalar_one_or_none()
            return case_id
    return None


async def find_application_of(session: AsyncSession, municipality: str, case_id: UUID) -> UUID | None:
    """The application that came out of a case, if one was sent."""
    query = select(application.c.application_id).where(
        application.c.municipality == municipality, application.c.case_id == case_id
    )
    application_id: UUID | None = (await session.execute(query)).scalar_one_or_none()
    return application_id


async def find_case_number(session: AsyncSession, municipality: str, case_id: UUID) -> str:
    """The number of a case that is there."""
    query = select(case_file.c.number).where(case_file.c.municipality == municipality, case_file.c.case_id == case_id)
    return str((await session.execute(query)).scalar_one())
