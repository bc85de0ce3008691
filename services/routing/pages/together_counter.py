"""Somebody with a helper beside them goes on at a counter: the earliest time, and what one yes to it hands over."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.handover import preview_handover
from services.routing.commands.online import OnlineCase
from services.routing.keys import Keys
from services.routing.pages.offer_groups import group_offers
from services.routing.pages.wording import LEGAL_BASIS, place_of
from services.routing.queries.catalogue import list_counters
from services.routing.queries.switching import list_booked
from shared.tokens import Identity
from shared.web.i18n import translate


class AtCounter(msgspec.Struct, frozen=True, kw_only=True):
    """How a case goes on at a counter: with a time that was taken; or with the one that was free first when it was
    wished for, and what would be handed over. `is_full`: there was none. With nothing of it, times are chosen where
    they always are."""

    booked: Mapping[str, Any] | None = None
    offer: Mapping[str, Any] | None = None
    is_full: bool = False

    @property
    def is_said(self) -> bool:
        """Whether there is anything."""
        return bool(self.booked or self.offer or self.is_full)


async def draw_counter(
    session: AsyncSession, keys: Keys, identity: Identity, online: OnlineCase, *, now: datetime
) -> AtCounter:
    """What `/together` says of the counter.

    Looking at what would be handed over is written down (`preview_handover`): the page does not ask again by itself.
    """
    town = identity.municipality
    counters = await list_counters(session, town)
    booked = await list_booked(session, town, online.case_id, now=now)
    for each in booked:
        if each.channel == "counter":
            place = counters.get(each.counter)
            where = place_of(place) if place else ""
            return AtCounter(booked={"number": each.number, "starts_at": each.starts_at, "where": where})
    wish = online.switched
    # Several procedures in one visit take several times, which are chosen together.
    if wish is None or wish.said != "helper" or online.together:
        return AtCounter()
    if wish.starts_at is None:
        return AtCounter(is_full=True)
    counter = counters.get(wish.counter or "")
    if counter is None or wish.starts_at <= now:
        return AtCounter()
    preview = await preview_handover(session, keys.vault, identity=identity, case_id=online.case_id, now=now)
    if preview is None:
        return AtCounter()
    return AtCounter(
        offer={
            "starts_at": wish.starts_at,
            "counter": counter.code,
            "where": place_of(counter),
            "groups": group_offers(preview, {}),
            "legal_basis": translate(LEGAL_BASIS["appi_69_2_1"]),
        }
    )
