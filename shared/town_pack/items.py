"""`items.toml` of a town pack: items of the town's own (項目), and how a procedure's form asks for what it needs."""

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Annotated, Final, Literal

import msgspec

ITEMS_FILE: Final = "items.toml"
# Ours never begin so: a town's item can neither mean something else than one of ours, nor one that comes later.
ITEMS_MAX, PARTS_MAX, EACH_MAX, CHOICES_MAX, GROUPS_MAX, REPEATS_MAX = 100, 15, 8, 20, 20, 10
TEXT_MAX_LENGTH, DIGITS_MAX = 500, 12
# No item's value is longer than this, whatever its parts are.
VALUE_MAX_LENGTH = 4_000
# Fields of the town's own in one form: with ours, a form has fewer than are refused when it is sent.
FIELDS_MAX = 50

_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
# Without an underscore: no field of a form can have the name of another.
_PartName = Annotated[str, msgspec.Meta(pattern=r"^([a-z][a-z0-9]{0,19})?$")]
# Of an item of ours, too, whose parts may have one.
_AnyPartName = Annotated[str, msgspec.Meta(pattern=r"^([a-z][a-z0-9_]{0,19})?$")]
_ChoiceCode = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9_]{1,20}$")]
_Code = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{1,20}$")]
_Number = Annotated[int, msgspec.Meta(ge=0, le=999_999_999)]
_Days = Annotated[int, msgspec.Meta(ge=-60_000, le=60_000)]
_Repeats = Annotated[int, msgspec.Meta(ge=0, le=REPEATS_MAX)]
SimpleKind = Literal["text", "person", "kana", "long_text", "day", "phone", "postal_code", "choice", "number", "digits"]
# `people` and `things` are asked for again and again: whoever belongs to the household, every device that was bought.
Kind = Literal[
    "text", "person", "kana", "long_text", "day", "phone", "postal_code", "choice", "number", "digits", "people",
    "things",
]  # fmt: skip
REPEATED: Final = ("people", "things")


class Choice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One of a part's choices: what is kept, and its words."""

    code: _ChoiceCode
    ja: _Text
    easy: _Text
    en: _Text


class Condition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Asked for only when a field above holds one of these choices, or a number or day within these bounds.

    `item` is for conditions of a form; between the parts of an item it stays empty.
    """

    part: _AnyPartName = ""
    item: str = ""
    one_of: tuple[_ChoiceCode, ...] = ()
    lowest: int | None = None
    highest: int | None = None
    from_day: date | None = None
    until_day: date | None = None


class SimplePart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A field: its kind, words and limits. Days are limited from today on; `length` is the most letters, or of `digits`
    how many."""

    kind: SimpleKind
    ja: _Text
    easy: _Text
    en: _Text
    name: _PartName = ""
    hint_ja: str = ""
    hint_easy: str = ""
    hint_en: str = ""
    required: bool = True
    length: Annotated[int, msgspec.Meta(ge=1, le=TEXT_MAX_LENGTH)] | None = None
    lowest: _Number = 1
    highest: _Number = 100
    from_days: _Days = -47_580
    until_days: _Days = 0
    choices: Annotated[tuple[Choice, ...], msgspec.Meta(max_length=CHOICES_MAX)] = ()


class ItemPart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A part of an item. Of `people` and `things`, `each` are the fields of one of them."""

    kind: Kind
    ja: _Text
    easy: _Text
    en: _Text
    name: _PartName = ""
    hint_ja: str = ""
    hint_easy: str = ""
    hint_en: str = ""
    required: bool = True
    length: Annotated[int, msgspec.Meta(ge=1, le=TEXT_MAX_LENGTH)] | None = None
    lowest: _Number = 1
    highest: _Number = 100
    from_days: _Days = -47_580
    until_days: _Days = 0
    choices: Annotated[tuple[Choice, ...], msgspec.Meta(max_length=CHOICES_MAX)] = ()
    each: Annotated[tuple[SimplePart, ...], msgspec.Meta(max_length=EACH_MAX)] = ()
    at_least: _Repeats = 0
    at_most: _Repeats = REPEATS_MAX
    when: Condition | None = None


class TownItem(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An item of the town's own."""

    code: Annotated[str, msgspec.Meta(pattern=r"^town_[a-z0-9]{1,15}$")]
    ja: _Text
    easy: _Text
    en: _Text
    parts: Annotated[tuple[ItemPart, ...], msgspec.Meta(min_length=1, max_length=PARTS_MAX)]


