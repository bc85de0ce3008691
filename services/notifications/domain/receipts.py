"""Receipts (配信結果) as the providers say them, each in its own words, and one meaning for all of them."""

import hashlib
import hmac
import re
from typing import Final, Literal
from urllib.parse import parse_qsl

import msgspec

ReceiptStatus = Literal["accepted", "delivered", "failed"]

# How far the clock of a provider may be from ours, and how long a receipt can be played again.
SIGNED_WITHIN_S = 300
_SIGNATURE = re.compile(r"t=(\d{1,12}),v1=([0-9a-f]{64})")
# What gateways call it that it is on its way, has arrived, or will not.
WORDS: Final[dict[str, ReceiptStatus]] = {
    **dict.fromkeys(("0", "accepted", "acceptd", "enroute", "送信中", "送信済", "配信中", "圏外"), "accepted"),
    **dict.fromkeys(("1", "delivered", "delivrd", "配信済", "着信", "到達"), "delivered"),
    **dict.fromkeys(("2", "failed", "undeliv", "expired", "rejectd", "不達", "配信失敗", "期限切れ"), "failed"),
}
_CHARSETS = ("utf-8", "cp932")
_TAG, _REF = re.compile(r"[0-9a-z]{1,16}(?:\.[a-z2-7]{13})?"), re.compile(r"[!-~]{1,200}")


class FormReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """A receipt in a form: `ref` is the gateway's own id, `tag` what it was given (`orders.py: tag_of`).

    `status` is None for a word that nobody knows.
    """

    tag: str
    ref: str
    status: ReceiptStatus | None

    @property
    def municipality(self) -> str:
        """Whose it is."""
        return self.tag.partition(".")[0]


def read_form(body: bytes) -> dict[str, str]:
    """The fields of a form, in whichever characters each of them is written.

    Raises:
        ValueError: it is none.
    """
    fields = parse_qsl(body.decode("latin-1"), encoding="latin-1", strict_parsing=True, max_num_fields=50)
    return {name: _decoded(value.encode("latin-1")) for name, value in fields}


def read_form_receipt(form: dict[str, str]) -> FormReceipt:
    """Raises ValueError if it is none."""
    ref, tag = form.get("id", ""), form.get("tag", "")
    if not _REF.fullmatch(ref) or not _TAG.fullmatch(tag) or "status" not in form:
        raise ValueError("no receipt")
    word = form["status"].strip().lower()
    return FormReceipt(tag=tag, ref=ref, status=WORDS.get(word))


def sign(body: bytes, secret: str, *, at_s: int) -> str:
    """The signature of a body at a moment (seconds of the epoch): `t=…,v1=…`."""
    digest = hmac.new(secret.encode(), f"{at_s}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at_s},v1={digest}"


def is_signed(body: bytes, signature: str, secret: str, *, now_s: float) -> bool:
    """Whether the body was signed with the secret, and not long ago."""
    found = _SIGNATURE.fullmatch(signature)
    if not found or not secret or abs(now_s - int(found[1])) > SIGNED_WITHIN_S:
        return False
    return hmac.compare_digest(sign(body, secret, at_s=int(found[1])), signature)


def is_secret(shown: str, secret: str) -> bool:
    """Whether it is the secret; an empty one is nobody's."""
    return bool(secret) and hmac.compare_digest(shown.encode(), secret.encode())


def _decoded(value: bytes) -> str:
    for charset in _CHARSETS:
        try:
            return value.decode(charset)
        except UnicodeDecodeError:
            continue
    raise ValueError("no characters")
