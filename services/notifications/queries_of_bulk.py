"""What can be asked of bulk notices: whom they would reach and by which way, and what became of each. Counts alone."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.domain.bulk import (
    OPEN_STATES,
    STANDINGS,
    Audience,
    BulkState,
    Estimate,
    Prices,
    Standing,
    Words,
    Written,
)
from services.notifications.domain.notices import CALLED_OFF, TOWN_NEWS, Kind
from services.notifications.newest_notice import newest_notice
from services.notifications.tables import SERVICE, bulk_notice, way_price
from shared.db import Prepared
from shared.errors import Refusal

PAGE = 50
# The parts of a bulk notice that are written, as its columns.
WRITTEN = Written.__struct_fields__

_STOPPED = f"(CAST(:kind AS text) = '{TOWN_NEWS}' AND '{TOWN_NEWS}' = ANY (c.stopped))"
_BY: Mapping[str, str] = {
    "everybody": "true",
    "appointments": f"""c.contact_ref IN (
        SELECT a.contact_ref FROM {SERVICE}.appointment a
        WHERE a.municipality = :municipality AND a.state = 'booked'
          AND a.starts_at >= CAST(:span_from AS timestamptz) AND a.starts_at < CAST(:span_to AS timestamptz)
          AND (CAST(:office AS text) = '' OR a.office = CAST(:office AS text))
          AND (CAST(:counter AS text) = '' OR a.counter = CAST(:counter AS text))
          AND (CAST(:procedure AS text) = '' OR a.procedure = CAST(:procedure AS text)))""",
    "applications": f"""c.contact_ref IN (
        SELECT a.contact_ref FROM {SERVICE}.application a
        WHERE a.municipality = :municipality AND a.procedure = CAST(:procedure AS text)
          AND a.state = ANY (CAST(:open AS text[])))""",
}


def audience_sql(by: str) -> str:
    """A query of the people of an audience, each once, by the contact that speaks for them: the one in which they
    stopped such news, else one that leads somewhere, the newest first."""
    return f"""
        SELECT DISTINCT ON (c.subject_ref) c.subject_ref, c.contact_ref, c.reach, c.wants_paper,
               coalesce(c.chosen_language, c.language) AS language, {_STOPPED} AS is_stopped
        FROM {SERVICE}.contact_point c
        WHERE c.municipality = :municipality AND {_BY[by]}
          AND (CAST(:languages AS text[]) = '{{}}' OR coalesce(c.chosen_language, c.language) = ANY (:languages))
        ORDER BY c.subject_ref, {_STOPPED} DESC, c.reach = 'none', c.given_at DESC, c.contact_ref
    """


def audience_values(municipality: str, kind: str, audience: Audience) -> dict[str, Any]:
    """What `audience_sql` is asked with."""
    span_from, span_to = audience.span or (None, None)
    return {
        "municipality": municipality,
        "kind": kind,
        "languages": list(audience.languages),
        "span_from": span_from,
        "span_to": span_to,
        "office": audience.office,
        "counter": audience.counter,
        "procedure": audience.procedure,
        "open": list(OPEN_STATES),
    }


# As `domain/ways.py: ways_left` takes them.
_WAYS = {
    by: Prepared(f"""
        SELECT CASE WHEN p.is_stopped THEN 'stopped' WHEN p.reach = 'none' THEN 'none' WHEN p.wants_paper THEN 'paper'
                    ELSE coalesce(w.kind, 'dead') END AS way, p.language, count(*) AS count
        FROM ({audience_sql(by)}) AS p
        LEFT JOIN (
            SELECT DISTINCT ON (contact_ref) contact_ref, kind FROM {SERVICE}.contact_way
            WHERE municipality = :municipality AND state <> 'dead' AND verified_at IS NOT NULL
            ORDER BY contact_ref, position) AS w USING (contact_ref)
        GROUP BY 1, 2
    """)
    for by in _BY
}
# Of people: what was sent again to one of them is as the newest is.
_STANDINGS = Prepared(f"""
    SELECT t.bulk_id, CASE
        WHEN n.state IS NULL OR n.state = 'pending'
            THEN CASE WHEN b.state = 'stopped' THEN 'stopped' ELSE 'waiting' END
        WHEN n.state IN ('sending', 'unknown') THEN 'waiting'
        WHEN n.state = 'printed_slip' THEN 'paper'
        WHEN n.state = 'superseded' THEN CASE WHEN n.reason = '{CALLED_OFF}' THEN 'stopped' ELSE 'unwanted' END
        WHEN n.state = 'sent' AND n.delivery = 'delivered' THEN 'delivered'
        WHEN n.state = 'sent' AND n.delivery IS DISTINCT FROM 'not_delivered' THEN 'sent'
        ELSE 'failed' END AS standing, count(*) AS count
    FROM {SERVICE}.told t
    JOIN {SERVICE}.bulk_notice b USING (municipality, bulk_id)
    LEFT JOIN {newest_notice("t")} AS n ON true
    WHERE t.municipality = :municipality AND t.bulk_id = ANY (CAST(:bulk_ids AS uuid[]))
    GROUP BY 1, 2
