"""Publishing a town's catalogue."""

import asyncio
import shutil
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import select

from services.routing.commands.catalogue import publish_catalogue
from services.routing.queries.catalogue import get_town, list_counters, list_procedures, procedure_names
from services.routing.tables import audit, outbox
from shared.db import Database
from shared.events.routing import CataloguePublished
from shared.town_pack import BadTownPack, read_town_pack
from tests.routing.makers import HOST, NOW, PACK_DIR, TOWN, make_pack

URL = f"http://{HOST}"


async def publish(db: Database, pack: object = None, *, url: str = URL) -> int:
    async with db.begin(TOWN) as session:
        return await publish_catalogue(session, pack or make_pack(), public_url=url, now=NOW + timedelta(hours=1))  # type: ignore[arg-type]


async def published(db: Database) -> list[CataloguePublished]:
    table = outbox.tables.outbox
    async with db.begin(TOWN) as session:
        rows = await session.execute(
            select(table).where(table.c.municipality == TOWN).order_by(table.c.aggregate_version)
        )
        return [msgspec.json.decode(row.payload, type=CataloguePublished) for row in rows]


async def test_the_same_content_again_changes_nothing_and_publishes_nothing(db: Database) -> None:
    assert await publish(db) == 1
    assert await publish(db) == 1
    assert len(await published(db)) == 1


async def test_a_reading_of_the_pack_is_for_yasashii_nihongo_alone(db: Database) -> None:
    """Seen to fail with the name as the pack has it: Japanese pages, staff's and the search had the notation, too."""
    first, *others = make_pack().procedures
    read = msgspec.structs.replace(first, name_plain_ja="｜住民票《じゅうみんひょう》の 写《うつ》し")
    await publish(db, msgspec.structs.replace(make_pack(), procedures=(read, *others)))
    async with db.begin(TOWN) as session:
        assert (await list_procedures(session, TOWN))[0].name_plain_ja == "住民票の 写し"


async def test_two_loads_at_once_make_one_version(db: Database) -> None:
    pack = make_pack()
    changed = msgspec.structs.replace(pack, procedures=pack.procedures[:3])
    assert set(await asyncio.gather(*(publish(db, changed) for _ in range(4)))) == {2}
    assert len(await published(db)) == 2


async def test_the_event_carries_all_that_the_others_need(db: Database) -> None:
    event = (await published(db))[0]
    assert (event.town_phone, event.town_host) == ("0463-71-3311", URL)
    by_code = {entry.code: entry for entry in event.procedures}
    assert by_code["FAM05"].discreet
    assert (by_code["CHI02"].minutes, by_code["CHI02"].counters) == (20, ("7",))
    assert {counter.code for counter in event.counters} == {"2", "7", "9"}


async def test_another_address_is_a_new_version_because_links_are_made_of_it(db: Database) -> None:
    assert await publish(db, url="https://reserve.example.jp") == 2
    assert (await published(db))[-1].town_host == "https://reserve.example.jp"


async def test_a_procedure_that_is_gone_is_withdrawn_and_keeps_its_name(db: Database) -> None:
    pack = make_pack()
    assert await publish(db, msgspec.structs.replace(pack, procedures=pack.procedures[1:])) == 2
    async with db.begin(TOWN) as session:
        assert "RES01" not in {procedure.code for procedure in await list_procedures(session, TOWN)}
        assert (await procedure_names(session, TOWN))["RES01"][0] == "住民票の写し"
    assert await publish(db) == 3
    async with db.begin(TOWN) as session:
        assert [procedure.code for procedure in await list_procedures(session, TOWN)] == [
            line.code for line in pack.procedures
        ]


async def test_a_town_with_thousands_of_procedures_is_loaded(db: Database) -> None:
    """Seen to fail while all of them went in one statement."""
    pack = make_pack()
    many = tuple(msgspec.structs.replace(pack.procedures[0], code=f"P{number}") for number in range(2_001))
    assert await publish(db, msgspec.structs.replace(pack, procedures=many)) == 2
    async with db.begin(TOWN) as session:
        listed = [line.code for line in await list_procedures(session, TOWN)]
    assert listed == [line.code for line in many]


async def test_town_and_counters_are_kept_and_the_operator_is_on_record(db: Database) -> None:
    async with db.begin(TOWN) as session:
        assert (await get_town(session, TOWN)).phone == "0463-71-3311"
        assert (await list_counters(session, TOWN))["7"].place_ja == "町役場 2階 7番"
        rows = (await session.execute(select(audit.c.action, audit.c.ref))).all()
    assert [tuple(row) for row in rows] == [("publish_catalogue", "1")]


@pytest.mark.parametrize(
    ("codes", "complaint"),
    [('["NOPE"]', "no such procedure: NOPE"), ('["FAM05"]', "discreet"), ('["RES01", "RES01"]', "twice"),
     ('["a b"]', "frequent"), ('["A", "B", "C", "D", "E", "F", "G"]', "at most 6")],
)  # fmt: skip
def test_a_front_page_that_cannot_be_is_refused(tmp_path: Path, codes: str, complaint: str) -> None:
    shutil.copytree(PACK_DIR, tmp_path, dirs_exist_ok=True)
    file = tmp_path / "town.toml"
    file.write_text(file.read_text("utf-8").replace("hosts =", f"frequent = {codes}\nhosts =", 1), "utf-8")
    with pytest.raises(BadTownPack, match=complaint):
        read_town_pack(tmp_path)
