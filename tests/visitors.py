"""Visitors made without clicking: a guest's token, and a pass as routing would hand it over."""

from collections.abc import Mapping
from datetime import datetime
from uuid import uuid4

from shared.crypto import ServiceBox
from shared.passes import PASS_LIFETIME, Pass, PassedItem, seal_pass
from shared.tokens import Identity, sign_token
from shared.web.identity import SESSION_COOKIE


def make_guest(
    environ: Mapping[str, str], *, now: datetime, municipality: str = "143421"
) -> tuple[Identity, dict[str, str]]:
    """A guest, and the cookies that their browser sends."""
    guest = Identity(municipality=municipality, kind="guest", ref=uuid4().hex, session_id=uuid4().hex)
    token = sign_token(guest, environ["CHOUDO_TOKEN_PRIVATE_KEY"], now=now)
    return guest, {SESSION_COOKIE: token}


def make_pass(
    environ: Mapping[str, str], guest: Identity, *, now: datetime, procedure: str = "CHI02", name: str = "二宮 花子"
) -> str:
    """A sealed pass for booking, with an approved name and no way to be reached."""
    box = ServiceBox.from_settings(environ["CHOUDO_ROUTING_BOX_KEY"], environ["CHOUDO_BOX_PUBLIC_KEYS"])
    ticket = Pass(
        pass_id=uuid4(),
        municipality=guest.municipality,
        guest_ref=guest.ref,
        subject_ref=uuid4(),
        case_id=uuid4(),
        procedure=procedure,
        items=(PassedItem(key="name", value=name, approval_id=uuid4()),),
        contact_ref=None,
        reach="none",
        issued_at=now,
        expires_at=now + PASS_LIFETIME,
    )
    return seal_pass(box, "booking", "book", ticket)
