"""Whose a case is: one's own, or a member of the family's (家族の分); and what one may offer to another."""

from collections.abc import Iterable
from typing import Literal

# For whom: oneself, somebody of the family who is known in this browser (`1` …), or somebody new.
MYSELF: Literal["me"] = "me"
SOMEBODY_NEW: Literal["new"] = "new"
PERSONS_MAX = 9
# In which step of a case an item came from somebody else of the family.
STEP_FAMILY = "family"

# What people who live together have in common, and what is asked of whoever applies: where they live, with whom, and at
# which number the household is reached. Nothing else of one person is another's, a bank account or an employer least.
SHARED_ITEMS = ("address", "phone", "household")


def shared_items(needed: Iterable[str]) -> tuple[str, ...]:
    """What of a form one member of a family may offer to another's."""
    wanted = set(needed)
    return tuple(item for item in SHARED_ITEMS if item in wanted)


def read_person(typed: str) -> int | Literal["me", "new"] | None:
    """Who was chosen; None when it is nobody."""
    if typed in (MYSELF, SOMEBODY_NEW):
        return "me" if typed == MYSELF else "new"
    return int(typed) if typed in {str(number) for number in range(1, PERSONS_MAX + 1)} else None
