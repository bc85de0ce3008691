"""Once a day, what is no longer needed is removed: a bounded part of it, and the rest the sooner."""

from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.quality import plan_adding_up
from services.routing.domain.situation import SITUATION_LIFETIME
from services.routing.tables import SERVICE
from shared.messaging.due import schedule

DUE_TIDYING = "tidy_up"
EVERY = timedelta(days=1)
AGAIN_SOON = timedelta(minutes=1)
# Beyond their own end: as long as somebody may ask what happened.
SESSIONS_KEPT = timedelta(days=30)
PASSES_KEPT = timedelta(days=30)
OFFERS_KEPT = timedelta(days=30)
# It says only whether today's was written.
REFUSALS_KEPT = timedelta(days=2)
# As long as a guest's session: nobody else can open them.
PLANS_KEPT = timedelta(days=30)
# Whoever comes back so late is told that the time is over, as long as they may wonder.
ATTEMPTS_KEPT = timedelta(days=1)
# Beside their own short time: as long as it counts how many were sent (domain/sign_in.py).
ASKINGS_KEPT = timedelta(days=1)
BATCH = 5_000

# What nobody answered is declined first. The ledger has both answers for good.
_STATEMENTS = (
    (
        SESSIONS_KEPT,
        f"""DELETE FROM {SERVICE}.session WHERE (municipality, session_id) IN (
            SELECT municipality, session_id FROM {SERVICE}.session
            WHERE municipality = :municipality AND expires_at < :before LIMIT {BATCH})""",
    ),
    (
        # Nobody can come back to them; what is kept of a person goes by itself.
        SESSIONS_KEPT,
        f"""DELETE FROM {SERVICE}.session_person WHERE (municipality, session_id, position) IN (
            SELECT p.municipality, p.session_id, p.position FROM {SERVICE}.session_person p
            WHERE p.municipality = :municipality AND NOT EXISTS (
                SELECT 1 FROM {SERVICE}.session s
                WHERE (s.municipality, s.session_id) = (p.municipality, p.session_id)) LIMIT {BATCH})""",
    ),
    (
        SITUATION_LIFETIME,
        f"""DELETE FROM {SERVICE}.situation WHERE (municipality, session_id) IN (
            SELECT municipality, session_id FROM {SERVICE}.situation
            WHERE municipality = :municipality AND told_at <= :before LIMIT {BATCH})""",
    ),
    (
        REFUSALS_KEPT,
        f"""DELETE FROM {SERVICE}.refused_look WHERE (municipality, case_id, item, reader, step, day) IN (
            SELECT municipality, case_id, item, reader, step, day FROM {SERVICE}.refused_look
            WHERE municipality = :municipality AND day < CAST(CAST(:before AS timestamptz) AS date) LIMIT {BATCH})""",
    ),
    (
        PASSES_KEPT,
        f"""DELETE FROM {SERVICE}.pass_issued WHERE (municipality, pass_id) IN (
            SELECT municipality, pass_id FROM {SERVICE}.pass_issued
            WHERE municipality = :municipality AND expires_at < :before LIMIT {BATCH})""",
    ),
    (
        OFFERS_KEPT,
        f"""DELETE FROM {SERVICE}.offer WHERE (municipality, offer_id) IN (
            SELECT municipality, offer_id FROM {SERVICE}.offer
            WHERE municipality = :municipality AND expires_at < :before AND state IN ('approved', 'declined')
            LIMIT {BATCH})""",
    ),
    (
        PLANS_KEPT,
        f"""DELETE FROM {SERVICE}.plan WHERE (municipality, plan_id) IN (
            SELECT municipality, plan_id FROM {SERVICE}.plan
            WHERE municipality = :municipality AND created_at < :before LIMIT {BATCH})""",
    ),
    (
        ATTEMPTS_KEPT,
        f"""DELETE FROM {SERVICE}.identity_attempt WHERE (municipality, attempt_id) IN (
            SELECT municipality, attempt_id FROM {SERVICE}.identity_attempt
            WHERE municipality = :municipality AND expires_at < :before LIMIT {BATCH})""",
    ),
    (
        ASKINGS_KEPT,
        f"""DELETE FROM {SERVICE}.sign_in_asking WHERE (municipality, asking_id) IN (
            SELECT municipality, asking_id FROM {SERVICE}.sign_in_asking
            WHERE municipality = :municipality AND expires_at < :before LIMIT {BATCH})""",
    ),
    (
        timedelta(0),
        f"""DELETE FROM {SERVICE}.passkey_challenge WHERE (municipality, challenge_id) IN (
            SELECT municipality, challenge_id FROM {SERVICE}.passkey_challenge
            WHERE municipality = :municipality AND expires_at < :before LIMIT {BATCH})""",
    ),
)


async def plan_tidying(session: AsyncSession, municipality: str, *, now: datetime) -> None:
    """Ask for the next round; an earlier one that was asked for stays."""
    await schedule(
        session, SERVICE, municipality=municipality, kind=DUE_TIDYING, ref=municipality, due_at=now + EVERY, keep=True
    )


async def tidy_up(session: AsyncSession, municipality: str, ref: str, now: datetime) -> None:
    """Due handler: remove one batch of each kind, and plan the next round."""
    is_full = False
    # Towns of before have nothing planned yet.
    await plan_adding_up(session, municipality, now=now)
    for kept, statement in _STATEMENTS:
        values = {"municipality": municipality, "before": now - kept}
        removed = await session.execute(text(statement + " RETURNING municipality"), values)
        is_full = len(removed.all()) == BATCH or is_full
    due_at = now + (AGAIN_SOON if is_full else EVERY)
    await schedule(session, SERVICE, municipality=municipality, kind=DUE_TIDYING, ref=ref, due_at=due_at)
