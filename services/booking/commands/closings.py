"""Closing a counter, a venue or the whole town for a time, and opening it again: whom it concerns is asked to move.

The closing itself is one transaction: from its commit on nobody takes a place there. The people follow in batches
(`due`, kind `closing`), in the bulk lane. What became of each stands in their appointment (`closure`, `closing_id`), in
the transaction that also tells it: a batch that dies has asked nobody, and whoever was asked is not found again.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, get_args
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.asking import ask_next, release_helper
from services.booking.commands.chain_offers import ChainOffer, find_chain_offer, offer_chain
from services.booking.commands.chains import WITH_ARRIVALS, by_arrival, is_ahead, lock_arrival
from services.booking.commands.changes import end_untold
from services.booking.commands.facts import tell_as_one, tell_closure
from services.booking.commands.help_returns import is_untold
from services.booking.commands.horizon import lock_rules, open_horizon
from services.booking.commands.keyed import claim_key, keep_answer, request_hash
from services.booking.commands.locking import lock_places
from services.booking.commands.offers import Offer, end_offer, find_offer, is_lost, offer_nearest
from services.booking.commands.venues import bring_venues
from services.booking.commands.waitlist import end_earlier_offer
from services.booking.commands.webhooks import tell_webhooks
from services.booking.domain.closings import CLOSING, DAYS_MAX, OFFER_LIFETIME, Reason
from services.booking.domain.rules import Policy
from services.booking.queries.closings import IN_TIME, ON_DAYS, spans_of
from services.booking.queries.rules import get_rules
from services.booking.queries.slots import list_counters
from services.booking.tables import outbox
from shared.audit import record_deed
from shared.errors import Refusal
from shared.events.base import Event
from shared.messaging.due import Due, schedule, schedule_all
from shared.messaging.outbox import work_in_bulk
from shared.tokens import Identity

REOPENING = "reopening"
CLOSING_ANSWER, CLOSING_OFFER = "closing_answer", "closing_offer"
# As many as are done well within a lease, and a transaction's time.
BATCH = 50
NOTE_MAX_LENGTH = 200
REASONS: tuple[str, ...] = get_args(Reason)


class CloseTime(msgspec.Struct, frozen=True, kw_only=True):
    """The order to close a counter or venue, or the whole town (None), from `starts_at` to `ends_at`.

    On `days` days that follow one another, at the same times of each.
    """

    counter: str | None
    starts_at: datetime
    ends_at: datetime
    reason: str
    note: str
    key: str
    days: int = 1


class Closed(msgspec.Struct, frozen=True, kw_only=True):
    """The closing that was made."""

    closing_id: UUID


# A stretch of whole days, or one on each of them.
_TIMES = """
    ARRAY(SELECT lower(span) FROM unnest(during) AS span ORDER BY span) AS firsts,
    ARRAY(SELECT upper(span) FROM unnest(during) AS span ORDER BY span) AS untils"""
_CLOSE = text(f"""
    INSERT INTO closing (municipality, closing_id, counter, during, reason, note_ja, closed_at, closed_by)
    VALUES (:municipality, :closing_id, :counter,
            (SELECT range_agg(tstzrange(closed.first, closed.until))
             FROM unnest(CAST(:firsts AS timestamptz[]), CAST(:untils AS timestamptz[])) AS closed(first, until)),
            :reason, :note, :now, :closed_by)
    RETURNING counter, reason, {_TIMES}
""")
# Whoever is just taking a place there is waited for, and seen. All of a hold that reaches into it is released.
_LOCK_PLACES = text(f"""
    WITH here AS (
        SELECT p.slot_id, p.place_no, p.visit_id, p.hold_id
        FROM slot s JOIN place p ON (p.municipality, p.slot_id) = (s.municipality, s.slot_id)
        WHERE s.municipality = :municipality AND s.ends_at > :now AND {IN_TIME.format(row="s")}),
    wanted AS (
        SELECT slot_id, place_no FROM here
        UNION
        SELECT slot_id, place_no FROM place
        WHERE municipality = :municipality AND hold_id IS NOT NULL
          AND visit_id = ANY (ARRAY(SELECT visit_id FROM here WHERE hold_id IS NOT NULL)))
    SELECT p.slot_id FROM place p JOIN wanted USING (slot_id, place_no)
    WHERE p.municipality = :municipality
    ORDER BY p.slot_id, p.place_no FOR UPDATE OF p
