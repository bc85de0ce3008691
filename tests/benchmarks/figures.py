"""One figure, and the two files that hold all of them."""

import platform
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import psutil

DOCS = Path(__file__).resolve().parents[2] / "docs"


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """`reference` was measured in the same run, in the same unit; `ratio` is value ÷ reference."""

    name: str
    value: float
    unit: str
    target: str
    reference: float | None = None
    ratio: float | None = None
    reference_name: str = ""
    met: bool | None = None


def percentile(values: list[float], share: float) -> float:
    """The value below which `share` (0–1) of the values lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def compared(
    name: str, value: float, unit: str, target: str, *, reference: float, reference_name: str, met: bool
) -> Figure:
    """A figure beside its reference."""
    return Figure(
        name=name,
        value=round(value, 2),
        unit=unit,
        target=target,
        reference=round(reference, 2),
        ratio=round(value / reference, 2) if reference else None,
        reference_name=reference_name,
        met=met,
    )


def write(figures: list[Figure]) -> None:
    """Write `docs/benchmarks.json` and `docs/benchmarks.md`."""
    (DOCS / "benchmarks.json").write_bytes(msgspec.json.format(msgspec.json.encode(figures)) + b"\n")
    lines = [
        "# Benchmarks",
        "",
        f"`make bench`, {datetime.now(UTC):%Y-%m-%d}, {psutil.cpu_count()} cores shared by clients and servers,",
        f"{round(psutil.virtual_memory().total / 2**30)} GiB, Python {platform.python_version()}.",
        "PostgreSQL durable (`synchronous_commit=on`), row-level security on.",
        "",
        "| what | value | target | reference in the same run | ratio |",
        "|---|---|---|---|---|",
    ]
    for figure in figures:
        mark = "" if figure.met is None else (" ✓" if figure.met else " ✗")
        reference = "" if figure.reference is None else f"{figure.reference:g} {figure.unit} ({figure.reference_name})"
        ratio = "" if figure.ratio is None else f"{figure.ratio:g}"
        lines.append(
            f"| {figure.name} | {figure.value:g} {figure.unit}{mark} | {figure.target} | {reference} | {ratio} |"
        )
    (DOCS / "benchmarks.md").write_text("\n".join([*lines, ""]), "utf-8")
