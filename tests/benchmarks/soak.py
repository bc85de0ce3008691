"""Half an hour of bookings, each told by SMS: what each process holds in the end that it did not hold before.

Not part of a whole run. It counts as well: whoever was told of a booking has it, routing knows it, and got one SMS.
"""

import asyncio
import contextlib
import time
from uuid import UUID

import httpx
import msgspec
import psutil
import redis

from shared.clock import utc_now
from tests.benchmarks.big_town import PROCEDURE, BigTown
from tests.benchmarks.client import Answer, ask_steadily, make_request
from tests.benchmarks.crowd import Visitor, bring_visitors, give_contacts
from tests.benchmarks.figures import Figure, make_figure, percentile
from tests.benchmarks.house import House
from tests.stack import run_cli

MINUTES = 30
PER_SECOND = 50
# As many as come in half a minute are prepared while those before them book.
WAVE_S = 30
WAVE = PER_SECOND * WAVE_S
SAMPLE_EVERY_S = 10.0
# Printed: one sample of so many.
TOLD_EVERY = 6
# Caches fill and pools open until then; what grows afterwards is a leak.
WARM_UP_SHARE = 1 / 3
# Of one process, over an hour, between the middle and the end: a tenth of what it needs.
LEAK_MIB_PER_HOUR = 20.0
MIB = 2**20
# The machine may be slower than those who book: what it could not do meanwhile it does afterwards.
CATCH_UP_S = 900
TOWN = BigTown(code="soak", host="soak.localhost", slot_count=1_900)
_CONNECTIONS = "SELECT count(*) AS n FROM pg_stat_activity WHERE application_name LIKE 'choudo-%'"
_OLDEST = " UNION ALL ".join(
    f"SELECT count(*) AS n, coalesce(extract(epoch FROM now() - min(occurred_at)), 0) AS age FROM {service}.delivery "
    "WHERE acked_at IS NULL"
    for service in ("routing", "booking", "notifications")
)
_COMMITS = """
    SELECT (SELECT count(*) FROM booking.appointment WHERE municipality = 'soak') AS booked,
           (SELECT count(*) FROM routing.appointment WHERE municipality = 'soak') AS projected,
           (SELECT count(*) FROM notifications.notice WHERE municipality = 'soak' AND state = 'sent') AS told
"""


class Sample(msgspec.Struct, frozen=True):
    """A look at everything that could grow, so many seconds after the beginning."""

    at_s: float
    memory: dict[str, float]
    files: dict[str, int]
    connections: int
    redis_mib: float
    redis_clients: int
    unacknowledged: int
    oldest_s: float


async def measure(house: House, *, minutes: float = MINUTES) -> list[Figure]:
    """Book at a steady rate, and look at everything now and then."""
    await house.settle()
    await TOWN.open(house)
    samples: list[Sample] = []
    watching = asyncio.create_task(_watch(house, samples))
    try:
        booked, answers = await _book_in_waves(house, round(minutes * 60 / WAVE_S))
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching
    await house.settle()
    await _wait_until_told(house, booked)
    commits = (await house.rows(_COMMITS))[0]
    intact = run_cli(house.environ, "ledger", "verify").count("intact")
    later = [sample for sample in samples if sample.at_s >= samples[-1].at_s * WARM_UP_SHARE]
    growth = {name: _slope_per_hour([(s.at_s, s.memory[name]) for s in later]) for name in later[0].memory}
    worst = max(growth, key=lambda name: growth[name])
    grown = ", ".join(f"{name} {later[0].memory[name]:.0f} → {later[-1].memory[name]:.0f}" for name in sorted(growth))
    first, last = later[0], later[-1]
    name = f"{minutes:g} min at {PER_SECOND} bookings/s"
    return [
        make_figure("soak", f"{name}: bookings, and lost or doubled", booked, "bookings",
                    "none lost, none doubled", reference=commits["told"], reference_name="each with one SMS",
                    met=booked == commits["booked"] == commits["projected"] == commits["told"] and intact > 0,
                    note=f"Ledgers intact after it: {intact} chains."),
        make_figure("soak", f"{name}: p95 of a booking's answer", percentile(answers, 0.95), "ms", ""),
        make_figure("soak", f"{name}: oldest event without a receipt, p95 of the looks",
                    percentile([sample.oldest_s for sample in samples], 0.95), "s", ""),
        make_figure("soak", f"{name}: fastest growing process ({worst})", growth[worst], "MiB/h",
                    f"≤ {LEAK_MIB_PER_HOUR:g} MiB/h", met=growth[worst] <= LEAK_MIB_PER_HOUR,
                    note=f"Memory (PSS, MiB) at a third and at the end: {grown}."),
        make_figure("soak", f"{name}: database connections at the end", last.connections, "connections", "",
                    reference=first.connections, reference_name="at a third"),
        make_figure("soak", f"{name}: open files of all processes at the end", sum(last.files.values()), "files", "",
                    reference=sum(first.files.values()), reference_name="at a third"),
        make_figure("soak", f"{name}: memory of the broker at the end", last.redis_mib, "MiB", "",
                    reference=first.redis_mib, reference_name="at a third",
                    note=f"Clients of the broker: {first.redis_clients} → {last.redis_clients}."),
    ]  # fmt: skip


