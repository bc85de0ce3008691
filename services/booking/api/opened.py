"""Whoever may open an appointment or an entry: what the routes about one of them begin with."""

from datetime import datetime
from typing import Any

from litestar import Request
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath

from services.booking.keys import Keys
from services.booking.pages.draw_entries import open_entry
from services.booking.pages.draws import read_draw_id
from services.booking.pages.opening import find_open_appointment
from services.booking.queries.appointments import AppointmentView
from services.booking.queries.draws import EntryView
from shared.db import Database
from shared.errors import Refusal
from shared.web.town import Town

Req = Request[Any, Any, Any]


async def open_for(
    request: Req,
    number: FromPath[str],
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
) -> AppointmentView:
    """The appointment of the path, for whoever may open it.

    Raises:
        Refusal: `appointment_unknown` (404), for everybody else, too.
    """
    found = await find_open_appointment(request, number, db, keys, town, now=now)
    if found is None:
        raise Refusal("appointment_unknown", 404)
    return found


async def open_entry_for(
    request: Req,
    draw_id: FromPath[str],
    number: FromPath[str],
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
) -> EntryView:
    """The entry of the path, for whoever may open it.

    Raises:
        Refusal: `draw_unknown`, `draw_entry_unknown` (404), for everybody else, too.
    """
    found = await open_entry(request, read_draw_id(draw_id), number, db, keys, town, now=now)
    if found is None:
        raise Refusal("draw_entry_unknown", 404)
    return found


OPENED = {"found": Provide(open_for)}
OPENED_ENTRY = {"entry": Provide(open_entry_for)}
