"""Sealing, with libsodium (PyNaCl): between two services (`ServiceBox`) and at rest, per subject (`SubjectVault`).

Keys rotate by being listed: the first of a list seals, all of them open.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec
from nacl.exceptions import CryptoError
from nacl.public import Box, PrivateKey, PublicKey
from nacl.secret import Aead

SEALED_MAX_BYTES = 32_768
CODE_ALPHABET = "0123456789"


class SealBroken(Exception):
    """A sealed text was altered, sealed for somebody or something else, or its key is gone."""


class _Inner(msgspec.Struct, array_like=True, frozen=True):
    # A box's secret is the same in both directions: without it, a service's own text sent back to it would open.
    sender: bytes
    purpose: str
    body: bytes


class ServiceBox:
    """Authenticated encryption from one service to another (X25519, XSalsa20-Poly1305), bound to a purpose."""

    def __init__(self, private_keys: Sequence[PrivateKey], public_keys: Mapping[str, Sequence[PublicKey]]) -> None:
        self._private_keys = private_keys
        self._public_keys = public_keys

    @classmethod
    def from_settings(cls, private_keys: str, public_keys: str) -> "ServiceBox":
        """Build from settings: base64 private keys, comma-separated, and `service=base64` pairs, comma-separated."""
        known: dict[str, list[PublicKey]] = {}
        for pair in filter(None, public_keys.split(",")):
            service, _, text = pair.partition("=")
            known.setdefault(service.strip(), []).append(PublicKey(base64.b64decode(text)))
        own = [PrivateKey(base64.b64decode(text)) for text in private_keys.split(",")]
        return cls(own, known)

    def seal_for(self, service: str, purpose: str, body: bytes) -> str:
        """Seal `body` so that only `service` can open it, and can tell that we sealed it for `purpose`."""
        box = Box(self._private_keys[0], self._public_keys[service][0])
        inner = _Inner(bytes(self._private_keys[0].public_key), purpose, body)
        return _to_text(box.encrypt(msgspec.msgpack.encode(inner)))

    def shared_keys(self, service: str, purpose: str) -> list[bytes]:
        """Keys that nobody but `service` and we can compute, for `purpose`: the first to write with, all to check with.

        Every pair of a key of ours and one of theirs has one, so that both sides may list several while they rotate.
        """
        return [
            hmac.digest(Box(private_key, public_key).shared_key(), f"choudo/{purpose}".encode(), hashlib.sha256)
            for private_key in self._private_keys
            for public_key in self._public_keys.get(service, ())
        ]

    def open_from(self, service: str, purpose: str, sealed: str) -> bytes:
        """Open what `service` sealed for us and this `purpose`.

        Raises:
            SealBroken: it was not, or was altered.
        """
        if len(sealed) > SEALED_MAX_BYTES:
            raise SealBroken("too long")
        raw = _from_text(sealed)
        for private_key in self._private_keys:
            for public_key in self._public_keys.get(service, ()):
                try:
                    plain = Box(private_key, public_key).decrypt(raw)
                except (CryptoError, ValueError):
                    continue
                try:
                    inner = msgspec.msgpack.decode(plain, type=_Inner)
                except msgspec.DecodeError as error:
                    raise SealBroken("shape") from error
                if inner.sender != bytes(public_key):
                    raise SealBroken("sender")
                if inner.purpose != purpose:
                    raise SealBroken("purpose")
                return inner.body
        raise SealBroken("key")


class SubjectVault:
    """Sealing at rest: every subject has a data key, wrapped by a master key. Destroying the data key erases."""

    def __init__(self, master_keys: Sequence[bytes]) -> None:
        self._masters = [Aead(key) for key in master_keys]

    @classmethod
    def from_settings(cls, master_keys: str) -> "SubjectVault":
        """Build from settings: base64 keys of 32 bytes, comma-separated, the newest first."""
        return cls([base64.b64decode(text) for text in master_keys.split(",")])

    def new_key(self, context: str) -> bytes:
        """A fresh data key, wrapped; `context` (municipality and subject) must be given again to use it."""
        return bytes(self._masters[0].encrypt(secrets.token_bytes(Aead.KEY_SIZE), aad=context.encode()))

    def seal(self, wrapped_key: bytes, context: str, field: str, value: str) -> bytes:
        """Seal one value; it opens only with the same key, context and field."""
        return self.seal_bytes(wrapped_key, context, field, value.encode())

    def seal_bytes(self, wrapped_key: bytes, context: str, field: str, value: bytes) -> bytes:
        """As `seal`, of what is no text."""
        key = self._unwrap(wrapped_key, context)
        return bytes(Aead(key).encrypt(value, aad=f"{context}/{field}".encode()))

    def open(self, wrapped_key: bytes, context: str, field: str, sealed: bytes) -> str:
        """Open one value.

        Raises:
            SealBroken: altered, moved to another place, or sealed with another key.
        """
        try:
            return self.open_bytes(wrapped_key, context, field, sealed).decode()
        except ValueError as error:
            raise SealBroken("value") from error

    def open_bytes(self, wrapped_key: bytes, context: str, field: str, sealed: bytes) -> bytes:
        """As `open`, of what is no text.

        Raises:
            SealBroken: altered, moved to another place, or sealed with another key.
        """
        key = self._unwrap(wrapped_key, context)
        try:
            return bytes(Aead(key).decrypt(sealed, aad=f"{context}/{field}".encode()))
        except (CryptoError, ValueError) as error:
            raise SealBroken("value") from error

    def commitment(self, wrapped_key: bytes, context: str, field: str, value: str) -> str:
        """A salted commitment to a value for the ledger: destroying the subject's key makes it meaningless."""
        key = self._unwrap(wrapped_key, context)
        return hmac.new(key, f"commitment/{field}/{value}".encode(), hashlib.sha256).hexdigest()

    def rewrap(self, wrapped_key: bytes, context: str) -> bytes:
        """The same data key under the newest master key: what it sealed opens as before.

        Raises:
            SealBroken: no master key of ours wrapped it.
        """
        return bytes(self._masters[0].encrypt(self._unwrap(wrapped_key, context), aad=context.encode()))

    def is_newest(self, wrapped_key: bytes, context: str) -> bool:
        """Whether the newest master key wrapped it.

        Raises:
            SealBroken: no master key of ours did.
        """
        for master in self._masters:
            try:
                master.decrypt(wrapped_key, aad=context.encode())
            except (CryptoError, ValueError):
                continue
            return master is self._masters[0]
        raise SealBroken("data key")

    def _unwrap(self, wrapped_key: bytes, context: str) -> bytes:
        for master in self._masters:
            try:
                return master.decrypt(wrapped_key, aad=context.encode())
            except (CryptoError, ValueError):
                continue
        raise SealBroken("data key")


def new_code(digits: int) -> str:
    """A random code of decimal digits, for people to type."""
    return "".join(secrets.choice(CODE_ALPHABET) for _ in range(digits))


def new_link_token() -> str:
    """An unguessable token for a link, 256 bits."""
    return secrets.token_urlsafe(32)


def token_hash(token: str) -> bytes:
    """What is stored of a token that nobody can guess."""
    return hashlib.sha256(token.encode()).digest()


def _to_text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode()


def _from_text(text: str) -> bytes:
    try:
        return base64.b64decode(text.encode("ascii"), altchars=b"-_", validate=True)
    except ValueError as error:
        raise SealBroken("encoding") from error


Secret = Annotated[str, msgspec.Meta(min_length=1)]
