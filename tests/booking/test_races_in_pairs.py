"""Two at once, in every pair, at the same place: over HTTP, on two server processes, and a worker beside them.

A deed is a row of `DEEDS`: what must have been made for it (`races_town.MAKERS`), and how it is sent. What it may be
told beside another deed is in `TOLD`; without a word there it is always done. Whatever they are told: nobody is told
500, of those who race for one thing one gets it, and afterwards `races_town.NEVER` finds nothing.

Seen to fail without a guard:

- any place is free for a hold: hold and hold, hold and book, hold and take an offer, hold and hold long, hold long and
  hold long;
- the appointment's row is not locked (`changes.py`): change and change, cancel and cancel, change and give up, give up
  and give up, take an offer and take an offer, cancel and close, cancel long and cancel long;
- the draw's row is not locked (`draws.py`): draw and draw, enter and draw;
- the visit's row is not locked (`appointments.py`): book and book;
- a closing leaves holds where they are: book and close, hold and close.

Whatever publishes rules without their lock is still told apart by the unique index of `opening_rule`.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import combinations_with_replacement, product
from typing import NamedTuple
from uuid import uuid4

import pytest
import pytest_asyncio

from deploy.local.servers import Servers
from services.booking.commands.draws import draw
from services.booking.commands.waitlist_offers import on_waiting_answer_due
from services.booking.domain.opening import Hours
from services.booking.pages.rules_form import fields_of
from shared.db import again_after_deadlock
from shared.ledger.sealer import Sealer
from shared.ledger.verify import verify
from tests.booking.conftest import TOWN, two_towns
from tests.booking.opening_town import make_rule
from tests.booking.races_town import (
    CLOSES,
    EVERY_DAY,
    SLOT_MIN,
    WINDOW_ENDS,
    Arena,
    World,
    arena_of,
    look_for_waiting,
    never,
    outcome_of,
    places_for,
    work_at_once,
)
from tests.conftest import Clones, own_database

pytestmark = pytest.mark.asyncio(loop_scope="module")

# Who is first, and by how much: neither, or one by about the time that a transaction takes.
HEAD_STARTS_S = ((0.0, 0.0), (0.006, 0.0), (0.0, 0.006)) * int(os.environ.get("CHOUDO_RACES", "1"))


class Deed(NamedTuple):
    """Something that somebody does, and what must be there for it."""

    needs: tuple[str, ...]
    send: Callable[[World, int], Awaitable[str]]


async def hold(world: World, turn: int) -> str:
    visit_id = world.made[f"visit {turn}"]
    wanted = {"slot_id": str(world.wanted), "visit_id": str(visit_id)}
    return outcome_of(await world.post(turn, "/booking/api/holds", world.guest(f"visit {turn}"), json=wanted))


async def hold_long(world: World, turn: int) -> str:
    """The wanted time, and the one before it."""
    visit_id = world.made[f"long visit {turn}"]
    wanted = {"slot_id": str(world.slot(-1)), "visit_id": str(visit_id)}
    return outcome_of(await world.post(turn, "/booking/api/holds", world.guest(f"long visit {turn}"), json=wanted))


async def book(world: World, turn: int, thing: str = "held") -> str:
    answer = await world.post(
        turn, "/booking/api/appointments", world.guest(thing), json={"visit_id": str(world.made[thing])}
    )
    if answer.is_success:
        world.told[thing].add(answer.json()["number"])
    return outcome_of(answer)


async def book_long(world: World, turn: int) -> str:
    return await book(world, turn, "long held")


async def _post_own(world: World, turn: int, thing: str, what: str, **fields: str) -> str:
    """To one's own appointment, as its page was when the race began."""
    path = f"/booking/appointments/{world.made[thing].number}/{what}"
    form = fields | {"version": str(world.made[f"version of {thing}"]), "idempotency_key": str(uuid4())}
    return outcome_of(await world.post(turn, path, world.guest(thing), data=form))


async def change(world: World, turn: int) -> str:
    return await _post_own(world, turn, "moving", "change", slot=str(world.wanted))


async def change_long(world: World, turn: int) -> str:
    return await _post_own(world, turn, "long moving", "change", slot=str(world.slot(-1)))


async def take_earlier(world: World, turn: int) -> str:
    return await _post_own(world, turn, "waiter", "change", slot=str(world.wanted))


async def let_go(world: World, turn: int) -> str:
    """No to the earlier time: the next one's turn."""
    return await _post_own(world, turn, "waiter", "earlier", do="decline", offer=str(world.made["earlier"]))


async def lapse(world: World, turn: int) -> str:
    """The worker, when the earlier time has been kept long enough, which by its clock is now."""

    async def work() -> None:
        async with world.town.db.begin(TOWN) as session:
            await on_waiting_answer_due(session, TOWN, str(world.made["earlier"]), world.town.now)

    await again_after_deadlock(work)
    return "done"


async def look(world: World, turn: int) -> str:
    """The worker, for who waits next."""
    await again_after_deadlock(lambda: look_for_waiting(world))
    return "done"


