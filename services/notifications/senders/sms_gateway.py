"""SMS over an HTTP gateway: JSON with an id of ours, so that a repetition is recognised and not sent twice."""

import asyncio
from collections.abc import Sequence
from http import HTTPStatus

import aiohttp
import msgspec

from services.notifications.domain.outcomes import Outcome
from services.notifications.senders.sender import NOT_STARTED, START_WITHIN_S, TIMEOUT_S, Message, Report

CONNECT_TIMEOUT_S = 3.0
CONCURRENCY = 16
ANSWER_MAX_BYTES = 4_096
REF_MAX_LENGTH = 200
# What speaks of the gateway or of our account with it, and not of this message.
PASSING = (
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_EARLY,
    HTTPStatus.TOO_MANY_REQUESTS,
)


class _Accepted(msgspec.Struct, frozen=True):
    message_id: str
    status: str


class SmsGatewaySender:
    """Sends through one gateway, at most `CONCURRENCY` requests at a time over kept connections."""

    is_idempotent = True

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._token = token
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
        if self._client is None:
            self._client = aiohttp.ClientSession(
                headers={"authorization": f"Bearer {self._token}", "content-type": "application/json"},
                timeout=aiohttp.ClientTimeout(total=TIMEOUT_S, sock_connect=CONNECT_TIMEOUT_S),
                connector=aiohttp.TCPConnector(limit=CONCURRENCY),
                cookie_jar=aiohttp.DummyCookieJar(),
                # The address of the gateway is the operator's alone: no proxy from the environment.
                trust_env=False,
            )
        body = {"id": message.key, "to": message.to, "text": message.content.decode()}
        try:
            async with self._client.post(self._url, data=msgspec.json.encode(body), allow_redirects=False) as answer:
                return _read(answer.status, await _content(answer))
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
            return Outcome(kind="temporary", error_code="connect")
        except (aiohttp.ClientError, TimeoutError):
            # It was on its way: the gateway may have accepted it.
            return Outcome(kind="unknown", error_code="no_answer")


async def _content(answer: aiohttp.ClientResponse) -> bytes:
    """What can be of use of an answer, however long it is."""
    content = b""
    while len(content) < ANSWER_MAX_BYTES and (more := await answer.content.read(ANSWER_MAX_BYTES - len(content))):
        content += more
    return content


def _read(status: int, content: bytes) -> Outcome:
    if status == HTTPStatus.CONFLICT:
        return Outcome(kind="accepted", error_code="repeated")
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in PASSING:
        return Outcome(kind="temporary", error_code=f"http_{status}")
    if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return Outcome(kind="permanent", error_code=f"http_{status}")
    try:
        accepted = msgspec.json.decode(content, type=_Accepted)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Outcome(kind="unknown", error_code="garbage")
    if accepted.status != "accepted":
        return Outcome(kind="permanent", error_code="not_accepted")
    return Outcome(kind="accepted", provider_ref=accepted.message_id[:REF_MAX_LENGTH])
