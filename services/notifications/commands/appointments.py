"""Following booking's appointments: the projection, the notices that its newest state asks for, and the reminders."""

from datetime import datetime, timedelta
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.commands.subjects import ACCESS, seal_for_subject
from services.notifications.domain.notices import WAITING, Kind, due_kind, occasion_of, useful_until
from services.notifications.domain.reminders import ReminderRule, remind_again_at, reminder_time
from services.notifications.keys import Keys
from services.notifications.tables import SERVICE, appointment, notice, reminder_rule
from shared.crypto import SealBroken
from shared.errors import Poison
from shared.events.booking import (
    AppointmentBooked,
    AppointmentCancelled,
    AppointmentChanged,
    AppointmentProgressed,
    SealedAccess,
)
from shared.messaging.due import schedule, unschedule
from shared.messaging.outbox import is_bulk

AppointmentEvent = AppointmentBooked | AppointmentChanged | AppointmentCancelled | AppointmentProgressed

ENDED = ("done", "no_show", "cancelled")
# An appointment whose end nobody reported: its link and code are forgotten so long after it.
FORGET_AFTER = timedelta(days=1)
RULES_MAX = 10


async def follow_appointment(session: AsyncSession, keys: Keys, event: AppointmentEvent, *, now: datetime) -> None:
    """Take over the newest state. What an event tells too late changes nothing but the access that it alone carries.

    Raises:
        Poison: the sealed access cannot be opened.
    """
    known = await _find(session, event.municipality, event.appointment_id)
    is_newest = await _project(session, event)
    if event.sealed is not None and event.subject_ref is not None and event.contact_ref is not None:
        await _keep_access(session, keys, event, event.subject_ref, event.sealed, now=now)
    if not is_newest:
        return
    if isinstance(event, AppointmentChanged) and event.contact_ref is not None:
        # Link and code stay what they were, and are needed until after the new time.
        await _plan_forgetting(session, event)
    await _supersede(session, event, now=now)
    kind = _kind_of(event, known)
    if kind is not None:
        await _add_notice(
            session,
            event.municipality,
            event.appointment_id,
            kind=kind,
            occasion=occasion_of(kind, sequence=event.sequence, rule=str(event.aggregate_version)),
            keeps_quiet=False,
            now=now,
        )
    await _plan_reminders(session, event, booked_at=known.booked_at if known else event.occurred_at, now=now)


async def remind(session: AsyncSession, municipality: str, ref: str, now: datetime) -> None:
    """A reminder's time has come: tell it, if the appointment still stands, has not begun, and the rule still holds.

    When a town changes its rules, `commands/rules.py` plans the reminders of what is booked anew.
    """
    appointment_text, _, rule_name = ref.partition(":")
    appointment_id = UUID(appointment_text)
    known = await _find(session, municipality, appointment_id)
    rule = next((rule for rule in await list_rules(session, municipality) if rule.rule == rule_name), None)
    if known is None or rule is None or known.state != "booked" or now >= known.starts_at:
        return
    later = remind_again_at(rule, starts_at=known.starts_at, now=now)
    if later is not None:
        await schedule(session, SERVICE, municipality=municipality, kind="reminder", ref=ref, due_at=later)
        return
    await _add_notice(
        session,
        municipality,
        appointment_id,
        kind="reminder",
        occasion=occasion_of("reminder", sequence=known.sequence, rule=rule.rule),
        keeps_quiet=rule.keeps_quiet,
        now=now,
    )


async def forget_access(session: AsyncSession, municipality: str, ref: str, now: datetime) -> None:
    """Forget the link and the code of an appointment that is long over."""
    await session.execute(
        update(appointment)
        .where(
            appointment.c.municipality == municipality,
            appointment.c.appointment_id == UUID(ref),
            appointment.c.ends_at < now,
        )
        .values(access_sealed=None)
    )


async def list_rules(session: AsyncSession, municipality: str) -> list[ReminderRule]:
    """The town's reminder rules."""
    rows = await session.execute(
        select(reminder_rule.c.rule, reminder_rule.c.before_min, reminder_rule.c.after_booking_s)
        .where(reminder_rule.c.municipality == municipality)
        .limit(RULES_MAX)
    )
    return [ReminderRule(rule=row.rule, before_min=row.before_min, after_booking_s=row.after_booking_s) for row in rows]


class _Known(msgspec.Struct, frozen=True):
    version: int
    sequence: int
    state: str
    helper: str
    booked_at: datetime
    starts_at: datetime


async def _find(session: AsyncSession, municipality: str, appointment_id: UUID) -> _Known | None:
    # Locked, so that two events of one appointment are followed one after the other.
    row = (
        await session.execute(
            select(*(appointment.c[name] for name in _Known.__struct_fields__))
            .where(appointment.c.municipality == municipality, appointment.c.appointment_id == appointment_id)
            .with_for_update()
        )
    ).one_or_none()
    return None if row is None else _Known(*row)


