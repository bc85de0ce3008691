"""The small town of `test_life_of_places.py`: how it opens, what can be seen of it, and what the model expects."""

from datetime import datetime, time, timedelta
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import text

from services.booking.commands.draws import draw_handlers
from services.booking.commands.slots import slot_id_of
from services.booking.commands.waitlist import WAITING
from services.booking.consumers import on_catalogue_published
from services.booking.queries.rules import get_rules
from services.booking.queries.slots import find_procedure, list_slots
from services.booking.worker import DUE_HANDLERS
from shared.clock import JST, jst_day
from shared.events.routing import CounterEntry, ProcedureEntry
from shared.messaging.due import DueLoop
from shared.town_pack import BookingRules, Counter, Opening
from tests.booking.conftest import TOWN, BookingTown, make_catalogue, make_pack
from tests.booking.life_drawing import Told
from tests.booking.life_model import CANCEL_UNTIL_MIN, HOLD_MIN, MOST_AHEAD, Model
from tests.booking.life_opening import HORIZON_DAYS, Key, RuleModel
from tests.booking.life_waiting import NOTICE_MIN, Procedure

# A Monday, 7:00 in Japan: everything of the day is still to come.
EARLY = datetime(2026, 6, 1, 7, 0, tzinfo=JST)
EVERY_DAY = (1, 2, 3, 4, 5, 6, 7)
OPENS, CLOSES = time(9, 0), time(10, 30)
RULES = {
    "7": RuleModel(OPENS, CLOSES, 30, 3, 1),
    "8": RuleModel(OPENS, CLOSES, 45, 1),
    "3": RuleModel(OPENS, CLOSES, 45, 1),
}
OTHER_RULES = (
    RULES["7"],
    RULES["8"],
    RuleModel(OPENS, CLOSES, 30, 1),
    RuleModel(OPENS, time(10, 0), 20, 2),
    RuleModel(time(9, 30), time(11, 0), 30, 2, 1),
)
HASTY = 120
PROCEDURES = {
    "CHI01": Procedure(("7", "8")),
    "RES02": Procedure(("3",)),
    "TAX01": Procedure(("3",), timedelta(minutes=HASTY), 1),
}

_ALL_TABLES = text("""
    SELECT string_agg(format('booking.%I', tablename), ', ') FROM pg_tables
    WHERE schemaname = 'booking' AND tablename NOT LIKE 'alembic%'
""")
_APPOINTMENTS = text("""
    SELECT a.appointment_id, a.state, a.version, a.sequence, a.slot_id, a.counter, a.starts_at, a.ends_at, a.closure,
           a.closing_id, a.ticket_no, a.parked_at IS NOT NULL AS is_parked, a.is_preferred,
           (SELECT count(*) FROM place p
            WHERE p.appointment_id = a.appointment_id AND (p.slot_id, p.place_no) = (a.slot_id, a.place_no)) AS sits,
           (SELECT count(*) FROM place p WHERE p.appointment_id = a.appointment_id) AS places,
           ARRAY(SELECT o.aggregate_version FROM outbox o
                 WHERE o.aggregate_id = CAST(a.appointment_id AS text) ORDER BY o.aggregate_version) AS told
    FROM appointment a LIMIT 1000
""")
_KEPT = text("""
    SELECT coalesce(o.appointment_id, p.visit_id) AS whose, p.slot_id, p.held_until
    FROM place p LEFT JOIN offered_place o ON o.offer_id = p.hold_id WHERE p.held_until > :now LIMIT 1000
""")
_OFFERS = text("SELECT appointment_id, slot_id, until, cause FROM offered_place WHERE state = 'open' LIMIT 1000")
_DRAWN = text("SELECT slot_id, count(*) AS places FROM place WHERE audience = 'draw' GROUP BY slot_id LIMIT 1000")
_DRAWS = text("""
    SELECT d.draw_id, d.state,
           ARRAY(SELECT ROW(s.slot_id, s.seats, s.is_kept)::text
                 FROM draw_session s WHERE s.draw_id = d.draw_id) AS seats
    FROM draw d LIMIT 1000
""")
_ENTRIES = text("""
    SELECT e.draw_id, e.ticket, e.state, e.preferences, e.appointment_id,
           ARRAY(SELECT o.aggregate_version FROM outbox o
                 WHERE o.aggregate_id = CAST(e.entry_id AS text) ORDER BY o.aggregate_version) AS told
    FROM draw_entry e LIMIT 1000
""")
_RESULTS = text("""
    SELECT e.draw_id, e.ticket, r.slot_id, e.appointment_id, a.number, r.rank FROM draw_entry e
    LEFT JOIN draw_result r ON (r.draw_id, r.ticket) = (e.draw_id, e.ticket)
    LEFT JOIN appointment a ON a.appointment_id = e.appointment_id ORDER BY r.rank LIMIT 1000
""")
_WAITING = text("SELECT appointment_id, first_day, last_day, counter, joined_at FROM waiting LIMIT 1000")


