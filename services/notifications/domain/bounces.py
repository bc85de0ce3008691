"""Bounces (RFC 3464): what mail servers write back about a mail that they could not deliver.

Each notice comes back to an address of its own (VERP), in which the notice is named and nobody else: neither what
came back nor our books need to be searched for an address.
"""

import re
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage, Message
from typing import Any, Literal
from uuid import UUID

import msgspec

from services.notifications.domain.ways import FIRST_WAY

PREFIX = "bounce"
# A municipality's code; whoever knows an id that nobody can guess has had the mail itself.
_ADDRESS = re.compile(rf"\b{PREFIX}\+([0-9a-z]{{1,16}})\.([0-9a-f]{{32}})(?:\.([0-9]{{1,4}}))?@", re.IGNORECASE)
# Where mail servers say whom a report is for.
_RECIPIENTS = ("To", "Delivered-To", "X-Original-To", "Envelope-To")
_STATUS = re.compile(r"\b([245])\.\d{1,3}\.\d{1,3}\b")
# Full, too large, away for now: the mailbox is there (RFC 3463), whatever class a server gives them.
_PASSING = re.compile(r"\b5\.(?:2\.[123]|3\.|4\.|7\.)")


def is_passing(words: str) -> bool:
    """Whether an enhanced status (RFC 3463) says that it is not the mailbox: it is full, or we are not welcome."""
    return _PASSING.search(words) is not None


class Bounce(msgspec.Struct, frozen=True, kw_only=True):
    """What is said about one notice. `hard`: there is no such mailbox; `soft`: it could not be delivered there now."""

    municipality: str
    notice_id: UUID
    way_no: int
    kind: Literal["hard", "soft", "delayed", "delivered"]


def bounce_address(municipality: str, notice_id: UUID, way_no: int, domain: str) -> str:
    """Where a notice comes back to if it cannot be delivered by this way."""
    by_other = f".{way_no}" if way_no != FIRST_WAY else ""
    return f"{PREFIX}+{municipality}.{notice_id.hex}{by_other}@{domain}"


def read_bounce(raw: bytes) -> Bounce | None:
    """What a mail says about a notice of ours; None if it is no report, or of something else.

    Raises:
        ValueError: it cannot be read at all.
    """
    # Reports break every rule: the defects are noted by the parser, and the fields are read where they are.
    try:
        mail = message_from_bytes(raw, policy=policy.default)
        report = _report(mail)
        about = _about(mail)
    except (ValueError, LookupError, AttributeError, TypeError, IndexError) as error:
        raise ValueError("no mail") from error
    if report is None or about is None:
        return None
    kind = _kind(report)
    municipality, notice_id, way_no = about
    return Bounce(municipality=municipality, notice_id=notice_id, way_no=way_no, kind=kind) if kind else None


def _report(mail: EmailMessage) -> list[Message] | None:
    """The blocks of fields of a delivery report, one for each recipient; the first is about the report itself."""
    for part in mail.walk():
        if part.get_content_type() == "message/delivery-status":
            blocks: Any = part.get_payload()
            return list(blocks) if isinstance(blocks, list) else None
    return None


def _about(mail: EmailMessage) -> tuple[str, UUID, int] | None:
    for text in _texts(mail):
        if found := _ADDRESS.search(text):
            return found[1], UUID(hex=found[2]), int(found[3] or FIRST_WAY)
    return None


def _texts(mail: EmailMessage) -> Iterator[str]:
    for name in _RECIPIENTS:
        yield from map(str, mail.get_all(name, []))
    # Whoever forwards its reports leaves what was sent at least with its way back.
    for part in mail.walk():
        yield from map(str, part.get_all("Return-Path", []))


def _kind(blocks: list[Message]) -> Literal["hard", "soft", "delayed", "delivered"] | None:
    for block in blocks:
        action = str(block.get("Action", "")).split("(")[0].strip().lower()
        status = str(block.get("Status", ""))
        match action:
            case "failed":
                known = _STATUS.search(status)
                return "hard" if known and known[1] == "5" and not is_passing(status) else "soft"
            # Handed on, to whoever may still send it back (RFC 3464, 2.3.3).
            case "delayed" | "relayed" | "expanded":
                return "delayed"
            case "delivered":
                return "delivered"
    return None
