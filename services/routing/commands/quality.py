"""What is counted of cases, each once and without saying whose it was; added up once a day."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import delete, insert, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.domain.quality import BOUNDS_MIN, CHANGEABLE_FOR, GIVEN_UP_AFTER
from services.routing.tables import SERVICE, feedback, improvement, voice
from shared.audit import record_deed
from shared.clock import jst_day
from shared.db import Prepared
from shared.errors import Refusal
from shared.messaging.due import schedule
from shared.tokens import Identity

DUE_ADDING_UP = "add_up"
EVERY = timedelta(days=1)
AGAIN_SOON = timedelta(minutes=1)
BATCH = 5_000
FACTS_MAX = 50_000

# A case that is marked is kept meanwhile (`FOR KEY SHARE`): its mark goes with it when it is erased.
_BOUNDS = ", ".join(str(bound) for bound in BOUNDS_MIN)
# Time since the case was begun, as one of the bounds.
_TOOK = f"""coalesce((SELECT min(b) FROM unnest(ARRAY[{_BOUNDS}]) b
        WHERE b >= extract(epoch FROM CAST(:at AS timestamptz) - c.created_at) / 60), {BOUNDS_MIN[-1]})"""
_SENT = Prepared(f"""
    WITH marked AS (
        INSERT INTO routing.case_course AS known (municipality, case_id, sent_at)
        SELECT municipality, case_id, CAST(:at AS timestamptz) FROM routing.case_file
        WHERE municipality = :municipality AND case_id = :case_id AND (channel <> 'online' OR :by_application)
        FOR KEY SHARE
        ON CONFLICT (municipality, case_id) DO UPDATE SET sent_at = excluded.sent_at WHERE known.sent_at IS NULL
        RETURNING municipality, case_id)
    INSERT INTO routing.quality_fact (municipality, month, procedure, channel, kind, took_min)
    SELECT c.municipality, :month, c.procedure, c.channel, 'sent', {_TOOK}
    FROM routing.case_file c JOIN marked USING (municipality, case_id)
""")
# A visit ends a case that goes on by no other channel, in no application and with no other visit: a helper may be met
# first, and the counter is still to come.
_VISITED = """(c.channel <> 'online'
            AND NOT EXISTS (SELECT FROM routing.application a WHERE (a.municipality, a.case_id)
                = (c.municipality, c.case_id) AND a.state <> 'withdrawn')
            AND NOT EXISTS (SELECT FROM routing.appointment a WHERE (a.municipality, a.case_id)
                = (c.municipality, c.case_id) AND a.state NOT IN ('done', 'no_show', 'cancelled'))
            AND EXISTS (SELECT FROM routing.appointment a WHERE (a.municipality, a.case_id)
                = (c.municipality, c.case_id) AND a.state = 'done'
                AND (a.helper = 'none') = (c.channel = 'counter')))"""
# Of two visits that are over at once, each would see the other as open.
_ALONE = Prepared("""
    SELECT FROM routing.case_file WHERE municipality = :municipality AND case_id = :case_id FOR NO KEY UPDATE
""")
_ENDED = Prepared(f"""
    WITH marked AS (
        INSERT INTO routing.case_course AS known (municipality, case_id, ended_at, ended_how)
        SELECT c.municipality, c.case_id, CAST(:at AS timestamptz), 'finished' FROM routing.case_file c
        WHERE c.municipality = :municipality AND c.case_id = :case_id AND (:by_application OR {_VISITED})
        FOR KEY SHARE OF c
        ON CONFLICT (municipality, case_id) DO UPDATE
        SET (ended_at, ended_how) = (excluded.ended_at, excluded.ended_how) WHERE known.ended_at IS NULL
        RETURNING municipality, case_id)
    INSERT INTO routing.quality_fact (municipality, month, procedure, channel, kind, took_min)
    SELECT c.municipality, :month, c.procedure, c.channel, 'finished', {_TOOK}
    FROM routing.case_file c JOIN marked USING (municipality, case_id)
""")
# Given up, and done all the same: what was counted stays counted, and its person may say how it went.
_DONE_AFTER_ALL = Prepared(f"""
    UPDATE routing.case_course k SET ended_at = CAST(:at AS timestamptz), ended_how = 'finished'
    FROM routing.case_file c
    WHERE k.municipality = :municipality AND k.case_id = :case_id AND k.ended_how = 'given_up'
      AND (c.municipality, c.case_id) = (k.municipality, k.case_id)
      AND (:by_application OR {_VISITED})
