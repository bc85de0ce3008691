"""Steps that a tablet without network kept: merged one by one, each exactly once under its key."""

from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.keyed import do_once, request_hash
from services.booking.commands.line import MoveAlong, check_in_by_number, move_along
from services.booking.commands.steps import Moved
from services.booking.domain.line import Action
from shared.errors import Refusal
from shared.reference_number import read_number
from shared.tokens import Identity


class LateStep(msgspec.Struct, frozen=True, kw_only=True):
    """A step as it was pressed: with somebody that the tablet showed, at a version, or a check-in by number."""

    key: str
    action: Action
    at: datetime
    appointment_id: UUID | None = None
    version_seen: int | None = None
    number: str | None = None


async def step_once(
    session: AsyncSession,
    actor: Identity,
    order: MoveAlong,
    key: str | None,
    *,
    now: datetime,
    at: datetime | None = None,
) -> Moved:
    """Take one step, once under its key: sent at once and sent again later from a tablet's memory are the same.

    Raises:
        Refusal: `key_reused` (422), and as `move_along`.
    """

    async def step() -> Moved:
        return await move_along(session, actor, order, now=now, at=at)

    hashed = request_hash("step", order)
    return await do_once(session, actor.municipality, f"staff:{actor.ref}", key, hashed, step, Moved, now=now)


async def check_in_once(
    session: AsyncSession, actor: Identity, typed: str, key: str | None, *, now: datetime, at: datetime | None = None
) -> Moved:
    """Check in by number, once under its key.

    Raises:
        Refusal: `key_reused` (422), and as `check_in_by_number`.
    """

    async def check_in() -> Moved:
        return await check_in_by_number(session, actor, typed, now=now, at=at)

    # Written in another way, it is the same number.
    hashed = request_hash("check-in", read_number(typed) or typed.strip())
    return await do_once(session, actor.municipality, f"staff:{actor.ref}", key, hashed, check_in, Moved, now=now)


async def merge_step(session: AsyncSession, actor: Identity, late: LateStep, *, now: datetime) -> Moved:
    """Take a step that was pressed without network, with the time at which it was pressed.

    Raises:
        Refusal: as `step_once` and `check_in_once`; `bad_request` (400): neither of the two.
    """
    if late.appointment_id is not None and late.version_seen is not None:
        order = MoveAlong(appointment_id=late.appointment_id, action=late.action, version=late.version_seen)
        return await step_once(session, actor, order, late.key, now=now, at=late.at)
    if late.number is not None and late.action == "check-in":
        return await check_in_once(session, actor, late.number, late.key, now=now, at=late.at)
    raise Refusal("bad_request", 400)
