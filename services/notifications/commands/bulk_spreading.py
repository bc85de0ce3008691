"""Whom a bulk notice goes to: found at once, told in batches, counted, and forgotten. Each step is a due handler.

A due row is taken before the bulk notice is locked: whoever has that locked touches no due row that a step may hold.

A step is one transaction, which its due row goes with: one that dies is done again from the beginning, and one that was
done is not there any more. Whatever a step does twice the database takes once: a person in `told`, a notice of theirs.
"""

from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.commands.by_hand import take_back_bulk
from services.notifications.domain.bulk import KEPT, Written
from services.notifications.domain.notices import CALLED_OFF, KEEPS_QUIET, SEND_BULK
from services.notifications.queries_of_bulk import (
    Bulk,
    audience_sql,
    audience_values,
    count_standings,
    find_bulk,
)
from services.notifications.tables import SERVICE
from shared.db import Prepared
from shared.messaging.due import DueHandler, schedule

DUE_GATHER, DUE_SPREAD, DUE_CALL_OFF = "bulk_gather", "bulk_spread", "bulk_call_off"
DUE_END, DUE_FORGET_BULK = "bulk_end", "bulk_forget"
# So many notices in one transaction: what else is due goes on between two.
SPREAD_BATCH = 1_000
LOOK_AGAIN = timedelta(minutes=1)
# All of a town, in one statement: who comes later is not in it.
GATHER_WITHIN_S = 20

_GATHER = {
    by: Prepared(f"""
        INSERT INTO {SERVICE}.told (municipality, told_id, contact_ref, occurred_at, until, bulk_id, person_hash)
        SELECT :municipality, gen_random_uuid(), p.contact_ref, CAST(:now AS timestamptz),
               CAST(:until AS timestamptz), CAST(:bulk_id AS uuid),
               sha256(convert_to(CAST(:bulk_id AS uuid)::text || '/' || p.subject_ref::text, 'UTF8'))
        FROM ({audience_sql(by)}) AS p
        ON CONFLICT DO NOTHING
    """)
    for by in ("everybody", "appointments", "applications")
}
_GATHERED = Prepared(f"""
    UPDATE {SERVICE}.bulk_notice SET gathered_at = :now WHERE (municipality, bulk_id) = (:municipality, :bulk_id)
""")
# Like `telling.tell`, for many. Their contacts are locked as for a `told` of theirs: nobody is erased meanwhile.
_SPREAD = Prepared(f"""
    WITH batch AS (
        SELECT t.told_id, t.contact_ref, t.person_hash FROM {SERVICE}.told t
        JOIN {SERVICE}.contact_point c ON (c.municipality, c.contact_ref) = (t.municipality, t.contact_ref)
        WHERE (t.municipality, t.bulk_id) = (:municipality, CAST(:bulk_id AS uuid))
          AND t.person_hash > (
            SELECT coalesce(b.spread_to, '') FROM {SERVICE}.bulk_notice b
            WHERE (b.municipality, b.bulk_id) = (:municipality, CAST(:bulk_id AS uuid)))
        ORDER BY t.person_hash LIMIT CAST(:batch AS int) FOR KEY SHARE OF c),
    made AS (
        INSERT INTO {SERVICE}.notice (
            municipality, notice_id, kind, told_id, contact_ref, occasion, sequence, appointment_version, state,
            keeps_quiet, bulk, created_at, useful_until)
        SELECT :municipality, gen_random_uuid(), CAST(:kind AS text), told_id, contact_ref, 'once', 0, 0, 'pending',
               CAST(:keeps_quiet AS boolean), true, CAST(:now AS timestamptz), CAST(:until AS timestamptz)
        FROM batch
        ON CONFLICT DO NOTHING RETURNING notice_id),
    planned AS (
        INSERT INTO {SERVICE}.due (municipality, kind, ref, due_at)
        SELECT :municipality, '{SEND_BULK}', notice_id::text, CAST(:now AS timestamptz) FROM made),
    moved AS (
        UPDATE {SERVICE}.bulk_notice b SET spread_to = last.person_hash
        FROM (SELECT person_hash FROM batch ORDER BY person_hash DESC LIMIT 1) AS last
        WHERE (b.municipality, b.bulk_id) = (:municipality, CAST(:bulk_id AS uuid)))
    SELECT count(*) AS count FROM batch
""")
_SPREAD_ALL = Prepared(f"""
    UPDATE {SERVICE}.bulk_notice SET spread_at = :now WHERE (municipality, bulk_id) = (:municipality, :bulk_id)
""")
# Locked like those who send them lock them, in their order: each is either begun by then, or called off.
_WAITING = Prepared(f"""
    SELECT n.notice_id FROM {SERVICE}.told t
    JOIN {SERVICE}.notice n ON (n.municipality, n.told_id) = (t.municipality, t.told_id)
    WHERE (t.municipality, t.bulk_id) = (:municipality, CAST(:bulk_id AS uuid)) AND n.state = 'pending'
    ORDER BY n.notice_id LIMIT CAST(:batch AS int) FOR UPDATE OF n
""")
_OF_NOTICES = "municipality = :municipality AND notice_id = ANY (CAST(:notices AS uuid[]))"
_CALL_OFF = (
    Prepared(f"""
        UPDATE {SERVICE}.notice SET state = 'superseded', reason = '{CALLED_OFF}', settled_at = :now
        WHERE {_OF_NOTICES}
    """),
    Prepared(f"""
        DELETE FROM {SERVICE}.due WHERE municipality = :municipality AND kind = '{SEND_BULK}'
          AND ref = ANY (CAST(CAST(:notices AS uuid[]) AS text[]))
    """),
)
_COUNTED = Prepared(f"""
    UPDATE {SERVICE}.bulk_notice
    SET counts = CAST(:counts AS jsonb), state = CASE WHEN state = 'sending' THEN 'done' ELSE state END
    WHERE (municipality, bulk_id) = (:municipality, :bulk_id)
""")
# Whoever is still to be called is not forgotten yet, whichever of their notices that is about.
_OLD = Prepared(f"""
    SELECT t.told_id FROM {SERVICE}.told t
    WHERE (t.municipality, t.bulk_id) = (:municipality, CAST(:bulk_id AS uuid)) AND NOT EXISTS (
        SELECT FROM {SERVICE}.notice n JOIN {SERVICE}.staff_task s
            ON (s.municipality, s.notice_id) = (n.municipality, n.notice_id) AND s.done_at IS NULL
        WHERE (n.municipality, n.told_id) = (t.municipality, t.told_id))
    LIMIT CAST(:batch AS int)
""")
_NOTICES_OF = Prepared(f"""
    SELECT notice_id FROM {SERVICE}.notice
    WHERE municipality = :municipality AND told_id = ANY (CAST(:told AS uuid[])) ORDER BY notice_id FOR UPDATE
""")
_FORGET = (
    *(Prepared(f"DELETE FROM {SERVICE}.{table} WHERE {_OF_NOTICES}") for table in ("staff_task", "attempt", "notice")),
    Prepared(f"""
        DELETE FROM {SERVICE}.told WHERE municipality = :municipality AND told_id = ANY (CAST(:told AS uuid[]))
    """),
)


