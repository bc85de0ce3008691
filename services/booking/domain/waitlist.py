"""The waitlist: which earlier times somebody waits for, and until when one is kept for them."""

from datetime import date, datetime, time, timedelta
from typing import Literal, get_args

import msgspec

from services.booking.domain.rules import JST
from shared.errors import Refusal

Part = Literal["any", "morning", "afternoon"]
PARTS: tuple[str, ...] = get_args(Part)
WEEKDAYS = (1, 2, 3, 4, 5, 6, 7)
NOON = time(12)

# By day an earlier time is kept so long for one person, then for the next.
OFFER_LIFETIME = timedelta(minutes=30)
# People sleep, and notifications wakes nobody (its quiet hours): what comes free then is kept until they have had an
# hour of the morning.
NIGHT_FROM, NIGHT_TO = time(21), time(8)
MORNING_LIFETIME = timedelta(hours=1)
# Who does not answer is not written to all day.
OFFERS_A_DAY = 3


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody waits for: days in Japan (both ends count), ISO weekdays, a part of the day, and where.

    `counter` None: wherever their procedure can be done.
    """

    first_day: date
    last_day: date
    weekdays: tuple[int, ...]
    part: Part
    counter: str | None

    def fits(self, counter: str, starts_at: datetime) -> bool:
        """Whether a time at a counter is one of those. The database asks the same (`commands/waitlist_offers.py`)."""
        local = starts_at.astimezone(JST)
        return (
            self.counter in (None, counter)
            and self.first_day <= local.date() <= self.last_day
            and local.isoweekday() in self.weekdays
            and (self.part == "any" or (self.part == "morning") == (local.time() < NOON))
        )


def check_window(window: Window, *, own_day: date, today: date) -> None:
    """Whether somebody whose own time is on `own_day` can wait for such a time.

    Raises:
        Refusal: `waiting_window` (400).
    """
    are_days = window.first_day <= window.last_day <= own_day and window.last_day >= today
    are_weekdays = bool(window.weekdays) and set(window.weekdays) <= set(WEEKDAYS)
    if not are_days or not are_weekdays or window.part not in PARTS:
        raise Refusal("waiting_window", 400)


def kept_until(now: datetime) -> datetime:
    """Until when a place that is offered now is kept. What would reach into the night lasts until the morning."""
    local = now.astimezone(JST)
    evening = datetime.combine(local.date(), NIGHT_FROM, JST)
    if local.time() >= NIGHT_TO and local + OFFER_LIFETIME <= evening:
        return now + OFFER_LIFETIME
    morning = local.date() + timedelta(days=1) if local.time() >= NIGHT_TO else local.date()
    return (datetime.combine(morning, NIGHT_TO, JST) + MORNING_LIFETIME).astimezone(now.tzinfo)
