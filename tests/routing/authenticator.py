"""A phone that makes passkeys and signs with them, as the browser hands its answers to a page (WebAuthn's JSON)."""

import hashlib
import json
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

PRESENT, VERIFIED, WITH_KEY = 0x01, 0x04, 0x40


class Phone:
    """One passkey, for one site. `count` is what it says of how often it signed."""

    def __init__(self, origin: str, host: str) -> None:
        self.origin, self.host = origin, host
        self.credential_id = secrets.token_bytes(16)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.count = 0
        self.is_opened = True

    def create(self, options: dict[str, Any]) -> str:
        """The answer to `navigator.credentials.create`."""
        numbers = self.key.public_key().public_numbers()
        point = {-2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")}
        key = cbor2.dumps({1: 2, 3: -7, -1: 1, **point})
        length = len(self.credential_id).to_bytes(2, "big")
        told = self._told(WITH_KEY) + bytes(16) + length + self.credential_id + key
        attestation = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": told})
        said = self._said("webauthn.create", options)
        return self._answer(clientDataJSON=said, attestationObject=attestation)

    def get(self, options: dict[str, Any]) -> str:
        """The answer to `navigator.credentials.get`."""
        self.count += 1
        told, said = self._told(), self._said("webauthn.get", options)
        signature = self.key.sign(told + hashlib.sha256(said).digest(), ec.ECDSA(hashes.SHA256()))
        return self._answer(clientDataJSON=said, authenticatorData=told, signature=signature)

    def _told(self, more: int = 0) -> bytes:
        flags = PRESENT | (VERIFIED if self.is_opened else 0) | more
        return hashlib.sha256(self.host.encode()).digest() + bytes([flags]) + self.count.to_bytes(4, "big")

    def _said(self, kind: str, options: dict[str, Any]) -> bytes:
        return json.dumps({"type": kind, "challenge": options["challenge"], "origin": self.origin}).encode()

    def _answer(self, **response: bytes) -> str:
        shown = {name: _text(value) for name, value in response.items()}
        known = _text(self.credential_id)
        return json.dumps({"id": known, "rawId": known, "type": "public-key", "response": shown})


def read_bytes(text: str) -> bytes:
    """What WebAuthn's JSON has for bytes."""
    return urlsafe_b64decode(text + "===")


def _text(value: bytes) -> str:
    return urlsafe_b64encode(value).decode().rstrip("=")
