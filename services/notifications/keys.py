"""The keys of this service: for what others seal for us, for what we keep, and for what opens somebody's wishes."""

import base64
import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from services.notifications.domain.line_codes import LINE_CODE_LENGTH
from services.notifications.settings import Settings
from shared.crypto import ServiceBox, SubjectVault

# Of the page with the wishes: a cookie, for who may sit at a library's computer.
ACCESS_LIFETIME = timedelta(hours=1)
ACCESS_MAX_LENGTH = 200
# A link is a contact, one of its ways, and so many bytes that nobody guesses.
LINK_MAC_BYTES = 11
LINK_MAX_LENGTH = 60
# The contact, and the number of the way.
_CONTACT_BYTES, _WAY_BYTES = 16, 2


@dataclass(frozen=True, slots=True)
class Keys:
    """`box` opens what routing and booking sealed for us; `vault` seals what we keep, per subject.

    The first of several master keys makes, all of them check.
    """

    box: ServiceBox
    vault: SubjectVault
    master_keys: tuple[bytes, ...] = field(repr=False)

    def code_hash(self, code_id: UUID, code: str) -> bytes:
        """What is stored of a code."""
        return _mac(self.master_keys[0], "way_code", f"{code_id}/{code}")

    def is_code(self, code_id: UUID, code: str, stored: bytes) -> bool:
        """Whether a typed code is the one stored."""
        text = f"{code_id}/{code}"
        return any(hmac.compare_digest(_mac(key, "way_code", text), stored) for key in self.master_keys)

    def line_code(self, code_id: UUID) -> str:
        """The code that a page shows: made of its id anew each time, and kept nowhere."""
        made = int.from_bytes(_mac(self.master_keys[0], "line_code", str(code_id)))
        return f"{made % 10**LINE_CODE_LENGTH:0{LINE_CODE_LENGTH}}"

    def line_code_hash(self, municipality: str, code: str) -> bytes:
        """By which a code that somebody sent is found."""
        return _mac(self.master_keys[0], "line_code_hash", f"{municipality}/{code}")

    def address_hash(self, municipality: str, address: str) -> bytes:
        """By which askings for one address are counted, whosever it is; mail is the same in capitals."""
        return _mac(self.master_keys[0], "address", f"{municipality}/{address.lower()}")

    def request_hash(self, municipality: str, system_id: UUID, request: bytes) -> bytes:
        """By which the same request of a system is known again: keyed, for there may be an address in it."""
        return _mac(self.master_keys[0], "request", f"{municipality}/{system_id}/{request.decode()}")

    def wishes_link(self, municipality: str, contact_ref: UUID, way_no: int) -> str:
        """What in a message opens the wishes of its contact, as long as it has the way by which the message went."""
        opened = contact_ref.bytes + way_no.to_bytes(_WAY_BYTES)
        return _to_text(opened + _link_mac(self.master_keys[0], municipality, opened))

    def read_wishes_link(self, municipality: str, token: str) -> tuple[UUID, int] | None:
        """The contact and the way of a link of this town; None: it is none."""
        raw = _from_text(token[:LINK_MAX_LENGTH])
        opened, mac = raw[: _CONTACT_BYTES + _WAY_BYTES], raw[_CONTACT_BYTES + _WAY_BYTES :]
        if not any(hmac.compare_digest(_link_mac(key, municipality, opened), mac) for key in self.master_keys):
            return None
        return UUID(bytes=opened[:_CONTACT_BYTES]), int.from_bytes(opened[_CONTACT_BYTES:])

    def grant_access(self, municipality: str, contact_ref: UUID, *, now: datetime) -> str:
        """The value of the cookie that opens the wishes of this contact, and only this one, for `ACCESS_LIFETIME`."""
        granted = f"{contact_ref.hex}.{int((now + ACCESS_LIFETIME).timestamp())}"
        return f"{granted}.{_mac(self.master_keys[0], 'wishes', f'{municipality}/{granted}').hex()}"

    def read_access(self, cookie: str, municipality: str, *, now: datetime) -> UUID | None:
        """The contact that a cookie opens now; None: none."""
        granted, _, mac = cookie[:ACCESS_MAX_LENGTH].rpartition(".")
        contact_ref, _, expires = granted.partition(".")
        text = f"{municipality}/{granted}"
        if not mac.isascii() or not any(
            hmac.compare_digest(_mac(key, "wishes", text).hex(), mac) for key in self.master_keys
        ):
            return None
        return UUID(contact_ref) if int(expires) > now.timestamp() else None


def make_keys(settings: Settings) -> Keys:
    """The keys, from the settings."""
    return Keys(
        box=ServiceBox.from_settings(settings.box_key, settings.box_public_keys),
        vault=SubjectVault.from_settings(settings.master_key),
        master_keys=tuple(base64.b64decode(text) for text in settings.master_key.split(",")),
    )


def _link_mac(master: bytes, municipality: str, opened: bytes) -> bytes:
    return _mac(master, "wishes_link", f"{municipality}/{opened.hex()}")[:LINK_MAC_BYTES]


def _mac(master: bytes, purpose: str, text: str) -> bytes:
    derived = hmac.digest(master, f"choudo/notifications/{purpose}".encode(), hashlib.sha256)
    return hmac.digest(derived, text.encode(), hashlib.sha256)


def _to_text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _from_text(text: str) -> bytes:
    try:
        return base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:
        return b""
