"""Every procedure of every town that we bring, by each of its channels, to its end: an appointment, or a receipt.

Generated from the towns' packs; routing and booking are really connected (`one_process.py`). That what a pack excludes
is refused, `tests/routing/test_every_procedure.py` looks at.
"""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from services.routing.domain.catalogue import CHANNELS
from services.routing.domain.items import typed_items
from shared.reference_number import show_number
from shared.town_pack import Procedure, TownPack, read_town_pack
from tests.conftest import TestDatabase
from tests.journeys.one_process import Browser, House, case_id_of, open_house
from tests.routing.makers import KANA, NAME
from tests.routing.test_every_procedure import TOWNS, is_possible
from tests.routing.test_items import typed_for

OK = 200
HELPERS = ("tanaka", "suzuki", "sato")


@pytest.fixture(params=sorted(folder.name for folder in Path(TOWNS).iterdir()))
def pack(request: pytest.FixtureRequest) -> TownPack:
    return read_town_pack(TOWNS / request.param)


@pytest_asyncio.fixture
async def house(database: TestDatabase, pack: TownPack) -> AsyncIterator[House]:
    async with open_house(database, pack) as opened:
        yield opened


async def test_every_procedure_comes_to_its_end_by_each_of_its_channels(house: House, pack: TownPack) -> None:
    for login in HELPERS:
        await house.add_helper(login, pack.venues[0].code)
    resident = house.browser()
    booked: dict[str, str] = {}
    for procedure in pack.procedures:
        for channel in CHANNELS:
            if not is_possible(procedure, channel):
                continue
            case = await resident.begin(procedure.code, channel)
            if channel == "online":
                await apply(resident, case, procedure)
            else:
                booked[str(case_id_of(case))] = await come(resident, case, procedure)
    await house.town.deliver()
    # What booking has told of them has come back to their cases.
    known = await house.town.rows("SELECT case_id, number FROM routing.appointment WHERE municipality = $1", house.code)
    assert {str(row["case_id"]): row["number"] for row in known} == booked
    sent = await house.town.rows("SELECT procedure FROM routing.application WHERE municipality = $1", house.code)
    assert {row["procedure"] for row in sent} == {each.code for each in pack.procedures if is_possible(each, "online")}
    # It walks at all.
    assert len(booked) >= len(pack.procedures)


async def apply(resident: Browser, case: str, procedure: Procedure) -> None:
    """Fill in the form that the items make, send it, and read the number."""
    await resident.get(f"{case}/form")
    fields = {name: typed for item in typed_items(procedure.items) for name, typed in typed_for(item).items()}
    await resident.send("/form", **fields)
    if resident.path.endswith("/attachments"):
        # Nothing has to be attached: what is missing is brought, or sent by post.
        await resident.get(f"{case}/check")
    if resident.path.endswith("/you"):
        await resident.send("/you", reach="none")
    assert resident.path == f"{case}/check", (procedure.code, resident.path, resident.text[-1500:])
    await resident.send("/submit")
    assert resident.path.startswith("/applications/"), (procedure.code, resident.path)
    assert resident.page.status_code == OK, procedure.code
    assert procedure.name_ja in resident.text, procedure.code
    assert show_number(resident.path.rsplit("/", 1)[-1]) in resident.text, procedure.code


async def come(resident: Browser, case: str, procedure: Procedure) -> str:
    """Say who one is, hand it over, choose a time, and read the number of the appointment."""
    await resident.get(f"{case}/you")
    await resident.send("/you", name=NAME, kana=KANA, reach="none")
    assert resident.path == f"{case}/handover", (procedure.code, resident.path)
    await resident.hand_over(case)
    await resident.hold()
    # A second appointment of a procedure is asked about.
    await resident.send("/book")
    assert resident.path.startswith("/booking/appointments/"), (procedure.code, resident.path)
    number = resident.path.rsplit("/", 1)[-1]
    assert re.search(rf"slip__number[^>]*>{re.escape(show_number(number))}<", resident.text), procedure.code
    return number
