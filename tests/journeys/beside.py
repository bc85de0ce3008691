"""Somebody and a helper side by side: booked, accepted, and at the time of the meeting."""

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from tests.journeys.one_process import Browser, House, case_id_of
from tests.journeys.switching import Place
from tests.routing.makers import KANA, NAME

FROM_START = timedelta(minutes=1)


@dataclass
class Beside:
    """A meeting: the case's path, and the helper's page of it."""

    house: House
    case: str
    assignment_id: UUID
    meeting: str

    @property
    def steps(self) -> str:
        """The helper's view of the case."""
        return f"{self.case}/helper-steps"


async def book_helper(
    house: House, resident: Browser, procedure: str, *, name: str = NAME, kana: str = KANA, **reach: str
) -> str:
    """Begun with a helper, and booked; the case's path."""
    case = await resident.begin(procedure, "helper")
    await resident.get(f"{case}/you")
    await resident.send("/you", name=name, kana=kana, **(reach or {"reach": "none"}))
    await resident.book(case)
    await house.town.deliver()
    return case


async def sit_down(place: Place, case: str, helper: Browser | None = None) -> Beside:
    """The helper accepts, and it is a minute after the meeting's begin."""
    helper, town = helper or place.helper, place.house.town
    await helper.get("/helpers")
    await helper.send("/accept")
    [row] = await town.rows(
        "SELECT s.assignment_id, a.starts_at FROM booking.assignment s JOIN booking.appointment a"
        " USING (municipality, appointment_id) WHERE a.case_id = $1 AND s.state = 'accepted' AND a.state = 'booked'",
        case_id_of(case),
    )
    await town.deliver()
    town.now = row["starts_at"] + FROM_START
    return Beside(place.house, case, row["assignment_id"], f"/helpers/meetings/{row['assignment_id']}")


async def agree(resident: Browser, house: House) -> None:
    """The person reads the address, and says yes."""
    await resident.get("/together")
    await resident.send("/together/agree")
    await house.town.deliver()


def steps_of(html: str) -> dict[str, str]:
    """The steps as the helper sees them, each with how it stands."""
    found = re.findall(r"<li[^>]*>([^<]+?)\s*<span[^>]*badge[^>]*>(.*?)</span>\s*</li>", html, re.DOTALL)
    return {title.strip(): re.sub(r"<[^>]+>", "", state).strip() for title, state in found}


async def agreements(place: Place) -> list[Any]:
    """What routing's ledger has of yeses."""
    rows: list[Any] = await place.house.town.rows(
        "SELECT * FROM routing.ledger_entry WHERE entry_type = 'helper_assisted' ORDER BY occurred_at"
    )
    return rows
