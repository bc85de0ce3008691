"""What each data item (項目) of a procedure consists of: its parts, their kinds, limits and choices.

A value is one plain text: the item itself when it has one part, canonical JSON (sorted keys, no empty parts) when it
has several; of what is attached, a list of its files (`attachments.py`). マイナンバー (個人番号) is never asked for.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextvars import ContextVar
from datetime import date, timedelta
from typing import Literal

import msgspec

Kind = Literal[
    "text", "person", "kana", "long_text", "day", "phone", "postal_code", "choice", "number", "digits", "people",
    "things",
]  # fmt: skip

NAME_MAX_LENGTH = 60
LINE_MAX_LENGTH = 100
SHORT_MAX_LENGTH = 40
NOTE_MAX_LENGTH = 500
# No item's value is longer than this, whatever its parts are.
VALUE_MAX_LENGTH = 4_000
ACCOUNT_DIGITS = 7
COPIES_MAX = 20
OLDEST_YEARS = 130
PREGNANCY_DAYS_MAX = 310
# Moving out is told online from 30 days before to 10 days after (引越し手続オンラインサービス).
MOVE_BEFORE_DAYS, MOVE_AFTER_DAYS = 30, 10
TAX_YEARS_KEPT = 6
YEAR_DAYS = 366
PEOPLE_MAX = 10
# 続柄, as seen from the person who applies.
RELATIONS = ("spouse", "child", "parent", "grandparent", "sibling", "other")


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """What a field above has to hold for another to be asked for: one of these choices, or a number or day in bounds.

    `item` is empty between the parts of one item.
    """

    item: str = ""
    part: str = ""
    one_of: tuple[str, ...] = ()
    lowest: int | None = None
    highest: int | None = None
    from_day: date | None = None
    until_day: date | None = None

    def holds(self, text: str) -> bool:
        """Whether the field's clean value is so; one that is empty never is."""
        if not text:
            return False
        if self.one_of:
            return text in self.one_of
        if self.from_day is not None or self.until_day is not None:
            return (self.from_day or date.min).isoformat() <= text <= (self.until_day or date.max).isoformat()
        number = int(text) if text.isascii() and text.isdecimal() else None
        return (
            number is not None
            and (self.lowest is None or self.lowest <= number)
            and (self.highest is None or number <= self.highest)
        )


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One field of an item. `name` is empty when it is the item's only one. Days are limited from today on.

    `length` is the most letters, or of `digits` how many; `lowest` and `highest` bound a number.
    Of `people` and `things`, `each` are the parts of one of them: such a part's value is a JSON list, of `at_least` to
    `at_most`. A town's own parts bring their words; `choice_words` are those of `choices`, in their order.
    """

    kind: Kind
    name: str = ""
    required: bool = True
    length: int = LINE_MAX_LENGTH
    choices: tuple[str, ...] = ()
    lowest: int = 1
    highest: int = 1
    from_days: int = -OLDEST_YEARS * YEAR_DAYS
    until_days: int = 0
    each: tuple["Part", ...] = ()
    at_least: int = 0
    at_most: int = PEOPLE_MAX
    when: Condition | None = None
    label: str = ""
    hint: str = ""
    choice_words: tuple[str, ...] = ()


def _text(name: str = "", *, length: int = LINE_MAX_LENGTH, required: bool = True) -> Part:
    return Part(kind="text", name=name, length=length, required=required)


def _person(name: str = "", *, required: bool = True) -> Part:
    return Part(kind="person", name=name, length=NAME_MAX_LENGTH, required=required)


def _note(name: str = "", *, required: bool = True) -> Part:
    return Part(kind="long_text", name=name, length=NOTE_MAX_LENGTH, required=required)


def _people(name: str, *each: Part) -> Part:
    return Part(kind="people", name=name, required=False, each=each)


def _choice(name: str, *choices: str) -> Part:
    return Part(kind="choice", name=name, choices=choices)


_ADDRESS = (
    Part(kind="postal_code", name="postal_code"),
    _text("line"),
    _text("building", required=False),
)

ITEM_PARTS: dict[str, tuple[Part, ...]] = {
    "name": (_person(),),
    "kana": (Part(kind="kana", length=NAME_MAX_LENGTH),),
    "birth_date": (Part(kind="day"),),
    "sex": (Part(kind="choice", choices=("female", "male", "unsaid")),),
    "address": _ADDRESS,
    "previous_address": _ADDRESS,
    "new_address": (
        Part(kind="day", name="day", from_days=-MOVE_AFTER_DAYS, until_days=MOVE_BEFORE_DAYS),
        *_ADDRESS,
        _people("members", _person("name"), Part(kind="day", name="birth_date")),
    ),
    "phone": (Part(kind="phone", length=SHORT_MAX_LENGTH),),
    "household": (
        _person("head"),
        _people("members", _person("name"), _choice("relation", *RELATIONS), Part(kind="day", name="birth_date")),
    ),
    "copies_purpose": (
        Part(kind="number", name="copies", lowest=1, highest=COPIES_MAX),
        _text("purpose"),
    ),
    # The first year is counted from today: see `number_limits`.
    "tax_year": (Part(kind="number"),),
    "insurance": (
        _choice("kind", "national", "work", "late_stage", "other"),
        _text("insurer", required=False),
        Part(kind="day", name="since", required=False, until_days=YEAR_DAYS),
    ),
    "bank_account": (
        _text("bank", length=SHORT_MAX_LENGTH),
        _text("branch", length=SHORT_MAX_LENGTH),
        _choice("kind", "ordinary", "current", "savings"),
        Part(kind="digits", name="number", length=ACCOUNT_DIGITS),
        Part(kind="kana", name="holder", length=NAME_MAX_LENGTH),
    ),
    "child": (
        _person("name"),
        Part(kind="kana", name="kana", length=NAME_MAX_LENGTH),
        Part(kind="day", name="birth_date"),
        _choice("together", "yes", "no"),
        # A note in former versions, which is shown as it was.
        _people(
            "others",
            _person("name"),
            Part(kind="kana", name="kana", length=NAME_MAX_LENGTH),
            Part(kind="day", name="birth_date"),
            _choice("together", "yes", "no"),
        ),
    ),
    "employer": (
        _text("name"),
        Part(kind="phone", name="phone", required=False, length=SHORT_MAX_LENGTH),
        _note("hours", required=False),
    ),
    "doctor": (_text("hospital"), _person("name", required=False)),
    "due_date": (Part(kind="day", from_days=-30, until_days=PREGNANCY_DAYS_MAX),),
    "dog": (
        _text("name", length=SHORT_MAX_LENGTH),
        _text("breed", length=SHORT_MAX_LENGTH),
        _choice("sex", "female", "male"),
        _text("color", length=SHORT_MAX_LENGTH),
        Part(kind="day", name="birth_date", required=False),
        Part(kind="day", name="vaccinated", required=False),
    ),
    "waste_items": (_note(),),
    "topic": (_note(),),
}
# Items that hold an address, in the fields of `_ADDRESS`.
ADDRESS_ITEMS = ("address", "previous_address", "new_address")
# Things rather than words: attached as files, or brought later.
NOT_TYPED = frozenset({"photos"})
# What else a procedure asks to attach: this, and the code of one of the town's things.
ATTACHED_PREFIX = "attached_"

# Of the items that the town itself defines, for as long as one of its requests is answered: see `town_items.py`.
town_parts: ContextVar[Mapping[str, tuple[Part, ...]]] = ContextVar(
    "choudo_town_parts",
    default={},  # noqa: B039  never written to
)


def parts_of(item: str) -> tuple[Part, ...]:
    """What an item consists of, one of ours or of the town's own; nothing if there is no such item."""
    return ITEM_PARTS.get(item) or town_parts.get().get(item, ())