async def start_again(town: BookingTown) -> None:
    """An empty town, and then one that has just opened."""
    async with town.database.admin_engine().begin() as connection:
        await connection.execute(text("SET session_replication_role = replica"))
        tables = (await connection.execute(_ALL_TABLES)).scalar_one()
        await connection.execute(text(f"TRUNCATE {tables}"))
    town.now = EARLY
    rules = BookingRules(
        horizon_days=HORIZON_DAYS, notice_min=NOTICE_MIN, cancel_until_min=CANCEL_UNTIL_MIN, hold_min=HOLD_MIN,
        max_open_appointments=MOST_AHEAD, holidays=False, year_end=False,
    )  # fmt: skip
    pack = msgspec.structs.replace(
        make_pack(),
        counters=tuple(
            Counter(code, code, code, "子育て", f"町役場 {code}番", rule.slot_min, rule.places, rule.staff)
            for code, rule in RULES.items()
        ),
        opening=(Opening(tuple(RULES), EVERY_DAY, OPENS, CLOSES),),
        closures=(),
        booking=rules,
    )
    await town.open(pack, catalogue=False)
    catalogue = msgspec.structs.replace(
        make_catalogue(),
        procedures=tuple(
            ProcedureEntry(
                code=code, name_ja=code, office="子育て", counters=each.counters, minutes=20,
                notice_min=HASTY if code == "TAX01" else None, horizon_days=1 if code == "TAX01" else None,
            )
            for code, each in PROCEDURES.items()
        ),
        counters=tuple(
            CounterEntry(code=code, number=code, name_ja=code, office="子育て", place_ja=f"町役場 {code}番")
            for code in RULES
        ),
    )  # fmt: skip
    async with town.db.begin(TOWN) as session:
        await on_catalogue_published(session, catalogue, now=town.now)


# A look at who waits comes when the machine says so, and not by and by.
WORK = {kind: work for kind, work in DUE_HANDLERS.items() if kind != WAITING}


async def work_off(town: BookingTown) -> None:
    """Everything that is due by now."""
    loop = DueLoop(town.db, WORK | draw_handlers(town.keys), town.clock)
    while await loop.run_once():
        pass


async def ask_who_won(town: BookingTown, model: Model) -> dict[UUID, Told]:
    """Of every draw: what it gave to whom, and the appointments that came of it by now."""
    told = {draw_id: Told([], {}) for draw_id in model.draws}
    keys = {id_of(key): key for each in model.draws.values() for key in each.seats}
    async with town.db.begin(TOWN) as session:
        for row in await session.execute(_RESULTS):
            if row.rank is not None:
                told[row.draw_id].result.append((row.ticket, keys[row.slot_id] if row.slot_id else None))
            if row.appointment_id is not None:
                told[row.draw_id].appointments[row.ticket] = (row.appointment_id, row.number)
    return told


