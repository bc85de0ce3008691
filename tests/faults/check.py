"""What must hold once the product has come to rest, whatever befell it: effects are what was committed, each once."""

import asyncio
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

import asyncpg
import msgspec

from shared.db import Database
from shared.events.subscriptions import SERVICES
from shared.ledger.verify import verify
from tests.faults.flow import Appointment

TOWN = "143421"

# Nothing of this is left when all that was begun has come to its end.
UNFINISHED = {
    **{
        f"{service} deliveries": f"SELECT count(*) FROM {service}.delivery WHERE acked_at IS NULL"
        for service in SERVICES
    },
    **{
        f"{service} entries unchained": f"""
            SELECT count(*) FROM {service}.ledger_entry e LEFT JOIN {service}.ledger_chain c
                USING (municipality, entry_id) WHERE c.seq IS NULL"""
        for service in SERVICES
    },
    "notices on their way": """
        SELECT count(*) FROM notifications.notice WHERE state IN ('pending', 'sending', 'unknown')""",
    # The sample town reminds of a new appointment after seconds, and of each a day before it.
    "reminders of today": "SELECT count(*) FROM notifications.due WHERE kind = 'reminder' AND ref LIKE '%:trial%'",
    "changed availability": "SELECT count(*) FROM booking.due WHERE kind = 'availability'",
}
_APPOINTMENTS = """
    SELECT own.number, own.appointment_id, own.state, own.version, own.sequence, own.starts_at,
           (routing.version, routing.state, routing.starts_at) = (own.version, own.state, own.starts_at) AS is_routings,
           (told.version, told.state, told.starts_at) = (own.version, own.state, own.starts_at) AS is_notifications,
           (SELECT count(*) FROM booking.place p WHERE p.appointment_id = own.appointment_id) AS places
    FROM booking.appointment own
    LEFT JOIN routing.appointment routing USING (municipality, appointment_id)
    LEFT JOIN notifications.appointment told USING (municipality, appointment_id)
"""
_OVERSOLD = """
    SELECT slot_id FROM booking.appointment a JOIN booking.slot s USING (municipality, slot_id)
    WHERE a.state <> 'cancelled' GROUP BY slot_id, capacity HAVING count(*) > capacity
    UNION ALL SELECT visit_id FROM booking.appointment GROUP BY visit_id HAVING count(*) > 1
"""
_EVENTS = """
    SELECT aggregate_id, split_part(type, '.', 2) AS type, aggregate_version FROM booking.outbox
    WHERE type LIKE 'booking.appointment%'
"""
_NOTICES = """
    SELECT n.notice_id, n.appointment_id, n.kind, n.occasion, n.sequence, n.appointment_version, n.state, n.reason,
           count(a.attempt_no) FILTER (WHERE a.outcome = 'unknown') AS unknown,
           count(a.attempt_no) FILTER (WHERE a.outcome IS NULL) AS unended
    FROM notifications.notice n LEFT JOIN notifications.attempt a USING (municipality, notice_id)
    GROUP BY n.municipality, n.notice_id
"""
_NOTICE_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")
KINDS = {
    "appointment_booked": "confirmation",
    "appointment_changed": "change",
    "appointment_cancelled": "cancellation",
}


class Facts(msgspec.Struct, frozen=True):
    """All that is looked at."""

    appointments: list[Any]
    events: list[Any]
    notices: list[Any]
    oversold: list[Any]
    refused: dict[str, int]
    ledgers: dict[str, str]


async def unfinished(url: str) -> dict[str, int]:
    """What is still under way, by name."""
    # One statement, one look: what goes from one to the next is seen in one of them.
    look = " UNION ALL ".join(f"SELECT '{name}' AS name, ({query}) AS n" for name, query in UNFINISHED.items())
    connection = await asyncpg.connect(url)
    try:
        return {row["name"]: row["n"] for row in await connection.fetch(look) if row["n"]}
    finally:
        await connection.close()


async def read_facts(environ: Mapping[str, str]) -> Facts:
    """Look at everything, at rest."""
    connection = await asyncpg.connect(environ["DATABASE_URL"])
    try:
        refused = {}
        for service in SERVICES:
            for name, query in (
                ("dead letters", f"SELECT count(*) FROM {service}.dead_letter"),
                ("deliveries not applied", f"SELECT count(*) FROM {service}.delivery WHERE outcome <> 'applied'"),
            ):
                refused[f"{service}: {name}"] = await connection.fetchval(query)
        return Facts(
            appointments=await connection.fetch(_APPOINTMENTS),
            events=await connection.fetch(_EVENTS),
            notices=await connection.fetch(_NOTICES),
            oversold=await connection.fetch(_OVERSOLD),
            refused={name: count for name, count in refused.items() if count},
            ledgers={service: await _verdict(environ, service) for service in SERVICES},
        )
    finally:
        await connection.close()


