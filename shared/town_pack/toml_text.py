"""Changing a TOML text where it stands: every other line of it, comments and order too, stays as it was.

A library that keeps comments (tomlkit) moves tables of a list that do not stand one after another, and their comments
stay behind: `town.toml` has such lists. So lines are changed, and the standard library's parser says where they are.
"""

import json
import tomllib
from collections.abc import Mapping
from datetime import date, time
from functools import lru_cache
from typing import Any

import msgspec

from shared.town_pack.problems import Place, lines_of_toml

INDENT = "    "
# One change asks several times where things stand in one text.
_known = lru_cache(maxsize=8)(lines_of_toml)


class Span(msgspec.Struct, frozen=True):
    """Lines of a text, from 0: the first, and the one after the last."""

    first: int
    end: int


def change_table(text: str, place: Place, values: Mapping[str, Any]) -> str:
    """The text with these fields of a table; None takes a field out."""
    if (inline := _inline_list(text, place)) is not None:
        above, lines = inline
        number = int(place[len(above)])
        lines[number] = {name: value for name, value in {**lines[number], **values}.items() if value is not None}
        return change_table(text, above[:-1], {str(above[-1]): lines})
    for name, value in values.items():
        text = _change_field(text, place, name, value)
    return text


def add_table(text: str, place: Place, values: Mapping[str, Any]) -> str:
    """The text with one more table at the end of the list that stands at a place."""
    given = {name: value for name, value in values.items() if value is not None}
    list_now, headers = _look_up(text, place), _headers(text)
    is_inside = isinstance(place[-2], int) and place[:-1] not in headers if len(place) > 1 else False
    if is_inside or (isinstance(list_now, list) and (*place, 0) not in headers):
        # Written in brackets, or empty, or what it stands in is.
        return change_table(text, place[:-1], {str(place[-1]): [*(list_now or []), given]})
    block = _block(place, given)
    lines = _lines(text)
    if isinstance(list_now, list):
        at = _span(text, (*place, len(list_now) - 1)).end
    else:
        at = _span(text, place[:-1]).end if place[:-1] in headers else len(lines)
    return _joined([*lines[:at], "", *block, *lines[at:]])


def remove_table(text: str, place: Place) -> str:
    """The text without a table of a list. What is said above it stays: it may be about those after it, too."""
    if (inline := _inline_list(text, place)) is not None:
        above, tables = inline
        del tables[int(place[len(above)])]
        return change_table(text, above[:-1], {str(above[-1]): tables or None})
    lines, span = _lines(text), _span(text, place)
    end = span.end + (span.end < len(lines) and not lines[span.end].strip())
    return _joined([*lines[: span.first], *lines[end:]])


def swap_tables(text: str, place: Place, other: Place) -> str:
    """The text with two tables of one list in each other's place."""
    if (inline := _inline_list(text, place)) is not None:
        above, tables = inline
        one, two = int(place[-1]), int(other[-1])
        tables[one], tables[two] = tables[two], tables[one]
        return change_table(text, above[:-1], {str(above[-1]): tables})
    lines = _lines(text)
    first, second = sorted((_span(text, place), _span(text, other)), key=lambda span: span.first)
    between = lines[first.end : second.first]
    return _joined(
        [
            *lines[: first.first],
            *lines[second.first : second.end],
            *between,
            *lines[first.first : first.end],
            *lines[second.end :],
        ]
    )


def show(value: Any) -> str:
    """A value as TOML has it."""
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case str() if "\n" in value and not any(sign in '"\\\x7f' or "\n" != sign < " " for sign in value):
            # As people wrote it, line for line.
            return f'"""\n{value}"""'
        case str():
            # What JSON escapes, TOML reads; it takes one sign less as it stands.
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case time() | date():
            return value.isoformat()
        case Mapping():
            return "{ " + ", ".join(f"{name} = {show(inner)}" for name, inner in value.items()) + " }"
        case list() | tuple():
            if _are_tables(value):
                return "[\n" + "".join(f"{INDENT}{show(each)},\n" for each in value) + "]"
            return "[" + ", ".join(map(show, value)) + "]"
        case _:
            raise TypeError(f"no TOML for {type(value).__name__}")


