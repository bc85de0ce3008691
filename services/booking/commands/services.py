"""Choosing what is done in one appointment: several procedures of a counter, and how many of each."""

from datetime import datetime
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.holds import HoldPlace, hold_place
from services.booking.commands.marks import mark_availability
from services.booking.commands.visits import release_places
from services.booking.domain.services import Service, is_plain, refuse_unfit, time_needed
from services.booking.queries.services import find_kinds, outlasts_slots
from shared.audit import record_deed
from shared.errors import Refusal
from shared.tokens import Identity

# Why a time that is held does not do any more.
NO_LONGER_FITS = frozenset({"slot_taken", "slot_too_short", "slot_unfit", "slot_too_soon", "slot_too_far"})


class ChooseServices(msgspec.Struct, frozen=True, kw_only=True):
    """The order what to do in the one appointment of a visit; its own procedure comes first."""

    municipality: str
    visit_id: UUID
    visitor: str
    services: tuple[Service, ...]
    staff: Identity | None = None


_LOCK = text("""
    SELECT v.guest_ref, v.expires_at, v.appointment_id, v.procedure, v.channel, v.services,
           EXISTS (SELECT 1 FROM visit_errand e
                   WHERE (e.municipality, e.visit_id) = (v.municipality, v.visit_id)) AS is_chain
    FROM visit v WHERE v.municipality = :municipality AND v.visit_id = :visit_id FOR UPDATE
""")
_HELD = text("""
    SELECT slot_id FROM place
    WHERE municipality = :municipality AND visit_id = :visit_id AND hold_id IS NOT NULL AND part = 1
      AND held_until > :now
""")
_CHOOSE = text("""
    UPDATE visit SET services = CAST(:services AS jsonb), minutes = :minutes
    WHERE (municipality, visit_id) = (:municipality, :visit_id)
""")


async def choose_services(session: AsyncSession, order: ChooseServices, *, now: datetime) -> None:
    """Choose what to do in one appointment. A time that the visit holds stays, as long as it is needed now.

    Raises:
        Refusal: `visit_unknown` (404), `visit_booked` (409), `visit_over` (410), `services_of_chain`,
            `services_with_helper`, `services_unfit`, `services_too_long` (409); `services_no_room` (409), the time that
            is held is not free for so long: everything stays as it was.
    """
    mine = {"municipality": order.municipality, "visit_id": order.visit_id}
    row = (await session.execute(_LOCK, mine)).one_or_none()
    if row is None or row.guest_ref != order.visitor:
        raise Refusal("visit_unknown", 404)
    if row.appointment_id is not None:
        raise Refusal("visit_booked", 409)
    if row.expires_at <= now:
        raise Refusal("visit_over", 410)
    if row.is_chain:
        raise Refusal("services_of_chain", 409)
    if row.channel != "counter":
        raise Refusal("services_with_helper", 409)
    kinds = await find_kinds(session, order.municipality, [each.procedure for each in order.services])
    refuse_unfit(kinds, order.services, own=row.procedure)
    fits = is_plain(order.services) and not await outlasts_slots(session, order.municipality, row.procedure)
    chosen = None if fits else [msgspec.to_builtins(each) for each in order.services]
    if chosen == row.services:
        return
    held = (await session.execute(_HELD, mine | {"now": now})).scalar_one_or_none()
    if counters := await release_places(session, order.municipality, order.visit_id, now=now):
        await mark_availability(session, order.municipality, counters, now=now)
    minutes = None if chosen is None else time_needed(kinds, order.services)
    services = None if chosen is None else msgspec.json.encode(chosen).decode()
    await session.execute(_CHOOSE, mine | {"services": services, "minutes": minutes})
    if held is not None:
        await _hold_again(session, order, held, now=now)
    await record_deed(session, order.staff, "services", order.visit_id, now=now)


async def _hold_again(session: AsyncSession, order: ChooseServices, slot_id: UUID, *, now: datetime) -> None:
    again = HoldPlace(
        municipality=order.municipality,
        visit_id=order.visit_id,
        visitor=order.visitor,
        slot_id=slot_id,
        # Chosen again, it is the same: no answer need be remembered.
        key=f"services/{uuid4()}",
        staff=order.staff,
    )
    try:
        await hold_place(session, again, now=now)
    except Refusal as refusal:
        if refusal.code not in NO_LONGER_FITS:
            raise
        raise Refusal("services_no_room", 409) from refusal
