"""Racers over HTTP for one place: how many win, what the others get, and how long the rush takes."""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import uuid4

import httpx
import msgspec

from tests.visitors import make_guest, make_pass

# All racers are connected before the start; more sockets than this only measure the client.
CONNECTIONS = 500
TIMEOUT_S = 60.0


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a rush came to."""

    racers: int
    winners: int
    with_alternatives: int
    server_errors: int
    others: int
    seconds: float
    slowest_s: float


class Racer(msgspec.Struct, frozen=True):
    """A visitor who has arrived with a pass and waits for the start."""

    cookies: dict[str, str]
    visit_id: str


async def gather_racers(url: str, environ: Mapping[str, str], count: int, *, now: datetime) -> list[Racer]:
    """Let so many visitors arrive at booking, each with a pass of their own."""
    gate = asyncio.Semaphore(16)
    async with httpx.AsyncClient(base_url=url, timeout=TIMEOUT_S) as client:

        async def arrive() -> Racer:
            guest, cookies = make_guest(environ, now=now)
            async with gate:
                answer = await client.post(
                    "/booking/arrive",
                    data={"pass": make_pass(environ, guest, now=now)},
                    headers=_headers(cookies, url),
                )
            assert answer.status_code == httpx.codes.SEE_OTHER, answer.text[:500]
            return Racer(cookies, answer.headers["location"].rstrip("/").rsplit("/", 1)[-1].partition("?")[0])

        return list(await asyncio.gather(*(arrive() for _ in range(count))))


async def race(url: str, racers: list[Racer], slot_id: str) -> Outcome:
    """All racers ask for the same slot at once."""
    limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
    async with httpx.AsyncClient(base_url=url, timeout=TIMEOUT_S, limits=limits) as client:
        start = asyncio.Event()

        async def run(racer: Racer) -> tuple[int, dict[str, Any], float]:
            await start.wait()
            began = time.perf_counter()
            answer = await client.post(
                "/booking/api/holds",
                json={"slot_id": slot_id, "visit_id": racer.visit_id},
                headers=_headers(racer.cookies, url) | {"idempotency-key": uuid4().hex},
            )
            return answer.status_code, answer.json(), time.perf_counter() - began

        tasks = [asyncio.create_task(run(racer)) for racer in racers]
        await asyncio.sleep(0)
        began = time.perf_counter()
        start.set()
        answers = await asyncio.gather(*tasks)
        seconds = time.perf_counter() - began
    statuses = Counter(status for status, _body, _seconds in answers)
    return Outcome(
        racers=len(racers),
        winners=statuses[201],
        with_alternatives=sum(1 for status, body, _ in answers if status == 409 and body.get("alternatives")),
        server_errors=sum(count for status, count in statuses.items() if status >= 500),
        others=sum(count for status, count in statuses.items() if status not in (201, 409) and status < 500),
        seconds=seconds,
        slowest_s=max(seconds for _status, _body, seconds in answers),
    )


def _headers(cookies: Mapping[str, str], url: str) -> dict[str, str]:
    cookie = "; ".join(f"{name}={value}" for name, value in cookies.items())
    return {"cookie": cookie, "origin": url, "sec-fetch-site": "same-origin", "accept": "application/json"}