async def _book_in_waves(house: House, waves: int) -> tuple[int, list[float]]:
    """Everybody holds a place, and books it half a minute later. How many booked, and the answers' milliseconds."""
    booked, took = 0, []
    holding: list[Visitor] = []
    next_wave = asyncio.create_task(_bring(house, 0))
    for number in range(waves + 1):
        arriving = await next_wave if number < waves else []
        if number + 1 < waves:
            next_wave = asyncio.create_task(_bring(house, number + 1))
        slots = TOWN.slots
        holds = [_hold(house, visitor, slots[(number * WAVE + place) % len(slots)])
                 for place, visitor in enumerate(arriving)]  # fmt: skip
        books = [_book(house, visitor) for visitor in holding]
        held, answers = await asyncio.gather(_steadily(house, holds), _steadily(house, books))
        refused = [answer for answer in (*held, *answers) if answer.status != httpx.codes.CREATED]
        assert not refused, (len(refused), refused[0])
        booked += len(answers)
        took += [answer.seconds * 1_000 for answer in answers]
        holding = arriving
    return booked, took


async def _steadily(house: House, requests: list[bytes]) -> list[Answer]:
    return await ask_steadily(house.url, requests, per_second=PER_SECOND) if requests else []


async def _bring(house: House, wave: int) -> list[Visitor]:
    people = [f"+8180{wave * WAVE + number:08}" for number in range(WAVE)]
    contacts = await give_contacts(house.environ, people, municipality=TOWN.code)
    return await bring_visitors(
        house.environ, WAVE, procedure=PROCEDURE, municipality=TOWN.code, now=utc_now(), contacts=contacts
    )


def _hold(house: House, visitor: Visitor, slot_id: UUID) -> bytes:
    body = {"slot_id": slot_id, "visit_id": visitor.visit_id}
    return make_request(house.url, "POST", "/booking/api/holds", headers=visitor.headers, body=body, host=TOWN.host)


def _book(house: House, visitor: Visitor) -> bytes:
    body = {"visit_id": visitor.visit_id}
    return make_request(
        house.url, "POST", "/booking/api/appointments", headers=visitor.headers, body=body, host=TOWN.host
    )


async def _watch(house: House, samples: list[Sample]) -> None:
    began = time.monotonic()
    with redis.Redis.from_url(house.environ["CHOUDO_REDIS_URL"]) as broker:
        while True:
            info = await asyncio.to_thread(broker.info)
            waiting = await house.rows(_OLDEST)
            processes = {name: psutil.Process(process.pid) for name, process in house.stack.processes.items()}
            samples.append(
                Sample(
                    at_s=time.monotonic() - began,
                    memory={name: process.memory_full_info().pss / MIB for name, process in processes.items()},
                    files={name: process.num_fds() for name, process in processes.items()},
                    connections=(await house.rows(_CONNECTIONS))[0]["n"],
                    redis_mib=info["used_memory"] / MIB,
                    redis_clients=info["connected_clients"],
                    unacknowledged=sum(row["n"] for row in waiting),
                    oldest_s=max(float(row["age"]) for row in waiting),
                )
            )
            if len(samples) % TOLD_EVERY == 1:
                _tell(samples[-1])
            await asyncio.sleep(SAMPLE_EVERY_S)


def _tell(sample: Sample) -> None:
    """So that a run that ends badly has said something."""
    memory = ", ".join(f"{name} {mib:.0f}" for name, mib in sorted(sample.memory.items()))
    print(
        f"  {sample.at_s / 60:4.0f} min: {sample.unacknowledged} without a receipt, oldest {sample.oldest_s:.1f} s; "
        f"{sample.connections} connections, {sum(sample.files.values())} files, broker {sample.redis_mib:.0f} MiB; "
        f"PSS in MiB: {memory}",
        flush=True,
    )


async def _wait_until_told(house: House, booked: int) -> None:
    deadline = time.monotonic() + CATCH_UP_S
    while (told := (await house.rows(_COMMITS))[0]["told"]) < booked:
        assert time.monotonic() < deadline, f"{told} of {booked} told\n{house.stack.log_tails()}"
        await asyncio.sleep(1)


def _slope_per_hour(points: list[tuple[float, float]]) -> float:
    """The line through all points: what a process gains in an hour, whatever a single look happens to see."""
    mean_s = sum(at_s for at_s, _ in points) / len(points)
    mean = sum(value for _, value in points) / len(points)
    spread = sum((at_s - mean_s) ** 2 for at_s, _ in points)
    return 3_600 * sum((at_s - mean_s) * (value - mean) for at_s, value in points) / spread if spread else 0.0
