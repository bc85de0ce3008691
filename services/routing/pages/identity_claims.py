"""Taking over what a provider of the identity step says: shown, answered item by item, and carried by the page alone.

What is shown is sealed inside the page, for whoever proved it and for their case: it is nowhere else until a yes.
"""

import re
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any
from uuid import UUID

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect, Template

from services.routing.commands.identity_claims import take_claims
from services.routing.domain.addresses import tidy_line
from services.routing.domain.identity import ATTEMPT_LIFETIME, Claim
from services.routing.domain.items import in_order
from services.routing.keys import Keys
from services.routing.pages.carried import open_carried, seal_carried
from services.routing.pages.item_fields import fill_fields, item_name, read_items, show_value
from services.routing.queries.postal_codes import find_places
from shared.db import Database
from shared.errors import Refusal
from shared.tokens import Identity
from shared.web.forms import Form, parse_uuid, read_form
from shared.web.identity import require_visitor
from shared.web.pages import page, see_other

Req = Request[Any, Any, Any]
# What is carried beside the items.
PROOF, UNTIL = "_proof", "_until"
# OpenID Connect Core 5.1, and ISO 5218 (JIS X 0303) as 基本4情報 have it.
SEXES = {"female": "female", "2": "female", "male": "male", "1": "male"}
ADDRESS_PARTS = ("region", "locality", "street_address")
_NUMBERED = re.compile(r"(?P<line>.*?[0-9]\S*) (?P<building>.+)")


def read_claims(claims: Mapping[str, Claim], today: date, *, postal_code: str = "") -> dict[str, str]:
    """Claims as the form would keep them; what a person could not type is left out.

    `postal_code`: what the form has. An address comes mostly without one, and the form needs it.
    """
    fields: dict[str, str] = {}
    for item, said in claims.items():
        match item:
            case "address":
                fields |= _address_fields(said, postal_code)
            case "birth_date":
                fields |= fill_fields({item: _read_day(said)})
            case "sex":
                fields[item] = SEXES.get(str(said).lower(), "")
            case _:
                fields[item] = said if isinstance(said, str) else ""
    values = read_items(Form(fields), in_order(claims), today, complete=False).values
    return {item: value for item, value in values.items() if value}


def claims_page(
    request: Req,
    keys: Keys,
    identity: Identity,
    case_id: UUID,
    proof_id: UUID,
    values: Mapping[str, str],
    *,
    provider: str,
    now: datetime,
) -> Template:
    """What the provider says otherwise, to take over or not, item by item."""
    action = _action(case_id)
    until = (now + ATTEMPT_LIFETIME).isoformat()
    carried = {PROOF: proof_id.hex, UNTIL: until, **values}
    return page(
        request,
        "identity_claims.html",
        action=action,
        provider=provider,
        rows=[{"item": item, "term": item_name(item), "text": show_value(item, values[item])} for item in values],
        sealed=seal_carried(keys, identity.municipality, identity.ref, action, carried, now=now),
    )


@post("/cases/{case_id:str}/identity/take", guards=[require_visitor])
async def post_take(
    request: Req,
    case_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
) -> Redirect:
    """Each that has a yes; no answer is a no. On to the check page, which shows what is sent now."""
    case = parse_uuid(case_id, code="case_unknown")
    fields = await read_form(request)
    carried = open_carried(keys, identity.municipality, identity.ref, _action(case), fields.get("sealed", ""), now=now)
    if carried is None:
        raise Refusal("form_unreadable", 400)
    proof_id, until = UUID(carried.pop(PROOF)), datetime.fromisoformat(carried.pop(UNTIL))
    if now < until:
        async with db.begin(identity.municipality) as session:
            await take_claims(
                session,
                keys.vault,
                identity=identity,
                case_id=case,
                proof_id=proof_id,
                values=carried,
                accepted=[item for item in carried if fields.get(f"take_{item}") == "yes"],
                now=now,
            )
    return see_other(f"/cases/{case}/check")


@get("/cases/{case_id:str}/identity/take", guards=[require_visitor])
async def get_take_address(case_id: FromPath[str]) -> Redirect:
    """Where the form is sent, opened as a page."""
    return see_other(f"/cases/{parse_uuid(case_id, code='case_unknown')}/check")


def _address_fields(said: Claim, known_code: str) -> dict[str, str]:
    """The fields of an address. Without a postal code of its own it has the known one, where that is its area's."""
    parts = {"formatted": said} if isinstance(said, str) else said
    written = "".join(parts.get(name, "") for name in ADDRESS_PARTS) or parts.get("formatted", "")
    line = tidy_line(written)
    # Whatever follows the numbers after a space is a building.
    if found := _NUMBERED.fullmatch(line):
        line, building = found["line"], found["building"]
    else:
        building = ""
    line = line.replace(" ", "")
    code = parts.get("postal_code", "")
    if not code and any(line.startswith(place.line) for place in find_places(known_code)):
        code = known_code
    return {"address_postal_code": code, "address_line": line, "address_building": building} if code else {}


def _read_day(said: Claim) -> str:
    try:
        return date.fromisoformat(str(said)).isoformat()
    except ValueError:
        return ""


def _action(case_id: UUID) -> str:
    return f"/cases/{case_id}/identity/take"
