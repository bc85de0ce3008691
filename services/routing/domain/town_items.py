"""The items that a town defines itself, and how its forms ask: order, groups, and what depends on an answer above.

They stand around a request as the language and the town's texts do: whatever names an item or shows a value is said in
the town's words, and no function has to carry them along (`docs/decisions/0044-forms-as-data.md`).
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

import msgspec

from services.routing.domain.items import Condition, Part, parts_of, town_parts, unpack_people, unpack_value


class TownItem(msgspec.Struct, frozen=True, kw_only=True):
    """An item of the town's own, called `ja`. Withdrawn ones stay: somebody's case may hold a value."""

    code: str
    ja: str
    parts: tuple[Part, ...]


class FormItem(msgspec.Struct, frozen=True, kw_only=True):
    """An item where a form asks for it. `required` parts are needed here, whatever the item says."""

    item: str
    required: tuple[str, ...] = ()
    when: Condition | None = None

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """It is asked for when one of these holds; without any, always."""
        return () if self.when is None else (self.when,)

    def parts(self) -> tuple[Part, ...]:
        """The item's parts as this form asks for them."""
        return tuple(
            msgspec.structs.replace(part, required=True, at_least=max(1, part.at_least))
            if part.name in self.required
            else part
            for part in parts_of(self.item)
        )


class FormGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Items under the heading `ja`; empty: without one."""

    ja: str
    items: tuple[FormItem, ...]


class ProcedureForm(msgspec.Struct, frozen=True, kw_only=True):
    """How a procedure's form asks for its items. Without groups, they are asked for as the procedure names them."""

    groups: tuple[FormGroup, ...] = ()

    def entry(self, item: str) -> FormItem:
        """How an item is asked for."""
        found = (entry for group in self.groups for entry in group.items if entry.item == item)
        return next(found, FormItem(item=item))

    def in_order(self, items: Iterable[str]) -> tuple[str, ...]:
        """Items as the form asks for them; what it does not name comes last."""
        order = [entry.item for group in self.groups for entry in group.items]
        return tuple(sorted(items, key=lambda item: order.index(item) if item in order else len(order)))

    def heading(self, item: str) -> str:
        """What stands above an item that is the first of its group; of others nothing."""
        return next((group.ja for group in self.groups if group.items[0].item == item), "")

    def not_asked(self, values: Mapping[str, str], before: Iterable[str] = ()) -> tuple[str, ...]:
        """The items that do not apply. Where what decides is not among `values`, it is as it was `before`."""
        skipped: set[str] = set()
        for entry in (entry for group in self.groups for entry in group.items):
            when = entry.when
            if when is None:
                continue
            if when.item in skipped:
                # What does not apply answers nothing.
                skipped.add(entry.item)
            elif when.item in values:
                if not when.holds(unpack_value(when.item, values[when.item]).get(when.part, "")):
                    skipped.add(entry.item)
            elif entry.item in before:
                skipped.add(entry.item)
        return tuple(sorted(skipped))

    def lacks(self, values: Mapping[str, str]) -> tuple[str, ...]:
        """Items whose values lack what this form needs: they may come from a procedure that needs less."""
        return tuple(item for item, value in values.items() if self.groups and self._lacks(item, value))

    def _lacks(self, item: str, value: str) -> bool:
        known = unpack_value(item, value)
        for part in self.entry(item).parts():
            text = known.get(part.name, "")
            if part.when is not None and not part.when.holds(known.get(part.when.part, "")):
                continue
            if len(unpack_people(text)) < part.at_least if part.each else part.required and not text:
                return True
        return False


class TownItems(msgspec.Struct, frozen=True, kw_only=True):
    """All of a town: its own items and its procedures' forms, by code."""

    items: Mapping[str, TownItem] = {}
    forms: Mapping[str, ProcedureForm] = {}
    # A postal code of the town, for the example where one is typed.
    postal_example: str = ""


PLAIN_FORM = ProcedureForm()
_current: ContextVar[TownItems] = ContextVar("choudo_town_items", default=TownItems())  # noqa: B039  frozen


def set_town_items(town: TownItems) -> None:
    """Ask as this town does for the rest of the current context: for what comes before a request's handler."""
    _current.set(town)
    town_parts.set({item.code: item.parts for item in town.items.values()})


@contextmanager
def use_town_items(town: TownItems) -> Iterator[None]:
    """Ask as this town does inside the block."""
    before = _current.get()
    set_town_items(town)
    try:
        yield
    finally:
        set_town_items(before)


def form_of(procedure: str) -> ProcedureForm:
    """How a procedure's form asks in the current town."""
    return _current.get().forms.get(procedure, PLAIN_FORM)


def postal_example() -> str:
    """A postal code of the current town, for the example where one is typed; empty: it gives none."""
    return _current.get().postal_example


def town_item_name(item: str) -> str | None:
    """What an item of the town's own is called in Japanese; None when it has no such item."""
    known = _current.get().items.get(item)
    return known.ja if known is not None else None
