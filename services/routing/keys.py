"""The keys of this service: for sealing to others, for what we keep, for signing tokens, for opening applications."""

import base64
import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from services.routing.settings import Settings
from shared.crypto import ServiceBox, SubjectVault
from shared.reference_number import CODE_LENGTH

ACCESS_LIFETIME = timedelta(hours=12)
ACCESS_MAX_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Keys:
    """`box` seals for booking and notifications; `vault` seals what we keep, per subject; only we sign tokens.

    An application's code is not stored at all: it follows from the application and the master key, of which the first
    makes and all of them open.
    """

    box: ServiceBox
    vault: SubjectVault
    token_private_key: str = field(repr=False)
    master_keys: tuple[bytes, ...] = field(repr=False)

    def application_code(self, municipality: str, application_id: UUID) -> str:
        """The six digits that open an application together with its number."""
        return self._code(self.master_keys[0], municipality, application_id)

    def is_application_code(self, municipality: str, application_id: UUID, code: str) -> bool:
        """Whether a typed code is the application's."""
        codes = [self._code(master, municipality, application_id) for master in self.master_keys]
        return any(hmac.compare_digest(known, code) for known in codes)

    @property
    def contacts(self) -> "ContactKeys":
        """What contacts of accounts are hashed and sealed by."""
        return ContactKeys(self.box, self.master_keys)

    def grant_access(self, municipality: str, application_id: UUID, *, now: datetime) -> str:
        """The value of the cookie that opens this application, and only this one, for `ACCESS_LIFETIME`."""
        expires = int((now + ACCESS_LIFETIME).timestamp())
        return f"{expires}.{_mac(self.master_keys[0], 'access', f'{municipality}/{application_id}/{expires}').hex()}"

    def has_access(self, cookie: str, municipality: str, application_id: UUID, *, now: datetime) -> bool:
        """Whether a cookie opens this application now."""
        expires, _, mac = cookie[:ACCESS_MAX_LENGTH].partition(".")
        if not (expires.isascii() and expires.isdigit() and mac.isascii()) or int(expires) <= now.timestamp():
            return False
        text = f"{municipality}/{application_id}/{expires}"
        return any(hmac.compare_digest(_mac(master, "access", text).hex(), mac) for master in self.master_keys)

    def identity_hash(self, municipality: str, issuer: str, subject: str) -> bytes:
        """What is kept of the name that a provider of the identity step has for somebody: nobody finds it by trying."""
        return _mac(self.master_keys[0], "identity", f"{municipality}/{issuer}/{subject}")

    @staticmethod
    def _code(master: bytes, municipality: str, application_id: UUID) -> str:
        number = int.from_bytes(_mac(master, "code", f"{municipality}/{application_id}"), "big")
        return f"{number % 10**CODE_LENGTH:0{CODE_LENGTH}}"


@dataclass(frozen=True, slots=True)
class ContactKeys:
    """For addresses of people with an account: notifications gets them sealed, we keep a keyed hash to find them by."""

    box: ServiceBox
    master_keys: tuple[bytes, ...] = field(repr=False)

    def hashes(self, municipality: str, address: str) -> list[bytes]:
        """Under which hashes an address may stand, as master keys follow each other; the first is the one to write."""
        return [_mac(master, "account_contact", f"{municipality}/{address}") for master in self.master_keys]


def read_master_keys(text: str) -> tuple[bytes, ...]:
    """The master keys as settings have them: base64, comma-separated, the newest first."""
    return tuple(base64.b64decode(part) for part in text.split(","))


def make_keys(settings: Settings) -> Keys:
    """The keys, from the settings."""
    return Keys(
        box=ServiceBox.from_settings(settings.box_key, settings.box_public_keys),
        vault=SubjectVault.from_settings(settings.master_key),
        token_private_key=settings.token_private_key,
        master_keys=read_master_keys(settings.master_key),
    )


def _mac(master: bytes, purpose: str, text: str) -> bytes:
    derived = hmac.digest(master, f"choudo/routing/application_{purpose}".encode(), hashlib.sha256)
    return hmac.digest(derived, text.encode(), hashlib.sha256)
