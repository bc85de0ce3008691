"""Reading a pack: its files as texts, and the texts as what they mean, or everything that is wrong with them."""

import csv
import io
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from shared.town_pack.checking import flaws_of
from shared.town_pack.fitting import misfits
from shared.town_pack.items import ITEMS_FILE, ItemsFile
from shared.town_pack.office import OfficeRules
from shared.town_pack.problems import BadTownPack, Flaw, Place, Problem, lines_of_toml, problem_of
from shared.town_pack.schema import (
    FILE_MAX_BYTES,
    LIFE_EVENTS_FILE,
    MAY_BE_EMPTY,
    MAY_BE_MISSING,
    OFFICE_FILE,
    PROCEDURES_FILE,
    TOWN_FILE,
    LifeEventsFile,
    Procedure,
    TownFile,
    TownPack,
)
from shared.town_pack.templates import TEMPLATES_FILE, TemplatesFile

LISTS = ("items", "bring", "bring_online", "counters", "words", "attach")
_AT = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")
T = TypeVar("T")


@dataclass
class _Sheet(Generic[T]):
    """One file: what it means, if it fits its schema; else what is wrong. And the lines of what stands where."""

    meaning: T | None
    lines: dict[Place, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    flaws: list[Flaw] = field(default_factory=list)


def read_town_pack(folder: Path) -> TownPack:
    """Read and check a pack.

    Raises:
        BadTownPack: with everything that does not fit, in all files; and when all fits, with everything that
            contradicts itself or names something that does not exist.
    """
    return read_files(find_files(folder))


def find_files(folder: Path) -> dict[str, str]:
    """The texts of a pack's files, by name.

    Raises:
        BadTownPack: a file is missing, too large, or no UTF-8.
    """
    files: dict[str, str] = {}
    problems = []
    for name in (TOWN_FILE, PROCEDURES_FILE, *MAY_BE_MISSING):
        if name in MAY_BE_MISSING and not (folder / name).exists():
            continue
        raw = b""
        try:
            raw = (folder / name).read_bytes()
            if len(raw) > FILE_MAX_BYTES:
                problems.append(Problem(name, 0, "", f"larger than {FILE_MAX_BYTES} bytes", "make it shorter"))
            else:
                files[name] = raw.decode("utf-8-sig").replace("\r\n", "\n")
        except OSError as error:
            problems.append(Problem(name, 0, "", str(error.strerror), f"put the file into {folder}"))
        except UnicodeDecodeError as error:
            line = raw[: error.start].count(b"\n") + 1
            problems.append(Problem(name, line, "", "not UTF-8", "save the file as UTF-8"))
    if problems:
        raise BadTownPack(problems)
    return files


def read_files(files: Mapping[str, str]) -> TownPack:
    """The meaning of a pack's texts. Raises BadTownPack as `read_town_pack` does."""
    sheets = _read_sheets(files)
    pack = _pack_of(sheets)
    if pack is None:
        raise BadTownPack([problem for sheet in sheets.values() for problem in sheet.problems])
    if flaws := list(flaws_of(pack)):
        # The lines are looked for only now: to find them takes longer than to read.
        lines = {name: lines_of_toml(files.get(name, "")) for name in (TOWN_FILE, *MAY_BE_MISSING)}
        lines[PROCEDURES_FILE] = sheets[PROCEDURES_FILE].lines
        raise BadTownPack([problem_of(flaw, lines[flaw.file]) for flaw in flaws])
    return pack


def examine_files(files: Mapping[str, str]) -> tuple[TownPack | None, list[Flaw]]:
    """What a pack's texts mean, if all fit their schema, and what is wrong with them by the place where it stands."""
    sheets = _read_sheets(files)
    pack = _pack_of(sheets)
    if pack is None:
        return None, [flaw for sheet in sheets.values() for flaw in sheet.flaws]
    return pack, list(flaws_of(pack))


def _read_sheets(files: Mapping[str, str]) -> dict[str, _Sheet[Any]]:
    return {
        TOWN_FILE: _read_toml(TOWN_FILE, files[TOWN_FILE], TownFile),
        PROCEDURES_FILE: _read_procedures(files[PROCEDURES_FILE]),
        LIFE_EVENTS_FILE: _read_toml(LIFE_EVENTS_FILE, files.get(LIFE_EVENTS_FILE, ""), LifeEventsFile),
        OFFICE_FILE: _read_toml(OFFICE_FILE, files.get(OFFICE_FILE, ""), OfficeRules),
        ITEMS_FILE: _read_toml(ITEMS_FILE, files.get(ITEMS_FILE, ""), ItemsFile),
        TEMPLATES_FILE: _read_toml(TEMPLATES_FILE, files.get(TEMPLATES_FILE, ""), TemplatesFile),
    }


def _pack_of(sheets: Mapping[str, _Sheet[Any]]) -> TownPack | None:
    """The pack, if all its files fit their schema."""
    read: dict[str, Any] = {name: sheet.meaning for name, sheet in sheets.items()}
    if None in read.values():
        return None
    town = read[TOWN_FILE]
    facts = {name: getattr(town, name) for name in town.__struct_fields__}
    return TownPack(
        **facts,
        procedures=read[PROCEDURES_FILE],
        life_events=read[LIFE_EVENTS_FILE].events,
        office=read[OFFICE_FILE],
        items=read[ITEMS_FILE],
        templates=read[TEMPLATES_FILE].templates,
    )


def _read_toml(name: str, text: str, kind: type[T]) -> _Sheet[T]:
    try:
        read = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = _AT.search(str(error))
        line = int(found[1]) if found and found[1] else len(text.splitlines())
        advice = "mend this line: `name = value`, a text between quotes, a list in brackets"
        return _Sheet(None, problems=[Problem(name, line, "", _AT.sub("", str(error)), advice)])
    flaws = list(misfits(name, read, kind))
    if flaws:
        lines = lines_of_toml(text)
        return _Sheet(None, problems=[problem_of(flaw, lines) for flaw in flaws], flaws=flaws)
    return _Sheet(msgspec.convert(read, kind))


def _read_procedures(text: str) -> _Sheet[tuple[Procedure, ...]]:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    lines: dict[Place, int] = {}
    flaws = list(_misfits_of_header(reader.fieldnames or ()))
    if flaws:
        return _Sheet(None, problems=[problem_of(flaw, {(): 1}) for flaw in flaws])
    rows: list[dict[str, Any]] = []
    for row in reader:
        place: Place = (len(rows),)
        lines[place] = reader.line_num
        rows.append({})
        if None in row or None in row.values():
            count = "more" if None in row else "fewer"
            advice = "count the commas; a text with a comma in it stands between quotes"
            flaws.append(Flaw(PROCEDURES_FILE, place, f"{count} fields than the first line has", advice))
            continue
        rows[-1] |= {name: text for name, text in row.items() if text or name not in MAY_BE_EMPTY}
        rows[-1] |= {name: tuple(filter(None, row[name].split("|"))) for name in LISTS if name in row}
        flaws += misfits(PROCEDURES_FILE, rows[-1], Procedure, place, strict=False)
    if not rows:
        flaws.append(Flaw(PROCEDURES_FILE, (), "no procedure in it", "write one on each line below the first"))
    if flaws:
        return _Sheet(None, problems=[problem_of(flaw, lines) for flaw in flaws], flaws=flaws)
    return _Sheet(msgspec.convert(rows, tuple[Procedure, ...], strict=False), lines)


def _misfits_of_header(given: Sequence[str]) -> list[Flaw]:
    """Columns that are missing or unknown."""
    known = {column.name: column.required for column in msgspec.structs.fields(Procedure)}
    missing = [name for name, required in known.items() if required and name not in given]
    flaws = [Flaw(PROCEDURES_FILE, (name,), "no such column in the first line", "add it there") for name in missing]
    unknown = [name for name in given if name not in known]
    advice = f"take it out; there are {', '.join(known)}"
    return flaws + [Flaw(PROCEDURES_FILE, (name,), "a column that nothing is done with", advice) for name in unknown]
