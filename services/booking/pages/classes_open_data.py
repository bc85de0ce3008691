"""`/open-data/events`: the classes that are coming as the towns' list of events, for everybody to use. No persons."""

from datetime import datetime
from typing import Any

import msgspec
from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.response import Template

from services.booking.pages.draws import CACHED
from services.booking.pages.draws_open_data import PAGE_CACHED
from services.booking.pages.event_list import COLUMNS, EventRow, values_of
from services.booking.queries.appointments import TownFacts, find_town_facts
from services.booking.queries.classes import ClassView, list_classes
from shared.db import Database
from shared.town_texts import TownText, TownTexts, read_town_texts
from shared.web.identity import PUBLIC
from shared.web.pages import CLASSES, page
from shared.web.spreadsheets import CSV_TYPE, as_text, write_csv
from shared.web.town import Town

PATH = "/open-data/events"
# Of what looks like a number, and is none.
TEXTS = frozenset({"連絡先電話番号"})

Req = Request[Any, Any, Any]


@get(PATH, opt=PUBLIC)
async def get_events_page(request: Req) -> Template:
    """What is in the files, and the files."""
    shown = page(request, "classes_open_data.html", path_of=PATH, columns=COLUMNS)
    shown.headers.update(PAGE_CACHED)
    return shown


@get(f"{PATH}.csv", opt=PUBLIC)
async def get_events_csv(
    request: Req, db: NamedDependency[Database], now: NamedDependency[datetime], town: NamedDependency[Town]
) -> Response[bytes]:
    """A row for each session, with the columns of the standard."""
    rows = [
        [as_text(value) if column in TEXTS else value for column, value in event.items()]
        for event in await _read(request, db, town, now=now)
    ]
    named = {"content-disposition": f'attachment; filename="{town.code}_events.csv"'}
    return Response(write_csv(COLUMNS, rows), media_type=CSV_TYPE, headers=CACHED | named)


@get(f"{PATH}.json", opt=PUBLIC)
async def get_events_json(
    request: Req, db: NamedDependency[Database], now: NamedDependency[datetime], town: NamedDependency[Town]
) -> Response[bytes]:
    """The same for programs."""
    body = msgspec.json.format(msgspec.json.encode(await _read(request, db, town, now=now)))
    return Response(body, media_type="application/json", headers=CACHED)


async def _read(request: Req, db: Database, town: Town, *, now: datetime) -> list[dict[str, str]]:
    async with db.begin(town.code) as session:
        found = await list_classes(session, town.code, now=now)
        facts = await find_town_facts(session, town.code)
        texts = await read_town_texts(session, town.code)
    host = facts.host or str(request.base_url).rstrip("/")
    return [values_of(row) for each in found for row in _rows(each, town, facts, texts, host)]


def title_en(found: ClassView, texts: TownTexts) -> str:
    """What a class is in English: its title, if the town has a word for it; else what it is about; else nothing."""
    nothing = TownText()
    own = texts.get(found.title_ja, nothing).en
    topics = [texts.get(name, nothing).en for name in found.topic_names]
    return own or (f"Class: {', '.join(topics)}" if topics and all(topics) else "")


def _rows(found: ClassView, town: Town, facts: TownFacts, texts: TownTexts, host: str) -> list[EventRow]:
    return [
        EventRow(
            municipality=town.code,
            no=str(each.session_id),
            number=number,
            count=len(found.sessions),
            town_name=town.name_ja,
            title=found.title_ja,
            title_en=title_en(found, texts),
            text=" ".join(found.text_ja.split()),
            starts_at=each.starts_at,
            ends_at=each.ends_at,
            fee_yen=found.fee_yen,
            phone=facts.phone,
            venue_code=found.venue,
            venue_name=found.venue_name,
            venue_place=found.venue_place,
            latitude=found.venue_latitude,
            longitude=found.venue_longitude,
            room=each.room_ja,
            seats=found.seats,
            closes_at=found.closes_at,
            is_drawn=found.mode == "draw",
            url=f"{host}{CLASSES}/{found.course_id}",
            called_off=found.reason_ja if found.state == "called_off" else None,
            published_at=found.published_at,
            changed_at=found.changed_at,
        )
        for number, each in enumerate(found.sessions, start=1)
    ]