class Seen(msgspec.Struct):
    """All that can be seen of the town."""

    listed: dict[str, list[tuple[UUID, str, datetime, int]]]
    kept: dict[UUID, tuple[UUID, datetime]]
    offers: dict[UUID, tuple[UUID, datetime, str]]
    waiting: dict[UUID, tuple[Any, ...]]
    drawn: dict[UUID, int]
    draws: dict[UUID, tuple[Any, ...]]
    entries: dict[tuple[UUID, str], tuple[Any, ...]]
    appointments: dict[UUID, tuple[Any, ...]]


async def look(town: BookingTown) -> Seen:
    """As pages and lists read it."""
    seen = Seen({}, {}, {}, {}, {}, {}, {}, {})
    async with town.db.begin(TOWN) as session:
        policy = (await get_rules(session, TOWN)).policy
        for code in PROCEDURES:
            found = await find_procedure(session, TOWN, code)
            assert found is not None
            today = jst_day(town.now)
            last = today + timedelta(days=30)
            slots = await list_slots(
                session, TOWN, found.counters, found.policy(policy), first=today, last=last, now=town.now
            )
            seen.listed[code] = [(slot.slot_id, slot.counter, slot.starts_at, slot.free) for slot in slots]
        for row in await session.execute(_KEPT, {"now": town.now}):
            assert row.whose not in seen.kept
            seen.kept[row.whose] = (row.slot_id, row.held_until)
        for row in await session.execute(_OFFERS):
            seen.offers[row.appointment_id] = (row.slot_id, row.until, row.cause)
        for row in await session.execute(_WAITING):
            seen.waiting[row.appointment_id] = tuple(row)[1:]
        for row in await session.execute(_DRAWN):
            seen.drawn[row.slot_id] = row.places
        for row in await session.execute(_DRAWS):
            seen.draws[row.draw_id] = (row.state, sorted(row.seats))
        for row in await session.execute(_ENTRIES):
            seen.entries[row.draw_id, row.ticket] = tuple(row)[2:]
        for row in await session.execute(_APPOINTMENTS):
            seen.appointments[row.appointment_id] = tuple(row)[1:]
    return seen


def id_of(key: Key) -> UUID:
    return slot_id_of(TOWN, key.counter, key.starts_at)


def expect(model: Model) -> Seen:
    """The same, as the model has it."""
    kept = [*model.holds.items(), *model.offers.items()]
    return Seen(
        {
            code: [(id_of(key), key.counter, key.starts_at, free) for key, free in model.listed(code)]
            for code in PROCEDURES
        },
        {whose: (id_of(each.key), each.until) for whose, each in kept if each.until > model.now and not each.is_lost},
        {whose: (id_of(each.key), each.until, each.cause) for whose, each in model.offers.items()},
        {whose: tuple(each) for whose, each in model.waiting.items()},
        {id_of(key): slot.drawn for key, slot in model.slots.items() if slot.drawn},
        {
            draw_id: (
                each.state,
                sorted(
                    f"({id_of(key)},{seats},{'f' if each.state == 'called_off' else 't'})"
                    for key, seats in each.seats.items()
                ),
            )
            for draw_id, each in model.draws.items()
        },
        {
            (draw_id, ticket): (entry.state, [id_of(key) for key in entry.wishes], entry.appointment_id, entry.told)
            for draw_id, each in model.draws.items()
            for ticket, entry in each.entries.items()
        },
        {
            appointment_id: (
                each.state, each.version, each.sequence, id_of(each.key), each.key.counter, each.key.starts_at,
                each.ends_at, each.closure, each.closing_id, each.ticket_no, each.is_parked,
                each.is_preferred, int(each.state != "cancelled"),
                int(each.state != "cancelled"), list(range(1, each.version + 1)),
            )
            for appointment_id, each in model.appointments.items()
        },
    )  # fmt: skip
