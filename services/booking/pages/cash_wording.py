"""What the means of payment, and the ways in which something was delivered, are called."""

from services.booking.domain.cash import Handed, Means
from shared.web.i18n import translate


def _(message: str) -> str:
    """Marks a text for the catalogues; it is translated when shown."""
    return message


_MEANS: dict[Means, str] = {
    "cash": _("現金"),
    "credit": _("クレジットカード"),
    "ic_card": _("交通系のICカードなど"),
    "code": _("スマートフォンのコード決済"),
    "invoice": _("納付書（あとで払う紙）"),
}
_HANDED: dict[Handed, str] = {
    "counter": _("窓口でわたした・受け取った"),
    "online": _("いっしょにオンラインで申請した"),
    "post": _("あとで郵便で送る"),
}


def means_label(means: Means) -> str:
    """現金, …"""
    return translate(_MEANS[means])


def handed_label(handed: Handed) -> str:
    """How it was done in the end."""
    return translate(_HANDED[handed])
