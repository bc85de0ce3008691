"""A town's reminder rules, from its town pack."""

from datetime import datetime

from sqlalchemy import delete, insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.domain.reminders import ReminderRule, rule_for_before, rule_for_trial
from services.notifications.tables import reminder_rule
from shared.town_pack import TownPack

RULES_MAX = 10


async def load_notice_rules(session: AsyncSession, pack: TownPack, *, now: datetime) -> None:  # noqa: ARG001  as for all packs
    """Replace the town's reminder rules. Reminders that are planned already keep their time."""
    rules = [rule_for_before(minutes) for minutes in dict.fromkeys(pack.notices.reminders_before_min) if minutes > 0]
    if pack.notices.trial_reminder_after_s is not None:
        rules.append(rule_for_trial(pack.notices.trial_reminder_after_s))
    await _replace_rules(session, pack.town.code, rules[:RULES_MAX])


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
