"""Reports as files: CSV as spreadsheets read it, and a workbook (XLSX)."""

import csv
import io
from collections.abc import Sequence
from typing import Any

import msgspec
import xlsxwriter

CSV_TYPE = "text/csv; charset=utf-8"
XLSX_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
COLUMN_WIDTH = 18
# What a spreadsheet takes for a formula, at the beginning of a name.
FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")


class Sheet(msgspec.Struct, frozen=True, kw_only=True):
    """A table: a row of headers, and rows of numbers and names."""

    name: str
    headers: Sequence[str]
    rows: Sequence[Sequence[Any]]


def as_csv(sheet: Sheet) -> bytes:
    """UTF-8 with its mark. What would be read as a formula is kept a text."""
    text = io.StringIO()
    lines = csv.writer(text)
    lines.writerow(sheet.headers)
    lines.writerows([[_plain(cell) for cell in row] for row in sheet.rows])
    return text.getvalue().encode("utf-8-sig")


def as_xlsx(sheets: Sequence[Sheet]) -> bytes:
    """A workbook, made in memory. No cell is a formula or a link."""
    content = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    with xlsxwriter.Workbook(content, options) as book:
        bold = book.add_format({"bold": True, "text_wrap": True})
        for sheet in sheets:
            page = book.add_worksheet(sheet.name)
            page.set_column(0, len(sheet.headers) - 1, COLUMN_WIDTH)
            page.freeze_panes(1, 1)
            page.write_row(0, 0, sheet.headers, bold)
            for number, row in enumerate(sheet.rows, start=1):
                page.write_row(number, 0, row)
    return content.getvalue()


def _plain(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA_SIGNS) else cell
