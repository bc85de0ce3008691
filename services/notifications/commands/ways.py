"""The ways of a contact: kept with it, and which of them a notice can still take."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.commands.dead_ways import ask_anew
from services.notifications.commands.subjects import ADDRESS, seal_for_subject
from services.notifications.domain.outcomes import is_dead
from services.notifications.domain.ways import FIRST_WAY, WAYS_MAX, Way, WayKind, ways_left
from shared.crypto import SubjectVault
from shared.db import Prepared
from shared.errors import Refusal

_KEEP_FIRST = Prepared(f"""
    INSERT INTO notifications.contact_way AS known (
        municipality, contact_ref, way_no, position, kind, address_sealed, verified_at)
    VALUES (:municipality, :contact_ref, {FIRST_WAY}, {FIRST_WAY}, :kind, :sealed, :now)
    ON CONFLICT (municipality, contact_ref, way_no) DO UPDATE
    SET (kind, address_sealed, verified_at, state, state_at)
      = (excluded.kind, excluded.address_sealed, excluded.verified_at, 'good', NULL)
""")
# Locked: of two that are added at once the second counts the first.
_CONTACT = Prepared("""
    SELECT * FROM notifications.contact_point
    WHERE (municipality, contact_ref) = (:municipality, :contact_ref) FOR UPDATE
""")
_PLACE = Prepared("""
    SELECT count(*) AS count, coalesce(max(position), 0) + 1 AS position
    FROM notifications.contact_way WHERE (municipality, contact_ref) = (:municipality, :contact_ref)
""")
_NUMBER = Prepared("""
    UPDATE notifications.contact_point SET last_way_no = last_way_no + 1
    WHERE (municipality, contact_ref) = (:municipality, :contact_ref) RETURNING last_way_no
""")
_ADD = Prepared("""
    INSERT INTO notifications.contact_way (
        municipality, contact_ref, way_no, position, kind, address_sealed, is_relay, verified_at)
    VALUES (:municipality, :contact_ref, :way_no, :position, :kind, :sealed, :is_relay, :verified_at)
""")
_FORGET = Prepared("""
    DELETE FROM notifications.contact_way WHERE (municipality, contact_ref) = (:municipality, :contact_ref)
""")
_WAYS = Prepared("""
    SELECT contact_ref, way_no, kind, state, is_relay, verified_at IS NOT NULL AS is_proved
    FROM notifications.contact_way
    WHERE municipality = :municipality AND contact_ref = ANY (CAST(:contacts AS uuid[]))
    ORDER BY contact_ref, position
""")
# Who wants paper by now is not written to after all; and what proves one way goes by no other.
_MAY_GO_ON = Prepared("""
    SELECT NOT c.wants_paper AND n.only_way IS NULL AS may FROM notifications.notice n
    JOIN notifications.contact_point c USING (municipality, contact_ref)
    WHERE (n.municipality, n.notice_id) = (:municipality, :notice_id)
""")
_FAILED = Prepared("""
    SELECT DISTINCT notice_id, way_no FROM notifications.attempt
    WHERE municipality = :municipality AND notice_id = ANY (CAST(:notices AS uuid[]))
      AND (outcome = 'permanent' OR delivery = 'not_delivered')
""")
_DEAD = Prepared("""
    UPDATE notifications.contact_way w SET state = 'dead', state_at = :now, state_no = state_no + 1
    FROM notifications.notice n,
         unnest(CAST(:notices AS uuid[]), CAST(:ways AS int[])) AS told(notice_id, way_no)
    WHERE w.municipality = :municipality AND w.state <> 'dead'
      AND (n.municipality, n.notice_id) = (w.municipality, told.notice_id)
      AND (w.contact_ref, w.way_no) = (n.contact_ref, told.way_no)
    RETURNING w.contact_ref, w.way_no, w.kind, w.state_no, n.kind AS found_by
