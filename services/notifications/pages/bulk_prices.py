"""`/notices/bulk/prices`: what one message costs the town, so that a bulk notice says its cost before it is sent."""

import re
import unicodedata
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.response import Redirect, Template

from services.notifications.commands.bulk import set_prices
from services.notifications.domain.bulk import PRICE_SEN_MAX, PRICED_WAYS, SEN_PER_YEN, Prices
from services.notifications.pages.bulk_wording import PRICE_NAMES, say_prices
from services.notifications.pages.template_paths import MANAGER
from services.notifications.queries_of_bulk import read_prices
from shared.db import Database
from shared.tokens import Identity
from shared.web.forms import Form, read_form
from shared.web.i18n import gettext as _
from shared.web.i18n import translate
from shared.web.pages import page, see_other

PATH = "/notices/bulk/prices"
PRICE_MAX_LENGTH = 12
_YEN = re.compile(r"([0-9]{1,6})(?:\.([0-9]{1,2}))?")

Req = Request[Any, Any, Any]


@get(PATH, guards=MANAGER)
async def show_bulk_prices(
    request: Req, db: NamedDependency[Database], identity: NamedDependency[Identity]
) -> Template:
    """What is known of prices, and since when."""
    async with db.begin(identity.municipality) as session:
        prices = await read_prices(session, identity.municipality)
    return _prices_page(request, prices, say_prices(prices.sen), {})


@post(PATH, guards=MANAGER)
async def post_bulk_prices(
    request: Req,
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
) -> Template | Redirect:
    """Keep them."""
    form = Form(await read_form(request))
    typed = {way: _price(form, way) for way in PRICED_WAYS}
    async with db.begin(identity.municipality) as session:
        if not form.ok:
            prices = await read_prices(session, identity.municipality)
            return _prices_page(request, prices, form.values, form.errors)
        sen = {way: price for way, price in typed.items() if price is not None}
        await set_prices(session, identity, sen, now=now)
    return see_other(PATH)


def _price(form: Form, way: str) -> int | None:
    """Yen with up to two decimals, in sen; None: left empty."""
    typed = unicodedata.normalize("NFKC", form.value(way)[: PRICE_MAX_LENGTH + 1]).strip().replace(",", "")
    if not typed:
        return None
    found = _YEN.fullmatch(typed)
    sen = int(found[1]) * SEN_PER_YEN + int((found[2] or "").ljust(2, "0")) if found else PRICE_SEN_MAX + 1
    if sen > PRICE_SEN_MAX:
        form.errors[way] = _("円で、数字だけで入力してください。例：3.3")
    return sen


def _prices_page(request: Req, prices: Prices, values: Mapping[str, str], errors: Mapping[str, str]) -> Template:
    return page(
        request,
        "bulk_prices.html",
        status=422 if errors else 200,
        path_of=PATH,
        prices=[
            {"name": way, "label": translate(PRICE_NAMES[way]), "value": values.get(way, ""),
             "error": errors.get(way)}
            for way in PRICED_WAYS
        ],
        errors=errors,
        set_at=prices.set_at,
    )  # fmt: skip
