"""Publishing a town's catalogue: from a town pack into the tables, and to the other services as an event."""

import hashlib
import re
from datetime import datetime
from typing import Any
from uuid import uuid4

import msgspec
from sqlalchemy import Table, event, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.quality import plan_adding_up
from services.routing.commands.tidying import plan_tidying
from services.routing.commands.town_items import town_items_of
from services.routing.domain.office import head_of
from services.routing.tables import (
    SERVICE,
    catalogue,
    counter,
    life_event,
    office_rule,
    outbox,
    procedure,
    procedure_form,
    town_item,
)
from shared.audit import Operator, record_deed
from shared.bare_text import bare
from shared.events.routing import CataloguePublished, CounterEntry, ProcedureEntry, TemplateEntry, TopicEntry, WalkEntry
from shared.town_pack import Counter as PackCounter
from shared.town_pack import LifeEvent as PackLifeEvent
from shared.town_pack import Procedure as PackProcedure
from shared.town_pack import TownPack, Venue
from shared.town_pack.office import OfficeRule
from shared.town_pack.templates import LANGUAGES, TEXTS

# What only booking has to know of a procedure.
BOOKINGS_OWN = ("notice_min", "horizon_days", "quantity_max", "more_min", "unit")
# Raised when the others are told more of the same pack: loaded once more, it is published.
TELLING = 3
# A statement carries 32,767 values.
ROWS_MAX = 500
# What `write_catalogue` writes.
COVERED = (catalogue, procedure, counter, life_event, office_rule, town_item, procedure_form)
_COVERED = re.compile(rf"\b{SERVICE}\.({'|'.join(table.name for table in COVERED)})\b")


async def publish_catalogue(session: AsyncSession, pack: TownPack, *, public_url: str, now: datetime) -> int:
    """Make the pack's procedures and counters the town's catalogue; return its version.

    The same content again changes nothing and publishes nothing. A procedure that the pack no longer has is withdrawn,
    not removed: cases and history name it.
    """
    town = pack.town.code
    version = await write_catalogue(session, pack, public_url=public_url, now=now)
    await plan_tidying(session, town, now=now)
    await plan_adding_up(session, town, now=now)
    if version is None:
        current = catalogue.select().where(catalogue.c.municipality == town)
        return int((await session.execute(current)).one().version)
    await outbox.publish(session, _published(pack, public_url, version, now))
    await record_deed(session, Operator(town), "publish_catalogue", str(version), now=now)
    return version


async def cover_catalogue(session: AsyncSession, municipality: str) -> None:
    """Let this session write a catalogue that nobody else sees or waits for.

    Its tables are covered by temporary copies, which the session's statements name in their place from now on.
    """
    for table in COVERED:
        copy = f"CREATE TEMPORARY TABLE {table.name} (LIKE {table.fullname} INCLUDING ALL) ON COMMIT DROP"
        await session.execute(text(copy))
        rows = f"INSERT INTO pg_temp.{table.name} SELECT * FROM {table.fullname} WHERE municipality = :municipality"
        await session.execute(text(rows), {"municipality": municipality})
    connection = (await session.connection()).sync_connection
    event.listen(connection, "before_cursor_execute", _name_copies, retval=True)


def _name_copies(_on: Any, _cursor: Any, statement: str, values: Any, _context: Any, _many: bool) -> tuple[str, Any]:
    return _COVERED.sub(r"pg_temp.\1", statement), values


