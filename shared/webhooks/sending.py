"""The loop that sends webhooks: claims endpoints across towns, and gives each its turn, apart from all others.

An endpoint that is slow or dead costs its own turn and nobody else's: it is asked ever more seldom, each request has a
time limit, and nothing else of the worker waits here.
"""

import asyncio
import random
import socket
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import aiohttp
from aiohttp.abc import ResolveResult
from aiohttp.resolver import ThreadedResolver

from shared.clock import Clock
from shared.crypto import SubjectVault
from shared.db import Database
from shared.errors import Refusal
from shared.faults import pass_step
from shared.log import describe, get_logger
from shared.messaging.due import LEASE, DueRows
from shared.webhooks.destinations import Destinations
from shared.webhooks.endpoints import WEBHOOK
from shared.webhooks.signing import make_headers
from shared.webhooks.tries import is_taken
from shared.webhooks.turns import AboutOf, Answered, Message, Turn, begin_turn, end_turn

log = get_logger(__name__)

POLL_INTERVAL_S = 0.5
FAILED_PAUSE_S = 1.0
BATCH = 8
TURNS_AT_ONCE = 16
REQUESTS_AT_ONCE = 4
CONNECT_TIMEOUT_S = 3.0
TIMEOUT_S = 8.0
# Nothing is begun later: the last request ends well before the lease does.
BEGIN_WITHIN_S = 15.0
STOP_WITHIN_S = 10.0


class InsideAddress(OSError):
    """A host's addresses are all in networks that nothing may be sent to."""


class _CheckedResolver(ThreadedResolver):
    """What is looked at is what is connected to: nobody can give another address in between."""

    def __init__(self, destinations: Destinations) -> None:
        super().__init__()
        self._destinations = destinations

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await super().resolve(host, port, family)
        reachable = [each for each in found if self._destinations.may_reach(each["host"])]
        if not reachable:
            raise InsideAddress
        return reachable


class WebhookLoop:
    """Sends webhooks. Several loops may run: an endpoint is leased to one of them."""

    def __init__(
        self,
        db: Database,
        vault: SubjectVault,
        destinations: Destinations,
        clock: Clock,
        *,
        about_of: AboutOf | None = None,
    ) -> None:
        self._db = db
        self._vault = vault
        self._about_of = about_of
        self._destinations = destinations
        self._clock = clock
        self._rows = DueRows(db, [WEBHOOK], clock, lease=LEASE, batch=BATCH)
        self._client: aiohttp.ClientSession | None = None

    async def run(self) -> None:
        """Send until cancelled; then let the turns in hand come to their end."""
        turns: set[asyncio.Task[None]] = set()
        try:
            while True:
                turns = {turn for turn in turns if not turn.done()}
                if len(turns) > TURNS_AT_ONCE - BATCH:
                    await asyncio.wait(turns, return_when=asyncio.FIRST_COMPLETED)
                    continue
                try:
                    rows = await self._claim()
                except Exception as error:  # noqa: BLE001 - the database is away: the rows stay due
                    log.warning("webhook_loop_failed", **describe(error))
                    await asyncio.sleep(FAILED_PAUSE_S)
                    continue
                turns |= {asyncio.create_task(self._take_turn(row)) for row in rows}
                if len(rows) < BATCH:
                    await asyncio.sleep(POLL_INTERVAL_S)
        finally:
            if turns:
                await asyncio.wait(turns, timeout=STOP_WITHIN_S)
            for turn in turns:
                turn.cancel()
            await self.close()

    async def run_once(self) -> int:
        """Give a turn to everybody whose turn it is; how many those were."""
        rows = await self._claim()
        await asyncio.gather(*(self._take_turn(row) for row in rows))
        return len(rows)

    async def close(self) -> None:
        """Close the kept connections."""
        if self._client is not None:
            await self._client.close()
            self._client = None

    async def _claim(self) -> Sequence[Any]:
        return await self._rows.claim(self._clock()) if await self._rows.are_there() else ()

    async def _take_turn(self, row: Any) -> None:
        endpoint_id = UUID(row.ref)
        try:
            async with self._db.begin(row.municipality) as session:
                turn = await begin_turn(
                    session, row.municipality, endpoint_id, self._vault, about_of=self._about_of, now=self._clock()
                )
            answers = await self._send(turn, endpoint_id) if turn is not None and turn.messages else []
            if answers:
                pass_step("webhook.answered")
            async with self._db.begin(row.municipality) as session:
                await end_turn(
                    session,
                    row.municipality,
                    endpoint_id,
                    answers,
                    lease=row.leased_until,
                    now=self._clock(),
                    chance=random.random(),  # noqa: S311 spreads turns; nobody is to be kept from guessing it
                )
        except Exception as error:  # noqa: BLE001 - its lease runs out, and it has another turn
            log.error("webhook_turn_failed", endpoint_id=row.ref, **describe(error))

    async def _send(self, turn: Turn, endpoint_id: UUID) -> list[Answered]:
        """Send what there is, a few at a time, until one is not taken: then the rest waits for the next turn."""
        waiting = list(turn.messages)
        answers: list[Answered] = []
        stop_at = asyncio.get_running_loop().time() + BEGIN_WITHIN_S

        async def send_some() -> None:
            while waiting and all(is_taken(each.answer) for each in answers):
                if asyncio.get_running_loop().time() >= stop_at:
                    return
                message = waiting.pop(0)
                answer = await self._post(turn, message)
                answers.append(Answered(message, answer))
                log.info("webhook_tried", endpoint_id=str(endpoint_id), kind=message.kind, answer=answer)

        await asyncio.gather(*(send_some() for _ in range(REQUESTS_AT_ONCE)))
        return answers

    async def _post(self, turn: Turn, message: Message) -> str:
        try:
            # Again, for the setting may have changed, and an address that needs no resolver is asked of none.
            self._destinations.check(turn.url)
        except Refusal:
            return "inside"
        signed = make_headers(message.message_id, turn.secrets, message.body, now=self._clock())
        headers = signed | {"content-type": "application/json"}
        try:
            async with self._open().post(turn.url, data=message.body, headers=headers, allow_redirects=False) as answer:
                return f"http_{answer.status}"
        except aiohttp.ClientSSLError:
            return "tls"
        except aiohttp.ClientConnectorError as error:
            return "inside" if isinstance(error.os_error, InsideAddress) else "connect"
        except TimeoutError:
            return "timeout"
        except (aiohttp.ClientError, OSError, ValueError):
            return "no_answer"

    def _open(self) -> aiohttp.ClientSession:
        if self._client is None:
            self._client = aiohttp.ClientSession(
                headers={"user-agent": "Choudo"},
                timeout=aiohttp.ClientTimeout(total=TIMEOUT_S, sock_connect=CONNECT_TIMEOUT_S),
                connector=aiohttp.TCPConnector(
                    resolver=_CheckedResolver(self._destinations), use_dns_cache=False, limit=TURNS_AT_ONCE * 4
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                # Nobody in the environment says by which way.
                trust_env=False,
            )
        return self._client
