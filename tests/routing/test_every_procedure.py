"""Every procedure of every town that we bring can be done by each of its channels, over HTTP, and by no other.

Generated from the towns' own packs: what it walks through is data, and a town that is quite different walks as well.
Online to the receipt number; to a counter or a helper until the pass that booking takes.
"""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import get_args

import httpx
import pytest
import pytest_asyncio
from sqlalchemy import text

from services.routing.app import create_app
from services.routing.commands.catalogue import publish_catalogue
from services.routing.commands.town_items import town_items_of
from services.routing.domain.catalogue import CHANNELS, Channel
from services.routing.domain.items import ITEM_PARTS, NOT_TYPED, typed_items
from services.routing.domain.town_items import use_town_items
from services.routing.pages.wording import ITEMS
from services.routing.settings import Settings
from shared.db import Database
from shared.town_pack import Procedure, TownPack, read_town_pack
from shared.town_pack.schema import IN_PERSON_ITEMS, Item
from tests.conftest import TestDatabase
from tests.routing.applying import send
from tests.routing.conftest import Visitor
from tests.routing.makers import KANA, NAME, NOW, new_key
from tests.routing.test_items import typed_for

TOWNS = Path(__file__).resolve().parents[2] / "deploy" / "towns"
# The reference's life events and what belongs to each, its first step first.
REFERENCE_LIFE_EVENTS = {
    "move-in": ("RES02", {"RES09", "INS01", "PEN01", "CHI02", "CHI03", "CHI05", "ENV01"}),
    "move-out": ("RES03", {"INS02"}),
    "birth": ("FAM02", {"CHI02", "CHI03", "INS01"}),
    "marriage": ("FAM03", {"RES05", "RES04", "RES08", "INS01"}),
    "bereavement": ("FAM04", {"FAM05", "INS04", "CAR02", "RES05", "TAX03"}),
}
SEE_OTHER = httpx.codes.SEE_OTHER


@pytest.fixture
def database(bare_database: TestDatabase) -> TestDatabase:
    """The towns' own packs are what is loaded here."""
    return bare_database


@pytest.fixture(params=sorted(folder.name for folder in TOWNS.iterdir()))
def pack(request: pytest.FixtureRequest) -> TownPack:
    return read_town_pack(TOWNS / request.param)


@pytest_asyncio.fixture
async def visitor(database: TestDatabase, settings: Settings, pack: TownPack) -> AsyncIterator[Visitor]:
    """Somebody in the pack's town, which alone was loaded."""
    town, host = pack.town, pack.town.hosts[0]
    async with database.admin_engine().begin() as connection:
        names = {"code": town.code, "ja": town.name_ja, "kana": town.name_kana, "en": town.name_en, "host": host}
        municipality = (
            "INSERT INTO town.municipality (code, name_ja, name_kana, name_en) VALUES (:code, :ja, :kana, :en)"
        )
        await connection.execute(text(municipality), names)
        await connection.execute(text("INSERT INTO town.host (host, municipality) VALUES (:host, :code)"), names)
    db = Database(settings.database_url, service="routing", pool_size=4)
    async with db.begin(town.code) as session:
        await publish_catalogue(session, pack, public_url=f"http://{host}", now=NOW)
    somebody = Visitor(create_app(settings, clock=lambda: NOW, db=db), host)
    yield somebody
    await somebody.http.aclose()
    await db.dispose()


def test_the_sample_town_has_what_the_reference_has_and_another_town_is_quite_different() -> None:
    """35 procedures and five life events; and of what a town names itself, the other town has nothing in common."""
    sample, other = (read_town_pack(TOWNS / name) for name in ("ninomiya", "hoshimi"))
    assert len(sample.procedures) == 35
    assert {
        event.code: (event.steps[0].procedure, {step.procedure for step in event.steps[1:]})
        for event in sample.life_events
    } == REFERENCE_LIFE_EVENTS
    for own in ("counters", "venues", "procedures", "life_events", "things", "deadlines"):
        one, another = ({line.code for line in getattr(pack, own)} for pack in (sample, other))
        assert one, own
        assert another, own
        assert not one & another, own
    assert not {line.office for line in sample.procedures} & {line.office for line in other.procedures}
    assert not {line.category for line in sample.procedures} & {line.category for line in other.procedures}
    assert (sample.booking, sample.notices, sample.town.registrar) != (
        other.booking,
        other.notices,
        other.town.registrar,
    )
    # Prefectures are 01 to 47.
    assert other.town.code.startswith("99")


