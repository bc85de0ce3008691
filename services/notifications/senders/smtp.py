"""Mail over SMTP: one connection for a batch, since aiosmtplib keeps no pool."""

import asyncio
from collections.abc import Sequence
from urllib.parse import unquote, urlsplit

from aiosmtplib import (
    SMTP,
    SMTPException,
    SMTPNotSupported,
    SMTPResponseException,
)

from services.notifications.domain.outcomes import Outcome, OutcomeKind
from services.notifications.senders.sender import NOT_STARTED, START_WITHIN_S, TIMEOUT_S, Message, Report

CONNECT_TIMEOUT_S = 5.0
RSET_TIMEOUT_S = 2.0
QUIT_TIMEOUT_S = 2.0
PORTS = {"smtp": 25, "smtps": 465}
REPLY_CODES = range(200, 600)
PERMANENT = range(500, 600)
CLOSING = 421


class SmtpSender:
    """Sends through one mail server. `smtp://` takes TLS when it is offered, `smtps://` insists on it."""

    # By the Message-ID: whoever gets it twice sees one.
    is_idempotent = True

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in PORTS or not parts.hostname:
            raise ValueError("CHOUDO_SMTP_URL must be smtp://host[:port] or smtps://host[:port]")
        self._hostname = parts.hostname
        self._port = parts.port or PORTS[parts.scheme]
        self._use_tls = parts.scheme == "smtps"
        self._username = unquote(parts.username) if parts.username else None
        self._password = unquote(parts.password) if parts.password else None

    async def send_batch(self, messages: Sequence[Message], report: Report) -> None:
        """Send one after the other on one connection, which is opened again when the server drops it."""
        loop = asyncio.get_running_loop()
        stop_at = loop.time() + START_WITHIN_S
        client: SMTP | None = None
        try:
            for position, message in enumerate(messages):
                if loop.time() >= stop_at:
                    await report(message.key, NOT_STARTED)
                    continue
                if client is None:
                    client = await self._connect()
                    # Connecting may have taken all the time there was.
                    if client is not None and loop.time() >= stop_at:
                        await report(message.key, NOT_STARTED)
                        continue
                if client is None:
                    # The server is away: it is for none of the others either.
                    away = Outcome(kind="temporary", error_code="connect")
                    for left in messages[position:]:
                        await report(left.key, away)
                    return
                outcome, alive = await _send(client, message)
                if not alive:
                    client.close()
                    client = None
                await report(message.key, outcome)
        finally:
            if client is not None:
                await _quit(client)

    async def close(self) -> None:
        """Nothing is kept between batches."""

    async def _connect(self) -> SMTP | None:
        client = SMTP(
            hostname=self._hostname,
            port=self._port,
            use_tls=self._use_tls,
            username=self._username,
            password=self._password,
            timeout=CONNECT_TIMEOUT_S,
        )
        try:
            # The client's own limit is for each step: greeting, EHLO, TLS and login together have no more.
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await client.connect()
        except (SMTPException, OSError, TimeoutError):
            client.close()
            return None
        return client


async def _send(client: SMTP, message: Message) -> tuple[Outcome, bool]:
    """The outcome, and whether the connection can be used again.

    Until DATA begins a failure is a failure; from then on the server may have accepted although we did not hear it.
    """
    stage = "mail"
    try:
        async with asyncio.timeout(TIMEOUT_S):
            options = [] if message.to.isascii() else ["SMTPUTF8"]
            await client.mail(message.sender, options=options, timeout=TIMEOUT_S)
            stage = "rcpt"
            await client.rcpt(message.to, timeout=TIMEOUT_S)
            stage = "data"
            await client.data(message.content, timeout=TIMEOUT_S)
    except SMTPNotSupported:
        return Outcome(kind="permanent", error_code="smtp_utf8"), True
    except SMTPResponseException as error:
        return await _refused(client, error.code, stage)
    except (SMTPException, OSError, TimeoutError):
        kind = Outcome(kind="unknown" if stage == "data" else "temporary", error_code="disconnected")
        return kind, False
    return Outcome(kind="accepted"), True


async def _refused(client: SMTP, code: int, stage: str) -> tuple[Outcome, bool]:
    if code not in REPLY_CODES:
        # Not an answer at all.
        return Outcome(kind="unknown" if stage == "data" else "temporary", error_code="garbage"), False
    # A refused sender is the operator's mistake and not the recipient's: it will be put right.
    permanent = code in PERMANENT and stage != "mail"
    kind: OutcomeKind = "permanent" if permanent else "temporary"
    # Refused at RCPT it is the mailbox; refused after DATA it may be what we wrote.
    outcome = Outcome(kind=kind, error_code=f"smtp_{code}", is_dead=permanent and stage == "rcpt")
    if code == CLOSING:
        return outcome, False
    try:
        await client.rset(timeout=RSET_TIMEOUT_S)
    except (SMTPException, OSError, TimeoutError):
        return outcome, False
    return outcome, True


async def _quit(client: SMTP) -> None:
    try:
        async with asyncio.timeout(QUIT_TIMEOUT_S):
            await client.quit(timeout=QUIT_TIMEOUT_S)
    except (SMTPException, OSError, TimeoutError):
        client.close()
