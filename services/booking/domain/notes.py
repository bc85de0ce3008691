"""What a helper leaves to the next one (引き継ぎメモ): fixed phrases, and a few words with nothing of a person in them.

A name cannot be told from other words; everything else by which somebody is found can: numbers, addresses, dates of
birth, mail. However it is typed (全角, 漢数字, with dots or spaces between), it is refused.
"""

import re
import unicodedata
from datetime import timedelta
from typing import Literal

NOTE_MAX_LENGTH = 120
# After a session a note may be written for some days; some weeks later it is forgotten.
NOTE_WRITTEN_WITHIN = timedelta(days=7)
NOTES_KEPT = timedelta(days=28)

Phrase = Literal[
    "stuck_photo", "stuck_typing", "stuck_reading", "stuck_sign_in", "stuck_device", "bring_identity", "bring_papers",
    "bring_own_phone", "more_time", "went_to_counter", "goes_alone",
]  # fmt: skip
PHRASES: tuple[Phrase, ...] = (
    "stuck_photo", "stuck_typing", "stuck_reading", "stuck_sign_in", "stuck_device", "bring_identity", "bring_papers",
    "bring_own_phone", "more_time", "went_to_counter", "goes_alone",
)  # fmt: skip

# What of a person there is in a text.
Found = Literal["mail", "personal_number", "phone", "postal_code", "birth_date", "address", "number"]

# A longer run of digits is a number of something: the phone's, the card's, the bank's, a secret one.
DIGITS_HARMLESS = 3
PERSONAL_NUMBER_DIGITS = 12
POSTAL_CODE_DIGITS = 7
PHONE_DIGITS = range(9, 12)

_KANJI = str.maketrans("〇零○◯一二三四五六七八九壱弐参", "0000123456789123")
# Between the digits of one number people put all kinds of things; also の and から, when they read it out.
_BETWEEN = r"[\s\-‐‑‒–—―−ー〜~・･.,、。/()（）_のﾉノ]{0,2}"
_RUN = re.compile(rf"[0-9](?:{_BETWEEN}[0-9])*")
# 千二百三十四: a number in words, as long as one in digits would be.
_IN_WORDS = re.compile(r"[0-9十百千万億]{3,}")
_NUMBER = r"[0-9十百千]+"
_MAIL = re.compile(
    r"[^\s@]@[^\s@]|アットマーク|(?:ドット|どっと)\s*(?:コム|こむ|ジェーピー|com|jp|ne|co)", re.IGNORECASE
)
_POSTAL_MARK = re.compile(r"〒|郵便番号")
_ERA_YEAR = re.compile(rf"(?:明治|大正|昭和|平成|令和)\s*(?:元|{_NUMBER})|\b[MTSHR]\s*[0-9]{{1,2}}[./年]")
_BORN = re.compile(r"生年月日|誕生日|生まれ")
_ADDRESS = re.compile(
    rf"""{_NUMBER}\s*(?:丁目|番地|番町|号室|番\s*{_NUMBER}\s*号?|番館)
    | [丁番]目?\s*{_NUMBER}\s*(?:番|号)
    | 大字 | 丁目 | 番地
    | [一-龥々ヶケ0-9]{{1,6}}[都道府県][一-龥々ヶケのノ0-9]{{1,8}}[市区町村郡]
    | [一-龥々ヶケ]{{1,8}}[市区町村郡][^\s、。]{{0,12}}?[0-9]
    | (?:マンション|アパート|ハイツ|コーポ|団地|荘)\s*[A-Za-z]?\s*{_NUMBER}
    """,
    re.VERBOSE,
)


def find_personal(text: str) -> Found | None:
    """What of a person there is in a text that is to be written down: the first kind that is found, or None."""
    plain = _plain(text)
    digits = plain.translate(_KANJI)
    if _MAIL.search(plain):
        return "mail"
    if _ERA_YEAR.search(digits) or _BORN.search(plain):
        return "birth_date"
    if _ADDRESS.search(digits):
        return "address"
    if _POSTAL_MARK.search(plain):
        return "postal_code"
    lengths = [len(re.sub(r"[^0-9]", "", run)) for run in _RUN.findall(digits)]
    longest = max(lengths, default=0)
    if longest == PERSONAL_NUMBER_DIGITS:
        return "personal_number"
    if longest in PHONE_DIGITS:
        return "phone"
    if longest == POSTAL_CODE_DIGITS:
        return "postal_code"
    if longest > DIGITS_HARMLESS or any(len(word) > DIGITS_HARMLESS for word in _IN_WORDS.findall(digits)):
        return "number"
    return None


def _plain(text: str) -> str:
    """One way of writing for all: no full width, no signs that nobody sees."""
    shown = "".join(sign for sign in text if unicodedata.category(sign) != "Cf")
    return unicodedata.normalize("NFKC", shown)
