"""Closing a counter, a venue or the whole town for a time, and opening it again: whom it concerns is asked to move.

The closing itself is one transaction: from its commit on nobody takes a place there. The people follow in batches
(`due`, kind `closing`), in the bulk lane. What became of each stands in their appointment (`closure`, `closing_id`), in
the transaction that also tells it: a batch that dies has asked nobody, and whoever was asked is not found again.
"""

from datetime import datetime
from typing import Any, get_args
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.asking import ask_next, release_helper
from services.booking.commands.facts import tell_closure
from services.booking.commands.horizon import lock_rules, open_horizon
from services.booking.commands.keyed import claim_key, keep_answer, request_hash
from services.booking.commands.offers import end_offer, offer_nearest
from services.booking.commands.venues import bring_venues
from services.booking.domain.closings import OFFER_LIFETIME, Reason
from services.booking.domain.rules import Policy
from services.booking.queries.closings import IN_TIME, ON_DAYS
from services.booking.queries.rules import get_rules
from services.booking.queries.slots import list_counters
from services.booking.tables import outbox
from shared.audit import record_deed
from shared.errors import Refusal
from shared.events.base import Event
from shared.messaging.due import Due, schedule, schedule_all
from shared.messaging.outbox import work_in_bulk
from shared.tokens import Identity

CLOSING, REOPENING = "closing", "reopening"
CLOSING_ANSWER, CLOSING_OFFER = "closing_answer", "closing_offer"
# As many as are done well within a lease, and a transaction's time.
BATCH = 50
NOTE_MAX_LENGTH = 200
REASONS: tuple[str, ...] = get_args(Reason)


class CloseTime(msgspec.Struct, frozen=True, kw_only=True):
    """The order to close a counter or venue, or the whole town (None), from `starts_at` to `ends_at`."""

    counter: str | None
    starts_at: datetime
    ends_at: datetime
    reason: str
    note: str
    key: str


class Closed(msgspec.Struct, frozen=True, kw_only=True):
    """The closing that was made."""

    closing_id: UUID


_CLOSE = text("""
    INSERT INTO closing (municipality, closing_id, counter, during, reason, note_ja, closed_at, closed_by)
    VALUES (:municipality, :closing_id, :counter,
            tstzrange(CAST(:starts_at AS timestamptz), CAST(:ends_at AS timestamptz)), :reason, :note, :now, :closed_by)
""")
# Whoever is just taking a place there is waited for, and seen.
_LOCK_PLACES = text(f"""
    SELECT p.slot_id FROM place p JOIN slot s ON (s.municipality, s.slot_id) = (p.municipality, p.slot_id)
    WHERE s.municipality = :municipality AND s.ends_at > :now AND {IN_TIME.format(row="s")}
    ORDER BY p.slot_id, p.place_no FOR UPDATE OF p
""")
_LOCK_OFFERED = text(f"""
    SELECT a.appointment_id FROM offered_place o
    JOIN slot s ON (s.municipality, s.slot_id) = (o.municipality, o.slot_id)
    JOIN appointment a ON (a.municipality, a.appointment_id) = (o.municipality, o.appointment_id)
    WHERE o.municipality = :municipality AND o.state = 'open' AND {IN_TIME.format(row="s")}
    ORDER BY a.appointment_id FOR UPDATE OF a
""")
_RELEASE_HOLDS = text(f"""
    UPDATE place p SET hold_id = NULL, held_by = NULL, held_until = NULL, visit_id = NULL, changed_at = :now
    FROM slot s
    WHERE p.municipality = :municipality AND (s.municipality, s.slot_id) = (p.municipality, p.slot_id)
      AND s.ends_at > :now AND {IN_TIME.format(row="s")} AND p.hold_id IS NOT NULL
""")
# Whether it stands is not changed while a batch works for it.
_STANDING = text("""
    SELECT closing_id, counter, lower(during) AS starts_at, upper(during) AS ends_at, closed_at FROM closing
    WHERE (municipality, closing_id) = (:municipality, :closing_id) AND reopened_at IS NULL FOR SHARE
""")
# Whoever is just moving or cancelling theirs is waited for. What is asked stands in the row: it is found once only.
_NEXT = text(f"""
    SELECT * FROM appointment a
    WHERE a.municipality = :municipality AND a.state = 'booked' AND a.closing_id IS NULL AND a.starts_at > :closed_at
      AND {IN_TIME.format(row="a")} AND {ON_DAYS}
    ORDER BY a.starts_at, a.appointment_id LIMIT {BATCH} FOR UPDATE
""")
_ASKED = text("""
    UPDATE appointment
    SET closure = 'asked', closing_id = :closing_id, version = version + 1, changed_at = :now,
        helper = CASE WHEN helper = 'none' THEN 'none' ELSE 'asked' END
    WHERE (municipality, appointment_id) = (:municipality, :appointment_id) RETURNING *
""")
_REOPEN = text("""
    UPDATE closing SET reopened_at = :now, reopened_by = :by
    WHERE (municipality, closing_id) = (:municipality, :closing_id) AND reopened_at IS NULL RETURNING closing_id
""")
_KNOWN = text("SELECT 1 FROM closing WHERE (municipality, closing_id) = (:municipality, :closing_id)")
_NEXT_BACK = text(f"""
    SELECT * FROM appointment a
    WHERE a.municipality = :municipality AND a.closing_id = :closing_id AND a.state = 'booked' AND a.starts_at > :now
    ORDER BY a.starts_at, a.appointment_id LIMIT {BATCH} FOR UPDATE
""")
# Another closing may cover it, too.
_OTHER = text("""
    SELECT closing_id FROM closing
    WHERE municipality = :municipality AND reopened_at IS NULL AND (counter IS NULL OR counter = :counter)
      AND during && tstzrange(CAST(:starts_at AS timestamptz), CAST(:ends_at AS timestamptz))
    ORDER BY closed_at, closing_id LIMIT 1
""")
_PASS_ON = text("""
    UPDATE appointment SET closing_id = :closing_id
    WHERE (municipality, appointment_id) = (:municipality, :appointment_id)
""")
_STANDS = text("""
    UPDATE appointment SET closure = 'none', closing_id = NULL, version = version + 1, changed_at = :now
    WHERE (municipality, appointment_id) = (:municipality, :appointment_id) RETURNING *
""")
_LOCK_ASKED = text("""
    SELECT * FROM appointment
    WHERE (municipality, appointment_id) = (:municipality, :appointment_id) AND closure = 'asked' FOR UPDATE
""")
_TO_STAFF = text("""
    UPDATE appointment SET closure = 'staff', version = version + 1, changed_at = :now
    WHERE (municipality, appointment_id) = (:municipality, :appointment_id) RETURNING *
""")


