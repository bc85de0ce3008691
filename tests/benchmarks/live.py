"""The line of the day: from a step at one tablet to fifty other screens, and the page of a line of six hundred."""

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from uuid import uuid4

import asyncpg
import msgspec

from services.booking.commands.visits import KANA, NAME
from services.booking.keys import Keys, subject_context
from services.booking.settings import load_settings
from shared.clock import jst_day, utc_now
from shared.tokens import Identity, sign_token
from shared.web.identity import SESSION_COOKIE
from tests.benchmarks.client import Connection, ask_steadily, make_request
from tests.benchmarks.figures import Figure, make_figure, percentile
from tests.benchmarks.house import TOWN, House

SCREENS = 50
STEPS = 40
WARM_UP_STEPS = 5
PAUSE_S = 0.5
TOLD_WITHIN_S = 30.0
TOLD_TARGET_MS = 1_000
AIM_MS = 200
PEOPLE = 600
LINE_TARGET_MS = 50
LINE_REQUESTS = 60
LINE_PER_SECOND = 2
WARM_UP_REQUESTS = 5
COUNTER, PROCEDURE = "7", "CHI02"
OFFICE, EMPTY_OFFICE = "bench", "bench-empty"
# Above every ticket that the product gives in a day.
TICKET_BASE = 5_000
CHANNEL = "bench_line"
LINE_ROUTE, TOOK = "/counter/line", re.compile(r'\bms"?[=:] ?([0-9.]+)')
CALLED_BY = ("遠藤 花子", "エンドウ ハナコ")

_COLUMNS = [
    "municipality",
    "appointment_id",
    "number",
    "kind",
    "state",
    "version",
    "sequence",
    "procedure",
    "counter",
    "office",
    "starts_at",
    "ends_at",
    "day",
    "reach",
    "subject_ref",
    "name_sealed",
    "kana_sealed",
    "ticket_counter",
    "ticket_no",
    "queued_at",
    "booked_at",
    "changed_at",
    "checked_in_at",
]


async def measure(house: House) -> list[Figure]:
    """p95 of action → told and → shown on all screens, beside a bare NOTIFY."""
    await house.settle()
    cookie = _sign_in(house, office=None)
    screens = [await _Screen.open(house, cookie) for _ in range(SCREENS)]
    actor = await Connection.open(house.url)
    told_ms: list[float] = []
    shown_ms: list[float] = []
    try:
        for number in range(WARM_UP_STEPS + STEPS):
            request = make_request(
                house.url, "POST", "/booking/api/line/walk-ins", body={"procedure": PROCEDURE},
                headers={"Cookie": cookie, "Idempotency-Key": uuid4().hex},
            )  # fmt: skip
            began = time.perf_counter()
            waiting = [asyncio.create_task(screen.renew(began)) for screen in screens]
            answer = await actor.ask(request)
            assert answer.status == 201, answer
            ticket = msgspec.json.decode(answer.body)["ticket"].encode()
            for told, shown, line in await asyncio.gather(*waiting):
                assert ticket in line, "a screen shows what was before"
                if number >= WARM_UP_STEPS:
                    told_ms.append(told * 1_000)
                    shown_ms.append(shown * 1_000)
            await asyncio.sleep(PAUSE_S)
    finally:
        for screen in screens:
            await screen.close()
        await actor.close()
    bare = percentile(await _measure_bare_notify(house), 0.95)
    told, shown = percentile(told_ms, 0.95), percentile(shown_ms, 0.95)
    name = f"a step → {SCREENS} other screens"
    reference_name = f"NOTIFY heard by {SCREENS} connections of their own"
    target = f"≤ {TOLD_TARGET_MS} ms (aim {AIM_MS} ms)"
    return [
        make_figure("live", f"{name}, told: p95", told, "ms", target, reference=bare, reference_name=reference_name,
                    met=told <= TOLD_TARGET_MS,
                    note="From when the step is sent. Shown: each screen has asked for the line and has all of it."),
        make_figure("live", f"{name}, shown: p95", shown, "ms", target, reference=bare, reference_name=reference_name,
                    met=shown <= TOLD_TARGET_MS),
    ]  # fmt: skip


async def measure_line(house: House) -> list[Figure]:
    """p95 of today's line with so many people in it, each with a sealed name."""
    await house.settle()
    cookie = _sign_in(house, office=OFFICE)
    async with _people(house):
        request = make_request(house.url, "GET", "/counter/line", headers={"Cookie": cookie})
        warm = await ask_steadily(house.url, [request] * WARM_UP_REQUESTS, per_second=1, connections=2)
        assert all(answer.status == 200 and answer.body.count(b"line__row ") >= PEOPLE for answer in warm)
        answers = await ask_steadily(house.url, [request] * LINE_REQUESTS, per_second=LINE_PER_SECOND, connections=2)
        taken = _server_times(house)[-LINE_REQUESTS:]
        nobody = _sign_in(house, office=EMPTY_OFFICE)
        empty = make_request(house.url, "GET", "/counter/line", headers={"Cookie": nobody})
        bare = await ask_steadily(house.url, [empty] * LINE_REQUESTS, per_second=LINE_PER_SECOND, connections=2)
    assert all(answer.status == 200 for answer in (*answers, *bare))
    p95, reference = percentile(taken, 0.95), percentile(_server_times(house)[-LINE_REQUESTS:], 0.95)
    whole = percentile([answer.seconds * 1_000 for answer in answers], 0.95)
    kilobytes = len(answers[-1].body) / 1_000
    return [
        make_figure("line", f"today's line with {PEOPLE} people, server time: p95", p95, "ms", f"≤ {LINE_TARGET_MS} ms",
                    reference=reference, reference_name="the same with nobody in it", met=p95 <= LINE_TARGET_MS,
                    note=f"As the server's log has it; until all {kilobytes:.0f} kB are here, {whole:.1f} ms.")
    ]  # fmt: skip


