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


def make_keys(settings: Settings) -> Keys:
    """The keys, from the settings."""
    return Keys(
        box=ServiceBox.from_settings(settings.box_key, settings.box_public_keys),
        vault=SubjectVault.from_settings(settings.master_key),
        token_private_key=settings.token_private_key,
        master_keys=tuple(base64.b64decode(text) for text in settings.master_key.split(",")),
    )


def _mac(master: bytes, purpose: str, text: str) -> bytes:
    derived = hmac.digest(master, f"choudo/routing/application_{purpose}".encode(), hashlib.sha256)
    return hmac.digest(derived, text.encode(), hashlib.sha256)
