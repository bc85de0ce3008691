"""What was delivered at a counter and what was paid for it (会計): as typed by staff. Never anything of a card."""

import re
import unicodedata
from typing import Literal, get_args

import msgspec

from shared.errors import Refusal

Means = Literal["cash", "credit", "ic_card", "code", "invoice"]
# How it was done in the end: handed over or entered at the counter, entered online there, or sent later by post.
Handed = Literal["counter", "online", "post"]

MEANS: tuple[Means, ...] = get_args(Means)
HANDED: tuple[Handed, ...] = get_args(Handed)
DELIVERED_MAX = 20
QUANTITY_MAX = 99
AMOUNT_MAX_YEN = 999_999
# Long enough for a till's number, too short for a card's.
RECEIPT_MAX_LENGTH = 12
_RECEIPT = re.compile(rf"[0-9A-Z](?:[0-9A-Z-]{{0,{RECEIPT_MAX_LENGTH - 1}}})")
_SEPARATORS = str.maketrans("", "", " ,¥円\u3000")


class Delivered(msgspec.Struct, frozen=True, kw_only=True):
    """A procedure that was done for somebody, and how many of it."""

    procedure: str
    quantity: int = 1


class Paid(msgspec.Struct, frozen=True, kw_only=True):
    """What was paid, by which means, and the number of the receipt of the till, if it gives any."""

    amount_yen: int
    means: Means
    receipt_no: str = ""


def read_paid(means: str, amount: str, receipt: str) -> Paid | None:
    """What was typed of a payment, in any width; None: nothing was paid.

    Raises:
        Refusal: `payment_incomplete`, `amount_unreadable`, `receipt_unreadable` (400).
    """
    typed = unicodedata.normalize("NFKC", amount).translate(_SEPARATORS)
    number = unicodedata.normalize("NFKC", receipt).strip().upper()
    known = next((each for each in MEANS if each == means), None)
    if known is None and not means and typed in ("", "0") and not number:
        return None
    if known is None or not typed:
        raise Refusal("payment_incomplete", 400)
    if not (typed.isascii() and typed.isdigit()) or not 1 <= int(typed[:10]) <= AMOUNT_MAX_YEN:
        raise Refusal("amount_unreadable", 400)
    if number and not _RECEIPT.fullmatch(number):
        raise Refusal("receipt_unreadable", 400)
    return Paid(amount_yen=int(typed), means=known, receipt_no=number)