async def _project(session: AsyncSession, event: AppointmentEvent) -> bool:
    """Write the state unless a newer one is there; return whether it was written."""
    values = {
        "version": event.aggregate_version,
        "number": event.number,
        "subject_ref": event.subject_ref,
        "contact_ref": event.contact_ref,
        "case_id": event.case_id,
        "procedure": event.procedure,
        "office": event.office,
        "counter": event.counter,
        "starts_at": event.starts_at,
        "ends_at": event.ends_at,
        "state": event.state,
        "sequence": event.sequence,
        "helper": event.helper,
    }
    statement = insert(appointment).values(
        municipality=event.municipality, appointment_id=event.appointment_id, booked_at=event.occurred_at, **values
    )
    ended = {"access_sealed": None} if event.state in ENDED else {}
    written = await session.execute(
        statement.on_conflict_do_update(
            index_elements=["municipality", "appointment_id"],
            set_=values | ended | {"booked_at": func.least(appointment.c.booked_at, statement.excluded.booked_at)},
            where=appointment.c.version < statement.excluded.version,
        ).returning(appointment.c.version)
    )
    return written.one_or_none() is not None


async def _keep_access(
    session: AsyncSession, keys: Keys, event: AppointmentEvent, subject_ref: UUID, sealed: str, *, now: datetime
) -> None:
    try:
        body = keys.box.open_from("booking", "access", sealed)
        access = msgspec.msgpack.decode(body, type=SealedAccess)
    except (SealBroken, msgspec.DecodeError) as error:
        raise Poison("seal") from error
    kept = await seal_for_subject(
        session,
        keys.vault,
        municipality=event.municipality,
        subject_ref=subject_ref,
        field=f"{ACCESS}/{event.appointment_id}",
        value=msgspec.json.encode(access).decode(),
        now=now,
    )
    await session.execute(
        update(appointment)
        .where(
            appointment.c.municipality == event.municipality,
            appointment.c.appointment_id == event.appointment_id,
            appointment.c.access_version < event.aggregate_version,
            appointment.c.state.not_in(ENDED),
        )
        .values(access_sealed=kept, access_version=event.aggregate_version)
    )
    await _plan_forgetting(session, event)


async def _plan_forgetting(session: AsyncSession, event: AppointmentEvent) -> None:
    await schedule(
        session,
        SERVICE,
        municipality=event.municipality,
        kind="forget",
        ref=str(event.appointment_id),
        due_at=event.ends_at + FORGET_AFTER,
    )


async def _supersede(session: AsyncSession, event: AppointmentEvent, *, now: datetime) -> None:
    overtaken = (
        update(notice)
        .where(
            notice.c.municipality == event.municipality,
            notice.c.appointment_id == event.appointment_id,
            notice.c.kind != "cancellation",
            notice.c.state.in_(WAITING),
        )
        .values(state="superseded", reason="overtaken", settled_at=now)
    )
    if event.state == "booked":
        overtaken = overtaken.where(notice.c.sequence < event.sequence)
    await session.execute(overtaken)


def _kind_of(event: AppointmentEvent, known: _Known | None) -> Kind | None:
    if isinstance(event, AppointmentCancelled):
        return "cancellation"
    if event.state != "booked":
        return None
    if isinstance(event, AppointmentBooked):
        return "confirmation"
    if isinstance(event, AppointmentChanged):
        return "change" if known is None or event.sequence > known.sequence else None
    is_new = known is None or known.helper != "accepted"
    return "helper_found" if event.helper == "accepted" and is_new else None


async def _add_notice(
    session: AsyncSession,
    municipality: str,
    appointment_id: UUID,
    *,
    kind: Kind,
    occasion: str,
    keeps_quiet: bool,
    now: datetime,
) -> None:
    newest = (
        await session.execute(
            select(
                appointment.c.version, appointment.c.sequence, appointment.c.contact_ref, appointment.c.starts_at
            ).where(appointment.c.municipality == municipality, appointment.c.appointment_id == appointment_id)
        )
    ).one()
    # Nobody to tell: what is on the page and the printed slip is all that the person wanted.
    is_slip = newest.contact_ref is None
    bulk = kind == "reminder" or is_bulk(session)
    if is_slip and kind == "reminder":
        return
    added = await session.execute(
        insert(notice)
        .values(
            municipality=municipality,
            notice_id=uuid4(),
            kind=kind,
            appointment_id=appointment_id,
            occasion=occasion,
            sequence=newest.sequence,
            appointment_version=newest.version,
            contact_ref=newest.contact_ref,
            reach="none" if is_slip else None,
            state="printed_slip" if is_slip else "pending",
            keeps_quiet=keeps_quiet,
            bulk=bulk,
            created_at=now,
            useful_until=useful_until(kind, starts_at=newest.starts_at, now=now),
            settled_at=now if is_slip else None,
        )
        .on_conflict_do_nothing()
        .returning(notice.c.notice_id)
    )
    notice_id = added.scalar_one_or_none()
    if notice_id is not None and not is_slip:
        kind_due = due_kind(bulk=bulk)
        await schedule(session, SERVICE, municipality=municipality, kind=kind_due, ref=str(notice_id), due_at=now)


async def _plan_reminders(
    session: AsyncSession, event: AppointmentEvent, *, booked_at: datetime, now: datetime
) -> None:
    for rule in await list_rules(session, event.municipality):
        ref = f"{event.appointment_id}:{rule.rule}"
        due_at = None
        if event.state == "booked" and event.contact_ref is not None:
            due_at = reminder_time(rule, booked_at=booked_at, starts_at=event.starts_at, now=now)
        if due_at is None:
            await unschedule(session, SERVICE, municipality=event.municipality, kind="reminder", ref=ref)
        else:
            await schedule(session, SERVICE, municipality=event.municipality, kind="reminder", ref=ref, due_at=due_at)
