"""Of the plain model (`life_model.py`): who waits for an earlier time, and whom one is kept for."""

from datetime import date, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from services.booking.domain.waitlist import OFFERS_A_DAY, kept_until
from shared.clock import jst_day
from tests.booking.life_opening import HORIZON_DAYS, YES, Appointment, Codes, Kept, Key, Opening, RuleModel

NOTICE_MIN = 30


class Procedure(NamedTuple):
    """Where it is done, and until and from when it can be booked."""

    counters: tuple[str, ...]
    notice: timedelta = timedelta(minutes=NOTICE_MIN)
    horizon_days: int = HORIZON_DAYS


class Waits(NamedTuple):
    """For which days, where (None: anywhere), and since when somebody waits."""

    first: date
    last: date
    counter: str | None
    since: datetime


class Asked(NamedTuple):
    """Whom an earlier time was kept for, which, and on which day they were asked."""

    appointment_id: UUID
    key: Key
    day: date


class Waiting(Opening):
    """The waitlist. An offer ends by its owner, by time, or because it is closed there."""

    def __init__(self, now: datetime, procedures: dict[str, Procedure], rules: dict[str, RuleModel]) -> None:
        super().__init__(now, rules)
        self.procedures = procedures
        self.waiting: dict[UUID, Waits] = {}
        self.asked: list[Asked] = []

    def live_offer(self, appointment_id: UUID) -> Kept | None:
        kept = self.offers.get(appointment_id)
        return kept if kept and kept.until > self.now and not kept.is_lost else None

    def refuse_wait(self, appointment_id: UUID, first: date, too_late: Codes) -> Codes:
        found = self.appointments[appointment_id]
        if too_late:
            return too_late
        if found.closure != "none":
            return frozenset({"waiting_unfit"})
        return YES if first <= jst_day(found.key.starts_at) else frozenset({"waiting_window"})

    def wait(self, appointment_id: UUID, first: date, counter: str | None) -> None:
        """Whoever changes what they wait for keeps their place in the line."""
        known = self.waiting.get(appointment_id)
        last = jst_day(self.appointments[appointment_id].key.starts_at)
        self.waiting[appointment_id] = Waits(first, last, counter, known.since if known else self.now)

    def wait_no_more(self, appointment_id: UUID) -> None:
        self.waiting.pop(appointment_id, None)
        self.decline(appointment_id)

    def decline(self, appointment_id: UUID) -> None:
        kept = self.live_offer(appointment_id)
        if kept and kept.cause == "waiting":
            self.end_earlier(appointment_id)

    def end_earlier(self, appointment_id: UUID) -> None:
        """It is over, and they are told so."""
        del self.offers[appointment_id]
        self.appointments[appointment_id].version += 1

    def follow_move(self, appointment_id: UUID, *, took_earlier: bool) -> None:
        """Who has what they waited for waits no more; others wait for what is earlier still."""
        day = jst_day(self.appointments[appointment_id].key.starts_at)
        waits = self.waiting.get(appointment_id)
        if waits and (took_earlier or waits.first > day):
            del self.waiting[appointment_id]
        elif waits:
            self.waiting[appointment_id] = waits._replace(last=min(waits.last, day))

    def look(self, counter: str) -> None:
        """One after the other gets the earliest that fits, in the order of joining."""
        today, until = jst_day(self.now), kept_until(self.now)
        for appointment_id, waits in list(self.waiting.items()):
            found = self.appointments[appointment_id]
            is_over = found.key.starts_at <= self.now or found.state in ("cancelled", "done", "no_show")
            if is_over or waits.last < today:
                del self.waiting[appointment_id]
        for appointment_id, waits in sorted(self.waiting.items(), key=lambda item: (item[1].since, item[0])):
            found = self.appointments[appointment_id]
            if waits.counter in (None, counter) and self._may_be_asked(appointment_id, found, counter):
                fitting = (key for key in sorted(self.slots) if self._fits(appointment_id, waits, counter, key, until))
                if key := next(fitting, None):
                    self.asked.append(Asked(appointment_id, key, today))
                    self.offers[appointment_id] = Kept(key, until, "waiting", len(self.asked))
                    self.due["waiting_answer", f"{appointment_id}/{len(self.asked)}"] = until
                    found.version += 1

    def _may_be_asked(self, appointment_id: UUID, found: Appointment, counter: str) -> bool:
        today = [each for each in self.asked if (each.appointment_id, each.day) == (appointment_id, jst_day(self.now))]
        is_there = (found.state, found.closure) == ("booked", "none")
        is_done_here = counter in self.procedures[found.procedure].counters
        return is_there and is_done_here and appointment_id not in self.offers and len(today) < OFFERS_A_DAY

    def _fits(self, appointment_id: UUID, waits: Waits, counter: str, key: Key, until: datetime) -> bool:
        found = self.appointments[appointment_id]
        return (
            key.counter == counter
            and until + self.procedures[found.procedure].notice <= key.starts_at < found.key.starts_at
            and waits.first <= jst_day(key.starts_at) <= waits.last
            and not self.slots[key].withdrawn
            and self.free(key) > 0
            and not any((each.appointment_id, each.key) == (appointment_id, key) for each in self.asked)
        )

    def lapse(self, ref: str) -> None:
        """They have not answered. An offer that has ended meanwhile, or another one, stays as it is."""
        appointment_id, number = ref.split("/")
        kept = self.offers.get(UUID(appointment_id))
        if kept and kept.cause == "waiting" and kept.number == int(number):
            self.end_earlier(UUID(appointment_id))
