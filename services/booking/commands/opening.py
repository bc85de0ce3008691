"""Opening rules are published in versions, ahead of their day: from the town pack, or by staff."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Literal

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.horizon import lock_rules, open_horizon
from services.booking.domain.opening import (
    Hours,
    OpeningRule,
    Version,
    WeekdayHours,
    are_sound,
    join_hours,
    refuse_bad_rule,
    refuse_bad_start,
)
from services.booking.queries.opening import Preview, find_kind, highest_version, list_versions, preview_change
from services.booking.queries.rules import Kind
from shared.audit import Operator, record_deed
from shared.clock import jst_day
from shared.errors import Refusal
from shared.tokens import Identity
from shared.town_pack import Counter as PackCounter
from shared.town_pack import Opening, TownPack, Venue

Origin = Literal["pack", "staff"]

_SAVE_RULES = text("""
    INSERT INTO booking_rules
        (municipality, horizon_days, notice_min, cancel_until_min, hold_min, max_open_appointments, holidays, year_end,
         queue, version)
    VALUES (:municipality, :horizon_days, :notice_min, :cancel_until_min, :hold_min, :max_open_appointments, :holidays,
            :year_end, CAST(:queue AS jsonb), 1)
    ON CONFLICT (municipality) DO UPDATE
    SET (horizon_days, notice_min, cancel_until_min, hold_min, max_open_appointments, holidays, year_end, queue,
         version) =
        (excluded.horizon_days, excluded.notice_min, excluded.cancel_until_min, excluded.hold_min,
         excluded.max_open_appointments, excluded.holidays, excluded.year_end, excluded.queue,
         booking_rules.version + 1)
""")
_SAVE_COUNTER = text("""
    INSERT INTO counter_rule (municipality, counter, office, kind, version)
    VALUES (:municipality, :counter, :office, :kind, 1)
    ON CONFLICT (municipality, counter) DO UPDATE
    SET (office, kind, version) = (excluded.office, excluded.kind, counter_rule.version + 1)
    WHERE (counter_rule.office, counter_rule.kind) IS DISTINCT FROM (excluded.office, excluded.kind)
""")
_DROP_COUNTERS = text("""
    DELETE FROM counter_rule WHERE municipality = :municipality AND counter <> ALL (:counters) RETURNING counter
""")
_DROP_CLOSURES = text("DELETE FROM closure WHERE municipality = :municipality")
_SAVE_CLOSURE = text("""
    INSERT INTO closure (municipality, first_day, last_day, reason_ja)
    VALUES (:municipality, :first_day, :last_day, :reason_ja) ON CONFLICT DO NOTHING
""")
# What the pack said last, withdrawn or not: it speaks again only when it says something else.
_PACK_SAID = text("""
    SELECT rule FROM opening_rule
    WHERE municipality = :municipality AND counter = :counter AND origin = 'pack' ORDER BY version DESC LIMIT 1
""")
_PUBLISH = text("""
    INSERT INTO opening_rule (municipality, counter, version, valid_from, rule, origin, published_by, published_at)
    VALUES (:municipality, :counter, :version, :valid_from, CAST(:rule AS jsonb), :origin, :published_by, :now)
""")
_WITHDRAW = text("""
    UPDATE opening_rule SET withdrawn_at = :now
    WHERE (municipality, counter, version) = (:municipality, :counter, :version) AND withdrawn_at IS NULL
""")


class PublishVersion(msgspec.Struct, frozen=True, kw_only=True):
    """The order to let a rule count from a day on. `seen` is the version that was the last one on the page."""

    counter: str
    new: Version
    seen: int


async def load_opening_rules(session: AsyncSession, pack: TownPack, *, now: datetime) -> None:
    """Store a town's rules and open its slots. Loaded again, only what differs changes; nobody loses their place.

    A counter's first rule counts at once, a changed one from tomorrow on.
    """
    municipality = pack.town.code
    rules = {name: getattr(pack.booking, name) for name in pack.booking.__struct_fields__}
    queue = msgspec.json.encode(pack.queue).decode()
    await session.execute(_SAVE_RULES, {"municipality": municipality, "queue": queue, **rules})
    await lock_rules(session, municipality)
    await session.execute(_DROP_CLOSURES, {"municipality": municipality})
    for closure in pack.closures:
        days = {"first_day": closure.first_day, "last_day": closure.last_day, "reason_ja": closure.reason_ja}
        await session.execute(_SAVE_CLOSURE, {"municipality": municipality, **days})
    actor = Operator(municipality)
    counters: list[PackCounter | Venue] = [*pack.counters, *pack.venues]
    for counter in counters:
        kind: Kind = "venue" if isinstance(counter, Venue) else "counter"
        named = {"municipality": municipality, "counter": counter.code}
        await session.execute(_SAVE_COUNTER, named | {"office": counter.office, "kind": kind})
        said = (await session.execute(_PACK_SAID, named)).scalar_one_or_none()
        rule = rule_of_pack(counter, pack.opening)
        if said is None or msgspec.convert(said, OpeningRule) != rule:
            first = jst_day(now) + (timedelta(0) if said is None else timedelta(days=1))
            await _publish(session, actor, counter.code, Version(valid_from=first, rule=rule), "pack", now=now)
    kept = {"municipality": municipality, "counters": [counter.code for counter in counters]}
    dropped = (await session.execute(_DROP_COUNTERS, kept)).scalars().all()
    await open_horizon(session, municipality, closed_counters=dropped, now=now)
    await record_deed(session, actor, "load-opening-rules", municipality, now=now)


def rule_of_pack(counter: PackCounter | Venue, openings: Sequence[Opening]) -> OpeningRule:
    """A counter's rule as its town pack has it. How many places a venue has, its helpers say."""
    hours: dict[int, list[Hours]] = {}
    rhythms: dict[int, Opening] = {}
    counted: list[date | None] = []
    for opening in openings:
        if counter.code in opening.counters:
            counted += [opening.first_week] if opening.every_weeks > 1 else []
            for weekday in opening.weekdays:
                hours.setdefault(weekday, []).extend(_hours_of_pack(opening))
                rhythms[weekday] = opening
    places = 0 if isinstance(counter, Venue) else counter.places
    return OpeningRule(
        slot_min=counter.slot_min,
        places=places,
        staff_only_places=0 if isinstance(counter, Venue) else min(counter.staff_only_places, places),
        kiosk_places=0 if isinstance(counter, Venue) else counter.kiosk_places,
        week=tuple(
            WeekdayHours(
                weekday=day, hours=join_hours(found), every_weeks=rhythms[day].every_weeks, nth=rhythms[day].nth
            )
            for day, found in sorted(hours.items())
        ),
        first_week=counted[0] if counted else None,
    )


