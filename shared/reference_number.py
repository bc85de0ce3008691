"""Numbers that people read aloud and type: of an appointment (予約番号), an application (受付番号), an inquiry
(問い合わせ番号), an erasure, an entry of a draw (抽選番号), a case (案件番号).

Random signs and a check sign; a number opens nothing alone. The alphabet leaves out signs that look alike (0 O D Q,
1 I L, 2 Z, 5 S, 6 G, 8 B, U V); what people type instead is understood. It has 23 signs, a prime, so that the weighted
sum finds every single wrong sign and every two signs exchanged. The kinds differ in length: none is taken for another.
"""

import unicodedata
from collections.abc import Callable
from urllib.parse import urlsplit
from uuid import UUID

ALPHABET = "23456789ACEFHJKMNPRTWXY"
APPOINTMENT_LENGTH = 7
APPLICATION_LENGTH = 8
INQUIRY_LENGTH = 9
ERASURE_LENGTH = 10
# Made by routing's database (migration 0029), in the same way.
CASE_LENGTH = 11
TICKET_LENGTH = 6
TYPED_MAX_LENGTH = 40
# A number with a sign too many is a slip of the finger; a telephone number is longer.
TYPO_MAX_LENGTH = 8
CODE_LENGTH = 6

_MEANT = str.maketrans({"Z": "2", "S": "5", "G": "6", "B": "8"})
_DASHES = "-ーｰ−_・."


def make_number(choose: Callable[[str], str], *, length: int = APPOINTMENT_LENGTH) -> str:
    """A new number; `choose` picks one sign of the alphabet (`secrets.choice`)."""
    signs = "".join(choose(ALPHABET) for _ in range(length - 1))
    return signs + check_sign(signs)


def check_sign(signs: str) -> str:
    """The last sign, computed from those before it."""
    total = sum(weight * ALPHABET.index(sign) for weight, sign in enumerate(signs, start=1))
    return ALPHABET[-total * pow(len(signs) + 1, -1, len(ALPHABET)) % len(ALPHABET)]


def read_number(typed: str, *, length: int = APPOINTMENT_LENGTH) -> str | None:
    """What was typed or scanned as a number, in any width and case, with spaces and dashes; None if it is none."""
    if len(typed) > TYPED_MAX_LENGTH:
        return None
    signs = _plain(typed).upper().translate(_MEANT)
    if len(signs) != length or any(sign not in ALPHABET for sign in signs):
        return None
    return signs if check_sign(signs[:-1]) == signs[-1] else None


def typed_as_number(typed: str) -> str:
    """What was typed, if it looks like an appointment's number at all: it may be shown again, in an address too."""
    signs = _plain(typed[:TYPED_MAX_LENGTH]).upper()
    return signs if signs.isascii() and signs.isalnum() and len(signs) <= TYPO_MAX_LENGTH else ""


def read_code(typed: str) -> str | None:
    """What was typed as a code: six digits in any width; None if it is none."""
    if len(typed) > TYPED_MAX_LENGTH:
        return None
    digits = _plain(typed)
    return digits if len(digits) == CODE_LENGTH and digits.isascii() and digits.isdigit() else None


def show_number(number: str) -> str:
    """As people see it and read it aloud: ``K4M-7RXA``; an application's ``K4M7-RXAC``, an inquiry's ``K4M7-RXACT``."""
    cut = len(number) // 2
    return f"{number[:cut]}-{number[cut:]}"


def host_of(public_url: str) -> str:
    """The town's host name, for identifiers in mail and calendars; of an address (URL) or a host name."""
    parts = urlsplit(public_url if "://" in public_url else f"//{public_url}")
    return parts.hostname or "localhost"


def calendar_uid(appointment_id: UUID, public_url: str) -> str:
    """The appointment's UID in every calendar file, so that a mail's and a page's are one entry, not two."""
    return f"{appointment_id}@{host_of(public_url)}"


def _plain(typed: str) -> str:
    text = unicodedata.normalize("NFKC", typed)
    return "".join(
        sign for sign in text if not sign.isspace() and sign not in _DASHES and unicodedata.category(sign) != "Pd"
    )