async def write_catalogue(session: AsyncSession, pack: TownPack, *, public_url: str, now: datetime) -> int | None:
    """The tables of the catalogue, as the pack has it, and nobody told; its new version, None when it is the same."""
    facts = pack.town
    values = {
        "content_hash": _content_hash(pack, public_url),
        "town_name_ja": facts.name_ja,
        "town_phone": facts.phone,
        "town_address_ja": facts.address_ja,
        "frequent": list(facts.frequent),
        "registrar": facts.registrar,
        "things": [{"code": thing.code, "ja": thing.ja} for thing in pack.things],
        "deadlines": [{"code": deadline.code, "ja": deadline.ja} for deadline in pack.deadlines],
        "online_payment": list(facts.online_payment),
        "places_confirmed": facts.places_confirmed,
        "postal_example": facts.postal_example,
        "channels": msgspec.to_builtins(pack.channels)
        | {"reasons": {each.reason: each.ja for each in pack.channels.reasons}},
        "offices": msgspec.to_builtins(pack.offices),
        "published_at": now,
    }
    # Two loads of one town at once: the second waits here, and then finds the content unchanged.
    upsert = insert(catalogue).values(municipality=facts.code, version=1, **values)
    version: int | None = (
        await session.execute(
            upsert.on_conflict_do_update(
                index_elements=["municipality"],
                set_=values | {"version": catalogue.c.version + 1},
                where=catalogue.c.content_hash != upsert.excluded.content_hash,
            ).returning(catalogue.c.version)
        )
    ).scalar_one_or_none()
    if version is None:
        return None

    await _replace(session, procedure, facts.code, [_procedure_row(line) for line in pack.procedures])
    gone = procedure.c.code.not_in([line.code for line in pack.procedures])
    await session.execute(
        update(procedure)
        .where(procedure.c.municipality == facts.code, gone, procedure.c.withdrawn_at.is_(None))
        .values(withdrawn_at=now)
    )
    await session.execute(
        counter.delete().where(
            counter.c.municipality == facts.code, counter.c.code.not_in([row["code"] for row in _counter_rows(pack)])
        )
    )
    await _replace(session, counter, facts.code, _counter_rows(pack))
    await session.execute(
        life_event.delete().where(
            life_event.c.municipality == facts.code, life_event.c.code.not_in([line.code for line in pack.life_events])
        )
    )
    await _replace(session, life_event, facts.code, [_life_event_row(line) for line in pack.life_events])
    # The rule of a procedure that is gone stays: applications of it are still to be decided.
    await _replace(session, office_rule, facts.code, _office_rows(pack))
    await _write_items(session, pack, now)
    return version


async def _write_items(session: AsyncSession, pack: TownPack, now: datetime) -> None:
    town, own = pack.town.code, town_items_of(pack.items)
    items = [
        {"code": code, "content": msgspec.to_builtins(item), "withdrawn_at": None} for code, item in own.items.items()
    ]
    await _replace(session, town_item, town, items)
    gone = town_item.c.code.not_in(list(own.items))
    await session.execute(
        update(town_item)
        .where(town_item.c.municipality == town, gone, town_item.c.withdrawn_at.is_(None))
        .values(withdrawn_at=now)
    )
    await session.execute(procedure_form.delete().where(procedure_form.c.municipality == town))
    forms = [{"procedure": code, "groups": msgspec.to_builtins(form.groups)} for code, form in own.forms.items()]
    await _replace(session, procedure_form, town, forms)


async def _replace(session: AsyncSession, table: Table, municipality: str, rows: list[dict[str, Any]]) -> None:
    placed = [{"municipality": municipality, "position": index, **row}
              if "position" in table.c else {"municipality": municipality, **row}
              for index, row in enumerate(rows)]  # fmt: skip
    keys = {column.name for column in table.primary_key}
    for first in range(0, len(placed), ROWS_MAX):
        statement = insert(table).values(placed[first : first + ROWS_MAX])
        changed = {column.name: statement.excluded[column.name] for column in table.c if column.name not in keys}
        await session.execute(statement.on_conflict_do_update(index_elements=sorted(keys), set_=changed))


def _procedure_row(line: PackProcedure) -> dict[str, Any]:
    lists = ("words", "items", "bring", "bring_online", "attach", "counters")
    row = {name: getattr(line, name) for name in line.__struct_fields__ if name not in (*lists, *BOOKINGS_OWN)}
    # Its readings are for やさしい日本語, which `town.text` has.
    row["name_plain_ja"] = bare(line.name_plain_ja)
    return row | {name: list(getattr(line, name)) for name in lists} | {"withdrawn_at": None}


def _office_rows(pack: TownPack) -> list[dict[str, Any]]:
    """One for each procedure: what the town said of it, else what holds for all."""
    own = {rule.procedure: rule for rule in pack.office.procedures}
    head = pack.office.appeal_to or head_of(pack.town.name_ja)
    rows = []
    for line in pack.procedures:
        rule = own.get(line.code, OfficeRule(line.code))
        rows.append(
            {
                "procedure": line.code,
                "process_days": rule.process_days or pack.office.process_days,
                "two_persons": rule.two_persons,
                "checks": [{"code": check.code, "ja": check.ja} for check in rule.checks],
                "appeal_to": head if rule.appeal_to is None else rule.appeal_to,
                "appeal_first": rule.appeal_first,
                "identity_step": rule.identity_step,
                "finish": list(rule.finish),
                "enclose": list(rule.enclose),
            }
        )
    return rows