async def preview_version(
    session: AsyncSession, municipality: str, counter: str, new: Version, *, now: datetime
) -> Preview:
    """What `publish_version` would do; nothing is written.

    Raises:
        Refusal: `counter_unknown` (404), `rule_unfit`, `rule_start_unfit` (422).
    """
    kind = await _check(session, municipality, counter, new, now=now)
    return await preview_change(session, municipality, counter, kind, new, now=now)


async def publish_version(session: AsyncSession, actor: Identity, order: PublishVersion, *, now: datetime) -> int:
    """Let a rule count from a day on, and bring the slots from that day to it. Whoever is in a slot stays in it.

    A version for the same day that has not come yet is replaced. Ordered again, it is the version that was made.

    Raises:
        Refusal: as `preview_version`; `rules_moved` (409): somebody else has published in between.
    """
    await lock_rules(session, actor.municipality)
    await _check(session, actor.municipality, order.counter, order.new, now=now)
    for found in await list_versions(session, actor.municipality, order.counter):
        if (found.valid_from, found.rule) == (order.new.valid_from, order.new.rule):
            return found.version
    if await highest_version(session, actor.municipality, order.counter) != order.seen:
        raise Refusal("rules_moved", 409)
    version = await _publish(session, actor, order.counter, order.new, "staff", now=now)
    await record_deed(session, actor, "publish-opening", order.counter, version=version, now=now)
    await open_horizon(session, actor.municipality, only=[order.counter], now=now)
    return version


async def withdraw_version(
    session: AsyncSession, actor: Identity, counter: str, version: int, *, now: datetime
) -> None:
    """Take a version back before its day has come: what it replaces goes on. Withdrawn again, nothing changes.

    Raises:
        Refusal: `version_unknown` (404), `version_open` (409).
    """
    await lock_rules(session, actor.municipality)
    kind = await find_kind(session, actor.municipality, counter)
    if kind is None or not 1 <= version <= await highest_version(session, actor.municipality, counter):
        raise Refusal("version_unknown", 404)
    for found in await list_versions(session, actor.municipality, counter):
        if found.version == version:
            if found.valid_from <= jst_day(now):
                raise Refusal("version_open", 409)
            await _withdraw(session, actor.municipality, counter, version, now=now)
            await record_deed(session, actor, "withdraw-opening", counter, version=version, now=now)
            await open_horizon(session, actor.municipality, only=[counter], now=now)


async def _check(session: AsyncSession, municipality: str, counter: str, new: Version, *, now: datetime) -> Kind:
    kind = await find_kind(session, municipality, counter)
    if kind is None:
        raise Refusal("counter_unknown", 404)
    refuse_bad_rule(new.rule)
    if (new.rule.places == 0) != (kind == "venue"):
        raise Refusal("rule_unfit", 422)
    refuse_bad_start(new.valid_from, today=jst_day(now))
    return kind


async def _publish(
    session: AsyncSession, actor: Identity | Operator, counter: str, new: Version, origin: Origin, *, now: datetime
) -> int:
    for found in await list_versions(session, actor.municipality, counter):
        if found.valid_from == new.valid_from:
            await _withdraw(session, actor.municipality, counter, found.version, now=now)
    version = await highest_version(session, actor.municipality, counter) + 1
    made = {
        "municipality": actor.municipality,
        "counter": counter,
        "version": version,
        "valid_from": new.valid_from,
        "rule": msgspec.json.encode(new.rule).decode(),
        "origin": origin,
        "published_by": actor.ref,
        "now": now,
    }
    await session.execute(_PUBLISH, made)
    return version


async def _withdraw(session: AsyncSession, municipality: str, counter: str, version: int, *, now: datetime) -> None:
    taken = {"municipality": municipality, "counter": counter, "version": version, "now": now}
    await session.execute(_WITHDRAW, taken)


def _hours_of_pack(opening: Opening) -> list[Hours]:
    hours = [Hours(opening.opens_at, opening.closes_at)]
    if opening.lunch_from is not None and opening.lunch_to is not None:
        hours = [Hours(opening.opens_at, opening.lunch_from), Hours(opening.lunch_to, opening.closes_at)]
    return [span for span in hours if are_sound([span])]