async def close_time(session: AsyncSession, actor: Identity, order: CloseTime, *, now: datetime) -> Closed:
    """Close. From here on nobody takes a place then; who has one is asked to move it, in batches.

    Raises:
        Refusal: `closing_unfit` (400): no such counter, a time that is over, or an unknown reason;
            `closing_reason_missing` (400), `key_reused` (422).
    """
    town = actor.municipality
    _check(order, now=now)
    hashed = request_hash("close", order.counter, order.starts_at, order.ends_at, order.reason, order.note)
    answered = await claim_key(session, town, f"staff:{actor.ref}", order.key, hashed, now=now)
    if answered is not None:
        return msgspec.convert(answered, Closed)
    if order.counter is not None and order.counter not in await list_counters(session, town):
        raise Refusal("closing_unfit", 400)
    closed = Closed(closing_id=uuid4())
    times = {
        "municipality": town, "counter": order.counter, "starts_at": order.starts_at, "ends_at": order.ends_at,
        "now": now,
    }  # fmt: skip
    made = {"closing_id": closed.closing_id, "reason": order.reason, "note": order.note or None, "closed_by": actor.ref}
    await session.execute(_CLOSE, times | made)
    # In this order, as whoever publishes rules does.
    await lock_rules(session, town)
    await session.execute(_LOCK_PLACES, times)
    again = await _take_back_offers(session, times)
    await session.execute(_RELEASE_HOLDS, times)
    await open_horizon(session, town, now=now)
    asking = [Due(CLOSING, str(closed.closing_id), now), *again]
    await schedule_all(session, "booking", town, asking)
    await keep_answer(session, town, f"staff:{actor.ref}", order.key, closed)
    await record_deed(session, actor, "close", closed.closing_id, now=now)
    return closed


def _check(order: CloseTime, *, now: datetime) -> None:
    if order.reason not in REASONS or order.starts_at >= order.ends_at or order.ends_at <= now:
        raise Refusal("closing_unfit", 400)
    if len(order.note) > NOTE_MAX_LENGTH:
        raise Refusal("closing_unfit", 400)
    if order.reason == "other" and not order.note:
        raise Refusal("closing_reason_missing", 400)


async def _take_back_offers(session: AsyncSession, times: dict[str, Any]) -> list[Due]:
    """What was offered in a time that is closed now is offered no more; that its people get another place."""
    town, now = times["municipality"], times["now"]
    again = []
    for row in (await session.execute(_LOCK_OFFERED, times)).all():
        await end_offer(session, town, row.appointment_id, "withdrawn", now=now)
        again.append(Due(CLOSING_OFFER, str(row.appointment_id), now))
    return again


async def on_closing_due(session: AsyncSession, municipality: str, ref: str, now: datetime) -> None:
    """Due kind `closing`: the next batch of those whom a closing concerns gets a place elsewhere, and is told."""
    key = {"municipality": municipality, "closing_id": UUID(ref)}
    closing = (await session.execute(_STANDING, key)).one_or_none()
    if closing is None:
        return
    found = {name: getattr(closing, name) for name in ("counter", "starts_at", "ends_at", "closed_at")}
    rows = (await session.execute(_NEXT, key | found)).all()
    if not rows:
        return
    work_in_bulk(session)
    policy = (await get_rules(session, municipality)).policy
    events: list[Event] = []
    answers: list[Due] = []
    for row in rows:
        event, until = await _ask(session, row, closing.closing_id, policy, now=now)
        events.append(event)
        answers.append(Due(CLOSING_ANSWER, str(row.appointment_id), until))
    await outbox.publish(session, *events)
    await schedule_all(session, "booking", municipality, [*answers, Due(CLOSING, ref, now)])


