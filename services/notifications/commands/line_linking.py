"""Linking LINE: the page shows a code, its owner sends it to the town's account, and the signed event says whose it is.

What a wrong code costs is committed: `link_line` answers, and raises nothing.
"""

from datetime import datetime
from typing import Literal, NamedTuple
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.commands.line import record_follow
from services.notifications.commands.way_codes import want_messages
from services.notifications.commands.ways import NewWay, add_way, list_ways, lock_contact
from services.notifications.commands.wish_entries import approved
from services.notifications.domain.line_codes import LINE_TRIES_MAX
from services.notifications.domain.proofs import ASKINGS_MAX, ASKINGS_WITHIN, CODE_LIFETIME
from services.notifications.domain.ways import WAYS_MAX
from services.notifications.keys import Keys
from services.notifications.tables import ledger
from shared.crypto import token_hash
from shared.db import Prepared
from shared.errors import Refusal

# `again`: LINE brings what it may have brought before, and it is answered once.
Said = Literal["linked", "again", "wrong", "too_many", "full"]
# One in a hundred million is another's already.
IDS_MAX = 3

_ASKED = Prepared("""
    SELECT count(*) AS count FROM notifications.line_code
    WHERE (municipality, contact_ref) = (:municipality, :contact_ref) AND asked_at > :since
""")
_END = Prepared("""
    UPDATE notifications.line_code SET ended_at = :now
    WHERE (municipality, contact_ref) = (:municipality, :contact_ref) AND ended_at IS NULL
""")
_KEEP = Prepared("""
    INSERT INTO notifications.line_code (municipality, code_id, contact_ref, code_hash, asked_at, expires_at)
    VALUES (:municipality, :code_id, :contact_ref, :code_hash, :now, :expires_at)
    ON CONFLICT (municipality, code_hash) DO NOTHING RETURNING code_id
""")
_NEWEST = Prepared("""
    SELECT code_id, sent_by IS NOT NULL AS is_linked, ended_at IS NULL AND expires_at > :now AS is_live
    FROM notifications.line_code WHERE (municipality, contact_ref) = (:municipality, :contact_ref)
    ORDER BY ended_at IS NOT NULL, asked_at DESC LIMIT 1
""")
_FIND = Prepared("""
    SELECT code_id, contact_ref, sent_by, ended_at IS NULL AND expires_at > :now AS is_live
    FROM notifications.line_code WHERE (municipality, code_hash) = (:municipality, :code_hash)
""")
# Of two who send it at once, or of one event that comes twice, one has it.
_USE = Prepared("""
    UPDATE notifications.line_code SET (ended_at, sent_by) = (:now, :user_hash)
    WHERE (municipality, code_id) = (:municipality, :code_id) AND ended_at IS NULL RETURNING code_id
""")
_TRIED = Prepared("""
    SELECT count(*) AS count FROM notifications.line_try
    WHERE (municipality, user_hash) = (:municipality, :user_hash) AND tried_at > :since
""")
_NOTE_TRY = Prepared("""
    INSERT INTO notifications.line_try (municipality, try_id, user_hash, tried_at)
    VALUES (:municipality, :try_id, :user_hash, :now)
""")
_HAS = Prepared("""
    SELECT way_no FROM notifications.contact_way
    WHERE (municipality, contact_ref, line_hash) = (:municipality, :contact_ref, :user_hash)
""")
_NAME = Prepared("""
    UPDATE notifications.contact_way SET line_hash = :user_hash
    WHERE (municipality, contact_ref, way_no) = (:municipality, :contact_ref, :way_no)
""")


class Shown(NamedTuple):
    """What the page shows of the newest code: it, while it can be sent; or that it was."""

    code: str
    is_linked: bool


class Linking(NamedTuple):
    """What came of what somebody sent, and in which language they are told; None: who it is is not known."""

    said: Said
    language: str | None = None


async def ask_line_code(
    session: AsyncSession, keys: Keys, municipality: str, contact_ref: UUID, *, now: datetime
) -> None:
    """Make a code for the page to show. An earlier one is over.

    Raises:
        Refusal: `not_found` (404) contact; `ways_full` (409); `codes_too_many` (429).
    """
    await lock_contact(session, municipality, contact_ref)
    about = {"municipality": municipality, "contact_ref": contact_ref, "now": now}
    if len((await list_ways(session, municipality, [contact_ref]))[contact_ref]) >= WAYS_MAX:
        raise Refusal("ways_full", 409, most=WAYS_MAX)
    asked = await _ASKED.row(session, about | {"since": now - ASKINGS_WITHIN})
    if asked.count >= ASKINGS_MAX:
        raise Refusal("codes_too_many", 429)
    await _END.row(session, about)
    for _ in range(IDS_MAX):
        code_id = uuid4()
        hashed = keys.line_code_hash(municipality, keys.line_code(code_id))
        kept = {"code_id": code_id, "code_hash": hashed, "expires_at": now + CODE_LIFETIME}
        if await _KEEP.row(session, about | kept) is not None:
            return


async def show_line_code(
    session: AsyncSession, keys: Keys, municipality: str, contact_ref: UUID, *, now: datetime
) -> Shown | None:
    """The contact's newest code; None: there is none, or it is over."""
    about = {"municipality": municipality, "contact_ref": contact_ref, "now": now}
    newest = await _NEWEST.row(session, about)
    if newest is None or not (newest.is_live or newest.is_linked):
        return None
    return Shown(keys.line_code(newest.code_id), newest.is_linked)


async def link_line(
    session: AsyncSession, keys: Keys, municipality: str, user_id: str, code: str, *, told_at: datetime, now: datetime
) -> Linking:
    """Take a code that an account at LINE sent at a moment (`told_at`): from now on it is a way of its contact."""
    user_hash = token_hash(user_id)
    about = {"municipality": municipality, "user_hash": user_hash, "now": now}
    found = await _FIND.row(session, about | {"code_hash": keys.line_code_hash(municipality, code)})
    if found is not None and found.sent_by is not None and bytes(found.sent_by) == user_hash:
        return Linking("again")
    tried = await _TRIED.row(session, about | {"since": now - ASKINGS_WITHIN})
    if tried.count >= LINE_TRIES_MAX:
        return Linking("too_many")
    if found is None or not found.is_live:
        await _NOTE_TRY.row(session, about | {"try_id": uuid4()})
        return Linking("wrong")
    try:
        contact = await lock_contact(session, municipality, found.contact_ref)
    except Refusal:
        # Its approval was taken back meanwhile.
        return Linking("wrong")
    of_contact = about | {"contact_ref": found.contact_ref}
    language = contact.chosen_language or contact.language
    known = await _HAS.row(session, of_contact)
    ways = (await list_ways(session, municipality, [found.contact_ref]))[found.contact_ref]
    if known is None and len(ways) >= WAYS_MAX:
        return Linking("full", language)
    if await _USE.row(session, of_contact | {"code_id": found.code_id}) is None:
        return Linking("wrong", language)
    if known is None:
        new = NewWay(kind="line", address=user_id)
        way_no = await add_way(session, keys.vault, municipality, found.contact_ref, new, now=now)
        await _NAME.row(session, of_contact | {"way_no": way_no})
        await ledger.write(session, approved(contact, "line", is_relay=False, now=now))
    # Whoever writes to the account is there: a way that was dead is alive again.
    await record_follow(session, municipality, user_id, follows=True, told_at=told_at, now=now)
    await want_messages(session, municipality, found.contact_ref)
    return Linking("linked", language)