def _counter_rows(pack: TownPack) -> list[dict[str, Any]]:
    rows = [*(_counter_row(line, pack.town.travel_ja) for line in pack.counters), *map(_venue_row, pack.venues)]
    return [row | {"travels": _travels(pack, row["code"])} for row in rows]


def _told_rows(pack: TownPack) -> list[dict[str, Any]]:
    """With what only booking has to know: where a venue is."""
    located = {venue.code: (venue.latitude, venue.longitude) for venue in pack.venues}
    return [
        row | dict(zip(("latitude", "longitude"), located.get(row["code"], ("", "")), strict=True))
        for row in _counter_rows(pack)
    ]


def _travels(pack: TownPack, code: str) -> list[dict[str, Any]]:
    ways = sorted((each for each in pack.travels if code in each.counters), key=lambda each: each.minutes)
    return [{"district": each.district, "minutes": each.minutes} for each in ways]


def _counter_row(line: PackCounter, travel_ja: str) -> dict[str, Any]:
    row = {name: getattr(line, name) for name in ("code", "number", "name_ja", "office", "place_ja")}
    facts = {"payment": list(line.payment), "access": list(line.access), "travel_ja": travel_ja}
    return row | {"kind": "counter"} | facts


def _venue_row(line: Venue) -> dict[str, Any]:
    # No number hangs above a venue: it is called by its name.
    row = {name: getattr(line, name) for name in ("code", "name_ja", "office", "place_ja", "travel_ja")}
    return row | {"number": "", "kind": "venue", "payment": [], "access": list(line.access)}


def _life_event_row(line: PackLifeEvent) -> dict[str, Any]:
    return {
        "code": line.code,
        "name": _words(line.name_ja),
        "intro": _words(line.intro_ja),
        "questions": [
            {"code": question.code, "text": _words(question.text_ja), "hint": _words(question.hint_ja)}
            for question in line.questions
        ],
        "steps": [
            {"procedure": step.procedure, "when": step.when, "after": step.after, "note": _words(step.note_ja)}
            for step in line.steps
        ],
    }


def _words(ja: str) -> dict[str, str] | None:
    """A text of the pack; None when the town said nothing."""
    return {"ja": ja} if ja else None


def _published(pack: TownPack, public_url: str, version: int, now: datetime) -> CataloguePublished:
    things = {thing.code: thing.ja for thing in pack.things}
    before = pack.procedures_before()
    return CataloguePublished(
        event_id=uuid4(),
        municipality=pack.town.code,
        aggregate_id=pack.town.code,
        aggregate_version=version,
        occurred_at=now,
        town_name_ja=pack.town.name_ja,
        town_phone=pack.town.phone,
        town_host=public_url,
        town_address_ja=pack.town.address_ja,
        procedures=tuple(
            ProcedureEntry(
                code=line.code,
                name_ja=line.name_ja,
                office=line.office,
                counters=line.counters,
                minutes=line.counter_minutes,
                discreet=line.discreet,
                with_helper=line.helper != "no",
                bring=tuple(things[code] for code in line.bring),
                fee_yen=line.fee_yen,
                notice_min=line.notice_min,
                horizon_days=line.horizon_days,
                quantity_max=line.quantity_max,
                more_min=line.more_min,
                unit=line.unit,
                after=before.get(line.code, ()),
                name_kana=line.kana,
            )
            for line in pack.procedures
        ),
        counters=tuple(
            CounterEntry(**{name: row[name] for name in CounterEntry.__struct_fields__}) for row in _told_rows(pack)
        ),
        walks=tuple(
            WalkEntry(counter=counter, other=other, minutes=minutes)
            for (counter, other), minutes in sorted(pack.walk_minutes().items())
        ),
        topics=tuple(TopicEntry(code=topic.code, name_ja=topic.ja) for topic in pack.topics),
        templates=tuple(
            TemplateEntry(
                kind=template.kind,
                language=code,
                **{name: getattr(template, f"{name}_{language}") for name in TEXTS},
            )
            for template in pack.templates
            for language, code in LANGUAGES.items()
        ),
    )


def _content_hash(pack: TownPack, public_url: str) -> str:
    content = msgspec.to_builtins(
        (
            TELLING,
            pack.town,
            public_url,
            pack.procedures,
            _told_rows(pack),
            pack.life_events,
            pack.things,
            pack.deadlines,
            pack.topics,
            pack.walks,
            pack.office,
            pack.items,
            pack.channels,
            pack.offices,
            pack.templates,
        ),
        str_keys=True,
    )
    return hashlib.sha256(msgspec.json.encode(content, order="deterministic")).hexdigest()
