"""A system's own name for what it asks for. It is kept and shown, so it must be nobody's number or address."""

import re

MY_NUMBER_LENGTH = 12
_VISIBLE = re.compile(r"[!-~]+")
_DIGITS = re.compile(r"(?<![0-9])(?:[0-9][-_. /]?){11}[0-9](?![0-9])")
_MAIL = re.compile(r"[^@\s]+@[^@\s]+\.[A-Za-z]{2,}")
# What a telephone number is written with; whether it is one, who knows numbers decides.
_PHONE = re.compile(r"(?<![0-9A-Za-z])(?:\+|0)[0-9().-]{8,16}(?![0-9A-Za-z])")
# From the right, as the ministry's ordinance (平成26年総務省令85号5条) counts.
_WEIGHTS = (2, 3, 4, 5, 6, 7, 2, 3, 4, 5, 6)


def is_visible(text: str) -> bool:
    """Whether it is visible ASCII alone."""
    return _VISIBLE.fullmatch(text) is not None


def has_my_number(text: str) -> bool:
    """Whether twelve digits in it are an Individual Number (個人番号) by their check digit."""
    return any(_is_my_number(re.sub("[^0-9]", "", found[0])) for found in _DIGITS.finditer(text))


def has_mail_address(text: str) -> bool:
    """Whether there is a mail address in it."""
    return _MAIL.search(text) is not None


def like_phones(text: str) -> list[str]:
    """What in it is written as a telephone number may be."""
    return _PHONE.findall(text)


def _is_my_number(digits: str) -> bool:
    if len(digits) != MY_NUMBER_LENGTH:
        return False
    rest = sum(int(digit) * weight for digit, weight in zip(reversed(digits[:-1]), _WEIGHTS, strict=True)) % 11
    return int(digits[-1]) == (0 if rest <= 1 else 11 - rest)
