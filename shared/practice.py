"""Practice towns (練習用の町): municipalities of their own, with invented people, for staff to try things out in.

That a town is one is told by its code alone, `143421-r7` for the seventh of 143421. So whoever must treat one
differently needs to ask nobody, and cannot be told wrong by a table: the databases check it by the same pattern.
"""

import re

HOST_PREFIX = "renshu."
# As PostgreSQL reads it, too.
PATTERN = "^.+-r[0-9]+$"
_CODE = re.compile(r"(.+)-r([0-9]+)")


def is_practice(municipality: str) -> bool:
    """Whether a municipality is there for practice only."""
    return _CODE.fullmatch(municipality) is not None


def practice_code(town: str, number: int) -> str:
    """The code of a town's practice town of this number."""
    return f"{town}-r{number}"


def read_practice_code(municipality: str) -> tuple[str, int] | None:
    """The town that a practice town belongs to, and its number; None for a real one."""
    found = _CODE.fullmatch(municipality)
    return (found[1], int(found[2])) if found else None
