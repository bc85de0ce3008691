"""What is wrong with a pack, as whoever keeps it is told: the file, the line, what it is, and what to do."""

import tomllib
from collections.abc import Iterator, Mapping, Sequence

import msgspec

# Where something stands in a file: names of tables and fields, and numbers (from 0) of those in a list.
Place = tuple[str | int, ...]


class Flaw(msgspec.Struct, frozen=True):
    """Something wrong at a place of a file, and what to do about it."""

    file: str
    place: Place
    what: str
    do: str


class Problem(msgspec.Struct, frozen=True, order=True):
    """A flaw with its line, counted from 1; 0: it is about the file as a whole."""

    file: str
    line: int
    field: str
    what: str
    do: str

    def __str__(self) -> str:
        where = f"{self.file}, line {self.line}" if self.line else self.file
        return f"{where}{f', {self.field}' if self.field else ''}: {self.what}; {self.do}"


class BadTownPack(Exception):
    """The pack cannot be used. Its text has a line for each problem."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(map(str, self.problems)))


def problem_of(flaw: Flaw, lines: Mapping[Place, int]) -> Problem:
    """A flaw with the line of its place, or of what it stands in."""
    known = (flaw.place[:length] for length in range(len(flaw.place), -1, -1))
    line = next((lines[place] for place in known if place in lines), 0)
    return Problem(flaw.file, line, ".".join(name for name in flaw.place if isinstance(name, str)), flaw.what, flaw.do)


def lines_of_toml(text: str) -> dict[Place, int]:
    """The line of every table and field of a sound TOML text; the parser keeps none."""
    lines: dict[Place, int] = {}
    lengths: dict[Place, int] = {}
    table: Place = ()
    begun, first = "", 0
    for number, line in enumerate(text.split("\n"), start=1):
        # A list or a text over several lines is whole when it can be read.
        begun, first = (f"{begun}\n{line}", first) if begun else (line, number)
        try:
            read = tomllib.loads(begun)
        except tomllib.TOMLDecodeError:
            continue
        if begun.lstrip().startswith("["):
            table = _table(read, is_list=begun.lstrip().startswith("[["), lengths=lengths)
            lines[table] = number
        else:
            lines.update(((*table, *place), first) for place in _places(read))
        begun = ""
    return lines


def _table(read: Mapping[str, object], *, is_list: bool, lengths: dict[Place, int]) -> Place:
    names: list[str] = []
    inside: object = read
    while isinstance(inside, Mapping) and inside:
        names.append(next(iter(inside)))
        inside = inside[names[-1]]
    table: Place = ()
    for position, name in enumerate(names, start=1):
        table = (*table, name)
        if is_list and position == len(names):
            lengths[table] = lengths.get(table, 0) + 1
        if table in lengths:
            table = (*table, lengths[table] - 1)
    return table


def _places(read: object) -> Iterator[Place]:
    inside = read.items() if isinstance(read, Mapping) else enumerate(read) if isinstance(read, list) else ()
    for name, value in inside:
        yield (name,)
        yield from ((name, *place) for place in _places(value))