def typed_items(items: Iterable[str]) -> tuple[str, ...]:
    """Those of a procedure's items that a form asks for, in its order."""
    return tuple(item for item in items if parts_of(item))


def in_order(items: Collection[str]) -> tuple[str, ...]:
    """Items in the order in which forms ask for them, whatever order they were stored in; files come last."""
    return (
        *(item for item in (*ITEM_PARTS, *town_parts.get()) if item in items),
        *sorted((item for item in items if is_attached(item)), key=lambda item: (item not in NOT_TYPED, item)),
    )


def is_attached(item: str) -> bool:
    """Whether an item is files rather than words."""
    return item in NOT_TYPED or item.startswith(ATTACHED_PREFIX)


def attached_items(items: Iterable[str], attach: Iterable[str]) -> tuple[str, ...]:
    """What can be attached for a procedure: of its items, and of what its pack says to attach (codes of things)."""
    return (*(item for item in items if item in NOT_TYPED), *(f"{ATTACHED_PREFIX}{code}" for code in attach))


def can_be_typed(items: Iterable[str]) -> bool:
    """Whether a form knows all of a procedure's items: else it cannot be done online."""
    return all(item in NOT_TYPED or parts_of(item) for item in items)


def field_of(item: str, part: Part) -> str:
    """The name of a part's field in a form."""
    return f"{item}_{part.name}" if part.name else item


