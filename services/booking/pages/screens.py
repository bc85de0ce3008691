"""`/board/screens`: staff choose what a screen in the hall shows, and get its address and a QR code to type nothing."""

from typing import Any

import segno
from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import FromQuery
from litestar.response import Template

from services.booking.pages.appointments import PAPER, QR_BORDER, QR_SCALE
from services.booking.pages.board import PATH, read_screen
from services.booking.pages.wording import counter_label
from services.booking.queries.slots import list_counters
from shared.db import Database
from shared.web.identity import require_role
from shared.web.pages import page
from shared.web.town import Town

GUARDS = [require_role("counter", "manager")]

Req = Request[Any, Any, Any]


@get(f"{PATH}/screens", guards=GUARDS)
async def get_screens(
    request: Req,
    db: NamedDependency[Database],
    town: NamedDependency[Town],
    office: FromQuery[str] = "",
) -> Template:
    """The counters to choose from, and the address of the screen that shows those that were chosen."""
    async with db.begin(town.code) as session:
        known = await list_counters(session, town.code)
    screen = read_screen(office, ",".join(request.query_params.getall("counters", [])))
    address = f"{str(request.base_url).rstrip('/')}{screen.address(PATH)}"
    return page(
        request,
        "screens.html",
        offices=sorted({counter.office for counter in known.values()}),
        office=screen.office,
        counters=[{"value": each.code, "label": counter_label(each.number, each.name_ja)} for each in known.values()],
        chosen=list(screen.counters),
        address=address,
        href=screen.address(PATH),
        qr=segno.make(address, error="m", micro=False).svg_data_uri(scale=QR_SCALE, border=QR_BORDER, light=PAPER),
    )
