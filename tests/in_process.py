"""The three applications in this process on a test's database, and what a town's pack tells them."""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.app import create_app as create_booking
from services.booking.commands.opening import load_opening_rules
from services.booking.settings import load_settings as load_booking
from services.notifications.app import create_app as create_notifications
from services.notifications.commands.rules import load_notice_rules
from services.notifications.settings import load_settings as load_notifications
from services.routing.app import create_app as create_routing
from services.routing.commands.catalogue import publish_catalogue
from services.routing.settings import load_settings as load_routing
from shared.clock import Clock
from shared.db import Database
from shared.town_pack import TownPack
from shared.web.middleware import AroundRequest

_MAKERS: dict[str, tuple[Callable[..., Any], Callable[..., AroundRequest]]] = {
    "routing": (load_routing, create_routing),
    "booking": (load_booking, create_booking),
    "notifications": (load_notifications, create_notifications),
}


def make_apps(environ: Mapping[str, str], dbs: Mapping[str, Database], clock: Clock) -> dict[str, AroundRequest]:
    """Each service's application, on its own connection."""
    return {name: create(load(environ), clock=clock, db=dbs[name]) for name, (load, create) in _MAKERS.items()}


async def load_pack(
    begin: Callable[[str], AbstractAsyncContextManager[AsyncSession]], pack: TownPack, *, public_url: str, now: datetime
) -> None:
    """Tell every service what the pack says, as the operator does. `begin`: a transaction of the town in a service."""
    async with begin("booking") as session:
        await load_opening_rules(session, pack, now=now)
    async with begin("notifications") as session:
        await load_notice_rules(session, pack, now=now)
    async with begin("routing") as session:
        await publish_catalogue(session, pack, public_url=public_url, now=now)
