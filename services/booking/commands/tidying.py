"""Once a day, what is no longer needed is removed."""

from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.access import oldest_day
from services.booking.commands.helper_messages import KEPT as HELPER_MESSAGES_KEPT
from services.booking.domain.help_requests import UNMET_KEPT
from services.booking.domain.notes import NOTES_KEPT
from shared.clock import jst_day
from shared.webhooks.tries import MESSAGES_KEPT

KEPT = timedelta(days=2)
BATCH = 5_000

_OLD_KEYS = text(f"""
    DELETE FROM idempotency WHERE (municipality, owner, key) IN (
        SELECT municipality, owner, key FROM idempotency
        WHERE municipality = :municipality AND created_at < :before LIMIT {BATCH})
    RETURNING 1
""")
_OLD_VISITS = text(f"""
    DELETE FROM visit WHERE (municipality, visit_id) IN (
        SELECT municipality, visit_id FROM visit
        WHERE municipality = :municipality AND expires_at < :before LIMIT {BATCH})
    RETURNING 1
""")
_OLD_ACCESS = text(f"""
    DELETE FROM access WHERE (municipality, link_hash) IN (
        SELECT x.municipality, x.link_hash FROM access x
        JOIN appointment a ON (a.municipality, a.appointment_id) = (x.municipality, x.appointment_id)
        WHERE x.municipality = :municipality AND a.day < :oldest LIMIT {BATCH})
    RETURNING 1
""")
# A pass does not live so long.
_OLD_WITHDRAWN = text(f"""
    DELETE FROM name_withdrawn WHERE (municipality, case_id, item) IN (
        SELECT municipality, case_id, item FROM name_withdrawn
        WHERE municipality = :municipality AND withdrawn_at < :before LIMIT {BATCH})
    RETURNING 1
""")
_OLD_SWITCHED = text(f"""
    DELETE FROM case_switched WHERE (municipality, case_id) IN (
        SELECT municipality, case_id FROM case_switched
        WHERE municipality = :municipality AND switched_at < :before LIMIT {BATCH})
    RETURNING 1
""")
# What counters told each other is for that day.
_OLD_TRANSFERS = text(f"""
    DELETE FROM transfer WHERE (municipality, transfer_id) IN (
        SELECT municipality, transfer_id FROM transfer
        WHERE municipality = :municipality AND day < :today LIMIT {BATCH})
    RETURNING 1
""")
_OLD_MESSAGES = text(f"""
    DELETE FROM webhook_delivery WHERE (municipality, delivery_id) IN (
        SELECT municipality, delivery_id FROM webhook_delivery
        WHERE municipality = :municipality AND told_at < :told_before LIMIT {BATCH})
    RETURNING 1
""")
_OLD_HELPER_MESSAGES = text(f"""
    DELETE FROM helper_message WHERE (municipality, message_id) IN (
        SELECT municipality, message_id FROM helper_message
        WHERE municipality = :municipality AND sent_at < :sent_before LIMIT {BATCH})
    RETURNING 1
""")
_OLD_NOTES = text(f"""
    DELETE FROM helper_note WHERE (municipality, assignment_id) IN (
        SELECT municipality, assignment_id FROM helper_note
        WHERE municipality = :municipality AND written_at < :noted_before LIMIT {BATCH})
    RETURNING 1
""")
# Where a helper was on a single day.
_OLD_DAYS = text(f"""
    DELETE FROM helper_shift WHERE (municipality, shift_id) IN (
        SELECT municipality, shift_id FROM helper_shift
        WHERE municipality = :municipality AND only_on < :today LIMIT {BATCH})
    RETURNING 1
""")
# Nobody finds a helper for these any more.
_OLD_REQUESTS = text(f"""
    UPDATE help_request SET draft_sealed = NULL WHERE (municipality, request_id) IN (
        SELECT municipality, request_id FROM help_request
        WHERE municipality = :municipality AND state <> 'open' AND until < :unmet_before AND draft_sealed IS NOT NULL
        LIMIT {BATCH})
    RETURNING 1
""")
# Whose browser held a ticket is nobody's business once the day is over.
_OLD_PHONES = text(f"""
    DELETE FROM phone_ticket WHERE (municipality, appointment_id) IN (
        SELECT municipality, appointment_id FROM phone_ticket
        WHERE municipality = :municipality AND taken_at < :before LIMIT {BATCH})
    RETURNING 1
""")


async def tidy_up(session: AsyncSession, municipality: str, *, now: datetime) -> None:
    """Forget answers nobody will ask for again, visits whose pass has long expired, ways in that open nothing, what
    counters and helpers told each other, old messages to other systems and to helpers, who held which ticket, single
    days of helpers that are past, and what those brought who were not met."""
    asked = {
        "municipality": municipality,
        "before": now - KEPT,
        "oldest": oldest_day(now),
        "today": jst_day(now),
        "told_before": now - MESSAGES_KEPT,
        "sent_before": now - HELPER_MESSAGES_KEPT,
        "noted_before": now - NOTES_KEPT,
        "unmet_before": now - UNMET_KEPT,
    }
    for old in (
        _OLD_KEYS,
        _OLD_VISITS,
        _OLD_ACCESS,
        _OLD_WITHDRAWN,
        _OLD_SWITCHED,
        _OLD_TRANSFERS,
        _OLD_MESSAGES,
        _OLD_HELPER_MESSAGES,
        _OLD_PHONES,
        _OLD_NOTES,
        _OLD_DAYS,
        _OLD_REQUESTS,
    ):
        # Statement by statement, each well within the time limit, until nothing is left: a day may bring any number.
        while len((await session.execute(old, asked)).all()) == BATCH:
            pass
