"""Who may open an appointment: whoever has its cookie (by link, or number and code), or the guest who booked it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from litestar import Request
from litestar.datastructures import Cookie
from litestar.response import Redirect

from services.booking.keys import ACCESS_LIFETIME, Keys
from services.booking.queries.appointments import AppointmentView, find_appointment
from shared.db import Database
from shared.reference_number import TICKET_LENGTH, TYPED_MAX_LENGTH, read_number
from shared.web.cookies import cookie_name, gone_cookie, make_cookie, read_cookie
from shared.web.identity import RenewSession, find_identity, token_of
from shared.web.pages import see_other
from shared.web.town import Town

COOKIE_PREFIX = "choudo_appointment_"
COOKIE_PATH = "/booking"


async def find_open_appointment(
    request: Request[Any, Any, Any], typed: str, db: Database, keys: Keys, town: Town, *, now: datetime
) -> AppointmentView | None:
    """The appointment, if this visitor may open it; None if not, and equally if there is none."""
    number = read_number(typed)
    if number is None:
        return None
    async with db.begin(town.code) as session:
        found = await find_appointment(session, town.code, number)
    if found is None or found.kind != "booked":
        return None
    cookie = read_cookie(request, COOKIE_PREFIX + number, path=COOKIE_PATH)
    if cookie and keys.has_access(cookie, town.code, found.appointment_id, now=now):
        return found
    identity = find_identity(request)
    return found if identity is not None and identity.ref == found.guest_ref else None


async def open_appointment(
    request: Request[Any, Any, Any], typed: str, db: Database, keys: Keys, town: Town, *, now: datetime
) -> AppointmentView | None:
    """As `find_open_appointment`, once a token that has run out was renewed.

    Raises:
        RenewSession: perhaps it is the guest who booked it.
    """
    found = await find_open_appointment(request, typed, db, keys, town, now=now)
    if found is None:
        token = token_of(request)
        if token is not None and token.is_expired(now):
            raise RenewSession
    return found


def ask_for_code(typed: str) -> Redirect:
    """The same for a number that does not exist as for one of somebody else."""
    number = typed if typed.isascii() and typed.replace("-", "").isalnum() else ""
    return see_other(f"/booking/find?number={number[:TYPED_MAX_LENGTH]}")


def access_cookie(keys: Keys, municipality: str, found: Any, *, secure: bool, now: datetime) -> Cookie:
    """The cookie that opens this appointment and no other; sent to booking's pages only."""
    granted = keys.grant_access(municipality, found.appointment_id, now=now)
    lifetime_s = int(ACCESS_LIFETIME.total_seconds())
    return make_cookie(COOKIE_PREFIX + found.number, granted, max_age_s=lifetime_s, secure=secure, path=COOKIE_PATH)


def forgotten_cookies(sent: Mapping[str, str], *, secure: bool) -> list[Cookie]:
    """What makes a browser drop every appointment's cookie that it sent."""
    prefix = cookie_name(COOKIE_PREFIX, secure=secure, path=COOKIE_PATH)
    numbers = [name.removeprefix(prefix) for name in sent if name.startswith(prefix)]
    return [
        gone_cookie(COOKIE_PREFIX + number, secure=secure, path=COOKIE_PATH)
        for number in numbers
        if read_number(number) is not None or read_number(number, length=TICKET_LENGTH) is not None
    ]