""")


class NewWay(msgspec.Struct, frozen=True, kw_only=True):
    """A way that somebody adds. `address` as its kind has it: a mail address, a number in E.164, an id of LINE, or the
    lines of a letter, the postal code first. What `needs_proof` is used for its code alone, until that is typed.
    """

    kind: WayKind
    address: str
    is_relay: bool = False
    needs_proof: bool = False

    def __repr__(self) -> str:
        # Never what is open in it: a representation ends up in logs.
        return f"NewWay({self.kind})"


async def keep_first_way(
    session: AsyncSession, municipality: str, contact_ref: UUID, kind: str, sealed: bytes, *, now: datetime
) -> None:
    """Keep the way that was given with the contact; given anew, it is as good as new."""
    contact = {"municipality": municipality, "contact_ref": contact_ref}
    await _KEEP_FIRST.row(session, contact | {"kind": kind, "sealed": sealed, "now": now})


async def add_way(
    session: AsyncSession, vault: SubjectVault, municipality: str, contact_ref: UUID, new: NewWay, *, now: datetime
) -> int:
    """Keep one more way of a contact, after those that it has; return its number.

    Raises:
        Refusal: `not_found` (404) contact, or one that is to be told on paper; `ways_full` (409).
    """
    about = {"municipality": municipality, "contact_ref": contact_ref}
    contact = await lock_contact(session, municipality, contact_ref)
    known = await _PLACE.row(session, about)
    if known.count >= WAYS_MAX:
        raise Refusal("ways_full", 409, most=WAYS_MAX)
    sealed = await seal_for_subject(
        session,
        vault,
        municipality=municipality,
        subject_ref=contact.subject_ref,
        field=ADDRESS,
        value=new.address,
        now=now,
    )
    numbered = await _NUMBER.row(session, about)
    added = {
        "way_no": numbered.last_way_no,
        "position": known.position,
        "sealed": sealed,
        "kind": new.kind,
        "is_relay": new.is_relay,
        "verified_at": None if new.needs_proof else now,
    }
    await _ADD.row(session, about | added)
    return int(numbered.last_way_no)


async def lock_contact(session: AsyncSession, municipality: str, contact_ref: UUID) -> Any:
    """The contact, for whoever is about to change its ways: of two at once the second sees what the first did.

    Raises:
        Refusal: `not_found` (404): there is none, or its approval was taken back.
    """
    contact = await _CONTACT.row(session, {"municipality": municipality, "contact_ref": contact_ref})
    if contact is None or contact.reach == "none":
        raise Refusal("not_found", 404)
    return contact


async def forget_ways(session: AsyncSession, municipality: str, contact_ref: UUID) -> None:
    """Destroy every address of a contact."""
    await _FORGET.row(session, {"municipality": municipality, "contact_ref": contact_ref})


async def list_ways(session: AsyncSession, municipality: str, contact_refs: Collection[UUID]) -> dict[UUID, list[Way]]:
    """The ways of these contacts, each in the person's order."""
    ways: dict[UUID, list[Way]] = defaultdict(list)
    for row in await _WAYS.rows(session, {"municipality": municipality, "contacts": list(contact_refs)}):
        ways[row.contact_ref].append(Way(**{name: row[name] for name in Way.__struct_fields__}))
    return ways


async def list_failed(session: AsyncSession, municipality: str, notice_ids: Sequence[UUID]) -> dict[UUID, set[int]]:
    """By which ways each of these notices cannot be told: refused for good, or told later that it did not arrive."""
    failed: dict[UUID, set[int]] = defaultdict(set)
    for row in await _FAILED.rows(session, {"municipality": municipality, "notices": list(notice_ids)}):
        failed[row.notice_id].add(row.way_no)
    return failed


async def has_way_left(session: AsyncSession, municipality: str, notice_id: UUID, contact_ref: UUID | None) -> bool:
    """Whether a notice can go by another way than those that failed. An account has one."""
    about = {"municipality": municipality, "notice_id": notice_id}
    going_on = await _MAY_GO_ON.row(session, about) if contact_ref is not None else None
    if contact_ref is None or going_on is None or not going_on.may:
        return False
    ways = await list_ways(session, municipality, [contact_ref])
    failed = await list_failed(session, municipality, [notice_id])
    return bool(ways_left(ways[contact_ref], failed[notice_id]))


async def mark_dead(
    session: AsyncSession, municipality: str, told: Sequence[tuple[UUID, int, str | None]], *, now: datetime
) -> None:
    """Note which ways turned out to lead nowhere, by a notice, its way, and the code of what became of it; and ask
    their people for better ones.
    """
    dead = [(notice_id, way_no) for notice_id, way_no, code in told if is_dead(code)]
    if not dead:
        return
    notices, ways = (list(column) for column in zip(*dead, strict=True))
    found = {"municipality": municipality, "notices": notices, "ways": ways, "now": now}
    for row in await _DEAD.rows(session, found):
        await ask_anew(session, municipality, row, now=now)
