"""When a letter is of use: it takes days, and what has lost its use when it arrives goes by the next way, or staff
call.

And what is never told by a person's hands: a code, that somebody's turn is near, and by telephone what may be missed.
"""

from collections.abc import Callable
from datetime import date, datetime, timedelta

from services.notifications.domain.notices import (
    CONTACT_CODE,
    CONTACT_DEAD,
    MAY_BE_MISSED,
    SIGN_IN,
    TURN_NEAR,
    Kind,
    ends_with_offer,
)
from services.notifications.domain.quiet_hours import JST
from services.notifications.domain.ways import Way

# Printed and posted on the next working day; an ordinary letter is delivered by the second or third after that, and on
# no Saturday, Sunday or holiday (日本郵便, 2021 on).
POSTED_WITHIN_WORKING_DAYS, DELIVERED_WITHIN_WORKING_DAYS = 1, 3
# Minutes count: by the time anybody has printed it, it is over. And nobody gets a letter about an address of theirs.
NEVER_BY_LETTER: tuple[Kind, ...] = (CONTACT_CODE, SIGN_IN, TURN_NEAR, CONTACT_DEAD)
# The kinds of due rows: a reminder that is to be called is over, and posted letters are forgotten.
DUE_END_CALL, DUE_FORGET_LETTERS = "end_call", "forget_letters"
# After it was put into a batch, printed, or posted, whichever was last, a letter is kept: for those that have to be
# printed once more, and for whoever asks what was in it.
LETTERS_KEPT = timedelta(days=14)
# 12/29–1/3: no town hall is open (行政機関の休日に関する法律, and the towns' by-laws after it).
_YEAR_ENDS = (12, 29)
_YEAR_BEGINS = (1, 3)
_SATURDAY = 5

IsHoliday = Callable[[date], bool]


def is_working_day(day: date, is_holiday: IsHoliday) -> bool:
    """Whether the town hall is open, as a rule."""
    of_year = day.month, day.day
    return day.weekday() < _SATURDAY and not (of_year >= _YEAR_ENDS or of_year <= _YEAR_BEGINS) and not is_holiday(day)


def arrives_on(now: datetime, is_holiday: IsHoliday, *, at_hand: bool = False) -> date:
    """When a letter that is asked for now is in its letter box; `at_hand`: it is printed and posted today."""
    day, left = now.astimezone(JST).date(), DELIVERED_WITHIN_WORKING_DAYS + (not at_hand) * POSTED_WITHIN_WORKING_DAYS
    while left:
        day += timedelta(days=1)
        left -= is_working_day(day, is_holiday)
    return day


def is_in_time_by_letter(
    kind: Kind, *, starts_at: datetime | None, until: datetime | None, now: datetime, is_holiday: IsHoliday,
    at_hand: bool = False,
) -> bool:  # fmt: skip
    """Whether a letter arrives on a day before what it tells of begins, or is over: it may be read in the evening."""
    end = until if ends_with_offer(kind) and until is not None else starts_at
    return end is None or arrives_on(now, is_holiday, at_hand=at_hand) < end.astimezone(JST).date()


def may_take(way: Way, kind: Kind, *, letter_in_time: bool) -> bool:
    """Whether a notice of this kind may go by this way, which may take somebody's hands."""
    if way.kind == "letter":
        return letter_in_time and kind not in NEVER_BY_LETTER
    # For what may be missed nobody's telephone rings.
    return way.kind != "call" or kind not in MAY_BE_MISSED
