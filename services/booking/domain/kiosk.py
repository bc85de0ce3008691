"""The ticket machine in the lobby (発券機): what can be booked there, by which reading, and how long people wait."""

import unicodedata

import msgspec

from services.booking.domain.rules import Policy

# Whoever stands there is in the house already: only the way to the counter lies between them and their time.
KIOSK_NOTICE_MIN = 5
# The rows of the kana table, and what begins with each; found by the first sign, without its marks.
KANA_ROWS: dict[str, str] = {
    "あ": "あいうえお",
    "か": "かきくけこ",
    "さ": "さしすせそ",
    "た": "たちつてと",
    "な": "なにぬねの",
    "は": "はひふへほ",
    "ま": "まみむめも",
    "や": "やゆよ",
    "ら": "らりるれろ",
    "わ": "わをん",
}
_SMALL = str.maketrans("ぁぃぅぇぉっゃゅょゎ", "あいうえおつやゆよわ")
_KATAKANA_FIRST, _KATAKANA_LAST, _TO_HIRAGANA = 0x30A1, 0x30F6, 0x60


def kiosk_policy(town: Policy) -> Policy:
    """The policy at the machine: today only, and until shortly before."""
    return msgspec.structs.replace(town, notice_min=KIOSK_NOTICE_MIN, horizon_days=0)


def kana_row(kana: str) -> str | None:
    """The row in which a reading stands: ``ジドウテアテ`` in さ; None for what begins with no kana."""
    # Taken apart, じ is し and a mark; half width is full.
    first = unicodedata.normalize("NFKD", kana.strip())[:1]
    if first and _KATAKANA_FIRST <= ord(first) <= _KATAKANA_LAST:
        first = chr(ord(first) - _TO_HIRAGANA)
    plain = first.translate(_SMALL)
    return next((row for row, signs in KANA_ROWS.items() if plain and plain in signs), None)
