"""What the gateways tell later: receipts, each gateway in its own words, and mail that comes back."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime
from typing import Any, Final, TypeVar
from urllib.parse import urlencode
from uuid import uuid4

import httpx
import msgspec

from deploy.local.gateways.behaviour import Mode
from deploy.local.gateways.kept import Sent
from deploy.local.gateways.line import LineEvent, event_body, line_signature
from services.notifications.domain.receipts import sign

T = TypeVar("T")

CALLBACK_TIMEOUT_S = 5.0
REPEATED = 3
# The older gateway has several words for one message, and writes them as it likes.
ON_ITS_WAY, ARRIVED, NOT_ARRIVED = ("送信中", "cp932"), ("配信済", "utf-8"), ("不達", "cp932")
EARLY: Final[Mode] = "receipts_early"


class ReceiptsTo(msgspec.Struct, frozen=True, kw_only=True):
    """Whom the gateways call; None: nobody asked for it. With `signs` the first one signs, and shows no token."""

    by_json: str | None = None
    by_form: str | None = None
    bounces: str | None = None
    bounce_token: str = ""
    # The town's webhook of LINE, and the secret of its account.
    line: str | None = None
    line_secret: str = ""
    signs: bool = False


class Caller:
    """Calls back, in its own time unless it is to be early."""

    def __init__(self, to: ReceiptsTo, token: str, clock: Callable[[], datetime]) -> None:
        self._to = to
        self._token = token
        self._clock = clock
        self._calls: set[asyncio.Task[None]] = set()
        self.reply_tokens: dict[str, str] = {}
        """Whom an answer to an event goes to."""

    async def tell_by_json(self, sent: Sent, mode: Mode) -> None:
        """The first gateway: our own id, and a word in JSON."""
        if self._to.by_json is None or mode == "lose":
            return
        words = ["failed"] if mode == "undelivered" else ["delivered"]
        if mode.startswith("receipts"):
            words = ["accepted", *words]
        bodies = [
            msgspec.json.encode({"id": sent.key, "message_id": sent.message_id, "status": word})
            for word in in_manner(words, mode)
        ]
        await self._call(self._to.by_json, bodies, "application/json", mode)

    async def tell_by_form(self, sent: Sent, tag: str, mode: Mode) -> None:
        """The older one: its own id and our tag, in a form."""
        if self._to.by_form is None or mode == "lose":
            return
        words = [ON_ITS_WAY, NOT_ARRIVED if mode == "undelivered" else ARRIVED]
        bodies = [
            urlencode(
                {"id": sent.message_id, "tag": tag, "status": word, "pass": self._token}, encoding=charset
            ).encode("ascii")
            for word, charset in in_manner(words, mode)
        ]
        await self._call(self._to.by_form, bodies, "application/x-www-form-urlencoded", mode)

    def bring_back(self, report: bytes) -> None:
        """A mail that could not be delivered, to whoever takes bounces."""
        if self._to.bounces is not None:
            self._later(self._post(self._to.bounces, [report], "message/rfc822", self._to.bounce_token))

    async def tell_of_line(self, event: LineEvent) -> int | None:
        """What somebody did at the town's account at LINE; what the webhook answered."""
        if self._to.line is None:
            return None
        reply_token = uuid4().hex
        self.reply_tokens[reply_token] = event.user_id
        body = event_body(event, reply_token, at_ms=int(self._clock().timestamp() * 1_000))
        headers = {
            "content-type": "application/json", "x-line-signature": line_signature(body, self._to.line_secret)
        }  # fmt: skip
        async with httpx.AsyncClient(timeout=CALLBACK_TIMEOUT_S, trust_env=False) as client:
            return (await client.post(self._to.line, content=body, headers=headers)).status_code

    async def settle(self) -> None:
        """Wait until everybody was called."""
        while self._calls:
            await asyncio.gather(*self._calls)

    async def stop(self) -> None:
        """Call nobody any more."""
        for call in self._calls:
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)

    async def _call(self, url: str, bodies: Sequence[bytes], media_type: str, mode: Mode) -> None:
        calling = self._post(url, bodies, media_type, self._token)
        if mode == EARLY:
            await calling
        else:
            self._later(calling)

    def _later(self, calling: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(calling)
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)

    async def _post(self, url: str, bodies: Sequence[bytes], media_type: str, token: str) -> None:
        async with httpx.AsyncClient(timeout=CALLBACK_TIMEOUT_S, trust_env=False) as client:
            for body in bodies:
                headers = {"content-type": media_type, "authorization": f"Bearer {token}"}
                if self._to.signs:
                    del headers["authorization"]
                    headers["x-signature"] = sign(body, token, at_s=int(self._clock().timestamp()))
                with contextlib.suppress(httpx.HTTPError):
                    await client.post(url, content=body, headers=headers)


def in_manner(words: Sequence[T], mode: Mode) -> list[T]:
    """The receipts in the order, and as often, as this manner has them."""
    match mode:
        case "receipts_repeated":
            return [word for word in words for _ in range(REPEATED)]
        case "receipts_backwards":
            return list(reversed(words))
        case _:
            return list(words)
