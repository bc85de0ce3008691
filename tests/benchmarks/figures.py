"""One figure, and the two files that hold all of them."""

import platform
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import psutil

DOCS = Path(__file__).resolve().parents[2] / "docs"
JSON_FILE, TEXT_FILE = "benchmarks.json", "benchmarks.md"

HEAD = """\
# Benchmarks

Made by `make bench`; `ARGS="race pickup"` measures some parts again and leaves the other figures as they are.

How to read it: the clients, PostgreSQL, Redis and all processes of the product share the machine's {cores} cores, and
every figure stands beside a **reference** measured in the same run in the same way, so that *ratio* (value ÷ reference)
still means something on another machine. PostgreSQL is durable (`fsync` and `synchronous_commit` on, its data on the
disk of this checkout), the services work as their own roles with row-level security on. ✓ and ✗ say whether the
target was met. Latencies are seen by the client; at a steady rate they count from when a request was due.

Machine: {cores} cores, {memory} GiB, {system}, Python {python}.
"""


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """`reference` was measured in the same run, in the same unit; `ratio` is value ÷ reference."""

    part: str
    name: str
    value: float
    unit: str
    target: str
    reference: float | None = None
    ratio: float | None = None
    reference_name: str = ""
    met: bool | None = None
    note: str = ""
    measured_on: str = ""


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` (0–1) of the values lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def make_figure(
    part: str,
    name: str,
    value: float,
    unit: str,
    target: str,
    *,
    reference: float | None = None,
    reference_name: str = "",
    met: bool | None = None,
    note: str = "",
) -> Figure:
    """A figure beside its reference, rounded to what can be told apart."""
    return Figure(
        part=part,
        name=name,
        value=_rounded(value),
        unit=unit,
        target=target,
        reference=None if reference is None else _rounded(reference),
        ratio=round(value / reference, 3) if reference else None,
        reference_name=reference_name,
        met=met,
        note=note,
        measured_on=f"{datetime.now(UTC):%Y-%m-%d}",
    )


def line_of(figure: Figure) -> str:
    """A figure on one line of the terminal."""
    reference = "" if figure.reference is None else f", {figure.reference_name}: {figure.reference:g}"
    ratio = "" if figure.ratio is None else f", ratio {figure.ratio:g}"
    target = f", target {figure.target}{_mark(figure)}" if figure.target else ""
    return f"  {figure.name}: {figure.value:g} {figure.unit}{target}{reference}{ratio}"


def write(figures: Sequence[Figure], *, parts: Collection[str], folder: Path = DOCS) -> list[Figure]:
    """Write both files: these figures, and those kept of the parts that were not measured now. Return all."""
    path = folder / JSON_FILE
    known = msgspec.json.decode(path.read_bytes(), type=list[Figure]) if path.exists() else []
    # In the order in which a whole run measures, whichever parts were measured last.
    kept = [figure for figure in known if figure.part not in parts]
    everything = sorted([*kept, *figures], key=lambda figure: PARTS.index(figure.part))
    path.write_bytes(msgspec.json.format(msgspec.json.encode(everything)) + b"\n")
    (folder / TEXT_FILE).write_text(_text(everything), "utf-8")
    return everything


PARTS = (
    "race", "pickup", "relay", "slots", "opening", "one_stop", "notices", "bulk", "sending", "offer", "rate", "ledger",
    "history", "compare", "search", "day", "live", "line", "reports", "matching", "start", "soak",
)  # fmt: skip
# Only when they are asked for: they take longer than all others together.
ON_DEMAND = ("soak",)
TITLES = {
    "race": "Racers for the last place",
    "pickup": "From commit to consumer",
    "relay": "The relay, and events handled",
    "slots": "Free slots of a month",
    "opening": "From opening rules to slots",
    "one_stop": "One visit for everything",
    "notices": "From commit to the provider",
    "bulk": "A confirmation beside ten thousand in bulk",
    "sending": "Notices made, and sent",
    "offer": "A helper is asked",
    "rate": "Holds and bookings a second",
    "ledger": "The ledger: what it costs, and how fast it is checked",
    "history": "One's own history",
    "compare": "The front page and the comparison",
    "search": "Search over 2,000 procedures",
    "day": "A day at the counters",
    "live": "The line, live",
    "line": "Today's line",
    "reports": "Reports over a year of a town",
    "matching": "Helpers for those who leave the time to the town",
    "start": "`make run`",
    "soak": "Half an hour of bookings",
}


def _text(figures: Sequence[Figure]) -> str:
    lines = [
        HEAD.format(
            cores=psutil.cpu_count(),
            memory=round(psutil.virtual_memory().total / 2**30),
            system=platform.system(),
            python=platform.python_version(),
        )
    ]
    for part in PARTS:
        of_part = [figure for figure in figures if figure.part == part]
        if not of_part:
            continue
        lines += [
            f"## {TITLES[part]}",
            "",
            "| what | value | target | reference in the same run | ratio |",
            "|---|---|---|---|---|",
            *(_row(figure) for figure in of_part),
            "",
            f"Measured {max(figure.measured_on for figure in of_part)}.",
            *dict.fromkeys(figure.note for figure in of_part if figure.note),
            "",
        ]
    return "\n".join(lines)


def _row(figure: Figure) -> str:
    reference = "" if figure.reference is None else f"{figure.reference:g} {figure.unit} ({figure.reference_name})"
    cells: list[Any] = [
        figure.name,
        f"{figure.value:g} {figure.unit}{_mark(figure)}",
        figure.target,
        reference,
        "" if figure.ratio is None else f"{figure.ratio:g}",
    ]
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


def _mark(figure: Figure) -> str:
    return {None: "", True: " ✓", False: " ✗"}[figure.met]


def _rounded(value: float) -> float:
    return round(value) if abs(value) >= 1_000 else float(f"{value:.3g}")
