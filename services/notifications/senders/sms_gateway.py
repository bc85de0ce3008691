"""SMS over an HTTP gateway: JSON with an id of ours, so that a repetition is recognised and not sent twice."""

import asyncio
from collections.abc import Sequence
from http import HTTPStatus

import httpx
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

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._token = token
        self._client: httpx.AsyncClient | None = None
        self._slots = asyncio.Semaphore(CONCURRENCY)

    async def send_batch(self, messages: Sequence[Message], report: Report) -> None:
        """Send them side by side."""
        stop_at = asyncio.get_running_loop().time() + START_WITHIN_S
        await asyncio.gather(*(self._send_one(message, report, stop_at) for message in messages))

    async def close(self) -> None:
        """Close the kept connections."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def _send_one(self, message: Message, report: Report, stop_at: float) -> None:
        async with self._slots:
            late = asyncio.get_running_loop().time() >= stop_at
            outcome = NOT_STARTED if late else await self._post(message)
        await report(message.key, outcome)

    async def _post(self, message: Message) -> Outcome:
        if self._client is None:
            self._client = httpx.AsyncClient(
                headers={"authorization": f"Bearer {self._token}"},
                timeout=httpx.Timeout(TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
                limits=httpx.Limits(max_connections=CONCURRENCY, max_keepalive_connections=CONCURRENCY),
                # The address of the gateway is the operator's alone: no proxy from the environment.
                trust_env=False,
            )
        body = {"id": message.key, "to": message.to, "text": message.content.decode()}
        try:
            async with asyncio.timeout(TIMEOUT_S):
                answer = await self._client.post(self._url, json=body)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout):
            return Outcome(kind="temporary", error_code="connect")
        except (httpx.HTTPError, TimeoutError):
            # It was on its way: the gateway may have accepted it.
            return Outcome(kind="unknown", error_code="no_answer")
        return _read(answer)


def _read(answer: httpx.Response) -> Outcome:
    if answer.status_code == HTTPStatus.CONFLICT:
        return Outcome(kind="accepted", error_code="repeated")
    if answer.is_server_error or answer.status_code in PASSING:
        return Outcome(kind="temporary", error_code=f"http_{answer.status_code}")
    if not answer.is_success:
        return Outcome(kind="permanent", error_code=f"http_{answer.status_code}")
    try:
        accepted = msgspec.json.decode(answer.content[:ANSWER_MAX_BYTES], type=_Accepted)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Outcome(kind="unknown", error_code="garbage")
    if accepted.status != "accepted":
        return Outcome(kind="permanent", error_code="not_accepted")
    return Outcome(kind="accepted", provider_ref=accepted.message_id[:REF_MAX_LENGTH])