class FormItem(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An item where a form asks for it. `required`: parts that this procedure needs, though others can do without."""

    item: str
    required: tuple[_AnyPartName, ...] = ()
    when: Condition | None = None


class FormGroup(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Items under one heading."""

    ja: _Text
    easy: _Text
    en: _Text
    items: Annotated[tuple[FormItem, ...], msgspec.Meta(min_length=1, max_length=ITEMS_MAX)]


class ProcedureForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A procedure's form: the items that it needs, in this order."""

    procedure: _Code
    groups: Annotated[tuple[FormGroup, ...], msgspec.Meta(min_length=1, max_length=GROUPS_MAX)]

    def entries(self) -> Iterator[tuple[tuple[str | int, ...], FormItem]]:
        """Every item with where it stands below the form."""
        for number, group in enumerate(self.groups):
            for index, entry in enumerate(group.items):
                yield ("groups", number, "items", index), entry


class ItemsFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `items.toml` holds."""

    items: Annotated[tuple[TownItem, ...], msgspec.Meta(max_length=ITEMS_MAX)] = ()
    forms: tuple[ProcedureForm, ...] = ()


class Field(msgspec.Struct, frozen=True):
    """What a condition has to know of a field."""

    kind: str
    choices: tuple[str, ...] = ()


def _fields(*names: str, **kinds: str | tuple[str, ...]) -> dict[str, Field]:
    plain = {name: Field("text") for name in names}
    return plain | {
        name: Field("choice", kind) if isinstance(kind, tuple) else Field(kind) for name, kind in kinds.items()
    }


_ADDRESS = _fields("postal_code", "line", "building")
# The parts of our own items, which `services/routing/domain/items.py` defines: what a form of the pack may name. Those
# that no condition can ask for are all a text here.
OUR_FIELDS: Final[Mapping[str, Mapping[str, Field]]] = {
    "name": {"": Field("text")},
    "kana": {"": Field("text")},
    "birth_date": {"": Field("day")},
    "sex": {"": Field("choice", ("female", "male", "unsaid"))},
    "address": _ADDRESS,
    "previous_address": _ADDRESS,
    "new_address": _ADDRESS | _fields("members", day="day"),
    "phone": {"": Field("text")},
    "household": _fields("head", "members"),
    "copies_purpose": _fields("purpose", copies="number"),
    "tax_year": {"": Field("number")},
    "insurance": _fields("insurer", kind=("national", "work", "late_stage", "other"), since="day"),
    "bank_account": _fields("bank", "branch", "number", "holder", kind=("ordinary", "current", "savings")),
    "child": _fields("name", "kana", "others", birth_date="day", together=("yes", "no")),
    "employer": _fields("name", "phone", "hours"),
    "doctor": _fields("hospital", "name"),
    "due_date": {"": Field("day")},
    "dog": _fields("name", "breed", "color", sex=("female", "male"), birth_date="day", vaccinated="day"),
    "waste_items": {"": Field("text")},
    "topic": {"": Field("text")},
}


def fields_of(item: TownItem) -> dict[str, Field]:
    """The parts of an item of the town's own, as `OUR_FIELDS` has those of ours."""
    return {
        part.name: Field(
            part.kind if part.kind in ("choice", "number", "day") else "text",
            tuple(choice.code for choice in part.choices),
        )
        for part in item.parts
    }