async def gather(session: AsyncSession, municipality: str, ref: str, now: datetime) -> None:
    """Due handler: find everybody whom it goes to, as it is at this moment. Who books later is not among them."""
    bulk = await _sending(session, municipality, ref)
    if bulk is None:
        return
    await session.execute(text(f"SET LOCAL statement_timeout = '{GATHER_WITHIN_S}s'"))
    written = bulk.written
    values = audience_values(municipality, written.kind, written.audience)
    found = {"bulk_id": bulk.bulk_id, "until": written.until, "now": now, "municipality": municipality}
    await _GATHER[written.audience.by].row(session, values | found)
    await _GATHERED.row(session, found)
    await _next(session, municipality, DUE_SPREAD, ref, now)


async def spread(session: AsyncSession, municipality: str, ref: str, now: datetime) -> None:
    """Due handler: make the notices of the next batch of people, beside everything that somebody waits for."""
    bulk = await _sending(session, municipality, ref)
    if bulk is None:
        return
    await make_notices(session, municipality, bulk, now=now)


async def make_notices(session: AsyncSession, municipality: str, bulk: Bulk, *, now: datetime) -> None:
    """One batch of notices after those that were made, and the next one; or the end."""
    written, ref = bulk.written, str(bulk.bulk_id)
    batch = await _SPREAD.row(session, _batch(municipality, ref) | _notice_values(written, now=now))
    if batch.count == SPREAD_BATCH:
        await _next(session, municipality, DUE_SPREAD, ref, now)
        return
    await _SPREAD_ALL.row(session, {"municipality": municipality, "bulk_id": bulk.bulk_id, "now": now})
    await _next(session, municipality, DUE_END, ref, now + LOOK_AGAIN)


