"""What is only partly done online comes to its end at a counter or by post; and what it costs is said on the way."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from sqlalchemy import text

from services.routing.app import create_app
from services.routing.commands.catalogue import publish_catalogue
from services.routing.domain.items import typed_items
from services.routing.settings import Settings
from shared.db import Database
from shared.town_pack import Procedure, TownPack, read_town_pack
from shared.town_pack.office import OfficeRule
from tests.conftest import TestDatabase
from tests.routing.applying import hidden, send
from tests.routing.conftest import Visitor
from tests.routing.makers import NOW, new_key
from tests.routing.test_items import typed_for

TOWNS = Path(__file__).resolve().parents[2] / "deploy" / "towns"
SEE_OTHER = httpx.codes.SEE_OTHER


@pytest.fixture
def database(bare_database: TestDatabase) -> TestDatabase:
    """The towns' own packs are what is loaded here."""
    return bare_database


@pytest.fixture(params=sorted(folder.name for folder in TOWNS.iterdir()))
def pack(request: pytest.FixtureRequest) -> TownPack:
    return read_town_pack(TOWNS / request.param)


@pytest_asyncio.fixture
async def town_db(database: TestDatabase, settings: Settings, pack: TownPack) -> AsyncIterator[Database]:
    """The pack's town, which alone was loaded."""
    town = pack.town
    async with database.admin_engine().begin() as connection:
        names = {"code": town.code, "ja": town.name_ja, "host": town.hosts[0]}
        municipality = (
            "INSERT INTO town.municipality (code, name_ja, name_kana, name_en) VALUES (:code, :ja, 'マ', 'T')"
        )
        await connection.execute(text(municipality), names)
        await connection.execute(text("INSERT INTO town.host (host, municipality) VALUES (:host, :code)"), names)
    db = Database(settings.database_url, service="routing", pool_size=4)
    async with db.begin(town.code) as session:
        await publish_catalogue(session, pack, public_url=f"http://{town.hosts[0]}", now=NOW)
    yield db
    await db.dispose()


@pytest_asyncio.fixture
async def visitor(settings: Settings, town_db: Database, pack: TownPack) -> AsyncIterator[Visitor]:
    somebody = Visitor(create_app(settings, clock=lambda: NOW, db=town_db), pack.town.hosts[0])
    yield somebody
    await somebody.http.aclose()


async def begin(visitor: Visitor, procedure: Procedure) -> str:
    begun = {"procedure": procedure.code, "channel": "online", "idempotency_key": new_key()}
    answer = await visitor.post("/cases", begun)
    case = re.sub(r"/\w+$", "", answer.headers["location"])
    # What the procedures before this one were told is typed again.
    page = await visitor.get(f"{case}/reuse")
    if page.status_code == httpx.codes.OK:
        shown = dict(re.findall(r'name="(offer_\w+)" value="([^"]+)"', page.text))
        await visitor.post(f"{case}/reuse", shown | {"all": "no"})
    return case


async def apply_for(visitor: Visitor, procedure: Procedure) -> tuple[str, str]:
    """Fill in and send; the case and the application's path."""
    case = await begin(visitor, procedure)
    fields: dict[str, str] = {}
    for item in typed_items(procedure.items):
        fields |= typed_for(item)
    answer = await visitor.post(f"{case}/form", fields)
    assert answer.status_code == SEE_OTHER, (procedure.code, re.findall(r'href="#f-\w+">([^<]+)', answer.text))
    await visitor.post(f"{case}/you", {"reach": "none", "email": "", "phone": ""})
    answer = await send(visitor, case, notices="no")
    assert answer.status_code == SEE_OTHER, procedure.code
    return case, answer.headers["location"]


async def test_every_partial_procedure_ends_at_its_counter_or_by_post_as_the_town_says(
    visitor: Visitor, pack: TownPack
) -> None:
    rules = {rule.procedure: rule for rule in pack.office.procedures}
    things = {thing.code: thing.ja for thing in pack.things}
    partial = [procedure for procedure in pack.procedures if procedure.online == "partial"]
    assert partial
    for procedure in partial:
        rule = rules.get(procedure.code, OfficeRule(procedure.code))
        ways = rule.finish or ("counter", "post")
        case, application = await apply_for(visitor, procedure)
        page = await visitor.get(application)
        assert "あとひとつ、お願いがあります" in page.text, procedure.code
        by_counter = "counter" in ways and procedure.counter != "no" and bool(procedure.counters)
        assert (f'action="{case}/visit"' in page.text) is by_counter, procedure.code
        assert (f'href="{application}/cover"' in page.text) is ("post" in ways), procedure.code
        for code in rule.enclose:
            assert things[code] in page.text, procedure.code
        cover = await visitor.get(f"{application}/cover")
        if "post" in ways:
            assert cover.status_code == httpx.codes.OK, procedure.code
            assert pack.town.address_ja in cover.text
            assert "data:image/svg+xml" in cover.text
            number = application.removeprefix("/applications/")
            assert f"{number[:4]}-{number[4:]}" in cover.text
            for code in rule.enclose:
                assert things[code] in cover.text, procedure.code
        else:
            assert cover.status_code == httpx.codes.NOT_FOUND, procedure.code
        answer = await visitor.post(f"{case}/visit")
        if procedure.counter != "no" and procedure.counters:
            # With everything that was typed, and nothing to type again.
            assert answer.headers["location"] == f"{case}/handover", procedure.code
            assert (await visitor.get(application)).status_code == httpx.codes.OK
        else:
            assert answer.status_code == httpx.codes.CONFLICT


async def test_what_is_done_wholly_online_asks_for_nothing_more(visitor: Visitor, pack: TownPack) -> None:
    procedure = next(line for line in pack.procedures if line.online == "yes")
    case, application = await apply_for(visitor, procedure)
    assert "あとひとつ、お願いがあります" not in (await visitor.get(application)).text
    assert (await visitor.get(f"{application}/cover")).status_code == httpx.codes.NOT_FOUND
    assert (await visitor.post(f"{case}/visit")).status_code == httpx.codes.CONFLICT


async def test_the_fee_is_said_for_as_many_copies_as_are_asked_for(visitor: Visitor, pack: TownPack) -> None:
    procedure = next(
        line for line in pack.procedures if line.online != "no" and line.fee_yen and "copies_purpose" in line.items
    )
    case = await begin(visitor, procedure)
    form = await visitor.get(f"{case}/form")
    assert f"1通につき {procedure.fee_yen}円" in form.text
    assert "このページでは、お金を払いません" in form.text
    fields: dict[str, str] = {}
    for item in typed_items(procedure.items):
        fields |= typed_for(item)
    fields["copies_purpose_copies"] = "３"
    await visitor.post(f"{case}/form", fields)
    await visitor.post(f"{case}/you", {"reach": "none", "email": "", "phone": ""})
    total = f"{procedure.fee_yen * 3:,}円（{procedure.fee_yen}円 × 3通）"
    check = await visitor.get(f"{case}/check")
    assert total in check.text
    assert hidden(check, "shown")
    answer = await send(visitor, case, notices="no")
    receipt = await visitor.get(answer.headers["location"])
    assert total in receipt.text
    assert "窓口で払うときは" in receipt.text or not any(counter.payment for counter in pack.counters)


async def test_where_nothing_is_to_pay_that_is_said(visitor: Visitor, pack: TownPack) -> None:
    procedure = next(line for line in pack.procedures if line.online != "no" and not line.fee_yen)
    case = await begin(visitor, procedure)
    assert "手数料はかかりません" in (await visitor.get(f"{case}/form")).text