def test_a_pack_may_name_the_items_that_we_know_and_no_others() -> None:
    known = set(get_args(Item))
    assert known - set(ITEMS) == set()
    assert known == set(ITEM_PARTS) | NOT_TYPED | IN_PERSON_ITEMS
    assert not IN_PERSON_ITEMS & (set(ITEM_PARTS) | NOT_TYPED)


@pytest.mark.parametrize("channel", CHANNELS)
async def test_every_procedure_is_done_by_each_of_its_channels_and_by_no_other(
    visitor: Visitor, pack: TownPack, channel: Channel
) -> None:
    done = 0
    for procedure in pack.procedures:
        page = await visitor.get(f"/procedures/{procedure.code}")
        assert (page.status_code, procedure.name_ja in page.text) == (httpx.codes.OK, True), procedure.code
        # A city has no 役場.
        assert pack.town.name_ja.endswith("町") or "役場" not in page.text, procedure.code
        begun = {"procedure": procedure.code, "channel": channel, "idempotency_key": new_key()}
        answer = await visitor.post("/cases", begun)
        if not is_possible(procedure, channel):
            assert answer.status_code == httpx.codes.CONFLICT, procedure.code
            continue
        assert answer.status_code == SEE_OTHER, (procedure.code, answer.text)
        case = re.sub(r"/\w+$", "", answer.headers["location"])
        await (
            apply_online(visitor, case, procedure, pack)
            if channel == "online"
            else reach_booking(visitor, case, procedure)
        )
        done += 1
    # It walks at all.
    assert done >= len(pack.procedures) // 4


def is_possible(procedure: Procedure, channel: Channel) -> bool:
    """What the pack says of a channel; a counter is needed to go to one, a venue to meet a helper."""
    said = {
        "online": procedure.online,
        "counter": procedure.counter if procedure.counters else "no",
        "helper": procedure.helper,
    }
    return said[channel] != "no"


async def apply_online(visitor: Visitor, case: str, procedure: Procedure, pack: TownPack) -> None:
    """Fill in the form that the items make, and send it."""
    page = await visitor.get(f"{case}/form")
    if page.status_code == SEE_OTHER:
        # What was given for the procedure before is offered; here everything is typed.
        page = await visitor.get(page.headers["location"])
    assert (page.status_code, procedure.name_ja in page.text) == (httpx.codes.OK, True), procedure.code
    with use_town_items(town_items_of(pack.items)):
        fields = {name: typed for item in typed_items(procedure.items) for name, typed in typed_for(item).items()}
    answer = await visitor.post(f"{case}/form", fields)
    assert answer.status_code == SEE_OTHER, (procedure.code, re.findall(r'href="#f-\w+">([^<]+)', answer.text))
    answer = await visitor.post(f"{case}/you", {"reach": "none", "email": "", "phone": ""})
    assert answer.headers.get("location") == f"{case}/check", procedure.code
    answer = await send(visitor, case)
    assert answer.status_code == SEE_OTHER, (procedure.code, answer.text)
    receipt = await visitor.get(answer.headers["location"])
    assert (receipt.status_code, procedure.name_ja in receipt.text) == (httpx.codes.OK, True), procedure.code


async def reach_booking(visitor: Visitor, case: str, procedure: Procedure) -> None:
    """Say who one is, agree to what is handed over, and get the pass for booking."""
    page = await visitor.get(f"{case}/you")
    assert (page.status_code, procedure.name_ja in page.text) == (httpx.codes.OK, True), procedure.code
    answer = await visitor.tell(case, name=NAME, kana=KANA)
    assert answer.headers.get("location") == f"{case}/handover", (procedure.code, answer.text)
    page = await visitor.get(f"{case}/handover")
    assert page.status_code == httpx.codes.OK, (procedure.code, page.headers)
    offers = dict(re.findall(r'name="(offer_\w+)" value="([^"]*)"', page.text))
    answer = await visitor.post(f"{case}/handover", offers | {"all": "yes"})
    assert answer.headers.get("location") == f"{case}/pass", (procedure.code, answer.text)
    page = await visitor.get(f"{case}/pass")
    assert (page.status_code, 'name="pass"' in page.text) == (httpx.codes.OK, True), (procedure.code, page.text)
