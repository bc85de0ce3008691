"""Tables as files (CSV), as spreadsheets read them."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

CSV_TYPE = "text/csv; charset=utf-8"
# What a spreadsheet takes for a formula, at the beginning of a name; some do in full width too.
FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")


def write_csv(headers: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    """UTF-8 with its mark: spreadsheets take it for Shift_JIS without. What they would read as a formula is a text."""
    text = io.StringIO()
    lines = csv.writer(text)
    lines.writerow(headers)
    lines.writerows([[_plain(cell) for cell in row] for row in rows])
    return text.getvalue().encode("utf-8-sig")


def as_text(cell: str) -> str:
    """What is no number and no day, though it may look like one: `0012`, `1-2`."""
    return f"'{cell}" if cell else ""


def _plain(cell: Any) -> Any:
    return as_text(cell) if isinstance(cell, str) and cell.startswith(FORMULA_SIGNS) else cell
