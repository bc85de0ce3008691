"""The town's own texts (names of procedures, counters and places, things to bring) in the languages of their readers.

They are looked up as ours are: the Japanese text is the key, and what is shown when there is nothing else. So services
keep and publish Japanese texts alone; every language of a town stands in one global table, beside its name.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import jaconv
import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from shared.town_pack import BadTownPack, Name, TownPack, Words

SOURCE_LANGUAGE: Final = "ja"
TEXTS_MAX: Final = 5_000

_TEXTS = text(f"SELECT ja, easy, en FROM town.text WHERE municipality = :municipality LIMIT {TEXTS_MAX}")


class TownText(msgspec.Struct, frozen=True):
    """What a Japanese text is in the other languages of the pages; empty: it is shown in Japanese."""

    easy: str = ""
    en: str = ""


TownTexts = Mapping[str, TownText]


async def read_town_texts(session: AsyncSession, municipality: str) -> dict[str, TownText]:
    """Every text of the town that has another language."""
    rows = await session.execute(_TEXTS, {"municipality": municipality})
    return {row.ja: TownText(easy=row.easy, en=row.en) for row in rows}


def collect_texts(pack: TownPack) -> dict[str, TownText]:
    """The texts of a pack.

    Raises:
        BadTownPack: a Japanese text is said in two ways.
    """
    texts: dict[str, TownText] = {}
    for ja, easy, en in _texts(pack):
        said = TownText(easy=easy, en=en)
        if texts.setdefault(ja, said) != said:
            raise BadTownPack(f"{ja}: said in two ways in another language: {texts[ja].en} / {en}, {easy}")
    return {ja: said for ja, said in texts.items() if ja and said != TownText()}


def _texts(pack: TownPack) -> Iterator[tuple[str, str, str]]:
    town = pack.town
    yield town.name_ja, f"｜{town.name_ja}《{jaconv.kata2hira(town.name_kana)}》", town.name_en
    names: tuple[Name | Words, ...] = (*pack.names, *pack.things, *pack.deadlines)
    for name in names:
        yield name.ja, name.easy, name.en
    for procedure in pack.procedures:
        yield procedure.name_ja, procedure.name_plain_ja, procedure.name_en
    for event in pack.life_events:
        yield _fields(event, "name")
        yield _fields(event, "intro")
        for question in event.questions:
            yield _fields(question, "text")
            yield _fields(question, "hint")
        for step in event.steps:
            yield _fields(step, "note")


def _fields(line: Any, field: str) -> tuple[str, str, str]:
    return getattr(line, f"{field}_ja"), getattr(line, f"{field}_easy"), getattr(line, f"{field}_en")
