"""A mail as it goes over the wire: its headers by the standard library, the parts around its texts written as they are.

The library would parse and fold every header of every part anew, which for a mail with a calendar is two thirds of all
the work; those of the parts are always the same. What somebody wrote stands in few headers only, and in base64.
"""

from binascii import b2a_base64
from collections.abc import Sequence
from datetime import datetime
from email.headerregistry import Address
from email.policy import SMTP, SMTPUTF8
from email.utils import format_datetime
from functools import lru_cache
from typing import NamedTuple

CRLF = b"\r\n"
LINE_LENGTH = 76
# What stands between the parts: in no base64, and neither begins as the other.
MIXED, ALTERNATIVE = "=_mixed", "=_alternative"
# Towns and their senders.
SENDERS_MAX = 2_000

Value = str | Address


class Sender(NamedTuple):
    """Whom a mail is from."""

    name: str
    address: str


class Part(NamedTuple):
    """One text of a mail. `kind` and `disposition` are ours: nothing that somebody wrote is in them."""

    kind: str
    content: bytes
    disposition: str = ""


def text_part(subtype: str, text: str) -> Part:
    """A text, each line ended as mail ends them."""
    return Part(f'text/{subtype}; charset="utf-8"', CRLF.join(text.encode().splitlines()) + CRLF)


def calendar_part(calendar: bytes, method: str, filename: str = "") -> Part:
    """A calendar file (RFC 6047); with a file's name, as an attachment."""
    kind = f'text/calendar; charset="utf-8"; method="{method}"'
    return Part(kind, calendar, f'attachment; filename="{filename}"' if filename else "")


def write_mail(
    headers: Sequence[tuple[str, Value]],
    *,
    sender: Sender,
    sent_at: datetime,
    alternatives: Sequence[Part],
    attachments: Sequence[Part],
    is_ascii: bool,
) -> bytes:
    """The bytes of a mail. `alternatives` say the same, the last the best.

    Raises:
        ValueError: a header would be more than one.
    """
    lines = [_sender_line(sender, is_ascii=is_ascii)]
    lines += [_header_line(name, value, is_ascii=is_ascii) for name, value in headers]
    lines.append(f"Date: {format_datetime(sent_at)}\r\nMIME-Version: 1.0\r\n".encode())
    body = _multipart("alternative", ALTERNATIVE, list(map(_write_part, alternatives)))
    if attachments:
        body = _multipart("mixed", MIXED, [body, *map(_write_part, attachments)])
    return b"".join([*lines, body])


@lru_cache(maxsize=SENDERS_MAX)
def _sender_line(sender: Sender, *, is_ascii: bool) -> bytes:
    return _header_line("From", Address(display_name=sender.name, addr_spec=sender.address), is_ascii=is_ascii)


def _header_line(name: str, value: Value, *, is_ascii: bool) -> bytes:
    policy = SMTP if is_ascii else SMTPUTF8
    # What parses it refuses a line break.
    return policy.fold_binary(*policy.header_store_parse(name, value))


def _multipart(subtype: str, boundary: str, parts: Sequence[bytes]) -> bytes:
    opening = f"\r\n--{boundary}\r\n".encode()
    head = f'Content-Type: multipart/{subtype}; boundary="{boundary}"\r\n'.encode()
    return b"".join([head, *(opening + part for part in parts), f"\r\n--{boundary}--\r\n".encode()])


def _write_part(part: Part) -> bytes:
    disposition = f"Content-Disposition: {part.disposition}\r\n" if part.disposition else ""
    head = f"Content-Type: {part.kind}\r\nContent-Transfer-Encoding: base64\r\n{disposition}\r\n".encode()
    encoded = b2a_base64(part.content, newline=False)
    lines = [encoded[at : at + LINE_LENGTH] for at in range(0, len(encoded), LINE_LENGTH)]
    return head + CRLF.join(lines) + CRLF
