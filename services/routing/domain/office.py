"""How an office works on an application: by when, what it checks, who decides with whom, and where one may appeal."""

from collections.abc import Collection, Container
from datetime import date, datetime
from typing import Literal

import msgspec

from services.routing.domain.applications import AT_OFFICE, State
from services.routing.domain.town_days import end_of_working_day

View = Literal[
    "open", "mine", "unassigned", "late", "waiting", "submitted", "accepted", "completed", "refused", "withdrawn"
]  # fmt: skip
VIEWS: tuple[View, ...] = (
    "open", "mine", "unassigned", "late", "waiting", "submitted", "accepted", "completed", "refused", "withdrawn"
)  # fmt: skip
# Those whose number the inbox says.
COUNTED: tuple[View, ...] = ("open", "mine", "unassigned", "late", "waiting")


class Check(msgspec.Struct, frozen=True):
    """A point that the office goes through before it completes."""

    code: str
    ja: str


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """How the town has a procedure worked on. `process_days` are working days (標準処理期間, 行政手続法6条); None: the
    town has set none.

    `appeal_to` is whom an appeal against a refusal goes to (審査請求, 行政不服審査法82条); empty: what is decided is no
    disposition (処分), and there is none. `appeal_first`: a court is open only after it.
    """

    process_days: int | None = None
    two_persons: bool = False
    checks: tuple[Check, ...] = ()
    appeal_to: str = ""
    appeal_first: bool = False
    # Who says who sends it online (本人確認), by the name that the settings have; empty: nobody is asked.
    identity_step: str = ""
    # How what is only partly done online comes to its end; empty: at a counter or by post. What a letter has in it.
    finish: tuple[Literal["counter", "post"], ...] = ()
    enclose: tuple[str, ...] = ()

    def open_checks(self, ticked: Collection[str]) -> tuple[Check, ...]:
        """What was not gone through yet."""
        return tuple(check for check in self.checks if check.code not in ticked)


def head_of(town_name_ja: str) -> str:
    """二宮町長 of 二宮町: who decides an appeal where the town names nobody (行政不服審査法4条1号)."""
    return f"{town_name_ja}長"


def due_at(began_at: datetime, rule: Rule, holidays: Container[date]) -> datetime | None:
    """The end of the working day by which the office decides; the day on which it came does not count."""
    return end_of_working_day(began_at, rule.process_days, holidays) if rule.process_days else None


def is_late(state: State, due: datetime | None, now: datetime) -> bool:
    """Whether the office should have decided. While the person is waited for, no time runs."""
    return state in AT_OFFICE and due is not None and due < now
