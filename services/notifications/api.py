"""JSON: what providers call."""

import hmac
from datetime import datetime
from typing import Any

import msgspec
from litestar import Request, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from services.notifications.commands.receipts import DeliveryReceipt, record_receipt
from services.notifications.orders import read_key
from services.notifications.providers.chosen import receipt_tokens
from services.notifications.settings import Settings
from shared.db import Database
from shared.errors import Refusal
from shared.log import get_logger
from shared.web.identity import PUBLIC

log = get_logger(__name__)

RECEIPTS_MAX = 100


# Public as far as people's tokens go: the gateway shows its own.
@post("/notifications/api/receipts/{provider:str}", opt=PUBLIC, status_code=204)
async def post_receipts(
    request: Request[Any, Any, Any],
    provider: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    settings: NamedDependency[Settings],
) -> None:
    """One receipt or a list of them. Gateways repeat and reorder them: what is known already changes nothing.

    Raises:
        Refusal: `not_found` (404) provider, `receipt_token` (401), `bad_request` (400).
    """
    token = receipt_tokens(settings).get(provider)
    if token is None:
        raise Refusal("not_found", 404)
    shown = request.headers.get("authorization", "").removeprefix("Bearer ")
    if not token or not hmac.compare_digest(shown.encode(), token.encode()):
        raise Refusal("receipt_token", 401)
    for receipt in _read(await request.body()):
        try:
            # The key that we gave names the town: a gateway knows one address to call, not one for each town.
            municipality, notice_id, way_no = read_key(receipt.id)
        except ValueError as error:
            raise Refusal("bad_request", 400) from error
        async with db.begin(municipality) as session:
            if not await record_receipt(session, municipality, notice_id, receipt.status, way_no=way_no, now=now):
                log.warning("receipt_of_unknown_notice", provider=provider)


def _read(body: bytes) -> list[DeliveryReceipt]:
    try:
        told = msgspec.json.decode(body, type=DeliveryReceipt | list[DeliveryReceipt])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refusal("bad_request", 400) from error
    receipts = told if isinstance(told, list) else [told]
    if len(receipts) > RECEIPTS_MAX:
        raise Refusal("too_large", 413)
    return receipts