def _server_times(house: House) -> list[float]:
    """Milliseconds of each answer with the line so far, as the server wrote them down."""
    lines = (house.stack.logs / "front.log").read_text("utf-8").splitlines()
    return [float(found[1]) for line in lines if LINE_ROUTE in line and (found := TOOK.search(line))]


class _Screen:
    """A tablet: a stream of events, and a connection on which it asks for the line."""

    def __init__(self, house: House, cookie: str, events: tuple[asyncio.StreamReader, asyncio.StreamWriter],
                 asking: Connection) -> None:  # fmt: skip
        self._reader, self._writer = events
        self._asking = asking
        self._request = make_request(house.url, "GET", "/counter/line", headers={"Cookie": cookie})

    @classmethod
    async def open(cls, house: House, cookie: str) -> "_Screen":
        """Listen, and wait for the first event: it names the line as it is."""
        parts = house.url.removeprefix("http://").split("/")[0]
        host, _, port = parts.partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(make_request(house.url, "GET", "/counter/events", headers={"Cookie": cookie}))
        screen = cls(house, cookie, (reader, writer), await Connection.open(house.url))
        await screen._hear()
        return screen

    async def renew(self, since: float) -> tuple[float, float, bytes]:
        """Seconds until told, seconds until the line is here, and the line."""
        await self._hear()
        told = time.perf_counter() - since
        answer = await self._asking.ask(self._request)
        return told, time.perf_counter() - since, answer.body

    async def close(self) -> None:
        """Hang up."""
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()
        await self._asking.close()

    async def _hear(self) -> None:
        async with asyncio.timeout(TOLD_WITHIN_S):
            while b"event: line" not in await self._reader.readline():
                assert not self._reader.at_eof()


async def _measure_bare_notify(house: House) -> list[float]:
    """Milliseconds from a NOTIFY to each of as many connections that listen."""
    listening = [await asyncpg.connect(house.admin_url) for _ in range(SCREENS)]
    speaking = await asyncpg.connect(house.admin_url)
    taken: list[float] = []
    heard: asyncio.Queue[float] = asyncio.Queue()
    for connection in listening:
        await connection.add_listener(CHANNEL, lambda *_: heard.put_nowait(time.perf_counter()))
    for _ in range(STEPS):
        began = time.perf_counter()
        await speaking.execute(f"NOTIFY {CHANNEL}")
        taken += [(await heard.get() - began) * 1_000 for _ in listening]
    for connection in (*listening, speaking):
        await connection.close()
    return taken


def _sign_in(house: House, *, office: str | None) -> str:
    staff = Identity(municipality=TOWN, kind="staff", ref="bench", session_id=uuid4().hex, roles=("counter",),
                     office=office)  # fmt: skip
    token = sign_token(staff, house.environ["CHOUDO_TOKEN_PRIVATE_KEY"], now=utc_now())
    return f"{SESSION_COOKIE}={token}"


@contextlib.asynccontextmanager
async def _people(house: House) -> AsyncIterator[None]:
    """So many people with tickets and sealed names, in an office of their own; gone afterwards."""
    now = utc_now()
    keys = Keys.from_settings(load_settings(house.environ))
    people = [_person(keys, number, now) for number in range(PEOPLE)]
    connection = await asyncpg.connect(house.admin_url)
    try:
        await connection.copy_records_to_table(
            "subject_key", schema_name="booking", columns=["municipality", "subject_ref", "wrapped_key"],
            records=[key for key, _ in people],
        )  # fmt: skip
        await connection.copy_records_to_table(
            "appointment", schema_name="booking", columns=_COLUMNS, records=[person for _, person in people]
        )
        await connection.execute("ANALYZE booking.appointment")
        yield
        await connection.execute("DELETE FROM booking.appointment WHERE office = $1", OFFICE)
    finally:
        await connection.close()


def _person(keys: Keys, number: int, now: datetime) -> tuple[tuple[object, ...], tuple[object, ...]]:
    appointment_id, subject_ref = uuid4(), uuid4()
    context = subject_context(TOWN, subject_ref)
    wrapped = keys.vault.new_key(context)
    sealed = [
        keys.vault.seal(wrapped, context, f"{item}/{appointment_id}", value)
        for item, value in zip((NAME, KANA), CALLED_BY, strict=True)
    ]
    person = (
        TOWN, appointment_id, f"B{number:06}", "walk_in", "checked_in", 1, 0, PROCEDURE, COUNTER, OFFICE, now,
        now + timedelta(minutes=30), jst_day(now), "none", subject_ref, *sealed, COUNTER, TICKET_BASE + number, now,
        now, now, now,
    )  # fmt: skip
    return (TOWN, subject_ref, wrapped), person
