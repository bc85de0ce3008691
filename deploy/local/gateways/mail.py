"""The mail server: what aiosmtpd asks, answered as the simulator behaves; and the reports of what does not arrive."""

import asyncio
from datetime import datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from deploy.local.gateways.behaviour import Behaviour, Mode

if TYPE_CHECKING:
    from deploy.local.sink import Sink

# What a mail server may say, and what makes no sense from one.
REFUSALS: dict[Mode, str] = {
    "fail_5xx": "451 4.3.0 Try again later",
    "too_many": "451 4.7.1 Too many messages",
    "closing": "421 4.3.2 Closing",
    "reject_permanent": "550 5.1.1 No such user",
}
SMTP_GARBAGE, SMTP_DENIED = "hello there", "554 5.3.0 Not taken"
SMTP_OK, SMTP_DONE = "250 2.1.5 OK", "250 2.0.0 Accepted"
# Why a report says that it did not arrive.
STATUSES: dict[Mode, tuple[str, str]] = {
    "bounce_hard": ("5.1.1", "smtp; 550 5.1.1 No such user"),
    "bounce_soft": ("4.4.7", "smtp; 451 4.4.1 No answer from host"),
}


class MailHandler:
    """What aiosmtpd calls, by these names."""

    def __init__(self, sink: "Sink") -> None:
        self._sink = sink

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self,
        server: Any,
        session: Any,  # noqa: ARG002
        envelope: Any,
        address: str,
        rcpt_options: list[str],  # noqa: ARG002
    ) -> str:
        # Decided once for a mail, here: a mail of ours has one recipient.
        envelope.behaviour = self._sink.manners.treat("smtp", address, address)
        mode = envelope.behaviour.mode
        if mode == "closing":
            asyncio.get_running_loop().call_soon(server.transport.close)
        if mode in REFUSALS:
            return REFUSALS[mode]
        envelope.rcpt_tos.append(address)
        return SMTP_OK

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802, ARG002
        behaviour: Behaviour = envelope.behaviour
        with self._sink.manners.holding("smtp"):
            if behaviour.mode == "slow":
                await self._sink.manners.be_slow(behaviour)
            if behaviour.mode == "drop_before_accept":
                server.transport.abort()
                return SMTP_DONE
            if behaviour.mode == "garbage":
                return SMTP_GARBAGE
            if behaviour.mode == "reject_text":
                return SMTP_DENIED
            for address in envelope.rcpt_tos:
                sent = self._sink.accept_mail(address, envelope.content, **_lost(behaviour))
                sent.mail_from = envelope.mail_from
                if behaviour.mode in STATUSES:
                    self._sink.caller.bring_back(report(envelope.mail_from, address, behaviour.mode, self._sink.now()))
            if behaviour.mode == "slow_answer":
                await self._sink.manners.be_slow(behaviour)
            if behaviour.mode == "drop_after_accept":
                server.transport.abort()
            return SMTP_DENIED if behaviour.mode == "deny" else SMTP_DONE


def read_mail(to: str, content: bytes) -> tuple[str, dict[str, Any]]:
    """By what a mailbox knows a mail again, and what is kept of it."""
    mail = message_from_bytes(content, policy=policy.default)
    key = f"{mail.get('Message-ID', uuid4().hex)} {to}"
    return key, {
        "to": to,
        "text": _text_of(mail, "text/plain"),
        "subject": str(mail.get("Subject", "")),
        "calendar": _text_of(mail, "text/calendar") or None,
        "headers": {name: str(value) for name, value in mail.items()},
    }


def report(comes_back: str, to: str, mode: Mode, at: datetime) -> bytes:
    """What a mail server writes back (RFC 3464) to where a mail came from."""
    status, said = STATUSES[mode]
    top = EmailMessage(policy=policy.SMTP)
    top["From"] = "MAILER-DAEMON@sink.localhost"
    top["To"] = comes_back
    top["Subject"] = "Undelivered Mail Returned to Sender"
    top["Auto-Submitted"] = "auto-replied"
    top["Date"] = at
    top.set_content("This mail could not be delivered.\n")
    top.make_mixed()
    about = EmailMessage(policy=policy.SMTP)
    about["Reporting-MTA"] = "dns; sink.localhost"
    recipient = EmailMessage(policy=policy.SMTP)
    recipient["Final-Recipient"] = f"rfc822; {to}"
    recipient["Action"] = "failed"
    recipient["Status"] = status
    recipient["Diagnostic-Code"] = said
    blocks = EmailMessage(policy=policy.SMTP)
    blocks["Content-Type"] = "message/delivery-status"
    blocks.set_payload([about, recipient])
    top.attach(blocks)
    top.replace_header("Content-Type", "multipart/report; report-type=delivery-status")
    return top.as_bytes()


def _lost(behaviour: Behaviour) -> dict[str, bool]:
    return {"is_lost": True} if behaviour.mode in ("lose", *STATUSES) else {}


def _text_of(mail: EmailMessage, content_type: str) -> str:
    for part in mail.walk():
        if part.get_content_type() == content_type:
            text: str = part.get_content()
            return text
    return ""
