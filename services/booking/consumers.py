"""Reactions to other services' events: the catalogue's projection, and ended sessions."""

from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.tables import ended_sessions
from shared.events.routing import CataloguePublished, SessionEnded
from shared.messaging.consumer import Handlers

_TOWN = text("""
    INSERT INTO town_facts (municipality, name_ja, phone, host, address_ja, version)
    VALUES (:municipality, :name_ja, :phone, :host, :address_ja, :version)
    ON CONFLICT (municipality) DO UPDATE
    SET (name_ja, phone, host, address_ja, version)
      = (excluded.name_ja, excluded.phone, excluded.host, excluded.address_ja, excluded.version)
    WHERE town_facts.version < excluded.version
    RETURNING version
""")
_FORGET_PROCEDURES = text("DELETE FROM procedure WHERE municipality = :municipality")
_PROCEDURE = text("""
    INSERT INTO procedure (municipality, code, name_ja, office, counters, minutes, discreet, bring, fee_yen, version)
    VALUES (:municipality, :code, :name_ja, :office, :counters, :minutes, :discreet, :bring, :fee_yen, :version)
""")
_FORGET_COUNTERS = text("DELETE FROM counter WHERE municipality = :municipality")
_COUNTER = text("""
    INSERT INTO counter (municipality, code, number, name_ja, office, place_ja, version)
    VALUES (:municipality, :code, :number, :name_ja, :office, :place_ja, :version)
""")


async def on_catalogue_published(session: AsyncSession, event: CataloguePublished, *, now: datetime) -> None:  # noqa: ARG001  every handler is given the time
    """Replace the projection of the catalogue, unless a newer one is there."""
    town = {"municipality": event.municipality, "version": event.aggregate_version}
    facts = {
        "name_ja": event.town_name_ja,
        "phone": event.town_phone,
        "host": event.town_host,
        "address_ja": event.town_address_ja,
    }
    if (await session.execute(_TOWN, town | facts)).one_or_none() is None:
        return
    await session.execute(_FORGET_PROCEDURES, {"municipality": event.municipality})
    await session.execute(_FORGET_COUNTERS, {"municipality": event.municipality})
    procedures: list[dict[str, Any]] = [
        town
        | {
            "code": entry.code,
            "name_ja": entry.name_ja,
            "office": entry.office,
            "counters": list(entry.counters),
            "minutes": entry.minutes,
            "discreet": entry.discreet,
            "bring": list(entry.bring),
            "fee_yen": entry.fee_yen,
        }
        for entry in event.procedures
    ]
    counters: list[dict[str, Any]] = [
        town
        | {
            "code": entry.code,
            "number": entry.number,
            "name_ja": entry.name_ja,
            "office": entry.office,
            "place_ja": entry.place_ja,
        }
        for entry in event.counters
    ]
    if procedures:
        await session.execute(_PROCEDURE, procedures)
    if counters:
        await session.execute(_COUNTER, counters)


HANDLERS: Handlers = {
    CataloguePublished: on_catalogue_published,
    SessionEnded: ended_sessions.on_session_ended,
}