""")
# Of what is offered in a time that closes: whose it is. It may have begun before. The places are locked: nothing is
# being offered there any more.
_OFFERED = text(f"""
    SELECT DISTINCT o.appointment_id FROM offered_place o
    WHERE o.municipality = :municipality AND o.state = 'open'
      AND EXISTS (SELECT 1 FROM slot s
                  WHERE s.municipality = o.municipality AND {IN_TIME.format(row="s")}
                    AND s.slot_id = ANY (ARRAY(SELECT o.slot_id UNION ALL
                                               SELECT p.slot_id FROM place p
                                               WHERE p.municipality = o.municipality AND p.visit_id = o.offer_id
                                                 AND p.hold_id IS NOT NULL)))
    ORDER BY o.appointment_id
""")
# All of a hold, if any of its places is there.
_RELEASE_HOLDS = text(f"""
    UPDATE place p SET hold_id = NULL, held_by = NULL, held_until = NULL, visit_id = NULL, changed_at = :now
    WHERE p.municipality = :municipality AND p.hold_id IS NOT NULL AND p.visit_id IN (
        SELECT q.visit_id FROM slot s JOIN place q ON (q.municipality, q.slot_id) = (s.municipality, s.slot_id)
        WHERE s.municipality = :municipality AND s.ends_at > :now AND {IN_TIME.format(row="s")}
          AND q.hold_id IS NOT NULL)
""")
# Whether it stands is not changed while a batch works for it.
_STANDING = text(f"""
    SELECT closing_id, counter, lower(during) AS starts_at, upper(during) AS ends_at, closed_at, {_TIMES}
    FROM closing
    WHERE (municipality, closing_id) = (:municipality, :closing_id) AND reopened_at IS NULL FOR SHARE
""")
# The next batch, and what belongs to the same arrivals. Whoever is just moving or cancelling theirs is waited for; what
# is asked stands in the row, so it is found once only.
_NEXT = text(f"""
    WITH next AS (
        SELECT a.appointment_id, a.chain_id FROM appointment a
        WHERE a.municipality = :municipality AND a.state = 'booked' AND a.closing_id IS NULL
          AND a.starts_at > :closed_at AND {IN_TIME.format(row="a")} AND {ON_DAYS}
        ORDER BY a.starts_at, a.appointment_id LIMIT {BATCH})
    {WITH_ARRIVALS}
""")
_ASKED = text("""
    UPDATE appointment
    SET closure = 'asked', closing_id = :closing_id, version = version + 1, changed_at = :now,
        helper = CASE WHEN helper = 'none' THEN 'none' ELSE 'asked' END
    WHERE (municipality, appointment_id) = (:municipality, :appointment_id) RETURNING *
""")
_REOPEN = text(f"""
    UPDATE closing SET reopened_at = :now, reopened_by = :by
    WHERE (municipality, closing_id) = (:municipality, :closing_id) AND reopened_at IS NULL
    RETURNING counter, reason, {_TIMES}
""")
_KNOWN = text("SELECT 1 FROM closing WHERE (municipality, closing_id) = (:municipality, :closing_id)")
_NEXT_BACK = text(f"""
    WITH next AS (
        SELECT a.appointment_id, a.chain_id FROM appointment a
        WHERE a.municipality = :municipality AND a.closing_id = :closing_id AND a.state = 'booked'
          AND a.starts_at > :now
        ORDER BY a.starts_at, a.appointment_id LIMIT {BATCH})
    {WITH_ARRIVALS}
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
    hashed = request_hash("close", order.counter, order.starts_at, order.ends_at, order.reason, order.note, order.days)
    answered = await claim_key(session, town, f"staff:{actor.ref}", order.key, hashed, now=now)
    if answered is not None:
        return msgspec.convert(answered, Closed)
    if order.counter is not None and order.counter not in await list_counters(session, town):
        raise Refusal("closing_unfit", 400)
    closed = Closed(closing_id=uuid4())
    times = spans_of(order.counter, order.starts_at, order.ends_at, order.days) | {"municipality": town, "now": now}
    made = {"closing_id": closed.closing_id, "reason": order.reason, "note": order.note or None, "closed_by": actor.ref}
    row = (await session.execute(_CLOSE, times | made)).one()
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
    await tell_webhooks(session, town, "closing.made", closed.closing_id, _facts(row), version=1, now=now)
    return closed


def _facts(row: Any) -> dict[str, Any]:
    """What other systems are told of a closing: all of its times."""
    spans = zip(row.firsts, row.untils, strict=True)
    times = [{"starts_at": first, "ends_at": until} for first, until in spans]
    return {"counter": row.counter, "times": times, "reason": row.reason}


def _check(order: CloseTime, *, now: datetime) -> None:
    if order.reason not in REASONS or order.starts_at >= order.ends_at or not 1 <= order.days <= DAYS_MAX:
        raise Refusal("closing_unfit", 400)
    if order.ends_at + timedelta(days=order.days - 1) <= now:
        raise Refusal("closing_unfit", 400)
    if len(order.note) > NOTE_MAX_LENGTH:
        raise Refusal("closing_unfit", 400)
    if order.reason == "other" and not order.note:
        raise Refusal("closing_reason_missing", 400)


async def _take_back_offers(session: AsyncSession, times: dict[str, Any]) -> list[Due]:
    """What was offered in a time that is closed now is offered no more; that its people get another place.

    Each in a transaction of its own, which locks the appointment first (`commands/locking.py`).
    """
    offered = (await session.execute(_OFFERED, times)).scalars()
    return [Due(CLOSING_OFFER, str(appointment_id), times["now"]) for appointment_id in offered]


async def on_closing_due(session: AsyncSession, municipality: str, ref: str, now: datetime) -> None:
    """Due kind `closing`: the next batch of those whom a closing concerns gets a place elsewhere, and is told.

    Who comes for several procedures gets one way to do all of them, and is told once.
    """
    key = {"municipality": municipality, "closing_id": UUID(ref)}
    closing = (await session.execute(_STANDING, key)).one_or_none()
    if closing is None:
        return
    names = ("counter", "starts_at", "ends_at", "firsts", "untils", "closed_at")
    found = {name: getattr(closing, name) for name in names}
    rows = (await session.execute(_NEXT, key | found)).all()
    if not rows:
        return
    work_in_bulk(session)
    await lock_places(session, municipality, appointments=[row.appointment_id for row in rows])
    policy = (await get_rules(session, municipality)).policy
    events: list[Event] = []
    answers: list[Due] = []
    for arrival in by_arrival(rows):
        concerned = [row for row in arrival if _concerns(closing, row)]
        if concerned and await is_untold(session, municipality, concerned[0].appointment_id):
            await end_untold(session, concerned[0], now=now)
        elif concerned:
            told, answer = await _ask(session, arrival, concerned, closing.closing_id, policy, now=now)
            events += told
            answers.append(answer)
    await outbox.publish(session, *events)
    await schedule_all(session, "booking", municipality, [*answers, Due(CLOSING, ref, now)])


def _concerns(closing: Any, row: Any) -> bool:
    """Whether it still moves an appointment, now that this is locked."""
    spans = zip(closing.firsts, closing.untils, strict=True)
    is_then = any(first < row.ends_at and row.starts_at < until for first, until in spans)
    is_free = row.state == "booked" and row.closing_id is None and row.starts_at > closing.closed_at
    return bool(is_free and is_then and closing.counter in (None, row.counter))


async def _ask(
    session: AsyncSession,
    arrival: Sequence[Any],
    concerned: Sequence[Any],
    closing_id: UUID | None,
    policy: Policy,
    *,
    now: datetime,
) -> tuple[list[Event], Due]:
    """Keep the nearest place for somebody, or a way through all of their arrival, of which these are `concerned`.

    Returns what to tell them, and until when they may answer. Without a closing, each stays its own's.
    """
    town, asked = arrival[0].municipality, []
    for row in concerned:
        mine = {"municipality": town, "appointment_id": row.appointment_id, "now": now}
        if row.helper != "none":
            # Nobody need come. Whoever moves it has somebody asked anew.
            venues = await release_helper(session, town, row.appointment_id, now=now)
            await bring_venues(session, town, venues, now=now)
        asked.append((await session.execute(_ASKED, mine | {"closing_id": closing_id or row.closing_id})).one())
    first, *others = asked
    offer: Offer | ChainOffer | None
    if first.chain_id is None:
        # An earlier time that was kept for them is nothing that they asked for now.
        await end_offer(session, town, first.appointment_id, "withdrawn", now=now)
        together, offer = 1, await offer_nearest(session, first, policy, now=now)
    else:
        closed = {row.appointment_id for row in (*asked, *arrival) if row.closure != "none"}
        ahead = [row for row in arrival if row.appointment_id in closed or is_ahead(row, now)]
        for row in ahead:
            # What was kept before is not all of it any more.
            await end_offer(session, town, row.appointment_id, "withdrawn", now=now)
        together, offer = len(ahead), await offer_chain(session, ahead, policy, closed=closed, now=now)
    told: list[Event] = [tell_closure(first, offer, together=together, now=now)]
    told += [tell_closure(row, together=0, now=now) for row in others]
    until = offer.until if offer else now + OFFER_LIFETIME
    return told, Due(CLOSING_ANSWER, str(first.appointment_id), until)


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
    await tell_webhooks(session, town, "closing.reopened", closing_id, _facts(reopened), version=2, now=now)


