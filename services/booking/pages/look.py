"""What somebody wants to see of the free times: kept in the address, and nowhere else."""

import re
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Literal
from urllib.parse import urlencode

import msgspec

from services.booking.queries.free import After
from shared.clock import JST

View = Literal["month", "list"]

_CODE = re.compile(r"[A-Za-z0-9_-]{1,20}")
_MONTH = re.compile(r"\d{4}-\d{2}", re.ASCII)
_MOMENT = "%Y%m%dT%H%M%S"
_AFTER = re.compile(r"(\d{8}T\d{6})\.([A-Za-z0-9_-]{1,20})", re.ASCII)


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """A month, with the times of a day; or a list of free times, from `after` on.

    `at` is one of the counters or venues; without it they are all asked together.
    """

    view: View = "month"
    day: date | None = None
    month: date | None = None
    at: str = ""
    after: After | None = None

    def query(self, **changes: Any) -> dict[str, str]:
        """As an address says it, with these changes."""
        look = msgspec.structs.replace(self, **changes)
        after = look.after
        said = {
            "view": "list" if look.view == "list" else "",
            "at": look.at,
            "month": look.month.isoformat()[:7] if look.month else "",
            "day": look.day.isoformat() if look.day else "",
            "after": f"{after.starts_at.astimezone(JST):{_MOMENT}}.{after.counter}" if after else "",
        }
        return {name: value for name, value in said.items() if value}

    def href(self, base: str, anchor: str, **changes: Any) -> str:
        """The address of a page that shows it, with these changes."""
        query = urlencode(self.query(**changes))
        return f"{base}?{query}#{anchor}" if query else f"{base}#{anchor}"

    @property
    def kept(self) -> dict[str, str]:
        """What a form brings along, so that a refusal leads back to the same look."""
        return self.query(after=None, month=None)


def read_look(given: Mapping[str, str]) -> Look:
    """What our own pages could have written into an address or a form; all else is as if nothing were said."""
    at = given.get("at", "")
    return Look(
        view="list" if given.get("view") == "list" else "month",
        day=read_day(given.get("day", "")),
        month=_read_month(given.get("month", "")),
        at=at if _CODE.fullmatch(at) else "",
        after=_read_after(given.get("after", "")),
    )


def read_day(typed: str) -> date | None:
    """A day as our own pages write it."""
    try:
        day = date.fromisoformat(typed)
    except ValueError:
        return None
    return day if day.isoformat() == typed else None


def _read_month(typed: str) -> date | None:
    return read_day(f"{typed}-01") if _MONTH.fullmatch(typed) else None


def _read_after(typed: str) -> After | None:
    found = _AFTER.fullmatch(typed)
    if found is None:
        return None
    try:
        return After(datetime.strptime(found[1], _MOMENT).replace(tzinfo=JST), found[2])
    except ValueError:
        return None