async def cancel_long(world: World, turn: int) -> str:
    return await _post_own(world, turn, "long seated", "cancel")


async def cancel(world: World, turn: int) -> str:
    return await _post_own(world, turn, "seated", "cancel")


async def give_up(world: World, turn: int) -> str:
    return await _post_own(world, turn, "moving", "cancel")


async def enter(world: World, turn: int) -> str:
    path = f"/booking/visits/{world.made['entrant']}/draws/{world.made['draw']}"
    answer = await world.post(turn, path, world.guest("entrant"), data={"wish1": str(world.wanted)})
    is_entered = "/entries/" in answer.headers.get("location", "")
    if is_entered:
        world.told["enter"].add(answer.headers["location"])
    outcome = outcome_of(answer)
    return outcome if is_entered or outcome != "done" else "not entered"


async def draw_it(world: World, turn: int) -> str:
    """The worker, at the end of the window, which by its clock is now."""
    draw_id, keys, closed_at = world.made["draw"], world.town.keys, world.town.now + WINDOW_ENDS

    async def work() -> None:
        async with world.town.db.begin(TOWN) as session:
            await draw(session, TOWN, draw_id, keys, now=closed_at)

    await again_after_deadlock(work)
    return "done"


async def close(world: World, turn: int) -> str:
    starts, ends = (world.starts_at(number) for number in (0, 1))
    form = {
        "counter": world.counter, "day": world.day.isoformat(), "reason": "weather", "idempotency_key": str(uuid4()),
        "from": str(starts.hour * 60 + starts.minute), "to": str(ends.hour * 60 + ends.minute),
    }  # fmt: skip
    answer = await world.post(turn, "/counter/close", "boss", kind="staff", roles=("manager",), data=form)
    await work_at_once(world.town)
    return outcome_of(answer)


async def reopen(world: World, turn: int) -> str:
    path = f"/counter/close/{world.made['closing']}/reopen"
    answer = await world.post(turn, path, "boss", kind="staff", roles=("manager",), data={})
    await work_at_once(world.town)
    return outcome_of(answer)


async def publish(world: World, turn: int) -> str:
    """From that day on it opens later, so that nobody is served at the wanted time; each turn has another idea."""
    later = world.starts_at(1 + turn).time()
    rule = make_rule(slot_min=SLOT_MIN, places=1, hours=(Hours(later, CLOSES),), weekdays=EVERY_DAY)
    form = fields_of(rule, first=world.day) | {"seen": "1"}
    path = f"/counter/opening/{world.counter}/publish"
    return outcome_of(await world.post(turn, path, "boss", kind="staff", roles=("manager",), data=form))


DEEDS = {
    "hold": Deed(("visit",), hold),
    "book": Deed(("held",), book),
    "change": Deed(("moving",), change),
    "cancel": Deed(("seated",), cancel),
    "take an offer": Deed(("moving", "offer"), change),
    "give up": Deed(("moving",), give_up),
    "enter": Deed(("draw", "entrant"), enter),
    "draw": Deed(("draw",), draw_it),
    "close": Deed(("seated", "room"), close),
    "reopen": Deed(("seated", "room", "closing"), reopen),
    "publish": Deed(("room",), publish),
    "take an earlier time": Deed(("waiter", "earlier"), take_earlier),
    "let it go": Deed(("waiter", "earlier"), let_go),
    "let it lapse": Deed(("waiter", "earlier"), lapse),
    "look for who waits": Deed(("next waiter",), look),
    "hold long": Deed(("long visit",), hold_long),
    "book long": Deed(("long held",), book_long),
    "change long": Deed(("long moving",), change_long),
    "cancel long": Deed(("long seated",), cancel_long),
}
# They want the wanted place, and these others have it or want it, too.
SEEKERS = ("hold", "hold long", "change", "change long")
OTHERS = DEEDS.keys() - {"give up", "close", "reopen", "publish"}
TAKEN, GONE = {"slot_taken"}, {"slot_taken", "slot_unknown", "slot_closed"}
GONE_LONG = GONE | {"slot_too_short"}
MINE_IS_OTHER = {"appointment_moved", "appointment_cancelled"}
# What a deed may be told beside another, besides that it is done.
TOLD: dict[tuple[str, str], set[str]] = dict.fromkeys(product(SEEKERS, OTHERS), TAKEN) | {
    ("hold", "close"): GONE,
    ("hold", "reopen"): {"slot_closed"},
    ("hold", "publish"): GONE,
    ("hold long", "close"): GONE_LONG,
    ("hold long", "reopen"): {"slot_closed", "slot_too_short"},
    ("hold long", "publish"): GONE_LONG,
    ("book", "close"): {"hold_missing", "hold_expired", "slot_closed"},
    ("book", "reopen"): {"hold_missing"},
    ("book long", "close"): {"hold_missing", "hold_expired", "slot_closed"},
    ("book long", "reopen"): {"hold_missing"},
    ("change", "change"): MINE_IS_OTHER,
    ("change", "take an offer"): MINE_IS_OTHER,
    ("change", "give up"): MINE_IS_OTHER,
    ("change", "close"): GONE,
    ("change", "reopen"): {"slot_closed"},
    ("change", "publish"): GONE,
    ("change long", "change long"): MINE_IS_OTHER,
    ("change long", "close"): GONE_LONG,
    ("change long", "reopen"): {"slot_closed", "slot_too_short"},
    ("change long", "publish"): GONE_LONG,
    ("cancel", "cancel"): MINE_IS_OTHER,
    ("cancel", "close"): {"appointment_moved"},
    ("cancel", "reopen"): {"appointment_moved"},
    ("cancel long", "cancel long"): MINE_IS_OTHER,
    ("cancel long", "close"): {"appointment_moved"},
    ("cancel long", "reopen"): {"appointment_moved"},
    ("take an offer", "change"): MINE_IS_OTHER,
    ("take an offer", "take an offer"): MINE_IS_OTHER,
    ("take an offer", "give up"): MINE_IS_OTHER,
    ("take an offer", "close"): {"slot_closed", "slot_taken"},
    ("take an offer", "reopen"): {"slot_closed"},
    ("take an offer", "publish"): {"slot_closed", "slot_taken"},
    # Whatever ends what is kept for them is told, and makes another version.
    ("take an earlier time", "take an earlier time"): MINE_IS_OTHER,
    ("take an earlier time", "let it go"): MINE_IS_OTHER,
    ("take an earlier time", "let it lapse"): MINE_IS_OTHER,
    ("take an earlier time", "close"): {"slot_closed", "slot_taken", "appointment_moved"},
    ("take an earlier time", "reopen"): {"slot_closed"},
    ("take an earlier time", "publish"): {"slot_closed", "slot_taken", "appointment_moved"},
    ("give up", "change"): MINE_IS_OTHER,
    ("give up", "take an offer"): MINE_IS_OTHER,
    ("give up", "give up"): MINE_IS_OTHER,
    ("enter", "draw"): {"draw_closed"},
    ("publish", "publish"): {"409"},
}
# They race for one thing: one of them gets it.
FOR_ONE = {
    *combinations_with_replacement(SEEKERS, 2),
    ("change", "take an offer"),
    ("change", "give up"),
    ("cancel", "cancel"),
    ("cancel long", "cancel long"),
    ("take an offer", "take an offer"),
    ("take an offer", "give up"),
    ("take an earlier time", "take an earlier time"),
    ("give up", "give up"),
    ("publish", "publish"),
}
PAIRS = list(combinations_with_replacement(DEEDS, 2))


