"""Going on by another channel (やり方を変える): the person, or staff or a helper to whom they said so; or by coming.

Nothing is typed again, and nothing is lost: what was given, the application that was sent, and an appointment stay
until the other way has come to its own end (`docs/decisions/0049-switching.md`).
"""

from datetime import datetime
from typing import Any, get_args
from uuid import UUID, uuid4

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.cases import get_own_case, refuse_channel
from services.routing.commands.looking import counter_offices
from services.routing.commands.moving import move_case
from services.routing.commands.online import procedure_of
from services.routing.commands.progress import refuse_other_office
from services.routing.domain.applications import AT_OFFICE
from services.routing.domain.switching import BY_OTHERS, Consent, Proposed, Said, state_after, why_not
from services.routing.queries.switching import find_last_switch, get_standing, list_booked
from services.routing.tables import application, appointment_step, case_file, outbox
from shared.audit import record_deed
from shared.errors import Refusal
from shared.events.booking import AppointmentBooked, AppointmentProgressed, SwitchWished
from shared.events.routing import CaseChannel, CaseSwitched
from shared.log import get_logger
from shared.tokens import Identity

log = get_logger(__name__)

RECEIVED = ("checked_in", "called", "serving", "done")


async def change_channel(
    session: AsyncSession, *, identity: Identity, case_id: UUID, channel: str, now: datetime
) -> None:
    """Go on by another channel, with everything that was given; the person's own deed, or that of staff who walk their
    pages for them.

    What was sent stays with the office, which is told of the wish and decides by its own time. Back online it waits as
    it was sent; a time that was booked to come is cancelled then.

    Raises:
        Refusal: `case_unknown` (404), `channel_not_ready` (409), `channel_impossible` (409), `case_closed` (409),
            `case_done` (409), `case_at_counter` (409).
    """
    case = await get_own_case(session, identity, case_id, lock=True, now=now)
    if await _switch(session, case, channel, said=case.behalf or "self", office=identity.office, now=now):
        await record_deed(session, identity, "change_channel", case_id, now=now)


async def change_channel_for(
    session: AsyncSession,
    *,
    identity: Identity,
    case_id: UUID,
    channel: str,
    consent: Consent,
    version: int,
    now: datetime,
) -> None:
    """Staff do it for somebody who said so to them. `version` is the case as they saw it: pressed twice, it is once.

    Raises:
        Refusal: as `change_channel`; `other_office` (403), `case_moved` (409).
    """
    case = await lock_case_for_staff(session, identity, case_id)
    if case.channel == channel:
        return
    if case.version != version:
        raise Refusal("case_moved", 409)
    if await _switch(session, case, channel, said=consent, office=identity.office, now=now):
        await record_deed(session, identity, f"change_channel:{channel}:{consent}", case_id, now=now)


async def lock_case_for_staff(session: AsyncSession, identity: Identity, case_id: UUID) -> Row[Any]:
    """A case of the office, or of one of its counters', locked.

    Raises:
        Refusal: `case_unknown` (404), `other_office` (403).
    """
    case = await _lock(session, identity.municipality, case_id)
    if case is None:
        raise Refusal("case_unknown", 404)
    row = await procedure_of(session, case)
    refuse_other_office(identity, row.office, *await counter_offices(session, row))
    return case


async def on_switch_wished(session: AsyncSession, event: SwitchWished, *, now: datetime) -> None:
    """A helper says it for the person beside them. What the person did since then stands."""
    case = await _lock(session, event.municipality, event.case_id)
    if case is None:
        return
    last = await find_last_switch(session, case.municipality, case.case_id)
    if last is not None and last.switched_at >= event.occurred_at:
        return
    try:
        proposed = Proposed(counter=event.counter, starts_at=event.starts_at) if event.starts_at else None
        await _switch(session, case, event.channel, said="helper", proposed=proposed, now=now)
    except Refusal as refusal:
        # The helper cannot know what a procedure allows; the person's page says it.
        log.info("switch_refused", code=refusal.code)


async def go_to_the_counter(session: AsyncSession, *, identity: Identity, case_id: UUID, now: datetime) -> None:
    """The office asked the person to come, or the procedure is done only partly online: the case that was sent goes on
    at the counter, as it stands. The application stays where it is, with its number.

    Raises:
        Refusal: `case_unknown` (404), `visit_not_asked` (409), `channel_not_ready` (409), `channel_impossible` (409).
    """
    case = await get_own_case(session, identity, case_id, lock=True, now=now)
    state = (
        await session.execute(
            select(application.c.state).where(
                application.c.municipality == case.municipality, application.c.case_id == case_id
            )
        )
    ).scalar_one_or_none()
    is_partial = (await procedure_of(session, case)).online == "partial" and state in AT_OFFICE
    if state != "visit_asked" and not is_partial:
        raise Refusal("visit_not_asked", 409)
    if await _switch(session, case, "counter", said="office", now=now):
        await record_deed(session, identity, "change_channel", case_id, now=now)


