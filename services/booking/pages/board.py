"""`/board`: the public call display. Ticket numbers only: no name, no procedure, nobody who is here discreetly.

What is new is asked for when the stream says that something changed, and now and then without it. A screen may show an
office or some counters only (`?office=`, `?counters=`); many counters are shown by turns (`set`).
"""

import re
from collections import defaultdict
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import msgspec
from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import FromQuery
from litestar.response import ServerSentEvent, ServerSentEventMessage, Template

from services.booking.domain.hours import band_of
from services.booking.domain.line import show_ticket
from services.booking.domain.speaking import say_call_en, say_call_ja
from services.booking.live import LineWatch
from services.booking.pages.streams import Streams
from services.booking.queries.board import BoardItem, PublicWait, estimate_public_waits, list_board
from services.booking.queries.slots import CounterView, list_counters
from shared.clock import jst_day
from shared.db import Database
from shared.errors import Refusal
from shared.shared_reads import SharedReads
from shared.web.addresses import network_of_visitor
from shared.web.identity import PUBLIC
from shared.web.pages import page
from shared.web.places import short_counter_label
from shared.web.town import Town

PATH = "/board"
# Where more are called at one counter, the newest.
CALLED_MAX = 4
# What is read from ten metres: so many counters share the screen, then the next take their turn.
COUNTERS_MAX = 9
CHOSEN_MAX = 40
RETRY_MS = 2_000

Req = Request[Any, Any, Any]
_CODE = re.compile(r"[A-Za-z0-9_-]{1,20}")
_OFFICE_MAX_LENGTH = 40


class Screen(msgspec.Struct, frozen=True):
    """What one screen shows: everything, an office, or some counters."""

    office: str = ""
    counters: tuple[str, ...] = ()

    def shows(self, counter: CounterView) -> bool:
        """Whether a counter is among them."""
        return self.office in ("", counter.office) and (not self.counters or counter.code in self.counters)

    def address(self, path: str, **more: str) -> str:
        """A path of this screen's."""
        asked = {"office": self.office, "counters": ",".join(self.counters)} | more
        said = urlencode({name: value for name, value in asked.items() if value}, safe=",")
        return f"{path}?{said}" if said else path


class Read(msgspec.Struct, frozen=True):
    """What all screens of a town show at one moment."""

    items: list[BoardItem]
    counters: dict[str, CounterView]
    waits: dict[str, PublicWait]


def read_screen(office: str, counters: str) -> Screen:
    """What our own page could have written into an address; all else is as if nothing were said."""
    codes = [code for code in counters.split(",") if _CODE.fullmatch(code)][:CHOSEN_MAX]
    named = office if office.isprintable() and len(office) <= _OFFICE_MAX_LENGTH else ""
    return Screen(named, tuple(dict.fromkeys(codes)))


@get(PATH, opt=PUBLIC)
async def get_board(
    request: Req,
    db: NamedDependency[Database],
    reads: NamedDependency[SharedReads],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    office: FromQuery[str] = "",
    counters: FromQuery[str] = "",
    turn: FromQuery[str] = "",
) -> Template:
    """The whole display."""
    screen = read_screen(office, counters)
    shown = _draw(await _read(db, reads, town, now), screen, turn)
    following = str(shown["turn"] + 1) if shown["turns"] > 1 else ""
    return page(
        request,
        "board.html",
        **shown,
        events=f"{PATH}/events",
        now_href=screen.address(f"{PATH}/now"),
        next_href=screen.address(PATH, turn=following) if following else "",
    )


@get(f"{PATH}/now", opt=PUBLIC)
async def get_board_now(
    request: Req,
    db: NamedDependency[Database],
    reads: NamedDependency[SharedReads],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    office: FromQuery[str] = "",
    counters: FromQuery[str] = "",
    turn: FromQuery[str] = "",
) -> Template:
    """What changes of it."""
    shown = _draw(await _read(db, reads, town, now), read_screen(office, counters), turn)
    return page(request, "board_now.html", **shown)


