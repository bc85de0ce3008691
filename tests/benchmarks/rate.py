"""Holds and bookings a second on one web process, beside pgbench running the very same statements.

Both work on a town of their own with many places, as booking's own role with row-level security on. The workers rest
meanwhile, for both alike: what they do later with the outbox is another figure (`pickup`, `notices`). Statistics are
fresh, as autovacuum keeps them: thousands of rows have just been copied in.
"""

import asyncio
import shutil
import subprocess
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any
from uuid import UUID, uuid4

import msgspec

from services.booking.commands.appointments import BookAppointment, book_appointment
from services.booking.commands.holds import HoldPlace, hold_place
from services.booking.keys import Keys
from services.booking.settings import load_settings
from shared.clock import utc_now
from shared.db import Database
from tests.benchmarks.big_town import PROCEDURE, SLOT_KIND, BigTown
from tests.benchmarks.client import CONNECTIONS, ask_as_fast_as_possible, make_request
from tests.benchmarks.crowd import Visitor, bring_visitors
from tests.benchmarks.figures import Figure, make_figure, percentile
from tests.benchmarks.house import House
from tests.benchmarks.pgbench import run_pgbench
from tests.benchmarks.statements import Script, Statement, recording, uuid_of

TOWN = BigTown(code="bench", host="bench.localhost", slot_count=600)
WORKERS = ("routing-worker", "booking-worker", "notifications-worker")

WARM_UP = 300
# Both take turns, as the machine is not equally fast at all times; their medians are compared.
ROUNDS, SECONDS = 3, 2
# More than can be held in that time.
HOLDS_PREPARED = 10_000
PGBENCH_CLIENTS = 16
# Of each client, in all rounds. Those who hold and do not book by pgbench book over HTTP.
PGBENCH_HOLDS, PGBENCH_BOOKINGS = 600, 210
TARGET_RATIO, FLOOR = 0.30, 300
VISIT_KIND = 2
SCRIPT = Path(__file__).with_name("wrk.lua")


class Load(msgspec.Struct, frozen=True):
    """What a run of the load generator came to."""

    per_second: float
    p95_ms: float


async def measure(house: House) -> list[Figure]:
    """The figures of both requests."""
    await house.settle()
    await TOWN.open(house)
    for process in WORKERS:
        house.stack.stop(process)
    now = utc_now()
    slots = TOWN.slots
    visitors = await _bring(house, WARM_UP + HOLDS_PREPARED, now=now)
    requests = [_hold(house, visitor, slots[number % len(slots)]) for number, visitor in enumerate(visitors)]
    reference = await _Pgbench.prepare(house, now=now)
    holds = await _take_turns(house, requests, reference, "hold", PGBENCH_HOLDS)
    # Those who hold a place since then: the first of them book by pgbench, the others over HTTP.
    requests = [_book(house, visitor) for visitor in reference.visitors[PGBENCH_CLIENTS * PGBENCH_BOOKINGS :]]
    bookings = await _take_turns(house, requests, reference, "book", PGBENCH_BOOKINGS)
    for worker in WORKERS:
        house.stack.start(worker)
    return [
        *_figures("holds/s over HTTP", *holds),
        *_figures("bookings/s over HTTP", *bookings),
    ]


async def _take_turns(
    house: House, requests: Sequence[bytes], reference: "_Pgbench", script: str, transactions: int
) -> tuple[Load, Load]:
    """The medians over HTTP and of pgbench, after a warm-up of HTTP."""
    await _load(house, requests[:WARM_UP], SECONDS)
    share, bare_share = (len(requests) - WARM_UP) // ROUNDS, transactions // ROUNDS
    loads, bare = [], []
    for turn in range(ROUNDS):
        first = WARM_UP + turn * share
        await house.execute("ANALYZE")
        loads.append(await _load(house, requests[first : first + share], SECONDS))
        bare.append(reference.run(script, bare_share, after=turn * bare_share))
    return _median(loads), _median(bare)


def _median(loads: Sequence[Load]) -> Load:
    return Load(median(load.per_second for load in loads), median(load.p95_ms for load in loads))


def _figures(name: str, load: Load, reference: Load) -> list[Figure]:
    is_met = load.per_second >= FLOOR and load.per_second >= TARGET_RATIO * reference.per_second
    note = (
        f"One web process, {CONNECTIONS} connections, load by {'wrk' if _wrk() else 'our own client (no wrk here)'}. "
        f"The reference: pgbench, {PGBENCH_CLIENTS} clients, prepared statements, with the statements recorded from "
        "the product's own commands (`tests/benchmarks/statements.py`). The workers rest meanwhile, for both alike. "
        f"{ROUNDS} rounds in turn; medians."
    )
    return [
        make_figure("rate", name, load.per_second, "/s", f"≥ {TARGET_RATIO:.2f} × reference and ≥ {FLOOR}/s",
                    reference=reference.per_second, reference_name="pgbench, the same statements", met=is_met,
                    note=note),
        make_figure("rate", f"{name}: p95 of an answer", load.p95_ms, "ms", "", reference=reference.p95_ms,
                    reference_name="pgbench, mean of a transaction"),
    ]  # fmt: skip


async def _bring(house: House, count: int, *, now: datetime, visit_ids: Sequence[UUID] | None = None) -> list[Visitor]:
    return await bring_visitors(
        house.environ, count, procedure=PROCEDURE, municipality=TOWN.code, now=now, visit_ids=visit_ids
    )


