"""Reports as files: CSV as spreadsheets read it, and a workbook (XLSX)."""

import io
from collections.abc import Sequence
from typing import Any

import msgspec
import xlsxwriter
from litestar import Response

from shared.web.spreadsheets import write_csv

XLSX_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
COLUMN_WIDTH = 18


class Sheet(msgspec.Struct, frozen=True, kw_only=True):
    """A table: a row of headers, and rows of numbers and names."""

    name: str
    headers: Sequence[str]
    rows: Sequence[Sequence[Any]]


def as_csv(sheet: Sheet) -> bytes:
    """A table as a file."""
    return write_csv(sheet.headers, sheet.rows)


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


def as_file(content: bytes, media_type: str, name: str) -> Response[bytes]:
    """The answer by which a browser keeps it as a file."""
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type=media_type, headers=headers)