def _block(place: Place, values: Mapping[str, Any]) -> list[str]:
    inner = {name: value for name, value in values.items() if isinstance(value, list) and _are_tables(value)}
    lines = [f"[[{_heading(place)}]]"]
    lines += [f"{name} = {show(value)}" for name, value in values.items() if name not in inner]
    for name, tables in inner.items():
        for table in tables:
            lines += ["", *_block((*place, name), table)]
    return lines


def _are_tables(value: list[Any] | tuple[Any, ...]) -> bool:
    return bool(value) and isinstance(value[0], Mapping)


def _change_field(text: str, place: Place, name: str, value: Any) -> str:
    if (*place, name) in _headers(text):
        # A table under a heading of its own is written anew, in one line.
        lines, span = _lines(text), _span(text, (*place, name))
        text = _joined([*lines[: span.first], *lines[span.end :]])
    lines, known = _lines(text), _known(text)
    at = known.get((*place, name))
    if at is not None:
        span = _statement(lines, at - 1)
        new = [] if value is None else f"{name} = {show(value)}{_comment(lines, span)}".split("\n")
        return _joined([*lines[: span.first], *new, *lines[span.end :]])
    if value is None:
        return text
    new = f"{name} = {show(value)}".split("\n")
    if place and place not in known:
        return _joined([*lines, "", f"[{_heading(place)}]", *new])
    own = [number for where, number in known.items() if where[:-1] == place and where not in _headers(text)]
    # A field stands below those of its table, and above the tables in it.
    after = _statement(lines, max(own) - 1).end if own else known[place] if place else 0
    return _joined([*lines[:after], *new, *lines[after:]])


def _inline_list(text: str, place: Place) -> tuple[Place, list[dict[str, Any]]] | None:
    """The innermost list around a place that is written in brackets, with its tables; None: they have headings."""
    headers = _headers(text)
    for length in range(len(place) - 1, 0, -1):
        if isinstance(place[length], int) and place[: length + 1] not in headers:
            found = _look_up(text, place[:length])
            if isinstance(found, list):
                return place[:length], [dict(each) for each in found]
    return None


def _look_up(text: str, place: Place) -> Any:
    found: Any = tomllib.loads(text)
    for step in place:
        try:
            found = found[step]
        except (KeyError, IndexError):
            return None
    return found


def _headers(text: str) -> set[Place]:
    """The places that have a heading of their own."""
    lines = _lines(text)
    return {place for place, number in _known(text).items() if lines[number - 1].lstrip().startswith("[")}


def _heading(place: Place) -> str:
    return ".".join(str(name) for name in place if isinstance(name, str))


def _span(text: str, place: Place) -> Span:
    """All of a table, with the tables in it, from its heading on."""
    lines, known = _lines(text), _known(text)
    inside = [number for where, number in known.items() if where[: len(place)] == place]
    return Span(known[place] - 1, _statement(lines, max(inside) - 1).end)


def _statement(lines: list[str], first: int) -> Span:
    """A statement may go on over several lines: it ends where it can be read."""
    for end in range(first + 1, len(lines) + 1):
        try:
            tomllib.loads("\n".join(lines[first:end]))
        except tomllib.TOMLDecodeError:
            continue
        return Span(first, end)
    raise ValueError(f"no statement begins in line {first + 1}")


def _comment(lines: list[str], span: Span) -> str:
    """What is said beside a value, in its last line."""
    whole = "\n".join(lines[span.first : span.end])
    for at, sign in enumerate(whole):
        if sign != "#" or "\n" in whole[at:]:
            continue
        try:
            if tomllib.loads(whole[:at]) == tomllib.loads(whole):
                return "  " + whole[at:]
        except tomllib.TOMLDecodeError:
            continue
    return ""


def _lines(text: str) -> list[str]:
    return text.removesuffix("\n").split("\n") if text else []


def _joined(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"