async def on_reopening_due(session: AsyncSession, municipality: str, ref: str, now: datetime) -> None:
    """Due kind `reopening`: the next batch of those who had to move and have not keeps what they had, and is told.

    Whose time has passed meanwhile was told not to come: theirs stays to be moved.
    """
    # Whoever is just closing is waited for, or waits: their people would be passed by as those of this closing.
    await lock_rules(session, municipality)
    closing_id = UUID(ref)
    key = {"municipality": municipality, "closing_id": closing_id, "now": now}
    rows = (await session.execute(_NEXT_BACK, key)).all()
    if not rows:
        return
    work_in_bulk(session)
    await lock_places(session, municipality, appointments=[row.appointment_id for row in rows])
    for arrival in by_arrival(rows):
        back = [
            row for row in arrival if row.closing_id == closing_id and row.state == "booked" and row.starts_at > now
        ]
        facts = [fact for row in back if (fact := await _give_back(session, row, now=now))]
        if facts:
            await outbox.publish(session, *tell_as_one(facts))
    await schedule(session, "booking", municipality=municipality, kind=REOPENING, ref=ref, due_at=now)


async def _give_back(session: AsyncSession, row: Any, *, now: datetime) -> Event | None:
    """Their time stands again, unless another closing covers it; what to tell."""
    town, mine = row.municipality, {"municipality": row.municipality, "appointment_id": row.appointment_id}
    times = {"municipality": town, "counter": row.counter, "starts_at": row.starts_at, "ends_at": row.ends_at}
    other = (await session.execute(_OTHER, times)).scalar_one_or_none()
    if other is not None:
        await session.execute(_PASS_ON, mine | {"closing_id": other})
        return None
    await end_offer(session, town, row.appointment_id, "withdrawn", now=now)
    stands = (await session.execute(_STANDS, mine | {"now": now})).one()
    if stands.helper != "none":
        await outbox.publish(session, tell_closure(stands, now=now))
        await ask_next(session, town, stands, now=now)
        return None
    return tell_closure(stands, now=now)


async def on_closing_answer_due(session: AsyncSession, municipality: str, ref: str, now: datetime) -> None:
    """Due kind `closing_answer`: they have not answered. What was kept is free again, and staff are to reach them."""
    arrival = await lock_arrival(session, municipality, UUID(ref))
    asked = [row for row in arrival if row.closure == "asked"]
    if not asked:
        return
    kept: Offer | ChainOffer | None
    if asked[0].chain_id is not None:
        kept = await find_chain_offer(session, municipality, asked[0].chain_id, now=now)
    else:
        kept = await find_offer(session, municipality, asked[0].appointment_id, now=now)
    if kept is not None:
        # Asked again meanwhile, until another time.
        return
    await lock_places(session, municipality, appointments=[row.appointment_id for row in asked])
    left = []
    for row in asked:
        mine = {"municipality": municipality, "appointment_id": row.appointment_id}
        await end_offer(session, municipality, row.appointment_id, "lapsed", now=now)
        # Who came all the same is here.
        if row.state == "booked":
            left.append((await session.execute(_TO_STAFF, mine | {"now": now})).one())
    if left:
        await outbox.publish(session, *tell_as_one([tell_closure(row, now=now) for row in left]))


async def on_closing_offer_due(session: AsyncSession, municipality: str, ref: str, now: datetime) -> None:
    """Due kind `closing_offer`: what was kept for them is closed, too. They get another place, and are told."""
    appointment_id = UUID(ref)
    arrival = await lock_arrival(session, municipality, appointment_id)
    await lock_places(session, municipality, appointments=[row.appointment_id for row in arrival])
    if not await is_lost(session, municipality, appointment_id):
        return
    asked = [row for row in by_arrival(arrival)[0] if row.closure == "asked" and row.state == "booked"]
    if not asked:
        # An earlier time that they waited for: they keep what they have.
        await end_earlier_offer(session, municipality, appointment_id, "withdrawn", now=now)
        return
    await end_offer(session, municipality, appointment_id, "withdrawn", now=now)
    work_in_bulk(session)
    policy = (await get_rules(session, municipality)).policy
    told, answer = await _ask(session, arrival, asked, None, policy, now=now)
    await outbox.publish(session, *told)
    await schedule_all(session, "booking", municipality, [answer])
