"""Mail over SMTP: one connection for a batch, and kept a while for the next one."""

import asyncio
import ssl
from collections.abc import Sequence
from typing import Literal

from aiosmtplib import SMTP, SMTPException, SMTPNotSupported, SMTPResponseException

from services.notifications.domain.bounces import is_passing
from services.notifications.domain.mail_address import standard_address
from services.notifications.domain.outcomes import Outcome
from services.notifications.senders.dkim_signature import DkimKey
from services.notifications.senders.sender import NOT_STARTED, START_WITHIN_S, TIMEOUT_S, Message, Report
from services.notifications.senders.smtp_pool import Lent, SmtpPool, SmtpServer

RSET_TIMEOUT_S = 2.0
REPLY_CODES = range(200, 600)
PERMANENT = range(500, 600)
CLOSING = 421
Stage = Literal["mail", "rcpt", "data"]


class SmtpSender:
    """Sends through one mail server; `trusted` is who vouches for it (PEM), where the machine's own list names nobody.

    `smtp://` takes TLS when it is offered, `smtp+starttls://` insists on it, `smtps://` speaks it from the first byte.
    """

    name = "smtp"
    # It never asks for the id, but a mailbox shows one Message-ID once.
    is_idempotent = True
    limit = None

    def __init__(self, url: str, *, trusted: str = "", dkim_key: DkimKey | None = None) -> None:
        context = ssl.create_default_context(cadata=trusted) if trusted else None
        self._pool = SmtpPool(SmtpServer.from_url(url, context))
        self._dkim_key = dkim_key

    async def send_batch(self, messages: Sequence[Message], report: Report) -> None:
        """Send one after the other on one connection, which is opened again when the server drops it."""
        stop_at = asyncio.get_running_loop().time() + START_WITHIN_S
        async with self._pool.place(stop_at) as has_place:
            left = list(messages) if has_place else await _report_all(messages, NOT_STARTED, report)
            connection: Lent | None = None
            try:
                while left:
                    message = left.pop(0)
                    connection, outcome = await self._send_one(connection, message, stop_at)
                    await report(message.key, outcome)
                    if connection is None and outcome.error_code == "connect":
                        # The server is away: it is for none of the others either.
                        left = await _report_all(left, outcome, report)
            finally:
                if connection is not None:
                    await self._pool.give_back(connection)

    async def close(self) -> None:
        """Close the kept connections."""
        await self._pool.close()

    async def _send_one(self, connection: Lent | None, message: Message, stop_at: float) -> tuple[Lent | None, Outcome]:
        """The connection for the next message, if it can be used again, and the outcome."""
        loop = asyncio.get_running_loop()
        if loop.time() >= stop_at:
            return connection, NOT_STARTED
        content = message.content if self._dkim_key is None else self._dkim_key.sign(message.content)
        while True:
            connection = connection or await self._pool.take()
            if connection is None:
                return None, Outcome(kind="temporary", error_code="connect")
            # Connecting may have taken all the time there was.
            if loop.time() >= stop_at:
                return connection, NOT_STARTED
            sent = _Sending(connection.client, message, content)
            outcome = await sent.send()
            if sent.is_alive:
                connection.was_used = True
                return connection, outcome
            connection.client.close()
            if not (connection.is_from_pool and sent.stage == "mail"):
                return None, outcome
            # While it was kept the server had closed it: nothing was sent yet, and another one is opened.
            connection = None


class _Sending:
    """One message on its way. Until DATA begins a failure is a failure; from then on the server may have accepted."""

    def __init__(self, client: SMTP, message: Message, content: bytes) -> None:
        self._client = client
        self._message = message
        self._content = content
        self.stage: Stage = "mail"
        self.is_alive = True

    async def send(self) -> Outcome:
        try:
            to = standard_address(self._message.to)
        except ValueError:
            # No command can hold it, or it would be another command.
            return Outcome(kind="permanent", error_code="address")
        try:
            async with asyncio.timeout(TIMEOUT_S):
                options = [] if self._message.to.isascii() else ["SMTPUTF8"]
                await self._client.mail(self._message.sender, options=options, encoding="utf-8", timeout=TIMEOUT_S)
                self.stage = "rcpt"
                await self._client.rcpt(to, encoding="utf-8", timeout=TIMEOUT_S)
                self.stage = "data"
                await self._client.data(self._content, timeout=TIMEOUT_S)
        except SMTPNotSupported:
            return Outcome(kind="permanent", error_code="smtp_utf8")
        except SMTPResponseException as error:
            return await self._refused(error.code, error.message)
        except (SMTPException, OSError, TimeoutError):
            self.is_alive = False
            return Outcome(kind="unknown" if self.stage == "data" else "temporary", error_code="disconnected")
        except ValueError:
            # The library's own look at the address, before a word is said.
            self.is_alive = await self._reset()
            return Outcome(kind="permanent", error_code="address")
        return Outcome(kind="accepted")

    async def _refused(self, code: int, said: str) -> Outcome:
        if code not in REPLY_CODES:
            # Not an answer at all.
            self.is_alive = False
            return Outcome(kind="unknown" if self.stage == "data" else "temporary", error_code="garbage")
        # A refused sender is the operator's mistake and not the recipient's: it will be put right.
        permanent = code in PERMANENT and self.stage != "mail"
        # Refused as a whole, and not at this mailbox, no address is dead: what we wrote, a full box, a blocklist.
        where = "data_" if self.stage == "data" else "policy_" if is_passing(said) else ""
        error_code = f"smtp_{where}{code}"
        self.is_alive = code != CLOSING and await self._reset()
        return Outcome(kind="permanent" if permanent else "temporary", error_code=error_code)

    async def _reset(self) -> bool:
        try:
            await self._client.rset(timeout=RSET_TIMEOUT_S)
        except (SMTPException, OSError, TimeoutError):
            return False
        return True


async def _report_all(messages: Sequence[Message], outcome: Outcome, report: Report) -> list[Message]:
    """Say the same of all of them; none is left."""
    for message in messages:
        await report(message.key, outcome)
    return []
