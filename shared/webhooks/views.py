"""Webhooks, as staff see them: the town's other systems, and what became of each message."""

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from shared.errors import Refusal
from shared.webhooks.endpoints import ENDPOINTS_MAX
from shared.webhooks.tries import State

DELIVERIES_SHOWN = 50


class EndpointView(msgspec.Struct, frozen=True, kw_only=True):
    """Another system of the town. `waiting`: how many messages it has not taken yet, for whatever reason."""

    endpoint_id: UUID
    name_ja: str
    url: str
    kinds: tuple[str, ...]
    state: State
    failing_since: datetime | None
    old_secret_until: datetime | None
    waiting: int


class DeliveryView(msgspec.Struct, frozen=True, kw_only=True):
    """A message, and what became of its last try."""

    delivery_id: UUID
    kind: str
    told_at: datetime
    state: Literal["waiting", "taken", "given_up"]
    tries: int
    next_try_at: datetime
    answer: str | None
    answered_at: datetime | None


_ENDPOINTS = f"""
    SELECT e.endpoint_id, e.name_ja, e.url, e.kinds, e.state, e.failing_since,
           CASE WHEN e.old_secret_until > :now THEN e.old_secret_until END AS old_secret_until,
           (SELECT count(*) FROM webhook_delivery d
            WHERE (d.municipality, d.endpoint_id) = (e.municipality, e.endpoint_id) AND d.state = 'waiting') AS waiting
    FROM webhook_endpoint e WHERE e.municipality = :municipality {{which}}
    ORDER BY e.registered_at, e.endpoint_id LIMIT {ENDPOINTS_MAX}
"""
_ALL = text(_ENDPOINTS.format(which=""))
_ONE = text(_ENDPOINTS.format(which="AND e.endpoint_id = :endpoint_id"))
_DELIVERIES = text(f"""
    SELECT delivery_id, kind, told_at, state, tries, next_try_at, answer, answered_at FROM webhook_delivery
    WHERE (municipality, endpoint_id) = (:municipality, :endpoint_id)
    ORDER BY told_at DESC, delivery_id LIMIT {DELIVERIES_SHOWN}
""")

_STOPPED = text("SELECT count(*) FROM webhook_endpoint WHERE municipality = :municipality AND state = 'stopped'")


async def list_endpoints(session: AsyncSession, municipality: str, *, now: datetime) -> list[EndpointView]:
    """All of a town's."""
    rows = (await session.execute(_ALL, {"municipality": municipality, "now": now})).all()
    return [msgspec.convert(row, EndpointView, from_attributes=True) for row in rows]


async def get_endpoint(session: AsyncSession, municipality: str, endpoint_id: UUID, *, now: datetime) -> EndpointView:
    """One.

    Raises:
        Refusal: `webhook_unknown` (404).
    """
    asked = {"municipality": municipality, "endpoint_id": endpoint_id, "now": now}
    row = (await session.execute(_ONE, asked)).one_or_none()
    if row is None:
        raise Refusal("webhook_unknown", 404)
    return msgspec.convert(row, EndpointView, from_attributes=True)


async def count_stopped(session: AsyncSession, municipality: str) -> int:
    """How many of a town's are sent nothing any more until a manager has looked."""
    return int((await session.execute(_STOPPED, {"municipality": municipality})).scalar_one())


async def list_deliveries(session: AsyncSession, municipality: str, endpoint_id: UUID) -> list[DeliveryView]:
    """The newest messages for one."""
    rows = (await session.execute(_DELIVERIES, {"municipality": municipality, "endpoint_id": endpoint_id})).all()
    return [msgspec.convert(row, DeliveryView, from_attributes=True) for row in rows]
