"""Numbers in people's hands: one for everything that one arrival has to do on a day, and nobody else's."""

from datetime import date
from typing import Any

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession


class Ticket(msgspec.Struct, frozen=True, kw_only=True):
    """A number, and the counter whose roll it came from."""

    ticket_counter: str
    ticket_no: int


_NEXT = text("""
    INSERT INTO ticket_roll (municipality, counter, day, last_no) VALUES (:municipality, :counter, :day, 1)
    ON CONFLICT (municipality, counter, day) DO UPDATE SET last_no = ticket_roll.last_no + 1
    RETURNING last_no
""")
_OF_ARRIVAL = text("""
    SELECT ticket_counter, ticket_no FROM appointment
    WHERE (municipality, chain_id, day) = (:municipality, :chain_id, :day) AND ticket_no IS NOT NULL
    ORDER BY appointment_id LIMIT 1
""")
_SHARE = text("""
    UPDATE appointment SET ticket_counter = :ticket_counter, ticket_no = :ticket_no
    WHERE (municipality, chain_id, day) = (:municipality, :chain_id, :day) AND ticket_no IS NULL
      AND state NOT IN ('cancelled', 'no_show') AND appointment_id <> :appointment_id
""")


async def next_ticket(session: AsyncSession, municipality: str, counter: str, day: date) -> Ticket:
    """The next number of a counter's roll."""
    key = {"municipality": municipality, "counter": counter, "day": day}
    number = int((await session.execute(_NEXT, key)).scalar_one())
    return Ticket(ticket_counter=counter, ticket_no=number)


async def ticket_for(session: AsyncSession, row: Any, counter: str) -> Ticket:
    """A number for somebody who has none: that of their arrival, or a new one, which is that of all of it today.

    The caller has locked the arrival (`lock_chain`).
    """
    if row.chain_id is None:
        return await next_ticket(session, row.municipality, counter, row.day)
    arrival = {"municipality": row.municipality, "chain_id": row.chain_id, "day": row.day}
    known = (await session.execute(_OF_ARRIVAL, arrival)).one_or_none()
    if known is not None:
        return Ticket(ticket_counter=known.ticket_counter, ticket_no=known.ticket_no)
    ticket = await next_ticket(session, row.municipality, counter, row.day)
    mine = msgspec.structs.asdict(ticket) | {"appointment_id": row.appointment_id}
    await session.execute(_SHARE, arrival | mine)
    return ticket
