"""Which cases were kept as long as the town keeps what is given for their procedure. No values are in any answer."""

from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.domain.applications import CLOSED

SUBJECTS_MAX = 20
CASES_MAX = 1_000
PROCEDURES_MAX = 1_000

# A case ends when it was last touched: by its owner, by the office that closed its application, or with the last of
# its appointments. What the office has not closed has not ended. 24 hours are a day.
_DUE = """
    WITH ended AS (
        SELECT c.municipality, c.case_id, c.procedure, c.subject_ref, c.contact_ref, c.version,
               greatest(c.updated_at, max(a.changed_at), max(p.ends_at)) AS ended_at
        FROM case_file c
        LEFT JOIN application a ON (a.municipality, a.case_id) = (c.municipality, c.case_id)
        LEFT JOIN appointment p ON (p.municipality, p.case_id) = (c.municipality, c.case_id)
        WHERE c.municipality = :municipality AND c.updated_at <= CAST(:now AS timestamptz)
        GROUP BY c.municipality, c.case_id
        HAVING coalesce(bool_and(a.state = ANY (CAST(:closed AS text[]))), true)),
    due AS (
        SELECT e.*, r.name_ja, r.retention_days FROM ended e
        JOIN procedure r ON (r.municipality, r.code) = (e.municipality, e.procedure)
        WHERE e.ended_at + r.retention_days * interval '24 hours' <= CAST(:now AS timestamptz))
"""
_COUNT = text(f"""{_DUE}
    SELECT due.procedure, due.name_ja, due.retention_days, count(*) AS cases,
           count(DISTINCT due.subject_ref) AS subjects
    FROM due GROUP BY 1, 2, 3 ORDER BY 1 LIMIT {PROCEDURES_MAX}
""")
_SUBJECTS = text(f"""{_DUE}
    SELECT DISTINCT subject_ref FROM due WHERE subject_ref IS NOT NULL ORDER BY 1 LIMIT {SUBJECTS_MAX}
""")
_CASES = text(f"""{_DUE}
    SELECT case_id, procedure, contact_ref, version FROM due
    WHERE subject_ref IS NOT DISTINCT FROM CAST(:subject_ref AS uuid) ORDER BY case_id LIMIT {CASES_MAX}
""")


class DueProcedure(msgspec.Struct, frozen=True, kw_only=True):
    """How many cases of a procedure are due, and of how many people."""

    procedure: str
    name_ja: str
    retention_days: int
    cases: int
    subjects: int


class DueCase(msgspec.Struct, frozen=True, kw_only=True):
    """A case that is due."""

    case_id: UUID
    procedure: str
    contact_ref: UUID | None
    version: int


async def count_due(session: AsyncSession, municipality: str, *, now: datetime) -> list[DueProcedure]:
    """How much would go, by procedure."""
    rows = await session.execute(_COUNT, _values(municipality, now))
    return [DueProcedure(**row._mapping) for row in rows]


async def list_due_subjects(session: AsyncSession, municipality: str, *, now: datetime) -> list[UUID]:
    """Some of those who have a case that is due."""
    return list((await session.execute(_SUBJECTS, _values(municipality, now))).scalars())


async def list_due_cases(
    session: AsyncSession, municipality: str, subject_ref: UUID | None, *, now: datetime
) -> list[DueCase]:
    """A subject's cases that are due; with None, some of those in which nobody has said anything."""
    rows = await session.execute(_CASES, _values(municipality, now) | {"subject_ref": subject_ref})
    return [DueCase(**row._mapping) for row in rows]


def _values(municipality: str, now: datetime) -> dict[str, object]:
    return {"municipality": municipality, "now": now, "closed": sorted(CLOSED)}
