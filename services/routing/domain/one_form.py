"""One form for a life event (手続一か所): what several procedures ask for, each question once, in sections."""

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

# Where a person expects a question; an item that no section names belongs to the last one.
SECTIONS: dict[str, tuple[str, ...]] = {
    "person": ("name", "kana", "birth_date", "sex", "phone"),
    "home": ("address", "previous_address", "new_address", "household"),
    "child": ("child",),
    "health": ("insurance", "doctor", "due_date"),
    "money": ("employer", "bank_account"),
}
REST: Final = "rest"


def askers(needs: Mapping[UUID, Sequence[str]]) -> dict[str, UUID]:
    """Which case asks for each item: the first one that needs it. `needs` are the items of each, in the plan's order.

    What is typed is that case's; the others are offered it.
    """
    first: dict[str, UUID] = {}
    for case, items in needs.items():
        for item in items:
            first.setdefault(item, case)
    return first


def users(needs: Mapping[UUID, Sequence[str]]) -> dict[str, tuple[UUID, ...]]:
    """Which cases use each item."""
    return {item: tuple(case for case, items in needs.items() if item in items) for item in askers(needs)}


def in_sections(items: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The items by section, in the order of the page; sections without any are left out."""
    named = {item for listed in SECTIONS.values() for item in listed}
    sections = {code: tuple(item for item in listed if item in items) for code, listed in SECTIONS.items()}
    sections[REST] = tuple(item for item in items if item not in named)
    return {code: listed for code, listed in sections.items() if listed}
