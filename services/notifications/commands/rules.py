"""A town's reminder rules, from its town pack."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import and_, delete, insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.commands.appointments import RULES_MAX, list_rules
from services.notifications.domain.quiet_hours import Quiet, quiet_of
from services.notifications.domain.reminders import ReminderRule, reminder_time, rule_for_before, rule_for_trial
from services.notifications.tables import SERVICE, appointment, contact_point, reminder_rule
from shared.audit import Operator, record_deed
from shared.messaging.due import Due, schedule, schedule_all
from shared.town_pack import TownPack

REPLAN_BATCH = 500
BEFORE_ALL = UUID(int=0)

_PLANNED = text(f"""
    SELECT ref, due_at FROM {SERVICE}.due
    WHERE municipality = :municipality AND kind = 'reminder' AND split_part(ref, ':', 1) = ANY (:appointments)
""")
_UNPLAN = text(f"""
    DELETE FROM {SERVICE}.due WHERE municipality = :municipality AND kind = 'reminder' AND ref = ANY (:refs)
""")
# A reminder that is planned already stays as it is: it may be due, or wait for the end of the night.
_PLAN = text(f"""
    INSERT INTO {SERVICE}.due (municipality, kind, ref, due_at)
    SELECT :municipality, 'reminder', told.ref, told.due_at
    FROM unnest(CAST(:refs AS text[]), CAST(:times AS timestamptz[])) AS told(ref, due_at)
    ON CONFLICT (municipality, kind, ref) DO NOTHING
""")


async def load_notice_rules(session: AsyncSession, pack: TownPack, *, now: datetime) -> None:
    """Replace the town's reminder rules. The worker then plans the reminders of what is booked by the new ones."""
    rules = [rule_for_before(minutes) for minutes in dict.fromkeys(pack.notices.reminders_before_min) if minutes > 0]
    if pack.notices.trial_reminder_after_s is not None:
        rules.append(rule_for_trial(pack.notices.trial_reminder_after_s))
    await _replace_rules(session, pack.town.code, rules[:RULES_MAX])
    await schedule(session, SERVICE, municipality=pack.town.code, kind="replan", ref=str(BEFORE_ALL), due_at=now)
    await record_deed(session, Operator(pack.town.code), "load_notice_rules", pack.town.code, now=now)


async def replan_reminders(session: AsyncSession, municipality: str, ref: str, now: datetime) -> None:
    """Plan the reminders of the next batch of booked appointments (those after `ref`) by the town's rules of today.

    Reminders of rules that are gone are forgotten. Who would be left without any, because the times of all new rules
    have passed, is reminded when it was planned before.
    """
    booked = (
        await session.execute(
            select(
                appointment.c.appointment_id,
                appointment.c.booked_at,
                appointment.c.starts_at,
                contact_point.c.quiet_from,
                contact_point.c.quiet_to,
            )
            .outerjoin(
                contact_point,
                and_(
                    contact_point.c.municipality == appointment.c.municipality,
                    contact_point.c.contact_ref == appointment.c.contact_ref,
                ),
            )
            .where(
                appointment.c.municipality == municipality,
                appointment.c.appointment_id > UUID(ref),
                appointment.c.state == "booked",
                appointment.c.contact_ref.is_not(None),
                appointment.c.starts_at > now,
            )
            .order_by(appointment.c.appointment_id)
            .limit(REPLAN_BATCH)
            .with_for_update(of=appointment)
        )
    ).all()
    if not booked:
        return
    rules = await list_rules(session, municipality)
    planned: dict[str, dict[str, datetime]] = {str(row.appointment_id): {} for row in booked}
    for row in await session.execute(_PLANNED, {"municipality": municipality, "appointments": list(planned)}):
        appointment_id, _, rule = row.ref.partition(":")
        planned[appointment_id][rule] = row.due_at

    gone: list[str] = []
    wanted: dict[str, datetime] = {}
    for row in booked:
        key = str(row.appointment_id)
        before = planned[key]
        overtaken = before.keys() - {rule.rule for rule in rules}
        gone += [f"{key}:{rule}" for rule in overtaken]
        quiet = quiet_of(row.quiet_from, row.quiet_to)
        times = {
            rule.rule: reminder_time(rule, booked_at=row.booked_at, starts_at=row.starts_at, quiet=quiet, now=now)
            for rule in rules
        }
        wanted |= {f"{key}:{rule}": at for rule, at in times.items() if at is not None}
        is_left_without = not any(times.values()) and overtaken == before.keys()
        if rules and before and is_left_without:
            # By a rule that keeps the quiet hours, if there is one.
            heir = min(rules, key=lambda rule: (not rule.keeps_quiet, rule.before_min or 0))
            wanted[f"{key}:{heir.rule}"] = min(before.values())
    if gone:
        await session.execute(_UNPLAN, {"municipality": municipality, "refs": gone})
    if wanted:
        plan = {"municipality": municipality, "refs": list(wanted), "times": list(wanted.values())}
        await session.execute(_PLAN, plan)
    if len(booked) == REPLAN_BATCH:
        last = str(booked[-1].appointment_id)
        await schedule(session, SERVICE, municipality=municipality, kind="replan", ref=last, due_at=now)


async def replan_contact(
    session: AsyncSession, municipality: str, contact_ref: UUID, quiet: Quiet, *, now: datetime
) -> None:
    """Plan the reminders of what somebody has booked by the quiet hours that they have now.

    Those whose time would be over stay as they were planned: when it comes, it is decided once more.
    """
    booked = await session.execute(
        select(appointment.c.appointment_id, appointment.c.booked_at, appointment.c.starts_at)
        .where(
            appointment.c.municipality == municipality,
            appointment.c.contact_ref == contact_ref,
            appointment.c.state == "booked",
            appointment.c.closure == "none",
            appointment.c.starts_at > now,
        )
        .order_by(appointment.c.appointment_id)
        .limit(REPLAN_BATCH)
    )
    rules = await list_rules(session, municipality)
    plans = [
        Due("reminder", f"{row.appointment_id}:{rule.rule}", at)
        for row in booked
        for rule in rules
        if (at := reminder_time(rule, booked_at=row.booked_at, starts_at=row.starts_at, quiet=quiet, now=now))
    ]
    await schedule_all(session, SERVICE, municipality, plans)


async def _replace_rules(session: AsyncSession, municipality: str, rules: list[ReminderRule]) -> None:
    await session.execute(delete(reminder_rule).where(reminder_rule.c.municipality == municipality))
    if rules:
        await session.execute(
            insert(reminder_rule),
            [
                {
                    "municipality": municipality,
                    "rule": rule.rule,
                    "before_min": rule.before_min,
                    "after_booking_s": rule.after_booking_s,
                }
                for rule in rules
            ],
        )
