"""What is asked at the end of a turn, and a day's payments: sums by counter and means, and each of them."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.domain.cash import Means

# More than any town hall takes in a day.
PAYMENTS_MAX = 50_000
COUNTERS_MAX = 1_000
OFFERED_MAX = 40


class Deliverable(msgspec.Struct, frozen=True, kw_only=True):
    """A procedure that may have been done, and how many of it were meant to be, or were said to be."""

    code: str
    name_ja: str
    unit: str
    fee_yen: int
    quantity: int


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """A payment of a day. `number` is the appointment's."""

    number: str
    counter: str
    counter_number: str
    amount_yen: int
    means: Means
    receipt_no: str
    taken_at: datetime


class CashSum(msgspec.Struct, frozen=True, kw_only=True):
    """What came in at a counter by one of the means."""

    counter: str
    counter_number: str
    means: Means
    payments: int
    amount_yen: int


class CounterMeans(msgspec.Struct, frozen=True, kw_only=True):
    """By which means a fee is paid at a counter; empty: the town has not told."""

    number: str
    name_ja: str
    payment: tuple[Means, ...]


# What the appointment is for, or what was said to be delivered before it was taken back; then whatever else its counter
# does.
_DELIVERABLE = text(f"""
    WITH me AS (SELECT * FROM appointment WHERE (municipality, appointment_id) = (:municipality, :appointment_id)),
    last AS (
        SELECT d.procedure, d.quantity FROM me JOIN delivered d USING (municipality, appointment_id)
        WHERE d.version = (SELECT max(l.version) FROM delivered l
                           WHERE (l.municipality, l.appointment_id) = (me.municipality, me.appointment_id))),
    meant AS (
        SELECT procedure, quantity FROM last
        UNION ALL
        SELECT coalesce(each.value ->> 'procedure', me.procedure), coalesce((each.value ->> 'quantity')::integer, 1)
        FROM me LEFT JOIN LATERAL jsonb_array_elements(me.services) AS each(value) ON true
        WHERE NOT EXISTS (SELECT FROM last))
    SELECT p.code, p.name_ja, p.unit, p.fee_yen, coalesce(meant.quantity, 0) AS quantity
    FROM me JOIN procedure p ON p.municipality = me.municipality LEFT JOIN meant ON meant.procedure = p.code
    WHERE meant.procedure IS NOT NULL OR me.counter = ANY (p.counters)
    ORDER BY (meant.procedure IS NULL), p.code LIMIT {OFFERED_MAX}
""")
_LAST_PAID = text("""
    SELECT amount_yen, means, receipt_no FROM payment
    WHERE (municipality, appointment_id) = (:municipality, :appointment_id) ORDER BY version DESC LIMIT 1
""")
_MEANS_OF = text("SELECT payment FROM counter WHERE (municipality, code) = (:municipality, :counter)")
_NUMBER = "coalesce(nullif(c.number, ''), c.name_ja, p.counter)"
_TAKEN = text(f"""
    SELECT a.number, p.counter, {_NUMBER} AS counter_number, p.amount_yen, p.means, p.receipt_no, p.taken_at
    FROM payment p JOIN appointment a USING (municipality, appointment_id)
    LEFT JOIN counter c ON (c.municipality, c.code) = (p.municipality, p.counter)
    WHERE p.municipality = :municipality AND p.day = :day AND NOT p.is_undone
      AND (CAST(:office AS text) IS NULL OR p.office = :office)
    ORDER BY p.taken_at, a.number LIMIT :limit
""")
_SUMS = text(f"""
    SELECT p.counter, {_NUMBER} AS counter_number, p.means, count(*) AS payments, sum(p.amount_yen) AS amount_yen
    FROM payment p LEFT JOIN counter c ON (c.municipality, c.code) = (p.municipality, p.counter)
    WHERE p.municipality = :municipality AND p.day = :day AND NOT p.is_undone
      AND (CAST(:office AS text) IS NULL OR p.office = :office)
    GROUP BY 1, 2, 3 ORDER BY 1, 3 LIMIT {COUNTERS_MAX}
""")
_COUNTER_MEANS = text(f"""
    SELECT number, name_ja, payment FROM counter
    WHERE municipality = :municipality AND kind = 'counter' AND (CAST(:office AS text) IS NULL OR office = :office)
    ORDER BY code LIMIT {COUNTERS_MAX}
""")


async def list_deliverable(session: AsyncSession, municipality: str, appointment_id: UUID) -> list[Deliverable]:
    """What may be written down at the end of somebody's turn, first what they came for."""
    key = {"municipality": municipality, "appointment_id": appointment_id}
    return [msgspec.convert(row, Deliverable, from_attributes=True) for row in await session.execute(_DELIVERABLE, key)]


async def find_last_paid(session: AsyncSession, municipality: str, appointment_id: UUID) -> Any | None:
    """What was written down of a payment before the end was taken back."""
    key = {"municipality": municipality, "appointment_id": appointment_id}
    return (await session.execute(_LAST_PAID, key)).one_or_none()


async def list_means(session: AsyncSession, municipality: str, counter: str) -> tuple[Means, ...]:
    """By which means a fee is paid at a counter; empty: the town has not told."""
    key = {"municipality": municipality, "counter": counter}
    return tuple((await session.execute(_MEANS_OF, key)).scalar_one_or_none() or ())


async def list_taken(
    session: AsyncSession, municipality: str, day: date, office: str | None, *, limit: int = PAYMENTS_MAX
) -> list[Taken]:
    """A day's payments of an office, or of all, in the order in which they were taken."""
    asked = {"municipality": municipality, "day": day, "office": office, "limit": limit}
    return [msgspec.convert(row, Taken, from_attributes=True) for row in await session.execute(_TAKEN, asked)]


async def sum_day(session: AsyncSession, municipality: str, day: date, office: str | None) -> list[CashSum]:
    """A day's sums by counter and means."""
    asked = {"municipality": municipality, "day": day, "office": office}
    return [msgspec.convert(row, CashSum, from_attributes=True) for row in await session.execute(_SUMS, asked)]


async def list_counter_means(session: AsyncSession, municipality: str, office: str | None) -> Sequence[CounterMeans]:
    """The counters of an office, or of all, with the means that each takes."""
    asked = {"municipality": municipality, "office": office}
    rows = await session.execute(_COUNTER_MEANS, asked)
    return [msgspec.convert(row, CounterMeans, from_attributes=True) for row in rows]