async def _ask(
    session: AsyncSession, row: Any, closing_id: UUID, policy: Policy, *, now: datetime
) -> tuple[Event, datetime]:
    """Keep the nearest place for somebody; what to tell them, and until when they may answer."""
    town, mine = row.municipality, {"municipality": row.municipality, "appointment_id": row.appointment_id, "now": now}
    if row.helper != "none":
        # Nobody need come. Whoever moves it has somebody asked anew.
        venues = await release_helper(session, town, row.appointment_id, now=now)
        await bring_venues(session, town, venues, now=now)
    offer = await offer_nearest(session, row, policy, now=now)
    asked = (await session.execute(_ASKED, mine | {"closing_id": closing_id})).one()
    return tell_closure(asked, offer, now=now), offer.until if offer else now + OFFER_LIFETIME


async def reopen(session: AsyncSession, actor: Identity, closing_id: UUID, *, now: datetime) -> None:
    """Open again: who has not moved yet keeps what they had, in batches. Ordered again, nothing more happens.

    Raises:
        Refusal: `closing_unknown` (404).
    """
    key = {"municipality": actor.municipality, "closing_id": closing_id}
    reopened = (await session.execute(_REOPEN, key | {"now": now, "by": actor.ref})).one_or_none()
    if reopened is None:
        if (await session.execute(_KNOWN, key)).one_or_none() is None:
            raise Refusal("closing_unknown", 404)
        return
    town = actor.municipality
    await open_horizon(session, town, now=now)
    await schedule(session, "booking", municipality=town, kind=REOPENING, ref=str(closing_id), due_at=now)
    await record_deed(session, actor, "reopen", closing_id, now=now)


async def on_reopening_due(session: AsyncSession, municipality: str, ref: str, now: datetime) -> None:
    """Due kind `reopening`: the next batch of those who had to move and have not keeps what they had, and is told.

    Whose time has passed meanwhile was told not to come: theirs stays to be moved.
    """
    # Whoever is just closing is waited for, or waits: their people would be passed by as those of this closing.
    await lock_rules(session, municipality)
    key = {"municipality": municipality, "closing_id": UUID(ref), "now": now}
    rows = (await session.execute(_NEXT_BACK, key)).all()
    if not rows:
        return
    work_in_bulk(session)
    for row in rows:
        await _give_back(session, row, now=now)
    await schedule(session, "booking", municipality=municipality, kind=REOPENING, ref=ref, due_at=now)


async def _give_back(session: AsyncSession, row: Any, *, now: datetime) -> None:
    town, mine = row.municipality, {"municipality": row.municipality, "appointment_id": row.appointment_id}
    times = {"municipality": town, "counter": row.counter, "starts_at": row.starts_at, "ends_at": row.ends_at}
    other = (await session.execute(_OTHER, times)).scalar_one_or_none()
    if other is not None:
        await session.execute(_PASS_ON, mine | {"closing_id": other})
        return
    await end_offer(session, town, row.appointment_id, "withdrawn", now=now)
    stands = (await session.execute(_STANDS, mine | {"now": now})).one()
    await outbox.publish(session, tell_closure(stands, now=now))
    if stands.helper != "none":
        await ask_next(session, town, stands, now=now)


async def on_closing_answer_due(session: AsyncSession, municipality: str, ref: str, now: datetime) -> None:
    """Due kind `closing_answer`: they have not answered. What was kept is free again, and staff are to reach them."""
    mine = {"municipality": municipality, "appointment_id": UUID(ref)}
    asked = (await session.execute(_LOCK_ASKED, mine)).one_or_none()
    if asked is None:
        return
    await end_offer(session, municipality, asked.appointment_id, "lapsed", now=now)
    # Who came all the same is here.
    if asked.state == "booked":
        left = (await session.execute(_TO_STAFF, mine | {"now": now})).one()
        await outbox.publish(session, tell_closure(left, now=now))


async def on_closing_offer_due(session: AsyncSession, municipality: str, ref: str, now: datetime) -> None:
    """Due kind `closing_offer`: what was kept for them is closed, too. They get another place, and are told."""
    mine = {"municipality": municipality, "appointment_id": UUID(ref)}
    row = (await session.execute(_LOCK_ASKED, mine)).one_or_none()
    if row is None or row.state != "booked":
        return
    work_in_bulk(session)
    policy = (await get_rules(session, municipality)).policy
    event, until = await _ask(session, row, row.closing_id, policy, now=now)
    await outbox.publish(session, event)
    await schedule_all(session, "booking", municipality, [Due(CLOSING_ANSWER, ref, until)])