async def _verdict(environ: Mapping[str, str], service: str) -> str:
    db = Database(environ[f"CHOUDO_{service.upper()}_DATABASE_URL"], service=service)
    try:
        verdict = await verify(db, TOWN)
    finally:
        await db.dispose()
    return "intact" if verdict.intact and verdict.unchained == 0 else repr(verdict)


def check_all(
    environ: Mapping[str, str],
    told: Mapping[str, Appointment],
    in_doubt: int,
    accepted: Mapping[str, int],
    *,
    may_be_too_late: bool = False,
) -> None:
    """Effects are what was committed: nothing lost, nothing twice. Raises AssertionError.

    `told` is everything that residents were ever told, `in_doubt` how many never heard what became of their booking,
    `accepted` how often the providers accepted each id. `may_be_too_late`: hours passed in a moment, and somebody's
    appointment with them, before they were told.
    """
    facts = asyncio.run(read_facts(environ))
    assert facts.refused == {}
    assert set(facts.ledgers.values()) == {"intact"}, facts.ledgers
    assert facts.oversold == [], "places sold twice, or two appointments of one visit"
    _check_appointments(facts, told, in_doubt)
    _check_notices(facts, may_be_too_late=may_be_too_late)
    _check_messages(facts, accepted)


def _check_appointments(facts: Facts, told: Mapping[str, Appointment], in_doubt: int) -> None:
    """What residents were told is there, and in every service; and nothing that nobody asked for."""
    own = {row["number"]: row for row in facts.appointments}
    assert set(told) <= set(own), "an appointment is lost"
    assert len(own) <= len(told) + in_doubt, "an appointment that nobody asked for"
    for number, row in own.items():
        assert row["is_routings"], f"routing does not have {number} as it is"
        assert row["is_notifications"], f"notifications does not have {number} as it is"
        assert row["places"] == (row["state"] != "cancelled"), f"{number} and its place"
    for number, known in told.items():
        row = own[number]
        assert known.version <= row["version"] <= known.asked, f"{number} is at {row['version']}, not {known}"
        if known.version == known.asked:
            assert row["state"] == known.state, number
    events = Counter(row["aggregate_id"] for row in facts.events)
    for row in facts.appointments:
        assert events[str(row["appointment_id"])] == row["version"], f"{row['number']}: an event for each version"


def _check_notices(facts: Facts, *, may_be_too_late: bool) -> None:
    """Each version is told once at most, the newest certainly; what was overtaken may be left out."""
    newest = {row["appointment_id"]: row for row in facts.appointments}
    events = {(row["aggregate_id"], row["aggregate_version"]): KINDS[row["type"]] for row in facts.events}
    seen = Counter((row["appointment_id"], row["kind"], row["occasion"]) for row in facts.notices)
    assert not [notice for notice, times in seen.items() if times > 1], "a notice twice"
    made = {(str(row["appointment_id"]), row["appointment_version"]): row for row in facts.notices
            if row["kind"] != "reminder"}  # fmt: skip
    for (appointment_id, version), row in made.items():
        assert events[appointment_id, version] == row["kind"], row
    for appointment_id, appointment in newest.items():
        row = made[str(appointment_id), appointment["version"]]
        assert row["state"] == "sent" or (may_be_too_late and row["reason"] == "too_late"), appointment
    for row in facts.notices:
        appointment = newest[row["appointment_id"]]
        overtaken = appointment["sequence"] > row["sequence"]
        # A reminder of what had begun by the time that it is again is left out without being told so.
        is_late = may_be_too_late and row["reason"] in ("too_late", "begun")
        assert row["state"] == "sent" or (row["state"] == "superseded" and overtaken) or is_late, row
        assert row["unended"] == 0, row


def _check_messages(facts: Facts, accepted: Mapping[str, int]) -> None:
    """Every notice that is sent was accepted by its provider, once.

    Again, it may have been accepted for each attempt whose outcome stayed unknown (the provider's answer was lost, or
    the worker died before it wrote it down): always under the same Message-ID or the same id of an SMS, which mailbox
    and gateway know as the same message. That is the policy: rather the same one twice than never.
    """
    notices = {str(row["notice_id"]): row for row in facts.notices}
    times_of: Counter[str] = Counter()
    for key, times in accepted.items():
        known = _NOTICE_ID.search(key)
        assert known, f"a message of nobody's: {key}"
        assert known[0] in notices, f"a message that nobody ordered: {key}"
        assert known[0] not in times_of, f"a message under two ids: {key}"
        times_of[known[0]] = times
    for notice_id, row in notices.items():
        times, certain = times_of[notice_id], row["state"] == "sent"
        assert certain <= times <= certain + row["unknown"], f"accepted {times} times: {row}"
