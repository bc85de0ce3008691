"""Proving a way (届くか確かめる): a code of six digits, sent by that very way, for the person to type.

What a wrong code costs is committed: `try_code` answers, and raises nothing.
"""

from datetime import datetime
from typing import Literal
from uuid import NAMESPACE_URL, UUID, uuid4, uuid5

from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.commands.contact_notices import send_code
from services.notifications.commands.dead_ways import tell_state
from services.notifications.commands.subjects import ADDRESS, context_of
from services.notifications.commands.ways import lock_contact
from services.notifications.commands.wish_entries import approved
from services.notifications.domain.proofs import (
    ASKINGS_MAX,
    ASKINGS_WITHIN,
    CODE_LENGTH,
    CODE_LIFETIME,
    CODE_TRIES_MAX,
    PROVED_BY_CODE,
)
from services.notifications.keys import Keys
from services.notifications.tables import ledger
from shared.crypto import new_code
from shared.db import Prepared
from shared.errors import Refusal

Tried = Literal["proved", "wrong", "over"]

# With the key of whose it is.
_WAY = Prepared("""
    SELECT w.*, k.wrapped_key FROM notifications.contact_way w
    JOIN notifications.contact_point c USING (municipality, contact_ref)
    JOIN notifications.subject_key k USING (municipality, subject_ref)
    WHERE (w.municipality, w.contact_ref, w.way_no) = (:municipality, :contact_ref, :way_no)
""")
_ASKED = Prepared("""
    SELECT count(*) FILTER (WHERE contact_ref = :contact_ref) AS for_contact,
           count(*) FILTER (WHERE address_hash = :address_hash) AS for_address
    FROM notifications.way_code
    WHERE municipality = :municipality AND asked_at > :since
      AND (contact_ref = :contact_ref OR address_hash = :address_hash)
""")
_END = Prepared("""
    UPDATE notifications.way_code SET ended_at = :now
    WHERE (municipality, contact_ref, way_no) = (:municipality, :contact_ref, :way_no) AND ended_at IS NULL
""")
_KEEP = Prepared("""
    INSERT INTO notifications.way_code (
        municipality, code_id, contact_ref, way_no, code_hash, address_hash, asked_at, expires_at)
    VALUES (:municipality, :code_id, :contact_ref, :way_no, :code_hash, :address_hash, :now, :expires_at)
""")
_TRY = Prepared(f"""
    UPDATE notifications.way_code SET tries = tries + 1
    WHERE (municipality, contact_ref, way_no) = (:municipality, :contact_ref, :way_no)
      AND ended_at IS NULL AND expires_at > :now AND tries < {CODE_TRIES_MAX}
    RETURNING code_id, code_hash, tries
""")
_PROVE = Prepared("""
    UPDATE notifications.contact_way w
    SET verified_at = :now, state = 'good',
        state_at = CASE WHEN state = 'dead' THEN :now ELSE state_at END,
        state_no = state_no + CAST(state = 'dead' AS int)
    WHERE (municipality, contact_ref, way_no) = (:municipality, :contact_ref, :way_no)
    RETURNING contact_ref, way_no, kind, state_no
""")
_NO_PAPER = Prepared("""
    UPDATE notifications.contact_point SET wants_paper = false
    WHERE (municipality, contact_ref) = (:municipality, :contact_ref)
""")


async def ask_code(
    session: AsyncSession, keys: Keys, municipality: str, contact_ref: UUID, way_no: int, *, now: datetime
) -> None:
    """Send a code to a way that is to be proved, or proved again because it was dead. An earlier one is over.

    Raises:
        Refusal: `not_found` (404); `way_proved` (409), there is nothing to prove; `codes_too_many` (429).
    """
    contact = await lock_contact(session, municipality, contact_ref)
    about = {"municipality": municipality, "contact_ref": contact_ref, "way_no": way_no}
    way = await _WAY.row(session, about)
    if way is None or way.kind not in PROVED_BY_CODE:
        raise Refusal("not_found", 404)
    if way.verified_at is not None and way.state == "good":
        raise Refusal("way_proved", 409)
    context = context_of(municipality, contact.subject_ref)
    address = keys.vault.open(way.wrapped_key, context, ADDRESS, bytes(way.address_sealed))
    hashed = keys.address_hash(municipality, address)
    asked = await _ASKED.row(session, about | {"address_hash": hashed, "since": now - ASKINGS_WITHIN})
    if max(asked.for_contact, asked.for_address) >= ASKINGS_MAX:
        raise Refusal("codes_too_many", 429)
    code_id, code, until = uuid4(), new_code(CODE_LENGTH), now + CODE_LIFETIME
    await _END.row(session, about | {"now": now})
    kept = {
        "code_id": code_id,
        "code_hash": keys.code_hash(code_id, code),
        "address_hash": hashed,
        "now": now,
        "expires_at": until,
    }
    await _KEEP.row(session, about | kept)
    of_way = uuid5(NAMESPACE_URL, f"code:{municipality}:{contact_ref}:{way_no}")
    await send_code(session, keys.vault, municipality, contact_ref, way_no, code, about=of_way, until=until, now=now)


async def try_code(
    session: AsyncSession, keys: Keys, municipality: str, contact_ref: UUID, way_no: int, code: str, *, now: datetime
) -> Tried:
    """Take a code that was typed: `proved`, and the way is used from now on; `wrong`; or `over`: none opens any more.

    Raises:
        Refusal: `not_found` (404), there is no such way.
    """
    contact = await lock_contact(session, municipality, contact_ref)
    about = {"municipality": municipality, "contact_ref": contact_ref, "way_no": way_no, "now": now}
    known = await _WAY.row(session, about)
    if known is None:
        raise Refusal("not_found", 404)
    if known.verified_at is not None and known.state == "good":
        # The button was pressed twice.
        return "proved"
    tried = await _TRY.row(session, about)
    if tried is None:
        return "over"
    if not keys.is_code(tried.code_id, code, bytes(tried.code_hash)):
        return "wrong" if tried.tries < CODE_TRIES_MAX else "over"
    await _END.row(session, about)
    way = await _PROVE.row(session, about)
    if known.state == "dead":
        await tell_state(session, municipality, contact.case_id, way, is_dead=False, now=now)
    await want_messages(session, municipality, contact_ref)
    if known.verified_at is None:
        await ledger.write(session, approved(contact, way.kind, is_relay=known.is_relay, now=now))
    return "proved"


async def want_messages(session: AsyncSession, municipality: str, contact_ref: UUID) -> None:
    """Whoever gives a way wants to be told by it, though they wanted paper before."""
    await _NO_PAPER.row(session, {"municipality": municipality, "contact_ref": contact_ref})


async def end_codes(session: AsyncSession, municipality: str, contact_ref: UUID, way_no: int, *, now: datetime) -> None:
    """No code of this way opens any more."""
    about = {"municipality": municipality, "contact_ref": contact_ref, "way_no": way_no}
    await _END.row(session, about | {"now": now})