""")
# Cases and items are counted apart: five items of one person are one person's.
_SPARED = Prepared("""
    WITH marked AS (
        INSERT INTO routing.case_course AS known (municipality, case_id, spared_at)
        SELECT municipality, case_id, CAST(:at AS timestamptz) FROM routing.case_file
        WHERE municipality = :municipality AND case_id = :case_id
        FOR KEY SHARE
        ON CONFLICT (municipality, case_id) DO UPDATE SET spared_at = excluded.spared_at WHERE known.spared_at IS NULL
        RETURNING case_id)
    INSERT INTO routing.quality_fact (municipality, month, procedure, channel, kind, people, amount)
    SELECT c.municipality, :month, c.procedure, c.channel, 'spared', (SELECT count(*) FROM marked), :items
    FROM routing.case_file c WHERE c.municipality = :municipality AND c.case_id = :case_id
""")
# Locked in one order: of two at once, the second waits.
_GIVEN_UP = """
    kept AS (
        SELECT c.municipality, c.case_id FROM routing.case_file c JOIN over USING (municipality, case_id)
        ORDER BY c.case_id FOR KEY SHARE OF c),
    marked AS (
        INSERT INTO routing.case_course AS known (municipality, case_id, ended_at, ended_how)
        SELECT municipality, case_id, CAST(:now AS timestamptz), 'given_up' FROM kept
        ON CONFLICT (municipality, case_id) DO UPDATE
        SET (ended_at, ended_how) = (excluded.ended_at, excluded.ended_how) WHERE known.ended_at IS NULL
        RETURNING municipality, case_id),
    counted AS (
        INSERT INTO routing.quality_fact (municipality, month, procedure, channel, kind, step)
        SELECT c.municipality, :month, c.procedure, c.channel, 'given_up', c.state
        FROM routing.case_file c JOIN marked USING (municipality, case_id) RETURNING 1)
    SELECT count(*) FROM counted
"""
_LEFT_LYING = text(f"""
    WITH over AS (
        SELECT c.municipality, c.case_id FROM routing.case_file c
        WHERE c.municipality = :municipality AND c.updated_at < :before
          AND NOT EXISTS (SELECT FROM routing.case_course k WHERE (k.municipality, k.case_id)
              = (c.municipality, c.case_id) AND k.ended_at IS NOT NULL)
          AND NOT EXISTS (SELECT FROM routing.application a WHERE (a.municipality, a.case_id)
              = (c.municipality, c.case_id) AND a.state <> 'withdrawn')
          AND NOT EXISTS (SELECT FROM routing.appointment a WHERE (a.municipality, a.case_id)
              = (c.municipality, c.case_id) AND a.state NOT IN ('no_show', 'cancelled') AND a.ends_at > :before)
        LIMIT {BATCH}), {_GIVEN_UP}""")
_TAKEN_AWAY = text(f"""
    WITH over AS (
        SELECT municipality, case_id FROM routing.case_file
        WHERE municipality = :municipality AND case_id = ANY (CAST(:cases AS uuid[]))
        ORDER BY case_id FOR UPDATE), {_GIVEN_UP}""")
_FEEDBACK = text(f"""
    WITH final AS (
        UPDATE routing.feedback SET counted_at = :now
        WHERE (municipality, case_id) IN (
            SELECT municipality, case_id FROM routing.feedback
            WHERE municipality = :municipality AND counted_at IS NULL AND given_at < :before LIMIT {BATCH})
          AND counted_at IS NULL
        RETURNING municipality, procedure, channel, ease, worked),
    counted AS (
        INSERT INTO routing.quality_fact (municipality, month, procedure, channel, kind)
        SELECT municipality, :month, procedure, channel, said.kind FROM final,
            LATERAL (VALUES (ease), (CASE WHEN worked THEN 'worked' ELSE 'not_worked' END)) said (kind))
    SELECT count(*) FROM final
""")
# Of two at once, each adds up what the other has left.
_ADD_UP = text(f"""
    WITH gone AS (
        DELETE FROM routing.quality_fact WHERE (municipality, fact_id) IN (
            SELECT municipality, fact_id FROM routing.quality_fact WHERE municipality = :municipality
            LIMIT {FACTS_MAX})
        RETURNING municipality, month, procedure, channel, kind, to_channel, step, took_min, people, amount),
    added AS (
        INSERT INTO routing.quality_count AS known
            (municipality, month, procedure, channel, kind, to_channel, step, took_min, people, amount)
        SELECT municipality, month, procedure, channel, kind, to_channel, step, took_min, sum(people), sum(amount)
        FROM gone GROUP BY municipality, month, procedure, channel, kind, to_channel, step, took_min
        ORDER BY 1, 2, 3, 4, 5, 6, 7, 8
        ON CONFLICT (municipality, month, procedure, channel, kind, to_channel, step, took_min) DO UPDATE
        SET people = known.people + excluded.people, amount = known.amount + excluded.amount)
    SELECT count(*) FROM gone
