"""One form for a life event (手続一か所): what several procedures ask for, each question once, in sections."""

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

from services.routing.domain.items import Condition
from services.routing.domain.town_items import FormItem, ProcedureForm

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


class JoinedItem(FormItem, frozen=True, kw_only=True):
    """An item as several procedures ask for it: a part is needed if one needs it, and it is shown if one shows it."""

    any_of: tuple[Condition, ...] = ()

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """It is asked for when one of these holds; without any, always."""
        return self.any_of


class JoinedForm(ProcedureForm, frozen=True, kw_only=True):
    """How the forms of several procedures ask as one. It has sections instead of the forms' groups."""

    entries: Mapping[str, JoinedItem]

    def entry(self, item: str) -> FormItem:
        """How an item is asked for."""
        return self.entries.get(item, FormItem(item=item))


def join_forms(forms: Sequence[tuple[ProcedureForm, Sequence[str]]]) -> JoinedForm:
    """One form of several, each with the items that it asks for."""
    entries: dict[str, list[FormItem]] = {}
    for form, items in forms:
        for item in items:
            entries.setdefault(item, []).append(form.entry(item))
    return JoinedForm(
        entries={
            item: JoinedItem(
                item=item,
                required=tuple(dict.fromkeys(part for entry in found for part in entry.required)),
                any_of=tuple(dict.fromkeys(when for entry in found for when in entry.conditions))
                if all(entry.conditions for entry in found)
                else (),
            )
            for item, found in entries.items()
        }
    )


def in_sections(items: Sequence[str], form: ProcedureForm) -> dict[str, tuple[str, ...]]:
    """The items by section, in the order of the page; sections without any are left out.

    What depends on an answer stands below it, though it be in another section than usual.
    """
    codes = [*SECTIONS, REST]
    home = {item: code for code, listed in SECTIONS.items() for item in listed}
    decides = {
        item: [when.item for when in form.entry(item).conditions if when.item in items and when.item != item]
        for item in items
    }

    def place(item: str, above: tuple[str, ...] = ()) -> int:
        # Two procedures may let two items wait for each other: then neither moves for the other.
        own = codes.index(home.get(item, REST))
        return max([own, *(place(other, (*above, item)) for other in decides[item] if other not in (*above, item))])

    usual = [item for listed in SECTIONS.values() for item in listed]
    sections: dict[str, tuple[str, ...]] = dict.fromkeys(codes, ())
    for item in sorted(items, key=lambda item: usual.index(item) if item in usual else len(usual)):
        code = codes[place(item)]
        for each in (*_above(item, decides), item):
            if codes[place(each)] == code and each not in sections[code]:
                sections[code] += (each,)
    return {code: listed for code, listed in sections.items() if listed}


def _above(item: str, decides: Mapping[str, Sequence[str]], below: tuple[str, ...] = ()) -> tuple[str, ...]:
    """What decides about an item, from the top."""
    path = (*below, item)
    return tuple(
        each for other in decides[item] if other not in path for each in (*_above(other, decides, path), other)
    )
