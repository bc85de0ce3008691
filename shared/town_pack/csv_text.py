"""Changing the lines of `procedures.csv`: only the line that is meant, or all of them by a column at their end."""

import csv
import io
from collections.abc import Mapping


def change_line(text: str, number: int, values: Mapping[str, str]) -> str:
    """The text with these fields in the line of a number, from 0 below the heading."""
    text = _with_columns(text, values)
    lines, names = _lines(text), _cells(_lines(text)[0])
    cells = dict(zip(names, _cells(lines[number + 1]), strict=True)) | dict(values)
    lines[number + 1] = _written([cells[name] for name in names])
    return "".join(lines)


def add_line(text: str, values: Mapping[str, str]) -> str:
    """The text with one more line."""
    text = _with_columns(text, {name: value for name, value in values.items() if value})
    text = text if text.endswith("\n") else f"{text}\n"
    return text + _written([values.get(name, "") for name in _cells(_lines(text)[0])])


def remove_line(text: str, number: int) -> str:
    """The text without a line."""
    lines = _lines(text)
    del lines[number + 1]
    return "".join(lines)


def swap_lines(text: str, one: int, other: int) -> str:
    """The text with two lines in each other's place."""
    lines = _lines(text if text.endswith("\n") else f"{text}\n")
    lines[one + 1], lines[other + 1] = lines[other + 1], lines[one + 1]
    return "".join(lines)


def _with_columns(text: str, values: Mapping[str, str]) -> str:
    """A town need not have every column; what is to be written needs its own."""
    missing = [name for name in values if name not in _cells(_lines(text)[0])]
    for name in missing:
        heading, *lines = _lines(text)
        text = "".join([f"{_bare(heading)},{name}\n", *(f"{_bare(line)},\n" for line in lines)])
    return text


def _lines(text: str) -> list[str]:
    """The heading and the lines as they are written; a text between quotes may go on in the next one."""
    # Only a line feed ends a line: a text may hold other signs that separate.
    physical = io.StringIO(text, newline="\n").readlines()
    reader = csv.reader(physical)
    lines: list[str] = []
    first = 0
    for cells in reader:
        written = "".join(physical[first : reader.line_num])
        first = reader.line_num
        if cells or not lines:
            lines.append(written)
        else:
            lines[-1] += written
    return lines


def _cells(line: str) -> list[str]:
    return next(csv.reader(io.StringIO(line, newline="")))


def _bare(line: str) -> str:
    return line.rstrip("\n")


def _written(cells: list[str]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(cells)
    return out.getvalue()
