"""Booking's keys: sealing at rest and between services, and what is derived from the master key."""

import base64
import hashlib
import hmac
from datetime import date, datetime, timedelta
from uuid import UUID

from services.booking.settings import Settings
from shared.crypto import ServiceBox, SubjectVault
from shared.reference_number import CODE_LENGTH

ACCESS_LIFETIME = timedelta(hours=12)
ACCESS_MAX_LENGTH = 200
# Nobody guesses 64 bits in a day.
DOOR_CODE_LENGTH = 16


class Keys:
    """Everything secret that commands and pages work with. The first of several master keys makes, all of them open."""

    def __init__(self, *, vault: SubjectVault, box: ServiceBox, master_keys: list[bytes]) -> None:
        self.vault = vault
        self.box = box
        self._code_keys = [_derive(master, "code") for master in master_keys]
        self._access_keys = [_derive(master, "access") for master in master_keys]
        self._kiosk_key = _derive(master_keys[0], "kiosk-code")
        self._entry_keys = [_derive(master, "class-entry") for master in master_keys]
        self._door_keys = [_derive(master, "door") for master in master_keys]

    @classmethod
    def from_settings(cls, settings: Settings) -> "Keys":
        """Read the keys of a service that is starting."""
        return cls(
            vault=SubjectVault.from_settings(settings.master_key),
            box=ServiceBox.from_settings(settings.box_key, settings.box_public_keys),
            master_keys=[base64.b64decode(text) for text in settings.master_key.split(",")],
        )

    def code_hash(self, appointment_id: UUID, code: str) -> bytes:
        """What is stored of a code. Six digits are guessable offline, so the hash is keyed: useless without our key."""
        return _mac(self._code_keys[0], f"{appointment_id}/{code}")

    def kiosk_code(self, appointment_id: UUID) -> str:
        """The code of an appointment that a ticket machine made: told on its slip, and kept nowhere but as a hash."""
        return _digits(_mac(self._kiosk_key, str(appointment_id)))

    def entry_code(self, entry_id: UUID, stored: bytes | None = None) -> str:
        """The code of an entry to a class: kept as a hash alone, and told again, weeks later, when it is drawn.

        `stored`: that hash, by which the code is known that was made before the key was changed.
        """
        codes = [_digits(_mac(key, str(entry_id))) for key in self._entry_keys]
        return next((code for code in codes if stored and self.is_code(entry_id, code, stored)), codes[0])

    def is_code(self, appointment_id: UUID, code: str, stored: bytes) -> bool:
        """Whether a typed code is the one stored."""
        text = f"{appointment_id}/{code}"
        return any(hmac.compare_digest(_mac(key, text), stored) for key in self._code_keys)

    def door_code(self, municipality: str, day: date) -> str:
        """What the QR code at the door (入口のQRコード) says on this day: who knows it was there, or heard of it."""
        return _door_code(self._door_keys[0], municipality, day)

    def is_door_code(self, code: str, municipality: str, day: date) -> bool:
        """Whether somebody was at the door on this day."""
        if not code.isascii():
            return False
        return any(hmac.compare_digest(_door_code(key, municipality, day), code) for key in self._door_keys)

    def grant_access(self, municipality: str, appointment_id: UUID, *, now: datetime) -> str:
        """The value of the cookie that opens this appointment, and only this one, for `ACCESS_LIFETIME`."""
        expires = int((now + ACCESS_LIFETIME).timestamp())
        return f"{expires}.{_mac(self._access_keys[0], f'{municipality}/{appointment_id}/{expires}').hex()}"

    def has_access(self, cookie: str, municipality: str, appointment_id: UUID, *, now: datetime) -> bool:
        """Whether a cookie opens this appointment now."""
        expires, _, mac = cookie[:ACCESS_MAX_LENGTH].partition(".")
        if not (expires.isascii() and expires.isdigit() and mac.isascii()) or int(expires) <= now.timestamp():
            return False
        text = f"{municipality}/{appointment_id}/{expires}"
        return any(hmac.compare_digest(_mac(key, text).hex(), mac) for key in self._access_keys)


def subject_context(municipality: str, subject_ref: UUID) -> str:
    """What a subject's data key is bound to."""
    return f"{municipality}/{subject_ref}"


def helper_context(municipality: str, helper_ref: str) -> str:
    """What a helper's data key is bound to."""
    return f"{municipality}/helper/{helper_ref}"


def helper_message_context(municipality: str, message_id: UUID) -> str:
    """What the key of a message to helpers is bound to."""
    return f"{municipality}/helper-message/{message_id}"


def draw_context(municipality: str, draw_id: UUID) -> str:
    """What the key of a seed is bound to."""
    return f"{municipality}/draw/{draw_id}"


def transfer_context(municipality: str, transfer_id: UUID) -> str:
    """What the key of a note to another counter is bound to."""
    return f"{municipality}/transfer/{transfer_id}"


def note_context(municipality: str, assignment_id: UUID) -> str:
    """What the key of a note to the next helper is bound to."""
    return f"{municipality}/helper-note/{assignment_id}"


def _door_code(key: bytes, municipality: str, day: date) -> str:
    return _mac(key, f"{municipality}/{day.isoformat()}").hex()[:DOOR_CODE_LENGTH]


def _digits(mac: bytes) -> str:
    return f"{int.from_bytes(mac) % 10**CODE_LENGTH:0{CODE_LENGTH}}"


def _derive(master: bytes, purpose: str) -> bytes:
    return hmac.digest(master, f"choudo/booking/{purpose}".encode(), hashlib.sha256)


def _mac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), hashlib.sha256)
