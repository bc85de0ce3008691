"""Sheets drawn as one PDF, to be printed. The same letters of the same day give the same bytes."""

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby

import segno
from fpdf import FPDF

from services.notifications.letters import sheet
from services.notifications.letters.face import letter_face
from services.notifications.letters.letter import Letter
from services.notifications.letters.setting import Line, set_letter
from shared.web.i18n import gettext as _
from shared.web.i18n import use_language
from shared.web.templating import jst_date

FACE = "letter"
# Where a line stands on its height: the share of it above the foot of its signs.
ASCENT = 0.88
FOLD_LINE_WIDTH = 0.2


def draw_letters(letters: Sequence[Letter], *, dated: datetime) -> bytes:
    """All of them, one after the other, each beginning on a page of its own.

    Raises:
        CannotBePrinted: one of them (`setting.py: check`).
    """
    pdf = FPDF(format="A4", unit="mm")
    pdf.set_auto_page_break(auto=False)
    pdf.set_creation_date(dated)
    pdf.set_title(_("お知らせの手紙"))
    pdf.add_font(FACE, fname=letter_face().path)
    for letter in letters:
        with use_language(letter.written.language):
            day = jst_date(dated, era=True)
        for each in set_letter(letter, dated=day):
            pdf.add_page()
            _draw_folds(pdf)
            for line in each.lines:
                _draw_line(pdf, line)
            if each.qr is not None:
                _draw_qr(pdf, each.qr)
    return bytes(pdf.output())


def _draw_line(pdf: FPDF, line: Line) -> None:
    if line.text:
        pdf.set_font(FACE, size=line.size)
        pdf.text(line.x, line.y + line.size * sheet.MM_PER_POINT * ASCENT, line.text)


def _draw_folds(pdf: FPDF) -> None:
    pdf.set_line_width(FOLD_LINE_WIDTH)
    for y in sheet.FOLDS:
        pdf.line(sheet.FOLD_MARK_LEFT, y, sheet.FOLD_MARK_LEFT + sheet.FOLD_MARK_LENGTH, y)


def _draw_qr(pdf: FPDF, link: str) -> None:
    rows = segno.make(link, error="m", micro=False).matrix
    side = sheet.QR_SIZE / len(rows)
    pdf.set_fill_color(0)
    for row, modules in enumerate(rows):
        column = 0
        for is_dark, run in groupby(modules):
            length = len(list(run))
            if is_dark:
                pdf.rect(sheet.QR_LEFT + column * side, sheet.QR_TOP + row * side, length * side, side, style="F")
            column += length
