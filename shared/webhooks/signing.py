"""What is sent, and the signature by which its receiver knows us: Standard Webhooks, version 1."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

SECRET_PREFIX = "whsec_"  # noqa: S105 what every secret begins with
SECRET_BYTES = 32


def show_secret(secret: bytes) -> str:
    """A secret as the other system's settings take it."""
    return SECRET_PREFIX + base64.b64encode(secret).decode()


def read_secret(shown: str) -> bytes:
    """The secret that was shown.

    Raises:
        ValueError: it is none.
    """
    try:
        return base64.b64decode(shown.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error as error:
        raise ValueError("not a secret") from error


def make_body(kind: str, told_at: datetime, data: Mapping[str, Any]) -> bytes:
    """What is sent: the same bytes at every try."""
    return msgspec.json.encode({"type": kind, "timestamp": told_at, "data": data})


def make_headers(message_id: str, secrets: Sequence[bytes], body: bytes, *, now: datetime) -> dict[str, str]:
    """The headers that let the receiver know who sent it and when: a signature by each secret, the newest first."""
    sent_at = int(now.timestamp())
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(sent_at),
        "webhook-signature": " ".join(sign(secret, message_id, sent_at, body) for secret in secrets),
    }


def sign(secret: bytes, message_id: str, sent_at: int, body: bytes) -> str:
    """Standard Webhooks, version 1: HMAC-SHA256 over id, time and body. `sent_at` is in seconds since 1970."""
    signed = hmac.digest(secret, f"{message_id}.{sent_at}.".encode() + body, hashlib.sha256)
    return f"v1,{base64.b64encode(signed).decode()}"