async def tell_settled(session: AsyncSession, case: Row[Any], *, version: int, now: datetime) -> None:
    """The case was sent, or booked, by its channel: booking cancels what was booked for another one."""
    await _tell(session, case, case.channel, version, is_settled=True, now=now)


async def replace_booked(session: AsyncSession, event: AppointmentBooked, *, now: datetime) -> None:
    """What is booked by the case's channel takes the place of what was booked for another one."""
    if event.case_id is None:
        return
    booked = await list_booked(session, event.municipality, event.case_id, now=now)
    channels = {each.channel for each in booked}
    if not channels:
        return
    case = await _lock(session, event.municipality, event.case_id)
    if case is None or case.together:
        return
    # What was booked in the moment of sending, nobody could cancel yet. What the person asks for later has a channel.
    is_sent = case.channel == "online" and (await get_standing(session, case)).is_sent
    if is_sent or (len(channels) > 1 and case.channel in channels):
        await tell_settled(session, case, version=case.version, now=now)


async def come_to_the_counter(session: AsyncSession, event: AppointmentProgressed, *, now: datetime) -> None:
    """Whoever is received at a counter has chosen it, whatever they had begun meanwhile and not sent.

    Being called, or done, says the same, where it is heard first.
    """
    if event.case_id is None or event.state not in RECEIVED or event.helper != "none":
        return
    if event.state != "checked_in" and await _was_received(session, event):
        return
    case = await _lock(session, event.municipality, event.case_id)
    if case is None or case.channel == "counter":
        return
    last = await find_last_switch(session, case.municipality, case.case_id)
    standing = await get_standing(session, case)
    if standing.application is None and (last is None or last.switched_at < event.occurred_at):
        state = "handed_over" if case.subject_ref is not None else case.state
        await move_case(session, case, channel="counter", state=state, step=standing.step, said="came", now=now)


async def _switch(
    session: AsyncSession,
    case: Row[Any],
    channel: str,
    *,
    said: Said,
    office: str | None = None,
    proposed: Proposed | None = None,
    now: datetime,
) -> bool:
    """Do it, unless it is so already."""
    standing = await get_standing(session, case)
    if case.channel == channel:
        return False
    if (why := why_not(standing, said)) is not None:
        raise Refusal(why, 409)
    is_waiting_again = standing.is_sent and channel == "online"
    if not is_waiting_again:
        await refuse_channel(session, await procedure_of(session, case), channel)
    await move_case(
        session,
        case,
        channel=channel,
        state=state_after(standing, channel),
        step=standing.step,
        said=said,
        office=office,
        proposed=proposed,
        now=now,
    )
    is_settled = is_waiting_again and not case.together
    await _tell(session, case, channel, case.version + 1, is_settled=is_settled, said=said, now=now)
    return True


async def _tell(
    session: AsyncSession,
    case: Row[Any],
    channel: str,
    version: int,
    *,
    is_settled: bool,
    said: Said = "self",
    now: datetime,
) -> None:
    known: CaseChannel = next(each for each in get_args(CaseChannel) if each == channel)
    # Staff who walk the person's pages for them have them on the phone, or before them.
    by_others = said in BY_OTHERS and case.behalf is None
    is_reached = by_others and case.contact_approval_id is not None
    office = (await procedure_of(session, case)).office if is_reached else ""
    await outbox.publish(
        session,
        CaseSwitched(
            event_id=uuid4(),
            municipality=case.municipality,
            aggregate_id=str(case.case_id),
            aggregate_version=version,
            occurred_at=now,
            case_id=case.case_id,
            channel=known,
            is_settled=is_settled,
            by_others=("helper" if said == "helper" else "staff") if by_others else None,
            subject_ref=case.subject_ref if is_reached else None,
            contact_ref=case.contact_ref if is_reached else None,
            procedure=case.procedure if is_reached else "",
            office=office,
        ),
    )


async def _lock(session: AsyncSession, municipality: str, case_id: UUID) -> Row[Any] | None:
    query = select(case_file).where(case_file.c.municipality == municipality, case_file.c.case_id == case_id)
    # What only tells of the case (`consumers.py`) keeps it meanwhile, and may lock it after that: neither waits.
    return (await session.execute(query.with_for_update(key_share=True))).one_or_none()


async def _was_received(session: AsyncSession, event: AppointmentProgressed) -> bool:
    """Whether another state has told already that they are there: what the desk said since then stands."""
    query = select(appointment_step.c.version).where(
        appointment_step.c.municipality == event.municipality,
        appointment_step.c.appointment_id == event.appointment_id,
        appointment_step.c.state.in_(RECEIVED),
        appointment_step.c.version != event.aggregate_version,
    )
    return (await session.execute(query.limit(1))).one_or_none() is not None
