"""Letters set on sheets: which line stands where. Pure.

What cannot be set rightly is found before a letter is queued (`check`): somebody whose name no font has is called, and
gets no letter to 「二宮 □子」.
"""

from collections.abc import Iterator
from functools import partial

import msgspec

from services.notifications.letters import sheet
from services.notifications.letters.face import Face, letter_face
from services.notifications.letters.letter import CannotBePrinted, Letter, read_address
from services.notifications.letters.line_breaking import break_lines
from shared.web.i18n import gettext as _
from shared.web.i18n import use_language

# More is a bug, and no letter.
PAGES_MAX = 9


class Line(msgspec.Struct, frozen=True):
    """A line of a sheet: its left end and its upper edge in millimetres, and how many points it has."""

    x: float
    y: float
    size: float
    text: str


class Sheet(msgspec.Struct, frozen=True):
    """One page: its lines, and what the code above them opens, if it has one."""

    lines: tuple[Line, ...]
    qr: str | None = None


def check(letter: Letter) -> None:
    """Whether it can be printed rightly.

    Raises:
        CannotBePrinted: `letter_glyph`, `letter_address` or `letter_length`.
    """
    set_letter(letter, dated="")


def set_letter(letter: Letter, *, dated: str) -> list[Sheet]:
    """The pages of a letter of this day.

    Raises:
        CannotBePrinted: see `check`.
    """
    face, written = letter_face(), letter.written
    read_address(letter.to)
    of_all = (letter.to, written.title, written.text, written.sender, written.sender_address, written.sender_phone)
    if any(map(face.missing, (*of_all, written.number, dated))):
        raise CannotBePrinted("letter_glyph")
    with use_language(written.language):
        head = [*_address(face, letter), *_sender(face, letter, dated), *_title(face, letter)]
        if written.link is not None:
            head += _beside_qr(face)
        bodies = list(_bodies(face, letter))
        if len(bodies) > PAGES_MAX:
            raise CannotBePrinted("letter_length")
        first, *others = [
            [*body, *_foot(face, letter, number, len(bodies))] for number, body in enumerate(bodies, start=1)
        ]
    return [Sheet((*head, *first), written.link), *(Sheet(tuple(lines)) for lines in others)]


def line_height(size: float, factor: float = sheet.LINE_HEIGHT) -> float:
    """From one line to the next, in millimetres."""
    return size * sheet.MM_PER_POINT * factor


def _address(face: Face, letter: Letter) -> Iterator[Line]:
    """As large as fits into what of the window is never covered."""
    code, street, name = letter.lines
    for size in sheet.ADDRESS_SIZES:
        measure = partial(face.width, size=size)
        lines = break_lines(f"{code}\n{street}\n{_('%(name)s様', name=name)}", sheet.ADDRESS_WIDTH, measure)
        height = line_height(size, sheet.ADDRESS_LINE_HEIGHT)
        if len(lines) * height <= sheet.ADDRESS_HEIGHT:
            for number, text in enumerate(lines):
                yield Line(sheet.ADDRESS_LEFT, sheet.ADDRESS_TOP + number * height, size, text)
            return
    raise CannotBePrinted("letter_address")


def _sender(face: Face, letter: Letter, dated: str) -> Iterator[Line]:
    written = letter.written
    width = sheet.A4_WIDTH - sheet.MARGIN - sheet.SENDER_LEFT
    top = sheet.SENDER_TOP
    phone = _("電話 %(phone)s", phone=written.sender_phone) if written.sender_phone else ""
    for text in (dated, "", written.sender, written.sender_address, phone):
        for line in break_lines(text, width, partial(face.width, size=sheet.SENDER_SIZE)):
            yield Line(sheet.SENDER_LEFT, top, sheet.SENDER_SIZE, line)
            top += line_height(sheet.SENDER_SIZE, sheet.ADDRESS_LINE_HEIGHT)


def _title(face: Face, letter: Letter) -> Iterator[Line]:
    measure = partial(face.width, size=sheet.TITLE_SIZE)
    # One line: a subject is short, and what is longer says it again below.
    title = break_lines(letter.written.title, sheet.TEXT_WIDTH, measure)[0]
    yield Line((sheet.A4_WIDTH - measure(title)) / 2, sheet.TITLE_TOP, sheet.TITLE_SIZE, title)


def _beside_qr(face: Face) -> Iterator[Line]:
    text = _("スマートフォンのカメラを向けると、ページが開きます。")
    lines = break_lines(text, sheet.QR_WORDS_WIDTH, partial(face.width, size=sheet.SMALL_SIZE))
    height = line_height(sheet.SMALL_SIZE, sheet.ADDRESS_LINE_HEIGHT)
    top = sheet.QR_TOP + sheet.QR_SIZE - len(lines) * height
    for number, line in enumerate(lines):
        yield Line(sheet.SENDER_LEFT, top + number * height, sheet.SMALL_SIZE, line)


def _bodies(face: Face, letter: Letter) -> Iterator[list[Line]]:
    text = letter.written.text.strip("\n")
    left = break_lines(text, sheet.TEXT_WIDTH, partial(face.width, size=sheet.TEXT_SIZE))
    top, height = sheet.TEXT_TOP, line_height(sheet.TEXT_SIZE)
    while left:
        room = int((sheet.TEXT_BOTTOM - top) / height)
        here, left = left[:room], left[room:]
        yield [Line(sheet.MARGIN, top + number * height, sheet.TEXT_SIZE, line) for number, line in enumerate(here)]
        top = sheet.TEXT_TOP_OF_NEXT


def _foot(face: Face, letter: Letter, page: int, pages: int) -> Iterator[Line]:
    """The number of the page, where there are several; beside it that of the matter, so that none goes astray."""
    if pages == 1:
        return
    text = f"{letter.written.number}　{page} / {pages}".strip("　")
    width = face.width(text, sheet.SMALL_SIZE)
    yield Line((sheet.A4_WIDTH - width) / 2, sheet.PAGE_NUMBER_TOP, sheet.SMALL_SIZE, text)