async def settle_called_off(session: AsyncSession, municipality: str, bulk_id: UUID, *, now: datetime) -> int:
    """Settle a batch of what was stopped; return how many. No sender begins with any of it meanwhile, and what staff
    have not printed or called yet is taken back."""
    notices = [row.notice_id for row in await _WAITING.rows(session, _batch(municipality, str(bulk_id)))]
    for statement in _CALL_OFF:
        await statement.row(session, {"municipality": municipality, "notices": notices, "now": now})
    if len(notices) == SPREAD_BATCH:
        return SPREAD_BATCH
    # Once, at the end: it is looked for among all that were sent.
    taken_back = await take_back_bulk(session, municipality, bulk_id, batch=SPREAD_BATCH, now=now)
    return max(len(notices), taken_back)


async def call_off(session: AsyncSession, municipality: str, ref: str, now: datetime) -> None:
    """Due handler: settle the next batch of what was stopped."""
    if await settle_called_off(session, municipality, UUID(ref), now=now) == SPREAD_BATCH:
        await _next(session, municipality, DUE_CALL_OFF, ref, now)
    else:
        await _next(session, municipality, DUE_END, ref, now + LOOK_AGAIN)


async def look_at_end(session: AsyncSession, municipality: str, ref: str, now: datetime) -> None:
    """Due handler: write down what became of it, once nothing of it waits; and when it is to be forgotten."""
    bulk = await find_bulk(session, municipality, UUID(ref), lock=True)
    if bulk is None:
        return
    counts = (await count_standings(session, municipality, [bulk.bulk_id]))[bulk.bulk_id]
    if counts["waiting"]:
        await _next(session, municipality, DUE_END, ref, now + LOOK_AGAIN)
        return
    await _write_counts(session, municipality, bulk.bulk_id, counts)
    await _next(session, municipality, DUE_FORGET_BULK, ref, max(now, bulk.written.until or now) + KEPT)


async def forget_bulk(session: AsyncSession, municipality: str, ref: str, now: datetime) -> None:
    """Due handler: forget whom it was told to; how many they were is kept."""
    bulk = await find_bulk(session, municipality, UUID(ref), lock=True)
    if bulk is None:
        return
    counts = (await count_standings(session, municipality, [bulk.bulk_id]))[bulk.bulk_id]
    if sum(counts.values()) == sum((bulk.counts or {}).values()):
        # The receipts that came since.
        await _write_counts(session, municipality, bulk.bulk_id, counts)
    old = await _OLD.rows(session, _batch(municipality, ref))
    gone = {"municipality": municipality, "told": [row.told_id for row in old]}
    notices = [row.notice_id for row in await _NOTICES_OF.rows(session, gone)]
    for statement in _FORGET:
        await statement.row(session, gone | {"notices": notices})
    if len(old) == SPREAD_BATCH:
        await _next(session, municipality, DUE_FORGET_BULK, ref, now)
    elif sum(counts.values()) > len(old):
        await _next(session, municipality, DUE_FORGET_BULK, ref, now + KEPT)


BULK_HANDLERS: dict[str, DueHandler] = {
    DUE_GATHER: gather,
    DUE_SPREAD: spread,
    DUE_CALL_OFF: call_off,
    DUE_END: look_at_end,
    DUE_FORGET_BULK: forget_bulk,
}


async def _sending(session: AsyncSession, municipality: str, ref: str) -> Bulk | None:
    """Locked: whoever stops it waits for this batch, and finds all of it."""
    bulk = await find_bulk(session, municipality, UUID(ref), lock=True)
    return bulk if bulk is not None and bulk.state == "sending" else None


async def _write_counts(session: AsyncSession, municipality: str, bulk_id: UUID, counts: object) -> None:
    told = {"municipality": municipality, "bulk_id": bulk_id, "counts": msgspec.json.encode(counts).decode()}
    await _COUNTED.row(session, told)


async def _next(session: AsyncSession, municipality: str, kind: str, ref: str, at: datetime) -> None:
    await schedule(session, SERVICE, municipality=municipality, kind=kind, ref=ref, due_at=at)


def _batch(municipality: str, ref: str) -> dict[str, object]:
    return {"municipality": municipality, "bulk_id": UUID(ref), "batch": SPREAD_BATCH}


def _notice_values(written: Written, *, now: datetime) -> dict[str, object]:
    """Of every notice of it: what is about safety waits for no morning."""
    keeps_quiet = written.kind in KEEPS_QUIET and written.reason != "safety"
    return {"kind": written.kind, "until": written.until, "now": now, "keeps_quiet": keeps_quiet}
