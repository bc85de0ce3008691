"""The pages of a case, by keys: which one its person has open, for a helper beside them, and when they go another way.

A key names a page, or the first item under a heading of the form. It never says what was written there.
"""

from collections.abc import Collection, Sequence
from typing import Literal

from services.routing.domain.town_items import ProcedureForm

# A page that is not the form: what was given before; what is attached; how to be told; who one is; to send it. On the
# way to a time: who one is called by, what is handed over, and the time.
OtherPage = Literal["reuse", "attach", "reach", "identity", "send", "names", "handover", "book"]

FORM = "form:"
PAGE_PATTERN = "^(form:[a-z0-9_]{1,40}|reuse|attach|reach|identity|send|names|handover|book)$"


def page_of(items: Sequence[str]) -> str:
    """The key of the part of the form that asks for these."""
    return FORM + items[0]


def list_groups(form: ProcedureForm, needed: Sequence[str]) -> list[tuple[str, tuple[str, ...]]]:
    """The items as the form has them under its headings; without any, each is a step of its own."""
    groups = [(group.ja, tuple(entry.item for entry in group.items if entry.item in needed)) for group in form.groups]
    named = {item for _, items in groups for item in items}
    return [
        *((heading, items) for heading, items in groups if items),
        *(("", (item,)) for item in needed if item not in named),
    ]


def pages_of_items(form: ProcedureForm, needed: Sequence[str]) -> dict[str, str]:
    """Where in the form each item is asked for."""
    return {item: page_of(items) for _, items in list_groups(form, needed) for item in items}


def where_to_begin(form: ProcedureForm, needed: Sequence[str], settled: Collection[str]) -> str | None:
    """Where in the form somebody who opens it goes on: the first part that is not settled, else its beginning."""
    groups = [items for _, items in list_groups(form, needed)]
    open_ones = [items for items in groups if not set(items) <= set(settled)]
    return next((page_of(items) for items in (*open_ones, *groups)), None)
