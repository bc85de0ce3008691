"""The ways of a contact, as its person has them: one more, one less, and in which order."""

from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.commands.dead_ways import tell_state
from services.notifications.commands.letters import lock_waiting_letters, look_again
from services.notifications.commands.way_codes import ask_code, end_codes, want_messages
from services.notifications.commands.ways import NewWay, add_way, lock_contact
from services.notifications.commands.wish_entries import approved, removed
from services.notifications.domain.proofs import PROVED_BY_CODE
from services.notifications.keys import Keys
from services.notifications.tables import ledger
from shared.db import Prepared
from shared.errors import Refusal

_ORDER = Prepared("""
    SELECT way_no FROM notifications.contact_way
    WHERE (municipality, contact_ref) = (:municipality, :contact_ref) ORDER BY position
""")
# The two change places: no two have one place, and the database looks when both have moved.
_SWAP = Prepared("""
    UPDATE notifications.contact_way w
    SET position = (SELECT o.position FROM notifications.contact_way o
                    WHERE (o.municipality, o.contact_ref) = (w.municipality, w.contact_ref)
                      AND o.way_no = CASE w.way_no WHEN :one THEN CAST(:other AS int) ELSE :one END)
    WHERE (w.municipality, w.contact_ref) = (:municipality, :contact_ref) AND w.way_no IN (:one, :other)
""")
_REMOVE = Prepared("""
    DELETE FROM notifications.contact_way
    WHERE (municipality, contact_ref, way_no) = (:municipality, :contact_ref, :way_no)
    RETURNING contact_ref, way_no, kind, state, state_no + 1 AS state_no, verified_at
""")
_PAPER_IF_NONE = Prepared("""
    UPDATE notifications.contact_point c SET wants_paper = true
    WHERE (municipality, contact_ref) = (:municipality, :contact_ref)
      AND NOT EXISTS (SELECT 1 FROM notifications.contact_way w
                      WHERE (w.municipality, w.contact_ref) = (c.municipality, c.contact_ref))
""")


async def give_way(
    session: AsyncSession, keys: Keys, municipality: str, contact_ref: UUID, new: NewWay, *, now: datetime
) -> int:
    """Add a way that its person typed, and return its number. A code goes there; what takes none is used at once.

    Raises:
        Refusal: `not_found` (404), `ways_full` (409), `codes_too_many` (429).
    """
    way_no = await add_way(session, keys.vault, municipality, contact_ref, new, now=now)
    if new.kind in PROVED_BY_CODE:
        await ask_code(session, keys, municipality, contact_ref, way_no, now=now)
    else:
        contact = await lock_contact(session, municipality, contact_ref)
        await want_messages(session, municipality, contact_ref)
        await ledger.write(session, approved(contact, new.kind, is_relay=new.is_relay, now=now))
    return way_no


async def move_way(session: AsyncSession, municipality: str, contact_ref: UUID, way_no: int, *, up: bool) -> None:
    """Let a way change places with the one before it (`up`) or after it. At the end there is nothing to change.

    Raises:
        Refusal: `not_found` (404).
    """
    await lock_contact(session, municipality, contact_ref)
    about = {"municipality": municipality, "contact_ref": contact_ref}
    order = [row.way_no for row in await _ORDER.rows(session, about)]
    if way_no not in order:
        raise Refusal("not_found", 404)
    place = order.index(way_no)
    other = place - 1 if up else place + 1
    if 0 <= other < len(order):
        await _SWAP.row(session, about | {"one": way_no, "other": order[other]})


async def remove_way(
    session: AsyncSession, municipality: str, contact_ref: UUID, way_no: int, *, now: datetime
) -> None:
    """Destroy an address. A second tap changes nothing. Whoever has no way left is told on paper, or called. Of what
    was to be printed for that address, nothing is.

    Raises:
        Refusal: `not_found` (404) contact.
    """
    waiting = await lock_waiting_letters(session, municipality, contact_ref, way_no)
    contact = await lock_contact(session, municipality, contact_ref)
    way = await _REMOVE.row(session, {"municipality": municipality, "contact_ref": contact_ref, "way_no": way_no})
    if way is None:
        return
    await end_codes(session, municipality, contact_ref, way_no, now=now)
    await _PAPER_IF_NONE.row(session, {"municipality": municipality, "contact_ref": contact_ref})
    await look_again(session, municipality, waiting, now=now)
    if way.state == "dead":
        # There is nothing left to ask about.
        await tell_state(session, municipality, contact.case_id, way, is_dead=False, now=now)
    if way.verified_at is not None:
        await ledger.write(session, removed(contact, way.kind, now=now))
