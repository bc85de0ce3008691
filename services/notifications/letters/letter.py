"""A letter, before it is set: whom it goes to, who writes, and what. Sealed as it is until it is printed."""

import re

import msgspec

POSTAL_CODE = re.compile(r"〒\d{3}-\d{4}")
_LINK = re.compile(r"https?://[^\s　）」]+")


class CannotBePrinted(Exception):
    """It would be wrong on paper: a sign that the font has not, or an address that no window shows whole."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """What is written in a letter, and by whom, in the reader's language."""

    title: str
    text: str
    sender: str
    sender_address: str
    sender_phone: str
    # For the number of its page, and so that a letter that comes back is found: nobody's name.
    number: str
    language: str

    @property
    def link(self) -> str | None:
        """Where the letter says that there is more to see; None where it says nothing of the kind."""
        found = _LINK.search(self.text)
        return found[0] if found else None

    def __repr__(self) -> str:
        # Never what is written: a representation ends up in logs.
        return "Written()"


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """A letter to somebody. `to`: postal code, street, name, a line each."""

    to: str
    written: Written

    @property
    def lines(self) -> tuple[str, str, str]:
        """The lines of the address."""
        return read_address(self.to)

    def __repr__(self) -> str:
        return "Letter()"


def read_address(to: str) -> tuple[str, str, str]:
    """Postal code, street and name.

    Raises:
        CannotBePrinted: it is no address of a letter.
    """
    lines = to.split("\n")
    if len(lines) != len(("code", "street", "name")) or not POSTAL_CODE.fullmatch(lines[0]) or not all(lines):
        raise CannotBePrinted("letter_address")
    if not all(line.isprintable() for line in lines):
        raise CannotBePrinted("letter_address")
    code, street, name = lines
    return code, street, name
