"""By which key another system of the town comes in."""

from datetime import datetime
from typing import Any

import msgspec
from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from services.notifications.commands.systems import note_use
from services.notifications.domain.systems import USED_NOTED_EVERY, is_secret, read_key
from services.notifications.queries_of_systems import System, find_by_key
from shared.errors import Refusal
from shared.web.addresses import network_of
from shared.web.parts import parts_of

SCHEME = "Bearer "
WRONG_PER_ADDRESS = parse("30 per 15 minutes")
# What a secret is compared with where there is none: it takes as long.
_NOBODYS = bytes(32)
_SYSTEM = "system"


class KeyTries:
    """Counts wrong keys. One per process, kept in memory: whoever has a right one is never held up by others."""

    def __init__(self) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    def count_wrong(self, municipality: str, network: str) -> Refusal:
        """Count one; what is answered."""
        has_room = self._limiter.hit(WRONG_PER_ADDRESS, "key", municipality, network)
        return Refusal("system_key", 401) if has_room else Refusal("too_many_tries", 429)


async def require_system(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """A system of this town, by its key: `Authorization: Bearer choudo_…`.

    Raises:
        Refusal: `system_key` (401), whatever is wrong with it; `too_many_tries` (429).
    """
    parts, state = parts_of(connection.scope), connection.scope["state"]
    municipality, now = state["town"].code, state["now"]
    shown = connection.headers.get("authorization", "")
    key = read_key(shown.removeprefix(SCHEME)) if shown.startswith(SCHEME) else None
    if key is not None and key.municipality == municipality:
        async with parts.db.begin(municipality) as session:
            found = await find_by_key(session, municipality, key.key_id)
            is_theirs = is_secret(key.secret, _NOBODYS if found is None else bytes(found.secret_hash))
            if found is not None and is_theirs:
                if _is_to_be_noted(found.last_used_at, now):
                    await note_use(session, municipality, key.key_id, now=now)
                state[_SYSTEM] = msgspec.convert(found, System, from_attributes=True)
                return
    tries: KeyTries = parts.asked["key_tries"]
    raise tries.count_wrong(municipality, network_of(connection.client.host if connection.client else ""))


def system_of(request: Request[Any, Any, Any]) -> System:
    """The system that asks, behind the guard."""
    system: System = request.scope["state"][_SYSTEM]
    return system


def _is_to_be_noted(last_used_at: datetime | None, now: datetime) -> bool:
    return last_used_at is None or now - last_used_at >= USED_NOTED_EVERY