def field_of_person(name: str, index: int, part: Part) -> str:
    """The name of a field about one of several people, counted from 0; `name` is that of all of them."""
    return f"{name}_{index}_{part.name}"


def day_limits(part: Part, today: date) -> tuple[date, date]:
    """The earliest and the latest day that a part may hold."""
    return today + timedelta(days=part.from_days), today + timedelta(days=part.until_days)


def number_limits(item: str, part: Part, today: date) -> tuple[int, int]:
    """The lowest and the highest number. Tax certificates reach back some years (年度 begins in April)."""
    if item == "tax_year":
        return today.year - TAX_YEARS_KEPT, today.year
    return part.lowest, part.highest


def pack_value(item: str, parts: Mapping[str, str]) -> str:
    """An item's value from its parts' clean values; empty when nothing was typed."""
    known = parts_of(item)
    if len(known) == 1:
        return parts.get(known[0].name, "")
    filled = {part.name: parts[part.name] for part in known if parts.get(part.name)}
    return msgspec.json.encode(filled, order="deterministic").decode() if filled else ""


def unpack_value(item: str, value: str) -> dict[str, str]:
    """The parts of an item's value. What is not in the form of today's parts is left out."""
    known = parts_of(item)
    if len(known) <= 1:
        return {known[0].name if known else "": value}
    try:
        parts = msgspec.json.decode(value, type=dict[str, str])
    except msgspec.DecodeError:
        return {}
    return {part.name: parts[part.name] for part in known if part.name in parts}


def left_over(item: str, value: str) -> tuple[str, ...]:
    """What of an item's value stands in none of today's parts: it was given when there were others."""
    known = {part.name for part in parts_of(item)}
    if len(known) <= 1 or not value:
        return ()
    try:
        parts = msgspec.json.decode(value, type=dict[str, str])
    except msgspec.DecodeError:
        return (value,)
    return tuple(text for name, text in parts.items() if name not in known)


def pack_people(people: Sequence[Mapping[str, str]]) -> str:
    """The value of a part of the kind `people`; empty when there are none."""
    filled = [{name: text for name, text in person.items() if text} for person in people]
    return msgspec.json.encode(filled, order="deterministic").decode() if filled else ""


def unpack_people(text: str) -> list[dict[str, str]]:
    """The people of such a value; none if it is no list of people (as it was before there were fields for each)."""
    try:
        return msgspec.json.decode(text, type=list[dict[str, str]])[:PEOPLE_MAX] if text else []
    except msgspec.DecodeError:
        return []