def _hold(house: House, visitor: Visitor, slot_id: UUID) -> bytes:
    body = {"slot_id": slot_id, "visit_id": visitor.visit_id}
    headers = visitor.headers | {"Idempotency-Key": uuid4().hex}
    return make_request(house.url, "POST", "/booking/api/holds", headers=headers, body=body, host=TOWN.host)


def _book(house: House, visitor: Visitor) -> bytes:
    body = {"visit_id": visitor.visit_id}
    headers = visitor.headers | {"Idempotency-Key": uuid4().hex}
    return make_request(house.url, "POST", "/booking/api/appointments", headers=headers, body=body, host=TOWN.host)


# --- load -------------------------------------------------------------------------------------------------------------


def _wrk() -> str | None:
    return shutil.which("wrk")


async def _load(house: House, requests: Sequence[bytes], seconds: int) -> Load:
    """Send requests as fast as they are answered. For the warm-up there are fewer than can be sent."""
    is_warm_up = len(requests) <= WARM_UP
    if is_warm_up or _wrk() is None:
        answers, took = await ask_as_fast_as_possible(house.url, requests, seconds=seconds)
        refused = [answer for answer in answers if answer.status != 201]
        assert not refused, refused[0]
        assert is_warm_up or len(answers) < len(requests), "all requests were sent before the time was over"
        return Load(len(answers) / took, percentile([answer.seconds * 1_000 for answer in answers], 0.95))
    return await asyncio.to_thread(_run_wrk, house, requests, seconds)


def _run_wrk(house: House, requests: Sequence[bytes], seconds: int) -> Load:
    path = house.stack.logs / "requests"
    path.write_bytes(b"".join(request + b"\0" for request in requests))
    wrk = _wrk()
    assert wrk
    done = subprocess.run(
        [wrk, "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "30s", "-s", SCRIPT, house.url, "--", path],
        capture_output=True, text=True, check=True, timeout=seconds + 30,
    )  # fmt: skip
    said: dict[str, int] = msgspec.json.decode(done.stdout.strip().rsplit("\n", 1)[-1])
    assert said["refused"] == said["broken"] == 0, done.stdout
    assert said["sent"] <= len(requests), f"all {len(requests)} requests were sent before the time was over"
    return Load(said["answers"] / (said["microseconds"] / 1e6), said["p95_us"] / 1_000)


# --- the reference ----------------------------------------------------------------------------------------------------


class _Pgbench:
    """Runs the recorded statements for visits of its own, in the same tables."""

    def __init__(self, house: House, visitors: list[Visitor], scripts: dict[str, Path]) -> None:
        self.visitors = visitors
        self._house = house
        self._scripts = scripts

    @classmethod
    async def prepare(cls, house: House, *, now: datetime) -> "_Pgbench":
        """Record both commands on one more visit, render them, and bring the visitors whom the scripts serve."""
        ids = [uuid_of(VISIT_KIND, number) for number in range(PGBENCH_CLIENTS * PGBENCH_HOLDS)]
        visitors = await _bring(house, len(ids), now=now, visit_ids=ids)
        (sample,) = await _bring(house, 1, now=now)
        hold, book = await _record(house, sample, uuid_of(SLOT_KIND, 0), now=now)
        slot = f"('{SLOT_KIND:08x}-0000-4000-8000-' || lpad((:i::bigint % {TOWN.slot_count})::text, 12, '0'))::uuid"
        kinds = {sample.visit_id: VISIT_KIND}
        looked = {name: f":look_{name}" for name in ("place_no", "hold_id", "slot_id")}
        scripts = {}
        for name, statements, known in (("hold", hold, {"slot_id": slot}), ("book", book, looked)):
            script = Script(town=TOWN.code, known=known, kinds=kinds, clients=PGBENCH_CLIENTS)
            # What booking's look finds is what its next statement asks for.
            text = script.render(statements, remember={0: "look_"} if name == "book" else None)
            scripts[name] = house.stack.logs / f"{name}.pgbench"
            scripts[name].write_text(text, "utf-8")
        return cls(house, visitors, scripts)

    def run(self, name: str, transactions: int, *, after: int) -> Load:
        """Run one script so often for each client, for the visitors after those of so many. Raises if one failed."""
        url = self._house.environ["CHOUDO_BOOKING_DATABASE_URL"]
        script = self._scripts[name]
        return Load(
            *run_pgbench(
                url, script, clients=PGBENCH_CLIENTS, transactions=transactions, service="booking", after=after
            )
        )


async def _record(
    house: House, visitor: Visitor, slot_id: UUID, *, now: datetime
) -> tuple[list[Statement], list[Statement]]:
    db = Database(house.environ["CHOUDO_BOOKING_DATABASE_URL"], service="booking")
    keys = Keys.from_settings(load_settings(house.environ))
    who: dict[str, Any] = {"municipality": TOWN.code, "visit_id": visitor.visit_id, "visitor": visitor.guest_ref}
    with recording(db) as hold:
        async with db.begin(TOWN.code) as session:
            await hold_place(session, HoldPlace(**who, slot_id=slot_id, key=f"hold-{visitor.visit_id}"), now=now)
    with recording(db) as book:
        async with db.begin(TOWN.code) as session:
            await book_appointment(session, BookAppointment(**who, key=f"book-{visitor.visit_id}"), keys, now=now)
    await db.dispose()
    return hold, book