def needs_of(pair: tuple[str, str]) -> set[str]:
    return {need for name in pair for need in DEEDS[name].needs}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def arena(servers: Servers, template_environ: dict[str, str], clones: Clones) -> AsyncIterator[Arena]:
    """One town for all races."""
    async with (
        own_database(servers, template_environ, clones) as database,
        two_towns(database) as town,
        arena_of(town) as ready,
    ):
        yield ready


@pytest.mark.parametrize("pair", PAIRS, ids=[" and ".join(pair) for pair in PAIRS])
async def test_two_at_once(arena: Arena, pair: tuple[str, str]) -> None:
    needs = needs_of(pair)
    counters = [f"r{PAIRS.index(pair)}-{race}" for race in range(len(HEAD_STARTS_S))]
    await arena.open(counters, places_for(needs))
    for counter, head_start_s in zip(counters, HEAD_STARTS_S, strict=True):
        world = await arena.world(counter, needs)
        for thing in ("moving", "seated", "waiter", "long moving", "long seated"):
            if thing in world.made:
                world.made[f"version of {thing}"] = await world.version(thing)
        for turn, name in enumerate(pair):
            if "visit" in DEEDS[name].needs:
                world.made[f"visit {turn}"] = await world.visit(f"visit {turn}")
            if "long visit" in DEEDS[name].needs:
                world.made[f"long visit {turn}"] = await world.long_visit(f"long visit {turn}")
        start = asyncio.Event()

        async def do(turn: int, wait_s: float, world: World = world, start: asyncio.Event = start) -> str:
            await start.wait()
            await asyncio.sleep(wait_s)
            return await DEEDS[pair[turn]].send(world, turn)

        deeds = [asyncio.create_task(do(turn, wait_s)) for turn, wait_s in enumerate(head_start_s)]
        start.set()
        told = await asyncio.gather(*deeds)
        await work_at_once(arena.town)
        for turn, outcome in enumerate(told):
            allowed = {"done"} | TOLD.get((pair[turn], pair[1 - turn]), set())
            assert outcome in allowed, (pair, told)
        if {pair, pair[::-1]} & FOR_ONE:
            assert told.count("done") == 1, (pair, told)
        # However often it was sent, it is one appointment, or one entry.
        assert all(len(numbers) == 1 for numbers in world.told.values())
        assert await never(arena.town) == [], (pair, told)


async def test_the_ledger_of_all_these_races_verifies(arena: Arena) -> None:
    await Sealer(arena.town.db).seal_all()
    verdict = await verify(arena.town.db, TOWN)
    assert (verdict.intact, verdict.unchained) == (True, 0)
