"""Webhooks (ほかのシステムへの通知): what is told, how it is signed, where it may be sent, and when again.

Signatures are those of Standard Webhooks (https://www.standardwebhooks.com). `docs/decisions/0031-webhooks.md` says
why.
"""

import base64
import binascii
import hashlib
import hmac
import ipaddress
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec

from shared.errors import Refusal

# What can be told; a test is told whatever was chosen.
KINDS = (
    "appointment.booked",
    "appointment.changed",
    "appointment.cancelled",
    "appointment.checked_in",
    "appointment.called",
    "appointment.serving",
    "appointment.done",
    "appointment.no_show",
    "closing.made",
    "closing.reopened",
    "draw.drawn",
    "draw.called_off",
)
TEST = "test"
URL_MAX_LENGTH = 300
SECRET_PREFIX = "whsec_"  # noqa: S105 what every secret begins with
SECRET_BYTES = 32
# After a change of the secret, both sign for so long.
OLD_SECRET_KEPT = timedelta(hours=24)

# How long a message is kept, whether somebody took it or not.
MESSAGES_KEPT = timedelta(days=14)

FIRST_PAUSE = timedelta(seconds=10)
LONGEST_PAUSE = timedelta(hours=4)
# A pause is shortened or lengthened by up to this share, so that what failed together does not come back together.
JITTER = 0.2
# Whoever has taken nothing for so long is not asked any more until somebody of the town has looked.
GIVE_UP_AFTER = timedelta(hours=24)

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
State = Literal["active", "paused", "stopped"]

# Of the new kind, only these are given to anybody.
_UNICAST = ipaddress.IPv6Network("2000::/3")
_V4_IN_V6 = (
    # As a translator (NAT64) writes an address of the old kind into one of the new: the last 32 bits.
    ipaddress.IPv6Network("64:ff9b::/96"),
    ipaddress.IPv6Network("64:ff9b:1::/48"),
)


class Destinations(msgspec.Struct, frozen=True):
    """Where webhooks may be sent: by https to public addresses, and to what the deployment lists of its own network."""

    https_only: bool = True
    # As `read_networks` gives them.
    allowed: tuple[str, ...] = ()

    def may_reach(self, address: str) -> bool:
        """Whether an address, as the resolver says it, may be connected to."""
        found = ipaddress.ip_address(address.partition("%")[0])
        meant = _plain(found)
        networks = [ipaddress.ip_network(listed) for listed in self.allowed]
        return any(each in network for each in (found, meant) for network in networks) or _is_public(meant)

    def check(self, url: str) -> None:
        """Look at the address that somebody typed. Its host's name is looked up when something is sent.

        Raises:
            Refusal: `webhook_url_unfit` (422), not an https URL without user, password and fragment;
                `webhook_url_inside` (422), an address in a network that nothing may be sent to.
        """
        try:
            parts = urlsplit(url)
            host, _port = parts.hostname or "", parts.port
        except ValueError as error:
            raise Refusal("webhook_url_unfit", 422) from error
        schemes = ("https",) if self.https_only else ("https", "http")
        is_plain = url.isascii() and url.isprintable() and " " not in url and "\\" not in url
        is_bare = parts.username is None and parts.password is None and not parts.fragment
        if not (is_plain and is_bare and host) or parts.scheme not in schemes or len(url) > URL_MAX_LENGTH:
            raise Refusal("webhook_url_unfit", 422)
        if not self.may_be_host(host):
            raise Refusal("webhook_url_inside", 422)

    def may_be_host(self, host: str) -> bool:
        """Whether a host as it stands in a URL may be asked for; of a name, its addresses are still to be looked at."""
        try:
            return self.may_reach(host)
        except ValueError:
            # Old ways to write an address (127.1, 0x7f000001) are no names.
            return not host.rstrip(".").rpartition(".")[2].startswith(tuple("0123456789")) and host != "localhost"


def read_networks(listed: str) -> tuple[str, ...]:
    """The networks of a setting, separated by commas: `10.20.0.0/16,192.168.5.7`.

    Raises:
        ValueError: one of them is none.
    """
    return tuple(str(ipaddress.ip_network(each.strip())) for each in listed.split(",") if each.strip())


def _plain(address: Address) -> Address:
    """The address that is meant, if it is wrapped in one of another kind."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    wrapped = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
    if wrapped is None and any(address in network for network in _V4_IN_V6):
        wrapped = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return wrapped or address


def _is_public(address: Address) -> bool:
    is_unicast = isinstance(address, ipaddress.IPv4Address) or address in _UNICAST
    return is_unicast and address.is_global and not address.is_multicast


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


def next_try(tries: int, *, now: datetime, chance: float) -> datetime:
    """When to try again after `tries` failures (at least 1). `chance` is a random number from 0 to 1."""
    doublings = min(tries - 1, 20)
    pause: timedelta = min(FIRST_PAUSE * 2**doublings, LONGEST_PAUSE)
    return now + pause * (1 + JITTER * (2 * chance - 1))


def is_taken(answer: str) -> bool:
    """Whether the receiver has it."""
    status = _status_of(answer)
    return status is not None and HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES


def is_gone(answer: str) -> bool:
    """Whether the receiver says that nothing shall come here any more."""
    return _status_of(answer) == HTTPStatus.GONE


def _status_of(answer: str) -> int | None:
    _, found, status = answer.partition("http_")
    return int(status) if found and status.isdigit() else None
