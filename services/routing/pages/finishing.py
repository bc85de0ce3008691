"""How what cannot be done online alone (一部オンライン) comes to its end: at the counter or by post, as the town says.

The person comes with the number, or sends a cover sheet (送付状) on which it stands for staff to read and to scan.
"""

from datetime import datetime
from typing import Any

import msgspec
import segno
from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect, Template
from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.domain.applications import AT_OFFICE
from services.routing.domain.channels import things_not_typed
from services.routing.keys import Keys
from services.routing.pages.application_access import ask_for_code, open_application
from services.routing.pages.wording import BRING, bring_words
from services.routing.queries.catalogue import get_town
from services.routing.queries.office import get_rule
from services.routing.tables import procedure
from shared.db import Database
from shared.errors import Refusal
from shared.web.i18n import translate
from shared.web.identity import PUBLIC
from shared.web.pages import page
from shared.web.town import Town

QR_SCALE, QR_BORDER, PAPER = 8, 2, "#fff"

Req = Request[Any, Any, Any]


class Finish(msgspec.Struct, frozen=True, kw_only=True):
    """What is left to do of an application. `enclose` is in words; `office` is whom a letter goes to."""

    by_counter: bool
    by_post: bool
    enclose: tuple[str, ...]
    office: str
    address: str
    town: str
    phone: str


async def find_finish(session: AsyncSession, row: Row[Any]) -> Finish | None:
    """What is left to do, of an application (its row); None: nothing, or nothing any more."""
    if row.state not in AT_OFFICE:
        return None
    known = (
        await session.execute(
            select(procedure).where(procedure.c.municipality == row.municipality, procedure.c.code == row.procedure)
        )
    ).one()
    if known.online != "partial":
        return None
    rule = await get_rule(session, row.municipality, row.procedure)
    town = await get_town(session, row.municipality)
    ways = rule.finish or ("counter", "post")
    return Finish(
        by_counter="counter" in ways and known.counter != "no" and bool(known.counters),
        by_post="post" in ways,
        enclose=(
            *bring_words(rule.enclose, town),
            *(translate(BRING[code]) for code in things_not_typed(known.items)),
        ),
        office=row.office,
        address=town.address_ja,
        town=town.name_ja,
        phone=town.phone,
    )


@get("/applications/{number:str}/cover", opt=PUBLIC)
async def show_cover(
    request: Req,
    number: FromPath[str],
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
) -> Template | Redirect:
    """The cover sheet for a letter: number, QR and what is enclosed. Nothing of the person is on it."""
    async with db.begin(town.code) as session:
        opened = await open_application(request, session, number, keys, town, now=now)
        if opened is None:
            return ask_for_code(number)
        finish = await find_finish(session, opened.row)
        names = (
            await session.execute(
                select(procedure.c.name_ja).where(
                    procedure.c.municipality == town.code, procedure.c.code == opened.row.procedure
                )
            )
        ).scalar_one()
    if finish is None or not finish.by_post:
        raise Refusal("nothing_to_post", 404)
    qr = segno.make(opened.row.number, error="m", micro=False)
    return page(
        request,
        "cover.html",
        finish=finish,
        number=opened.row.number,
        procedure_name=names,
        submitted_at=opened.row.submitted_at,
        qr=qr.svg_data_uri(scale=QR_SCALE, border=QR_BORDER, light=PAPER),
    )