@get(f"{PATH}/events", opt=PUBLIC)
async def get_board_events(
    request: Req,
    watch: NamedDependency[LineWatch],
    streams: NamedDependency[Streams],
    town: NamedDependency[Town],
) -> ServerSentEvent:
    """An event `line` whenever something changed in the town's line, `still` when nothing did for a while.

    For boards, and for whoever waits with their phone: it says nothing of what changed.

    Raises:
        Refusal: `too_many_streams` (429): who asks goes on asking now and then.
    """
    network = network_of_visitor(request)
    if streams.is_full(network):
        raise Refusal("too_many_streams", 429)

    async def stream() -> AsyncIterator[ServerSentEventMessage]:
        with streams.counted(network):
            yield ServerSentEventMessage(event="still", data="here", retry=RETRY_MS)
            async for changed in watch.follow(town.code, None):
                yield ServerSentEventMessage(event="line" if changed else "still", data="now")

    return ServerSentEvent(stream())


async def _read(db: Database, reads: SharedReads, town: Town, now: datetime) -> Read:
    async def work() -> Read:
        async with db.begin(town.code) as session:
            day = jst_day(now)
            return Read(
                await list_board(session, town.code, day),
                await list_counters(session, town.code),
                await estimate_public_waits(session, town.code, day, now=now),
            )

    return await reads.read(("board", town.code), work)


def _draw(found: Read, screen: Screen, turn: str) -> dict[str, Any]:
    """The counters whose turn it is to be shown, and all calls of this screen, to be spoken."""
    items_of: dict[str, list[BoardItem]] = defaultdict(list)
    for item in found.items:
        items_of[item.counter].append(item)
    at_work = [
        counter
        for counter in sorted(found.counters.values(), key=_by_number)
        if screen.shows(counter) and (counter.code in items_of or _waits(found, counter))
    ]
    turns = max(1, -(-len(at_work) // COUNTERS_MAX))
    number = (int(turn[:4]) if turn.isascii() and turn.isdigit() else 0) % turns
    shown = at_work[number * COUNTERS_MAX : (number + 1) * COUNTERS_MAX]
    return {
        "counters": [_tile(counter, items_of[counter.code], found.waits.get(counter.code)) for counter in shown],
        "size": len(shown),
        "turn": number,
        "turns": turns,
        "calls": [
            _call(item, place // COUNTERS_MAX)
            for place, counter in enumerate(at_work)
            for item in items_of[counter.code]
            if item.state == "called" and item.called_at is not None
        ],
    }


def _tile(counter: CounterView, items: list[BoardItem], wait: PublicWait | None) -> dict[str, Any]:
    tickets = {
        state: [show_ticket(item.ticket_counter, item.ticket_no) for item in items if item.state == state][:CALLED_MAX]
        for state in ("called", "serving")
    }
    return {"label": short_counter_label(counter.number or counter.name_ja), "wait": wait} | tickets


def _call(item: BoardItem, turn: int) -> dict[str, Any]:
    """Called again is another call."""
    called_at = item.called_at.timestamp() if item.called_at else 0
    spoken = (item.ticket_counter, item.ticket_no, item.counter_number)
    return {
        "id": f"{show_ticket(item.ticket_counter, item.ticket_no)}@{called_at:.3f}",
        "turn": turn,
        "ja": say_call_ja(*spoken),
        "en": say_call_en(*spoken),
    }


def _waits(found: Read, counter: CounterView) -> bool:
    wait = found.waits.get(counter.code)
    return wait is not None and wait.waiting != band_of(0)


def _by_number(counter: CounterView) -> tuple[bool, int, str]:
    is_number = counter.number.isascii() and counter.number.isdigit()
    return (not is_number, int(counter.number) if is_number else 0, counter.code)
