"""A form that waits inside the sign-in page, because the session of whoever sent it had run out.

Sealed, for the one who typed it and for where it was going: on a shared tablet the next person can neither read it nor
send it under their own name.
"""

from collections.abc import Mapping
from datetime import datetime

import msgspec

from services.routing.domain.sessions import CARRIED_LIFETIME, carry
from services.routing.keys import Keys
from services.routing.settings import SERVICE
from shared.crypto import SEALED_MAX_BYTES, SealBroken


class _Carried(msgspec.Struct, frozen=True):
    fields: dict[str, str]
    expires_at: datetime


def seal_carried(
    keys: Keys, municipality: str, ref: str, next_path: str, fields: Mapping[str, str], *, now: datetime
) -> str:
    """What the page holds until `ref` has signed in again; empty when nothing can wait."""
    waiting = carry(fields)
    if not waiting:
        return ""
    sealed = keys.box.seal_for(
        SERVICE,
        _purpose(municipality, ref, next_path),
        msgspec.msgpack.encode(_Carried(waiting, now + CARRIED_LIFETIME)),
    )
    return sealed if len(sealed) <= SEALED_MAX_BYTES else ""


def read_carried(fields: Mapping[str, str]) -> str:
    """The sealed form in the form of a page that holds one."""
    return fields.get("carried", "")[:SEALED_MAX_BYTES]


def open_carried(
    keys: Keys, municipality: str, ref: str, next_path: str, sealed: str, *, now: datetime
) -> dict[str, str] | None:
    """The fields, if `ref` typed them, for this very address, not too long ago."""
    try:
        opened = keys.box.open_from(SERVICE, _purpose(municipality, ref, next_path), sealed)
        waiting = msgspec.msgpack.decode(opened, type=_Carried)
    except (SealBroken, msgspec.DecodeError):
        return None
    return waiting.fields if now < waiting.expires_at else None


def _purpose(municipality: str, ref: str, next_path: str) -> str:
    return f"carried/{municipality}/{ref}/{next_path}"
