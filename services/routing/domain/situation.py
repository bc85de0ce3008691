"""What a person may say of their situation (わたしに合うやり方): three questions, none of which has to be answered."""

from datetime import datetime, time, timedelta
from typing import Literal, get_args

import msgspec

from shared.clock import JST, jst_day

# By when: today or tomorrow, within a week, or no hurry.
Until = Literal["tomorrow", "week", "any_day"]
# With a smartphone or a computer: by oneself, with somebody beside, or not at all.
PhoneUse = Literal["alone", "together", "none"]
# What somebody has to find where they go: no steps, a sign-language interpreter, writing instead of speaking, an
# interpreter of another language. The town says of each of its places what is there.
Access = Literal["step_free", "sign", "writing", "interpreter"]
# And going out at all may be hard.
Need = Literal["step_free", "sign", "writing", "interpreter", "stay_home"]

UNTIL: tuple[Until, ...] = get_args(Until)
PHONE_USES: tuple[PhoneUse, ...] = get_args(PhoneUse)
NEEDS: tuple[Need, ...] = get_args(Need)

# A visit: what was said serves while somebody compares, and is no profile of them.
SITUATION_LIFETIME = timedelta(hours=24)
_DAYS: dict[Until, int] = {"tomorrow": 1, "week": 7}


class Situation(msgspec.Struct, frozen=True, kw_only=True):
    """The answers, as codes; None or empty: not answered."""

    until: Until | None = None
    phone: PhoneUse | None = None
    needs: tuple[Need, ...] = ()

    @property
    def is_said(self) -> bool:
        """Whether anything was answered."""
        return self != Situation()


def read_situation(until: str, phone: str, needs: str) -> Situation:
    """What a form says; whatever is no answer of ours counts as none. `needs` are codes with spaces between them.

    The order in which it was ticked means nothing.
    """
    ticked = needs.split()
    return Situation(
        until=next((code for code in UNTIL if code == until), None),
        phone=next((code for code in PHONE_USES if code == phone), None),
        needs=tuple(code for code in NEEDS if code in ticked),
    )


def limit_of(until: Until | None, now: datetime) -> datetime | None:
    """The moment before which it has to be done: the end of that day in Japan. None: no hurry, or nothing said."""
    if until is None or until not in _DAYS:
        return None
    return datetime.combine(jst_day(now) + timedelta(days=_DAYS[until] + 1), time(), JST)