""")


class Bulk(msgspec.Struct, frozen=True, kw_only=True):
    """A bulk notice as it stands. `counts` are of a time when nothing of it waited."""

    bulk_id: UUID
    written: Written
    state: BulkState
    version: int
    tested_version: int | None
    tests: int
    saved_at: datetime
    sent_at: datetime | None
    starts_at: datetime | None
    estimate: Estimate | None
    gathered_at: datetime | None
    spread_at: datetime | None
    stopped_at: datetime | None
    counts: dict[Standing, int] | None

    @property
    def is_tested(self) -> bool:
        """Whether somebody saw it arrive, as it is written now."""
        return self.tested_version == self.version


async def find_bulk(session: AsyncSession, municipality: str, bulk_id: UUID, *, lock: bool = False) -> Bulk | None:
    """The bulk notice; locked for whoever is about to change it."""
    query = _of(municipality).where(bulk_notice.c.bulk_id == bulk_id)
    row = (await session.execute(query.with_for_update() if lock else query)).one_or_none()
    return _bulk(row) if row else None


async def read_bulk(session: AsyncSession, municipality: str, bulk_id: UUID, *, lock: bool = False) -> Bulk:
    """As `find_bulk`.

    Raises:
        Refusal: `not_found` (404).
    """
    found = await find_bulk(session, municipality, bulk_id, lock=lock)
    if found is None:
        raise Refusal("not_found", 404)
    return found


async def list_bulk(session: AsyncSession, municipality: str, *, before: datetime | None = None) -> list[Bulk]:
    """Those that were written last come first, at most `PAGE`; with `before`, those that were written earlier."""
    query = _of(municipality).order_by(bulk_notice.c.saved_at.desc(), bulk_notice.c.bulk_id).limit(PAGE)
    if before is not None:
        query = query.where(bulk_notice.c.saved_at < before)
    return [_bulk(row) for row in await session.execute(query)]


async def count_ways(
    session: AsyncSession, municipality: str, kind: Kind, audience: Audience
) -> dict[tuple[str, str], int]:
    """How many people would be told by which way, in which language, if it was sent now."""
    rows = await _WAYS[audience.by].rows(session, audience_values(municipality, kind, audience))
    return {(row.way, row.language): row.count for row in rows}


async def count_standings(
    session: AsyncSession, municipality: str, bulk_ids: Sequence[UUID]
) -> dict[UUID, dict[Standing, int]]:
    """What became of everybody whom these are told to."""
    counts: dict[UUID, dict[Standing, int]] = {bulk_id: dict.fromkeys(STANDINGS, 0) for bulk_id in bulk_ids}
    for row in await _STANDINGS.rows(session, {"municipality": municipality, "bulk_ids": list(bulk_ids)}):
        counts[row.bulk_id][row.standing] = row.count
    return counts


async def read_prices(session: AsyncSession, municipality: str) -> Prices:
    """What a message costs the town."""
    query = select(way_price).where(way_price.c.municipality == municipality).limit(len(way_price.c))
    rows = (await session.execute(query)).all()
    return Prices(sen={row.way: row.price_sen for row in rows}, set_at=max((row.set_at for row in rows), default=None))


def _of(municipality: str) -> Any:
    return select(bulk_notice).where(bulk_notice.c.municipality == municipality)


def _bulk(row: Any) -> Bulk:
    values = {name: row._mapping[name] for name in Bulk.__struct_fields__ if name not in ("written", "estimate")}
    written = {name: row._mapping[name] for name in WRITTEN} | {
        "audience": msgspec.convert(row.audience, Audience),
        "texts": msgspec.convert(row.texts, dict[str, Words]),
    }
    planned = msgspec.convert(row.estimate, Estimate) if row.estimate else None
    return Bulk(**values, written=Written(**written), estimate=planned)
