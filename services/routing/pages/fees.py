"""What an online procedure costs, as its form, its check page and its receipt say it; and that nothing is paid here."""

from collections.abc import Mapping, Sequence

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.domain.catalogue import Payment
from services.routing.domain.items import unpack_value
from services.routing.pages.channel_wording import PAYMENTS
from services.routing.queries.catalogue import get_town, list_counters
from shared.web.i18n import gettext as _
from shared.web.i18n import translate
from shared.web.templating import yen

# The item that says how many copies are wanted: then the fee is that of one.
COPIES_ITEM, COPIES_PART = "copies_purpose", "copies"


class FeeWords(msgspec.Struct, frozen=True, kw_only=True):
    """The fee in words. `notes` say how it is paid, and where not."""

    amount: str
    notes: tuple[str, ...] = ()
    # In all; None while it is not said how many.
    total_yen: int | None = 0


async def fee_words(
    session: AsyncSession,
    municipality: str,
    *,
    fee_yen: int,
    items: Sequence[str],
    counters: Sequence[str],
    values: Mapping[str, str],
) -> FeeWords:
    """The fee of a procedure that asks for these `items`, for as many copies as the `values` say."""
    if fee_yen == 0:
        return FeeWords(amount=_("手数料はかかりません。"))
    town = await get_town(session, municipality)
    known = await list_counters(session, municipality)
    at_counter = tuple(dict.fromkeys(way for code in counters if code in known for way in known[code].payment))
    notes = [_("このページでは、お金を払いません。カードの番号なども入力しません。")]
    if town.online_payment:
        notes.append(_("受け付けたあとに、払い方をお知らせします（%(ways)s）。", ways=_ways(town.online_payment)))
    else:
        notes.append(_("払い方は、受け付けたあとにお知らせします。"))
    if at_counter:
        notes.append(_("窓口で払うときは、%(ways)sが使えます。", ways=_ways(at_counter)))
    if not town.places_confirmed:
        notes.append(_("払い方は、町がまだ確かめていない見本のデータです。"))
    return FeeWords(
        amount=_amount(fee_yen, items, values), notes=tuple(notes), total_yen=_total(fee_yen, items, values)
    )


def _amount(fee_yen: int, items: Sequence[str], values: Mapping[str, str]) -> str:
    total = _total(fee_yen, items, values)
    if total is None:
        return _("1通につき %(fee)s（ほしい枚数の分だけ、かかります）", fee=yen(fee_yen))
    if COPIES_ITEM not in items:
        return yen(fee_yen)
    return _("%(total)s（%(fee)s × %(copies)s通）", total=yen(total), fee=yen(fee_yen), copies=total // fee_yen)


def _total(fee_yen: int, items: Sequence[str], values: Mapping[str, str]) -> int | None:
    if COPIES_ITEM not in items:
        return fee_yen
    copies = unpack_value(COPIES_ITEM, values.get(COPIES_ITEM, "")).get(COPIES_PART, "")
    return fee_yen * int(copies) if copies.isascii() and copies.isdigit() else None


def _ways(ways: Sequence[Payment]) -> str:
    return _("、").join(translate(PAYMENTS[way]) for way in ways)
