"""Reactions to other services' events: the catalogue, the roster of helpers, withdrawn names, cases that go another
way, meetings that were agreed to, and ended sessions."""

from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.erasure import on_case_erased, on_subject_erased
from services.booking.commands.meetings import keep_agreement
from services.booking.commands.names import forget_names
from services.booking.commands.practice import bring_visitor
from services.booking.commands.roster import follow_account
from services.booking.commands.switching import follow_switch
from services.booking.keys import Keys
from services.booking.tables import ended_sessions
from shared.events.routing import (
    AccountOpened,
    CaseErased,
    CaseSwitched,
    CataloguePublished,
    MeetingAgreed,
    NameWithdrawn,
    PracticeVisitorSent,
    SessionEnded,
    SubjectErased,
)
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
    INSERT INTO procedure
        (municipality, code, name_ja, office, counters, minutes, discreet, with_helper, bring, fee_yen, after,
         notice_min, horizon_days, quantity_max, more_min, unit, name_kana, version)
    VALUES
        (:municipality, :code, :name_ja, :office, :counters, :minutes, :discreet, :with_helper, :bring, :fee_yen,
         :after, :notice_min, :horizon_days, :quantity_max, :more_min, :unit, :name_kana,
         :version)
""")
_FORGET_WALKS = text("DELETE FROM walk WHERE municipality = :municipality")
_WALK = text("""
    INSERT INTO walk (municipality, counter, other, minutes) VALUES (:municipality, :counter, :other, :minutes)
""")
_FORGET_COUNTERS = text("DELETE FROM counter WHERE municipality = :municipality")
_COUNTER = text("""
    INSERT INTO counter (municipality, code, number, name_ja, office, place_ja, kind, payment, latitude, longitude,
                         version)
    VALUES (:municipality, :code, :number, :name_ja, :office, :place_ja, :kind, :payment, :latitude, :longitude,
            :version)
""")
_FORGET_TOPICS = text("DELETE FROM topic WHERE municipality = :municipality")
_TOPIC = text("""
    INSERT INTO topic (municipality, code, name_ja, version) VALUES (:municipality, :code, :name_ja, :version)
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
    await session.execute(_FORGET_WALKS, {"municipality": event.municipality})
    procedures: list[dict[str, Any]] = [
        town
        | {
            "code": entry.code,
            "name_ja": entry.name_ja,
            "office": entry.office,
            "counters": list(entry.counters),
            "minutes": entry.minutes,
            "discreet": entry.discreet,
            "with_helper": entry.with_helper,
            "bring": list(entry.bring),
            "fee_yen": entry.fee_yen,
            "notice_min": entry.notice_min,
            "horizon_days": entry.horizon_days,
            "quantity_max": entry.quantity_max,
            "more_min": entry.more_min,
            "unit": entry.unit,
            "after": list(entry.after),
            "name_kana": entry.name_kana,
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
            "kind": entry.kind,
            "payment": list(entry.payment),
            "latitude": entry.latitude,
            "longitude": entry.longitude,
        }
        for entry in event.counters
    ]
    if procedures:
        await session.execute(_PROCEDURE, procedures)
    if counters:
        await session.execute(_COUNTER, counters)
    if walks := [{"municipality": event.municipality, **msgspec.to_builtins(entry)} for entry in event.walks]:
        await session.execute(_WALK, walks)
    await session.execute(_FORGET_TOPICS, {"municipality": event.municipality})
    if topics := [town | msgspec.to_builtins(entry) for entry in event.topics]:
        await session.execute(_TOPIC, topics)


def make_handlers(keys: Keys) -> Handlers:
    """The handler of every event that booking subscribes to (`shared/events/subscriptions.py`)."""

    async def on_account_opened(session: AsyncSession, event: AccountOpened, *, now: datetime) -> None:
        await follow_account(session, keys, event, now=now)

    async def on_name_withdrawn(session: AsyncSession, event: NameWithdrawn, *, now: datetime) -> None:
        await forget_names(session, keys, event, now=now)

    async def on_practice_visitor_sent(session: AsyncSession, event: PracticeVisitorSent, *, now: datetime) -> None:
        await bring_visitor(session, keys, event, now=now)

    return {
        CataloguePublished: on_catalogue_published,
        AccountOpened: on_account_opened,
        NameWithdrawn: on_name_withdrawn,
        PracticeVisitorSent: on_practice_visitor_sent,
        CaseSwitched: follow_switch,
        MeetingAgreed: keep_agreement,
        SessionEnded: ended_sessions.on_session_ended,
        SubjectErased: on_subject_erased,
        CaseErased: on_case_erased,
    }
