"""Whoever is reached over HTTP: one sender, and a dialect for each provider's own words."""

import asyncio
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Protocol

import aiohttp
import msgspec

from services.notifications.domain.outcomes import Outcome
from services.notifications.senders.sender import NOT_STARTED, START_WITHIN_S, TIMEOUT_S, Message, Report
from services.notifications.senders.text_limit import TextLimit

CONNECT_TIMEOUT_S = 3.0
CONCURRENCY = 16
ANSWER_MAX_BYTES = 4_096
REF_MAX_LENGTH = 200
# What speaks of the provider or of our account with it, and not of this message.
PASSING = (
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_EARLY,
    HTTPStatus.TOO_MANY_REQUESTS,
)
GARBAGE = Outcome(kind="unknown", error_code="garbage")


class Question(msgspec.Struct, frozen=True):
    """A request. It holds an address and a text: never shown."""

    url: str
    headers: Mapping[str, str]
    body: bytes

    def __repr__(self) -> str:
        return "Question()"


class Answer(msgspec.Struct, frozen=True):
    """What came back; `content` as much of it as can be of use."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class Dialect(Protocol):
    """How one provider is asked, and what its answers mean."""

    @property
    def name(self) -> str:
        """As `Sender.name`."""

    @property
    def is_idempotent(self) -> bool:
        """As `Sender.is_idempotent`."""

    @property
    def limit(self) -> TextLimit:
        """As `Sender.limit`."""

    def ask(self, message: Message) -> Question | Outcome:
        """The request for a message, or what became of one that cannot be asked for."""

    def read(self, answer: Answer) -> Outcome:
        """What an answer of the 200s or 400s says; of the others `HttpSender` knows."""


class HttpSender:
    """Sends through one provider, at most `CONCURRENCY` requests at a time over kept connections."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self.name = dialect.name
        self.is_idempotent = dialect.is_idempotent
        self.limit = dialect.limit
        self._client: aiohttp.ClientSession | None = None
        self._slots = asyncio.Semaphore(CONCURRENCY)

    async def send_batch(self, messages: Sequence[Message], report: Report) -> None:
        """Send them side by side."""
        stop_at = asyncio.get_running_loop().time() + START_WITHIN_S
        await asyncio.gather(*(self._send_one(message, report, stop_at) for message in messages))

    async def close(self) -> None:
        """Close the kept connections."""
        if self._client is not None:
            await self._client.close()
            self._client = None

    async def _send_one(self, message: Message, report: Report, stop_at: float) -> None:
        async with self._slots:
            late = asyncio.get_running_loop().time() >= stop_at
            outcome = NOT_STARTED if late else await self._post(message)
        await report(message.key, outcome)

    async def _post(self, message: Message) -> Outcome:
        asked = self._dialect.ask(message)
        if isinstance(asked, Outcome):
            return asked
        if self._client is None:
            self._client = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=TIMEOUT_S, sock_connect=CONNECT_TIMEOUT_S),
                connector=aiohttp.TCPConnector(limit=CONCURRENCY),
                cookie_jar=aiohttp.DummyCookieJar(),
                # The address of the provider is the operator's alone: no proxy from the environment.
                trust_env=False,
            )
        try:
            async with self._client.post(
                asked.url, data=asked.body, headers=asked.headers, allow_redirects=False
            ) as answer:
                return self._read(Answer(answer.status, answer.headers, await _content(answer)))
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
            return Outcome(kind="temporary", error_code="connect")
        except (aiohttp.ClientError, TimeoutError):
            # It was on its way: the provider may have accepted it.
            return Outcome(kind="unknown", error_code="no_answer")

    def _read(self, answer: Answer) -> Outcome:
        if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR or answer.status in PASSING:
            return Outcome(kind="temporary", error_code=f"http_{answer.status}")
        return self._dialect.read(answer)


def refused(status: int) -> Outcome:
    """What is neither accepted nor the provider's own trouble: this message will not be taken."""
    return Outcome(kind="permanent", error_code=f"http_{status}")


def is_success(status: int) -> bool:
    """Whether an answer is of the 200s."""
    return HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES


async def _content(answer: aiohttp.ClientResponse) -> bytes:
    """What can be of use of an answer, however long it is."""
    content = b""
    while len(content) < ANSWER_MAX_BYTES and (more := await answer.content.read(ANSWER_MAX_BYTES - len(content))):
        content += more
    return content
