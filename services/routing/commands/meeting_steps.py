"""How far a case has come, for the helper beside its person: names of items, and never a value."""

from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.identity import has_older_proof, needed_provider
from services.routing.commands.online import procedure_of
from services.routing.domain.items import attached_items, typed_items
from services.routing.domain.meetings import Course, Step, current_step, list_steps
from services.routing.domain.town_items import form_of
from services.routing.queries.mine import find_live_appointment
from services.routing.queries.thread import find_case_row


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """The steps of a case."""

    procedure_name: str
    channel: str
    steps: tuple[Step, ...]
    # Which of them the person has open, or comes to next; None: all are done.
    current: int | None


async def read_progress(session: AsyncSession, municipality: str, case_id: UUID, *, now: datetime) -> Progress:
    """The steps of a case that is there. Who may see them, the caller knows."""
    case = await find_case_row(session, municipality, case_id)
    assert case is not None
    row = await procedure_of(session, case)
    form = form_of(row.code)
    booked = await find_live_appointment(session, municipality, case_id, channel=case.channel, now=now)
    course = Course(
        channel=case.channel,
        state=case.state,
        has_reach=case.reach is not None,
        needed=form.in_order(typed_items(row.items)),
        attached=attached_items(row.items, row.attach),
        settled={*(case.items or ()), *case.not_asked},
        needs_proof=bool(await needed_provider(session, case)),
        is_proven=await has_older_proof(session, case),
        is_booked=booked is not None,
        open_page=case.open_page,
    )
    steps = list_steps(course, form)
    current = current_step(steps, case.open_page)
    return Progress(procedure_name=row.name_ja, channel=case.channel, steps=steps, current=current)
