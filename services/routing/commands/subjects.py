"""Whose items they are: a visitor's subject, or a case's own; random, and never matched by name or birth date."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Row, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.tables import case_file, protection, session_table
from shared.errors import Refusal
from shared.tokens import Identity


async def find_subject_of(session: AsyncSession, identity: Identity, case: Row[Any]) -> UUID | None:
    """Whose items a case may offer: its own subject's, or those of the guest who began it."""
    if case.subject_ref is not None or case.guest_ref != identity.ref:
        return case.subject_ref  # type: ignore[no-any-return]  # a row's column
    return await subject_of_guest(session, identity)


async def subject_of_guest(session: AsyncSession, identity: Identity) -> UUID | None:
    """The subject of a guest's session. Staff have none: every person they write for is a subject of their own."""
    if identity.kind != "guest":
        return None
    return (
        await session.execute(
            select(session_table.c.subject_ref).where(
                session_table.c.municipality == identity.municipality,
                session_table.c.session_id == identity.session_id,
            )
        )
    ).scalar_one_or_none()


async def as_givers(session: AsyncSession, case: Row[Any]) -> Row[Any] | None:
    """A case for somebody of the family as one of the visitor who acts: `subject_ref` is theirs. None: it has none."""
    if case.acting_for is None:
        return None
    columns = [column for column in case_file.c if column.name != "subject_ref"]
    query = select(*columns, session_table.c.subject_ref).where(
        case_file.c.municipality == case.municipality,
        case_file.c.case_id == case.case_id,
        session_table.c.municipality == case_file.c.municipality,
        session_table.c.session_id == case_file.c.session_id,
        session_table.c.subject_ref.is_not(None),
    )
    found: Row[Any] | None = (await session.execute(query)).one_or_none()  # type: ignore[assignment]  # a row all the same
    return found


async def subject_of_case(session: AsyncSession, identity: Identity, case: Row[Any], *, now: datetime) -> UUID:
    """Whose a case is from its first datum on: never whoever goes on with another's at a device of theirs.

    Raises:
        Refusal: `case_unknown` (404); as `mint_subject`.
    """
    if case.subject_ref is not None:
        return case.subject_ref  # type: ignore[no-any-return]  # a row's column
    if identity.kind == "guest" and case.guest_ref != identity.ref:
        raise Refusal("case_unknown", 404)
    return await mint_subject(session, identity, now=now)


async def mint_subject(session: AsyncSession, identity: Identity, *, now: datetime) -> UUID:
    """At the first datum a person becomes a subject: random, never matched by name or birth date.

    Raises:
        Refusal: `subject_erased` (410), the guest's session went with an erasure; their token still lives for minutes.
    """
    fresh = uuid4()
    if identity.kind != "guest":
        return fresh
    mine = (
        session_table.c.municipality == identity.municipality,
        session_table.c.session_id == identity.session_id,
    )
    # Two forms of one visitor at once: the row's lock lets the first one decide.
    await session.execute(
        update(session_table).where(*mine, session_table.c.subject_ref.is_(None)).values(subject_ref=fresh)
    )
    minted = await subject_of_guest(session, identity)
    if minted is None:
        raise Refusal("subject_erased", 410)
    if minted == fresh:
        await inherit_protection(session, identity, minted, now=now)
    return minted


async def inherit_protection(session: AsyncSession, identity: Identity, subject_ref: UUID, *, now: datetime) -> None:
    """Whoever of a family comes after somebody who is protected is protected too: they have one home.

    As with the measure itself, in which a person names those who live with them.
    """
    others = select(case_file.c.subject_ref).where(
        case_file.c.municipality == identity.municipality, case_file.c.guest_ref == identity.ref
    )
    found = await session.execute(
        select(protection.c.protection_id)
        .where(
            protection.c.municipality == identity.municipality,
            protection.c.subject_ref.in_(others),
            protection.c.lifted_at.is_(None),
        )
        .limit(1)
    )
    if found.one_or_none() is not None:
        row = {"municipality": identity.municipality, "protection_id": uuid4(), "subject_ref": subject_ref}
        await session.execute(insert(protection).values(row | {"set_at": now}).on_conflict_do_nothing())
