"""What a town says of its channels, of the way to them and of its postal codes; and its words for who sends notices."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import text

from services.routing.commands.catalogue import publish_catalogue
from services.routing.domain.town_items import TownItems, use_town_items
from services.routing.pages.item_fields import make_groups
from services.routing.queries.town_items import TownItemDirectory
from services.routing.tables import outbox
from shared.db import Database
from shared.events.routing import CataloguePublished, TemplateEntry
from shared.town_pack import Name, TownPack, read_town_pack
from shared.town_pack.schema import ChannelReason, Travel
from shared.town_pack.templates import Template
from shared.web.forms import Form
from tests.routing.conftest import Visitor
from tests.routing.makers import HOST, NOW, TOWN, make_pack
from tests.routing.test_situation import card

TOWNS = Path(__file__).resolve().parents[2] / "deploy" / "towns"


async def publish(db: Database, **changes: Any) -> TownPack:
    pack = msgspec.structs.replace(make_pack(), **changes)
    async with db.begin(TOWN) as session:
        await publish_catalogue(session, pack, public_url=f"http://{HOST}", now=NOW)
    return pack


async def test_a_town_says_why_a_way_is_not_possible(db: Database, visitor: Visitor) -> None:
    [code, *_] = [line.code for line in make_pack().procedures if line.online == "no" and "law" not in line.source]
    assert "この手続きは、まだオンラインではできません。" in card(
        (await visitor.get(f"/procedures/{code}")).text, "online"
    )
    own = ChannelReason(
        reason="not_online", ja="来年の4月からです。", easy="らいねんの 4月から です。", en="From next April."
    )
    channels = msgspec.structs.replace(make_pack().channels, reasons=(own,))
    await publish(db, channels=channels)
    page = card((await visitor.get(f"/procedures/{code}")).text, "online")
    assert "来年の4月からです。" in page
    assert "まだオンラインではできません" not in page


async def test_the_way_from_each_district_is_told_and_nobody_is_asked_where_they_live(
    db: Database, visitor: Visitor
) -> None:
    page = card((await visitor.get("/procedures/CHI02")).text, "counter")
    assert "家から行く時間" not in page
    counters = tuple(each.code for each in make_pack().counters)
    near, far = Travel("山西", counters, 10), Travel("一色", counters, 25)
    await publish(db, travels=(far, near))
    page = (await visitor.get("/procedures/CHI02")).text
    assert "家から行く時間のめやす：10分から25分（地区でちがいます）" in card(page, "counter")
    assert card(page, "counter").index("山西 10分") < card(page, "counter").index("一色 25分")
    assert "家から行く時間" not in card(page, "online")
    await publish(db, travels=(near,))
    page = card((await visitor.get("/procedures/CHI02")).text, "counter")
    assert "家から行く時間のめやす：10分" in page
    assert "<details" not in page


async def test_the_example_of_a_postal_code_is_the_towns(db: Database) -> None:
    def hint() -> str:
        [group] = make_groups(["address"], {}, {})
        return str(next(part["hint"] for part in group["parts"] if part["kind"] == "postal_code"))

    assert hint() == "7けたの数字です。"
    await publish(db, town=msgspec.structs.replace(make_pack().town, postal_example="990-0001"))
    with use_town_items(await TownItemDirectory(db).find(TOWN)):
        assert hint() == "7けたの数字です。例：990-0001"
    form = Form({"code": "99"})
    form.postal_code("code", example="990-0001")
    assert form.errors == {"code": "郵便番号は、7けたの数字で入力してください。例：990-0001"}
    with use_town_items(TownItems()):
        assert hint() == "7けたの数字です。"


def test_no_postal_code_of_a_town_stands_in_the_program() -> None:
    root = TOWNS.parents[1]
    files = [path for folder in ("services", "shared") for path in (root / folder).rglob("*.*")]
    texts = [path for path in files if path.suffix in (".py", ".html", ".po", ".js")]
    assert [str(path) for path in texts if "259-0196" in path.read_text("utf-8")] == []


@pytest.mark.parametrize("folder", ["ninomiya", "hoshimi"])
def test_the_samples_have_an_example(folder: str) -> None:
    assert read_town_pack(TOWNS / folder).town.postal_example


async def test_what_a_town_says_in_its_notices_goes_to_who_sends_them(db: Database) -> None:
    said = {f"short_{language}": f"{{number}} {{link}} {language}" for language in ("ja", "easy", "en")}
    own = Template("application_received", **said)
    await publish(db, templates=(own,), names=(Name("x"),))
    async with db.begin(TOWN) as session:
        query = text(f"SELECT payload FROM {outbox.tables.outbox.name} ORDER BY aggregate_version DESC LIMIT 1")
        event = msgspec.json.decode((await session.execute(query)).scalar_one(), type=CataloguePublished)
    assert event.templates == tuple(
        TemplateEntry(kind="application_received", language=code, short=f"{{number}} {{link}} {language}")
        for language, code in (("ja", "ja"), ("easy", "ja-easy"), ("en", "en"))
    )
    # Other words are another version, of which the others hear.
    async with db.begin(TOWN) as session:
        before = (await session.execute(text("SELECT version FROM catalogue"))).scalar_one()
    await publish(db, templates=(), names=(Name("x"),))
    async with db.begin(TOWN) as session:
        assert (await session.execute(text("SELECT version FROM catalogue"))).scalar_one() == before + 1
