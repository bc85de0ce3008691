"""The town's own texts in three languages: complete in the sample town, Japanese where there is nothing."""

import asyncio
import re
import shutil
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import jaconv
import pytest
import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from shared.db import Database
from shared.town_pack import BadTownPack, read_town_pack
from shared.town_texts import TownText, collect_texts, read_town_texts
from shared.web import town_texts
from shared.web.i18n import use_language
from shared.web.places import place_label
from shared.web.readings import annotate, unread
from shared.web.town_texts import TownTextDirectory, town_name, town_text, use_town_texts
from tests.conftest import TestDatabase

TOWNS = Path(__file__).resolve().parents[2] / "deploy" / "towns"
SAMPLE = TOWNS / "ninomiya"
every_town = pytest.mark.parametrize("name", sorted(folder.name for folder in TOWNS.iterdir()))
TEXTS = {
    "児童手当": TownText(easy="子どもの お金", en="Child allowance"),
    "町役場 2階": TownText(easy="町役場《まちやくば》 2階", en="Town hall, 2nd floor"),
    "子育て": TownText(en="Families"),
}


@every_town
def test_a_town_that_we_bring_says_everything_in_three_languages(name: str) -> None:
    pack = read_town_pack(TOWNS / name)
    texts = collect_texts(pack)
    assert [ja for ja, said in texts.items() if not said.easy or not said.en] == []
    places = [" ".join(counter.place_ja.split()[:2]) for counter in pack.counters]
    shown = {
        pack.town.address_ja,
        *(counter.office for counter in pack.counters),
        *(counter.name_ja for counter in pack.counters),
        *(ja for venue in pack.venues for ja in (venue.office, venue.name_ja, venue.place_ja)),
        *(procedure.office for procedure in pack.procedures),
        *(procedure.category for procedure in pack.procedures),
        *(procedure.unit for procedure in pack.procedures if procedure.unit),
        *places,
    }
    assert sorted(shown - set(texts)) == []


@every_town
def test_every_word_of_a_town_that_we_bring_has_its_reading(name: str) -> None:
    texts = collect_texts(read_town_pack(TOWNS / name))
    assert {ja: words for ja, said in texts.items() if (words := unread(said.easy))} == {}


def test_official_names_are_read_as_the_catalogue_has_them() -> None:
    """The readings that are put together from words are those of the column `kana`."""
    for procedure in read_town_pack(SAMPLE).procedures:
        read = re.sub("\ufff9[^\ufffa]*\ufffa([^\ufffb]*)\ufffb", r"\1", annotate(procedure.name_ja))
        assert jaconv.hira2kata(re.sub(r"[・()]", "", read)) == procedure.kana.replace(" ", ""), procedure.name_ja


def test_one_japanese_text_is_not_said_in_two_ways(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(SAMPLE, tmp_path / "town"))
    with (folder / "town.toml").open("a", encoding="utf-8") as file:
        file.write('\n[[names]]\nja = "児童手当の申請"\nen = "Money for children"\n')
    with pytest.raises(BadTownPack, match="児童手当の申請 is said in two ways"):
        collect_texts(read_town_pack(folder))


def test_a_name_is_said_in_the_readers_language_with_the_official_one() -> None:
    with use_town_texts(TEXTS):
        assert (town_text("児童手当"), town_name("児童手当")) == ("児童手当", "児童手当")
        with use_language("en"):
            assert (town_text("児童手当"), town_name("児童手当")) == ("Child allowance", "Child allowance (児童手当)")
            assert place_label("町役場 2階 7番", "7", "子育て") == "Town hall, 2nd floor, Counter 7 (Families)"
            assert town_name("転入届") == "転入届"
        with use_language("ja-easy"):
            assert town_name("児童手当") == "子どもの お金（児童手当）"
            assert place_label("町役場 2階 7番", "7", "子育て") == "町役場 2階 7番 まどぐち（子育て）"


@pytest_asyncio.fixture
async def db(database: TestDatabase) -> AsyncIterator[Database]:
    """Notifications' database, and a town with a text."""
    async with database.admin_engine().begin() as connection:
        await connection.execute(text("INSERT INTO town.municipality VALUES ('143421', '町', 'マチ', 'T')"))
        await connection.execute(text("INSERT INTO town.text VALUES ('143421', '町', 'まち', 'Town')"))
    db = Database(database.environ["CHOUDO_NOTIFICATIONS_DATABASE_URL"], service="notifications")
    yield db
    await db.dispose()


async def test_services_read_the_texts_and_write_none(db: Database) -> None:
    async with db.begin("143421") as session:
        assert await read_town_texts(session, "143421") == {"町": TownText(easy="まち", en="Town")}
        assert await read_town_texts(session, "999999") == {}
    for change in ("INSERT INTO town.text VALUES ('143421', '村', '', '')", "UPDATE town.text SET en = ''"):
        with pytest.raises(ProgrammingError, match="permission denied"):
            async with db.begin("143421") as session:
                await session.execute(text(change))


async def test_in_a_rush_one_reads_for_all(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen to fail without the lock (a connection for each request), and with everybody waiting for it."""
    directory = TownTextDirectory(db)

    async def rush() -> Counter[int]:
        found = await asyncio.gather(*(directory.find("143421") for _ in range(20)))
        assert all(texts == {"町": TownText(easy="まち", en="Town")} for texts in found)
        return Counter(map(id, found))

    first = await rush()
    assert len(first) == 1
    monkeypatch.setattr(town_texts, "REFRESH_INTERVAL_S", 0)
    # What is old is good enough for whoever comes while one reads it again.
    (known, most), (_read, one) = (await rush()).most_common()
    assert (known, most, one) == (*first, 19, 1)
