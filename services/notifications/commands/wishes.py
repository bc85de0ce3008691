"""What a person wishes of their notices (お知らせの受けとり方): how it stands, and another wish."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.commands.contacts import read_hints
from services.notifications.commands.rules import replan_contact
from services.notifications.commands.ways import lock_contact
from services.notifications.domain.quiet_hours import Quiet, quiet_of
from services.notifications.domain.stops import StopKey
from services.notifications.domain.ways import WayKind
from shared.crypto import SubjectVault
from shared.db import Prepared

_CONTACT = Prepared("""
    SELECT reach, coalesce(chosen_language, language) AS language, wants_paper, quiet_from, quiet_to, stopped
    FROM notifications.contact_point WHERE (municipality, contact_ref) = (:municipality, :contact_ref)
""")
_WAYS = Prepared("""
    SELECT way_no, kind, is_relay, verified_at IS NOT NULL AS is_proved, state = 'dead' AS is_dead
    FROM notifications.contact_way WHERE (municipality, contact_ref) = (:municipality, :contact_ref)
    ORDER BY position
""")
_WISH = Prepared("""
    UPDATE notifications.contact_point
    SET (chosen_language, quiet_from, quiet_to, stopped) = (:language, :quiet_from, :quiet_to, :stopped)
    WHERE (municipality, contact_ref) = (:municipality, :contact_ref)
""")
_PAPER = Prepared("""
    UPDATE notifications.contact_point SET wants_paper = :wants_paper
    WHERE (municipality, contact_ref) = (:municipality, :contact_ref)
""")


class ShownWay(msgspec.Struct, frozen=True, kw_only=True):
    """A way as its owner sees it: never in full."""

    way_no: int
    kind: WayKind
    hint: str
    is_relay: bool
    is_proved: bool
    is_dead: bool


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """How it stands."""

    ways: tuple[ShownWay, ...]
    wants_paper: bool
    language: str
    quiet: Quiet
    stopped: frozenset[str]


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """How it is to be."""

    language: str
    quiet: Quiet
    stopped: tuple[StopKey, ...]


async def read_wishes(
    session: AsyncSession, vault: SubjectVault, municipality: str, contact_ref: UUID
) -> Wishes | None:
    """How it stands; None: there is no such contact, or its approval was taken back."""
    about = {"municipality": municipality, "contact_ref": contact_ref}
    contact: Any = await _CONTACT.row(session, about)
    if contact is None or contact.reach == "none":
        return None
    hints = await read_hints(session, vault, municipality, contact_ref)
    ways = await _WAYS.rows(session, about)
    return Wishes(
        ways=tuple(ShownWay(**dict(way), hint=hints.get(way.way_no, "")) for way in ways),
        wants_paper=contact.wants_paper,
        language=contact.language,
        quiet=quiet_of(contact.quiet_from, contact.quiet_to),
        stopped=frozenset(contact.stopped),
    )


async def change_wishes(
    session: AsyncSession, municipality: str, contact_ref: UUID, wish: Wish, *, now: datetime
) -> None:
    """Language, quiet hours and stops, from now on. Reminders of what is booked are planned by the new hours.

    Raises:
        Refusal: `not_found` (404).
    """
    contact = await lock_contact(session, municipality, contact_ref)
    own = wish.quiet.is_own
    values = {
        "language": wish.language,
        "quiet_from": wish.quiet.start if own else None,
        "quiet_to": wish.quiet.end if own else None,
        "stopped": list(wish.stopped),
    }
    await _WISH.row(session, {"municipality": municipality, "contact_ref": contact_ref} | values)
    if wish.quiet != quiet_of(contact.quiet_from, contact.quiet_to):
        await replan_contact(session, municipality, contact_ref, wish.quiet, now=now)


async def choose_paper(session: AsyncSession, municipality: str, contact_ref: UUID, *, wants_paper: bool) -> None:
    """Paper or a call instead of messages, or messages again. The ways stay as they are, until they are removed.

    Raises:
        Refusal: `not_found` (404).
    """
    await lock_contact(session, municipality, contact_ref)
    about = {"municipality": municipality, "contact_ref": contact_ref, "wants_paper": wants_paper}
    await _PAPER.row(session, about)
