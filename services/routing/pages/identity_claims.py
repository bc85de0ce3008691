"""Taking over what a provider of the identity step says: shown, answered item by item, and carried by the page alone.

What is shown is sealed inside the page, for whoever proved it and for their case: it is nowhere else until a yes.
"""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any
from uuid import UUID

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect, Template

from services.routing.commands.identity_claims import take_claims
from services.routing.domain.identity import ATTEMPT_LIFETIME
from services.routing.domain.items import ITEM_PARTS
from services.routing.keys import Keys
from services.routing.pages.carried import open_carried, seal_carried
from services.routing.pages.item_fields import item_name, show_value
from shared.db import Database
from shared.errors import Refusal
from shared.tokens import Identity
from shared.web.forms import Form, parse_uuid, read_form
from shared.web.identity import require_visitor
from shared.web.pages import page, see_other

Req = Request[Any, Any, Any]
# What is carried beside the items.
PROOF, UNTIL = "_proof", "_until"


def read_claims(claims: Mapping[str, str], today: date) -> dict[str, str]:
    """Claims as the form would keep them; what a person could not type is left out."""
    form = Form(dict(claims))
    values = {}
    for item in claims:
        part = ITEM_PARTS[item][0]
        match part.kind:
            case "kana":
                value = form.kana(item, max_length=part.length, required=False)
            case "day":
                value = _read_day(claims[item], today)
            case _:
                value = " ".join(form.text(item, max_length=part.length, required=False).split())
        if value and item not in form.errors:
            values[item] = value
    return values


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


def _read_day(text: str, today: date) -> str:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return ""
    return day.isoformat() if day <= today else ""


def _action(case_id: UUID) -> str:
    return f"/cases/{case_id}/identity/take"
