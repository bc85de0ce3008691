"""After signing in, by whichever way: the cookies of the session, and on to where somebody's work is."""

from datetime import datetime
from typing import Any
from uuid import UUID

from litestar import Request
from litestar.response import Redirect, Template

from services.routing.commands.sessions import NewSession
from services.routing.keys import Keys
from services.routing.pages.carried import open_carried
from services.routing.pages.cookies import give_session
from services.routing.settings import SERVICE
from shared.roles import ROLES
from shared.tokens import Identity
from shared.web.dead_letters import dead_letters_path
from shared.web.forms import parse_uuid
from shared.web.identity import MACHINE_ROLES, require_role
from shared.web.pages import page, see_other

STAFF_HOME, HELPER_HOME, ROSTER_HOME, OFFICE_HOME = "/counter", "/helpers", "/helpers/roster", "/office"
KIOSK_HOME = "/kiosk"
OPERATOR_HOME = dead_letters_path(SERVICE)
PRIVACY_HOME = "/office/watch"

# People with an account of their own: a machine has none to care for.
PEOPLE = [require_role(*(role for role in ROLES if role not in MACHINE_ROLES))]


def enter(
    request: Request[Any, Any, Any],
    started: NewSession,
    next_path: str,
    keys: Keys,
    *,
    carried: str = "",
    now: datetime,
    secure: bool,
) -> Template | Redirect:
    """On to where they wanted to go, or where their work is, signed in; or to a page on which `carried` waits."""
    home = home_of(started.identity)
    response: Template | Redirect = see_other(next_path or home)
    if carried:
        town, ref = started.identity.municipality, started.identity.ref
        waiting = open_carried(keys, town, ref, next_path, carried, now=now)
        # Sent again only by a press: whoever typed it may have thought better of it since.
        response = page(request, "signed_in.html", next_path=next_path, carried=waiting, home=home)
    give_session(response, started, keys, now=now, secure=secure)
    return response


def account_of(identity: Identity) -> UUID:
    """The account of whoever is signed in.

    Raises:
        Refusal: `account_unknown` (404).
    """
    return parse_uuid(identity.ref, code="account_unknown")


def home_of(identity: Identity) -> str:
    """Where somebody's work is: never a page that their roles do not open."""
    if identity.kind == "helper":
        return HELPER_HOME
    homes = (
        ("counter", STAFF_HOME),
        ("back_office", OFFICE_HOME),
        ("coordinator", ROSTER_HOME),
        ("manager", OFFICE_HOME),
        ("operator", OPERATOR_HOME),
        ("privacy_officer", PRIVACY_HOME),
        ("kiosk", KIOSK_HOME),
    )
    return next((home for role, home in homes if identity.has_role(role)), STAFF_HOME)
