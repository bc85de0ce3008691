"""What staff type into the one field at the counter: a number to check in, a case to open, or somebody to look for."""

import re
from urllib.parse import urlencode

from services.booking.domain.finding import plain
from services.booking.domain.line import ticket_of
from services.booking.pages.line_rows import called_number, short_counter, state_label
from services.booking.pages.told import Found, Told
from services.booking.queries.line import LineItem
from services.booking.refusals import REFUSALS
from shared.reference_number import APPOINTMENT_LENGTH, CASE_LENGTH, read_number
from shared.web.i18n import gettext as _
from shared.web.i18n import translate

# Routing opens a case by its number.
DESK_FIND = "/office/find"
FOUND_MAX = 8
SCANNED_MAX_LENGTH = 500
# What stands in the QR code of a sheet that is filled in by hand.
_BLANK_SHEET = re.compile(r"https?://[^/\s]+/p/\w+", re.ASCII)
_NUMBER_SIGNS = re.compile(r"[0-9A-Z]+")


def is_of_a_case(typed: str) -> bool:
    """Whether it is a case's number (案件番号), or the code of a sheet for one."""
    text = typed[:SCANNED_MAX_LENGTH].strip()
    return read_number(text, length=CASE_LENGTH) is not None or _BLANK_SHEET.fullmatch(text) is not None


def may_be_searched(typed: str) -> bool:
    """Whether it is no number of an appointment, right or mistyped, but kana, or a ticket, which is shorter."""
    signs = plain(typed)
    if any(sign.isalpha() and not sign.isascii() for sign in signs):
        return True
    is_short = _NUMBER_SIGNS.fullmatch(signs) is not None and len(signs) < APPOINTMENT_LENGTH
    return is_short and any(sign.isdigit() for sign in signs)


def known_of(item: LineItem) -> list[str | None]:
    """By what somebody in the line is found."""
    short = f"{item.ticket_counter}{item.ticket_no}" if item.ticket_no is not None else None
    return [ticket_of(item), short, item.number if item.kind == "booked" else None, item.kana, item.name]


def say_found(found: list[LineItem], *, counter: str | None) -> Told:
    """Who it may be, each with the way to their row. An address names the row and nothing else."""
    if not found:
        text = REFUSALS["nobody_found"]
        return Told(kind="error", title=translate(text.title), lines=(translate(text.advice),))
    return Told(
        kind="info",
        title=_("%(count)s人見つかりました", count=len(found)),
        found=tuple(_found(item, counter=counter) for item in found[:FOUND_MAX]),
    )


def _found(item: LineItem, *, counter: str | None) -> Found:
    called = item.kana or item.name
    name = _("%(name)sさま", name=called) if called else ""
    where = f"{short_counter(item.counter_number)}・{state_label(item.state)}"
    only = f"?{urlencode({'counter': item.counter})}" if counter else ""
    return Found(label=f"{called_number(item)} {name}（{where}）", href=f"/counter{only}#line-{item.appointment_id}")
