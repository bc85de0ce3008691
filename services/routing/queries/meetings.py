"""Who sits with whom now, as booking told it, and whether the person said yes to it. Codes and times."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Row, Select, and_, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.domain.meetings import AFTER, BEFORE
from services.routing.queries.mine import opened_here
from services.routing.tables import appointment, case_file, meeting
from shared.tokens import Identity

MEETINGS_MAX = 20
OVER = ("cancelled", "no_show")


class Meeting(msgspec.Struct, frozen=True, kw_only=True):
    """An appointment with a helper who has accepted, at its time. `until`: the person's yes counts until then."""

    appointment_id: UUID
    case_id: UUID
    helper_ref: str
    procedure: str
    counter: str
    starts_at: datetime
    ends_at: datetime
    channel: str
    until: datetime | None

    def is_agreed(self, now: datetime) -> bool:
        """Whether the person has said yes, and not ended it."""
        return self.until is not None and now < self.until


async def list_meetings_here(
    session: AsyncSession, municipality: str, identity: Identity | None, opened: Sequence[UUID], *, now: datetime
) -> list[Meeting]:
    """The meetings of now of the cases that are open in a browser: a guest's own, at a device, and by a cookie.

    Staff and helpers have nobody's case open to say yes for.
    """
    if identity is not None and identity.kind != "guest":
        return []
    mine: list[ColumnElement[bool]] = [appointment.c.case_id.in_(opened)]
    if identity is not None:
        mine += [case_file.c.guest_ref == identity.ref, case_file.c.case_id.in_(opened_here(identity, now))]
    return await _list(session, _meetings(municipality, now).where(or_(*mine), case_file.c.subject_ref.is_not(None)))


async def find_meeting_of(session: AsyncSession, helper: Identity, case_id: UUID, *, now: datetime) -> Meeting | None:
    """The meeting of now of a case, if it is this helper's."""
    query = _meetings(helper.municipality, now).where(
        appointment.c.case_id == case_id, appointment.c.helper_ref == helper.ref
    )
    return next(iter(await _list(session, query)), None)


async def is_beside(session: AsyncSession, municipality: str, case_id: UUID, *, now: datetime) -> bool:
    """Whether the person of a case has said yes to a helper who sits beside them now."""
    query = select(meeting.c.appointment_id).where(
        meeting.c.municipality == municipality, meeting.c.case_id == case_id, meeting.c.until > now
    )
    return (await session.execute(query.limit(1))).one_or_none() is not None


def _meetings(municipality: str, now: datetime) -> Select[Any]:
    """Of every appointment at its time, with a helper who has accepted; a yes to another helper is none."""
    return (
        select(appointment, case_file.c.channel, meeting.c.until)
        .join(
            case_file,
            and_(case_file.c.municipality == appointment.c.municipality, case_file.c.case_id == appointment.c.case_id),
        )
        .outerjoin(
            meeting,
            and_(
                meeting.c.municipality == appointment.c.municipality,
                meeting.c.appointment_id == appointment.c.appointment_id,
                meeting.c.helper_ref == appointment.c.helper_ref,
            ),
        )
        .where(
            appointment.c.municipality == municipality,
            appointment.c.helper == "accepted",
            appointment.c.helper_ref.is_not(None),
            appointment.c.state.not_in(OVER),
            appointment.c.starts_at <= now + BEFORE,
            appointment.c.ends_at > now - AFTER,
        )
        .order_by(appointment.c.starts_at, appointment.c.appointment_id)
        .limit(MEETINGS_MAX)
    )


async def _list(session: AsyncSession, query: Select[Any]) -> list[Meeting]:
    return [_meeting(row) for row in await session.execute(query)]


def _meeting(row: Row[Any]) -> Meeting:
    return Meeting(**{name: row._mapping[name] for name in Meeting.__struct_fields__})