""")


async def count_sent(
    session: AsyncSession, municipality: str, case_id: UUID, *, by_application: bool, at: datetime, now: datetime
) -> None:
    """An application was sent, or an appointment booked: the first of a case counts."""
    await _SENT.rows(session, _of(municipality, case_id, at, now) | {"by_application": by_application})


async def count_finished(
    session: AsyncSession, municipality: str, case_id: UUID, *, by_application: bool, at: datetime, now: datetime
) -> None:
    """A case is done: its application decided, or its last appointment over, unless it goes on another way."""
    case = _of(municipality, case_id, at, now) | {"by_application": by_application}
    if not by_application:
        await _ALONE.rows(session, case)
    await _ENDED.rows(session, case)
    await _DONE_AFTER_ALL.rows(session, case)


async def count_spared(
    session: AsyncSession, municipality: str, case_id: UUID, items: int, *, at: datetime, now: datetime
) -> None:
    """Items were used in a case without being asked again."""
    await _SPARED.rows(session, _of(municipality, case_id, at, now) | {"items": items})


async def count_given_up(session: AsyncSession, municipality: str, cases: Sequence[UUID], *, now: datetime) -> None:
    """Cases are about to be erased, or were given up by their person: those that had not come to their end will not."""
    await session.execute(
        _TAKEN_AWAY,
        {"municipality": municipality, "cases": list(cases), "month": month_of(now), "now": now},
    )


async def plan_adding_up(session: AsyncSession, municipality: str, *, now: datetime) -> None:
    """Ask for the next adding up; an earlier one that was asked for stays."""
    await schedule(
        session, SERVICE, municipality=municipality, kind=DUE_ADDING_UP, ref=municipality, due_at=now + EVERY, keep=True
    )


async def add_up_and_go_on(session: AsyncSession, municipality: str, ref: str, now: datetime) -> None:
    """Due handler: add up a batch of each kind, and plan the next round: soon, if a batch was full."""
    is_full = await add_up(session, municipality, now=now)
    due_at = now + (AGAIN_SOON if is_full else EVERY)
    await schedule(session, SERVICE, municipality=municipality, kind=DUE_ADDING_UP, ref=ref, due_at=due_at)


async def add_up(session: AsyncSession, municipality: str, *, now: datetime) -> bool:
    """What was given up, what people said and can no longer change, and all of it into the counts: a batch of each.

    Whether there may be more.
    """
    month = {"municipality": municipality, "month": month_of(now), "now": now}
    given_up = (await session.execute(_LEFT_LYING, month | {"before": now - GIVEN_UP_AFTER})).scalar_one()
    said = (await session.execute(_FEEDBACK, month | {"before": now - CHANGEABLE_FOR})).scalar_one()
    facts = (await session.execute(_ADD_UP, {"municipality": municipality})).scalar_one()
    return bool(given_up >= BATCH or said >= BATCH or facts >= FACTS_MAX)


async def add_improvement(session: AsyncSession, *, identity: Identity, said: str, now: datetime) -> None:
    """A manager writes what the town made better: published at once, with its month."""
    improvement_id = uuid4()
    await session.execute(
        insert(improvement).values(
            municipality=identity.municipality, improvement_id=improvement_id, month=month_of(now), said=said
        )
    )
    await record_deed(session, identity, "add_improvement", improvement_id, now=now)


async def remove_improvement(session: AsyncSession, *, identity: Identity, improvement_id: UUID, now: datetime) -> None:
    """A manager takes it back.

    Raises:
        Refusal: `improvement_unknown` (404).
    """
    gone = await session.execute(
        delete(improvement)
        .where(improvement.c.municipality == identity.municipality, improvement.c.improvement_id == improvement_id)
        .returning(improvement.c.improvement_id)
    )
    if gone.one_or_none() is None:
        raise Refusal("improvement_unknown", 404)
    await record_deed(session, identity, "remove_improvement", improvement_id, now=now)


async def remove_voice(session: AsyncSession, *, identity: Identity, voice_id: UUID, now: datetime) -> None:
    """A manager takes a published opinion back: also when its person was erased, and no office finds it any more.

    Raises:
        Refusal: `voice_unknown` (404).
    """
    theirs = (feedback.c.municipality == identity.municipality, feedback.c.voice_id == voice_id)
    await session.execute(update(feedback).where(*theirs).values(voice_id=None, version=feedback.c.version + 1))
    gone = await session.execute(
        delete(voice)
        .where(voice.c.municipality == identity.municipality, voice.c.voice_id == voice_id)
        .returning(voice.c.voice_id)
    )
    if gone.one_or_none() is None:
        raise Refusal("voice_unknown", 404)
    await record_deed(session, identity, "remove_voice", voice_id, now=now)


def month_of(moment: datetime) -> date:
    """The first day of a moment's month in Japan."""
    return jst_day(moment).replace(day=1)


def _of(municipality: str, case_id: UUID, at: datetime, now: datetime) -> dict[str, object]:
    return {"municipality": municipality, "case_id": case_id, "at": at, "month": month_of(now)}
