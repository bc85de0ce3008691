"""Everything in a value that does not fit its type, each with what would: the library stops at the first."""

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec

from shared.town_pack.problems import Flaw, Place

SHOWN_MAX = 40
_SIGNS = re.compile(r"\^\[(.+)\]\{(\d+),(\d+)\}\$")


def misfits(file: str, value: object, kind: Any, place: Place = (), *, strict: bool = True) -> Iterator[Flaw]:
    """What does not fit. A text counts as a number where it is one unless `strict`."""
    try:
        msgspec.convert(value, kind, strict=strict)
    except msgspec.ValidationError:
        inner = list(_misfits_inside(file, value, _bare(kind), place, strict=strict))
        shown = repr(value) if len(repr(value)) <= SHOWN_MAX else f"{repr(value)[:SHOWN_MAX]}…"
        yield from inner or [Flaw(file, place, f"{shown} does not fit", f"write {wanted(kind)}")]


def wanted(kind: Any) -> str:
    """What a type takes, in words."""
    match msgspec.inspect.type_info(_required(kind)):
        case msgspec.inspect.IntType(ge=lowest, le=highest):
            bounds = (f"from {lowest}" if lowest is not None else "", f"to {highest}" if highest is not None else "")
            return " ".join(filter(None, ("a whole number", *bounds)))
        case msgspec.inspect.StrType(pattern=str(pattern)):
            signs = _SIGNS.fullmatch(pattern)
            return f"{signs[2]} to {signs[3]} signs of {signs[1]}" if signs else f"a text like {pattern}"
        case msgspec.inspect.StrType(min_length=shortest, max_length=longest):
            return "a text" + (f" of {shortest or 0} to {longest} letters" if longest is not None else "")
        case msgspec.inspect.LiteralType(values=values):
            return f"one of {', '.join(map(str, values))}"
        case msgspec.inspect.BoolType():
            return "true or false"
        case msgspec.inspect.TimeType():
            return "a time such as 08:30:00"
        case msgspec.inspect.DateType():
            return "a day such as 2026-12-29"
        case msgspec.inspect.VarTupleType(item_type=msgspec.inspect.StructType(), min_length=shortest):
            return (
                f"{shortest or 'any number'} or more such tables" if shortest else "tables, each with its own heading"
            )
        case msgspec.inspect.VarTupleType(min_length=shortest, max_length=longest):
            few, many = f" of {shortest} or more" if shortest else "", f" of at most {longest}" if longest else ""
            return f"a list in brackets{few}{many}"
        case _:
            return "a table"


def _misfits_inside(file: str, value: object, kind: Any, place: Place, *, strict: bool) -> Iterator[Flaw]:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and isinstance(value, Mapping):
        fields = {field.name: field for field in msgspec.structs.fields(kind)}
        for name, field in fields.items():
            if name in value:
                yield from misfits(file, value[name], field.type, (*place, name), strict=strict)
            elif field.required:
                yield Flaw(file, (*place, name), "missing", f"add it: {wanted(field.type)}")
        for name in value:
            if name not in fields:
                near = get_close_matches(str(name), fields, n=1)
                advice = f"did you mean {near[0]}?" if near else f"take it out, or use one of {', '.join(fields)}"
                yield Flaw(file, (*place, str(name)), "no such field", advice)
    elif get_origin(kind) is tuple and isinstance(value, list | tuple):
        for number, item in enumerate(value):
            yield from misfits(file, item, get_args(kind)[0], (*place, number), strict=strict)


def _required(kind: Any) -> Any:
    """The type without None."""
    if get_origin(kind) in (Union, UnionType):
        return next(one for one in get_args(kind) if one is not type(None))
    return kind


def _bare(kind: Any) -> Any:
    """The type without its limits, and without None."""
    kind = _required(kind)
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind
